"""Reader: references to plain bytes, from whichever stores answer with the right ones.

Flow: references -> where they lie (ledger) -> Columns -> chunks checked and opened in threads as their bytes arrive;
      one that came out wrong is rebuilt from k columns that are checked leaf by leaf
Never: returns a byte that its reference does not vouch for.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing

from ropewalk.errors import Missing, RopewalkError, first_of
from ropewalk.spaces.chunk import ChunkDamaged, ChunkType, Reference, open_chunk
from ropewalk.spaces.columns import ChunkLost, ChunkUnreachable, Columns
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.ledger import Ledger
from ropewalk.spaces.pack.erasure import Code
from ropewalk.spaces.pool.pool import Pool
from ropewalk.spaces.ranges import batches, tiny
from ropewalk.spaces.state import KnownPack, Located, State

__all__ = ["ChunkLost", "ChunkMissing", "ChunkUnreachable", "Reader", "Sink"]

MOST_TRIES = 64  # sets of k columns tried for one damaged chunk; a forged parity root is rare, two are a siege

Sink = Callable[[int, bytes], None]


class ChunkMissing(Missing):
    """No pack that is known holds the chunk."""

    code = "reader.chunk-missing"


class Reader:
    """Reads chunks of one space.

    Args:
        keys: The space's.
        pool: Its stores.
        ledger: Where its packs lie.
        cpu: Threads for opening and rebuilding.
    """

    def __init__(self, keys: KeyRing, pool: Pool, ledger: Ledger, cpu: Executor) -> None:
        self._keys, self._ledger, self._cpu = keys, ledger, cpu
        self._columns = Columns(keys, pool, ledger, cpu)

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
        places, packs = await self._ledger.do(_located, [reference.id for reference in references])
        for reference in references:
            if reference.id not in places:
                raise ChunkMissing(
                    f"chunk {reference.id.hex()[:8]} lies in no pack that is known",
                    hint="`ropewalk check SPACE --rebuild` lists the packs of all stores anew",
                )
        wanted: dict[int, dict[bytes, list[int]]] = {}
        for index, reference in enumerate(references):
            wanted.setdefault(places[reference.id].pack, {}).setdefault(reference.id, []).append(index)
        results: list[bytes] = [b""] * len(references) if sink is None else []

        def keep(index: int, plain: bytes) -> None:
            results[index] = plain

        deliver = sink or keep
        try:
            async with asyncio.TaskGroup() as group:
                for number, chunks in wanted.items():
                    of_pack = [places[chunk] for chunk in chunks]
                    group.create_task(self._from_pack(packs[number], of_pack, chunks, references, kind, deliver))
        except* RopewalkError as several:
            raise first_of(several) from None
        return results

    async def _from_pack(
        self,
        pack: KnownPack,
        places: list[Located],
        wanted: Mapping[bytes, list[int]],
        references: Sequence[Reference],
        kind: ChunkType,
        deliver: Sink,
    ) -> None:
        left = {place.id: place for place in places}
        while bad := await self._open(pack, list(left.values()), wanted, references, kind, deliver):
            # One of them shows which shares are damaged; the others then come from those that are not.
            one, left = bad[0], {chunk: left[chunk] for chunk in bad[1:]}
            reference = references[wanted[one][0]]
            place = next(place for place in places if place.id == one)
            plain = await self._recover(pack, place, reference, kind)
            for index in wanted[one]:
                deliver(index, plain)

    async def _open(
        self,
        pack: KnownPack,
        places: list[Located],
        wanted: Mapping[bytes, list[int]],
        references: Sequence[Reference],
        kind: ChunkType,
        deliver: Sink,
    ) -> list[bytes]:
        """Read, open and deliver chunks of one pack; the ids of those that came out wrong."""
        if not places:
            return []
        loop = asyncio.get_running_loop()
        jobs: list[asyncio.Future[list[bytes]]] = []
        at = {place.id: place for place in places}

        def start(sealed: Mapping[bytes, memoryview]) -> None:
            for batch in batches([at[chunk] for chunk in sealed]):
                chunks = [(sealed[place.id], references[wanted[place.id][0]], wanted[place.id]) for place in batch]
                jobs.append(loop.run_in_executor(self._cpu, _open_all, chunks, kind, self._keys, deliver))

        together = tiny(places)
        gathered: dict[bytes, memoryview] = {}
        try:
            async with aclosing(self._columns.sealed(pack, places)) as arriving:
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


def _located(state: State, chunks: Sequence[bytes]) -> tuple[dict[bytes, Located], dict[int, KnownPack]]:
    places = state.locate(chunks)
    return places, state.packs_by_id(list({place.pack for place in places.values()}))


def _open_all(
    chunks: Sequence[tuple[memoryview, Reference, list[int]]], kind: ChunkType, keys: KeyRing, deliver: Sink
) -> list[bytes]:
    bad = []
    for sealed, reference, indexes in chunks:
        try:
            plain = open_chunk(sealed, reference, kind, keys)
        except ChunkDamaged:
            bad.append(reference.id)
            continue
        for index in indexes:
            deliver(index, plain)
    return bad


def _opened(data: memoryview, pack: KnownPack, reference: Reference, kind: ChunkType, keys: KeyRing) -> bytes:
    try:
        return open_chunk(data, reference, kind, keys)
    except ChunkDamaged as error:
        raise ChunkLost(f"pack {pack.name.hex()[:8]} holds other bytes than were meant: {error}") from None
