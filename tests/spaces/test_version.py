"""Version: paths, listings and walks of one state, whether or not devices have written side by side."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Misuse
from ropewalk.spaces.reader import ChunkLost
from ropewalk.spaces.tree.entry import ROOT_FOLDER, Entry, EntryDamaged, Inline, Kind, encode_entry
from ropewalk.spaces.version import DEEPEST, Info, NoSuchPath, NotAFolder, Version, check_parts, parse_path
from tests.spaces.making import World, a_space


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await a_space(tmp_path)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("", ()),
        ("/", ()),
        ("a", (b"a",)),
        ("//a///b//", (b"a", b"b")),
        (b"\xff/x", (b"\xff", b"x")),
        ("\udcff", (b"\xff",)),
        ("...", (b"...",)),
        ("~", (b"~",)),
        (" ", (b" ",)),
        ("n" * 255, (b"n" * 255,)),
    ],
)
def test_a_path_is_its_names(path: str | bytes, parts: tuple[bytes, ...]) -> None:
    assert parse_path(path) == parts


@pytest.mark.parametrize("path", [".", "..", "a/../b", "a/.", "\0", "a\0b", "n" * 256, "/".join("n" * 1025)])
def test_a_path_with_what_is_no_name_is_refused(path: str) -> None:
    with pytest.raises(Misuse):
        parse_path(path)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_path_or_misuse(path: bytes) -> None:
    try:
        parts = parse_path(path)
    except Misuse:
        return
    assert b"/".join(parts) == b"/".join(part for part in path.split(b"/") if part)
    check_parts(parts)


async def test_a_listing_says_what_is_there(world: World) -> None:
    async with world.open() as space:
        async with space.change() as change:
            await change.write("b", b"12345", mode=0o600)
            await change.make_folder("a")
            await change.put_entry((b"c",), Entry(Kind.SYMLINK, 2, 9, 0o777, bytes(32), Inline(b"\xffx")))
            change._place(ROOT_FOLDER, b"d", Entry(9, 3, -1, 1))
        version = await space.current()
        writer = space.core.writer_id.hex()[:8]
        now = [info async for info in version.list()]
        assert now == [
            Info("a", "folder", 0, now[0].mtime, 0o755, None, f"{writer}-1"),
            Info("b", "file", 5, now[1].mtime, 0o600, None, f"{writer}-1"),
            Info("c", "link", 2, 9, 0o777, "\udcffx", f"{writer}-1"),
            Info("d", "9", 3, -1, 1, None, f"{writer}-1"),
        ]
        assert now[0].mtime > 0
        assert [info.path async for info in version.list("b")] == ["b"]
        with pytest.raises(NoSuchPath):
            _ = [info async for info in version.list("x")]
        with pytest.raises(NotAFolder):
            _ = [info async for info in version.list("b/x")]
        assert msgspec.to_builtins(now[0])["kind"] == "folder"


@pytest.mark.parametrize(
    "value",
    [b"", b"\x90", b"\x98\0\0\0\0\xc0\xc0\x80\x80x", encode_entry(Entry(5))[:-1], b"\x98\xff\0\0\0\xc0\xc0\x80"],
)
async def test_an_entry_that_is_none_is_listed_as_damaged_and_not_read(value: bytes, world: World) -> None:
    key = ROOT_FOLDER + b"bad\0" + bytes([1] * 32) + bytes(8)
    async with world.open() as space:
        async with space.change() as change:
            await change.write("good", b"x")
            change.put_value(key, value)
        kinds = {info.path: info.kind async for info in space.list()}
        assert kinds == {"bad": "damaged", "good": "file"}
        with pytest.raises(EntryDamaged):
            await space.read("bad")
        await space.write("bad", b"now it is good")
        assert await space.read("bad") == b"now it is good"


async def test_listing_find_and_walk_agree_over_many_nodes(world: World) -> None:
    rng = random.Random(1)
    names = sorted({f"{rng.randrange(10**6)}" * rng.randrange(1, 4) for _ in range(700)})
    async with world.open() as space:
        async with space.change() as change:
            for name in names:
                await change.write(f"folder/{name}", name.encode())
        version = await space.current()
        assert [info.path async for info in version.list("folder")] == sorted(names)
        walked = [found[-1].decode() async for found, _ in version.walk("folder")]
        assert walked == sorted(names)
        for name in rng.sample(names, 50):
            assert (await version.find(f"folder/{name}")).name == name.encode()
        for name in ("", "0", "zzz", names[0] + "x"):
            if name:
                with pytest.raises(NoSuchPath):
                    await version.find(f"folder/{name}")


async def test_a_walk_gives_a_folder_before_what_is_in_it_and_a_file_alone(world: World) -> None:
    async with world.open() as space:
        async with space.change() as change:
            for path in ("b/x", "a", "b/a/z", "c"):
                await change.write(path, b"")
        version = await space.current()
        assert [b"/".join(names).decode() async for names, _ in version.walk()] == [
            "a",
            "b",
            "b/a",
            "b/a/z",
            "b/x",
            "c",
        ]
        assert [names async for names, _ in version.walk("b/x")] == [()]
        with pytest.raises(NoSuchPath):
            _ = [names async for names, _ in version.walk("nothing")]


async def test_a_walk_passes_over_what_cannot_be_read_where_that_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open() as space:
        async with space.change() as change:
            for path in ("a/x", "b/x", "c/x"):
                await change.write(path, b"")
        version = await space.current()
        bad = (await version.find("b")).folders
        real = Version.listing

        async def listing(self: Version, folders: object) -> object:
            if folders == bad:
                raise ChunkLost("lost")
            async for shown in real(self, folders):  # type: ignore[arg-type]
                yield shown

        monkeypatch.setattr(Version, "listing", listing)
        told: list[tuple[tuple[bytes, ...], str]] = []
        found = [names async for names, _ in version.walk("", lambda names, error: told.append((names, str(error))))]
        assert [b"/".join(names) for names in found] == [b"a", b"a/x", b"b", b"c", b"c/x"]
        assert told == [((b"b",), "lost")]
        with pytest.raises(ChunkLost):
            _ = [names async for names, _ in version.walk("")]


async def test_a_ring_of_folders_does_not_make_a_walk_endless(world: World) -> None:
    """Only a forged or a joined tree has one, and of a joined one the view breaks it."""
    async with world.open() as space:
        await space.make_folder("a")
        inside = (await (await space.current()).find("a")).folders[0]
        async with space.change() as change:
            change._place(inside, b"a", Entry(Kind.FOLDER), inside)
        deepest = [len(names) async for names, _ in (await space.current()).walk()]
        assert max(deepest) == DEEPEST


async def test_an_empty_space_has_an_empty_top(world: World) -> None:
    async with world.open() as space:
        version = await space.current()
        assert [info async for info in version.list()] == []
        assert [names async for names, _ in version.walk()] == []
        assert (await version.find("/")).folders == (ROOT_FOLDER,)
        with pytest.raises(NoSuchPath, match="no /x in this version of the space"):
            await version.find("x/y")


@pytest.mark.slow
async def test_ten_thousand_entries_are_listed_quickly_and_put_again_cheaply(world: World, tmp_path: Path) -> None:
    """Bounds are ten times what an idle machine takes: they catch a listing that reads a node for each entry."""
    async with world.open() as space:
        async with space.change() as change:
            for number in range(10_000):
                await change.put_entry((b"f", b"%05d" % number), _small(number), once=True)
        version = await space.current()
        assert len([info async for info in version.list("f")]) == 10_000
        started = time.process_time()
        assert len([info async for info in version.list("f")]) == 10_000
        assert time.process_time() - started < 0.5
        started = time.process_time()
        async with space.change() as change:
            for number in range(10_000):
                assert not await change.put_entry((b"f", b"%05d" % number), _small(number), once=True)
        assert time.process_time() - started < 3


def _small(number: int) -> Entry:
    data = os.fsencode(str(number))
    return Entry(Kind.FILE, len(data), number, 0o644, bytes(32), Inline(data))
