"""What is known of stores without asking any: what it comes to is what a look at them would, where nothing was lost."""

from __future__ import annotations

import random
from pathlib import Path

from ropewalk.spaces.at_hand import at_hand, stores_at_hand
from ropewalk.spaces.status import status, status_at_hand
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import a_space

LARGE = random.Random(1).randbytes(2_000_000)
ALL = frozenset(f"d{number}" for number in range(5))


async def test_what_is_owed_lies_where_it_lies_and_nowhere_else(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        world.stores["d4"].rules.append(Rule(Fault.FULL, on={"put"}))
        await space.write("large", LARGE)
        known = await at_hand(space.core)
        assert (known.owed, known.owed_heads, known.packs) == (1, 1, 1)
        assert set(known.heads) == {ALL, ALL - {"d4"}}  # the records, the head
        assert [group.stores for group in known.groups] == [ALL - {"d4"}]
        assert (known.held["d4"].shares, known.held["d4"].owed) == (0, 1)
        assert (await status_at_hand(space.core, known)).promise == (await status(space.core)).promise
        named = {one.name: one for one in stores_at_hand(space.core, known)}
        assert (named["d4"].standing, named["d0"].standing) == ("full", "up")
        assert named["d0"].seen.ago is not None


async def test_what_lies_in_a_store_that_was_taken_out_counts_for_nothing(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("large", LARGE)
        before = await at_hand(space.core)
        space.core.pool.part("d4")
        after = await at_hand(space.core)
        assert [group.stores for group in after.groups] == [ALL - {"d4"}]
        assert "d4" not in after.held
        for known in (before, after):  # what was added up just before, too
            found = await status_at_hand(space.core, known)
            assert [one.name for one in found.promise.stores] == sorted(ALL - {"d4"})
            assert not found.promise.kept


async def test_all_are_asked_those_too_that_are_left_alone(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        pool = space.core.pool
        world.stores["d2"].gone = True
        await pool.ask_all(5)
        assert not pool.up("d2")
        world.stores["d2"].gone = False
        await pool.ask_all(5)
        assert pool.up("d2")
