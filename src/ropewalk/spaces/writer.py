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
from ropewalk.spaces.offline import LET_WAIT, DiskFull, QueueFiles
from ropewalk.spaces.pack.packing import Pack, Packing
from ropewalk.spaces.pack.share import ShareName
from ropewalk.spaces.pool.pool import BelowFloor, Pool
from ropewalk.spaces.state import SharePlace, State

__all__ = ["Writer", "deliver", "keep_pack", "offer_pack"]

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
            while not self._packing.fits(sealed.data, children):
                await self._launch()
            if not len(self._packing):
                least = self._packing.share_size(sealed.data, children)
                policy = self._policy
                self._packing.share_limit = self._pool.share_limit(policy.n, policy.k, policy.survive, least)
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
    for place, children in zip(pack.directory.places, pack.directory.children, strict=True):
        sealed = columns[place.column][place.offset : place.offset + place.length]
        cache.offer(place.id, sealed, node=children is not None)


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
    _check_takers(pack, policy, pool, have or {}, floor, answer=queue is None)
    later = partial(deliver, pack.name, names, ledger)  # not the pack: a store that hangs would keep all of it here
    kept, failed = await pool.put_shares(pack, policy.survive, have, enough=floor, later=later)
    enough = len(kept) + len(have or ()) >= floor
    if not enough and queue is not None:
        await asyncio.get_running_loop().run_in_executor(cpu, queue.keep_pack, pack)
    elif not enough:
        raise _below(pack, policy, pool, len(kept), failed)
    await ledger.do(_remember, pack, [_place(names[number], store) for number, store in kept.items()])


def _check_takers(pack: Pack, policy: Policy, pool: Pool, have: Mapping[int, str], floor: int, *, answer: bool) -> None:
    """See that enough stores would take it, before the first share of what is refused anyway lies in one of them.

    Where they need not ``answer`` now, what too few would take whenever they do is refused all the same: it would wait
    in the queue for ever.
    """
    size = _longest(pack)
    takes = [name for name in pool.names if size <= pool.terms(name).largest]
    if answer:
        takes = list(pool.plan(pack.name, pack.manifest.n, pack.manifest.k, policy.survive, have, size).where.values())
    if len({*have.values(), *takes}) < floor:
        raise _below(pack, policy, pool, len(have), {}, may_wait=answer)


def _below(
    pack: Pack,
    policy: Policy,
    pool: Pool,
    durable: int,
    failed: Mapping[str, RopewalkError],
    *,
    may_wait: bool = True,
) -> BelowFloor:
    size, chunk = _longest(pack), max((place.length for place in pack.directory.places), default=0)
    # Where one chunk alone is too large, the pack was filled for other stores, and its size says nothing.
    sizes = {store: chunk if chunk > pool.terms(store).largest else size for store in pool.names}
    said = {store: why for store in pool.names if (why := pool.why_not(store, sizes[store]))}
    said |= {store: f"{store}: {error}" for store, error in failed.items()}
    reasons = "; ".join(why for _, why in sorted(said.items()))
    small = next((store for store in pool.names if pool.terms(store).largest < size), "")
    again = f", or look whether it takes more by now: `ropewalk store passport {small}`" if small else ""
    if any(not pool.up(store) for store in pool.names) and may_wait:
        again += f"; or {LET_WAIT}"
    return BelowFloor(
        f"{durable} of {pack.manifest.n} shares are durable, the write floor is {policy.floor}"
        + (f" ({reasons})" if reasons else ""),
        hint=f"bring stores back, or add some to the space, and write again{again}",
    )


def _longest(pack: Pack) -> int:
    return max((share.size for share in pack.shares), default=0)


def _place(share: str, store: str) -> SharePlace:
    name = ShareName.decode(share)
    assert name is not None
    return SharePlace(name.number, store, name.check.hex())


async def deliver(pack: bytes, names: Mapping[int, str], ledger: Ledger, number: int, store: str) -> None:
    """Remember a share that a store has after all, though nobody waited for it."""
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
