"""Testimony: what a store does is written down when it is seen, in so many files, and refused or gone on without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces.audit import ProofLine, audit
from ropewalk.spaces.head import HeadName
from ropewalk.spaces.home import Settings
from ropewalk.spaces.learning import learn
from ropewalk.spaces.members import LARGEST_RECORD
from ropewalk.spaces.proof import Kind, verify
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.state.proofs import MOST_OF_ONE, OFTEN
from ropewalk.spaces.store import Listed, ObjectName
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import World, a_space


def marker(store: str) -> bytes:
    return store.encode() * 8


@pytest.fixture
async def world(tmp_path: Path) -> World:
    """A space over stores that can be told apart."""
    made = await a_space(tmp_path / "one")

    def ids(settings: Settings) -> Settings:
        named = {name: msgspec.structs.replace(one, id=marker(name).hex()) for name, one in settings.stores.items()}
        return msgspec.structs.replace(settings, stores=named)

    made.home.update(ids)
    return made


async def told(space: Space) -> Sequence[ProofLine]:
    return (await audit(space.core)).proofs


async def kept(space: Space) -> list[bytes]:
    return [data for *_, data in await space.core.ledger.do(State.proofs)]


# ---- rollback --------------------------------------------------------------------------------------------------------


async def test_a_store_that_no_longer_shows_a_head_is_testified_against(world: World) -> None:
    async with world.open() as space:
        await space.write("a", b"1")
        await space.write("b", b"2")
        assert not (await learn(space.core)).went_back
        await world.stores["d1"].lose((await world.stores["d1"].names("/heads/"))[0])
        for _ in range(3):
            assert [one.store for one in (await learn(space.core)).went_back] == ["d1"]
        (line,) = await told(space)
        assert (line.kind, line.proven, line.store, line.sequences[0]) == (Kind.ROLLBACK, False, marker("d1"), 2)
        assert line.text == "store d1 had this head and no longer lists it"
        (data,) = await kept(space)
        assert not verify(data).of_record
        assert any("store d1 no longer shows head" in line for line in space.warnings)


async def test_it_is_written_when_the_space_is_opened(world: World) -> None:
    async with world.open() as space:
        await space.write("a", b"1")
        await learn(space.core)
    for name in await world.stores["d1"].names("/heads/"):
        await world.stores["d1"].lose(name)
    async with world.open() as space:
        (data,) = await kept(space)
        assert verify(data).kind is Kind.ROLLBACK


@pytest.mark.parametrize("at", [0, -1])
async def test_a_store_that_no_longer_shows_a_record_is_testified_against(world: World, at: int) -> None:
    async with world.open() as space:
        await learn(space.core)
        await world.stores["d2"].lose((await world.stores["d2"].names("/records/"))[at])
        for _ in range(2):
            await learn(space.core)
        assert any("store d2 no longer shows a membership record" in line for line in space.warnings)
        (line,) = await told(space)
        assert (line.kind, line.of_record, line.store) == (Kind.ROLLBACK, True, marker("d2"))
        (data,) = await kept(space)
        assert verify(data).of_record


async def test_nothing_is_said_of_a_record_that_is_listed_with_a_wrong_size(world: World) -> None:
    async with world.open() as space:
        await learn(space.core)
        store = world.stores["d2"]
        wrong = (await store.names("/records/"))[0]
        listing = store.list

        async def listed(prefix: str, after: str = ""):  # type: ignore[no-untyped-def]  # noqa: ANN202
            async for one in listing(prefix, after):
                yield Listed(one.name, LARGEST_RECORD + 1) if one.name == wrong else one

        store.list = listed  # type: ignore[method-assign]
        assert [one.store for one in (await learn(space.core)).went_back] == ["d2"]
        assert not await told(space), "it does list it"


async def test_a_store_that_goes_back_at_each_look_gets_so_many_files_and_one_more_a_day(world: World) -> None:
    async with world.open() as space:
        for _ in range(2 * MOST_OF_ONE):
            await _goes_back(world, space)
        first = await kept(space)
        assert len(first) == MOST_OF_ONE
        world.stores["d3"].rules.append(Rule(Fault.HIDE, name=lambda name: "/heads/" in name))
        await learn(space.core)
        assert {line.store for line in await told(space)} == {marker("d1"), marker("d3")}
        world.time += OFTEN
        for _ in range(3):
            await _goes_back(world, space)
        later = [data for data in await kept(space) if verify(data).statement.store == marker("d1")]  # type: ignore[union-attr]
        assert len(later) == MOST_OF_ONE
        assert len(set(later) - set(first)) == 1


async def _goes_back(world: World, space: Space) -> None:
    """A store loses the newest head."""
    world.stores["d3"].rules.clear()
    await space.write("a", b"once more")
    await learn(space.core)
    await world.stores["d1"].lose((await world.stores["d1"].names("/heads/"))[0])
    await learn(space.core)


# ---- replay ----------------------------------------------------------------------------------------------------------


async def other_space(world: World, tmp_path: Path) -> dict[str, bytes]:
    """What another space of the same device has in a store, by its names there."""
    other = await a_space(tmp_path / "other")
    async with other.open() as space:
        await space.write("foreign", b"1")
    return {str(name): data for name, data in (await other.stores["d0"].snapshot()).items()}


async def replay(world: World, store: str, objects: dict[str, bytes]) -> None:
    start = len(world.home.space("photos").id)
    for name, data in objects.items():
        await world.stores[store].put(ObjectName(world.home.space("photos").id + name[start:]), [data])


@pytest.mark.parametrize("part", ["/heads/", "/records/"])
async def test_what_is_another_spaces_is_refused_and_testified(world: World, tmp_path: Path, part: str) -> None:
    foreign = {name: data for name, data in (await other_space(world, tmp_path)).items() if part in name}
    async with world.open() as space:
        await space.write("ours", b"1")
        await replay(world, "d1", foreign)
        for _ in range(2):
            await learn(space.core)
        lines = await told(space)
        assert len(lines) == len(foreign)
        assert {(line.kind, line.proven, line.store, line.of_record) for line in lines} == {
            (Kind.REPLAY, False, marker("d1"), part == "/records/")
        }
        assert [info.path async for info in space.list()] == ["ours"]
        assert len((await audit(space.core)).records) == 2
        assert not space.core.membership.state.frozen
        await space.write("ours", b"2")


async def test_a_flood_of_one_stores_replays_hides_no_others(world: World, tmp_path: Path) -> None:
    foreign = await other_space(world, tmp_path)
    async with world.open() as space:
        base = [name for name in foreign if "/heads/" in name]
        await space.write("ours", b"1")
        many = {name: data for name, data in (await _heads(tmp_path)).items() if name not in base}
        assert len(many) > 2 * MOST_OF_ONE
        await replay(world, "d0", many)
        await replay(world, "d4", {name: foreign[name] for name in base})
        await learn(space.core)
        by = [line.store for line in await told(space)]
        assert by.count(marker("d0")) == MOST_OF_ONE
        assert by.count(marker("d4")) == 1


async def _heads(tmp_path: Path) -> dict[str, bytes]:
    other = await a_space(tmp_path / "many")
    async with other.open() as space:
        for number in range(3 * MOST_OF_ONE):
            await space.write("foreign", b"%d" % number)
    return {name: data for name, data in (await other.stores["d0"].snapshot()).items() if "/heads/" in name}


async def test_junk_is_no_replay(world: World) -> None:
    async with world.open() as space:
        await space.write("ours", b"1")
        name = (await world.stores["d1"].names("/heads/"))[0]
        parsed = HeadName.decode(name)
        assert parsed is not None
        data = await world.stores["d1"].get(name)
        await replay(world, "d1", {name[:-64] + "0" * 64: data, f"{name[:64]}/records/{'0' * 64}": data})
        await learn(space.core)
        assert not await told(space)
