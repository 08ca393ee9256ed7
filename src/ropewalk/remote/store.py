"""The remote store: what a node keeps for us, with the contract of a store (docs/spec/node.md 2).

Flow: pool -> RemoteStore -> calls over the link, several under way for what is large
Never: makes a call twice by itself, or says that something was kept before the node did.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import msgspec

from ropewalk import broker
from ropewalk.errors import Misuse, RopewalkError
from ropewalk.remote.errors import DELETE, LIST, READ, WAIT, WRITE, answering, as_store
from ropewalk.remote.pieces import IN_FLIGHT, PIECE, asked_for, cut, streamed
from ropewalk.spaces.store import (
    LARGEST_OBJECT,
    Listed,
    ObjectName,
    Parts,
    Room,
    StoreDamaged,
    StoreGone,
    hint_name,
    object_name,
)
from ropewalk.spaces.store.parts import checked_hint, checked_range, size_of

__all__ = ["RemoteStore", "Trashed", "Way"]

SMALL = 64 * 1024  # bytes; what is smaller is put without a stream
TOGETHER = 256 * 1024  # bytes of small objects in one message, and
MOST_TOGETHER = 64  # of them
LONGEST_PAGE = 1000  # names; a shorter one is the last
MOST_LISTED = 1 << 24  # names in one listing, some 100 TB of packs: whoever lists more invents them
AGAIN = 1.0  # seconds before a hint is waited for again that did not change


_Amount = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
_Page = Annotated[
    list[tuple[Annotated[str, msgspec.Meta(max_length=200)], _Amount]], msgspec.Meta(max_length=LONGEST_PAGE)
]
_TrashPage = Annotated[
    list[
        tuple[
            Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,32}$")],
            Annotated[str, msgspec.Meta(max_length=200)],
            _Amount,
            float,
        ]
    ],
    msgspec.Meta(max_length=LONGEST_PAGE),
]
_Mark = Annotated[bytes, msgspec.Meta(max_length=100)]


class _Offer(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]


_Offers = Annotated[list[_Offer], msgspec.Meta(max_length=LONGEST_PAGE)]


class _About(msgspec.Struct):
    id: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


@dataclass(frozen=True, slots=True)
class Trashed:
    """What was deleted and is kept."""

    label: str
    name: str
    size: int  # bytes
    left: float  # seconds


class Way(Protocol):
    """How a node is reached."""

    place: str
    puts: asyncio.Semaphore

    @property
    def sessions(self) -> int:
        """How many sessions there were."""

    @property
    def room(self) -> Any:
        """The node's perspective, where there is a session now; else StoreGone."""


class RemoteStore:
    """A store of a node.  Made by `Nodes.open`.

    Args:
        way: To the node.
        offer: Its name there; "" for the only one.
        leave: Called once it is closed.

    Attributes:
        identity: The store's 16 bytes.
        offer: Its name there.
    """

    identity: bytes

    def __init__(self, way: Way, offer: str, leave: Callable[[], Awaitable[None]]) -> None:
        self._way, self.offer, self._leave = way, offer, leave
        self._where = f"store {offer or '(the only one)'} at {way.place}"
        self._store: Any = None  # of the session that was there when it was asked for
        self._session = 0  # which one that was
        self._asked: tuple[Any, Any] | None = None  # what `ask` was promised, until it is looked at
        self._offers: Any = None  # the same, where no name was given
        self._expected: bytes | None = None
        self._closed = False
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._waits: set[asyncio.Timeout] = set()  # for changes, which come late or never

    def ask(self, room: Any) -> None:
        """Ask a session that is about to be there for the store.

        Args:
            room: What the login will give.
        """
        self._asked = _ask(room, self.offer) if self.offer else None
        self._offers = None if self.offer else room.offers()

    async def find(self, identity: bytes | None) -> None:
        """Find the store there, which must be ``identity`` where that is given.

        Raises:
            StoreGone: There is none, or it is another one.
        """
        self._expected = identity
        with self._asking(LIST):
            await self._reference()

    async def put(self, name: ObjectName, parts: Parts) -> None:
        size = size_of(parts)
        object_name(name)
        if size <= SMALL:
            await self.put_many([(name, parts)])
            return
        with self._asking(WRITE):
            store = await self._reference()
            async with self._way.puts:
                await store.put(name, size, streamed(parts))

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        sizes = [size_of(parts) for _, parts in objects]
        batch: list[tuple[str, bytes]] = []
        for name, _ in objects:
            object_name(name)
        left = TOGETHER
        with self._asking(WRITE):
            store = await self._reference()
            for (name, parts), size in zip(objects, sizes, strict=True):
                if size > SMALL:
                    async with self._way.puts:
                        await store.put(name, size, streamed(parts))
                    continue
                if batch and (size > left or len(batch) >= MOST_TOGETHER):
                    await self._put_small(store, batch)
                    batch, left = [], TOGETHER
                batch.append((name, b"".join(parts)))
                left -= size
            if batch:
                await self._put_small(store, batch)

    async def _put_small(self, store: Any, batch: list[tuple[str, bytes]]) -> None:
        outcomes = await store.put_small(batch)
        told = self._told(outcomes, list[tuple[str, str] | None], "outcomes of puts")
        if len(told) != len(batch):
            raise StoreDamaged(f"{self._where} answered for {len(told)} objects, {len(batch)} were put")
        for outcome in told:
            if outcome is not None:
                raise as_store(self._where, *outcome, allowed=WRITE)

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        checked_hint(name, parts)
        with self._asking(WRITE):
            await (await self._reference()).replace(name, b"".join(parts))

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        """As `Tells.wait_changed`."""
        hint_name(name)
        wait = asyncio.timeout(None)
        try:
            async with wait:
                self._waits.add(wait)
                try:
                    return await self._changed(name, mark)
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            if not wait.expired():
                raise
            raise self._no_more() from None

    async def _changed(self, name: ObjectName, mark: bytes) -> bytes:
        while True:
            with self._asking(WAIT):
                now = await (await self._reference()).wait_changed(name, mark)
            told: bytes = self._told(now, _Mark, "a mark")
            if told != mark:
                return told
            await asyncio.sleep(AGAIN)  # it waited long without news, or answers at once with none

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        checked_range(offset, length)
        object_name(name)
        found: list[bytes] = []
        offset = min(offset, LARGEST_OBJECT)  # where each object has ended
        left = LARGEST_OBJECT - offset if length is None else min(length, LARGEST_OBJECT - offset)
        with self._asking(READ):
            store = await self._reference()
            at_once = IN_FLIGHT if length is not None else 1  # most objects of which the size is not known are small
            while True:
                asked = cut(offset, min(left, PIECE * at_once))
                for start, piece in zip(asked, await asked_for(store, name, asked), strict=True):
                    if not isinstance(piece, bytes) or len(piece) > start[1]:
                        raise StoreDamaged(f"{self._where} gave other than the bytes that were asked for")
                    found.append(piece)
                    if len(piece) < start[1]:
                        return b"".join(found)
                came = sum(wanted for _, wanted in asked)
                offset, left, at_once = offset + came, left - came, IN_FLIGHT
                if left <= 0:
                    return found[0] if len(found) == 1 else b"".join(found)

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        for _ in self._pages():
            with self._asking(LIST):
                page = await (await self._reference()).names(prefix, after)
            names = self._told(page, _Page, "a list of names and sizes")
            for name, size in names:
                if name <= after or not name.startswith(prefix):
                    raise StoreDamaged(f"{self._where} does not list by name: {name[:80]!r} after {after[:80]!r}")
                after = name
                yield Listed(ObjectName(name), size)
            if len(names) < LONGEST_PAGE:
                return

    async def delete(self, name: ObjectName) -> None:
        object_name(name)
        with self._asking(DELETE):
            await (await self._reference()).delete(name)

    async def room(self) -> Room | None:
        with self._asking(LIST):
            found = await (await self._reference()).room()
        told = self._told(found, tuple[_Amount, _Amount] | None, "its room")
        return None if told is None else Room(*told)

    # -- what an admin of a space may besides ----------------------------------------------------------------------

    async def trash(self, space: bytes) -> AsyncIterator[Trashed]:
        """What was deleted of a space and can be taken back, by label.

        Raises:
            StoreReadOnly: Who asks is no admin of it.
            StoreGone.
        """
        after = ""
        for _ in self._pages():
            with self._asking(DELETE):
                page = await (await self._reference()).trash(space, after)
            for one in (rows := self._told(page, _TrashPage, "a list of what was deleted")):
                if one[0] <= after:
                    raise StoreDamaged(f"{self._where} does not list its trash by label")
                after = one[0]
                yield Trashed(*one)
            if len(rows) < LONGEST_PAGE:
                return

    async def take_back(self, space: bytes, labels: Sequence[str]) -> int:
        """Undo deletions; how many came back.

        Raises:
            StoreReadOnly: Who asks is no admin of the space.
            StoreFull, StoreGone.
        """
        back = 0
        for at in range(0, len(labels), LONGEST_PAGE):
            with self._asking(DELETE):
                done = await (await self._reference()).take_back(space, list(labels[at : at + LONGEST_PAGE]))
            back += min(self._told(done, _Amount, "how many came back"), LONGEST_PAGE)
        return back

    async def veto(self, space: bytes, seconds: float) -> None:
        """For so long nothing of a space is deleted there.

        Raises:
            StoreReadOnly: Who asks is no admin of the space.
            StoreGone, Misuse.
        """
        with self._asking(DELETE):
            await (await self._reference()).veto(space, float(seconds))

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(asyncio.get_running_loop().time())
        await self._idle.wait()
        await self._leave()

    async def _reference(self) -> Any:
        """The store in this session; it is asked for once in each."""
        room, session = self._way.room, self._way.sessions
        if self._store is None or self._session != session:
            offer = self.offer
            asked, listed = self._asked, self._offers
            self._asked = self._offers = None  # what was refused is asked for anew
            if not offer:
                offers = self._told(await (room.offers() if listed is None else listed), _Offers, "its offers")
                names = sorted(one.name for one in offers)
                if len(names) != 1:
                    told = ", ".join(names[:10]) or "nothing"
                    raise StoreGone(
                        f"node at {self._way.place} offers {told} to us, expected one store",
                        hint="name it: /NAME behind the node's key" if names else "ask its owner for room",
                    )
                offer = names[0]
            found, about = asked or _ask(room, offer)
            identity = self._told(await about, _About, "what it is").id
            store = await found
            if self._expected not in (None, identity):
                raise StoreGone(
                    f"store {offer} at {self._way.place} is another one:"
                    f" want {self._expected.hex()}, got {identity.hex()}"
                )
            self.identity = self._expected = identity
            self.offer, self._store, self._session = offer, store, session
        return self._store

    def _pages(self) -> Iterator[int]:
        """Turns for the pages of one listing."""
        yield from range(MOST_LISTED // LONGEST_PAGE)
        raise StoreDamaged(
            f"{self._where} lists more than {MOST_LISTED} names: no store has so many",
            hint="it invents them: ask the node's owner, or use another store",
        )

    def _no_more(self) -> Misuse:
        return Misuse(f"{self._where} is closed")

    def _told(self, answer: Any, kind: Any, what: str) -> Any:
        try:
            return msgspec.convert(answer, kind)
        except msgspec.ValidationError as error:
            raise StoreDamaged(f"{self._where} answered with something else than {what}: {error}") from None

    @contextmanager
    def _asking(self, allowed: tuple[type[RopewalkError], ...]) -> Iterator[None]:
        if self._closed:
            raise self._no_more()
        self._under_way += 1
        self._idle.clear()
        try:
            with answering(self._where, allowed):
                yield
        except (broker.Lost, broker.NoReference, StoreGone):
            self._store = None  # the next session has another reference for it
            raise
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()


def _ask(room: Any, offer: str) -> tuple[Any, Any]:
    """Promises of a store and of what it is; the second goes through the first, so it is waited for once."""
    store = room.open(offer)
    return store, store.about()
