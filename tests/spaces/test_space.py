"""Space: what was acknowledged is there, for this device and for others that write beside it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from ropewalk.errors import Misuse
from ropewalk.spaces.change import Change
from ropewalk.spaces.home import Home
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.reader import ChunkLost
from ropewalk.spaces.space import Space, UnknownVersion
from ropewalk.spaces.status import status
from ropewalk.spaces.transfer import get_tree
from ropewalk.spaces.tree.entry import Kind
from ropewalk.spaces.version import NoSuchPath
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import World, a_space, object_of, pack_of
from tests.spaces.transfer.trees import look

MIB = 1024 * 1024


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await a_space(tmp_path / "one")


@pytest.fixture
def beside(world: World, tmp_path: Path) -> World:
    """The same device's keys with a memory of their own: another incarnation, that writes without knowing of us."""
    home = Home(tmp_path / "two" / "config", tmp_path / "two" / "state")
    home.update(lambda _: world.home.load())
    return World(home, world.stores, world.clock, world.time)


async def _paths(space: Space) -> list[str]:
    return [b"/".join(names).decode() async for names, _ in (await space.current()).walk()]


# -- versions ---------------------------------------------------------------------------------------------------------


async def test_every_write_is_a_version_that_can_be_looked_at_and_restored(world: World, tmp_path: Path) -> None:
    async with world.open() as space:
        for number in range(4):
            async with space.change(f"note {number}") as change:
                await change.write("file", b"%d" % number)
                await change.write(f"folder/{number}", random.Random(number).randbytes(2 * MIB))
        await space.remove("folder", recursive=True)
        log = await space.log()
        assert [head.note for head in log] == ["", "note 3", "note 2", "note 1", "note 0"]
        assert await _paths(space) == ["file"]
        old = await space.at(log[2].hash.hex()[:12])
        assert await old.read("file") == b"2"
        await get_tree(old, space.core, "", tmp_path / "old")
    assert sorted(look(tmp_path / "old")) == [b"file", b"folder", b"folder/0", b"folder/1", b"folder/2"]
    assert (tmp_path / "old" / "folder" / "1").read_bytes() == random.Random(1).randbytes(2 * MIB)


async def test_a_version_is_named_by_its_first_digits(world: World) -> None:
    async with world.open() as space:
        await space.write("a", b"1")
        digits = (await space.log())[0].hash.hex()
        assert await (await space.at(digits)).read("a") == b"1"
        assert await (await space.at(digits[:4].upper())).read("a") == b"1"
        other = ("0" if digits[0] != "0" else "1") + digits[1:8]
        for wrong in ("", "abc", "xyz1", other, digits + "0"):
            with pytest.raises(UnknownVersion):
                await space.at(wrong)


async def test_an_old_version_stays_as_it_was_while_new_ones_are_made(world: World) -> None:
    async with world.open() as space:
        await space.write("a", b"1")
        old = await space.current()
        async with space.file("a") as file:
            await space.write("a", b"22")
            assert await file.pread(0, 10) == b"1"
        assert await old.read("a") == b"1"
        assert await space.read("a") == b"22"


# -- two that write side by side --------------------------------------------------------------------------------------


async def test_what_two_wrote_side_by_side_is_all_seen_without_another_write(world: World, beside: World) -> None:
    async with world.open() as one, beside.open() as two:
        await one.write("ours", b"1")
        await two.write("theirs", b"2")
    async with world.open() as one:
        assert await _paths(one) == ["ours", "theirs"]
        assert (await one.read("ours"), await one.read("theirs")) == (b"1", b"2")
        assert len(await one.log()) == 2  # a look writes nothing
    async with beside.open() as two:
        assert await _paths(two) == ["ours", "theirs"]


async def test_a_write_after_two_wrote_side_by_side_joins_them(world: World, beside: World) -> None:
    async with world.open() as one, beside.open() as two:
        await one.write("ours", b"1")
        await two.write("theirs", b"2")
    async with world.open() as one:
        await one.write("more", b"3")
        assert await _paths(one) == ["more", "ours", "theirs"]
    async with beside.open() as two:
        assert await _paths(two) == ["more", "ours", "theirs"]
        await two.write("yet more", b"4")
    async with world.open() as one:
        assert await _paths(one) == ["more", "ours", "theirs", "yet more"]


async def test_both_sides_of_a_clash_are_shown_and_one_can_be_taken(world: World, beside: World) -> None:
    async with world.open() as one, beside.open() as two:
        await one.write("file.txt", b"from one")
        await two.write("file.txt", b"from two")
    async with world.open() as one:
        await one.write("joined", b"")
        names = await _paths(one)
        assert len(names) == 3
        assert "file.txt" in names
        (other,) = [name for name in names if "conflict" in name]
        assert other.startswith("file (conflict ")
        assert other.endswith(").txt")
        assert {await one.read("file.txt"), await one.read(other)} == {b"from one", b"from two"}
        wanted = await one.read(other)
        await one.move(other, "file.txt")
        assert await _paths(one) == ["file.txt", "joined"]
        assert await one.read("file.txt") == wanted
    async with beside.open() as two:
        assert await _paths(two) == ["file.txt", "joined"]
        assert await two.read("file.txt") == wanted


async def test_an_edit_survives_a_delete(world: World, beside: World) -> None:
    async with world.open() as one:
        await one.write("folder/file", b"old")
    async with world.open() as one, beside.open() as two:
        await one.remove("folder", recursive=True)
        await two.write("folder/file", b"edited")
    async with world.open() as one:
        await one.write("x", b"")
        paths = await _paths(one)
        (kept,) = [path for path in paths if path.endswith("/file")]
        assert await one.read(kept) == b"edited"
        assert kept.startswith("lost+found/")
        digits = (await one.log())[0].hash.hex()
        walked = [b"/".join(names).decode() async for names, _ in (await one.at(digits)).walk()]
        assert walked == paths  # a version by its name shows what is lost too
        await one.move(kept, "found")
        assert await _paths(one) == ["found", "x"]


async def test_folders_of_one_name_are_shown_as_one_and_removed_as_one(world: World, beside: World) -> None:
    async with world.open() as one, beside.open() as two:
        await one.write("folder/ours", b"1")
        await two.write("folder/theirs", b"2")
    async with world.open() as one:
        await one.write("folder/more", b"3")
        assert [info.path async for info in one.list()] == ["folder"]
        assert [info.path async for info in one.list("folder")] == ["more", "ours", "theirs"]
        await one.move("folder", "moved")
        assert [info.path async for info in one.list("moved")] == ["more", "ours", "theirs"]
        await one.remove("moved", recursive=True)
        assert await (await one.current()).tree.count() == 0


async def test_listings_with_clashes_are_in_order_and_found_by_their_names(world: World, beside: World) -> None:
    names = [f"{stem}{end}" for stem in ("a", "a-b", "a b", "a!") for end in ("", ".txt")]
    many = [f"a+{number:04}" for number in range(600)]

    async def write(change: Change, data: bytes) -> None:
        for name in names:
            await change.write(f"f/{name}", data + name.encode())
        for name in many:
            await change.write(f"f/{name}", b"same")

    async with world.open() as one:
        await one.make_folder("f")
    async with world.open() as one, beside.open() as two:
        async with one.change() as change:
            await write(change, b"1")
        async with two.change() as change:
            await write(change, b"2")
    async with world.open() as one:
        await one.write("x", b"")
        version = await one.current()
        listed = [os.fsencode(info.path) async for info in version.list("f")]
        assert listed == sorted(listed)
        assert len(set(listed)) == len(listed) == 2 * len(names) + len(many)
        for name in listed:
            assert (await version.find(b"f/" + name)).kind == Kind.FILE


async def test_equal_files_written_side_by_side_are_shown_once(world: World, beside: World) -> None:
    async with world.open() as one, beside.open() as two:
        await one.write("file", b"same")
        await two.write("file", b"same")
    async with world.open() as one:
        await one.write("x", b"")
        assert await _paths(one) == ["file", "x"]
        await one.write("file", b"new")
        assert await _paths(one) == ["file", "x"]
        assert await one.read("file") == b"new"


async def test_a_move_of_what_two_wrote_alike_keeps_what_was_shown(world: World, beside: World) -> None:
    async with world.open() as one:
        await one.write("file", b"old")
    async with world.open() as one, beside.open() as two:
        for space, mode in ((one, 0o600), (two, 0o640)):
            async with space.change() as change:
                await change.write("file", b"new", mode=mode)
    async with world.open() as one:
        (before,) = [info async for info in one.list()]
        async with one.change() as change:
            await change.move("file", "moved")
            assert len((await change.find((b"moved",))).items) == 1
        (after,) = [info async for info in one.list()]
        assert (after.path, after.mode) == ("moved", before.mode)


# -- reads ------------------------------------------------------------------------------------------------------------


async def test_a_read_of_64_kib_is_one_store_read_when_healthy_and_k_when_degraded(world: World) -> None:
    data = random.Random(1).randbytes(9 * MIB)
    rng = random.Random(2)
    async with world.open() as space:
        await space.write("file", data)
        reader = space.core.reader
        async with space.file("file") as file:
            await file.pread(0, 1)  # the tree and the map of offsets are in memory from here on
        for gone in ([], ["d0", "d1"]):
            for name in gone:
                world.stores[name].gone = True
            assert await space.read("file") == data  # which finds out what is gone
            for _ in range(20):
                offset = rng.randrange(len(data) // 65536) * 65536
                before = reader.store_reads
                async with space.file("file") as file:
                    assert await file.pread(offset, 65536) == data[offset : offset + 65536]
                assert reader.store_reads - before <= (3 if gone else 1)


async def test_small_reads_in_a_row_fetch_a_cut_once(world: World) -> None:
    data = random.Random(1).randbytes(2 * MIB + 10)
    async with world.open() as space:
        await space.write("file", data)
        async with space.file("file") as file:
            assert file.size == len(data)
            before = space.core.reader.store_reads
            assert b"".join([await file.pread(at, 4096) for at in range(0, MIB, 4096)]) == data[:MIB]
            assert space.core.reader.store_reads - before == 1
            assert await file.pread(MIB - 5, 10) == data[MIB - 5 : MIB + 5]
            assert await file.pread(2 * MIB, 100) == data[2 * MIB :]
            assert await file.pread(3 * MIB, 1) == b""
            assert await file.pread(0, 0) == b""
            for wrong in ((-1, 1), (1, -1)):
                with pytest.raises(Misuse):
                    await file.pread(*wrong)


async def test_equal_content_is_stored_once(world: World) -> None:
    data = random.Random(1).randbytes(3 * MIB)
    async with world.open() as space:
        await space.write("one", data)
        before = (await status(space.core)).stored
        await space.write("two", data)
        await space.write("three", data[:MIB])
        assert (await status(space.core)).stored == before
        assert await space.read("two") == data


async def test_chunks_of_a_pack_that_lost_a_share_are_stored_anew(world: World) -> None:
    data = random.Random(1).randbytes(2 * MIB)
    async with world.open() as space:
        await space.write("one", data)
        pack = await pack_of(space)
        await world.stores[pack.shares[0].store].lose(object_of(space, pack, pack.shares[0]))
        await status(space.core)
        async with space.change() as change:
            await change.write("two", data)
            assert change.writer.new_bytes > 2 * MIB


async def test_damage_is_read_around_and_never_shown(world: World) -> None:
    data = random.Random(1).randbytes(5 * MIB)
    async with world.open() as space:
        await space.write("file", data)
        pack = await pack_of(space)
        for share in pack.shares[:2]:
            store, name = world.stores[share.store], object_of(space, pack, share)
            await store._replace(name, bytes(byte ^ 0xFF for byte in await store.get(name)))
        assert await space.read("file") == data
        share = pack.shares[2]
        store, name = world.stores[share.store], object_of(space, pack, share)
        await store._replace(name, bytes(len(await store.get(name))))
        with pytest.raises(ChunkLost):
            await space.read("file")


# -- clocks and stores that misbehave ---------------------------------------------------------------------------------


async def test_a_clock_that_jumps_backwards_harms_nothing(world: World) -> None:
    async with world.open() as space:
        await space.write("a", b"1")
        world.time = -(10**18)
        await space.write("a", b"2")
        world.time = 0
        await space.write("b", b"3")
        assert await space.read("a") == b"2"
        assert [head.sequence for head in await space.log()] == [3, 2, 1]
    world.time = -(10**18)
    async with world.open() as space:
        assert await space.read("a") == b"2"
        await space.write("a", b"4")
        (info, _) = [info async for info in space.list()]
        assert info.mtime < 0
    async with world.open() as space:
        assert await space.read("a") == b"4"


async def test_clocks_that_differ_do_not_decide_what_is_newest(world: World, beside: World) -> None:
    async with world.open() as one:
        await one.write("a", b"1")
    beside.time = 10**18
    async with beside.open() as two:
        await two.write("a", b"2")
    async with world.open() as one:
        await one.write("a", b"3")
    async with beside.open() as two:
        assert await two.read("a") == b"3"


async def test_a_write_that_is_refused_is_not_seen_and_the_next_one_is(world: World) -> None:
    async with world.open() as space:
        await space.write("a", b"1")
        for name in ("d0", "d1"):
            world.stores[name].rules.append(Rule(Fault.FULL, on={"put"}))
        for data in (b"2", bytes(MIB)):
            with pytest.raises(BelowFloor):
                await space.write("a", data)
            assert await space.read("a") == b"1"
        for name in ("d0", "d1"):
            world.stores[name].rules.clear()
        await space.write("a", b"3")
        assert await space.read("a") == b"3"
    async with world.open() as space:
        assert await space.read("a") == b"3"
        with pytest.raises(NoSuchPath):
            await space.read("b")
