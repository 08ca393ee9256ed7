"""Status: what is asked, what holds now, and what is owed, in words that hide nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces.check import check
from ropewalk.spaces.home import Settings, StoreSetting
from ropewalk.spaces.repair import repair
from ropewalk.spaces.status import Written, status
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import World, a_space, object_of, pack_of, paper

MIB = 1024 * 1024


@pytest.fixture
async def world(tmp_path: Path) -> World:
    made = await a_space(tmp_path)
    async with made.open() as space:
        await space.write("large", random.Random(1).randbytes(2 * MIB))
        await space.write("small", b"small")
    return made


def _with_domains(world: World, domains: dict[str, dict[str, str]]) -> None:
    def change(settings: Settings) -> Settings:
        stores = {name: StoreSetting(one.path, one.id, domains.get(name, {})) for name, one in settings.stores.items()}
        return msgspec.structs.replace(settings, stores=stores)

    world.home.update(change)


async def test_a_sound_space_says_what_it_keeps_and_what_is_in_it(world: World) -> None:
    async with world.open() as space:
        found = await status(space.core, Written(paper().public().id, "2026-01-02"))
        assert found.promise.kept
        assert (found.versions, found.entries, found.packs) == (2, 2, 1)
        assert (found.owed_shares, found.owed_heads, found.damaged, found.away) == (0, 0, 0, {})
        assert found.stored == sum(
            [len(await store.get(name)) for store in world.stores.values() for name in await store.names("/packs/")]
        )
        text = "\n".join(found.lines)
        assert "any 2 stores can be lost, as asked" in text
        assert "any 3 of 5 shares give a pack, writes need 4, privacy level 1" in text
        assert "owed" not in text
        assert (
            "keys: two copies, each of which opens all: this device and your paper key (shown on 2026-01-02)"
            in found.lines
        )


async def test_words_that_are_not_those_in_the_records_are_told(world: World) -> None:
    async with world.open() as space:
        found = await status(space.core, Written(bytes(32), "2026-01-02"))
        (line,) = [line for line in found.lines if "do not open this space" in line]
        assert "shown on this machine on 2026-01-02" in line
        assert found.as_dict()["paper"] == line
        assert "keys: two copies, each of which opens all: this device and your paper key" in found.lines


async def test_five_folders_on_one_disk_are_shown_as_what_they_are(world: World) -> None:
    _with_domains(world, {f"d{number}": {"disk": "sda", "machine": "here"} for number in range(5)})
    async with world.open() as space:
        found = await status(space.core)
        text = "\n".join(found.lines)
        assert found.promise.kept  # two stores were asked for, and no more
        assert "all five stores lie on one disk (sda): losing it loses everything" in text
        assert "all five stores lie on one machine (here): losing it loses everything" in text
        assert "the promise says nothing about disks" in text


async def test_stores_of_which_nothing_is_said_are_not_taken_for_independent(world: World) -> None:
    async with world.open() as space:
        text = "\n".join((await status(space.core)).lines)
        assert "not stated for any store: " in text
        assert "disk" in text


async def test_a_store_that_is_away_is_shown_and_counted_as_lost(world: World) -> None:
    async with world.open() as space:
        world.stores["d2"].gone = True
        found = await status(space.core)
        assert list(found.away) == ["d2"]
        assert found.lines[0].startswith("store d2 is away: ")
        assert not found.promise.kept
        assert "d2 is unreachable and counted as lost" in found.lines
        assert any(line.startswith("any 1 store can be lost") for line in found.lines)
        assert (await space.core.ledger.do(lambda state: state.owed_shares())) == []


async def test_what_cannot_be_read_now_is_told_from_what_is_lost(world: World) -> None:
    async with world.open() as space:
        for name in ("d1", "d2", "d3"):
            world.stores[name].gone = True
        text = "\n".join((await status(space.core)).lines)
        assert "not readable until enough of d1, d2 and d3 answer again" in text
        assert "lost: " not in text


async def test_debt_is_shown_until_it_is_paid(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        rule = Rule(Fault.FULL, on={"put"})
        world.stores["d4"].rules.append(rule)
        outcome = await space.write("large", random.Random(1).randbytes(2 * MIB))
        assert outcome is not None
        assert not outcome.in_full
        found = await status(space.core)
        assert (found.owed_shares, found.owed_heads) == (1, 1)
        assert "owed: 1 share and 1 copy of a head; `ropewalk repair` pays them" in found.lines
        assert not found.promise.kept
        world.stores["d4"].rules.clear()
        await repair(space.core)
        paid = await status(space.core)
        assert (paid.owed_shares, paid.owed_heads, paid.promise.kept) == (0, 0, True)


async def test_shares_that_vanished_are_seen_without_a_check(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        for share in pack.shares[:2]:
            await world.stores[share.store].lose(object_of(space, pack, share))
        found = await status(space.core)
        assert found.owed_shares == 2
        assert not found.promise.kept


async def test_heads_that_vanished_are_owed(world: World) -> None:
    async with world.open() as space:
        for name in await world.stores["d0"].names("/heads/"):
            await world.stores["d0"].lose(name)
        found = await status(space.core)
        assert found.owed_heads == 2
        assert found.promise.kept  # four copies are left of each


async def test_damage_that_was_found_is_shown(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        await world.stores[pack.shares[1].store].damage(object_of(space, pack, pack.shares[1]), 80)
        assert (await status(space.core)).damaged == 0  # nothing was read
        await check(space.core, everything=True)
        found = await status(space.core)
        assert found.damaged == 1
        assert "1 share is known to be damaged; `ropewalk repair` makes it anew" in found.lines
        assert not found.promise.kept


async def test_a_lost_pack_is_told_as_lost(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        for share in pack.shares[:3]:
            await world.stores[share.store].lose(object_of(space, pack, share))
        found = await status(space.core)
        assert not found.promise.kept
        assert any(line.startswith("lost: ") for line in found.lines)


async def test_a_space_with_nothing_in_it_has_a_status(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        found = await status(space.core)
        assert (found.versions, found.entries, found.packs, found.stored) == (0, 0, 0, 0)
        assert found.promise.kept


async def test_the_values_fit_json(world: World) -> None:
    async with world.open() as space:
        values = json.loads(
            json.dumps((await status(space.core, Written(paper().public().id, "2026-01-02"))).as_dict())
        )
        assert values["promise"]["kept"] is True
        assert values["owed"] == {"shares": 0, "heads": 0, "records": 0}
        assert values["entries"] == 2
