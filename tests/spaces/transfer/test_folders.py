"""Folders: no link is followed out of the target, half files never have a final name, and what a crash left goes."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ropewalk.spaces.chunk import ChunkType, Reference
from ropewalk.spaces.reader import Reader, Sink
from ropewalk.spaces.transfer import folders as folders_module
from ropewalk.spaces.transfer.folders import Folders
from ropewalk.spaces.transfer.report import Report
from ropewalk.spaces.tree.entry import Entry, Kind
from tests.spaces.making import World, a_space
from tests.spaces.transfer.trees import get, look, put

MIB = 1024 * 1024
LEFT = ".ropewalk-0123456789abcdef0123"


@pytest.fixture(params=[True, False], ids=["nameless", "named"], autouse=True)
def nameless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the system takes files without a name."""
    if not request.param:
        monkeypatch.setattr(folders_module, "_OPEN_FILES", b"/not there")
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("no files without a name here")
    return bool(request.param)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await a_space(tmp_path / "home")


@pytest.fixture
def back(tmp_path: Path) -> Path:
    """Where things are brought back to; not there yet."""
    return tmp_path / "back"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nothing may be written to."""
    folder = tmp_path / "outside"
    folder.mkdir(mode=0o755)
    os.utime(folder, ns=(5, 5))
    return folder


async def _filled(world: World) -> None:
    async with world.open() as space, space.change() as change:
        await change.write("folder/inline", b"inline")
        await change.write("folder/small", bytes(4096))
        await change.write("folder/large", bytes(20 * MIB))
        await change.write("folder/below/small", bytes(4097))


@pytest.mark.parametrize("call", ["open", "pwrite", "fchmod", "utime", "link", "replace"])
async def test_no_half_file_has_its_final_name_whenever_the_process_is_killed(
    world: World, back: Path, monkeypatch: pytest.MonkeyPatch, call: str, nameless: bool
) -> None:
    await _filled(world)
    sizes = {"inline": 6, "small": 4096, "large": 20 * MIB}
    real = getattr(os, call)
    calls = 0

    def watched(*args: object, **kwargs: object) -> object:
        nonlocal calls
        done = real(*args, **kwargs)
        calls += 1
        for name, size in sizes.items():
            path = back / "folder" / name
            assert not path.exists() or path.read_bytes() == (b"inline" if name == "inline" else bytes(size))
        return done

    async with world.open() as space:
        monkeypatch.setattr(os, call, watched)
        report = await get(space, "", back)
        monkeypatch.undo()
    assert report.left_out == 0
    assert calls >= 3 or call == ("replace" if nameless else "link")
    assert sorted(os.listdir(back / "folder")) == ["below", "inline", "large", "small"]


async def _with_a_swap(world: World, back: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """A get during which a folder that was made already becomes a link out of the target."""
    real = Reader.read

    async def read(
        self: Reader, references: Sequence[Reference], kind: ChunkType, sink: Sink | None = None
    ) -> list[bytes]:
        if sink is not None and not (back / "folder").is_symlink():
            os.rename(back / "folder", back / "moved")
            os.symlink(outside, back / "folder")
            (outside / "below").mkdir(exist_ok=True)
            os.utime(outside, ns=(5, 5))
        return await real(self, references, kind, sink)

    async with world.open() as space:
        monkeypatch.setattr(Reader, "read", read)
        return await get(space, "", back)


@pytest.mark.parametrize("held", [0, 64])
async def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(
    world: World, back: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(folders_module, "MOST_IDLE", held)
    await _filled(world)
    report = await _with_a_swap(world, back, outside, monkeypatch)
    assert os.listdir(outside) == ["below"]
    assert os.listdir(outside / "below") == []
    facts = os.stat(outside)
    assert (stat.S_IMODE(facts.st_mode), facts.st_mtime_ns) == (0o755, 5)
    assert "something else is there, or a link" in {one.why for one in report.skipped}


async def test_what_a_killed_get_left_is_removed_and_nothing_else(world: World, back: Path) -> None:
    await _filled(world)
    kept = [".ropewalk-", ".ropewalk-0123", LEFT + "4", "x" + LEFT, LEFT.upper()]
    (back / "folder").mkdir(parents=True)
    for folder in (back, back / "folder"):
        (folder / LEFT).write_bytes(b"half")
        for name in kept:
            (folder / name).write_bytes(b"mine")
    async with world.open() as space:
        assert (await get(space, "", back)).left_out == 0
        assert not {LEFT} & {*os.listdir(back), *os.listdir(back / "folder")}
        assert all((folder / name).read_bytes() == b"mine" for folder in (back, back / "folder") for name in kept)
        (back / LEFT).write_bytes(b"half")
        await get(space, "folder/small", back / "one")
    assert not (back / LEFT).exists()


async def test_what_another_get_is_writing_is_left_alone(world: World, back: Path) -> None:
    await _filled(world)
    os.mkdir(back)
    (back / LEFT).write_bytes(b"under way")
    other = Folders(os.fsencode(back))
    other.take(other.top)
    async with world.open() as space:
        await get(space, "", back)
        assert LEFT in os.listdir(back)
        other.close()
        await get(space, "", back)
    assert os.listdir(back) == ["folder"]


async def test_a_folder_that_someone_else_has_locked_is_filled_all_the_same(world: World, back: Path) -> None:
    await _filled(world)
    os.mkdir(back)
    descriptor = os.open(back, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    async with world.open() as space:
        assert (await get(space, "", back)).left_out == 0
    os.close(descriptor)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files as Linux shows them")
@pytest.mark.parametrize("held", [0, 1, 3])
async def test_many_and_deep_folders_come_back_with_few_of_them_open(
    world: World, tmp_path: Path, back: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(folders_module, "MOST_IDLE", held)
    tree = tmp_path / "tree"
    for number in range(12):
        folder = tree / f"{number}" / "/".join("deeper" for _ in range(number))
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(1000 * number))
        (folder / "link").symlink_to("file")
        folder.chmod(0o500)
        os.utime(folder, ns=(number, number))
    before = len(os.listdir("/proc/self/fd"))
    most = 0
    async with world.open() as space:
        await put(space, tree)
        opened = len(os.listdir("/proc/self/fd"))
        real = os.open

        def counted(*args: object, **kwargs: object) -> int:
            nonlocal most
            descriptor: int = real(*args, **kwargs)  # type: ignore[arg-type]
            most = max(most, len(os.listdir("/proc/self/fd")) - opened)
            return descriptor

        monkeypatch.setattr(os, "open", counted)
        assert (await get(space, "", back)).left_out == 0
        monkeypatch.undo()
        assert most < held + 12
    assert look(back) == look(tree)
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize(
    "use",
    [
        lambda folders, names: folders.take((*names, b"below")),
        lambda folders, names: folders.make((*names, b"new")),
        lambda folders, names: folders.make(names),
        lambda folders, names: folders.make_link((*names, b"new"), Entry(Kind.SYMLINK), b"x"),
        lambda folders, names: folders.dress(names, Entry(Kind.FOLDER, mode=0o700)),
    ],
)
def test_a_link_in_place_of_a_folder_is_told(
    back: Path, outside: Path, use: Callable[[Folders, tuple[bytes, ...]], object]
) -> None:
    (outside / "below").mkdir()
    os.utime(outside, ns=(5, 5))
    back.mkdir()
    (back / "folder").symlink_to(outside)
    folders = Folders(os.fsencode(back))
    with pytest.raises(OSError, match="something else is there, or a link"):
        use(folders, (*folders.top, b"folder"))
    folders.close()
    assert os.listdir(outside) == ["below"]
    assert os.stat(outside).st_mtime_ns == 5


def test_the_way_to_the_target_may_lead_through_links(back: Path, outside: Path) -> None:
    back.symlink_to(outside)
    folders = Folders(os.fsencode(back / "target"))
    folders.make(folders.top)
    folders.close()
    assert os.listdir(outside) == ["target"]


def test_the_top_of_all_is_a_folder_too() -> None:
    folders = Folders(b"/")
    assert os.path.samestat(os.fstat(folders.take(folders.top)), os.stat("/"))
    folders.make(folders.top)
    folders.close()
