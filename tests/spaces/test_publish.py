"""Publish: a version is seen whole once it is acknowledged, and not at all where it was refused."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ropewalk.errors import Missing
from ropewalk.spaces import publish as publish_module
from ropewalk.spaces.head import HeadName, open_head
from ropewalk.spaces.pool.pool import REST, BelowFloor
from ropewalk.spaces.state import PENDING, State
from ropewalk.spaces.store import ObjectName
from ropewalk.testing.faults import Fault, Rule, Stop, StopAfter
from tests.spaces.making import World, a_space

HEADS = "/heads/"


def _is_head(name: str) -> bool:
    return HEADS in name


@contextmanager
def _heads_fail(world: World, *names: str, fault: Fault = Fault.FULL) -> Iterator[None]:
    """Stores that take shares, and no head."""
    for name in names:
        world.stores[name].rules.append(Rule(fault, on={"put"}, name=_is_head))
    yield
    for name in names:
        world.stores[name].rules.clear()


async def _paths(world: World) -> list[str]:
    async with world.open() as space:
        return [info.path async for info in space.list()]


async def test_a_version_is_acknowledged_in_full_and_seen_after_reopening(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        outcome = await space.write("a", b"1")
        assert outcome is not None
        assert (outcome.copies, outcome.stores, outcome.in_full, outcome.why) == (5, 5, True, {})
    assert await _paths(world) == ["a"]
    assert all([len(await store.names(HEADS)) == 1 for store in world.stores.values()])


@pytest.mark.parametrize("size", [10, 300_000])
async def test_who_is_refused_for_stores_that_are_away_is_told_how_changes_may_wait(tmp_path: Path, size: int) -> None:
    world = await a_space(tmp_path)
    way_out = "or let changes wait on this machine: `ropewalk space offline SPACE on`"
    async with world.open() as space:
        for name in ("d0", "d1"):
            world.stores[name].rules.append(Rule(Fault.FULL, on={"put"}))
        with pytest.raises(BelowFloor) as refused:
            await space.write("a", random.Random(1).randbytes(size))
        assert way_out not in refused.value.hint, "they answer: it would have to wait for ever"
        for name in ("d0", "d1"):
            world.stores[name].rules.clear()
            world.stores[name].gone = True
        world.clock.seconds += 60
        with pytest.raises(BelowFloor) as refused:
            await space.write("a", random.Random(1).randbytes(size))
        assert way_out in refused.value.hint


async def test_too_few_stores_are_refused_before_anything_is_signed(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        before = space.core.incarnation
        for name in ("d0", "d1"):
            world.stores[name].gone = True
        with pytest.raises(BelowFloor, match="3 of 5 stores answer, the write floor is 4") as refused:
            await space.write("a", b"1")
        assert "d0: store is gone" in str(refused.value)
        assert await space.core.ledger.do(State.last_sequence, space.core.writer_id) == 0
        assert space.core.incarnation == before
    assert await world.names(HEADS) == []


async def test_a_head_below_the_floor_is_given_up_and_nothing_of_it_is_seen(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("before", b"1")
        writer = space.core.writer_id
        with _heads_fail(world, "d0", "d1"), pytest.raises(BelowFloor, match="3 of 5 stores took the head"):
            await space.write("refused", b"2")
        assert space.core.writer_id != writer
        assert len(await world.names(HEADS)) == 1  # its copies are deleted again
        with pytest.raises(Missing):
            await space.read("refused")
        outcome = await space.write("after", b"3")
        assert outcome is not None
        assert (outcome.head.sequence, outcome.head.writer) == (1, space.core.writer_id)
        assert outcome.head.vector[writer][0] == 1
    assert await _paths(world) == ["after", "before"]


async def test_a_given_up_head_is_deleted_from_a_store_that_was_away_when_it_comes_back(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        world.stores["d4"].rules.append(Rule(Fault.GONE_AFTER, on={"put"}, name=_is_head))  # kept, and then gone
        with _heads_fail(world, "d0", "d1"), pytest.raises(BelowFloor):
            await space.write("refused", b"2")
        assert len(await world.stores["d4"].names(HEADS)) == 1
        world.stores["d4"].rules.clear()
        world.clock.seconds += REST
        await space.pay()
        assert await world.names(HEADS) == []
        assert await space.core.ledger.do(State.owed_heads) == []


async def test_a_given_up_head_that_comes_back_is_not_seen_by_who_gave_it_up_and_takes_nothing_with_it(
    tmp_path: Path,
) -> None:
    """Its store kept it.  Without the local state it joins as a concurrent version: more is there, and nothing less."""
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("before", b"1")

        async def replace() -> None:
            async with space.change() as change:
                await change.remove("before")
                await change.write("given up", b"2")

        with _heads_fail(world, "d0", "d1"), pytest.raises(BelowFloor):
            await replace()
        name, data = next(put for put in world.stores["d2"].puts[::-1] if _is_head(put[0]))
        await space.write("after", b"3")
        await world.stores["d2"].put(ObjectName(name), (data,))
    assert await _paths(world) == ["after", "before"]
    (world.folder / "state.db").unlink()
    async with world.open() as space:
        assert any("cannot be ruled out" in warning for warning in space.warnings)
        assert await space.read("after") == b"3"
        assert len(await space.core.ledger.do(lambda state: state.heads())) == 3
        outcome = await space.write("joined", b"4")
        assert outcome is not None
        assert sorted(sequence for sequence, _ in outcome.head.vector.values()) == [1, 1, 2]
    paths = await _paths(world)
    assert {"after", "given up", "joined"} <= set(paths)


@pytest.mark.parametrize("done", [False, True])
async def test_a_crash_at_any_store_call_leaves_what_was_acknowledged_and_sends_the_same_head_again(
    tmp_path: Path, done: bool
) -> None:
    calls = 0
    while True:
        world = await a_space(tmp_path / f"{calls}")
        async with world.open() as space:
            await space.write("before", b"1")
        stop = StopAfter(calls, done=done)
        world.around = stop.around
        try:
            async with world.open() as space:
                await space.write("under way", b"2" * 3000)
            finished = True
        except (Stop, BaseExceptionGroup):
            finished = False
        world.around = lambda store: store
        sent = {data for store in world.stores.values() for name, data in store.puts if _is_head(name)}
        async with world.open() as space:
            assert await space.read("before") == b"1"
            assert await space.core.ledger.do(State.pending) == []
            seen = [info.path async for info in space.list()]
            if "under way" in seen:
                assert await space.read("under way") == b"2" * 3000
            assert "under way" in seen or not finished
            await space.write("after", b"3")
            assert await space.read("after") == b"3"
        again = {data for store in world.stores.values() for name, data in store.puts if _is_head(name)}
        assert len(sent) <= 2
        assert len(again) <= 3  # before, under way and after: never two heads for one change
        names = [HeadName.decode(name) for name in await world.names(HEADS)]
        assert len({(name.writer, name.sequence) for name in names if name}) == len(names)
        if finished:
            break
        calls += 1
    assert calls > 5


async def test_a_crash_between_journal_and_put_sends_the_same_bytes(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        for store in world.stores.values():
            store.hang("put", name=_is_head)

        async def stop(*_: object, **__: object) -> object:
            raise Stop

        space.core.pool.put_copies = stop  # type: ignore[method-assign,assignment]
        with pytest.raises(Stop):
            await space.write("a", b"1")
        ((head, data),) = await space.core.ledger.do(State.pending)
        assert head.state == PENDING
    for store in world.stores.values():
        store.rules.clear()
    assert await _paths(world) == ["a"]
    assert await world.names(HEADS) == [head.name]
    assert await world.stores["d0"].get(ObjectName(head.name)) == data


async def test_a_head_of_a_crash_is_given_up_where_the_floor_is_gone_meanwhile(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:

        async def stop(*_: object, **__: object) -> object:
            raise Stop

        space.core.pool.put_copies = stop  # type: ignore[method-assign,assignment]
        with pytest.raises(Stop):
            await space.write("a", b"1")
        before = space.core.incarnation
    with _heads_fail(world, "d0", "d1"):
        async with world.open() as space:
            assert space.core.incarnation != before
            assert [info async for info in space.list()] == []
    assert await world.names(HEADS) == []


async def test_a_journal_that_is_damaged_is_given_up_and_the_space_opens(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("before", b"1")

        async def stop(*_: object, **__: object) -> object:
            raise Stop

        space.core.pool.put_copies = stop  # type: ignore[method-assign,assignment]
        with pytest.raises(Stop):
            await space.write("a", b"1")
        await space.core.ledger.do(
            lambda state: state._db.execute("UPDATE heads SET data = x'00' WHERE data IS NOT NULL")
        )
    assert await _paths(world) == ["before"]
    async with world.open() as space:
        await space.write("after", b"2")
    assert await _paths(world) == ["after", "before"]


async def test_a_second_process_does_not_go_on_as_a_writer_that_the_first_has_ended(tmp_path: Path) -> None:
    """Its next head would cover the one given up, and a join with whoever saw that would drop both sides."""
    world = await a_space(tmp_path)
    async with world.open() as first, world.open() as second:
        ended = second.core.writer_id
        assert first.core.writer_id == ended
        with _heads_fail(world, "d0", "d1"), pytest.raises(BelowFloor):
            await first.write("refused", b"1")
        outcome = await second.write("after", b"2")
        assert outcome is not None
        assert outcome.head.writer != ended
        assert outcome.head.writer == first.core.writer_id


async def test_no_head_is_signed_where_storing_a_pack_broke(tmp_path: Path) -> None:
    """The error of the task that stores it ends the change, though nothing had to be waited for in between."""
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("before", b"1")
        last = await space.core.ledger.do(State.last_sequence, space.core.writer_id)

        async def broken(*_: object, **__: object) -> object:
            raise Stop

        space.core.pool.put_shares = broken  # type: ignore[method-assign,assignment]
        with pytest.raises(BaseExceptionGroup):
            await space.write("a", random.Random(3).randbytes(400_000))
        assert await space.core.ledger.do(State.pending) == []
        assert await space.core.ledger.do(State.last_sequence, space.core.writer_id) == last


async def test_copies_that_are_owed_are_paid_when_their_store_is_back(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        with _heads_fail(world, "d3"):
            outcome = await space.write("a", b"1")
        assert outcome is not None
        assert (outcome.copies, outcome.owed_heads, outcome.in_full) == (4, 1, False)
        assert set(outcome.why) == {"d3"}
        assert await world.stores["d3"].names(HEADS) == []
        later = await space.write("b", b"2")  # a change pays what it can
        assert later is not None
        assert len(await world.stores["d3"].names(HEADS)) == 2
        data = await world.stores["d0"].get(ObjectName(later.head.name))
        name = HeadName.decode(later.head.name)
        assert name is not None
        assert open_head(data, name, space.core.membership, space.core.keys).steward.heads == []


async def test_more_packs_than_a_head_may_name_are_named_after_it_and_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before it: a head with the old tree would say of the new entries that they were seen and removed."""
    monkeypatch.setattr(publish_module, "MOST_PACKS", 2)
    world = await a_space(tmp_path)
    async with world.open() as space:
        async with space.change() as change:
            change.writer._pack_size = change.writer._packing.limit = 20_000
            for at in range(6):
                await change.write(f"file{at}", bytes((at,)) + random.Random(at).randbytes(20_000))
        heads = [HeadName.decode(name) for name in await world.names(HEADS)]
        opened = []
        for name in heads:
            assert name is not None
            data = await world.stores["d0"].get(name.encode())
            opened.append(open_head(data, name, space.core.membership, space.core.keys))
        opened.sort(key=lambda head: head.envelope.sequence)
        assert len(opened) > 2
        assert len({head.member.root for head in opened if head.member is not None}) == 1
        named = [pack.name for head in opened for pack in head.steward.packs]
        assert len(named) == len(set(named)) == len(await space.core.ledger.do(lambda state: list(state.packs())))
        assert await space.core.ledger.do(State.unannounced) == []


async def test_only_packs_that_the_head_of_a_crash_names_count_as_named(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:

        async def stop(*_: object, **__: object) -> object:
            raise Stop

        space.core.pool.put_copies = stop  # type: ignore[method-assign,assignment]
        with pytest.raises(Stop):
            await space.write("a", random.Random(3).randbytes(400_000))
        await space.core.ledger.do(
            lambda state: state.add_pack(b"n" * 32, 1, 1, [1], b"", b"", 1, reusable=False, announced=False)
        )
    async with world.open() as space:
        left = await space.core.ledger.do(State.unannounced)
        assert [pack.name for pack in left] == [b"n" * 32]
