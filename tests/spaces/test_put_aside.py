"""Put aside: what is of no use yet is fetched once, and as soon as what it lacks is there, and hides nothing."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from ropewalk.spaces.gathering import gather_records
from ropewalk.spaces.head import HeadName, MemberLayer, StewardLayer, heads_prefix, seal_head, take_apart
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.learning import learn, listing
from ropewalk.spaces.learning.aside import aside
from ropewalk.spaces.members.records import record_name
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import CLOSED, JUNK, NEVER, RECORDS, AsideRow, State
from ropewalk.spaces.state import aside as state_module
from ropewalk.spaces.state.aside import ASIDE_SCHEMA
from ropewalk.spaces.store import Listed, ObjectName
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
        assert (await aside(space.core))[name.encode()] == RECORDS
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
        assert (await aside(space.core))[name.encode()] == JUNK
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
        async with aclosing(gather_records(space.core.space_id, space.core.pool)) as gathering:
            found = await anext(gathering)
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


# -- one name hides no other ---------------------------------------------------------------------------------------


async def test_honest_bytes_under_a_wrong_name_hide_no_head(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        name, data = _seeing(space, b"a", {})
        false = replace(name, writer=b"\1" * 16)
        await world.stores["d0"].put(false.encode(), (data,))
        assert (await learn(space.core)).heads == 0
        assert (await aside(space.core)) == {false.encode(): JUNK}
        await show(world, name, data)
        assert (await learn(space.core)).heads == 1
        assert false.encode() in await aside(space.core)
        assert _gets(world, false.encode()) == 1
        after, seen = _seeing(space, b"b", {name.writer: (1, take_apart(data, name).hash)})
        await show(world, after, seen)
        assert (await learn(space.core)).heads == 1, "what has seen it does not wait"


async def test_a_head_that_waits_is_not_junk_for_being_shown_under_a_wrong_name_too(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        first, one = _seeing(space, b"a", {})
        name, data = _seeing(space, b"b", {first.writer: (1, take_apart(one, first).hash)})
        await show(world, name, data)
        false = replace(name, writer=b"\1" * 16)
        await world.stores["d0"].put(false.encode(), (data,))
        await learn(space.core)
        held = await aside(space.core)
        assert held == {name.encode(): take_apart(one, first).hash, false.encode(): JUNK}
        await show(world, first, one)
        assert (await learn(space.core)).heads == 2


async def test_a_record_under_a_name_that_was_not_asked_for_is_none_of_this_space(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        await _changed_records(space)
        true = sorted(await world.stores["d0"].names(f"{space.core.space_id.hex()}/records/"))
        false = {ObjectName(f"{bytes(32).hex()}{name[64:]}"): await world.stores["d0"].get(name) for name in true}
        for name, data in false.items():
            await world.stores["d0"].put(name, (data,))
        honest = space.core.pool.list

        def beside(store: str, prefix: str, after: str = "") -> AsyncIterator[Listed]:
            return honest(store, "" if prefix.endswith("/records/") else prefix, after)

        with mock.patch.object(space.core.pool, "list", beside):
            shown = await listing.shown_by_stores(space.core, frozenset())
            assert set(true) <= shown["d0"].records
            assert not shown["d0"].records & false.keys()


# -- what waits need not wait for good -----------------------------------------------------------------------------


async def test_readers_that_waited_know_what_fresh_ones_do_in_whatever_order_heads_come(
    tmp_path: Path, seed: int
) -> None:
    """One head, x, comes nowhere: what has seen it stands on y, which the device signed next, or waits."""
    chance = random.Random(seed)
    for number in range(8):
        (folder := tmp_path / str(number)).mkdir()
        world = await written(folder)
        async with world.open() as space:
            heads = _about_what_is_nowhere(space)
            order = [one for one in heads if one != "y" or number % 2]
            chance.shuffle(order)
            for one in order:
                await show(world, *heads[one])
                await learn(space.core)
            waited = await space.core.ledger.do(State.head_names)
        (world.folder / "state.db").unlink()
        async with world.open() as space:
            await learn(space.core)
            fresh = await space.core.ledger.do(State.head_names)
        assert waited == fresh, order
        assert {one for one in order if heads[one][0].encode() in fresh} == set(order if "y" in order else ())


def _about_what_is_nowhere(space: Space) -> dict[str, tuple[HeadName, bytes]]:
    def hashed_of(made: tuple[HeadName, bytes]) -> bytes:
        return take_apart(made[1], made[0]).hash

    x = sealed(space, incarnation=b"x" * 16)
    y = sealed(space, 2, hashed_of(x), incarnation=b"x" * 16)
    seen_x = {x[0].writer: (1, hashed_of(x))}
    d = sealed(space, incarnation=b"d" * 16, seen=seen_x)
    e = sealed(space, incarnation=b"e" * 16, seen={d[0].writer: (1, hashed_of(d))})
    after = sealed(space, 2, hashed_of(d), incarnation=b"d" * 16, seen=seen_x)
    f = sealed(space, incarnation=b"f" * 16, seen={after[0].writer: (2, hashed_of(after))})
    r = sealed(space, incarnation=b"r" * 16, seen=seen_x, feature=1)  # refused once it need not wait
    after_r = sealed(space, 2, hashed_of(r), incarnation=b"r" * 16, seen=seen_x)
    return {"y": y, "d": d, "e": e, "after d": after, "f": f, "r": r, "after r": after_r}


# -- the state -----------------------------------------------------------------------------------------------------


WRITER = b"w" * 16


def _row(at: int, until: bytes = RECORDS, awaited: bytes = b"", past: int = 0) -> AsideRow:
    return AsideRow(f"o{at}", until, b"h%d" % at, b"writer %d" % at, at, awaited, past)


def _state(tmp_path: Path) -> State:
    return State(tmp_path / "state.db")


def test_other_records_take_up_all_but_what_never_is_of_use_and_another_version_all(tmp_path: Path) -> None:
    state = _state(tmp_path)
    assert state.aside(b"1.0", b"few") == {}
    state.put_aside(b"1.0", b"few", [_row(1), _row(2, CLOSED), _row(3, b"h"), _row(4, NEVER), _row(5, JUNK)])
    state.put_aside(b"1.0", b"others", [_row(6)])
    assert state.aside(b"1.0", b"few").keys() == {"o1", "o2", "o3", "o4", "o5"}, "not by what others knew"
    assert state.aside(b"1.0", b"more") == {"o4": NEVER}
    assert state.aside(b"1.1", b"more") == {}
    state.close()


def test_what_waits_for_what_waits_is_taken_up_with_it(tmp_path: Path) -> None:
    state = _state(tmp_path)
    state.aside(b"1", b"r")
    state.put_aside(b"1", b"r", [_row(1, b"h"), _row(2, b"h1"), _row(3, b"h2"), _row(4, b"other"), _row(5)])
    assert state.take_up([(b"x", WRITER, 1)]) == set()
    assert state.take_up([(b"h", WRITER, 1), (b"x", WRITER, 2)]) == {"o1", "o2", "o3"}
    assert state.aside(b"1", b"r").keys() == {"o4", "o5"}
    state.close()


def test_the_next_head_takes_up_what_waits_for_the_one_before_it(tmp_path: Path) -> None:
    state = _state(tmp_path)
    state.aside(b"1", b"r")
    rows = [
        _row(1, b"x", awaited=WRITER, past=3),
        _row(2, b"x", awaited=WRITER, past=4),
        _row(3, b"x", awaited=b"another writer", past=1),
        _row(4, b"p"),
        _row(5, b"x", awaited=b"writer 4", past=3),
    ]
    state.put_aside(b"1", b"r", rows)
    assert state.take_up([(b"h", WRITER, 4)]) == {"o1"}
    assert state.take_up([(b"h", WRITER, 6)]) == set(), "one after the next says nothing of it"
    assert state.take_up([(b"p", b"any", 1)]) == {"o4", "o5"}, "and what waits for one before what is taken up"
    assert state.aside(b"1", b"r").keys() == {"o2", "o3"}
    state.close()


def test_no_more_is_put_aside_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "MOST_ASIDE", 3)
    state = _state(tmp_path)
    state.aside(b"1", b"r")
    for _ in range(2):
        state.put_aside(b"1", b"r", [_row(at) for at in range(10)])
    assert state.aside(b"1", b"r").keys() == {"o0", "o1", "o2"}
    state.close()


def test_a_file_of_former_versions_begins_anew_with_what_is_put_aside(tmp_path: Path) -> None:
    _state(tmp_path).close()
    before = sqlite3.connect(tmp_path / "state.db")
    before.executescript("DROP TABLE aside; PRAGMA user_version = 7")
    before.executescript(ASIDE_SCHEMA)
    before.execute("INSERT INTO aside VALUES (x'00', x'', x'')")
    before.commit()
    before.close()
    state = _state(tmp_path)
    assert state.aside(b"1", b"r") == {}
    state.put_aside(b"1", b"r", [_row(1)])
    assert state.aside(b"1", b"r").keys() == {"o1"}
    state.close()
