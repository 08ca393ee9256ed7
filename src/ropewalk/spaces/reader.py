"""Reader: references to plain bytes, from whichever stores answer with the right ones.

Flow: references -> where they lie (ledger) -> ranged gets by column -> chunks checked and opened in threads;
      what is late, gone or wrong is rebuilt from k other columns
Never: returns a byte that its reference does not vouch for, or waits for one store while others could do.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing

from ropewalk.errors import Damaged, Missing, RopewalkError, Unavailable, first_of
from ropewalk.spaces.chunk import ChunkDamaged, ChunkType, Reference, open_chunk
from ropewalk.spaces.head import embedded_column
from ropewalk.spaces.keys import SpaceKeys
from ropewalk.spaces.ledger import Ledger
from ropewalk.spaces.pack.erasure import Code
from ropewalk.spaces.pack.roots import LEAF_SIZE
from ropewalk.spaces.pack.share import ShareName, Trailer
from ropewalk.spaces.pool.pool import Pool
from ropewalk.spaces.ranges import Range, batches, ranges_of, slices
from ropewalk.spaces.state import KnownPack, Located, SharePlace, State
from ropewalk.spaces.store import ObjectName

__all__ = ["ChunkLost", "ChunkMissing", "ChunkUnreachable", "Reader", "Sink"]

DEADLINE = 60.0  # seconds; a store that has said nothing for so long is not waited for, even if no other could do
MOST_TRIES = 64  # sets of k columns tried for one damaged chunk; a forged parity root is rare, two are a siege
SLOWEST = 0.5  # seconds between two looks at reads that nothing else could replace

Sink = Callable[[int, bytes], None]


class ChunkMissing(Missing):
    """No pack that is known holds the chunk."""

    code = "reader.chunk-missing"


class ChunkUnreachable(Unavailable):
    """Fewer than k columns of a pack can be read now."""

    code = "reader.chunk-unreachable"


class ChunkLost(Damaged):
    """Enough columns answer, and no k of them give the chunk."""

    code = "reader.chunk-lost"


class Reader:
    """Reads chunks of one space.

    Args:
        keys: The space's.
        pool: Its stores.
        ledger: Where its packs lie.
        cpu: Threads for opening and rebuilding.
    """

    def __init__(self, keys: SpaceKeys, pool: Pool, ledger: Ledger, cpu: Executor) -> None:
        self._keys, self._pool, self._ledger, self._cpu = keys, pool, ledger, cpu
        self.store_reads = 0  # gets sent to stores, for tests and metrics
        self.damage_seen: dict[tuple[bytes, int, str], str] = {}  # (pack, share, store) -> what was wrong

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
        places = await self._ledger.do(State.locate, [reference.id for reference in references])
        for reference in references:
            if reference.id not in places:
                raise ChunkMissing(
                    f"chunk {reference.id.hex()[:8]} lies in no pack that is known",
                    hint="`ropewalk check SPACE --rebuild` lists the packs of all stores anew",
                )
        packs = await self._ledger.do(State.packs_by_id, list({place.pack for place in places.values()}))
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
        sealed = await self.sealed(pack, places)
        loop = asyncio.get_running_loop()
        jobs = []
        for batch in batches(places):
            chunks = [(sealed[place.id], references[wanted[place.id][0]], wanted[place.id]) for place in batch]
            jobs.append(loop.run_in_executor(self._cpu, _open_all, chunks, kind, self._keys, deliver))
        return list(itertools.chain.from_iterable(await asyncio.gather(*jobs)))

    # -- sealed bytes --------------------------------------------------------------------------------------------

    async def sealed(self, pack: KnownPack, places: Sequence[Located]) -> dict[bytes, memoryview]:
        """The stored bytes of chunks of one pack, unchecked.

        Raises:
            ChunkUnreachable: Fewer than k columns answer.
        """
        if pack.head is not None:
            return await self._embedded(pack, places)
        ranges = ranges_of(places)
        columns = {wanted.column for wanted in ranges}
        broken = {column for column in columns if not self._prompt(pack, column)}
        got: dict[Range, memoryview] = {}
        if not broken or not self._can_do_without(pack, broken):
            got = await self._direct(pack, [wanted for wanted in ranges if self._copies(pack, wanted.column)])
            broken = columns - {wanted.column for wanted in got}
        late = [wanted for wanted in ranges if wanted not in got]
        if late:
            start, stop = min(one.start for one in late), max(one.stop for one in late)
            whole = await self._from_others(pack, sorted({one.column for one in late}), start, stop, broken)
            for wanted in late:
                got[wanted] = whole[wanted.column][wanted.start - start : wanted.stop - start]
        return slices(places, ranges, got)

    async def _direct(self, pack: KnownPack, ranges: list[Range]) -> dict[Range, memoryview]:
        """Read ranges from their own columns; those that fail or are late are left out."""
        if not ranges:
            return {}
        copies = {wanted: self._copies(pack, wanted.column)[0] for wanted in ranges}
        tasks = {
            asyncio.create_task(self._get(pack, copy, wanted.start, wanted.stop)): wanted
            for wanted, copy in copies.items()
        }
        try:
            hedge = max(self._pool.hedge(copy.store) for copy in copies.values())
            await asyncio.wait(tasks, timeout=hedge)
            slow = [wanted for task, wanted in tasks.items() if not task.done()]
            for store in {copies[wanted].store for wanted in slow}:
                self._pool.was_late(store)
            if slow and not self._can_do_without(pack, {wanted.column for wanted in slow}):
                await asyncio.wait(tasks, timeout=DEADLINE)
            done = {wanted: task.result() for task, wanted in tasks.items() if task.done()}
        finally:
            for task in tasks:
                task.cancel()
        return {wanted: data for wanted, data in done.items() if data is not None}

    def _can_do_without(self, pack: KnownPack, columns: Collection[int]) -> bool:
        others = [number for number in range(pack.n) if number not in columns and self._prompt(pack, number)]
        return len(others) >= pack.k

    def _prompt(self, pack: KnownPack, number: int) -> bool:
        """Whether a column can be read, from a store that has not been late of late."""
        copies = self._copies(pack, number)
        return bool(copies) and not self._pool.is_late(copies[0].store)

    async def _from_others(
        self, pack: KnownPack, wanted: list[int], start: int, stop: int, broken: Collection[int]
    ) -> dict[int, memoryview]:
        """One range of several columns, from any k: as many are asked, and one more for each that is late.

        Those that are broken or late already are asked last; a copy that was wrong is no copy any more.
        """
        spare = [number for number in range(pack.n) if self._copies(pack, number)]
        spare.sort(key=lambda at: (at in broken, not self._prompt(pack, at), at not in wanted, at))
        have = await self._any_columns(pack, spare, start, stop)
        present = {number: have[number] for number in sorted(have)[: pack.k]}
        lost = [number for number in wanted if number not in have]
        if lost:
            loop = asyncio.get_running_loop()
            built = await loop.run_in_executor(self._cpu, Code(pack.k, pack.n).rebuild, present, lost, stop - start)
            have.update((number, memoryview(data)) for number, data in zip(lost, built, strict=True))
        return have

    async def _any_columns(self, pack: KnownPack, spare: list[int], start: int, stop: int) -> dict[int, memoryview]:
        """One range of k columns, asked for in the order of ``spare``."""
        have: dict[int, memoryview] = {}
        running: dict[asyncio.Task[memoryview | None], tuple[int, str]] = {}
        deadline = asyncio.get_running_loop().time() + DEADLINE
        try:
            while len(have) < pack.k:
                while spare and len(have) + len(running) < pack.k:
                    self._ask(pack, spare.pop(0), start, stop, running)
                if not running or asyncio.get_running_loop().time() > deadline:
                    raise self._unreachable(pack, len(have))
                hedge = max(self._pool.hedge(store) for _, store in running.values()) if spare else SLOWEST
                done, _ = await asyncio.wait(running, timeout=hedge, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    number, _ = running.pop(task)
                    if (data := task.result()) is not None:
                        have[number] = data
                    elif self._copies(pack, number):
                        spare.append(number)  # the copy was wrong, and there is another
                if not done:
                    for _, store in running.values():
                        self._pool.was_late(store)
                    if spare:
                        self._ask(pack, spare.pop(0), start, stop, running)
        finally:
            for task in running:
                task.cancel()
        return have

    def _ask(
        self,
        pack: KnownPack,
        number: int,
        start: int,
        stop: int,
        running: dict[asyncio.Task[memoryview | None], tuple[int, str]],
    ) -> None:
        if not (copies := self._copies(pack, number)):
            return
        end = max(start, min(stop, _length(pack, number)))
        running[asyncio.create_task(self._get(pack, copies[0], start, end))] = number, copies[0].store

    async def _get(self, pack: KnownPack, copy: SharePlace, start: int, stop: int) -> memoryview | None:
        """A range of one share, or None where the store does not give all of it."""
        if start == stop:
            return memoryview(b"")
        self.store_reads += 1
        name = ShareName(self._keys.space_id, pack.name, copy.number, bytes.fromhex(copy.object)).encode()
        try:
            data = await self._pool.get(copy.store, name, start, stop - start)
        except Unavailable:
            return None
        except RopewalkError as error:
            await self._damaged(pack, copy.number, copy.store, str(error))
            return None
        if len(data) != stop - start:
            await self._damaged(pack, copy.number, copy.store, f"ends before byte {stop}")
            return None
        return memoryview(data)

    def _copies(self, pack: KnownPack, number: int) -> list[SharePlace]:
        return [
            share
            for share in pack.shares
            if share.number == number and not share.damaged and self._pool.up(share.store)
            and (pack.name, number, share.store) not in self.damage_seen
        ]  # fmt: skip

    async def _damaged(self, pack: KnownPack, number: int, store: str, what: str) -> None:
        self.damage_seen[pack.name, number, store] = what
        await self._ledger.do(State.mark_damaged, pack.id, number, store)

    def _unreachable(self, pack: KnownPack, have: int) -> ChunkUnreachable | ChunkLost:
        silent = sorted(
            {
                share.store
                for share in pack.shares
                if not share.damaged and (not self._pool.up(share.store) or self._pool.is_late(share.store))
            }
        )
        what = f"pack {pack.name.hex()[:8]} needs {pack.k} of its {pack.n} shares, {have} can be read"
        if silent:
            return ChunkUnreachable(f"{what} now", hint=f"bring back {', '.join(silent)}")
        return ChunkLost(what, hint="the missing shares are on no store of this space; add the stores that held them")

    async def _embedded(self, pack: KnownPack, places: Sequence[Located]) -> dict[bytes, memoryview]:
        assert pack.head is not None
        try:
            column = await self.embedded_column(pack.head)
        except Missing as error:
            raise ChunkUnreachable(str(error), hint=error.hint) from None
        except Damaged as error:
            raise ChunkLost(str(error), hint=error.hint) from None
        if len(column) < pack.lengths[0]:
            raise ChunkLost(f"head {pack.head} holds a shorter pack than expected")
        return {place.id: column[place.offset : place.offset + place.length] for place in places}

    async def embedded_column(self, head: str) -> memoryview:
        """The column of the pack in a head object, unchecked: chunks are checked by their ids."""
        self.store_reads += 1
        data = await self._pool.get_any(ObjectName(head), lambda data: embedded_column(data, head) is not None)
        column = embedded_column(data, head)
        assert column is not None
        return column

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
        order = sorted(range(pack.n), key=lambda at: (not self._prompt(pack, at), at != own, at))
        async with aclosing(self._verified_columns(pack, order, start, stop)) as verified:
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
            raise self._unreachable(pack, len(columns))
        raise ChunkLost(
            f"chunk {place.id.hex()[:8]} of pack {pack.name.hex()[:8]} is damaged, and no {pack.k} columns give it",
            hint="bring back stores of this space that are away, then `ropewalk repair SPACE`",
        )

    async def _verified_columns(
        self, pack: KnownPack, order: list[int], start: int, stop: int
    ) -> AsyncGenerator[tuple[int, memoryview], None]:
        """One range of the columns that are good, about in this order: none is waited for while others can be asked."""
        running: dict[asyncio.Task[memoryview | None], int] = {}
        try:
            while order or running:
                if order:
                    number = order.pop(0)
                    running[asyncio.create_task(self._verified(pack, number, start, stop))] = number
                patience = SLOWEST if order else DEADLINE
                done, _ = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    number = running.pop(task)
                    if (data := task.result()) is not None:
                        yield number, data
                if not done and not order:
                    return
        finally:
            for task in running:
                task.cancel()

    async def _verified(self, pack: KnownPack, number: int, start: int, stop: int) -> memoryview | None:
        """A range of one column whose leaves give its root, or None; a copy of which they do not is damaged."""
        length = _length(pack, number)
        first = start // LEAF_SIZE
        end = max(first * LEAF_SIZE, min(length, -(-stop // LEAF_SIZE) * LEAF_SIZE))
        for copy in self._copies(pack, number):
            name = ShareName(self._keys.space_id, pack.name, number, bytes.fromhex(copy.object))
            data = await self._get(pack, copy, first * LEAF_SIZE, end)
            if data is None:
                continue
            try:
                self.store_reads += 1
                trailer = Trailer.decode(await self._pool.get(copy.store, name.encode(), length), name)
            except Unavailable:
                continue
            except RopewalkError as error:
                await self._damaged(pack, number, copy.store, str(error))
                continue
            if trailer.verify(data, first):
                return data[start - first * LEAF_SIZE : stop - first * LEAF_SIZE]
            await self._damaged(
                pack, number, copy.store, f"has a leaf from byte {start} on that does not match its hash"
            )
        return None


def _length(pack: KnownPack, number: int) -> int:
    return pack.lengths[number] if number < pack.k else max(pack.lengths)


def _open_all(
    chunks: Sequence[tuple[memoryview, Reference, list[int]]], kind: ChunkType, keys: SpaceKeys, deliver: Sink
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


def _opened(data: memoryview, pack: KnownPack, reference: Reference, kind: ChunkType, keys: SpaceKeys) -> bytes:
    try:
        return open_chunk(data, reference, kind, keys)
    except ChunkDamaged as error:
        raise ChunkLost(f"pack {pack.name.hex()[:8]} holds other bytes than were meant: {error}") from None
