"""A device that was cloned: two of it write under one name, and neither loses the other's work unseen."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.spaces.cloning import forked
from tests.spaces.making import a_space


async def test_a_clone_that_wrote_under_the_same_sequence_is_seen_and_ends_this_incarnation(tmp_path: Path) -> None:
    world, before = await forked(tmp_path)
    async with world.open() as space:
        assert space.core.writer_id != before
        assert any("copied" in line for line in space.warnings)
        assert any("fork" in line for line in space.warnings)
        assert await space.read("theirs") == b"two"
        assert await space.read("shared") == b"from before"
        await space.write("after", b"three")
        after = space.core.writer_id
    async with world.open() as space:
        assert space.core.writer_id == after, "a fork that is over does not end each new incarnation"
        assert await space.read("after") == b"three"


async def test_too_few_stores_at_the_opening_are_asked_again_before_the_first_write(tmp_path: Path) -> None:
    """A restored backup that saw no store must not write under sequences that its later self has used."""
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("one", b"1")
    shutil.copytree(world.folder, tmp_path / "backup")
    async with world.open() as space:
        await space.write("two", b"2")
        used = space.core.writer_id
    shutil.rmtree(world.folder)
    shutil.copytree(tmp_path / "backup", world.folder, dirs_exist_ok=True)
    for name in ("d0", "d1", "d2", "d3"):
        world.stores[name].gone = True
    for head in (await world.stores["d4"].names("/heads/"))[:1]:
        await world.stores["d4"].lose(head)
    async with world.open() as space:
        assert space.core.writer_id == used
        for store in world.stores.values():
            store.gone = False
        world.clock.seconds += 60
        await space.write("three", b"3")
        assert space.core.writer_id != used
        assert await space.read("two") == b"2"
        assert await space.read("three") == b"3"
