"""A loop kind: what every way of getting an event loop offers, and the host that a guest loop runs inside.

Flow: kinds.run -> LoopKind -> new_loop -> asyncio.Runner; a guest loop -> Host -> the host's own loop
Never: imports a loop's library.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from ropewalk.errors import Misuse, Unavailable

__all__ = ["FEATURES", "Host", "LoopInLoop", "LoopKind", "LoopUnavailable", "NoSuchLoop"]

# What a loop can do, in the words of `check_loop`.  A kind claims those it has; the others it refuses clearly.
FEATURES = frozenset(
    {
        "cancellation",
        "getaddrinfo",
        "pipes",
        "signals",
        "start_tls",
        "subprocess",
        "tcp",
        "threads",
        "timers",
        "tls",
        "udp",
        "unix",
    }
)


class NoSuchLoop(Misuse):
    """No kind of loop has this name."""

    code = "loops.unknown"


class LoopUnavailable(Unavailable):
    """The kind is known, and cannot run here."""

    code = "loops.unavailable"


class LoopInLoop(Misuse):
    """This thread runs a loop already, and a thread runs one at a time."""

    code = "loops.in-loop"


class Host(Protocol):
    """A loop that is not asyncio's, and that turns of asyncio's run inside."""

    def post(self, call: Callable[[], object]) -> None:
        """Have ``call`` called soon, once, in the host's thread, in the order of posting.  From any thread.

        ``call`` does not raise.  A call posted while the host does not run is kept until it does.
        """

    def run(self) -> None:
        """Run until `quit` is called, or until the host ends by itself.  May be called again after it returned."""

    def quit(self) -> None:
        """Have `run` return, modal loops inside it too.  From the host's thread."""


@runtime_checkable
class LoopKind(Protocol):
    """A way to get an event loop."""

    @property
    def name(self) -> str:
        """What `kind` and ``loop=`` call it."""

    @property
    def features(self) -> frozenset[str]:
        """Those of `FEATURES` that its loops have."""

    def why_not(self) -> str | None:
        """Why it cannot run here, or None where it can."""

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """A new loop, to be run in this thread and closed by the caller.

        Raises:
            LoopUnavailable: It cannot run here.
        """

    def host(self) -> Host | None:
        """The host that its loops are guests of, or None where they stand alone."""
