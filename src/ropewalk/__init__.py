"""Ropewalk: files that survive, in encrypted and redundant spaces over many independent stores.

Flow: `open` -> Space, for programs; the command line is ropewalk.cli
Never: loads more than the errors before a space is opened: a command's start is too short for that.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from ropewalk._version import __version__
from ropewalk.errors import Damaged, Missing, Misuse, PeerFault, Refused, RopewalkError, Unavailable
from ropewalk.freed import keep_freed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Any

    from ropewalk.spaces.home import Home
    from ropewalk.spaces.space import Space

__all__ = [
    "Damaged",
    "Missing",
    "Misuse",
    "PeerFault",
    "Refused",
    "RopewalkError",
    "Unavailable",
    "__version__",
    "keep_freed",
    "open",
    "open_sync",
]


@asynccontextmanager
async def open(name: str, *, passphrase: str | None = None, home: Home | None = None) -> AsyncIterator[Space]:
    """A space, open for as long as the context lasts.

    Args:
        name: What the user calls it, as `ropewalk space list` shows.
        passphrase: Opens the device keys; by default from ``$ROPEWALK_PASSPHRASE``, or from the system's keyring where
            ``ropewalk init --keyring`` put it.
        home: Settings and state; those of this user by default.

    Raises:
        Missing: `ropewalk init` was not run, or no space has this name.
        Misuse: No passphrase is known.
        Refused: The passphrase is wrong, these keys open nothing in the space, or it needs a newer version.
        Unavailable: Too few stores answer.
        Damaged: The settings, the keys or the space's records are not what they must be.
    """
    from ropewalk.spaces.home import Home
    from ropewalk.spaces.space import open_space
    from ropewalk.spaces.unlock import unlock

    place = home or Home.of_user()
    place.space(name)  # a wrong name is told before any passphrase
    async with await open_space(place, name, unlock(place, passphrase)) as space:
        yield space


@contextmanager
def open_sync(name: str, *, passphrase: str | None = None, home: Home | None = None) -> Iterator[Any]:
    """`open` for programs without an event loop: the space's methods block, its iterators and contexts are plain ones.

    Raises:
        What `open` does.
    """
    from ropewalk.threads import portal, sync

    with portal() as door, door.enter(open(name, passphrase=passphrase, home=home)) as space:
        yield sync(space, door)
