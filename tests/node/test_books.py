"""What the accounts say is what lies there: whatever the owner takes out himself, and whatever fails half-way."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ropewalk.errors import Unavailable
from ropewalk.node.offered import Offered
from ropewalk.node.register import ENTRY
from ropewalk.node.register_file import RegisterUnavailable
from ropewalk.spaces.store import DiskStore, NameTaken, NoSuchObject, ObjectName, Parts, StoreFull, StoreGone
from ropewalk.spaces.store.filesystem import OsFileSystem
from tests.node.making import GUEST, Town, a_node

KEY = GUEST.public_key().public_bytes_raw()
NAMES = [ObjectName(f"x/{number}") for number in range(7)]


async def _disk(town: Town) -> Offered:
    await (await town.offer("disk1")).aclose()
    town.grant(quota=1000 * ENTRY)
    await town.node.look()
    return town.node.offers["disk1"]


async def _filled(town: Town) -> Offered:
    offered = await _disk(town)
    assert await offered.put_small(KEY, [(name, b"data") for name in NAMES]) == [None] * len(NAMES)
    return offered


def _used(offered: Offered) -> int:
    return offered._register.used(offered.account)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_what_the_owner_took_out_costs_nobody_once_it_was_asked_for(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        offered = await _filled(town)
        for name in NAMES[:2]:
            (town.folder / "disk1" / name).unlink()
        for call in (offered.get(KEY, NAMES[0], 0, 4), anext(offered.read(KEY, NAMES[1], 0, 4))):
            with pytest.raises(NoSuchObject):
                await call
        assert _used(offered) == 5 * (4 + ENTRY)
        assert offered.offer(KEY)["used"] == 5 * (4 + ENTRY)
        (town.folder / "disk1" / NAMES[2]).unlink()
        await offered.delete(KEY, NAMES[2])
        assert _used(offered) == 4 * (4 + ENTRY)


async def test_what_was_taken_out_while_the_node_was_down_is_found_in_bounded_steps(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropewalk.node.node.COMPARED", 3)
    async with a_node(folder / "home") as town:
        await _filled(town)
    for name in NAMES[1:6]:
        (folder / "home" / "disk1" / name).unlink()
    async with a_node(folder / "home") as town:
        offered = town.node.offers["disk1"]
        used = []
        for _ in range(4):
            used.append(_used(offered) // (4 + ENTRY))
            await town.node._look_into()
        assert used == [7, 5, 2, 2]
        (town.folder / "disk1" / NAMES[0]).unlink()
        await town.node._look_into()  # once all were looked at, it is done by the minute
        assert _used(offered) // (4 + ENTRY) == 2
        for _ in range(2):
            await town.node._age(60)
        assert _used(offered) // (4 + ENTRY) == 1
    async with a_node(folder / "home") as town:
        assert _used(town.node.offers["disk1"]) // (4 + ENTRY) == 1


async def test_a_disk_that_is_not_mounted_is_not_taken_for_an_empty_one(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        offered = await _filled(town)
        (town.folder / "disk1").rename(town.folder / "away")
        (town.folder / "disk1").mkdir()
        await town.node._look_into()
        with pytest.raises(StoreGone):
            await offered.get(KEY, NAMES[0], 0, 4)
        assert _used(offered) == 7 * (4 + ENTRY)
        (town.folder / "disk1").rmdir()
        (town.folder / "away").rename(town.folder / "disk1")
        assert await offered.get(KEY, NAMES[0], 0, 4) == b"data"


async def test_a_trash_that_the_owner_emptied_is_paid_for_by_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "a" * 64 + "/packs/1"
    async with a_node(folder / "home") as town:
        offered = await _disk(town)
        await offered.put_small(KEY, [(name, b"data")])
        await offered.books.set_aside(name, bytes.fromhex("a" * 64), 3600)
        (label,) = await offered._register.labels(offered.account)
        shutil.rmtree(town.folder / "disk1" / ".trash")
        assert not await offered.books.take_back(label, name)
        assert _used(offered) == 0
        await offered.put_small(KEY, [(name, b"data")])
        await offered.books.set_aside(name, bytes.fromhex("a" * 64), 3600)
        assert _used(offered) == 4 + ENTRY
    shutil.rmtree(folder / "home" / "disk1" / ".trash")
    async with a_node(folder / "home") as town:
        assert _used(town.node.offers["disk1"]) == 0


async def test_what_is_just_being_put_is_not_forgotten_by_who_asks_too_early(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        offered = await _disk(town)
        begun, go_on, put = asyncio.Event(), asyncio.Event(), offered.store.put

        async def late(name: ObjectName, parts: Parts) -> None:
            begun.set()
            await go_on.wait()
            await put(name, parts)

        offered.store.put = late  # type: ignore[method-assign]
        putting = asyncio.create_task(offered.put_small(KEY, [(NAMES[0], b"data")]))
        await begun.wait()
        asking = asyncio.create_task(offered.get(KEY, NAMES[0], 0, 4))
        while offered.books._turns.waiting(NAMES[0]) < 2:  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0)
        go_on.set()
        assert await putting == [None]
        with pytest.raises(NoSuchObject):
            await asking
        assert _used(offered) == 4 + ENTRY


@pytest.mark.parametrize("small", [True, False])
async def test_what_cannot_be_written_down_is_not_kept_and_the_node_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    async with a_node(folder / "home") as town:
        offered = await _disk(town)

        async def full(*_: object) -> bool:
            raise RegisterUnavailable("the accounts cannot be used now: database or disk is full")

        async def put() -> None:
            if small:
                (error,) = await offered.put_small(KEY, [(NAMES[0], b"data")])
                if error is not None:
                    raise error
            else:
                await offered.put(KEY, NAMES[0], 4, _pieces(b"data"))

        with monkeypatch.context() as broken:
            broken.setattr(offered._register, "keep", full)
            with pytest.raises(Unavailable):
                await put()
        assert [listed async for listed in offered.store.list("")] == []
        assert _used(offered) == 0
        await put()
        assert _used(offered) == 4 + ENTRY


@pytest.mark.parametrize("error", [StoreFull("a test said so"), StoreGone("so it did")])
async def test_a_put_that_fails_is_paid_for_by_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async with a_node(folder / "home") as town:
        offered = await _disk(town)

        async def failing(*_: object) -> None:
            raise error

        with monkeypatch.context() as broken:
            broken.setattr(offered.store, "put", failing)
            assert await offered.put_small(KEY, [(NAMES[0], b"data")]) == [error]
        assert _used(offered) == 0
        assert await offered._register.names(offered.account, "", 10) == []


async def test_a_name_that_the_owner_s_own_bytes_hold_is_paid_for_by_nobody(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        offered = await _disk(town)
        await offered.store.put(NAMES[0], [b"owner"])
        (error,) = await offered.put_small(KEY, [(NAMES[0], b"guest")])
        assert isinstance(error, NameTaken)
        with pytest.raises(NameTaken):
            await offered.put(KEY, NAMES[0], 5, _pieces(b"guest"))
        assert _used(offered) == 0


async def test_of_two_that_just_fit_neither_is_counted_twice(folder: Path) -> None:
    """While the first is synced it is written down already, and no longer on its way."""
    async with a_node(folder / "home") as town:
        await (await town.offer("disk1")).aclose()
        town.grant(quota=2 * (4 + ENTRY))
        await town.node.look()
        offered = town.node.offers["disk1"]
        begun, go_on, put = asyncio.Event(), asyncio.Event(), offered.store.put

        async def late(name: ObjectName, parts: Parts) -> None:
            if name == NAMES[0]:
                begun.set()
                await go_on.wait()
            await put(name, parts)

        offered.store.put = late  # type: ignore[method-assign]
        first = asyncio.create_task(offered.put_small(KEY, [(NAMES[0], b"data")]))
        await begun.wait()
        assert await offered.put_small(KEY, [(NAMES[1], b"data")]) == [None]
        go_on.set()
        assert await first == [None]


class Counting(OsFileSystem):
    """Knows which files were synced."""

    def __init__(self) -> None:
        super().__init__()
        self.synced = 0

    def fsync(self, fd: int) -> None:
        self.synced += stat.S_ISREG(os.fstat(fd).st_mode)
        super().fsync(fd)


async def test_an_object_of_many_pieces_is_synced_once_before_it_is_acknowledged(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        offered = await _disk(town)
        files = Counting()
        store = await DiskStore.open(town.folder / "disk1", files=files)
        offered.store = offered.books._store = store

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(9):
                yield bytes(1 << 18)
                assert files.synced == 0

        await offered.put(KEY, NAMES[0], 9 << 18, pieces())
        assert files.synced == 1
        await store.aclose()
