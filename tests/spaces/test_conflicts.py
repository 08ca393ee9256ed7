"""Conflicts: each clash is told with who wrote what and when, and a merge is offered from what both sides had seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ropewalk.spaces.conflicts import Clash, History, HistoryOf, clashes, common_base, offer
from ropewalk.spaces.home import Home
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import KnownHead
from ropewalk.spaces.textmerge import LARGEST_TEXT, NotMergeable
from ropewalk.spaces.tree.entry import Entry, Inline
from ropewalk.spaces.tree.prolly import Tree
from tests.spaces.making import World, a_space


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await a_space(tmp_path / "one")


@pytest.fixture
def beside(world: World, tmp_path: Path) -> World:
    """The same device's keys with a memory of their own: another incarnation, that writes without knowing of us."""
    home = Home(tmp_path / "two" / "config", tmp_path / "two" / "state")
    home.update(lambda _: world.home.load())
    return World(home, world.stores, world.clock, world.time)


async def _found(space: Space) -> list[Clash]:
    return [clash async for clash in clashes(await space.current(), HistoryOf(space.core))]


async def _apart(
    world: World, beside: World, base: dict[str, bytes], one: dict[str, bytes], two: dict[str, bytes]
) -> None:
    async with world.open() as first, first.change() as change:
        for path, data in base.items():
            await change.write(path, data)
    async with world.open() as first, beside.open() as second:
        for space, written in ((first, one), (second, two)):
            async with space.change() as change:
                for path, data in written.items():
                    await change.write(path, data)


BASE, ONE, TWO = b"1\n2\n3\n4\n5\n", b"one\n2\n3\n4\n5\n", b"1\n2\n3\n4\ntwo\n"


async def test_where_nothing_clashes_nothing_is_read(world: World, beside: World) -> None:
    await _apart(world, beside, {"a": BASE}, {"b": ONE}, {"c": TWO})
    async with world.open() as space:
        version = await space.current()

        class Never:
            def __getattr__(self, name: str) -> object:
                raise AssertionError(name)

        never: History = Never()  # type: ignore[assignment]
        assert [clash async for clash in clashes(version, never)] == []


async def test_each_side_is_told_with_its_write(world: World, beside: World) -> None:
    await _apart(world, beside, {"top/file.txt": BASE}, {"top/file.txt": ONE}, {"top/file.txt": TWO, "top/x": b"x"})
    async with world.open() as space:
        (clash,) = await _found(space)
        heads = {head.hash: head for head in await space.log()}
        assert clash.path == (b"top", b"file.txt")
        assert clash.sides[0].shown == b"file.txt"
        assert clash.sides[1].shown.startswith(b"file (conflict ")
        for side in clash.sides:
            assert side.head is not None
            assert heads[side.head.hash].time == side.head.time
            assert (side.head.writer, side.head.sequence) == (side.key.writer, side.key.sequence)
            assert await space.read(b"top/" + side.shown) in (ONE, TWO)


async def test_clashes_in_folders_of_one_name_and_at_the_top_are_found(world: World, beside: World) -> None:
    await _apart(world, beside, {"base": b""}, {"new/file": ONE, "top": ONE}, {"new/file": TWO, "top": TWO})
    async with world.open() as space:
        found = await _found(space)
        assert [clash.path for clash in found] == [(b"top",), (b"new", b"file")]
        assert all(len(clash.sides) == 2 for clash in found)
        assert await common_base(HistoryOf(space.core), *found[0].sides) is None, "made apart"
        merged = await offer(HistoryOf(space.core), *found[0].sides)
        assert merged.clashes == 2


async def test_a_merge_is_offered_from_what_both_had_seen(world: World, beside: World) -> None:
    await _apart(world, beside, {"file": b"older\n"}, {"other": b""}, {})
    async with world.open() as one:
        await one.write("file", BASE)
    async with beside.open() as two:
        await two.write("seen", b"")
    async with world.open() as one, beside.open() as two:
        await one.write("between", b"")
        await one.write("file", ONE)
        await two.write("file", TWO)
    for place in (world, beside):
        async with place.open() as space:
            (clash,) = await _found(space)
            merged = await offer(HistoryOf(space.core), *clash.sides)
            assert (merged.clashes, merged.text()) == (0, b"one\n2\n3\n4\ntwo\n")


@dataclass
class Told:
    """A history of which only some is known, and files that say how large they are."""

    inner: HistoryOf
    known: list[KnownHead]

    async def heads(self) -> list[KnownHead]:
        return self.known

    def tree(self, head: KnownHead) -> Tree:
        return self.inner.tree(head)

    async def read(self, entry: Entry) -> bytes:
        assert entry.size <= LARGEST_TEXT
        return await self.inner.read(entry)


async def test_what_is_not_known_is_no_base_and_the_sides_are_told_all_the_same(world: World, beside: World) -> None:
    await _apart(world, beside, {"file": BASE}, {"file": ONE}, {"file": TWO})
    async with world.open() as space:
        (clash,) = await _found(space)
        everything = list(await space.log())
        base = await common_base(HistoryOf(space.core), *clash.sides)
        assert base is not None
        assert base.content == Inline(BASE)
        without = Told(HistoryOf(space.core), [head for head in everything if head.hash != clash.sides[1].head.hash])  # type: ignore[union-attr]
        assert len(without.known) == len(everything) - 1
        again = [found async for found in clashes(await space.current(), without)]
        assert [side.head is None for side in again[0].sides] == [False, True]
        known = await common_base(without, *clash.sides)
        assert known is None or known.content == Inline(BASE), "never what one of the two made of it"
        assert await common_base(Told(HistoryOf(space.core), []), *clash.sides) is None


async def test_what_is_no_text_is_refused_before_it_is_read(world: World, beside: World) -> None:
    await _apart(world, beside, {"file": BASE}, {"file": ONE}, {"file": b"\xff"})
    async with world.open() as space:
        (clash,) = await _found(space)
        history = Told(HistoryOf(space.core), list(await space.log()))
        with pytest.raises(NotMergeable, match="not UTF-8"):
            await offer(history, *clash.sides)
        large = [replace(side, entry=Entry(0, size=LARGEST_TEXT + 1)) for side in clash.sides]
        with pytest.raises(NotMergeable, match="at most"):
            await offer(history, *large)
        folder = replace(clash.sides[0], entry=Entry(1))
        with pytest.raises(NotMergeable, match="not a file"):
            await offer(history, folder, clash.sides[1])
