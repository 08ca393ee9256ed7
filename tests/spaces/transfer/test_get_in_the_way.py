"""Get: what stands where something is to go is replaced or named, and never followed or written through."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ropewalk.spaces.transfer.get import TargetRefused
from tests.spaces.making import World
from tests.spaces.transfer.trees import get, link, look, skipped, some, there

MIB = 1024 * 1024


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
        await some(space)
        report = await get(space, "", back)
    assert os.listdir(tmp_path / "outside") == []
    assert skipped(report) == {"folder": "something else is there, or a link"}
    assert (report.files, report.left_out) == (1, 4)
    assert (back / "folder").is_symlink()


async def test_a_link_in_place_of_the_target_itself_is_refused(world: World, back: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", back)
    async with world.open() as space:
        await some(space)
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
            await change.put_entry((b"x",), link(os.fsencode(tmp_path / "outside")))
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
        await some(space)
        assert (await get(space, "", back)).left_out == 0
    assert (back / "file").read_bytes() == b"file"
    assert os.readlink(back / "link") == "folder/inside"


async def test_a_folder_in_place_of_a_file_or_link_stays_and_is_named(world: World, back: Path) -> None:
    for name in ("file", "link", "folder/large"):
        (back / name / "mine").mkdir(parents=True)
    async with world.open() as space:
        await some(space)
        report = await get(space, "", back)
    assert skipped(report) == dict.fromkeys(("file", "link", "large"), "a folder is there")
    assert (report.files, report.left_out) == (2, 3)
    assert (back / "file" / "mine").is_dir()


async def test_a_file_in_place_of_a_folder_stays_and_all_below_is_left_out(world: World, back: Path) -> None:
    os.mkdir(back)
    (back / "folder").write_bytes(b"mine")
    async with world.open() as space:
        await some(space)
        await space.write("folders", b"not below it")
        report = await get(space, "", back)
    assert (back / "folder").read_bytes() == b"mine"
    assert (report.files, report.left_out) == (2, 4)


async def test_a_target_whose_parent_is_not_there_is_refused(world: World, back: Path) -> None:
    async with world.open() as space:
        await some(space)
        with pytest.raises(TargetRefused, match="no such file or directory"):
            await get(space, "", back / "a" / "b")
        assert skipped(await get(space, "file", back / "a")) == {"a": "no such file or directory"}
    assert not there(back)
