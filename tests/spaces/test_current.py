"""What is shown after devices wrote apart is found from what changed, and is what a look at all of it would show."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ropewalk.errors import Unavailable
from ropewalk.spaces import current
from ropewalk.spaces.home import Home
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.tree.prolly import Tree
from ropewalk.spaces.tree.settling import Settling
from tests.spaces.making import World, a_space

FOLDERS = 60


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await a_space(tmp_path / "one")


@pytest.fixture
def beside(world: World, tmp_path: Path) -> World:
    """The same device's keys with a memory of their own: another incarnation, that writes without knowing of us."""
    home = Home(tmp_path / "two" / "config", tmp_path / "two" / "state")
    shutil.copytree(world.home.config, home.config)
    return replace(world, home=home)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Tree]:
    """The maps that were looked at as a whole."""
    made: list[Tree] = []
    whole = current._look_at_all

    async def counted(tree: Tree) -> Settling:
        made.append(tree)
        return await whole(tree)

    monkeypatch.setattr(current, "_look_at_all", counted)
    return made


async def _shown(space: Space) -> list[str]:
    return [b"/".join(parts).decode() async for parts, _ in (await space.current()).walk()]


async def _filled(world: World, beside: World) -> None:
    """Folders with a file in each, known to both, and settled by both."""
    async with world.open() as one, one.change() as change:
        for number in range(FOLDERS):
            await change.write(f"top{number % 6}/folder{number}/file", b"1")
    async with beside.open() as two:
        await two.write("two", b"2")
        await _shown(two)
    async with world.open() as one:
        await one.write("one", b"1")
        await _shown(one)
    async with beside.open() as two:
        await _shown(two)


async def test_the_first_merge_looks_at_all_of_it_and_the_next_ones_at_what_changed(
    world: World, beside: World, looks: list[Tree]
) -> None:
    await _filled(world, beside)
    assert looks
    looks.clear()
    for turn in range(4):
        async with world.open() as one, beside.open() as two:
            await one.write(f"top0/folder{turn}/ours", b"1")
            await two.write(f"top1/folder{turn}/theirs", b"2")
        for place in (world, beside):
            async with place.open() as space:
                assert {f"top0/folder{turn}/ours", f"top1/folder{turn}/theirs"} <= set(await _shown(space))
        async with beside.open() as two:
            await two.write("joined", bytes([turn]))
    assert looks == []


async def test_what_is_not_plain_is_shown_alike_with_a_memory_and_without(
    world: World, beside: World, looks: list[Tree]
) -> None:
    await _filled(world, beside)
    async with world.open() as one, beside.open() as two:
        async with one.change() as change:
            await change.move("top0", "top1/ring")
            await change.remove("top3", recursive=True)
            await change.move("top4/folder4", "top5/moved")
            await change.write("clash.txt", b"ours")
        async with two.change() as change:
            await change.move("top1", "top0/ring")
            await change.write("top3/folder3/late", b"2")
            await change.move("top4/folder4", "top2/moved")
            await change.write("clash.txt", b"theirs")
    looks.clear()
    seen = []
    for place in (world, beside):
        for _ in range(2):
            async with place.open() as space:
                seen.append(await _shown(space))
    assert looks == []
    async with world.open() as one:
        await one.core.ledger.do(State.set_meta, "folders", b"")
        seen.append(await _shown(one))
    assert looks, "who has no memory has to"
    assert all(paths == seen[0] for paths in seen)
    assert any(path.startswith("lost+found/") for path in seen[0])
    assert any(path.startswith("clash (conflict ") for path in seen[0])
    looks.clear()
    async with world.open() as one:
        await one.write("more", b"1")
        paths = await _shown(one)
    assert looks == []
    assert paths == sorted([*seen[0], "more"], key=lambda path: path.encode().split(b"/"))


async def test_an_old_version_that_cannot_be_read_costs_a_look_at_all_of_it(
    world: World, beside: World, looks: list[Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    await _filled(world, beside)
    async with beside.open() as two:
        await two.write("top0/folder0/file", b"other")
        known = await two.core.ledger.do(State.folders_head)
        assert known is not None
        held = await two.core.ledger.do(State.head_named, known)
        assert held is not None
        await two.core.ledger.do(State.set_meta, "settled", b"")
    looks.clear()
    whole = Tree.diff

    def refused(tree: Tree, other: Tree) -> object:
        if tree.root == held.root:
            raise Unavailable("the stores of that version are away")
        return whole(tree, other)

    monkeypatch.setattr(Tree, "diff", refused)
    async with beside.open() as two:
        assert await two.read("top0/folder0/file") == b"other"
        assert await two.core.ledger.do(State.folders_head) != known
    assert len(looks) == 1


async def test_an_old_version_is_looked_at_without_forgetting_the_newest(
    world: World, beside: World, looks: list[Tree]
) -> None:
    await _filled(world, beside)
    async with beside.open() as two:
        await two.current()
        known = await two.core.ledger.do(State.folders_head)
        old = (await two.log())[1]
        looks.clear()
        assert [info.path async for info in (await two.at(old.hash.hex())).list("top0")]
        assert await two.core.ledger.do(State.folders_head) == known
    assert looks == []
