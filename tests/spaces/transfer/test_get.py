"""Get: what is in the space comes back, nothing else is touched, and no half file is left."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from ropewalk.errors import Misuse
from ropewalk.spaces.change import file_entry
from ropewalk.spaces.chunk import ChunkType, Reference
from ropewalk.spaces.content import Stored, seal_small
from ropewalk.spaces.reader import ChunkLost, Reader, Sink
from ropewalk.spaces.state import State
from ropewalk.spaces.transfer import get_tree
from ropewalk.spaces.tree.entry import ROOT_FOLDER, Entry, EntryDamaged, EntryId, encode_entry
from ropewalk.spaces.version import NoSuchPath, NotAFolder, Version
from tests.spaces.making import World, object_of, pack_of
from tests.spaces.transfer.trees import get, look, put, skipped, some, there

MIB = 1024 * 1024


async def test_one_file_comes_back_under_the_name_asked_for(world: World, back: Path) -> None:
    async with world.open() as space:
        await some(space)
        report = await get(space, "folder/inside", back)
    assert look(back.parent)[b"back"][1] == b"inside"
    assert (report.files, report.folders, report.left_out) == (1, 0, 0)


async def test_a_link_comes_back_as_a_link(world: World, back: Path) -> None:
    async with world.open() as space:
        await some(space)
        assert (await get(space, "link", back)).links == 1
    assert os.readlink(back) == "folder/inside"
    assert os.lstat(back).st_mtime_ns == 7


async def test_what_is_not_there_is_an_error_and_makes_nothing(world: World, back: Path) -> None:
    async with world.open() as space:
        await some(space)
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
        await some(space)
        report = await get(space, "", back)
    assert report.left_out == 0
    assert (back / "folder" / "mine").read_bytes() == b"mine"
    assert (back / "file").read_bytes() == b"file"
    assert sorted(os.listdir(back)) == ["file", "folder", "link"]


async def test_the_same_again_over_what_is_there_gives_the_same(world: World, back: Path) -> None:
    async with world.open() as space:
        await some(space)
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
async def test_a_name_that_a_forged_tree_holds_does_not_lead_out_of_the_target_and_stops_nothing(
    world: World, back: Path, tmp_path: Path, name: bytes
) -> None:
    async with world.open() as space:
        stored, _ = seal_small(b"evil", space.core.keys, padded=False)
        key = ROOT_FOLDER + name + b"\0" + bytes([1] * 32) + bytes(8)
        async with space.change() as change:
            await change.write("good", b"good")
            change._spool.add(key, encode_entry(file_entry(stored, 0, 0o644)))
        before = sorted(os.listdir(tmp_path))
        assert (await get(space, "", back)).left_out == 0
    assert os.listdir(back) == ["good"]
    assert sorted(set(os.listdir(tmp_path)) - {"back"}) == before
    assert not (tmp_path / "evil").exists()
    assert not there(b"/evil")


@pytest.mark.parametrize("size", [20, 2000, 3 * MIB, 5 * MIB, 17 * MIB])
async def test_content_that_is_not_what_its_id_says_is_named_and_leaves_nothing(
    world: World, back: Path, size: int
) -> None:
    """A writer can put other references, or bytes, beside the content id of what somebody else wrote."""
    async with world.open() as space:
        async with space.change() as change:
            await change.write("mine", b"1" * size)
            await change.write("forged", b"2" * size)
            await change.write("good", b"good")
        mine, forged = [(await space.current()).find(name) for name in ("mine", "forged")]
        entry = msgspec.structs.replace((await mine).entry, content=(await forged).entry.content)
        async with space.change() as change:
            await change.put_entry((b"mine",), msgspec.structs.replace(entry, mtime=1))
        report = await get(space, "", back)
        assert list(skipped(report)) == ["mine"]
        assert "other content than its id says" in skipped(report)["mine"]
        assert sorted(os.listdir(back)) == ["forged", "good"]
        with pytest.raises(EntryDamaged, match="other content than its id says"):
            await space.read("mine")
        if size > 512:
            assert await space.read("mine", 5, 5) == b"22222", "a part alone does not tell"


async def test_a_link_that_is_none_is_named(world: World, back: Path) -> None:
    async with world.open() as space:
        async with space.change() as change:
            await change.write("good", b"good")
            change._spool.add(ROOT_FOLDER + b"link\0" + bytes([1] * 32) + bytes(8), b"\x98\x02junk")
            change._spool.add(ROOT_FOLDER + b"file\0" + bytes([2] * 32) + bytes(8), b"\x98\x00junk")
        report = await get(space, "", back)
    assert set(skipped(report)) == {"link", "file"}
    assert os.listdir(back) == ["good"]


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
        await some(space)
        for name in ("d1", "d3"):
            world.stores[name].gone = True
        report = await get_tree(await space.current(), space.core, "", back)
        assert report.left_out == 0
        assert (back / "folder" / "large").read_bytes() == random.Random(1).randbytes(5 * MIB)


async def test_nothing_wrong_comes_back_with_more_stores_gone(world: World, back: Path) -> None:
    async with world.open() as space:
        await some(space)
        for name in ("d1", "d3", "d4"):
            world.stores[name].gone = True
        report = await get(space, "", back)
    assert set(skipped(report)) == {"large", "cuts"}
    assert (report.files, report.links) == (2, 1)
    assert stat.S_ISREG(os.lstat(back / "file").st_mode)
