"""Columns: ranges of the columns of a pack, from whichever copies and stores answer.

Flow: places of chunks -> ranged gets by column, others where one is late, gone or wrong -> stored bytes as they arrive
Never: waits for one store while others could do, or says that bytes are right: only the hash of a leaf or chunk does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from concurrent.futures import Executor
from contextlib import aclosing

from ropewalk.errors import Damaged, Missing, RopewalkError, Unavailable
from ropewalk.spaces.head import LARGEST_HEAD, embedded_column
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.ledger import Ledger
from ropewalk.spaces.offline import QueueFiles
from ropewalk.spaces.pack.erasure import Code
from ropewalk.spaces.pack.roots import LEAF_SIZE
from ropewalk.spaces.pack.share import ShareName, Trailer
from ropewalk.spaces.pool.pool import Pool
from ropewalk.spaces.ranges import Range, grouped, ranges_of, slices
from ropewalk.spaces.seeking import Seeker
from ropewalk.spaces.state import KnownPack, Located, SharePlace, State
from ropewalk.spaces.store import ObjectName

__all__ = ["ChunkLost", "ChunkUnreachable", "Columns"]

DEADLINE = 60.0  # seconds; a store that has said nothing for so long is not waited for, even if no other could do
SLOWEST = 0.5  # seconds between two looks at reads that nothing else could replace


class ChunkUnreachable(Unavailable):
    """Fewer than k columns of a pack can be read now."""

    code = "reader.chunk-unreachable"


class ChunkLost(Damaged):
    """Enough columns answer, and no k of them give the chunk."""

    code = "reader.chunk-lost"


class Columns:
    """Reads what the stores hold of one space's packs.

    Args:
        keys: The space's.
        pool: Its stores.
        ledger: Where its packs lie.
        cpu: Threads for rebuilding.
        queue: Where packs wait that are in no store yet.
    """

    def __init__(
        self, keys: KeyRing, pool: Pool, ledger: Ledger, cpu: Executor, queue: QueueFiles | None = None
    ) -> None:
        self._keys, self._pool, self._ledger, self._cpu, self._queue = keys, pool, ledger, cpu, queue
        self._seeker = Seeker(keys.space_id, pool, ledger)
        self.store_reads = 0  # gets sent to stores, for tests and metrics
        self.damage_seen: dict[tuple[bytes, int, str], str] = {}  # (pack, share, store) -> what was wrong

    async def sealed(self, pack: KnownPack, places: Sequence[Located]) -> AsyncGenerator[dict[bytes, memoryview], None]:
        """The stored bytes of chunks of one pack, unchecked, some at a time as they arrive.

        Raises:
            ChunkUnreachable: Fewer than k columns answer.
        """
        if pack.head is not None:
            yield await self._embedded(pack, places)
            return
        if not pack.announced and (waiting := await self._waiting(pack, places)) is not None:
            yield waiting
            return
        ranges = ranges_of(places)
        groups = grouped(places, ranges)
        columns = {wanted.column for wanted in ranges}
        broken = {column for column in columns if not self.prompt(pack, column)}
        late = dict.fromkeys(ranges)
        if not broken or not self._can_do_without(pack, broken):
            here = [wanted for wanted in ranges if self._copies(pack, wanted.column)]
            async with aclosing(self._direct(pack, here)) as arriving:
                async for wanted, data in arriving:
                    del late[wanted]
                    yield slices(groups[wanted], [wanted], {wanted: data})
            broken = {wanted.column for wanted in late}
        for one in late:
            self._try_late(pack, one)
        if late:
            start, stop = min(one.start for one in late), max(one.stop for one in late)
            whole = await self._from_others(pack, sorted({one.column for one in late}), start, stop, broken)
            got = {one: whole[one.column][one.start - start : one.stop - start] for one in late}
            yield slices([place for one in late for place in groups[one]], list(late), got)

    async def _direct(self, pack: KnownPack, ranges: list[Range]) -> AsyncGenerator[tuple[Range, memoryview], None]:
        """Read ranges from their own columns, each given as it arrives; those that fail or are late are left out."""
        if not ranges:
            return
        copies = {wanted: self._copies(pack, wanted.column)[0] for wanted in ranges}
        running = {
            asyncio.create_task(self._get(pack, copy, wanted.start, wanted.stop)): wanted
            for wanted, copy in copies.items()
        }
        clock = asyncio.get_running_loop().time
        size = sum(wanted.stop - wanted.start for wanted in ranges)
        patience = clock() + self._pool.hedge(size)
        hedged = False
        try:
            while running:
                done, _ = await asyncio.wait(
                    running, timeout=max(patience - clock(), 0), return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    wanted = running.pop(task)
                    if (data := task.result()) is not None:
                        yield wanted, data
                if done:
                    continue
                if hedged:
                    return
                for store in {copies[wanted].store for wanted in running.values()}:
                    self._pool.was_late(store)
                if self._can_do_without(pack, {wanted.column for wanted in running.values()}):
                    return
                hedged, patience = True, clock() + DEADLINE
        finally:
            for task in running:
                task.cancel()

    def _try_late(self, pack: KnownPack, wanted: Range) -> None:
        """See whether the store of a range, which was passed over, is quick again."""
        if copies := self._copies(pack, wanted.column):
            copy = copies[0]
            self._pool.try_late(copy.store, self._name(pack, copy), wanted.start, wanted.stop - wanted.start)

    def _name(self, pack: KnownPack, copy: SharePlace) -> ObjectName:
        return ShareName(self._keys.space_id, pack.name, copy.number, bytes.fromhex(copy.object)).encode()

    def _can_do_without(self, pack: KnownPack, columns: Collection[int]) -> bool:
        others = [number for number in range(pack.n) if number not in columns and self.prompt(pack, number)]
        return len(others) >= pack.k

    def prompt(self, pack: KnownPack, number: int) -> bool:
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
        spare.sort(key=lambda at: (at in broken, not self.prompt(pack, at), at not in wanted, at))
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
        first = True
        try:
            while len(have) < pack.k:
                while spare and len(have) + len(running) < pack.k:
                    self._ask(pack, spare.pop(0), start, stop, running)
                if not running or asyncio.get_running_loop().time() > deadline:
                    if not (more := await self._more(pack, have, first=first)):
                        raise self.unreachable(pack, len(have))
                    first = False
                    spare += more
                    deadline = asyncio.get_running_loop().time() + DEADLINE
                    continue
                size = (stop - start) * len(running)
                hedge = self._pool.hedge(size) if spare else SLOWEST
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
        try:
            data = await self._pool.get(copy.store, self._name(pack, copy), start, stop - start)
        except Unavailable:
            return None
        except RopewalkError as error:
            await self._damaged(pack, copy.number, copy.store, str(error))
            return None
        if len(data) != stop - start:
            await self._damaged(pack, copy.number, copy.store, f"ends before byte {stop}")
            return None
        return memoryview(data)

    async def _more(self, pack: KnownPack, have: Collection[int], *, first: bool) -> list[int]:
        """Columns besides these that turn out to have copies: in stores that are back, or that nobody told us of.

        Args:
            pack: The pack.
            have: Columns that were read.
            first: Whether this is asked for the first time: a store that answers and gives nothing is back only once.
        """
        back = pack.shares if first and await self._pool.rouse() else ()
        numbers = {share.number for share in (*back, *await self._seeker.more(pack))}
        return [number for number in sorted(numbers.difference(have)) if self._copies(pack, number)]

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

    def unreachable(self, pack: KnownPack, have: int) -> ChunkUnreachable | ChunkLost:
        """What to say where no more than ``have`` columns of a pack can be read."""
        away = {store for store in self._pool.names if not self._pool.up(store) or self._pool.is_late(store)}
        silent = sorted(away & {share.store for share in pack.shares if not share.damaged})
        if not silent and len({share.number for share in pack.shares}) < pack.n:
            silent = sorted(away)  # the shares that we know of no store for may lie there
        what = f"pack {pack.name.hex()[:8]} needs {pack.k} of its {pack.n} shares, {have} can be read"
        if silent:
            return ChunkUnreachable(f"{what} now: {self._answering()}", hint=f"bring back {', '.join(silent)}")
        return ChunkLost(what, hint="the missing shares are on no store of this space; add the stores that held them")

    def _answering(self) -> str:
        up = sum(map(self._pool.up, self._pool.names))
        return f"{up} of {len(self._pool.names)} stores answer"

    async def _waiting(self, pack: KnownPack, places: Sequence[Located]) -> dict[bytes, memoryview] | None:
        """What a pack holds that waits to be published; None where it does not."""
        if self._queue is None:
            return None
        starts = [sum(pack.lengths[: place.column]) + place.offset for place in places]
        wanted = [(start, place.length) for start, place in zip(starts, places, strict=True)]
        found = await asyncio.to_thread(self._queue.ranges, pack.name, wanted)
        if found is None:
            return None
        return {place.id: memoryview(data) for place, data in zip(places, found, strict=True)}

    async def _embedded(self, pack: KnownPack, places: Sequence[Located]) -> dict[bytes, memoryview]:
        assert pack.head is not None
        try:
            column = await self.embedded_column(pack.head)
        except Missing as error:
            raise ChunkUnreachable(f"{error}: {self._answering()}", hint=error.hint) from None
        except Damaged as error:
            raise ChunkLost(str(error), hint=error.hint) from None
        if len(column) < pack.lengths[0]:
            raise ChunkLost(f"head {pack.head} holds a shorter pack than expected")
        return {place.id: column[place.offset : place.offset + place.length] for place in places}

    async def embedded_column(self, head: str) -> memoryview:
        """The column of the pack in a head object, unchecked: chunks are checked by their ids."""
        if self._queue is not None and await self._ledger.do(State.is_queued, head):  # no store has it
            kept = await self._ledger.do(State.head_data, head)
            if kept is not None and (column := embedded_column(kept, head)) is not None:
                return column
        self.store_reads += 1
        try:
            data = await self._pool.get_any(
                ObjectName(head), lambda data: embedded_column(data, head) is not None, LARGEST_HEAD + 1
            )
        except (Missing, Damaged):
            kept = await self._ledger.do(State.head_data, head)  # of one that few stores had, or that is on its way
            if kept is None or embedded_column(kept, head) is None:
                raise
            data = kept
        column = embedded_column(data, head)
        assert column is not None
        return column

    async def verified(
        self, pack: KnownPack, order: list[int], start: int, stop: int
    ) -> AsyncGenerator[tuple[int, memoryview], None]:
        """One range of the columns that are good, about in this order: none is waited for while others can be asked."""
        running: dict[asyncio.Task[memoryview | None], int] = {}
        given: set[int] = set()
        first = True
        try:
            while True:
                if not order and not running:
                    order, first = await self._more(pack, given, first=first), False
                    if not order:
                        return
                if order:
                    number = order.pop(0)
                    running[asyncio.create_task(self._verified_one(pack, number, start, stop))] = number
                patience = SLOWEST if order else DEADLINE
                done, _ = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    number = running.pop(task)
                    if (data := task.result()) is not None:
                        given.add(number)
                        yield number, data
                if not done and not order:
                    return
        finally:
            for task in running:
                task.cancel()

    async def _verified_one(self, pack: KnownPack, number: int, start: int, stop: int) -> memoryview | None:
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
