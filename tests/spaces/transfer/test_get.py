"""Get: what is in the space comes back, nothing else is touched, and no half file is left."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ropewalk.errors import Misuse
from ropewalk.spaces.change import file_entry
from ropewalk.spaces.chunk import ChunkType, Reference
from ropewalk.spaces.content import Stored, seal_small
from ropewalk.spaces.reader import ChunkLost, Reader, Sink
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.transfer import get_tree
from ropewalk.spaces.transfer.get import TargetRefused
from ropewalk.spaces.transfer.report import Report
from ropewalk.spaces.tree.entry import ROOT_FOLDER, Entry, EntryDamaged, EntryId, Inline, Kind, encode_entry
from ropewalk.spaces.version import NoSuchPath, NotAFolder, Version
from tests.spaces.making import World, a_space, object_of, pack_of
from tests.spaces.transfer.trees import get, look, put, there

MIB = 1024 * 1024


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await a_space(tmp_path / "home")


@pytest.fixture
def back(tmp_path: Path) -> Path:
    """Where things are brought back to; not there yet."""
    return tmp_path / "back"


def skipped(report: Report) -> dict[str, str]:
    """By last name."""
    return {os.path.basename(one.path): one.why for one in report.skipped}


async def _some(space: Space) -> None:
    async with space.change() as change:
        await change.write("file", b"file")
        await change.write("folder/inside", b"inside")
        await change.write("folder/large", random.Random(1).randbytes(5 * MIB))
        await change.write("folder/cuts", random.Random(2).randbytes(2 * MIB + 5))
        await change.put_entry((b"link",), _link(b"folder/inside"))


def _link(target: bytes) -> Entry:
    return Entry(Kind.SYMLINK, len(target), 7, 0o777, bytes(32), Inline(target))


async def test_one_file_comes_back_under_the_name_asked_for(world: World, back: Path) -> None:
    async with world.open() as space:
        await _some(space)
        report = await get(space, "folder/inside", back)
    assert look(back.parent)[b"back"][1] == b"inside"
    assert (report.files, report.folders, report.left_out) == (1, 0, 0)


async def test_a_link_comes_back_as_a_link(world: World, back: Path) -> None:
    async with world.open() as space:
        await _some(space)
        assert (await get(space, "link", back)).links == 1
    assert os.readlink(back) == "folder/inside"
    assert os.lstat(back).st_mtime_ns == 7


async def test_what_is_not_there_is_an_error_and_makes_nothing(world: World, back: Path) -> None:
    async with world.open() as space:
        await _some(space)
        with pytest.raises(NoSuchPath):
            await get(space, "nothing", back)
        with pytest.raises(NotAFolder):
            await get(space, "file/below", back)
        for path in ("..", "folder/../file", "a\0b", "."):
            with pytest.raises(Misuse):
                await get(space, path, back)
    assert not there(back)


async def test_a_folder_that_is_there_is_filled_and_keeps_what_else_is_in_it(world: World, back: Path) -> None:
    os.makedirs(back / "folder")
    (back / "folder" / "mine").write_bytes(b"mine")
    (back / "file").write_bytes(b"old and longer")
    async with world.open() as space:
        await _some(space)
        report = await get(space, "", back)
    assert report.left_out == 0
    assert (back / "folder" / "mine").read_bytes() == b"mine"
    assert (back / "file").read_bytes() == b"file"
    assert sorted(os.listdir(back)) == ["file", "folder", "link"]


async def test_the_same_again_over_what_is_there_gives_the_same(world: World, back: Path) -> None:
    async with world.open() as space:
        await _some(space)
        await get(space, "", back)
        first = look(back)
        report = await get(space, "", back)
    assert look(back) == first
    assert (report.files, report.links, report.left_out) == (4, 1, 0)


async def test_a_file_is_replaced_only_once_its_successor_is_whole(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkdir(back)
    for name in ("file", "cuts"):
        (back / name).write_bytes(b"old")
    seen: list[tuple[bytes, bytes]] = []
    real = os.replace

    def replace(source: bytes, target: bytes, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        with open(back / os.fsdecode(source), "rb") as new, open(back / os.fsdecode(target), "rb") as old:
            seen.append((new.read(), old.read()))
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "replace", replace)
    new = random.Random(1).randbytes(2 * MIB + 5)
    async with world.open() as space:
        await space.write("file", b"new")
        await space.write("cuts", new)
        await get(space, "", back)
    assert sorted(seen) == sorted([(b"new", b"old"), (new, b"old")])
    assert look(back)[b"cuts"][1] == new


async def test_a_long_name_is_replaced_too(world: World, back: Path) -> None:
    name = "n" * 255
    os.mkdir(back)
    (back / name).write_bytes(b"old")
    async with world.open() as space:
        await space.write(name, b"new")
        assert (await get(space, "", back)).left_out == 0
    assert (back / name).read_bytes() == b"new"
    assert os.listdir(back) == [name]


async def test_files_with_names_like_those_of_half_files_are_left_alone(world: World, back: Path) -> None:
    os.mkdir(back)
    names = ["file", "file.ropewalk-part", ".file.part", ".ropewalk-"]
    for name in names:
        (back / name).write_text(f"mine: {name}")
    async with world.open() as space:
        await space.write("file", b"new")
        await get(space, "", back)
    assert (back / "file").read_bytes() == b"new"
    for name in names[1:]:
        assert (back / name).read_text() == f"mine: {name}"


async def test_a_link_in_place_of_a_file_is_replaced_and_not_written_through(
    world: World, back: Path, tmp_path: Path
) -> None:
    os.mkdir(back)
    for name in ("file", "large"):
        (tmp_path / f"victim of {name}").write_bytes(b"safe")
        (back / name).symlink_to(tmp_path / f"victim of {name}")
    (back / "dangling").symlink_to(tmp_path / "not there")
    async with world.open() as space:
        for name in ("file", "dangling"):
            await space.write(name, b"new")
        await space.write("large", bytes(5 * MIB))
        report = await get(space, "", back)
    assert report.left_out == 0
    for name in ("file", "large"):
        assert (tmp_path / f"victim of {name}").read_bytes() == b"safe"
    assert not (tmp_path / "not there").exists()
    assert {facts[0] for facts in look(back).values()} == {"file"}


async def test_a_link_in_place_of_a_folder_is_not_followed(world: World, back: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    os.mkdir(back)
    (back / "folder").symlink_to(tmp_path / "outside")
    async with world.open() as space:
        await _some(space)
        report = await get(space, "", back)
    assert os.listdir(tmp_path / "outside") == []
    assert skipped(report) == {"folder": "something else is there, or a link"}
    assert (report.files, report.left_out) == (1, 4)
    assert (back / "folder").is_symlink()


async def test_a_link_in_place_of_the_target_itself_is_refused(world: World, back: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", back)
    async with world.open() as space:
        await _some(space)
        with pytest.raises(TargetRefused, match="cannot be made a folder: something else is there, or a link"):
            await get(space, "", back)
        assert (await get(space, "file", back)).files == 1  # a file takes its place
    assert os.listdir(tmp_path / "outside") == []
    assert look(tmp_path)[b"back"][0] == "file"


async def test_a_link_from_the_space_is_not_written_through(world: World, back: Path, tmp_path: Path) -> None:
    """A later version has a folder where an earlier one had a link out of the tree: both are brought back."""
    (tmp_path / "outside").mkdir()
    async with world.open() as space:
        async with space.change() as change:
            await change.put_entry((b"x",), _link(os.fsencode(tmp_path / "outside")))
        await get(space, "", back)
        async with space.change() as change:
            await change.remove("x")
            await change.write("x/evil", b"evil")
        report = await get(space, "", back)
    assert os.listdir(tmp_path / "outside") == []
    assert report.left_out == 2


@pytest.mark.parametrize(
    ("name", "make"), [("pipe", os.mkfifo), ("link", lambda path: os.symlink("x", path)), ("file", os.mknod)]
)
async def test_a_pipe_link_or_file_in_the_way_is_replaced_by_files_and_links(
    world: World, back: Path, name: str, make: Callable[[Path], None]
) -> None:
    os.mkdir(back)
    make(back / "file")
    make(back / "link")
    async with world.open() as space:
        await _some(space)
        assert (await get(space, "", back)).left_out == 0
    assert (back / "file").read_bytes() == b"file"
    assert os.readlink(back / "link") == "folder/inside"


async def test_a_folder_in_place_of_a_file_or_link_stays_and_is_named(world: World, back: Path) -> None:
    for name in ("file", "link", "folder/large"):
        (back / name / "mine").mkdir(parents=True)
    async with world.open() as space:
        await _some(space)
        report = await get(space, "", back)
    assert skipped(report) == dict.fromkeys(("file", "link", "large"), "a folder is there")
    assert (report.files, report.left_out) == (2, 3)
    assert (back / "file" / "mine").is_dir()


async def test_a_file_in_place_of_a_folder_stays_and_all_below_is_left_out(world: World, back: Path) -> None:
    os.mkdir(back)
    (back / "folder").write_bytes(b"mine")
    async with world.open() as space:
        await _some(space)
        await space.write("folders", b"not below it")
        report = await get(space, "", back)
    assert (back / "folder").read_bytes() == b"mine"
    assert (report.files, report.left_out) == (2, 4)


async def test_a_target_whose_parent_is_not_there_is_refused(world: World, back: Path) -> None:
    async with world.open() as space:
        await _some(space)
        with pytest.raises(TargetRefused, match="no such file or directory"):
            await get(space, "", back / "a" / "b")
        assert skipped(await get(space, "file", back / "a")) == {"a": "no such file or directory"}
    assert not there(back)


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("writes", [0, 1, 2])
async def test_no_space_left_leaves_no_half_file(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch, there: bool, writes: int
) -> None:
    if there:
        os.mkdir(back)
        for name in ("a small", "b cuts", "c large"):
            (back / name).write_bytes(b"old")
    async with world.open() as space:
        async with space.change() as change:
            await change.write("a small", b"small")
            await change.write("b cuts", bytes(3 * MIB))
            await change.write("c large", bytes(17 * MIB))
        full = _Full(writes)
        monkeypatch.setattr(os, "pwrite", full)
        report = await get(space, "", back)
        monkeypatch.undo()
        left = look(back)
        assert {facts[0] for facts in left.values()} <= {"file"}
        if there:
            assert len(left) == 3
        contents = {facts[1] for facts in left.values()}
        assert contents <= {b"old", b"small", bytes(3 * MIB), bytes(17 * MIB)}
        assert report.files == len(contents - {b"old"})
        assert set(skipped(report).values()) == {"no space left on device"}
        assert report.left_out == 3 - report.files
        assert (await get(space, "", back)).left_out == 0
        assert {facts[1] for facts in look(back).values()} == {b"small", bytes(3 * MIB), bytes(17 * MIB)}


class _Full:
    """A disk that takes some writes, half of the next and no more."""

    def __init__(self, writes: int) -> None:
        self._real, self._left = os.pwrite, writes

    def __call__(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        self._left -= 1
        if self._left >= 0:
            return self._real(descriptor, data, offset)
        if self._left == -1 and len(data) > 1:
            return self._real(descriptor, memoryview(data)[: len(data) // 2], offset)
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fchmod", "utime", "replace"])
async def test_what_fails_in_the_end_leaves_no_half_file(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    os.mkdir(back)
    (back / "file").write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    async with world.open() as space:
        await space.write("file", b"new")
        monkeypatch.setattr(os, call, fail)
        report = await get(space, "", back)
    assert skipped(report)["file"] == "operation not permitted"
    assert (back / "file").read_bytes() == b"old"
    assert os.listdir(back) == ["file"]


async def test_a_link_that_cannot_be_made_leaves_what_was_there(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkdir(back)
    (back / "link").write_bytes(b"old")
    real = os.symlink

    def full(source: bytes, target: bytes, *, dir_fd: int) -> None:
        if os.path.lexists(back / os.fsdecode(target)):
            real(source, target, dir_fd=dir_fd)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "symlink", full)
    async with world.open() as space:
        await _some(space)
        assert skipped(await get(space, "", back)) == {"link": "no space left on device"}
    assert (back / "link").read_bytes() == b"old"


async def test_a_link_that_cannot_take_its_place_leaves_nothing_beside_it(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkdir(back)
    (back / "link").write_bytes(b"old")

    def fail(source: bytes, target: bytes, **_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "replace", fail)
    async with world.open() as space:
        await _some(space)
        await get(space, "link", back / "link")
    assert os.listdir(back) == ["link"]
    assert (back / "link").read_bytes() == b"old"


async def test_a_get_that_is_stopped_leaves_no_half_file(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open() as space:
        await space.write("large", bytes(40 * MIB))
        me, loop, real = asyncio.current_task(), asyncio.get_running_loop(), os.pwrite
        assert me is not None

        def stop(descriptor: int, data: bytes, offset: int) -> int:
            loop.call_soon_threadsafe(me.cancel)
            return real(descriptor, data, offset)

        monkeypatch.setattr(os, "pwrite", stop)
        with pytest.raises(asyncio.CancelledError):
            await get(space, "", back)
        me.uncancel()
    assert os.listdir(back) == []


async def test_modes_and_times_come_back_even_of_folders_that_cannot_be_written(
    world: World, tmp_path: Path, back: Path
) -> None:
    tree = tmp_path / "tree"
    (tree / "closed" / "below").mkdir(parents=True)
    (tree / "closed" / "file").write_bytes(b"x")
    os.utime(tree / "closed" / "file", ns=(0, -1_000_000_001))
    (tree / "closed" / "file").chmod(0)
    os.utime(tree / "closed" / "below", ns=(0, 2**60 + 1))
    os.utime(tree / "closed", ns=(0, 999_999_999))
    (tree / "closed").chmod(0o500)
    async with world.open() as space:
        await put(space, tree)
        await get(space, "", back)
    assert look(back) == look(tree)


async def test_of_many_files_only_the_lost_ones_are_left_out(world: World, back: Path) -> None:
    rng = random.Random(1)
    contents = {f"file {number}": rng.randbytes(1000 if number % 3 else MIB + 1000) for number in range(12)}
    async with world.open() as space:
        async with space.change() as change:
            for name, data in contents.items():
                await change.write(name, data)
        pack = await pack_of(space)
        entry = await (await space.current()).file("file 4")
        cuts = [cut async for batch in space.core.content.references(entry) for _, cut in batch]
        (place,) = (await space.core.ledger.do(State.locate, [cuts[0].id])).values()
        for share in pack.shares:
            name = object_of(space, pack, share)
            held = bytearray(await world.stores[share.store].get(name))
            for at in range(place.offset, min(place.offset + place.length, len(held))):
                held[at] ^= 0x55
            await world.stores[share.store]._replace(name, bytes(held))
        report = await get(space, "", back)
    for name, data in contents.items():
        if name in skipped(report):
            assert "reader." in skipped(report)[name]
            assert not (back / name).exists()
        else:
            assert (back / name).read_bytes() == data
    assert "file 4" in skipped(report)
    assert report.files + report.left_out == 12


async def test_what_a_given_up_read_delivers_late_does_no_harm(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cuts of a batch that fails are read again one file at a time, while a thread may still deliver the first."""
    data = random.Random(1).randbytes(3 * MIB)
    async with world.open() as space:
        await space.write("a", data)
        await space.write("b", b"x" * 1000)
        late: list[tuple[Sink, list[bytes]]] = []
        real = Reader.read

        async def read(
            self: Reader, references: Sequence[Reference], kind: ChunkType, sink: Sink | None = None
        ) -> list[bytes]:
            assert sink is not None
            if len(references) == 4:
                late.append((sink, await real(self, references, kind)))
                raise ChunkLost("one of them is lost")
            for first, plains in late:  # what the first read has at hand already comes now
                for index in (0, 0, 2):
                    first(index, plains[index])
            late.clear()
            return await real(self, references, kind, sink)

        monkeypatch.setattr(Reader, "read", read)
        report = await get(space, "", back)
    assert report.left_out == 0
    assert (back / "a").read_bytes() == data
    assert (back / "b").read_bytes() == b"x" * 1000


async def test_a_folder_that_cannot_be_read_is_named_and_the_others_come_back(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Version.listing

    async with world.open() as space:
        async with space.change() as change:
            for path in ("a/one", "b/two", "c/three"):
                await change.write(path, b"x")
        bad = list((await (await space.current()).find("b")).folders)

        async def failing(self: Version, folders: Sequence[EntryId]) -> object:
            if list(folders) == bad:
                raise ChunkLost("node is lost")
            async for shown in real(self, folders):
                yield shown

        monkeypatch.setattr(Version, "listing", failing)
        report = await get(space, "", back)
        with pytest.raises(ChunkLost):
            await get(space, "b", back / "b")
    assert skipped(report) == {"b": "node is lost (reader.chunk-lost)"}
    assert sorted(os.listdir(back)) == ["a", "b", "c"]
    assert (back / "c" / "three").read_bytes() == b"x"


@pytest.mark.parametrize("name", [b"..", b".", b"../evil", b"/evil", b"a/b", b""])
async def test_a_name_that_a_forged_tree_holds_does_not_lead_out_of_the_target(
    world: World, back: Path, tmp_path: Path, name: bytes
) -> None:
    async with world.open() as space:
        stored, _ = seal_small(b"evil", space.core.keys, padded=False)
        key = ROOT_FOLDER + name + b"\0" + bytes([1] * 32) + bytes(8)
        async with space.change() as change:
            await change.write("good", b"good")
            change._spool.add(key, encode_entry(file_entry(stored, 0, 0o644)))
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(EntryDamaged, match=r"is not a name|expected 1 to 255"):
            await get(space, "", back)
    assert sorted(set(os.listdir(tmp_path)) - {"back"}) == before
    assert not (tmp_path / "evil").exists()
    assert not there(b"/evil")


async def test_a_kind_of_a_later_format_is_named(world: World, back: Path) -> None:
    async with world.open() as space:
        async with space.change() as change:
            await change.write("good", b"good")
            change._place(ROOT_FOLDER, b"odd", Entry(7))
        report = await get(space, "", back)
    assert skipped(report) == {"odd": "of kind 7, which this version does not know"}
    assert report.files == 1


async def test_a_file_whose_map_does_not_fit_is_named(world: World, back: Path) -> None:
    async with world.open() as space:
        async with space.change() as change:
            await change.write("large", bytes(5 * MIB))
            await change.write("good", b"good")
            entry = (await change.find((b"large",))).entry
            assert entry.content is not None
            longer = Stored(17 * MIB, bytes(32), entry.content)
            await change.put_entry((b"longer",), file_entry(longer, 0, 0o644))
        report = await get(space, "", back)
    assert list(skipped(report)) == ["longer"]
    assert sorted(os.listdir(back)) == ["good", "large"]


async def test_everything_comes_back_with_as_many_stores_gone_as_was_promised(world: World, back: Path) -> None:
    async with world.open() as space:
        await _some(space)
        for name in ("d1", "d3"):
            world.stores[name].gone = True
        report = await get_tree(await space.current(), space.core, "", back)
        assert report.left_out == 0
        assert (back / "folder" / "large").read_bytes() == random.Random(1).randbytes(5 * MIB)


async def test_nothing_wrong_comes_back_with_more_stores_gone(world: World, back: Path) -> None:
    async with world.open() as space:
        await _some(space)
        for name in ("d1", "d3", "d4"):
            world.stores[name].gone = True
        report = await get(space, "", back)
    assert set(skipped(report)) == {"large", "cuts"}
    assert (report.files, report.links) == (2, 1)
    assert stat.S_ISREG(os.lstat(back / "file").st_mode)
