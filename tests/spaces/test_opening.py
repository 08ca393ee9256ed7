"""Opening: from settings to an open space, with all that may be missing or wrong on the way."""

from __future__ import annotations

import random
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ropewalk.errors import Misuse, Unavailable
from ropewalk.spaces.home import UnknownName
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.members import NotAMember, Policy, RecordDamaged
from ropewalk.spaces.opening import Memory, create_space, open_core, open_pool, plan_policy
from ropewalk.spaces.pack.directory import Place
from ropewalk.spaces.pool.placement import PromiseImpossible, StoreDomains
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.state import State, StateDamaged, StateTooNew
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import World, a_space, device, paper

STORES = [StoreDomains(f"d{at}") for at in range(5)]


async def _create(world: World, name: str = "films", privacy: int = 1) -> bytes:
    policy = plan_policy(STORES, {"store": 2})
    return await create_space(
        *(world.home, name, list(world.stores), policy, privacy, device(), paper().public()),
        clock=world.clock,
        now=world.now,
        open_store=world.open_store,
    )


def test_the_policy_takes_the_least_room_that_keeps_the_promise() -> None:
    assert plan_policy(STORES, {"store": 2}) == Policy(3, 5, 4, {"store": 2})
    assert plan_policy(STORES, {}) == Policy(5, 5, 5, {})
    assert plan_policy(STORES, {"store": 2}, floor=3).floor == 3
    assert plan_policy([StoreDomains(f"{at}") for at in range(64)], {"store": 4}).n == 64
    for floor in (2, 6):
        with pytest.raises(Misuse):
            plan_policy(STORES, {"store": 2}, floor)
    with pytest.raises(PromiseImpossible):
        plan_policy(STORES, {"disk": 1})


async def test_a_space_is_made_once_and_with_a_privacy_that_there_is(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    with pytest.raises(Misuse, match="already"):
        await _create(world, "photos")
    with pytest.raises(Misuse, match="privacy level is 3"):
        await _create(world, privacy=3)
    assert len(await world.stores["d0"].names("/records/")) == 2


async def test_a_space_has_no_more_stores_than_a_pack_has_shares(tmp_path: Path) -> None:
    names = [f"d{at}" for at in range(65)]
    with pytest.raises(Misuse, match="a space has at most 64 stores, got 65"):
        plan_policy([StoreDomains(name) for name in names], {"store": 2})
    world = await a_space(tmp_path, stores=2, survive={"store": 1})
    made = (world.home, "wide", names, Policy(3, 5, 4, {"store": 2}), 1, device(), paper().public())
    with pytest.raises(Misuse, match="a space has at most 64 stores, got 65"):
        await create_space(*made, clock=world.clock, now=world.now, open_store=world.open_store)
    assert list(world.home.load().spaces) == ["photos"]


async def test_a_space_whose_records_too_few_stores_take_is_not_made(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    for name in ("d0", "d1"):
        world.stores[name].rules.append(Rule(Fault.FULL))
    with pytest.raises(BelowFloor, match="3 of 5 stores took the space's records"):
        await _create(world)
    with pytest.raises(UnknownName):
        world.home.space("films")


async def test_a_store_that_is_away_is_named_and_the_space_opens(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    world.stores["d1"].gone = True
    async with world.open() as space:
        assert space.warnings == ["store d1 is not there: store is gone: a test said so"]
        assert [info async for info in space.list()] == []


async def test_a_store_that_no_setting_names_is_said_before_any_is_opened(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    with pytest.raises(UnknownName):
        await open_pool(world.home, ["d0", "other"], world.clock, world.open_store, device().public())


async def test_keys_of_a_stranger_open_nothing(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    setting, keys = world.home.space("photos"), DeviceKeys(b"s" * 32)
    with ThreadPoolExecutor(1) as cpu, pytest.raises(NotAMember):
        await open_core(world.home, setting, keys, cpu, world.clock, world.now, world.open_store)


async def test_records_come_from_any_store_that_has_good_ones(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("a", b"1")
    (world.folder / "state.db").unlink()
    for number, name in enumerate(await world.names("/records/")):
        await world.stores["d0"].damage(name)
        await world.stores["d1"].cut(name, 100)
        await world.stores["d2"].lose(name)
        await world.stores[f"d{3 + number}"].lose(name)  # no store has both
    world.stores["d3"].rules.append(Rule(Fault.DAMAGED, on={"get"}, name=lambda name: "/records/" in name, times=0))
    async with world.open() as space:
        assert await space.read("a") == b"1"


async def test_without_records_there_is_no_space(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    (world.folder / "state.db").unlink()
    for name in await world.names("/records/"):
        for store in world.stores.values():
            await store.damage(name, 9)
    with pytest.raises(RecordDamaged, match="was not found"):
        async with world.open():
            pass
    for store in world.stores.values():
        store.gone = True
    with pytest.raises(Unavailable, match="no store of this space answers"):
        async with world.open():
            pass


async def test_a_state_that_is_damaged_is_put_aside_and_built_anew(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("a", b"1")
        await space.write("b", b"2" * 5000)
        before = space.core.incarnation
    (world.folder / "state.db").write_bytes(b"junk" * 5000)
    async with world.open() as space:
        assert any("was put aside as state.db.damaged-" in warning for warning in space.warnings)
        assert space.core.incarnation != before
        assert await space.read("b") == b"2" * 5000
    (aside,) = world.folder.glob("state.db.damaged-*")
    assert aside.read_bytes() == b"junk" * 5000
    async with world.open() as space:
        assert space.warnings == []


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE heads SET about = x'00'",
        "UPDATE heads SET about = x'00', state = 0, data = x'00'",
        "DROP TABLE heads",
        "DROP TABLE meta",
        "UPDATE records SET data = x'00'",
    ],
)
async def test_a_state_whose_rows_are_damaged_opens_all_the_same(tmp_path: Path, harm: str) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("a", b"1" * 5000)
        await space.core.ledger.do(lambda state: state._db.execute(harm))
    async with world.open() as space:
        assert await space.read("a") == b"1" * 5000
        await space.write("b", b"2")
    async with world.open() as space:
        assert await space.read("b") == b"2"


async def test_a_state_of_a_later_version_is_not_put_aside(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.core.ledger.do(lambda state: state._db.execute("PRAGMA user_version = 99"))
    with pytest.raises(StateTooNew):
        async with world.open():
            pass
    assert list(world.folder.glob("*.damaged*")) == []


async def test_an_opening_that_fails_lets_go_of_everything(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    with ThreadPoolExecutor(1) as cpu:
        for _ in range(2):
            core, memory = await open_core(
                world.home, world.home.space("photos"), device(), cpu, world.clock, world.now, world.open_store
            )
            assert memory is Memory.KEPT
            assert await core.ledger.do(lambda state: list(state.packs())) == []
            await core.ledger.aclose()
            await core.pool.aclose()


async def test_damage_that_is_found_in_use_is_put_aside_at_the_next_opening(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        for number in range(3):
            await space.write(f"{number}", bytes([number]) * 90_000)
        await space.core.ledger.do(_many_chunks)
    path = world.folder / "state.db"
    _overwrite(path, "chunks")
    async with world.open() as space:
        assert space.warnings == [], "the places of chunks are not looked through at each opening"
        with pytest.raises(StateDamaged) as damaged:
            await space.core.ledger.do(_all_chunks)
        assert "anew" in damaged.value.hint
    async with world.open() as space:
        assert any("was put aside as state.db.damaged-" in warning for warning in space.warnings)
        for number in range(3):
            assert await space.read(f"{number}") == bytes([number]) * 90_000
    async with world.open() as space:
        assert space.warnings == []


@pytest.mark.parametrize("table", ["meta", "records", "heads", "packs", "shares"])
async def test_a_fault_in_what_is_not_found_by_its_hash_is_seen_at_the_opening(tmp_path: Path, table: str) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("a", b"1" * 90_000)
    _overwrite(world.folder / "state.db", table)
    async with world.open() as space:
        assert any("was put aside as state.db.damaged-" in warning for warning in space.warnings)
        assert await space.read("a") == b"1" * 90_000


def _many_chunks(state: State) -> None:
    state.add_chunks(1, [Place(at.to_bytes(32, "big"), 0, at, 1) for at in range(3000)])


def _all_chunks(state: State) -> int:
    return len(state._db.execute("SELECT * FROM chunks").fetchall())


def _overwrite(path: Path, table: str) -> None:
    """A page of this table is not what it was."""
    database = sqlite3.connect(path)
    (size,) = database.execute("PRAGMA page_size").fetchone()
    (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    database.close()
    held = path.read_bytes()
    path.write_bytes(held[: (page - 1) * size] + b"\xee" * size + held[page * size :])


async def test_what_others_wrote_is_caught_up_with_in_silence_and_a_memory_that_is_gone_is_not(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("a", b"1" * 5000)
        assert space.warnings == []
    shutil.copytree(world.folder, tmp_path / "older")
    async with world.open() as space:
        await space.write("b", random.Random(2).randbytes(90_000))
    (world.folder / "state.db").unlink()
    async with world.open() as space:  # as if it were another device
        (line,) = space.warnings
        assert line.startswith("the local state of photos was built anew from the stores (1 pack, ")
        await space.write("c", random.Random(3).randbytes(90_000))
    shutil.rmtree(world.folder)
    async with world.open() as space:
        said = "nothing was known of 'photos' on this machine: that its stores show an old version cannot be ruled out"
        assert (space.notes, space.warnings) == ([f"{said} this once"], [])
        later = space.core.writer_id
        await space.write("d", random.Random(4).randbytes(90_000))
    shutil.rmtree(world.folder)
    shutil.copytree(tmp_path / "older", world.folder, dirs_exist_ok=True)
    async with world.open() as space:
        assert [line for line in space.warnings if "built anew" in line] == []
        assert space.notes == []
        assert later in {head.writer for head in await space.log()}
        assert await space.read("d") == random.Random(4).randbytes(90_000)


async def test_a_local_record_that_is_damaged_is_replaced_by_the_copies_in_the_stores(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        before = await space.core.ledger.do(State.records)
        await space.core.ledger.do(
            lambda state: state.set_records([*before, (before[0][0][:-4] + "beef", before[0][1] + b"junk")])
        )
    async with world.open() as space:
        assert sorted(await space.core.ledger.do(State.records)) == sorted(before)
