"""What is peculiar to hints: they may be lost or torn by a power cut, and nothing else is by them; who tells of them.

Flow: DiskStore over the power loss model, wrappers over memory
Never: waits by the clock: a disk's pauses are a list.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from ropewalk.errors import Misuse
from ropewalk.spaces.store import (
    Count,
    DiskStore,
    Limit,
    Listed,
    MemoryStore,
    NoSuchObject,
    ObjectName,
    Parts,
    Retry,
    Room,
    Store,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    TellsNothing,
    hint_name,
    object_name,
    wait_changed,
)
from ropewalk.testing.faults import Fault, FaultStore, Rule, Stop, StopAfter
from ropewalk.testing.powerloss import PowerCut, PowerLossFileSystem

SPACE = "5a" * 32
HINT = hint_name(f"{SPACE}/hints/{'0' * 32}")
HEAD = object_name(f"{SPACE}/heads/{'1' * 32}/x")
OLD, NEW = b"o" * 5000, b"n" * 9000


class Mute:
    """A store without the ability to tell."""

    def __init__(self) -> None:
        self.memory = MemoryStore()

    async def put(self, name: ObjectName, parts: Parts) -> None:
        await self.memory.put(name, parts)

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        await self.memory.put_many(objects)

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        await self.memory.replace(name, parts)

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        return await self.memory.get(name, offset, length)

    def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        return self.memory.list(prefix, after)

    async def delete(self, name: ObjectName) -> None:
        await self.memory.delete(name)

    async def room(self) -> Room | None:
        return None

    async def aclose(self) -> None:
        await self.memory.aclose()


async def test_a_power_cut_while_a_hint_is_replaced_takes_nothing_else() -> None:
    call, stopped = 0, True
    found: set[bytes | None] = set()
    while stopped:
        disk = PowerLossFileSystem(at_once=3000)
        store = await DiskStore.create("/store", files=disk, threads=1)
        await store.replace(HINT, [OLD])  # makes the folders that the head's put must not take for durable
        await store.put(HEAD, [b"head"])
        disk.stop_at(call)
        try:
            await store.replace(HINT, [NEW])
            stopped = False
        except PowerCut:
            call += 1
        store._pool.stop()
        for seed in range(12):
            left = await DiskStore.open("/store", files=disk.crash(seed), threads=1)
            assert await left.get(HEAD) == b"head"
            try:
                found.add(await left.get(HINT))
            except NoSuchObject:
                found.add(None)
            await left.replace(HINT, [b"again"])
            assert await left.get(HINT) == b"again"
            await left.put(object_name(f"{SPACE}/heads/{'1' * 32}/y"), [b"next"])
            await left.aclose()
    assert call > 5
    assert {None, OLD, NEW} < found, "the model was to tear it, too"


async def test_a_disk_syncs_nothing_for_a_hint() -> None:
    synced: list[int] = []

    class Watched(PowerLossFileSystem):
        def fsync(self, fd: int) -> None:
            synced.append(fd)
            super().fsync(fd)

    store = await DiskStore.create("/store", files=Watched(), threads=1)
    synced.clear()
    await store.replace(HINT, [NEW])
    await store.replace(HINT, [OLD])
    assert synced == []
    assert await store.get(HINT) == OLD
    await store.aclose()


@pytest.mark.parametrize("looks", [3, 8, 11])
async def test_a_disk_looks_four_times_a_second_then_twice_and_not_once_more_when_it_has_told(looks: int) -> None:
    pauses: list[float] = []
    store: DiskStore

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == looks:
            await store.replace(HINT, [NEW])

    store = await DiskStore.create("/store", files=PowerLossFileSystem(), threads=1, sleep=sleep)
    mark = await store.wait_changed(HINT, b"")
    assert pauses == []
    assert await store.wait_changed(HINT, mark) != mark
    assert pauses == [0.25] * min(looks, 8) + [0.5] * max(0, looks - 8)
    await store.aclose()


async def test_a_disk_that_is_not_the_store_any_more_does_not_pass_for_one_without_a_hint() -> None:
    disk = PowerLossFileSystem()
    store = await DiskStore.create("/store", files=disk, threads=1)
    disk.unlink("/store/ropewalk-store")
    with pytest.raises(StoreGone):
        await store.wait_changed(HINT, b"")
    with pytest.raises(StoreGone):
        await store.replace(HINT, [NEW])
    await store.aclose()


@pytest.mark.parametrize("kind", ["memory", "disk"])
async def test_closing_ends_who_waits(kind: str) -> None:
    async def pause(_: float) -> None:
        await asyncio.sleep(0)

    store: Store = MemoryStore()
    if kind == "disk":
        store = await DiskStore.create("/store", files=PowerLossFileSystem(), threads=1, sleep=pause)
    waiting = asyncio.ensure_future(wait_changed(store, HINT, await wait_changed(store, HINT, b"")))
    await asyncio.sleep(0)
    await store.aclose()
    with pytest.raises(Misuse, match="closed"):
        await waiting


async def test_nothing_is_left_of_who_waited_in_memory() -> None:
    store = MemoryStore()
    mark = await store.wait_changed(HINT, b"")
    waiting = [asyncio.ensure_future(store.wait_changed(HINT, mark)) for _ in range(5)]
    await asyncio.sleep(0)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await store.replace(HINT, [b"x"])
    await store.delete(HINT)
    assert not store._waiting
    assert not store._marks


@pytest.mark.parametrize(
    "wrap",
    [
        lambda store: store,
        Count,
        lambda store: Limit(store, 1),
        FaultStore,
        lambda store: StopAfter(9).around(store),
    ],
    ids=["alone", "count", "limit", "fault", "stop"],
)
async def test_a_store_that_cannot_tell_says_so_through_every_wrapper(wrap: type[Count]) -> None:
    with pytest.raises(TellsNothing):
        await wait_changed(wrap(Mute()), HINT, b"")


async def test_a_limit_is_not_used_up_by_who_waits() -> None:
    store = Limit(MemoryStore(), 1)
    mark = await store.wait_changed(HINT, b"")
    waiting = asyncio.ensure_future(store.wait_changed(HINT, mark))
    await asyncio.sleep(0)
    await store.replace(HINT, [b"x"])
    assert await waiting != mark


async def test_counts_know_hints_apart() -> None:
    store = Count(MemoryStore())
    await store.replace(HINT, [b"12", b"3"])
    await store.wait_changed(HINT, b"")
    assert (store.counts.replaces, store.counts.waits, store.counts.puts) == (1, 1, 0)
    assert store.counts.bytes_put == 3


@pytest.mark.parametrize("fault", [Fault.GONE_BEFORE, Fault.GONE_AFTER])
async def test_retry_replaces_again_and_waits_again(fault: Fault) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    memory = MemoryStore()
    rule = Rule(fault, times=2)
    store = Retry(FaultStore(memory, rule), sleep=sleep, random=lambda: 0.5, now=lambda: 0.0)
    await store.replace(HINT, [b"x"])
    rule.times = 2
    await store.wait_changed(HINT, b"")
    assert len(pauses) == 4
    assert await memory.get(HINT) == b"x"


async def test_faults_strike_hints_as_they_strike_objects() -> None:
    memory = MemoryStore()
    store = FaultStore(memory)
    await store.replace(HINT, [OLD])
    for fault, error in ((Fault.REFUSE, StoreReadOnly), (Fault.FULL, StoreFull), (Fault.GONE_BEFORE, StoreGone)):
        store.rules = [Rule(fault)]
        with pytest.raises(error):
            await store.replace(HINT, [NEW])
    store.rules = [Rule(Fault.LOSE)]
    await store.replace(HINT, [NEW])
    assert await memory.get(HINT) == OLD
    store.rules = [Rule(Fault.TRUNCATE)]
    await store.replace(HINT, [NEW])
    assert NEW.startswith(held := await memory.get(HINT))
    assert len(held) < len(NEW)
    store.rules, store.capacity = [], 10
    with pytest.raises(StoreFull):
        await store.replace(HINT, [NEW])
    store.gone = True
    for call in (store.replace(HINT, [b""]), store.wait_changed(HINT, b"")):
        with pytest.raises(StoreGone):
            await call


async def test_a_dead_process_replaces_nothing() -> None:
    memory = MemoryStore()
    store = StopAfter(1).around(memory)
    await store.replace(HINT, [OLD])
    with pytest.raises(Stop):
        await store.replace(HINT, [NEW])
    assert await memory.get(HINT) == OLD
