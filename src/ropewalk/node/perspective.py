"""Perspective: what a session may ask of a node, as the broker offers it (docs/spec/node.md 2).

Flow: a login by key -> StoreRoom -> OfferedStore -> Offered, with the key
Never: decides who may do what, or lets one session have more under way than its share.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, ClassVar

import msgspec

from ropewalk import broker
from ropewalk.errors import Missing, RopewalkError
from ropewalk.node.offered import Offered
from ropewalk.node.pieces import PIECE
from ropewalk.node.under_way import Take, UnderWay
from ropewalk.spaces.store import LARGEST_HINT, LARGEST_OBJECT

__all__ = ["LIMITS", "NoOffer", "OfferedStore", "StoreRoom"]

MOST_SMALL = 256  # objects in one call
LONGEST_PAGE = 1000  # names

Name = Annotated[str, msgspec.Meta(max_length=200)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_OBJECT)]
Size = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_OBJECT)]
Piece = Annotated[int, msgspec.Meta(ge=0, le=PIECE)]
SpaceId = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Label = Annotated[str, msgspec.Meta(max_length=32)]
Small = Annotated[list[tuple[Name, bytes]], msgspec.Meta(max_length=MOST_SMALL)]

LIMITS = broker.Limits(
    frame=1 << 20,
    weight=4 << 20,
    questions=512,
    window=16 << 20,
    references=256,
    streams=32,
    stream_window=2 * PIECE,
    blob=PIECE,
    blobs=64,
    queued=256,
)


class NoOffer(Missing):
    """The node offers nothing of this name to who asks."""

    code = "node.no-offer"


def _without_path(error: RopewalkError, root: str) -> RopewalkError:
    """What is told to others does not say where the owner keeps it, nor what he could do about it."""
    error.args = tuple(one.replace(root, "this node") if isinstance(one, str) else one for one in error.args)
    error.hint = ""
    return error


class OfferedStore(broker.Object):
    """A store, for one session.

    Args:
        offered: The store.
        key: Who asks.
        under_way: Counts for this key.
    """

    def __init__(self, offered: Offered, key: bytes, under_way: Take) -> None:
        self.offered, self._key, self._under_way = offered, key, under_way

    @broker.remote
    async def about(self) -> dict[str, object]:
        """The offer."""
        return self.offered.offer(self._key)

    @broker.remote
    async def put(self, name: Name, size: Size, pieces: AsyncIterator[bytes]) -> None:
        """Keep an object whose bytes come as a stream."""
        with self._hidden(), self._under_way("put") as slot:
            await self.offered.put(self._key, name, size, slot.taken(pieces))
        self.offered.counts.put()

    @broker.remote
    async def put_small(self, objects: Small) -> list[tuple[str, str] | None]:
        """Keep several; of each None, or code and text of why not."""
        outcomes = await self.offered.put_small(self._key, objects)
        for error in outcomes:
            if error is None:
                self.offered.counts.put()
            else:
                self.offered.counts.failed(error)
        told = [error and _without_path(error, self.offered.store.root) for error in outcomes]
        return [None if error is None else (error.code, str(error)) for error in told]

    @broker.remote
    async def get(self, name: Name, offset: Offset, length: Piece) -> bytes:
        """A range."""
        with self._hidden():
            return await self.offered.get(self._key, name, offset, length)

    @broker.remote
    async def read(self, name: Name, offset: Offset, length: Size | None) -> AsyncIterator[bytes]:
        """A range, as a stream."""
        with self._hidden(), self._under_way("read") as slot:
            async for piece in self.offered.read(self._key, name, offset, length):
                with slot.waiting():
                    yield piece

    @broker.remote
    async def names(self, prefix: Name, after: Name) -> list[tuple[str, int]]:
        """Names and sizes, at most 1,000; fewer only at the end."""
        with self._hidden():
            page = await self.offered.page(self._key, prefix, after, LONGEST_PAGE)
        return [(listed.name, listed.size) for listed in page]

    @broker.remote
    async def replace(self, name: Name, data: Annotated[bytes, msgspec.Meta(max_length=LARGEST_HINT)]) -> None:
        """Replace a hint."""
        with self._hidden():
            await self.offered.replace(self._key, name, data)
        self.offered.counts.put()

    @broker.remote
    async def wait_changed(self, name: Name, mark: Annotated[bytes, msgspec.Meta(max_length=100)]) -> bytes:
        """Wait until a hint may have changed."""
        with self._hidden(), self._under_way("wait"):
            return await self.offered.wait_changed(self._key, name, mark)

    @broker.remote
    async def delete(self, name: Name) -> None:
        """Forget an object; the trash keeps it for a while."""
        with self._hidden():
            await self.offered.delete(self._key, name)
        self.offered.counts.deleted()

    @broker.remote
    async def room(self) -> tuple[int, int] | None:
        """Total and free bytes."""
        with self._hidden():
            room = await self.offered.room(self._key)
        return None if room is None else (room.total, room.free)

    @broker.remote
    async def trash(self, space: SpaceId, after: Label) -> list[tuple[str, str, int, float]]:
        """Label, name, size and seconds left of what was deleted of a space."""
        with self._hidden():
            found = await self.offered.trash(self._key, space, after, LONGEST_PAGE)
        return [(one.label, one.name, one.size, one.left) for one in found]

    @broker.remote
    async def take_back(
        self, space: SpaceId, labels: Annotated[list[Label], msgspec.Meta(max_length=LONGEST_PAGE)]
    ) -> int:
        """Undo deletions; how many came back."""
        with self._hidden():
            return await self.offered.take_back(self._key, space, labels)

    @broker.remote
    async def veto(self, space: SpaceId, seconds: Annotated[float, msgspec.Meta(ge=0)]) -> None:
        """For so long nothing of a space is deleted."""
        with self._hidden():
            await self.offered.veto(self._key, space, seconds)

    @contextmanager
    def _hidden(self) -> Iterator[None]:
        try:
            yield
        except RopewalkError as error:
            self.offered.counts.failed(error)
            raise _without_path(error, self.offered.store.root) from None


class StoreRoom(broker.Perspective):
    """What a key may reach.

    Args:
        offers: Gives all of the node, as they are now, by name.
        key: Who asks, an Ed25519 key.
        under_way: Of the node.
    """

    limits: ClassVar[broker.Limits | None] = LIMITS

    def __init__(self, offers: Callable[[], Awaitable[Mapping[str, Offered]]], key: bytes, under_way: UnderWay) -> None:
        self._offers, self._key = offers, key
        self._under_way = under_way.of(key)
        self._stores: dict[str, OfferedStore] = {}

    @broker.remote
    async def offers(self) -> list[dict[str, object]]:
        """What this key was given itself."""
        offers = await self._offers()
        return [one.offer(self._key) for _, one in sorted(offers.items()) if one.given(self._key)]

    @broker.remote
    async def open(self, name: Name) -> OfferedStore:
        """A store, by the name of its offer; that gives no right yet."""
        offered = (await self._offers()).get(name)
        if offered is None:
            raise NoOffer(f"nothing called {name!r} is offered here")
        if (store := self._stores.get(name)) is None or store.offered is not offered:  # the folder was opened anew
            store = self._stores[name] = OfferedStore(offered, self._key, self._under_way)
        return store
