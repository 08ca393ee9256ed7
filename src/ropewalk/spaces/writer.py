"""Writer: sealed chunks into packs, packs into stores, until enough of them are durable.

Flow: sealed chunks -> (those that are known are passed over) -> Packing -> finished in a thread -> pool -> ledger
Never: holds more than three packs in memory, or lets a version point at a pack that is below the write floor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from types import TracebackType
from typing import Self

from ropewalk.errors import RopewalkError
from ropewalk.spaces.cache import Cache
from ropewalk.spaces.chunk import CHUNK_SIZE, Sealed
from ropewalk.spaces.keys import TAG_SIZE, KeyRing
from ropewalk.spaces.ledger import Ledger
from ropewalk.spaces.members import Policy
from ropewalk.spaces.offline import DiskFull, QueueFiles
from ropewalk.spaces.pack.packing import Pack, Packing
from ropewalk.spaces.pack.share import ShareName
from ropewalk.spaces.pool.pool import BelowFloor, Pool
from ropewalk.spaces.state import SharePlace, State

__all__ = ["Writer", "keep_pack", "offer_pack"]

FULL_CHUNKS = 16  # in a pack, about; three packs and their parity stay well below the memory that we promise
AT_ONCE = 2  # packs being finished or stored while the next one fills

Item = tuple[Sealed, Sequence[bytes] | None]  # a chunk, and the ids of the chunks it points at


class Writer:
    """Stores chunks of one change; an async context manager that owns the tasks which do it.

    With a ``queue``, packs that too few stores take are kept there, durable on this machine alone.
    """

    def __init__(
        self,
        keys: KeyRing,
        policy: Policy,
        pool: Pool,
        ledger: Ledger,
        cpu: Executor,
        *,
        pack_size: int = 0,
        queue: QueueFiles | None = None,
        cache: Cache | None = None,
    ) -> None:
        self._queue, self._cache = queue, cache
        self._keys, self._policy, self._pool, self._ledger, self._cpu = keys, policy, pool, ledger, cpu
        # As many whole chunks in each column: one that is a chunk shorter costs that chunk in every parity column.
        rows = max(round(FULL_CHUNKS / policy.k), 1)
        self._pack_size = pack_size or rows * policy.k * (CHUNK_SIZE + TAG_SIZE)
        self._packing = self._empty()
        self._under_way: list[Packing] = []
        self._room = asyncio.Semaphore(AT_ONCE)
        self._group = asyncio.TaskGroup()
        self._error: BaseException | None = None
        self.stored_packs = 0
        self.new_bytes = 0  # sealed bytes that were not there before

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            if list(group.exceptions) != [error]:
                raise  # a task broke: a bug of ours; else the body's own error goes on as it is

    def _empty(self) -> Packing:
        return Packing(self._policy.k, self._policy.n, self._pack_size)

    async def add(self, items: Sequence[Item]) -> None:
        """Take chunks; returns when they are in memory or known, and waits while too many packs are under way.

        Raises:
            BelowFloor: An earlier pack could not be made durable.
        """
        # Nodes are not looked up: hardly one comes twice, and they are saved one by one.
        content = [sealed.reference.id for sealed, children in items if children is None]
        known = await self._ledger.do(State.reusable, content) if content else set()
        for sealed, children in items:
            chunk = sealed.reference.id
            if chunk in known or chunk in self._packing or any(chunk in packing for packing in self._under_way):
                continue
            while not self._packing.fits(sealed.data):
                await self._launch()
            self.new_bytes += len(sealed.data)
            self._packing.add(chunk, sealed.data, children)

    def peek(self, chunk: bytes) -> bytes | None:
        """The sealed bytes of a chunk that is not stored yet."""
        for packing in (self._packing, *self._under_way):
            if (sealed := packing.get(chunk)) is not None:
                return sealed
        return None

    def small(self, limit: int) -> Packing | None:
        """All that was added, if none of it is stored yet and it is no more than ``limit`` bytes with its directory."""
        if self.stored_packs or self._under_way or self._packing.embedded_size > limit:
            return None
        return self._packing

    async def flush(self) -> None:
        """Store what is left; returns when every pack is durable on the write floor of stores.

        Raises:
            BelowFloor: One of them is not.
        """
        if len(self._packing):
            await self._launch()
        for _ in range(AT_ONCE):
            await self._room.acquire()
        for _ in range(AT_ONCE):
            self._room.release()
        self._check()

    async def _launch(self) -> None:
        packing = self._packing
        await self._room.acquire()
        if self._error is not None or packing is not self._packing:  # someone else who waited has launched it
            self._room.release()
            self._check()
            return
        self._packing = self._empty()
        self._under_way.append(packing)
        self._group.create_task(self._store(packing))

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    async def _store(self, packing: Packing) -> None:
        try:
            hints = await self._hints(packing)
            pack = await asyncio.get_running_loop().run_in_executor(self._cpu, packing.finish, self._keys, hints)
            keep = partial(keep_pack, pack, self._policy, self._pool, self._ledger, self._queue, self._cpu)
            try:
                await keep()
            except DiskFull:
                if self._cache is None:
                    raise
                await self._cache.give_way()  # what can be had again makes room for what cannot
                await keep()
            if self._cache is not None:
                offer_pack(self._cache, pack)
            self.stored_packs += 1
        except RopewalkError as error:
            self._error = self._error or error
        except BaseException as error:
            self._error = error  # the group cancels the body for it, but not before that has gone on to its next wait
            raise
        finally:
            self._under_way.remove(packing)
            self._room.release()

    async def _hints(self, packing: Packing) -> dict[bytes, bytes]:
        elsewhere = list(packing.children_elsewhere())
        if not elsewhere:
            return {}
        located = await self._ledger.do(State.locate, elsewhere)
        packs = await self._ledger.do(State.packs_by_id, list({place.pack for place in located.values()}))
        return {chunk: packs[place.pack].name for chunk, place in located.items()}


def offer_pack(cache: Cache, pack: Pack) -> None:
    """Let the cache have the chunks of a pack that was just made."""
    columns = [memoryview(share.parts[0]) for share in pack.shares[: pack.manifest.k]]
    for place in pack.directory.places:
        cache.offer(place.id, columns[place.column][place.offset : place.offset + place.length])


async def keep_pack(
    pack: Pack,
    policy: Policy,
    pool: Pool,
    ledger: Ledger,
    queue: QueueFiles | None = None,
    cpu: Executor | None = None,
    have: Mapping[int, str] | None = None,
) -> None:
    """Put a pack into its stores and remember where it lies.

    Args:
        pack: What to keep.
        policy: How many shares must be durable.
        pool: The stores.
        ledger: Where it is remembered.
        queue: Keeps it where too few stores take it.
        cpu: The threads that write it there.
        have: Shares that lie in some store already, and are none of the pack's here.

    Raises:
        BelowFloor: Fewer shares than the write floor are durable; those that are will be used if it is tried again.
        QueueFull: There is no room for it in the queue.
    """
    names, floor = {share.number: share.name for share in pack.shares}, min(policy.floor, pack.manifest.n)
    later = partial(_deliver, pack.name, names, ledger)  # not the pack: a store that hangs would keep all of it here
    kept, failed = await pool.put_shares(pack, policy.survive, have, enough=floor, later=later)
    enough = len(kept) + len(have or ()) >= floor
    if not enough and queue is not None:
        await asyncio.get_running_loop().run_in_executor(cpu, queue.keep_pack, pack)
    elif not enough:
        away = {store: why for store in pool.names if (why := pool.why_down(store)) is not None}
        reasons = "; ".join(f"{store}: {error}" for store, error in sorted({**away, **failed}.items()))
        raise BelowFloor(
            f"{len(kept)} of {pack.manifest.n} shares are durable, the write floor is {policy.floor}"
            + (f" ({reasons})" if reasons else ""),
            hint="bring stores back, or add some to the space, and write again",
        )
    await ledger.do(_remember, pack, [_place(names[number], store) for number, store in kept.items()])


def _place(share: str, store: str) -> SharePlace:
    name = ShareName.decode(share)
    assert name is not None
    return SharePlace(name.number, store, name.check.hex())


async def _deliver(pack: bytes, names: Mapping[int, str], ledger: Ledger, number: int, store: str) -> None:
    await ledger.do(_delivered, pack, _place(names[number], store))


def _delivered(state: State, name: bytes, place: SharePlace) -> None:
    """A share that was owed is there after all."""
    if (pack := state.pack_named(name)) is not None:
        with state.transaction():
            state.add_shares(pack.id, [place])


def _remember(state: State, pack: Pack, places: list[SharePlace]) -> None:
    with state.transaction():
        number = state.add_pack(
            pack.name,
            pack.manifest.k,
            pack.manifest.n,
            pack.manifest.lengths,
            pack.manifest.digest,
            pack.directory_hash,
            sum(share.size for share in pack.shares),
            reusable=True,
            announced=False,
        )
        state.add_shares(number, places)
        state.add_chunks(number, pack.directory.places)
