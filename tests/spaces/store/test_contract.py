"""Every store, and every ability around one, keeps the same contract.

Flow: check_store -> memory, disk, wrappers, fault stores that are told nothing
Never: tests what is peculiar to one of them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from ropewalk.spaces.store import (
    Count,
    DiskStore,
    Limit,
    Listed,
    MemoryStore,
    ObjectName,
    Parts,
    Retry,
    Store,
)
from ropewalk.testing.faults import Fault, FaultStore, Rule, StopAfter
from ropewalk.testing.powerloss import PowerLossFileSystem
from ropewalk.testing.stores import check_store

Wrap = Callable[[Store], Store]


async def no_wait(_seconds: float) -> None:
    await asyncio.sleep(0)


def retry(store: Store) -> Store:
    return Retry(store, sleep=no_wait, random=lambda: 0.5, now=lambda: 0.0)


def retry_over_faults(store: Store) -> Store:
    rules = [Rule(fault, chance=0.2, times=20) for fault in (Fault.GONE_BEFORE, Fault.GONE_AFTER)]
    return retry(FaultStore(store, *rules, seed=1))


async def test_memory_keeps_the_contract() -> None:
    async def make() -> Store:
        return MemoryStore()

    await check_store(make)


@pytest.mark.parametrize("threads", [1, 4])
async def test_disk_keeps_the_contract(tmp_path: Path, threads: int) -> None:
    count = itertools.count()

    async def make() -> Store:
        return await DiskStore.create(tmp_path / str(next(count)), threads=threads, sleep=no_wait)

    await check_store(make)
    for store in os.listdir(tmp_path):
        assert os.listdir(tmp_path / store / ".tmp") == [], "temporary files were left"


async def test_disk_over_the_power_loss_model_keeps_the_contract() -> None:
    """The model is a file system like any other, short writes and reads included."""

    async def make() -> Store:
        return await DiskStore.create("/store", files=PowerLossFileSystem(at_once=600_000), sleep=no_wait)

    await check_store(make)


@pytest.mark.parametrize(
    "wrap",
    [
        retry,
        retry_over_faults,
        lambda store: Limit(store, 1),
        lambda store: Limit(store, 3),
        Count,
        FaultStore,
        lambda store: StopAfter(1 << 60).around(store),
        lambda store: Count(Limit(retry(store), 2)),
    ],
    ids=["retry", "retry-over-faults", "limit-1", "limit-3", "count", "fault", "stop", "all"],
)
async def test_wrappers_keep_the_contract(wrap: Wrap) -> None:
    async def make() -> Store:
        return wrap(MemoryStore())

    await check_store(make)


class Overwrites(MemoryStore):
    async def put(self, name: ObjectName, parts: Parts) -> None:
        await self.delete(name)
        await super().put(name, parts)


class IgnoresAfter(MemoryStore):
    def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        return super().list(prefix)


class ReadsTooMuch(MemoryStore):
    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        return await super().get(name, offset)


class ForgetsSome(MemoryStore):
    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        await super().put_many(objects[:-1])


class DeletesNothing(MemoryStore):
    async def delete(self, name: ObjectName) -> None:
        return


class ReplacesAnything(MemoryStore):
    async def replace(self, name: ObjectName, parts: Parts) -> None:
        await self.delete(name)
        await self.put(name, parts)


class ReplacesInPieces(MemoryStore):
    async def replace(self, name: ObjectName, parts: Parts) -> None:
        held = b"".join(parts)
        for size in {len(held) // 2, len(held)}:
            await super().replace(name, [held[:size]])
            await asyncio.sleep(0)


class TellsTooLate(MemoryStore):
    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        return await super().wait_changed(name, mark and await super().wait_changed(name, b""))


class TellsWhatWasNot(MemoryStore):
    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        return mark + b"x"


BROKEN = (
    *(Overwrites, IgnoresAfter, ReadsTooMuch, ForgetsSome, DeletesNothing),
    *(ReplacesAnything, ReplacesInPieces, TellsTooLate, TellsWhatWasNot),
)


@pytest.mark.parametrize("broken", BROKEN)
async def test_the_contract_catches_broken_stores(broken: Callable[[], Store], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ropewalk.testing.hints._PATIENCE", 0.05)

    async def make() -> Store:
        return broken()

    with pytest.raises(AssertionError):
        await check_store(make)


@pytest.mark.parametrize(
    "fault", [Fault.LOSE, Fault.CORRUPT, Fault.TRUNCATE, Fault.HIDE, Fault.GONE_BEFORE, Fault.GONE_AFTER]
)
async def test_the_contract_catches_faults(fault: Fault) -> None:
    async def make() -> Store:
        return FaultStore(MemoryStore(), Rule(fault))

    with pytest.raises(AssertionError):
        await check_store(make)
