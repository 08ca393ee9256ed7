"""Put aside: what is of no use yet is fetched once, and as soon as what it lacks is there, and hides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ropewalk.spaces import opening
from ropewalk.spaces.head import HeadName, MemberLayer, StewardLayer, heads_prefix, seal_head, take_apart
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.learning import learn, listing
from ropewalk.spaces.learning.aside import aside
from ropewalk.spaces.members.records import record_name
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import CLOSED, JUNK, NEVER, RECORDS, State
from ropewalk.spaces.state import aside as state_module
from ropewalk.spaces.store import ObjectName
from ropewalk.spaces.vectors import Vector
from tests.spaces.making import World, device
from tests.spaces.showing import sealed, show, written


def _gets(world: World, name: str) -> int:
    return sum(one == name for store in world.stores.values() for one, *_ in store.gets)


def _seeing(space: Space, life: bytes, seen: Vector, frontier: Sequence[bytes] = ()) -> tuple[HeadName, bytes]:
    return seal_head(
        incarnation=life * 16,
        sequence=1,
        previous=bytes(32),
        steward=StewardLayer(),
        member=MemberLayer(1, list(frontier) or space.core.membership.frontier, dict(seen), None, 0, 5, ""),
        embedded=b"",
        device=device(),
        keys=space.core.keys,
        feature=space.core.membership.feature,
    )


async def _changed_records(space: Space, name: str = "another") -> None:
    async with space.group() as group:
        await group.call_device(name)


async def test_heads_that_name_unknown_records_are_fetched_once_until_records_come(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        name, data = _seeing(space, b"w", {}, [b"r" * 32])
        await show(world, name, data)
        await learn(space.core)
        assert (await aside(space.core))[name.check] == RECORDS
    async with world.open() as space:
        await learn(space.core)
        assert _gets(world, name.encode()) == 1, "and another process remembers"
        assert any("set aside before" in line for line in space.warnings)
        await _changed_records(space)
        await learn(space.core)
        assert _gets(world, name.encode()) == 2
        await learn(space.core, everything=True)
        assert _gets(world, name.encode()) == 3, "whoever asks for everything gets it"


async def test_heads_that_wait_for_heads_come_in_the_look_in_which_these_come(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        first, one = _seeing(space, b"a", {})
        hashes = {first.writer: (1, take_apart(one, first).hash)}
        waiting = []
        for life in (b"b", b"c", b"d"):  # each has seen the one before alone
            name, data = _seeing(space, life, hashes)
            hashes = {name.writer: (1, take_apart(data, name).hash)}
            await show(world, name, data)
            waiting.append(name)
        for _ in range(3):
            assert (await learn(space.core)).heads == 0
        assert [_gets(world, name.encode()) for name in waiting] == [1, 1, 1]
        await show(world, first, one)
        assert (await learn(space.core)).heads == 4
        assert not await aside(space.core)


async def test_what_is_no_head_is_fetched_once_and_still_told_of(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        name, data = sealed(space)
        forged = data[:-1] + bytes((data[-1] ^ 1,))
        name = replace(name, check=hashed("object", forged))
        await show(world, name, forged)
        await learn(space.core)
        assert any("signature" in line for line in space.warnings)
        assert (await aside(space.core))[name.check] == JUNK
    async with world.open() as space:
        assert _gets(world, name.encode()) == 1
        assert any("1 heads that stores show are none" in line for line in space.warnings)


async def test_a_writer_with_very_many_new_names_does_not_hide_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_AT_ONCE", 5)
    monkeypatch.setattr(listing, "MOST_HEADS", 20)
    world = await written(tmp_path)
    async with world.open() as space:
        name, data = sealed(space)
        await show(world, name, data)
        junk = [HeadName(space.core.space_id, bytes(16), number + 1, bytes(32)).encode() for number in range(100)]
        others = [ObjectName(f"{heads_prefix(space.core.space_id)}0/{number:03}") for number in range(100)]
        for one in (*junk, *others):
            for store in world.stores.values():
                await store.put(one, (b"junk",))
        shown = await listing.shown_by_stores(space.core, frozenset())
        for of_store in shown.values():
            assert name.encode() in of_store.heads
            assert not of_store.whole
            assert len(of_store.heads) <= listing.MOST_HEADS + 1


async def test_a_writer_with_very_many_new_heads_shows_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_AT_ONCE", 2)
    world = await written(tmp_path)
    async with world.open() as space:
        names = [
            HeadName(space.core.space_id, bytes((writer,)) * 16, number + 1, bytes(32)).encode()
            for writer in (0, 255)
            for number in range(7)
        ]
        for one in names:
            await world.stores["d0"].put(one, (b"junk",))
        shown = (await listing.shown_by_stores(space.core, frozenset()))["d0"]
        assert shown.whole
        assert set(names) <= set(shown.heads)


async def test_records_that_are_none_are_fetched_once_and_hide_good_ones_for_one_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_RECORDS", 5)
    world = await written(tmp_path)
    async with world.open() as space:
        junk = sorted(record_name(space.core.space_id, b"junk %d" % number) for number in range(400))[:30]
        for name in junk:
            data = next(
                b"junk %d" % at for at in range(400) if record_name(space.core.space_id, b"junk %d" % at) == name
            )
            await world.stores["d0"].put(name, (data,))
        for _ in range(4):
            await learn(space.core)
        shown = await listing.shown_by_stores(space.core, frozenset())
        assert shown["d0"].whole, "one look passes over what the ones before found to be junk"
        assert {_gets(world, name) for name in junk} == {1}
        assert set((await aside(space.core)).values()) == {NEVER}
        await _changed_records(space)
        await learn(space.core)
        assert {_gets(world, name) for name in junk} == {1}, "whatever records come"
        found = await opening._fetch_records(space.core.space_id, space.core.pool)
        assert found.keys().isdisjoint(junk)
        assert found


async def test_a_record_that_waits_comes_in_the_look_in_which_what_it_waits_for_comes(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        before = {name for store in world.stores.values() for name in await store.names("/records/")}
        for name in ("one", "two", "three"):  # each names the one before
            await _changed_records(space, name)
        new = sorted(
            {name for store in world.stores.values() for name in await store.names("/records/")} - before,
            key=[one for one, _ in world.stores["d0"].puts].index,
        )
        assert len(new) == 3
        data = {name: await world.stores["d0"].get(name) for name in new}
    (world.folder / "state.db").unlink()
    for store in world.stores.values():
        for name in new:
            await store.lose(name)
    async with world.open() as space:
        for name in new[1:]:
            await world.stores["d0"].put(name, (data[name],))
        for _ in range(2):
            assert not (await learn(space.core)).records
        assert len(await aside(space.core)) == 2
        await world.stores["d1"].put(new[0], (data[new[0]],))
        assert (await learn(space.core)).records
        assert {bytes.fromhex(name[-64:]) for name in new} <= space.core.membership.verified


# -- the state -----------------------------------------------------------------------------------------------------


def _row(at: int, until: bytes = RECORDS) -> tuple[bytes, bytes, bytes]:
    return b"o%d" % at, b"h%d" % at, until


def _state(tmp_path: Path) -> State:
    return State(tmp_path / "state.db")


def test_other_records_take_up_all_but_what_never_is_of_use_and_another_version_all(tmp_path: Path) -> None:
    state = _state(tmp_path)
    assert state.aside(b"1.0", b"few") == {}
    state.put_aside(b"1.0", b"few", [_row(1), _row(2, CLOSED), _row(3, b"h"), _row(4, NEVER), _row(5, JUNK)])
    state.put_aside(b"1.0", b"others", [_row(6)])
    assert state.aside(b"1.0", b"few").keys() == {b"o1", b"o2", b"o3", b"o4", b"o5"}, "not by what others knew"
    assert state.aside(b"1.0", b"more") == {b"o4": NEVER}
    assert state.aside(b"1.1", b"more") == {}
    state.close()


def test_what_waits_for_what_waits_is_taken_up_with_it(tmp_path: Path) -> None:
    state = _state(tmp_path)
    state.aside(b"1", b"r")
    state.put_aside(b"1", b"r", [_row(1, b"h"), _row(2, b"h1"), _row(3, b"h2"), _row(4, b"other"), _row(5)])
    assert state.take_up([b"x"]) == set()
    assert state.take_up([b"h", b"x"]) == {b"o1", b"o2", b"o3"}
    assert state.aside(b"1", b"r").keys() == {b"o4", b"o5"}
    state.close()


def test_no_more_is_put_aside_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "MOST_ASIDE", 3)
    state = _state(tmp_path)
    state.aside(b"1", b"r")
    for _ in range(2):
        state.put_aside(b"1", b"r", [_row(at) for at in range(10)])
    assert state.aside(b"1", b"r").keys() == {b"o0", b"o1", b"o2"}
    state.close()
