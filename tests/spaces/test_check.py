"""Check: whatever is wrong in a store is found, named, and marked; what is right is not."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from unittest import mock
from unittest.mock import AsyncMock

import pytest

from ropewalk.spaces.check import CheckReport, check
from ropewalk.spaces.mend import read_share
from ropewalk.spaces.pack.share import FOOTER_SIZE
from ropewalk.spaces.rebuild import TAIL
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import KnownPack, SharePlace, State
from ropewalk.spaces.store import ObjectName
from ropewalk.spaces.survey import survey
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import KeptStore, World, a_space, object_of, pack_of

MIB = 1024 * 1024


@pytest.fixture
async def world(tmp_path: Path) -> World:
    """Three versions: one pack with an offset map, and two heads that hold their own."""
    made = await a_space(tmp_path)
    async with made.open() as space:
        await space.write("large", random.Random(1).randbytes(5 * MIB))
        await space.write("small", b"small")
        await space.write("folder/another", b"another")
    return made


async def _check(space: Space, *, everything: bool = True) -> CheckReport:
    return await check(space.core, everything=everything, choose=random.Random(1))


def _column(pack: KnownPack, number: int) -> int:
    return pack.lengths[number] if number < pack.k else max(pack.lengths)


@pytest.mark.parametrize("everything", [False, True])
async def test_a_sound_space_is_found_sound(world: World, *, everything: bool) -> None:
    async with world.open() as space:
        report = await _check(space, everything=everything)
        assert report.ok
        assert report.problems == []
        assert (report.packs, report.shares, report.looked_at, report.heads) == (1, 5, 5, 3)
        assert report.as_dict()["ok"] is True
        (line,) = report.lines
        assert line == (
            f"1 pack, 5 shares listed, 5 looked at ({report.bytes:,} bytes), 3 heads:"
            " 0 shares and 0 copies of heads and records missing, 0 objects damaged, 0 lost"
        )


async def test_a_check_changes_no_store(world: World) -> None:
    async with world.open() as space:
        name = object_of(space, await pack_of(space), (await pack_of(space)).shares[0])
        await world.stores[(await pack_of(space)).shares[0].store].damage(name, 5)
        before = {store: await kept.snapshot() for store, kept in world.stores.items()}
        await _check(space)
        assert {store: await kept.snapshot() for store, kept in world.stores.items()} == before


Harm = Callable[[KeptStore, ObjectName, int], Awaitable[None]]


async def _flip_column(store: KeptStore, name: ObjectName, column: int) -> None:
    await store.damage(name, 8 * (column // 2))


async def _flip_leaves(store: KeptStore, name: ObjectName, column: int) -> None:
    await store.damage(name, 8 * (column + 50))


async def _flip_footer(store: KeptStore, name: ObjectName, column: int) -> None:
    size = len(await store.get(name))
    await store.damage(name, 8 * (size - FOOTER_SIZE // 2))


async def _cut_trailer(store: KeptStore, name: ObjectName, column: int) -> None:
    await store.cut(name, column + FOOTER_SIZE + 1)


async def _cut_column(store: KeptStore, name: ObjectName, column: int) -> None:
    await store.cut(name, column // 2)


async def _empty(store: KeptStore, name: ObjectName, column: int) -> None:
    await store.cut(name, 0)


async def _longer(store: KeptStore, name: ObjectName, column: int) -> None:
    await store._replace(name, await store.get(name) + b"more")


HARMS: list[Harm] = [_flip_column, _flip_leaves, _flip_footer, _cut_trailer, _cut_column, _empty, _longer]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("number", [0, 4])
async def test_a_damaged_share_is_found_named_and_marked(world: World, harm: Harm, number: int) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        share = pack.shares[number]
        await harm(world.stores[share.store], object_of(space, pack, share), _column(pack, number))
        report = await _check(space)
        assert not report.ok
        assert (report.damaged, report.missing, report.lost) == (1, 0, 0)
        (problem,) = report.problems
        assert problem.startswith(f"store {share.store}: ")
        assert pack.name.hex()[:8] in problem
        assert [one.number for one in (await pack_of(space)).shares if one.damaged] == [number]
        assert await space.read("large") == random.Random(1).randbytes(5 * MIB)


@pytest.mark.parametrize("harm", [_flip_leaves, _flip_footer, _cut_trailer, _cut_column, _empty, _longer])
async def test_a_quick_check_finds_what_is_wrong_with_trailers_and_sizes(world: World, harm: Harm) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        share = pack.shares[1]
        await harm(world.stores[share.store], object_of(space, pack, share), _column(pack, 1))
        report = await _check(space, everything=False)
        assert (report.ok, report.damaged) == (False, 1)


async def test_a_quick_check_reads_a_leaf_of_each_share(world: World) -> None:
    async with world.open() as space:
        for store in world.stores.values():
            store.gets.clear()
        await _check(space, everything=False)
        for store in world.stores.values():
            leaves = [get for get in store.gets if "/packs/" in get[0] and get[2] != TAIL]
            assert [length for _, _, length in leaves] == [64 * 1024]


async def test_swapped_shares_are_found(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        for name in ("one", "two"):
            await space.write(name, random.Random(name).randbytes(3 * MIB))
        store = world.stores["d2"]
        first, second = await store.names("/packs/")
        await store.swap(first, second)
        report = await _check(space)
        assert (report.ok, report.damaged, report.lost) == (False, 2, 0)
        assert await space.read("one") == random.Random("one").randbytes(3 * MIB)


@pytest.mark.parametrize("everything", [False, True])
async def test_shares_that_are_gone_are_counted(world: World, *, everything: bool) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        for share in pack.shares[:2]:
            await world.stores[share.store].lose(object_of(space, pack, share))
        report = await _check(space, everything=everything)
        assert (report.ok, report.missing, report.damaged, report.lost) == (False, 2, 0, 0)


@pytest.mark.parametrize("everything", [False, True])
async def test_a_pack_with_too_few_shares_is_told_as_lost(world: World, *, everything: bool) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        for share in pack.shares[:3]:
            await world.stores[share.store].lose(object_of(space, pack, share))
        report = await _check(space, everything=everything)
        assert report.lost >= 1
        assert f"pack {pack.name.hex()[:8]} needs 3 shares, 2 can be read now" in report.problems


async def test_a_pack_that_is_lost_by_damage_is_told_as_lost_at_once(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        for number, share in enumerate(pack.shares[:3]):
            await _flip_column(world.stores[share.store], object_of(space, pack, share), _column(pack, number))
        report = await _check(space)
        assert report.damaged == 3
        assert report.lost >= 1
        assert f"pack {pack.name.hex()[:8]} needs 3 shares, 2 can be read now" in report.problems


@pytest.mark.parametrize("kind", ["heads", "records"])
@pytest.mark.parametrize("harm", ["flip", "cut", "empty"])
async def test_damaged_heads_and_records_are_found_and_named(world: World, kind: str, harm: str) -> None:
    async with world.open() as space:
        store = world.stores["d3"]
        names = await store.names(f"/{kind}/")
        for name in names:
            if harm == "flip":
                await store.damage(name, 8 * 200 + 3)
            else:
                await store.cut(name, 100 if harm == "cut" else 0)
        report = await _check(space)
        assert (report.ok, report.damaged, len(report.problems)) == (False, len(names), len(names))
        assert all(problem.startswith("store d3: ") for problem in report.problems)


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("kind", ["heads", "records"])
async def test_heads_and_records_that_are_gone_are_counted(world: World, kind: str, *, everything: bool) -> None:
    async with world.open() as space:
        store = world.stores["d3"]
        names = await store.names(f"/{kind}/")
        for name in names:
            await store.lose(name)
        report = await _check(space, everything=everything)
        assert (report.ok, report.copies_missing) == (False, len(names))
        assert sorted(report.problems) == sorted(
            f"store d3: {kind.removesuffix('s')} {name} is not there" for name in names
        )


async def test_a_store_that_has_heads_and_does_not_list_them_is_named(world: World) -> None:
    world.stores["d3"].rules.append(Rule(Fault.HIDE, name=lambda name: "/heads/" in name))
    async with world.open() as space:
        report = await _check(space, everything=False)
        many = len(await world.stores["d3"].names("/heads/"))
        why = f"store d3 gives {many} heads that it does not list: who looks there for what is newest is misled"
        assert many > 1
        assert report.problems[0] == why
        assert report.copies_missing == many
        assert not report.ok
        for name in await world.stores["d3"].names("/heads/"):
            await world.stores["d3"].lose(name)
        assert not any("gives" in line for line in (await _check(space, everything=False)).problems)


async def test_a_head_that_was_brought_after_a_store_was_listed_is_not_called_hidden(world: World) -> None:
    async with world.open() as space:
        store = world.stores["d3"]
        held = {name: await store.get(name) for name in await store.names("/heads/")}
        for name in held:
            await store.lose(name)
        found = await survey(space.core)
        for name, data in held.items():
            await store.put(name, (data,))
        with mock.patch("ropewalk.spaces.check.survey", AsyncMock(return_value=found)):
            problems = (await _check(space, everything=False)).problems
        assert problems == [f"store d3: head {name} is not there" for name in held]


async def test_a_store_that_lists_shares_and_no_heads_is_said_to_do_so(world: World) -> None:
    world.stores["d3"].rules.append(Rule(Fault.GONE_BEFORE, on={"list"}, name=lambda name: "/heads/" in name))
    async with world.open() as space:
        world.clock.seconds += 60
        report = await _check(space, everything=False)
        assert report.away["d3"].startswith("it lists shares, and not heads: ")


async def test_swapped_heads_are_found(world: World) -> None:
    async with world.open() as space:
        store = world.stores["d1"]
        first, second, _ = await store.names("/heads/")
        await store.swap(first, second)
        report = await _check(space)
        assert report.damaged == 2


@pytest.mark.parametrize("everything", [False, True])
async def test_a_store_that_is_away_is_named_and_its_shares_are_not_called_missing(
    world: World, *, everything: bool
) -> None:
    async with world.open() as space:
        world.stores["d4"].gone = True
        report = await _check(space, everything=everything)
        assert not report.ok
        assert list(report.away) == ["d4"]
        assert (report.missing, report.damaged, report.lost) == (0, 0, 0)
        assert report.lines[0].startswith("store d4 is away: ")


async def test_a_store_that_goes_away_under_way_is_named(world: World) -> None:
    async with world.open() as space:
        world.stores["d4"].rules.append(Rule(Fault.GONE_BEFORE, on={"get"}))
        report = await _check(space)
        assert list(report.away) == ["d4"]
        assert report.damaged == 0


async def test_shares_of_packs_that_are_not_known_are_counted(world: World, tmp_path: Path) -> None:
    async with world.open() as space:
        share = (await pack_of(space)).shares[0]
        name = object_of(space, await pack_of(space), share)
        odd = ObjectName(name.replace((await pack_of(space)).name.hex(), "ab" * 32))
        await world.stores[share.store].put(odd, [b"junk"])
        report = await _check(space)
        assert (report.ok, report.unknown) == (True, 1)
        assert report.lines[-1].startswith("1 share belongs to packs that are not known here")


async def test_a_share_number_that_the_pack_has_not_is_no_share(world: World) -> None:
    async with world.open() as space:
        pack = await pack_of(space)
        name = object_of(space, pack, SharePlace(7, "d0", pack.shares[0].object))
        await world.stores["d0"].put(name, [bytes(3 * MIB)])
        report = await _check(space)
        assert (report.ok, report.missing, report.unknown) == (True, 0, 1)
        assert len((await pack_of(space)).shares) == 5


async def test_a_chunk_of_the_newest_version_that_no_pack_holds_is_told(world: World) -> None:
    async with world.open() as space:
        entry = await (await space.current()).file("large")
        cuts = [cut async for batch in space.core.content.references(entry) for _, cut in batch]
        await space.core.ledger.do(_forget_chunk, cuts[2].id)
        report = await _check(space)
        assert (report.ok, report.lost) == (False, 1)
        assert report.problems == [f"chunk {cuts[2].id.hex()[:8]} of the newest version lies in no pack that is known"]


async def test_a_tree_that_cannot_be_read_is_told(world: World) -> None:
    async with world.open() as space:
        root = (await space.log())[0].root
        assert root is not None
        await space.core.ledger.do(_forget_chunk, root[:32])
        report = await _check(space)
        assert (report.ok, report.lost) == (False, 1)
        assert report.problems[0].startswith("the tree of the newest version cannot be read: chunk ")


def _forget_chunk(state: State, chunk: bytes) -> None:
    state._db.execute("DELETE FROM chunks WHERE id = ?", (chunk,))


async def test_a_parity_share_that_fits_its_own_root_and_not_the_data_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decode drill does not trust that equal roots mean a pack can be rebuilt."""
    async with world.open() as space:
        real = read_share

        async def forged(core: object, pack: KnownPack, share: SharePlace) -> object:
            column, trailer = await real(space.core, pack, share)
            return (memoryview(bytes(len(column))), trailer) if share.number == 4 else (column, trailer)

        monkeypatch.setattr("ropewalk.spaces.check.read_share", forged)
        report = await _check(space)
        assert report.damaged == 1
        assert "do not rebuild share 0" in report.problems[0]


async def test_progress_reaches_its_end(world: World) -> None:
    told: list[tuple[int, int]] = []
    async with world.open() as space:
        await check(space.core, everything=True, progress=lambda done, total: told.append((done, total)))
        assert told == [(1, 1)]
        await check(space.core, everything=False, progress=lambda done, total: told.append((done, total)))
        assert told[1:] == [(done, 5) for done in range(1, 6)]


async def test_of_many_problems_the_first_are_named_and_all_are_counted() -> None:
    report = CheckReport()
    for number in range(300):
        report.damage(f"{number}")
    assert (report.damaged, len(report.problems)) == (300, 200)
