"""Put: a tree is kept as it is, what cannot be kept is named and counted, and nothing is followed."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path

import pytest

from ropewalk.errors import Missing, Misuse
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.store import ObjectName
from ropewalk.spaces.transfer import put as putting
from ropewalk.spaces.transfer import put_tree
from ropewalk.spaces.tree.entry import Chunks, Inline, Kind, Offsets
from ropewalk.spaces.version import NoSuchPath
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import World
from tests.spaces.transfer.trees import get, look, put, skipped

MIB = 1024 * 1024


def _write(path: bytes, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


async def test_a_tree_comes_back_as_it_was(world: World, tree: Path, tmp_path: Path) -> None:
    (tree / "empty").write_bytes(b"")
    (tree / "short").write_bytes(b"x" * 512)
    (tree / "longer").write_bytes(b"y" * 513)
    (tree / "folder" / "below").mkdir(parents=True)
    (tree / "folder" / "nothing").mkdir()
    (tree / "folder" / "below" / "two cuts").write_bytes(random.Random(1).randbytes(MIB + 1))
    (tree / "folder" / "four cuts").write_bytes(random.Random(2).randbytes(4 * MIB))
    (tree / "run me").write_bytes(b"#!")
    (tree / "run me").chmod(0o755)
    (tree / "to file").symlink_to("short")
    (tree / "to folder").symlink_to("folder")
    (tree / "to nothing").symlink_to("not here")
    (tree / "to outside").symlink_to("/etc/passwd")
    for time, name in enumerate(reversed(look(tree))):
        path = os.path.join(os.fsencode(tree), name)
        os.utime(path, ns=(0, 1_600_000_000_123_456_789 + time), follow_symlinks=False)
    (tree / "folder").chmod(0o2750)
    async with world.open() as space:
        report = await put(space, tree, "there")
        back = await get(space, "there", tmp_path / "back")
    assert look(tmp_path / "back") == look(tree)
    for one in (report, back):
        assert (one.files, one.folders, one.links, one.left_out) == (6, 4, 4, 0)
        assert one.size == 512 + 513 + MIB + 1 + 4 * MIB + 2


@pytest.mark.parametrize("size", [4 * MIB + 1, 5 * MIB, 8 * MIB + 12345])
async def test_a_large_file_goes_through_the_offset_map(world: World, tree: Path, tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (tree / "large").write_bytes(data)
    async with world.open() as space:
        await put(space, tree)
        entry = await (await space.current()).file("large")
        assert isinstance(entry.content, Offsets)
        assert await space.read("large", 4 * MIB - 5, 10) == data[4 * MIB - 5 : 4 * MIB + 5]
        await get(space, "", tmp_path / "back")
    assert look(tmp_path / "back") == look(tree)


async def test_a_file_is_the_same_content_whichever_way_it_is_read(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "file").write_bytes(b"z" * (MIB + 7))
    async with world.open() as space:
        await put(space, tree, "small")
        monkeypatch.setattr(putting, "SMALL", 100)
        await put(space, tree, "large")
        version = await space.current()
        small, large = await version.file("small/file"), await version.file("large/file")
    assert isinstance(small.content, Chunks)
    assert small == large


async def test_names_that_are_not_utf_8_are_kept_exactly(world: World, tree: Path, tmp_path: Path) -> None:
    names = [b"\xff\xfe", b"caf\xe9", b"\xc0\x80", b"new\nline", b" ", b"-rf", b"~", b"\\", b"C:", b"a (conflict b)"]
    for name in names:
        os.symlink(name, os.path.join(os.fsencode(tree), b"link to " + name))
        _write(os.path.join(os.fsencode(tree), name), name)
    async with world.open() as space:
        report = await put(space, tree)
        assert report.files == len(names)
        links = [b"link to " + name for name in names]
        assert [os.fsencode(info.path) async for info in space.list()] == sorted(names + links)
        assert await space.read(b"\xff\xfe") == b"\xff\xfe"
        await get(space, "", tmp_path / "back")
    assert look(tmp_path / "back") == look(tree)


async def test_case_and_unicode_twins_are_both_kept(world: World, tree: Path, tmp_path: Path) -> None:
    names = ["readme", "README", "caf\u00e9", "cafe\u0301", "\ufb01", "fi", "\u212a", "K"]
    for name in names:
        (tree / name).write_text(ascii(name))
    async with world.open() as space:
        assert (await put(space, tree)).files == len(names)
        await get(space, "", tmp_path / "back")
    assert look(tmp_path / "back") == look(tree)
    assert len(look(tree)) == len(names)


async def test_names_of_255_bytes_and_paths_of_4000_are_kept(
    world: World, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    parts = ["d" * 255] * 14 + ["f" * 255]
    for part in parts[:-1]:
        os.mkdir(part)
        os.chdir(part)
    _write(parts[-1].encode(), b"deep")
    path = "/".join(parts)
    assert len(path) == 3839
    async with world.open() as space:
        assert (await put(space, tree, "x" * 150)).left_out == 0
        assert await space.read(f"{'x' * 150}/{path}") == b"deep"
        assert (await get(space, "x" * 150, tmp_path / "back")).left_out == 0
    assert look(tmp_path / "back") == look(tree)


async def test_what_would_get_a_longer_path_than_can_be_named_is_left_out(world: World, tree: Path) -> None:
    deep = tree / ("d" * 250)
    deep.mkdir()
    (deep / "file").write_bytes(b"")
    (tree / "file").write_bytes(b"")
    above = "/".join(["a" * 250] * 16)[: 4096 - 240]
    async with world.open() as space:
        report = await put(space, tree, above)
        assert (report.files, report.left_out) == (1, 2)
        assert skipped(report) == {"d" * 250: "path has 4107 bytes, expected at most 4096"}
        assert [info.path async for info in space.list(above)] == ["file"]


async def test_folders_in_each_other_beyond_the_limit_are_left_out(world: World, tree: Path) -> None:
    os.makedirs(tree / "/".join(["d"] * 30))
    above = "/".join(["a"] * 1000)
    async with world.open() as space:
        report = await put(space, tree, above)
        assert (report.folders, report.left_out) == (25, 6)
        assert set(skipped(report).values()) == {"path has 1025 names, expected at most 1024"}
        bottom = await (await space.current()).find(f"{above}/{'/'.join(['d'] * 24)}")
        assert bottom.kind == Kind.FOLDER


async def test_pipes_sockets_and_devices_are_named_skipped_and_counted(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tree / "pipe")
    (tree / "file").write_bytes(b"kept")
    monkeypatch.chdir(tree)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        async with world.open() as space:
            report = await put(space, tree)
            assert [info.path async for info in space.list()] == ["file"]
    assert skipped(report) == {"pipe": "a pipe", "socket": "a socket"}
    assert (report.files, report.left_out) == (1, 2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
async def test_a_device_in_a_tree_is_named(world: World, tree: Path) -> None:
    try:
        os.mknod(tree / "null", 0o20666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    async with world.open() as space:
        assert skipped(await put(space, tree)) == {"null": "a device"}


async def test_a_device_or_nothing_at_the_top_is_refused(world: World, tree: Path) -> None:
    async with world.open() as space:
        with pytest.raises(Misuse, match=r"/dev/null cannot be put: a device"):
            await put(space, Path("/dev/null"), "null")
        with pytest.raises(Missing, match="cannot be put: no such file or directory"):
            await put(space, tree / "nothing", "x")
        assert await space.log() == []


async def test_a_link_at_the_top_is_kept_as_a_link(world: World, tree: Path) -> None:
    (tree / "link").symlink_to("/etc")
    async with world.open() as space:
        assert (await put(space, tree / "link", "etc")).links == 1
        assert [(info.kind, info.target) async for info in space.list("etc")] == [("link", "/etc")]


async def test_an_unchanged_tree_put_again_stores_nothing_and_makes_no_version(world: World, tree: Path) -> None:
    (tree / "folder").mkdir()
    for number in range(30):
        (tree / "folder" / f"{number}").write_bytes(random.Random(number).randbytes(number * 100))
    (tree / "large").write_bytes(random.Random(0).randbytes(5 * MIB))
    (tree / "link").symlink_to("large")
    async with world.open() as space:
        first = await put(space, tree, "a")
        assert (first.files, first.unchanged) == (31, 0)
        objects, heads = await kept(world), await space.log()
        again = await put(space, tree, "a")
        assert (again.files, again.links, again.unchanged, again.left_out) == (31, 1, 32, 0)
        assert await space.log() == heads
        assert await kept(world) == objects


async def kept(world: World) -> list[ObjectName]:
    """What the stores hold, but for the hint, which may come late."""
    return [name for name in await world.names("") if "/hints/" not in name]


async def test_equal_content_elsewhere_is_stored_once(world: World, tree: Path) -> None:
    (tree / "file").write_bytes(random.Random(0).randbytes(3 * MIB))
    async with world.open() as space:
        await put(space, tree, "a")
        async with space.change() as change:
            await put_tree(change, space.core, tree, (b"b",))
            assert change.writer.new_bytes == 0
        assert await space.read("a/file") == await space.read("b/file")


async def test_a_changed_file_is_replaced_and_keeps_its_entry_id(world: World, tree: Path) -> None:
    (tree / "file").write_bytes(b"one")
    (tree / "other").write_bytes(b"same")
    async with world.open() as space:
        await put(space, tree)
        before = await (await space.current()).find("file")
        (tree / "file").write_bytes(b"two")
        report = await put(space, tree)
        after = await (await space.current()).find("file")
        assert await space.read("file") == b"two"
        assert len(after.items) == 1
    assert (report.files, report.unchanged) == (2, 1)
    assert after.key.entry_id == before.key.entry_id
    assert after.key.sequence == before.key.sequence + 1


async def test_a_file_whose_mode_or_time_changed_is_put(world: World, tree: Path) -> None:
    (tree / "file").write_bytes(b"one")
    os.utime(tree / "file", ns=(5, 5))
    async with world.open() as space:
        await put(space, tree)
        os.utime(tree / "file", ns=(5, 6))
        assert (await put(space, tree)).unchanged == 0
        (tree / "file").chmod(0o600)
        assert (await put(space, tree)).unchanged == 0
        assert (await put(space, tree)).unchanged == 1
        (info,) = [info async for info in space.list()]
        assert (info.mtime, info.mode) == (6, 0o600)


async def test_a_tree_goes_into_a_folder_beside_what_is_there(world: World, tree: Path) -> None:
    (tree / "folder").mkdir()
    (tree / "folder" / "new").write_bytes(b"new")
    async with world.open() as space:
        await space.write("there/folder/old", b"old")
        await put(space, tree, "there")
        assert [info.path async for info in space.list("there/folder")] == ["new", "old"]


async def test_a_file_in_place_of_a_folder_is_left_out_with_all_below_it(world: World, tree: Path) -> None:
    (tree / "a").mkdir()
    (tree / "a" / "b").mkdir()
    (tree / "a" / "b" / "c").write_bytes(b"c")
    (tree / "d").write_bytes(b"d")
    (tree / "z").write_bytes(b"z")
    async with world.open() as space:
        await space.write("a", b"a file")
        await space.make_folder("d")
        report = await put(space, tree)
        assert await space.read("a") == b"a file"
        assert await space.read("z") == b"z"
    assert skipped(report) == {"a": "/a is not a folder", "d": "/d is a folder"}
    assert (report.files, report.folders, report.left_out) == (1, 1, 4)


async def test_the_top_that_cannot_be_placed_is_an_error_and_nothing_is_changed(world: World, tree: Path) -> None:
    async with world.open() as space:
        await space.write("a", b"a file")
        with pytest.raises(Misuse, match="/a is not a folder"):
            await put(space, tree, "a/b")
        assert len(await space.log()) == 1


async def test_the_same_tree_put_twice_in_one_change_is_there_once(world: World, tree: Path) -> None:
    (tree / "file").write_bytes(b"one")
    async with world.open() as space:
        async with space.change() as change:
            await put_tree(change, space.core, tree, (b"a",))
            (tree / "file").write_bytes(b"two")
            await put_tree(change, space.core, tree, (b"a",))
        assert [info.path async for info in space.list("a")] == ["file"]
        assert await space.read("a/file") == b"two"


async def test_what_was_just_put_can_be_moved_and_removed_in_the_same_change(world: World, tree: Path) -> None:
    (tree / "file").write_bytes(b"one")
    (tree / "other").write_bytes(b"two")
    async with world.open() as space:
        async with space.change() as change:
            await put_tree(change, space.core, tree, (b"a",))
            await change.move("a/file", "b")
            await change.remove("a/other")
        assert [info.path async for info in space.list()] == ["a", "b"]
        assert [info.path async for info in space.list("a")] == []
        assert await space.read("b") == b"one"


async def test_a_put_below_the_floor_is_refused_and_leaves_nothing_to_see(world: World, tree: Path) -> None:
    (tree / "large").write_bytes(random.Random(0).randbytes(40 * MIB))
    async with world.open() as space:
        await space.write("before", b"x")
        for name in ("d0", "d1"):
            world.stores[name].rules.append(Rule(Fault.REFUSE, on={"put"}))
        with pytest.raises(BelowFloor):
            await put(space, tree)
        with pytest.raises(NoSuchPath):
            await space.read("large")
        assert [info.path async for info in space.list()] == ["before"]


async def test_progress_is_told_of_every_file_and_byte(world: World, tree: Path) -> None:
    class Told:
        files = size = expected = 0

        def expect(self, files: int, size: int) -> None:
            self.expected = size

        def advance(self, files: int, size: int) -> None:
            self.files += files
            self.size += size

    (tree / "large").write_bytes(bytes(5 * MIB))
    (tree / "small").write_bytes(b"12345")
    (tree / "link").symlink_to("small")
    told = Told()
    async with world.open() as space, space.change() as change:
        report = await put_tree(change, space.core, tree, (), told)
    assert (told.files, told.size) == (2, 5 * MIB + 5) == (report.files, report.size)


async def test_a_link_may_point_at_4096_bytes_and_no_more(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "long").symlink_to("t" * 4095)
    (tree / "too long").symlink_to("x")
    real = os.readlink

    def longer(path: bytes, *, dir_fd: int) -> bytes:
        return b"x" * 4097 if path == b"too long" else real(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "readlink", longer)
    async with world.open() as space:
        report = await put(space, tree)
        found = (await (await space.current()).find("long")).entry
        assert found.content == Inline(b"t" * 4095)
    assert skipped(report) == {"too long": "a link to 4097 bytes, expected at most 4096"}
