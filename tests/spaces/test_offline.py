"""Changes while too few stores answer: kept at home, shown at home, and published later as they were signed."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces.cache import CACHE_FILE
from ropewalk.spaces.check import check
from ropewalk.spaces.commit import ReadOnly
from ropewalk.spaces.head import open_head
from ropewalk.spaces.home import Home, Settings
from ropewalk.spaces.later import object_of, send_queue
from ropewalk.spaces.live.known import _heads as told_heads
from ropewalk.spaces.members import Role
from ropewalk.spaces.offline import DiskFull, QueueFiles, QueueFull
from ropewalk.spaces.pack.packing import Pack
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.reader import ChunkUnreachable
from ropewalk.spaces.repair import repair
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import QUEUED, State, journal, sparse
from ropewalk.spaces.status import status
from ropewalk.spaces.survey import silent
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.machines import Machines, shown
from tests.spaces.making import World, a_space, device

LARGE, EARLIER = random.Random(1).randbytes(2_500_000), random.Random(2).randbytes(1_200_000)
FEW = ("d0", "d1", "d2")  # of five stores: two are left, and a write needs four


def allow(home: Home, **rest: int) -> None:
    def change(settings: Settings) -> Settings:
        space = msgspec.structs.replace(settings.spaces["photos"], offline=True, **rest)
        return msgspec.structs.replace(settings, spaces={"photos": space})

    home.update(change)


def away(world: World, *names: str) -> None:
    """These do not answer, and all others do."""
    for name, store in world.stores.items():
        store.gone = name in names
    world.clock.seconds += 100


async def offline(tmp_path: Path, **rest: int) -> World:
    world = await a_space(tmp_path)
    allow(world.home, **rest)
    async with world.open() as space:
        await space.write("before", b"before")
        await space.write("large before", EARLIER)
    return world


async def objects(world: World) -> dict[str, set[str]]:
    return {name: set(await store.names()) for name, store in world.stores.items()}


def bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


async def unfinished(space: Space) -> None:
    """A change that stores a pack and ends by an error."""
    async with space.change() as change:
        await change.write("a", LARGE)
        await change.writer.flush()
        raise ZeroDivisionError


async def waiting(space: Space) -> list[str]:
    return [head.note for head, _ in await space.core.ledger.do(State.queued)]


async def test_it_is_allowed_by_a_program_for_as_long_as_the_space_is_open(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    away(world, *FEW)
    space = await open_space(
        *(world.home, "photos", device()),
        clock=world.clock,
        now=world.now,
        threads=1,
        open_store=world.open_store,
        offline=True,
    )
    async with space:
        outcome = await space.write("a", LARGE)
        assert outcome is not None
        assert outcome.queued
    away(world)
    async with world.open() as space:
        assert await space.read("a") == LARGE
        assert await waiting(space) == []


async def test_without_offline_work_it_is_refused_and_leaves_nothing_in_the_stores(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    before = await objects(world)
    away(world, *FEW)
    async with world.open() as space:
        with pytest.raises(BelowFloor, match=r"0 of 5 shares are durable, the write floor is 4 \(d0: "):
            await space.write("a", LARGE)
        assert await waiting(space) == []
    assert await objects(world) == before


@pytest.mark.parametrize("gone", [FEW, ("d0", "d1", "d2", "d3", "d4")])
async def test_a_change_is_queued_shown_here_and_published_as_it_was_signed(
    tmp_path: Path, gone: tuple[str, ...]
) -> None:
    world = await offline(tmp_path)
    before = await objects(world)
    away(world, *gone)
    async with world.open() as space:
        small = await space.write("small", b"small")
        large = await space.write("large", LARGE)
        assert small is not None
        assert large is not None
        assert (small.queued, small.in_full, large.queued, large.in_full) == (True, False, True, False)
        assert large.head.sequence == small.head.sequence + 1
        assert await space.read("small") == b"small"
        assert await space.read("large") == LARGE
    async with world.open() as space:  # the next command
        assert await space.read("large") == LARGE
        assert [head.state for head in await space.log()][:2] == [QUEUED, QUEUED]
        assert any("2 changes wait on this machine alone" in line for line in space.warnings)
        signed = [await space.core.ledger.do(State.head_data, head.name) for head in (small.head, large.head)]
    away(world)
    heads = {name: found for name, found in (await objects(world)).items() if name not in gone}
    assert all({one for one in found if "/heads/" in one} == {one for one in before[name] if "/heads/" in one}
               for name, found in heads.items())  # fmt: skip
    async with world.open() as space:
        assert await waiting(space) == []
        assert space.core.queue is not None
        assert space.core.queue.waiting().size == 0
        assert [head.state for head in await space.log()][:2] == [1, 1]
        assert await space.read("large") == LARGE
        report = await check(space.core, everything=True)
        assert not report.problems
    for store in world.stores.values():
        assert {(small.head.name, signed[0]), (large.head.name, signed[1])} <= {*(await store.snapshot()).items()}


async def test_the_status_says_how_much_waits_since_when_and_why(tmp_path: Path) -> None:
    world = await offline(tmp_path, queue=50_000_000)
    nothing = {"allowed": True, "limit": 50_000_000, "changes": 0, "bytes": 0, "since": None, "stuck": False}
    async with world.open() as space:
        found = await status(space.core)
        assert found.as_dict()["queue"] == {**nothing, "why": None}
        assert "wait" not in " ".join(found.lines)
    away(world, *FEW)
    async with world.open() as space:
        await space.write("small", b"small")
        await space.write("large", LARGE)
        found = await status(space.core)
        assert space.core.queue is not None
        size = bytes_in(Path(space.core.queue.folder))
        assert size > len(LARGE)
        (_, since), _ = await space.core.ledger.do(State.queued)
        assert (found.queue.changes, found.queue.size, found.queue.since) == (2, size, since)
        assert found.queue.why.startswith("2 of 5 stores answer, the write floor is 4 (d0: ")
        assert found.as_dict()["queue"] == {
            **nothing, "changes": 2, "bytes": size, "since": since, "why": found.queue.why
        }  # fmt: skip
        assert found.lines[0].startswith("2 changes wait on this machine alone, since 1970-01-01 00:00 UTC, to be ")
        assert "answer: 2 of 5 stores answer, the write floor is 4; they fill" in found.lines[0]
        assert f"they fill {size:,} of 50,000,000 bytes" in found.lines[0]
    away(world)
    for name in FEW:  # these answer, and take nothing
        world.stores[name].rules.append(Rule(Fault.FULL))
    async with world.open() as space:
        found = await status(space.core)
        assert found.queue.changes == 2
        assert "2 of 5 stores took the head, the write floor is 4 (d0: put " in found.queue.why
        assert "once enough stores take it: change" in found.lines[0]
        assert "2 of 5 stores took the head, the write floor is 4 (d0: put " in found.lines[0]
        assert any("2 of 5 stores took the head" in line for line in space.warnings)


async def test_others_see_it_once_it_is_published_and_what_they_wrote_is_joined(tmp_path: Path) -> None:
    machines = await Machines.make(tmp_path)
    await machines.invite("bob", Role.WRITER)
    allow(machines.world.home)
    async with machines.open("bob") as bob:
        await bob.write("bob's", b"1")
    async with machines.open("admin") as admin:
        await admin._list()
        machines.away(FEW)
        assert (await admin.write("mine", b"2")).queued  # type: ignore[union-attr]
        assert (await admin.write("mine, large", LARGE)).queued  # type: ignore[union-attr]
        machines.away(())
        async with machines.open("bob") as bob:
            assert set(await shown(bob)) == {"bob's"}
            await bob.write("bob's second", b"3")
        await admin.core.pool.revive()
        await admin.pay()
        assert await waiting(admin) == []
        everything = {"bob's": b"1", "mine": b"2", "mine, large": LARGE, "bob's second": b"3"}
        assert await shown(admin) == everything
    async with machines.open("bob") as bob:
        assert await shown(bob) == everything


async def test_it_goes_out_in_the_background_of_an_open_space(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    away(world, *FEW)
    async with world.open() as space:
        await space.write("a", LARGE)
        away(world)
        space._pay_every = 0.0
        await space.__aenter__()
        while await waiting(space):
            await space.core.ledger.do(State.data_version)
        assert await space.read("a") == LARGE


async def test_stores_that_go_half_way_through_a_change(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    async with world.open() as space:
        async with space.change() as change:
            await change.write("first", LARGE)
            await change.writer.flush()
            away(world, *FEW)
            await change.write("second", LARGE[::-1])
        assert space.outcome is not None
        assert space.outcome.queued
        assert await space.read("second") == LARGE[::-1]
        away(world)
        await space.core.pool.revive()
        await space.pay()
        assert await waiting(space) == []
    away(world, "d0", "d1")
    async with world.open() as space:
        assert (await space.read("first"), await space.read("second")) == (LARGE, LARGE[::-1])


async def test_a_head_that_too_few_take_waits_instead_of_being_given_up(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    async with world.open() as space:
        incarnation = space.core.incarnation
        for name in FEW:
            world.stores[name].capacity = 0
        outcome = await space.write("a", b"small")
        assert outcome is not None
        assert outcome.queued
        for name in FEW:
            world.stores[name].capacity = None
        world.clock.seconds += 100
        outcome = await space.write("b", b"small")
        assert outcome is not None
        assert not outcome.queued
        assert space.core.incarnation == incarnation
        assert await waiting(space) == []


async def test_a_queue_without_room_refuses_and_what_waited_stays(tmp_path: Path) -> None:
    world = await offline(tmp_path, queue=3_000_000)
    away(world, *FEW)
    async with world.open() as space:
        await space.write("fits", LARGE)
        for _ in range(2):
            with pytest.raises(QueueFull, match="may have 3,000,000"):
                await space.write("fits not", LARGE[::-1])
        assert [info.path async for info in space.list()] == ["before", "fits", "large before"]
        assert len(await waiting(space)) == 1
    away(world)
    async with world.open() as space:
        assert await waiting(space) == []
        assert await space.read("fits") == LARGE
        await space.write("fits not", LARGE[::-1])
        assert await space.read("fits not") == LARGE[::-1]


async def test_with_offline_work_off_what_waits_goes_first_and_nothing_joins_it(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    away(world, *FEW)
    async with world.open() as space:
        await space.write("a", LARGE)
    world.home.update(
        lambda now: msgspec.structs.replace(
            now, spaces={"photos": msgspec.structs.replace(now.spaces["photos"], offline=False)}
        )
    )
    async with world.open() as space:
        with pytest.raises(BelowFloor, match="wait to be published"):
            await space.write("b", b"b")
        assert await space.read("a") == LARGE
    away(world)
    async with world.open() as space:
        await space.write("b", b"b")
        assert [head.state for head in await space.log()][:2] == [1, 1]


@pytest.mark.parametrize("left", [True, False])
async def test_the_local_state_is_lost_while_changes_wait(tmp_path: Path, left: bool) -> None:
    world = await offline(tmp_path)
    away(world, *FEW)
    async with world.open() as space:
        await space.write("small", b"small")
        await space.write("large", LARGE)
        assert space.core.queue is not None
        if not left:
            space.core.queue.drop(space.core.queue.waiting().packs)
    for file in world.folder.iterdir():
        if file.name.startswith("state.db"):
            file.unlink()
    away(world)
    async with world.open() as space:
        said = " ".join(space.warnings)
        assert await space.read("small") == b"small"
        if left:
            assert "2 of them wait again" in said
            assert await space.read("large") == LARGE
        else:
            assert "1 changes that waited to be published when the local state was lost cannot be" in said
            assert "is not there" in said
        assert await waiting(space) == []


async def test_a_device_that_was_put_out_keeps_what_waits_and_says_so(tmp_path: Path) -> None:
    machines = await Machines.make(tmp_path)
    bob = await machines.invite("bob", Role.WRITER)
    allow(bob.home)
    async with machines.open("bob") as space:
        await space.write("before", b"before")
        machines.away(FEW)
        await space.write("mine", LARGE)
    machines.away(())
    async with machines.open("admin") as admin, admin.group() as group:
        await group.remove(machines.member["bob"])
    async with machines.open("bob") as space:
        await space._list()
        assert await waiting(space) == [""]
        assert await send_queue(space.core) == "this device was put out"
        assert await space.read("mine") == LARGE
        with pytest.raises(ReadOnly):
            await space.write("more", b"more")
    async with machines.open("bob") as space:
        assert any("cannot be published: this device was put out" in line for line in space.warnings)
        found = (await status(space.core)).queue
        assert (found.stuck, found.as_dict()["stuck"]) == ("this device was put out", True)
        assert found.as_dict()["why"] == "this device was put out"
        assert await space.drop_queue() == 1
        assert [info.path async for info in space.list()] == ["before"]
    async with machines.open("admin") as admin:
        assert set(await shown(admin)) == {"before"}


async def test_what_was_signed_before_a_rotation_counts_after_it(tmp_path: Path) -> None:
    machines = await Machines.make(tmp_path)
    bob, _ = await machines.invite("bob", Role.WRITER), await machines.invite("carol", Role.READER)
    allow(bob.home)
    async with machines.open("bob") as space:
        await space._list()
        machines.away(FEW)
        await space.write("small", b"small")
        await space.write("large", LARGE)
    machines.away(())
    async with machines.open("admin") as admin:
        number = admin.core.keys.number
        async with admin.group() as group:
            await group.remove(machines.member["carol"])
        assert admin.core.keys.number == number + 1
    async with machines.open("bob") as space:
        assert await waiting(space) == []
        await space.write("after", b"after")
    async with machines.open("admin") as admin:
        assert await shown(admin) == {"small": b"small", "large": LARGE, "after": b"after"}


async def test_a_state_restored_from_a_backup_sends_nothing_beside_what_the_stores_have(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    saved = {file.name: file.read_bytes() for file in world.folder.iterdir() if file.is_file()}
    async with world.open() as space:
        taken = await space.write("since", b"since")
    for name, data in saved.items():
        (world.folder / name).write_bytes(data)
    away(world, *world.stores)
    async with world.open() as space:
        twin = await space.write("twin", b"twin")
        assert twin is not None
        assert taken is not None
        assert (twin.head.writer, twin.head.sequence) == (taken.head.writer, taken.head.sequence)
    away(world)
    async with world.open() as space:
        assert any("restored from a backup" in line for line in space.warnings)
        assert len(await waiting(space)) == 1
        assert "under the same number" in await send_queue(space.core)
        assert any("cannot be published: the stores hold another change" in line for line in space.warnings)
        assert await space.drop_queue() == 1
        await space.write("on", b"on")
        assert set(await shown(space)) == {"before", "large before", "since", "on"}
        assert not await space.core.ledger.do(State.forks)
    for store in world.stores.values():
        assert twin.head.name not in await store.names()


async def test_dropping_takes_back_what_waited_and_nothing_else(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    away(world, *FEW)
    async with world.open() as space:
        await space.write("a", LARGE)
        await space.remove("before")
        await space.write("a copy of what is there", EARLIER)
        assert await space.drop_queue() == 3
        assert [info.path async for info in space.list()] == ["before", "large before"]
        assert space.core.queue is not None
        assert space.core.queue.waiting().size == 0
    away(world)
    async with world.open() as space:
        assert await space.read("large before") == EARLIER
        assert (await space.write("a", LARGE)).in_full  # type: ignore[union-attr]
        assert await space.read("a") == LARGE


async def test_checking_and_mending_leave_what_waits_alone(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    away(world, *FEW)
    async with world.open() as space:
        await space.write("a", LARGE)
        await check(space.core, everything=True)
        await repair(space.core, silent)
        assert await space.read("a") == LARGE
        assert len(await waiting(space)) == 1


async def test_reads_of_what_was_read_or_written_go_on_and_the_rest_says_at_once_who_answers(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("never read", LARGE[::-1])
        await space.write("folder/read", LARGE)
    allow(world.home)
    async with world.open() as space:
        assert await space.read("folder/read") == LARGE
        assert [info.path async for info in space.list()] == ["folder", "never read"]
    away(world, *world.stores)
    async with world.open() as space:
        reads = space.core.reader.store_reads
        assert await space.read("folder/read") == LARGE
        assert [info.path async for info in space.list("folder")] == ["read"]
        assert space.core.reader.store_reads == reads
        with pytest.raises(ChunkUnreachable, match="0 of 5 stores answer"):
            await space.read("never read")


async def test_a_chunk_that_changed_in_the_cache_is_a_miss(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    async with world.open() as space:
        assert await space.read("large before") == EARLIER
    file = sqlite3.connect(world.folder / CACHE_FILE)
    rows = file.execute("SELECT number, data FROM chunks").fetchall()
    file.executemany(
        "UPDATE chunks SET data = ? WHERE number = ?", [(bytes((data[0] ^ 1,)) + data[1:], one) for one, data in rows]
    )
    file.commit()
    file.close()
    async with world.open() as space:
        cache = space.core.cache
        assert cache is not None
        assert await space.read("large before") == EARLIER
        assert cache.hits > 0
        assert space.core.reader.store_reads > 0
    async with world.open() as space:
        reads = space.core.reader.store_reads
        assert await space.read("large before") == EARLIER
        assert space.core.reader.store_reads == reads


async def test_on_a_full_disk_the_cache_makes_room_for_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await offline(tmp_path)
    away(world, *FEW)
    keep = QueueFiles.keep_pack

    def full(self: QueueFiles, pack: Pack) -> None:
        if (world.folder / CACHE_FILE).exists():
            raise DiskFull("no room")
        keep(self, pack)

    monkeypatch.setattr(QueueFiles, "keep_pack", full)
    async with world.open() as space:
        await space.write("a", LARGE)
        assert await space.read("a") == LARGE
    keep_head = QueueFiles.keep_head

    def full_of_heads(self: QueueFiles, name: str, data: bytes) -> None:
        if (world.folder / CACHE_FILE).exists():
            raise DiskFull("no room")
        keep_head(self, name, data)

    monkeypatch.setattr(QueueFiles, "keep_head", full_of_heads)
    async with world.open() as space:
        assert (world.folder / CACHE_FILE).exists()
        await space.write("small", b"small")
        assert await space.read("small") == b"small"
    (world.folder / CACHE_FILE).touch()
    async with world.open() as space:
        space.core.cache = None
        with pytest.raises(DiskFull):
            await space.write("b", LARGE[::-1])


async def test_no_bulletin_tells_of_it_and_no_pack_is_named_twice(tmp_path: Path) -> None:
    world = await offline(tmp_path)
    away(world, *FEW)
    async with world.open() as space:
        before = {head.sequence for head in (await space.core.ledger.do(told_heads)).newest}
        for number in range(2):
            await space.write(f"{number}", random.Random(number).randbytes(200_000))
        assert {head.sequence for head in (await space.core.ledger.do(told_heads)).newest} == before
        named = []
        for head, _ in await space.core.ledger.do(State.queued):
            data = await space.core.ledger.do(State.head_data, head.name)
            opened = open_head(data or b"", object_of(head), space.core.membership, space.core.keys)
            named += [pack.name for pack in opened.steward.packs]
        assert len(named) == len(set(named)) == 2


@pytest.mark.parametrize("still", [True, False])
async def test_packs_of_a_change_that_was_not_finished_go(tmp_path: Path, still: bool) -> None:
    """Whether offline work is allowed by the next change, or is not any more."""
    world = await offline(tmp_path)
    away(world, *FEW)
    async with world.open() as space:
        with pytest.raises(ZeroDivisionError):
            await unfinished(space)
        assert space.core.queue is not None
        assert len(space.core.queue.waiting().packs) == 1
    if not still:
        world.home.update(
            lambda now: msgspec.structs.replace(
                now, spaces={"photos": msgspec.structs.replace(now.spaces["photos"], offline=False)}
            )
        )
    away(world)
    async with world.open() as space:
        outcome = await space.write("b", b"b")
        assert outcome is not None
        assert not outcome.queued
        assert space.core.queue is not None
        assert space.core.queue.waiting().size == 0
        report = await check(space.core, everything=True)
        assert report.ok, report.lines
        await space.write("a", LARGE)
        assert await space.read("a") == LARGE
    async with world.open() as space:
        report = await check(space.core, everything=True)
        assert report.ok, report.lines


async def test_what_was_dropped_stands_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST_WITHDRAWN", 0)  # its bytes are nowhere any more
    world = await a_space(tmp_path)
    allow(world.home, cache=0)
    away(world, *FEW)
    async with world.open() as space:
        await space.write("small", bytes(range(256)) * 10)
        await space.drop_queue()
    away(world)
    async with world.open() as space:
        async with space.change() as change:
            await change.write("the same", bytes(range(256)) * 10)
            await change.write("large", LARGE)
        assert await space.read("the same") == bytes(range(256)) * 10


async def test_room_for_heads_of_others_is_not_made_by_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "MOST_KEPT", 0)
    world = await offline(tmp_path)
    away(world, *FEW)
    async with world.open() as space:
        outcome = await space.write("a", b"a")
        assert outcome is not None
        await space.core.ledger.do(State.keep_head, "another", None)
        await space.core.ledger.do(State.placed_head, outcome.head.name)
        assert await space.core.ledger.do(State.head_data, outcome.head.name)
