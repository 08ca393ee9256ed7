"""Change: what is done to paths, seen at once within the change and by others once it is a version."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ropewalk.errors import Misuse
from ropewalk.spaces.change import AlreadyThere, Change, FolderNotEmpty
from ropewalk.spaces.space import Space
from ropewalk.spaces.tree.entry import Entry, EntryId, Inline, Kind
from ropewalk.spaces.version import NoSuchPath, NotAFile, NotAFolder
from tests.spaces.making import World, a_space


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await a_space(tmp_path)


@asynccontextmanager
async def _changing(world: World) -> AsyncIterator[tuple[Space, Change]]:
    async with world.open() as space, space.change() as change:
        yield space, change


async def _paths(space: Space) -> list[str]:
    return [b"/".join(names).decode() async for names, _ in (await space.current()).walk()]


async def _entry_id(space: Space, path: str) -> EntryId:
    return (await (await space.current()).find(path)).key.entry_id


# -- files and folders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 512, 513, 2**20, 2**20 + 1, 4 * 2**20, 5 * 2**20 + 3])
async def test_a_file_reads_back_as_it_was_written(world: World, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    async with world.open() as space:
        await space.write("a/b/file", data)
        assert await space.read("a/b/file") == data
        assert (await (await space.current()).file("a/b/file")).size == size


async def test_folders_on_the_way_are_made_once(world: World) -> None:
    async with world.open() as space:
        async with space.change() as change:
            await change.write("a/b/one", b"1")
            await change.write("a/b/two", b"2")
            await change.write("/a//c/three/", b"3")
        await space.write("a/d", b"4")
        assert await _paths(space) == ["a", "a/b", "a/b/one", "a/b/two", "a/c", "a/c/three", "a/d"]


async def test_a_path_of_1024_names_can_be_written_and_read_and_no_longer_one(world: World) -> None:
    deep = "/".join(["d"] * 1023)
    async with world.open() as space:
        await space.write(f"{deep}/f", b"deep")
        assert await space.read(f"{deep}/f") == b"deep"
        with pytest.raises(Misuse, match="path has 1025 names, expected at most 1024"):
            await space.write(f"{deep}/d/f", b"too deep")
        assert await space.remove("d", recursive=True)
        assert await _paths(space) == []


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("../x", "is not a name"),
        ("a/../x", "is not a name"),
        (".", "is not a name"),
        ("a\0b", "is not a name"),
        ("x" * 256, "has 256 bytes, expected 1 to 255"),
        ("/".join(["x" * 250] * 17), "path has 4266 bytes, expected at most 4096"),
    ],
)
async def test_names_that_cannot_be_are_refused_and_nothing_is_changed(world: World, path: str, match: str) -> None:
    async with world.open() as space:
        with pytest.raises(Misuse, match=match):
            await space.write(path, b"x")
        with pytest.raises(Misuse, match=match):
            await space.make_folder(path, parents=True)
        await space.write("good", b"x")
        with pytest.raises(Misuse, match=match):
            await space.move("good", path)
        assert await _paths(space) == ["good"]


async def test_a_path_of_4096_bytes_is_taken(world: World) -> None:
    path = "/".join(["x" * 255] * 16)
    assert len(path) == 4095
    async with world.open() as space:
        await space.write(path, b"far")
        assert await space.read("/" + path) == b"far"


async def test_a_name_in_bytes_that_are_not_utf_8_is_kept(world: World) -> None:
    async with world.open() as space:
        await space.write(b"\xff/\xfe", b"x")
        assert await space.read(b"\xff/\xfe") == b"x"
        (info,) = [info async for info in space.list(b"\xff")]
        assert info.path == "\udcfe"
        assert await space.read(f"\udcff/{info.path}") == b"x"


async def test_a_file_is_replaced_and_keeps_its_id(world: World) -> None:
    async with world.open() as space:
        await space.write("file", b"one")
        before = await _entry_id(space, "file")
        await space.write("file", b"two")
        assert await _entry_id(space, "file") == before
        assert await space.read("file") == b"two"
        assert await _paths(space) == ["file"]


async def test_the_last_of_several_writes_in_one_change_stays(world: World) -> None:
    async with world.open() as space:
        async with space.change() as change:
            for data in (b"1", b"2", b"3"):
                await change.write("file", data)
        assert await space.read("file") == b"3"
        async with space.change() as change:
            await change.write("file", b"4")
            await change.remove("file")
            await change.write("file", b"5")
        assert await space.read("file") == b"5"
        assert await _paths(space) == ["file"]


async def test_a_file_does_not_take_the_name_of_a_folder_nor_a_folder_that_of_a_file(world: World) -> None:
    async with _changing(world) as (_, change):
        await change.write("a/file", b"x")
        with pytest.raises(AlreadyThere, match="/a is a folder"):
            await change.write("a", b"x")
        with pytest.raises(NotAFolder, match="/a/file is not a folder"):
            await change.write("a/file/below", b"x")
        with pytest.raises(NotAFolder):
            await change.make_folder("a/file/below", parents=True)
        with pytest.raises(AlreadyThere, match="the top of the space is a folder"):
            await change.write("", b"x")


async def test_make_folder(world: World) -> None:
    async with world.open() as space:
        async with space.change() as change:
            with pytest.raises(NoSuchPath):
                await change.make_folder("a/b")
            await change.make_folder("a/b", parents=True)
            with pytest.raises(AlreadyThere):
                await change.make_folder("a/b")
            await change.make_folder("a/b", exist_ok=True)
            await change.make_folder("", exist_ok=True)
            with pytest.raises(AlreadyThere):
                await change.make_folder("/")
            await change.write("file", b"x")
            for name in ("file", "file/x"):
                with pytest.raises(NotAFolder):
                    await change.make_folder(name, exist_ok=True)
        assert await _paths(space) == ["a", "a/b", "file"]


# -- removing ---------------------------------------------------------------------------------------------------------


async def test_remove(world: World) -> None:
    async with world.open() as space:
        async with space.change() as change:
            for path in ("a/b/one", "a/b/two", "a/three", "four"):
                await change.write(path, b"x")
        async with space.change() as change:
            with pytest.raises(FolderNotEmpty):
                await change.remove("a")
            with pytest.raises(NoSuchPath):
                await change.remove("a/nothing")
            with pytest.raises(NotAFolder):
                await change.remove("four/x")
            with pytest.raises(Misuse, match="the top of the space cannot be removed"):
                await change.remove("", recursive=True)
            assert await change.remove("four") == 1
            assert await change.remove("a", recursive=True) == 5
            with pytest.raises(NoSuchPath):
                await change.remove("a")
        assert await _paths(space) == []
        assert await (await space.current()).tree.count() == 0


async def test_an_empty_folder_is_removed_without_more_words(world: World) -> None:
    async with world.open() as space:
        await space.make_folder("a")
        await space.remove("a")
        assert await _paths(space) == []


async def test_what_a_change_made_itself_is_removed_with_its_folder(world: World) -> None:
    async with world.open() as space:
        await space.write("a/old", b"x")
        async with space.change() as change:
            await change.write("a/new", b"x")
            await change.write("a/deeper/new", b"x")
            await change.remove("a/old")
            with pytest.raises(FolderNotEmpty):
                await change.remove("a")
            assert await change.remove("a", recursive=True) == 4
            await change.write("a/again", b"x")
        assert await _paths(space) == ["a", "a/again"]
        assert await (await space.current()).tree.count() == 2


# -- moving -----------------------------------------------------------------------------------------------------------


async def test_a_file_is_renamed_and_keeps_its_id_and_content(world: World) -> None:
    async with world.open() as space:
        await space.write("a/old", b"x")
        before = await _entry_id(space, "a/old")
        await space.make_folder("b")
        await space.move("a/old", "b/new")
        assert await _entry_id(space, "b/new") == before
        assert await _paths(space) == ["a", "b", "b/new"]
        assert await space.read("b/new") == b"x"


async def test_a_folder_of_many_is_moved_by_one_entry(world: World) -> None:
    async with world.open() as space:
        async with space.change() as change:
            for number in range(100):
                await change.write(f"a/b/{number:03}", b"%d" % number)
        old = (await space.current()).tree
        await space.move("a/b", "c")
        new = (await space.current()).tree
        assert len([key async for key, _, _ in old.diff(new)]) == 2
        assert await space.read("c/042") == b"42"
        assert (await _paths(space))[:3] == ["a", "c", "c/000"]


async def test_a_move_replaces_a_file_and_never_a_folder(world: World) -> None:
    async with world.open() as space:
        async with space.change() as change:
            for path in ("one", "two", "folder/x", "other/y"):
                await change.write(path, path.encode())
        await space.move("one", "two")
        assert await space.read("two") == b"one"
        async with space.change() as change:
            for source, target in (("two", "folder"), ("folder", "two"), ("folder", "other")):
                with pytest.raises(AlreadyThere):
                    await change.move(source, target)
            for source, target, error in (
                ("folder", "folder/x/y", Misuse),
                ("folder", "folder/y", Misuse),
                ("nothing", "x", NoSuchPath),
                ("two", "nowhere/x", NoSuchPath),
                ("two", "two/x", Misuse),
                ("two", "other/y/x", NotAFolder),
                ("", "x", Misuse),
                ("two", "", Misuse),
            ):
                with pytest.raises(error):
                    await change.move(source, target)
            await change.move("two", "two")
        assert await _paths(space) == ["folder", "folder/x", "other", "other/y", "two"]


async def test_moves_there_and_back_in_one_change_leave_everything_in_place(world: World) -> None:
    async with world.open() as space:
        async with space.change() as change:
            await change.write("a/one", b"1")
            await change.write("b/two", b"2")
        async with space.change() as change:
            await change.move("a/one", "x")
            await change.move("b/two", "a/one")
            await change.move("x", "b/two")
            await change.move("a", "c")
            await change.move("b", "a")
            await change.write("a/new", b"3")
            await change.move("c", "b")
        assert await _paths(space) == ["a", "a/new", "a/two", "b", "b/one"]
        assert (await space.read("a/two"), await space.read("b/one")) == (b"1", b"2")
        assert await (await space.current()).tree.count() == 5


async def test_writing_below_a_folder_that_was_just_moved_goes_where_it_is_now(world: World) -> None:
    async with world.open() as space:
        await space.write("a/b/file", b"x")
        async with space.change() as change:
            await change.write("a/b/other", b"y")
            await change.move("a", "c")
            await change.write("a/b/fresh", b"z")
            await change.write("c/b/more", b"w")
        assert await _paths(space) == ["a", "a/b", "a/b/fresh", "c", "c/b", "c/b/file", "c/b/more", "c/b/other"]


async def test_a_path_that_a_move_made_too_long_is_still_walked(world: World) -> None:
    long = "/".join(["x" * 250] * 15)
    async with world.open() as space:
        async with space.change() as change:
            await change.write("a/" + "y" * 250 + "/" + "z" * 250, b"far")
            await change.make_folder(long, parents=True)
            await change.move("a", f"{long}/a")
        assert max(len(path) for path in await _paths(space)) > 4096


# -- whole changes ----------------------------------------------------------------------------------------------------


async def _half_a_change(space: Space) -> None:
    async with space.change() as change:
        await change.write("after", b"y")
        await change.remove("before")
        await change.remove("nothing")


async def test_a_change_that_fails_changes_nothing(world: World) -> None:
    async with world.open() as space:
        await space.write("before", b"x")
        with pytest.raises(NoSuchPath):
            await _half_a_change(space)
        assert await _paths(space) == ["before"]
        assert len(await space.log()) == 1


async def test_a_change_of_nothing_makes_no_version(world: World) -> None:
    async with world.open() as space:
        await space.write("a", b"x")
        async with space.change():
            pass
        async with space.change() as change:
            await change.write("b", b"y")
            await change.remove("b")
        async with space.change() as change:
            await change.move("a", "c")
            await change.remove("c")
            await change.put_entry((b"d",), Entry(Kind.SYMLINK, 1, 0, 0, bytes(32), Inline(b"x")))
        assert await _paths(space) == ["d"]
        assert len(await space.log()) == 2


async def test_an_equal_entry_changes_nothing(world: World) -> None:
    link = Entry(Kind.SYMLINK, 1, 5, 0o777, bytes(32), Inline(b"x"))
    async with _changing(world) as (_, change):
        assert await change.put_entry((b"link",), link)
        assert not await change.put_entry((b"link",), link)
        assert await change.put_entry((b"link",), Entry(Kind.SYMLINK, 1, 6, 0o777, bytes(32), Inline(b"x")))
        with pytest.raises(AlreadyThere):
            await change.put_entry((), link)


async def test_what_was_put_once_is_seen_after_catching_up(world: World) -> None:
    link = Entry(Kind.SYMLINK, 1, 5, 0o777, bytes(32), Inline(b"x"))
    async with world.open() as space:
        async with space.change() as change:
            await change.put_entry((b"a", b"link"), link, once=True)
            await change.catch_up()
            assert not await change.put_entry((b"a", b"link"), link, once=True)
            with pytest.raises(NotAFolder):
                await change.make_folder("a/link/b", parents=True)
        assert await _paths(space) == ["a", "a/link"]
        assert await (await space.current()).tree.count() == 2


async def test_a_folder_made_where_something_was_put_once_is_refused(world: World) -> None:
    async with _changing(world) as (_, change):
        await change.put_entry((b"link",), Entry(Kind.SYMLINK, 1, 5, 0, bytes(32), Inline(b"x")), once=True)
        with pytest.raises(NotAFolder):
            await change.make_folder("link", parents=True, exist_ok=True)


async def test_only_files_are_read(world: World) -> None:
    async with world.open() as space:
        await space.make_folder("a")
        with pytest.raises(NotAFile, match="/a is not a file"):
            await space.read("a")
        with pytest.raises(NotAFile, match="/ is not a file"):
            await space.read("")
