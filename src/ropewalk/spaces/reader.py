"""Reader: references to plain bytes, from whichever stores answer with the right ones.

Flow: references -> cache; else where they lie (ledger) -> Columns -> chunks checked and opened in threads as their
      bytes arrive; one that came out wrong is rebuilt from k columns that are checked leaf by leaf
Never: returns a byte that its reference does not vouch for.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from ropewalk.errors import Missing, RopewalkError, first_of
from ropewalk.spaces.cache import Cache
from ropewalk.spaces.chunk import ChunkDamaged, ChunkType, Reference, open_chunk
from ropewalk.spaces.columns import ChunkLost, ChunkUnreachable, Columns
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.ledger import Ledger
from ropewalk.spaces.offline import QueueFiles
from ropewalk.spaces.pack.erasure import Code
from ropewalk.spaces.pool.pool import Pool
from ropewalk.spaces.ranges import batches, tiny
from ropewalk.spaces.state import KnownPack, Located, State

__all__ = ["ChunkLost", "ChunkMissing", "ChunkUnreachable", "Reader", "Sink"]

CACHED_AT_ONCE = 256 * 1024  # bytes of chunks from the cache that one thread opens
MOST_TRIES = 64  # sets of k columns tried for one damaged chunk; a forged parity root is rare, two are a siege

Sink = Callable[[int, bytes], None]


class ChunkMissing(Missing):
    """No pack that is known holds the chunk."""

    code = "reader.chunk-missing"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is read of one pack, and where it goes."""

    pack: KnownPack
    chunks: Mapping[bytes, list[int]]  # by id, at which places of the references
    references: Sequence[Reference]
    kind: ChunkType
    deliver: Sink

    def reference(self, chunk: bytes) -> Reference:
        """To a chunk."""
        return self.references[self.chunks[chunk][0]]


class Reader:
    """Reads chunks of one space.

    Args:
        keys: The space's.
        pool: Its stores.
        ledger: Where its packs lie.
        cpu: Threads for opening and rebuilding.
        queue: Where packs wait that are in no store yet.
        cache: Chunks that were used lately.

    Attributes:
        learn_packs: Called for a chunk that lies in no pack that is known: learns the packs of heads that came.
    """

    def __init__(
        self,
        keys: KeyRing,
        pool: Pool,
        ledger: Ledger,
        cpu: Executor,
        queue: QueueFiles | None = None,
        cache: Cache | None = None,
    ) -> None:
        self._keys, self._ledger, self._cpu, self._cache = keys, ledger, cpu, cache
        self._columns = Columns(keys, pool, ledger, cpu, queue)
        self.learn_packs: Callable[[], Awaitable[object]] | None = None

    @property
    def store_reads(self) -> int:
        """Gets sent to stores so far, for tests and metrics."""
        return self._columns.store_reads

    @property
    def damage_seen(self) -> dict[tuple[bytes, int, str], str]:
        """What was wrong with a copy, by pack, share and store; whoever mends one takes it out."""
        return self._columns.damage_seen

    async def read(self, references: Sequence[Reference], kind: ChunkType, sink: Sink | None = None) -> list[bytes]:
        """The plain bytes of each reference, in order.

        Args:
            references: What to read; the caller bounds how much that is.
            kind: What they all hold.
            sink: Called with (index, plain bytes) in a worker thread, in any order, instead of keeping the bytes;
                the answer is then empty.

        Raises:
            ChunkMissing, ChunkUnreachable, ChunkLost.
        """
        results: list[bytes] = [b""] * len(references) if sink is None else []

        def keep(index: int, plain: bytes) -> None:
            results[index] = plain

        deliver = sink or keep
        indexes: dict[bytes, list[int]] = {}
        for index, reference in enumerate(references):
            indexes.setdefault(reference.id, []).append(index)
        if self._cache is not None:
            await self._from_cache(self._cache, indexes, references, kind, deliver)
            if not indexes:
                return results
        places, packs = await self._ledger.do(_located, list(indexes))
        if len(places) < len(indexes) and self.learn_packs is not None:
            await self.learn_packs()  # whether it was this or another read that learnt them just now
            places, packs = await self._ledger.do(_located, list(indexes))
        wanted: dict[int, dict[bytes, list[int]]] = {}
        for chunk, at in indexes.items():
            if chunk not in places:
                raise ChunkMissing(
                    f"chunk {chunk.hex()[:8]} lies in no pack that is known",
                    hint="`ropewalk check SPACE --rebuild` lists the packs of all stores anew",
                )
            wanted.setdefault(places[chunk].pack, {})[chunk] = at
        try:
            async with asyncio.TaskGroup() as group:
                for number, chunks in wanted.items():
                    of_pack = [places[chunk] for chunk in chunks]
                    group.create_task(
                        self._from_pack(_Wanted(packs[number], chunks, references, kind, deliver), of_pack)
                    )
        except* RopewalkError as several:
            raise first_of(several) from None
        return results

    async def _from_cache(
        self,
        cache: Cache,
        indexes: dict[bytes, list[int]],
        references: Sequence[Reference],
        kind: ChunkType,
        deliver: Sink,
    ) -> None:
        """Deliver what the cache has, and take it out of ``indexes``; what it has wrong it has not."""
        if not (found := await cache.get(list(indexes))):
            return
        loop, jobs = asyncio.get_running_loop(), []
        for some in _several(found):
            chunks = [(memoryview(data), references[indexes[one][0]], indexes[one]) for one, data in some]
            jobs.append(loop.run_in_executor(self._cpu, _open_all, chunks, kind, self._keys, deliver, None))
        bad = set(itertools.chain.from_iterable(await asyncio.gather(*jobs)))
        for one in found:
            if one in bad:
                cache.forget(one)
            else:
                del indexes[one]

    async def _from_pack(self, wanted: _Wanted, places: list[Located]) -> None:
        left = {place.id: place for place in places}
        while bad := await self._open(wanted, list(left.values())):
            # One of them shows which shares are damaged; the others then come from those that are not.
            one, left = bad[0], {chunk: left[chunk] for chunk in bad[1:]}
            place = next(place for place in places if place.id == one)
            plain = await self._recover(wanted.pack, place, wanted.reference(one), wanted.kind)
            for index in wanted.chunks[one]:
                wanted.deliver(index, plain)

    async def _open(self, wanted: _Wanted, places: list[Located]) -> list[bytes]:
        """Read, open and deliver chunks of one pack; the ids of those that came out wrong."""
        if not places:
            return []
        loop = asyncio.get_running_loop()
        jobs: list[asyncio.Future[list[bytes]]] = []
        at = {place.id: place for place in places}
        offer: Callable[[bytes, memoryview], None] | None = None
        if self._cache is not None:
            offer = partial(self._cache.offer, node=wanted.kind is not ChunkType.DATA)

        def start(sealed: Mapping[bytes, memoryview]) -> None:
            for batch in batches([at[chunk] for chunk in sealed]):
                chunks = [(sealed[one.id], wanted.reference(one.id), wanted.chunks[one.id]) for one in batch]
                what = chunks, wanted.kind, self._keys, wanted.deliver, offer
                jobs.append(loop.run_in_executor(self._cpu, _open_all, *what))

        together = tiny(places)
        gathered: dict[bytes, memoryview] = {}
        try:
            async with aclosing(self._columns.sealed(wanted.pack, places)) as arriving:
                async for sealed in arriving:
                    if together:
                        gathered |= sealed
                    else:
                        start(sealed)
            if gathered:
                start(gathered)
            return list(itertools.chain.from_iterable(await asyncio.gather(*jobs)))
        finally:
            for job in jobs:
                job.cancel()

    # -- damage --------------------------------------------------------------------------------------------------

    async def _recover(self, pack: KnownPack, place: Located, reference: Reference, kind: ChunkType) -> bytes:
        """A chunk that came out wrong, from columns that are checked leaf by leaf."""
        if pack.head is not None:
            raise ChunkLost(f"chunk {place.id.hex()[:8]} in head {pack.head[-16:]} is damaged in every copy")
        start, stop = place.offset, place.offset + place.length
        loop = asyncio.get_running_loop()
        code = Code(pack.k, pack.n)
        columns: dict[int, memoryview] = {}
        own = place.column
        order = sorted(range(pack.n), key=lambda at: (not self._columns.prompt(pack, at), at != own, at))
        async with aclosing(self._columns.verified(pack, order, start, stop)) as verified:
            async for number, data in verified:
                if number == own:
                    return _opened(data, pack, reference, kind, self._keys)
                # Any k would do, were it not that a store may forge a parity column together with its root.
                for others in itertools.islice(itertools.combinations(columns, pack.k - 1), MOST_TRIES):
                    present = {number: data, **{other: columns[other] for other in others}}
                    built = await loop.run_in_executor(self._cpu, code.rebuild, present, [own], stop - start)
                    try:
                        return open_chunk(built[0], reference, kind, self._keys)
                    except ChunkDamaged:
                        continue
                columns[number] = data
        if len(columns) < pack.k:
            raise self._columns.unreachable(pack, len(columns))
        raise ChunkLost(
            f"chunk {place.id.hex()[:8]} of pack {pack.name.hex()[:8]} is damaged, and no {pack.k} columns give it",
            hint="bring back stores of this space that are away, then `ropewalk repair SPACE`",
        )


def _several(found: Mapping[bytes, bytes]) -> Iterator[list[tuple[bytes, bytes]]]:
    """Chunks, so many at once as are worth a thread's turn."""
    some: list[tuple[bytes, bytes]] = []
    size = 0
    for item in found.items():
        some.append(item)
        size += len(item[1])
        if size >= CACHED_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _located(state: State, chunks: Sequence[bytes]) -> tuple[dict[bytes, Located], dict[int, KnownPack]]:
    places = state.locate(chunks)
    return places, state.packs_by_id(list({place.pack for place in places.values()}))


def _open_all(
    chunks: Sequence[tuple[memoryview, Reference, list[int]]],
    kind: ChunkType,
    keys: KeyRing,
    deliver: Sink,
    offer: Callable[[bytes, memoryview], None] | None,
) -> list[bytes]:
    bad = []
    for sealed, reference, indexes in chunks:
        try:
            plain = open_chunk(sealed, reference, kind, keys)
        except ChunkDamaged:
            bad.append(reference.id)
            continue
        if offer is not None:
            offer(reference.id, sealed)
        for index in indexes:
            deliver(index, plain)
    return bad


def _opened(data: memoryview, pack: KnownPack, reference: Reference, kind: ChunkType, keys: KeyRing) -> bytes:
    try:
        return open_chunk(data, reference, kind, keys)
    except ChunkDamaged as error:
        raise ChunkLost(f"pack {pack.name.hex()[:8]} holds other bytes than were meant: {error}") from None
