"""The server's side of the broker's conformance suite: it plays servers to a client under test, case after case.

Flow: URL -> `playing` listens -> each session of the client is a case of CALLERS or TRAPS -> Outcome; "over" at the end
Never: takes anything from the implementation that it tries; waits for a client that does not come again.
Source: docs/spec/broker.md annex B.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk import net
from ropewalk.errors import RopewalkError
from ropewalk.testing.broker_callers import CALLERS
from ropewalk.testing.broker_guest import Guest, public
from ropewalk.testing.broker_outcome import Outcome
from ropewalk.testing.broker_peer import NotAsSpecified
from ropewalk.testing.broker_traps import TRAPS

__all__ = ["GROUPS", "Playing", "playing"]

GROUPS: dict[str, Mapping[str, Callable[[Guest], Awaitable[None]]]] = {"caller": CALLERS, "trap": TRAPS}


class Playing:
    """Servers for one client.

    Attributes:
        url: Where they listen.
        node: The key that the client is to expect of them.
    """

    def __init__(self, url: str, deadline: float, node: Ed25519PrivateKey) -> None:
        self.url, self.node = url, public(node)
        self._deadline, self._private = deadline, node
        self._guests: asyncio.Queue[Guest] = asyncio.Queue()
        self._nonces: set[bytes] = set()

    def protocol(self) -> Guest:
        """The protocol of a new connection."""
        return Guest(self.url, self._deadline, self._private, came=self._guests.put_nowait)

    async def outcomes(self, *, only: str = "") -> AsyncIterator[Outcome]:
        """Of all cases, or of those with ``only`` in their names. For its first session the client has all the time."""
        deadline: float | None = None
        for group, cases in GROUPS.items():
            for what, case in cases.items():
                if only in (name := f"{group}: {what}"):
                    yield await self._outcome(name, case, deadline)
                    deadline = self._deadline
        if deadline is not None:
            yield await self._outcome("the end", _over, deadline)

    async def _outcome(self, name: str, case: Callable[[Guest], Awaitable[None]], deadline: float | None) -> Outcome:
        try:
            async with asyncio.timeout(deadline):
                guest = await self._guests.get()
        except TimeoutError:
            return Outcome(name, f"no connection within {deadline:g} s")
        try:
            await case(guest)
            self._check(guest)
        except (NotAsSpecified, TimeoutError, OSError, RopewalkError, LookupError, TypeError, ValueError) as error:
            return Outcome(name, str(guest.wrong or error) or type(error).__name__)
        finally:
            guest.transport.abort()
        return Outcome(name)

    def _check(self, guest: Guest) -> None:
        """What holds in each session, whatever the case."""
        nonce = (guest.hello or {}).get("nonce")
        if nonce in self._nonces:
            raise NotAsSpecified("the nonce of its hello is that of an earlier session")
        if nonce is not None:
            self._nonces.add(nonce)
        if guest.wrong is not None:
            raise guest.wrong


async def _over(guest: Guest) -> None:
    """The program is told that there is no more."""
    await guest.entered()
    guest.command("over")
    await guest.until(lambda: guest.lost or any(one[0] == 13 for one in guest.heard), "GOAWAY or end")
    guest.transport.close()
    await guest.closed()


@asynccontextmanager
async def playing(url: str, *, deadline: float = 10.0) -> AsyncIterator[Playing]:
    """Listen for a client under test.

    Args:
        deadline: Seconds for each wait.
    """
    plays = Playing(url, deadline, Ed25519PrivateKey.generate())
    async with await net.listen(url, plays.protocol) as listener:
        plays.url = str(listener.endpoint.peer())
        yield plays
