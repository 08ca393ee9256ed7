"""What an open space shows is what was acknowledged last, whatever a look was busy with meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ropewalk.spaces import space as space_module
from ropewalk.spaces.core import Core
from ropewalk.spaces.current import newest_version
from ropewalk.spaces.head import HeadName
from ropewalk.spaces.home import Home
from ropewalk.spaces.learning import Standing, learn_heads
from ropewalk.spaces.version import Version
from tests.spaces.making import a_space


async def test_a_look_that_began_before_a_change_is_not_shown_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("a", b"old")
        looked, go_on = asyncio.Event(), asyncio.Event()

        async def held(core: Core) -> tuple[Standing, Version]:
            found = await newest_version(core)
            looked.set()
            await go_on.wait()
            return found

        with monkeypatch.context() as while_held:
            while_held.setattr(space_module, "newest_version", held)
            looking = asyncio.create_task(space.read("a"))
            await looked.wait()
        await space.write("a", b"new")
        go_on.set()
        assert await looking == b"old"  # it was asked for before
        assert await space.read("a") == b"new"


async def test_a_head_that_was_learnt_is_shown_though_nobody_waited_for_the_end_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await a_space(tmp_path)
    other = replace(world, home=Home(world.home.config, tmp_path / "other"))
    async with world.open() as writing, other.open() as reading:
        await reading.current()
        await writing.write("a", b"new")
        name = HeadName.decode((await writing.log())[0].name)
        assert name is not None
        learnt = asyncio.Event()

        async def then_waits(core: Core, names: Sequence[HeadName]) -> int:
            found = await learn_heads(core, names)
            learnt.set()
            await asyncio.get_running_loop().create_future()
            return found

        monkeypatch.setattr(space_module, "learn_heads", then_waits)
        taking = asyncio.create_task(reading._take([name]))
        await learnt.wait()
        taking.cancel()
        await asyncio.wait([taking])
        assert await reading.read("a") == b"new"
