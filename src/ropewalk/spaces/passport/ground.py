"""Ground: the part of a store that probes work in: its names, its bytes, and how it is left as it was found.

All lies under one prefix, which follows from the device and the store: so the next probe finds what one that was cut
short has left, though nobody wrote down that it began.  The names below it are new each time.

Flow: probe -> Ground -> Store; afterwards Ground.sweep -> the store as it was
Never: asks for a name outside its prefix, waits without an end, or deletes what a listing says lies elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from ropewalk.errors import Misuse, RopewalkError, Unavailable
from ropewalk.spaces.keys import hashed, keyed_stream
from ropewalk.spaces.passport.record import Finding
from ropewalk.spaces.store import (
    Listed,
    NoSuchObject,
    ObjectName,
    Store,
    StoreGone,
    hint_name,
    object_name,
)

__all__ = ["Ground", "Outcome", "answer", "left_prefix", "prefix_of", "tried", "within"]

_T = TypeVar("_T")

PATIENCE = 60.0  # seconds for one call, besides what its bytes may take
SLOWEST = 64 * 1024  # bytes a second; what is slower is as good as gone
MOST_LISTED = 20_000  # names that are taken from a listing; a store that invents them has no end
AT_ONCE = 16  # calls


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of reading objects that were put: how many are not there, are other bytes, are not given, and why."""

    lost: int = 0
    wrong: int = 0
    unread: int = 0
    why: str = ""

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.lost + other.lost, self.wrong + other.wrong, self.unread + other.unread, self.why or other.why
        )

    @property
    def amiss(self) -> int:
        """How many do not come back as they were put."""
        return self.lost + self.wrong + self.unread

    @property
    def words(self) -> str:
        """What is amiss, for people."""
        told = {"are not there": self.lost, "are not what was put": self.wrong, "cannot be read": self.unread}
        words = ", ".join(f"{count} {what}" for what, count in told.items() if count)
        return f"{words}: {self.why}" if self.why else words


def prefix_of(device: bytes, store: bytes) -> str:
    """Where a device's probes of a store lie; no space has this id."""
    return hashed("passport probes", device + store).hex()


def left_prefix(device: bytes, store: bytes) -> str:
    """Where that lies which is left until the store was started again."""
    return hashed("passport left", device + store).hex()


async def tried(call: Awaitable[_T]) -> _T | RopewalkError:
    """What a call gives, or the error that it raises."""
    try:
        return await call
    except RopewalkError as error:
        return error


async def answer(call: Awaitable[_T]) -> _T | RopewalkError:
    """What a call gives, or the error that is its answer.

    Raises:
        Unavailable: There was none.
    """
    found = await tried(call)
    if isinstance(found, Unavailable):
        raise found
    return found


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """An end for what is done with a store; ``what`` goes before the seconds in the error.

    Raises:
        StoreGone: It was not done by then.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise StoreGone(f"{what} {seconds:.0f} s") from None


class Ground:
    """Where one look at a store takes place.

    Args:
        store: The store.
        prefix: 64 hex digits.
        nonce: Random bytes, from which names and bytes follow.
        clock: Seconds, monotonic.
        now: Nanoseconds since 1970.
        quick: Whether to leave out what is large or long.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        nonce: bytes,
        clock: Callable[[], float],
        now: Callable[[], int],
        *,
        quick: bool = False,
    ) -> None:
        self.store, self.prefix, self.clock, self.now, self.quick = store, prefix, clock, now, quick
        self._nonce = nonce
        self.put_here: dict[ObjectName, None] = {}  # in order; what may be there
        self.kept: dict[ObjectName, bytes] = {}  # acknowledged, small, and to be there until the end
        self.listable: dict[ObjectName, bytes] = {}  # acknowledged, and to be listed until the end
        self.listed_at_once: Finding | None = None

    # -- names and bytes -------------------------------------------------------------------------------------------

    def name(self, label: str, number: int = 0) -> ObjectName:
        """A name of the form that shares have."""
        digest = hashed("passport name", self._nonce + f"{label} {number}".encode()).hex()
        return object_name(f"{self.prefix}/packs/{digest}-{number % 256:02x}-{digest[:32]}")

    def head_name(self, number: int) -> ObjectName:
        """A name of the form that heads have."""
        digest = hashed("passport name", self._nonce + f"head {number}".encode()).hex()
        return object_name(f"{self.prefix}/heads/{digest[:32]}/{2**64 - 1 - number:016x}-{digest}")

    def long_name(self, length: int) -> ObjectName:
        """A name of so many characters."""
        start = self.name(f"long {length}")
        return object_name((start + "0" * length)[:length])

    def hint(self) -> ObjectName:
        """The name of a hint."""
        return hint_name(f"{self.prefix}/hints/{hashed('passport name', self._nonce + b'hint').hex()[:32]}")

    def bytes_of(self, label: str, size: int) -> bytes:
        """Bytes that no store can know beforehand, and that do not compress."""
        return keyed_stream(hashed("passport bytes", self._nonce), size, label.encode())

    # -- calls, each with an end -----------------------------------------------------------------------------------

    async def call(self, call: Awaitable[_T], size: int = 0) -> _T:
        """What a call gives.

        Raises:
            StoreGone: It did not answer.
        """
        async with within(PATIENCE + size / SLOWEST, "store did not answer for"):
            return await call

    async def put(self, name: ObjectName, data: bytes) -> None:
        """As `Store.put`."""
        self.put_here[name] = None
        await self.call(self.store.put(name, (data,)), len(data))

    async def put_many(self, objects: Sequence[tuple[ObjectName, bytes]]) -> None:
        """As `Store.put_many`."""
        self.put_here.update(dict.fromkeys(name for name, _ in objects))
        size = sum(len(data) for _, data in objects)
        await self.call(self.store.put_many([(name, (data,)) for name, data in objects]), size)

    async def replace(self, name: ObjectName, data: bytes) -> None:
        """As `Store.replace`."""
        self.put_here[name] = None
        await self.call(self.store.replace(name, (data,)))

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        """As `Store.get`."""
        return await self.call(self.store.get(name, offset, length), length or 0)

    async def delete(self, name: ObjectName) -> None:
        """As `Store.delete`."""
        await self.call(self.store.delete(name))
        self.put_here.pop(name, None)
        self.kept.pop(name, None)

    async def keep(self, name: ObjectName, data: bytes) -> None:
        """``put``, and look for it once more at the end."""
        await self.put(name, data)
        self.kept[name] = data

    async def look(self, name: ObjectName, data: bytes) -> Outcome:
        """Whether an object that was acknowledged is what was put.

        Raises:
            Unavailable: It is not known.
        """
        found = await answer(self.get(name))
        if isinstance(found, NoSuchObject):
            return Outcome(lost=1)
        if isinstance(found, RopewalkError):
            return Outcome(unread=1, why=str(found))
        return Outcome(wrong=int(found != data))

    async def listed(self, prefix: str, after: str = "", most: int = MOST_LISTED) -> list[Listed]:
        """The first of a listing.

        Raises:
            StoreGone.
        """
        found: list[Listed] = []

        async def take(listing: AsyncIterator[Listed]) -> None:
            async for listed in listing:
                found.append(listed)
                if len(found) >= most:
                    return

        await self.call(take(self.store.list(prefix, after)), most * 1024)
        return found

    # -- afterwards ------------------------------------------------------------------------------------------------

    async def sweep(self, spared: Collection[ObjectName] = ()) -> None:
        """Delete whatever lies here, but for what is spared.

        Raises:
            Refused: The store does not delete.
            StoreGone: Some of it may be left, for the next to sweep.
        """
        try:
            listing = await self.listed(f"{self.prefix}/")
        except RopewalkError:
            await self._delete(list(self.put_here))  # what is known at least
            raise
        there = [name for one in listing if (name := self._ours(one))]
        await self._delete(name for name in dict.fromkeys([*self.put_here, *there]) if name not in spared)

    def _ours(self, listed: Listed) -> ObjectName | None:
        """The name of what lies here; a listing is a store's word, and may say anything."""
        if not listed.name.startswith(f"{self.prefix}/"):
            return None
        try:
            return object_name(listed.name)
        except Misuse:
            return None

    async def _delete(self, names: Iterable[ObjectName]) -> None:
        left = list(names)
        for start in range(0, len(left), AT_ONCE):
            some = left[start : start + AT_ONCE]
            for outcome in await asyncio.gather(*(self._deleted(name) for name in some)):
                if outcome is not None:
                    raise outcome

    async def _deleted(self, name: ObjectName) -> RopewalkError | None:
        return await tried(self.delete(name))
