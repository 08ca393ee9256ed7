"""Evacuate: all that one store has is brought to others, and its shares deleted there, whatever happens on the way."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.check import check
from ropewalk.spaces.evacuate import StoreNeeded, check_can_go
from ropewalk.spaces.following import with_draining
from ropewalk.spaces.home import Home, Settings, SpaceSetting, StoreSetting
from ropewalk.spaces.repair import RepairReport, repair
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.status import status
from ropewalk.spaces.store import ObjectName, StoreGone
from ropewalk.testing.faults import Fault, Rule, StopAfter
from tests.spaces.crashing import NEVER, is_stop, stopping
from tests.spaces.making import KeptStore, World, a_space, object_of, pack_of
from tests.spaces.test_crash import chosen

LARGE = random.Random(6).randbytes(300_000)
FILES = {"large": LARGE, "small": b"small", "a/other": b"other" * 99}


def change_space(home: Home, **values: Any) -> None:
    def change(settings: Settings) -> Settings:
        space: SpaceSetting = msgspec.structs.replace(settings.spaces["photos"], **values)
        return msgspec.structs.replace(settings, spaces={"photos": space})

    home.update(change)


def add_store(world: World, name: str, domains: Mapping[str, str] | None = None) -> None:
    """One more store, as `space add-store` adds it."""
    world.stores[name] = KeptStore()
    number = len(world.stores)
    setting = StoreSetting(name, f"{number:02x}" * 16, dict(domains or {}))
    world.home.update(lambda now: msgspec.structs.replace(now, stores={**now.stores, name: setting}))
    change_space(world.home, stores=[*world.home.space("photos").stores, name])


def drain(world: World, store: str, *, draining: bool = True) -> None:
    space = with_draining(world.home.space("photos"), store, draining=draining)
    change_space(world.home, draining=space.draining)


def remove_store(world: World, store: str) -> None:
    change_space(world.home, stores=[one for one in world.home.space("photos").stores if one != store], draining=[])


async def a_world(tmp_path: Path) -> World:
    """Packs of five on five stores, and a sixth that is empty."""
    world = await a_space(tmp_path)
    async with world.open() as space:
        for path, data in FILES.items():
            if "/" in path:
                await space.make_folder(path.rpartition("/")[0])
            await space.write(path, data)
    add_store(world, "d5")
    return world


async def is_whole(space: Space) -> None:
    for path, data in FILES.items():
        assert await space.read(path) == data
    report = await check(space.core, everything=True)
    assert report.ok, report.lines
    assert (await status(space.core)).promise.kept


def judged(names: Iterable[ObjectName]) -> list[ObjectName]:
    """Of these those that others judge a store by, and that stay in it."""
    return sorted(name for name in names if "/packs/" not in name)


async def test_all_is_brought_elsewhere_and_no_share_is_left(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    before = await world.stores["d0"].snapshot()
    staying = judged(before)
    assert len({name.split("/")[1] for name in staying} & {"heads", "records"}) == 2
    seen: list[tuple[int, int]] = []
    async with world.open() as space:
        report = await space.evacuate("d0", lambda done, total: seen.append((done, total)))
        assert (report.packs, report.shares, report.remade, report.owed, report.left) == (1, 1, 0, 0, 0)
        assert (report.stay, report.stay_size) == (len(staying), sum(len(before[name]) for name in staying))
        assert any(f"{len(staying)} heads, records and hints" in line and "stay there" in line for line in report.lines)
        assert report.problems == []
        assert seen[0] == (0, 1)
        assert seen[-1] == (1, 1)
        assert sorted(await world.stores["d0"].names()) == staying
        assert {share.store for share in (await pack_of(space)).shares} == {"d1", "d2", "d3", "d4", "d5"}
        await is_whole(space)
    remove_store(world, "d0")
    async with world.open() as space:
        await is_whole(space)
        assert await repair(space.core) == RepairReport()
        assert space.warnings == []
    shutil.rmtree(world.folder)
    async with world.open() as space:
        await is_whole(space)


async def test_what_drains_gets_nothing_new_and_is_read(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    before = await world.stores["d0"].snapshot()
    async with world.open() as space:
        await space.write("new", LARGE[::-1])
        assert space.outcome is not None
        assert space.outcome.in_full
        await space.pay()
        report = await repair(space.core)
        assert (report.owed, report.shares, report.removed, report.problems) == (0, 0, 0, [])
        assert await world.stores["d0"].snapshot() == before
        found = await status(space.core)
        assert found.draining == ("d0",)
        assert (found.owed_heads, found.owed_records, found.owed_shares) == (0, 0, 0)
        assert any("store d0 is being drained" in line for line in found.lines)
    for name in ("d1", "d2"):
        world.stores[name].gone = True
    shutil.rmtree(world.home.state)  # with what it may have kept of what it read
    async with world.open() as space:
        assert await space.read("large") == LARGE
        assert any("/packs/" in name for name, _, _ in world.stores["d0"].gets)


async def test_what_drains_no_more_gets_what_is_new(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    async with world.open() as space:
        await space.write("new", b"new")
        drain(world, "d0", draining=False)
        await space.write("newer", b"newer")
        heads = {name: len(await store.names("/heads/")) for name, store in world.stores.items()}
        assert heads["d0"] == heads["d1"] - 1
        assert (await repair(space.core)).owed == 0
        assert len(await world.stores["d0"].names("/heads/")) == heads["d1"]


async def test_an_open_space_uses_a_new_store_at_once(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("before", b"before")
        add_store(world, "d5")
        drain(world, "d0")
        await space.write("large", LARGE)
        assert {share.store for share in (await pack_of(space)).shares} == {"d1", "d2", "d3", "d4", "d5"}
        assert len(await world.stores["d5"].names("/heads/")) == 1
        assert len(await world.stores["d0"].names("/heads/")) == 1
        remove_store(world, "d0")
        assert await space.read("large") == LARGE
        await space.write("after", b"after")
        assert space.core.pool.names == ["d1", "d2", "d3", "d4", "d5"]


async def test_settings_that_cannot_be_read_change_nothing_for_who_has_the_space_open(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("before", b"before")
        (world.home.config / "settings.toml").write_text("format = [")
        await space.write("after", b"after")
        assert any("used as they were" in warning for warning in space.warnings)


async def test_it_is_refused_while_the_store_is_needed(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    drain(world, "d0")
    async with world.open() as space:
        before = await world.stores["d0"].snapshot()
        with pytest.raises(StoreNeeded, match="without store d0: 5 shares need 5 stores, the pool has 4"):
            await space.evacuate("d0")
        assert await world.stores["d0"].snapshot() == before


async def test_it_is_refused_where_the_others_are_too_much_alike(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    machines = {"d1": "x", "d2": "x", "d3": "y", "d4": "y", "d5": "y", "d0": "z"}

    def stated(settings: Settings) -> Settings:
        stores = {name: msgspec.structs.replace(one, domains={"machine": machines[name]}) for name, one in
                  settings.stores.items()}  # fmt: skip
        return msgspec.structs.replace(settings, stores=stores)

    world.home.update(stated)
    async with world.open() as space:
        space.core.membership.policy.survive["machine"] = 1
        with pytest.raises(
            StoreNeeded, match="is survived only where any 2 shares give a pack back, and here it takes"
        ):
            check_can_go(space.core, "d0")


async def test_only_a_store_that_drains_is_evacuated(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    async with world.open() as space:
        with pytest.raises(Misuse, match="gets what is new"):
            await space.evacuate("d0")
        with pytest.raises(Misuse, match="not part of this space"):
            await space.evacuate("d9")


async def test_a_store_that_is_away_cannot_be_emptied(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    world.stores["d0"].gone = True
    async with world.open() as space:
        with pytest.raises(StoreGone, match="store d0 is not there"):
            await space.evacuate("d0")


async def test_what_is_damaged_there_is_made_anew_elsewhere(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    async with world.open() as space:
        pack = await pack_of(space)
        share = next(one for one in pack.shares if one.store == "d0")
        await world.stores["d0"].damage(object_of(space, pack, share), 99)
        report = await space.evacuate("d0")
        assert (report.shares, report.remade, report.owed, report.left) == (1, 1, 0, 0)
        await is_whole(space)


async def test_kept_there_if_that_is_asked(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    before = await world.stores["d0"].snapshot()
    async with world.open() as space:
        report = await space.evacuate("d0", delete=False)
        assert (report.shares, report.deleted, report.owed) == (1, 0, 0)
        assert await world.stores["d0"].snapshot() == before
    remove_store(world, "d0")
    async with world.open() as space:
        await is_whole(space)


@pytest.mark.parametrize("fault", [Fault.FULL, Fault.LOSE, Fault.CORRUPT, Fault.TRUNCATE, Fault.REFUSE])
async def test_what_no_other_store_takes_or_keeps_stays(tmp_path: Path, fault: Fault) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    world.stores["d5"].rules.append(Rule(fault, on={"put"}, name=lambda name: "/packs/" in name))
    async with world.open() as space:
        report = await space.evacuate("d0")
        assert (report.shares, report.owed) == (0, 1)
        assert any("d5" in problem for problem in report.problems)
        assert len(await world.stores["d0"].names("/packs/")) == 1
        assert await space.read("large") == LARGE
        world.stores["d5"].rules.clear()
        if fault in (Fault.CORRUPT, Fault.TRUNCATE):
            await repair(space.core)  # a wrong object stands in the way
        report = await space.evacuate("d0")
        assert (report.owed, report.left) == (0, 0)
        await is_whole(space)


async def test_a_share_whose_copy_was_lost_since_is_not_deleted(tmp_path: Path) -> None:
    """A stop after the copy and before the deletion; then the copy goes bad, which no listing shows."""
    world = await a_world(tmp_path)
    drain(world, "d0")
    async with world.open() as space:
        await space.evacuate("d0", delete=False)
        name = (await world.stores["d5"].names("/packs/"))[0]
        await world.stores["d5"].damage(name, 99)
        report = await space.evacuate("d0")
        assert report.owed == 1
        assert len(await world.stores["d0"].names("/packs/")) == 1
        await repair(space.core)
        assert (await space.evacuate("d0")).owed == 0
        await is_whole(space)


async def test_what_is_not_known_to_be_of_the_space_is_left(tmp_path: Path) -> None:
    world = await a_world(tmp_path)
    drain(world, "d0")
    async with world.open() as space:
        prefix = space.core.space_id.hex()
        for name in (f"{prefix}/packs/{'1' * 64}-00-{'2' * 32}", f"{prefix}/records/{'3' * 64}", "other/thing"):
            await world.stores["d0"].put(name, (b"whatever",))  # type: ignore[arg-type]
        report = await space.evacuate("d0")
        assert (report.owed, report.left, report.unknown) == (0, 2, 2)
        assert len(await world.stores["d0"].names()) == report.stay + 3


@dataclass
class Stilled:
    """A world just before an evacuation, to be had again and again."""

    folder: Path
    objects: dict[str, dict[Any, bytes]]
    count: int = 0

    async def thawed(self) -> World:
        self.count += 1
        folder = self.folder.with_name(f"run{self.count}")
        shutil.copytree(self.folder, folder)
        world = World(Home(folder / "config", folder / "state"), {name: KeptStore() for name in self.objects})
        world.time = 1 << 60
        for name, store in world.stores.items():
            await store.roll_back(self.objects[name])
        return world


async def stop_everywhere(tmp_path: Path, done: bool, choose: Callable[[int], Iterable[int]]) -> None:
    world = await a_world(tmp_path / "before")
    drain(world, "d0")
    stilled = Stilled(tmp_path / "before", {name: await store.snapshot() for name, store in world.stores.items()})
    whole = StopAfter(NEVER)
    await _one_stop(await stilled.thawed(), whole)
    for at in choose(whole.calls):
        try:
            await _one_stop(await stilled.thawed(), StopAfter(at, done=done))
        except (AssertionError, RopewalkError) as error:
            error.add_note(f"stopped at store call {at} of {whole.calls}")
            raise


async def _one_stop(world: World, stop: StopAfter) -> None:
    world.around = stop.around
    with stopping(stop):
        try:
            async with world.open() as space:
                await space.evacuate("d0")
        except BaseException as error:
            if not is_stop(error):
                raise
    world.around = lambda store: store
    world.clock.seconds += 10
    async with world.open() as space:
        for path, data in FILES.items():
            assert await space.read(path) == data
        report = await space.evacuate("d0")
        assert (report.owed, report.left) == (0, 0), report.lines
        names = await world.stores["d0"].names()
        assert len(names) == len(judged(names)) == report.stay
        await is_whole(space)
        assert not any("went back" in warning for warning in space.warnings)
    remove_store(world, "d0")
    async with world.open() as space:
        await is_whole(space)
        assert await space.core.ledger.do(State.packs_on, "d0") == []


@pytest.mark.parametrize("done", [False, True])
async def test_stopped_at_a_store_call_it_goes_on_later(tmp_path: Path, done: bool, seed: int) -> None:
    await stop_everywhere(tmp_path, done, lambda total: chosen(total, seed))


@pytest.mark.slow
@pytest.mark.parametrize("done", [False, True])
async def test_stopped_at_every_store_call_it_goes_on_later(tmp_path: Path, done: bool) -> None:
    await stop_everywhere(tmp_path, done, range)
