"""Footing: a version names no head that could be gone tomorrow, and whoever gave up such a head takes it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces import publish
from ropewalk.spaces.conduct import branch_writer
from ropewalk.spaces.head import NO_HEAD, HeadName, MemberLayer, StewardLayer, seal_head, take_apart, writer_id
from ropewalk.spaces.home import Home, Settings, SpaceSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.learning import Standing, footing, learn, learn_heads, standing, unsure
from ropewalk.spaces.members import Role
from ropewalk.spaces.pool.pool import BelowFloor, Copies
from ropewalk.spaces.publish import begin_change
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import ACKED, QUARANTINED, WITHDRAWN, KnownHead, State, journal, sparse
from ropewalk.spaces.store import ObjectName
from ropewalk.spaces.vectors import Vector
from ropewalk.testing.faults import Fault, Rule, Stop
from tests.spaces.machines import Machines, keys_of, shown
from tests.spaces.making import World, a_space, device, paper, some_keys

HEADS = "/heads/"
OTHERS = ("d1", "d2", "d3", "d4")


def _is_head(name: str) -> bool:
    return HEADS in name


@asynccontextmanager
async def _opened(world: World, where: str, keys: DeviceKeys) -> AsyncIterator[Space]:
    """The space on another machine."""
    folder = world.home.state.parent / where
    home = Home(folder / "config", folder / "state")
    known = world.home.load()
    spaces = {"photos": SpaceSetting(known.spaces["photos"].id, known.spaces["photos"].stores)}

    def settings(one: Settings) -> Settings:
        return msgspec.structs.replace(one, stores=known.stores, spaces=spaces)

    home.update(settings)
    async with await open_space(
        home, "photos", keys, clock=world.clock, now=world.now, threads=1, open_store=world.open_store, pay_every=3600
    ) as space:
        yield space


async def _paths(space: Space) -> list[str]:
    return [info.path async for info in space.list()]


async def _seen_without(world: World, *lost: str) -> list[str]:
    """What a machine without memory sees when some stores are lost."""
    for name in lost:
        world.stores[name].gone = True
    async with _opened(world, f"without {lost}", paper()) as space:
        found = await _paths(space)
    for name in lost:
        world.stores[name].gone = False
    return found


async def _given_up(world: World, where: str = "d0") -> ObjectName:
    """A head that its writer gave up and deleted, and that one store shows again."""
    for other in world.stores.keys() - {where}:
        world.stores[other].rules.append(Rule(Fault.FULL, on={"put"}, name=_is_head))
    async with world.open() as space:
        with pytest.raises(BelowFloor):
            await space.write("given up", b"1")
    for store in world.stores.values():
        store.rules.clear()
    name, data = next(put for put in world.stores[where].puts[::-1] if _is_head(put[0]))
    await world.stores[where].put(ObjectName(name), (data,))
    return ObjectName(name)


async def _stores_with(world: World, name: str) -> list[str]:
    return [store for store, held in world.stores.items() if name in await held.names(HEADS)]


async def test_what_was_built_on_a_head_that_one_store_had_outlasts_that_store(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("before", b"0")
    name = await _given_up(world)
    async with _opened(world, "other", paper()) as other:
        await other.write("on top", b"2")
        assert await _stores_with(world, name) == list(world.stores)
        assert await other.core.ledger.do(State.sparse_heads) == {}
    assert await _seen_without(world, "d0") == ["before", "given up", "on top"]


async def test_who_gave_a_head_up_takes_it_back_once_another_has_built_on_it(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    name = await _given_up(world)
    async with _opened(world, "other", paper()) as other:
        await other.write("on top", b"2")
    for store in world.stores.values():
        await store.lose(name)  # as if the removal had come after the other device put it there
    async with world.open() as space:
        assert any("counts after all" in line for line in space.warnings)
        assert await _paths(space) == ["given up", "on top"]
        assert await space.read("given up") == b"1"
        head = await space.core.ledger.do(State.head_named, name)
        assert head is not None
        assert head.state == ACKED
        await space.write("mine", b"3")
        await space.pay()
        assert await _stores_with(world, name) == list(world.stores)
        assert await space.core.ledger.do(State.owed_heads) == []
        assert await space.core.ledger.do(State.sparse_heads) == {}
        assert await space.core.ledger.do(State.head_data, name) is None
    assert await _seen_without(world, "d0", "d1") == ["given up", "mine", "on top"]
    async with world.open() as space:
        assert space.warnings == []


async def test_a_head_of_a_crash_that_another_has_built_on_counts_and_its_writer_goes_on(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:

        async def stop(name: ObjectName, data: bytes, **_: object) -> Copies:
            await world.stores["d0"].put(name, (data,))
            raise Stop

        space.core.pool.put_copies = stop  # type: ignore[method-assign,assignment]
        with pytest.raises(Stop):
            await space.write("under way", b"1")
        before = space.core.incarnation
    async with _opened(world, "other", paper()) as other:
        await other.write("on top", b"2")
    world.stores["d0"].gone = True
    async with world.open() as space:
        assert await _paths(space) == ["on top", "under way"]
        outcome = await space.write("after", b"3")
        assert outcome is not None
        assert (outcome.head.sequence, space.core.incarnation) == (2, before)
    assert await _seen_without(world, "d0") == ["after", "on top", "under way"]


async def test_a_head_that_does_not_get_there_is_left_out_and_joins_later(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("before", b"0")
    name = await _given_up(world)
    for liar in OTHERS:
        world.stores[liar].rules.append(Rule(Fault.REFUSE, on={"put"}, name=lambda one: one == name))
    async with _opened(world, "other", paper()) as other:
        assert await _paths(other) == ["before", "given up"]
        async with other.change() as change:
            await change.remove("before")  # the older head of that writer stands in its place
            await change.write("meanwhile", b"2")
        assert any("starts without it, and it joins later" in line for line in other.warnings)
        assert other.outcome is not None
        assert name not in {(await other.core.ledger.do(State.head_hashed, digest) or other.outcome.head).name
                            for _, digest in other.outcome.head.vector.values()}  # fmt: skip
        assert await _seen_without(world, "d0") == ["meanwhile"]
        for store in world.stores.values():
            store.rules.clear()
        world.clock.seconds += 3600
        await other.write("later", b"3")
        assert await _paths(other) == ["given up", "later", "meanwhile"]
    assert await _seen_without(world, "d0", "d3") == ["given up", "later", "meanwhile"]


async def test_a_head_that_is_gone_from_the_one_store_that_had_it_is_read_and_put_from_memory(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    name = await _given_up(world)
    async with _opened(world, "other", paper()) as other:
        await world.stores["d0"].lose(name)
    async with _opened(world, "other", paper()) as other:
        assert await other.read("given up") == b"1"
        await other.write("on top", b"2")
        assert await other.core.ledger.do(State.head_data, name) is None
    assert await _stores_with(world, name) == list(OTHERS)
    assert await _seen_without(world, "d1") == ["given up", "on top"]


async def test_what_names_a_head_that_is_nowhere_is_left_out_too(tmp_path: Path) -> None:
    """Another device, which did not see to it, has built on a head that nobody has any more."""
    world = await a_space(tmp_path)
    name = await _given_up(world)
    async with _opened(world, "careless", paper()) as other:
        await other.core.ledger.do(State.placed_head, name)  # or so it believes
        await other.write("on top", b"2")
    async with _opened(world, "third", device()) as third:
        await world.stores["d0"].lose(name)
        await third.core.ledger.do(lambda state: state._db.execute("UPDATE heads SET data = NULL"))
        await third.write("apart", b"3")
    assert await _seen_without(world, "d0") == ["apart"]


async def test_heads_that_enough_stores_show_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> object:
        raise AssertionError("heads that are known to be there were put again")

    monkeypatch.setattr(publish, "find_footing", never)
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("a", b"1")
    async with _opened(world, "other", paper()) as other:
        before = {store: len(held.puts) for store, held in world.stores.items()}
        await other.write("b", b"2")
        for store, held in world.stores.items():
            assert len(held.puts) == before[store] + 1  # its own


async def test_a_head_that_was_only_heard_of_is_put_where_it_is_not_known_to_be_once(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with _opened(world, "other", paper()) as other, world.open() as space:
        outcome = await space.write("a", b"1")
        assert outcome is not None
        name = HeadName.decode(outcome.head.name)
        assert name is not None
        assert await learn_heads(other.core, [name]) == 1
        ((sparse, stores),) = (await other.core.ledger.do(State.sparse_heads)).items()
        assert (sparse, len(stores)) == (name.encode(), 1)  # who gave it has it, and more is not known
        puts = {store: len(held.puts) for store, held in world.stores.items()}
        await other.write("b", b"2")
        again = [store for store, held in world.stores.items() if (name.encode() in dict(held.puts[puts[store] :]))]
        assert again == [store for store in world.stores if store not in stores]
        await other.write("c", b"3")
        assert all(dict(held.puts[puts[store] :]).keys() for store, held in world.stores.items())
        assert await other.core.ledger.do(State.sparse_heads) == {}


async def test_a_head_that_enough_stores_show_at_a_later_look_is_not_put(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with _opened(world, "other", paper()) as other, world.open() as space:
        outcome = await space.write("a", b"1")
        assert outcome is not None
        name = HeadName.decode(outcome.head.name)
        assert name is not None
        await learn_heads(other.core, [name])
        await learn(other.core)
        assert await other.core.ledger.do(State.sparse_heads) == {}
        assert (await begin_change(other.core)).unsure == ()


async def test_a_head_that_counts_by_now_is_not_given_up(tmp_path: Path) -> None:
    """Another process of this device has met a head that was built on it, between the puts and the giving up."""
    world = await a_space(tmp_path)
    async with world.open() as space:
        put_copies = space.core.pool.put_copies

        async def few(name: ObjectName, data: bytes, **_: object) -> Copies:
            done = await put_copies(name, data)
            await space.core.ledger.do(State.take_back_head, str(name), ["d0"], data)
            return Copies(frozenset(("d1",)), {store: BelowFloor("a test said so") for store in ("d0", "d2")} | {
                store: BelowFloor("a test said so") for store in done.kept if store > "d2"})  # fmt: skip

        space.core.pool.put_copies = few  # type: ignore[method-assign,assignment]
        before = space.core.incarnation
        await space.write("a", b"1")
        assert space.core.incarnation == before
        assert await space.core.ledger.do(State.heads, WITHDRAWN) == []
        assert await _paths(space) == ["a"]
        assert len(await space.core.ledger.do(State.owed_heads)) == 4


def _head(writer: str, sequence: int, **seen: int) -> KnownHead:
    vector = {one.encode() * 16: (number, _digest(one, number)) for one, number in {writer: sequence, **seen}.items()}
    mine = (f"{writer}{sequence}", _digest(writer, sequence), writer.encode() * 16, sequence)
    before = _digest(writer, sequence - 1) if sequence > 1 else bytes(32)
    return KnownHead(*mine, before, sequence, None, 0, "", vector, False, ACKED, writer.encode() * 32)


def _digest(writer: str, sequence: int) -> bytes:
    return f"{writer}{sequence}".encode().ljust(32)


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State(tmp_path / "state.db")
    state.unlock(some_keys())
    return state


def test_heads_that_are_named_are_asked_for_and_older_ones_only_across_a_fork(state: State) -> None:
    heads = [_head("a", 1), _head("a", 2), _head("b", 1, a=2), _head("c", 1)]
    for head in heads:
        state.add_head(head)
        state.doubt_head(head.name, ["d0"])
    state.doubt_head("forgotten", ())
    assert {head.name for head, _ in unsure(state, standing(state))} == {"a2", "b1", "c1"}
    assert {head.name for head, _ in unsure(state, Standing([heads[3]]))} == {"c1"}
    assert "forgotten" not in state.sparse_heads()
    state.add_fork(b"a" * 16, 1)
    assert {head.name for head, _ in unsure(state, Standing([heads[3]]))} == {"a1", "a2", "c1"}
    state.close()


def test_a_head_that_is_all_that_shows_of_one_that_is_named_is_asked_for(state: State) -> None:
    """Others that have neither would wait for ever; of one that is known the name is enough."""
    follows, names = replace(_head("a", 2), state=QUARANTINED), _head("b", 1, a=1)
    for head in (follows, names):
        state.add_head(head)
        state.doubt_head(head.name, ["d0"])
    assert {head.name for head, _ in unsure(state, standing(state))} == {"a2", "b1"}
    state.add_head(_head("a", 1))
    assert {head.name for head, _ in unsure(state, standing(state))} == {"b1"}
    state.close()


def test_what_a_head_that_is_named_rests_on_is_asked_for_too(state: State) -> None:
    """Whoever signed it may have put it on all stores, and on one store alone what it names."""
    heads = [
        _head("z", 1),
        _head("z", 2),
        _head("z", 3),
        _head("y", 1),
        _head("x", 1, z=1, y=1),
        _head("b", 1, x=1, z=3),
    ]
    for head in heads:
        state.add_head(head)
    for name in ("z1", "z2", "y1"):
        state.doubt_head(name, ["d0"])
    assert {head.name for head, _ in unsure(state, standing(state))} == {"z1", "y1"}
    left = footing._without(state, [heads[0]], b"c" * 16)
    assert {head.name for head in left.heads} == {"z3", "y1"}, "what rests on it has seen more than it names"
    assert "b1" in {head.name for head in footing._without(state, [heads[0]], b"b" * 16).heads}, "our own stay"
    state.close()


def test_what_follows_a_head_that_another_one_rests_on_is_asked_for_where_that_is_not_known(state: State) -> None:
    heads = [_head("z", 2), _head("x", 1, z=1), _head("b", 1, x=1)]
    for head in heads:
        state.add_head(head)
    state.doubt_head("z2", ["d0"])
    now = Standing([heads[2]])
    assert {head.name for head, _ in unsure(state, now)} == {"z2"}
    left = footing._without(state, [heads[0]], b"c" * 16)
    assert left.heads == []
    state.add_head(_head("z", 1))
    assert list(unsure(state, now)) == []
    state.close()


def test_the_chain_that_says_of_which_branch_a_head_is_is_looked_through_as_well(state: State) -> None:
    heads = [_head("z", 1), _head("w", 1), _head("w", 2, z=1), replace(_head("w", 3), vector={}), _head("z", 9)]
    for head in heads:
        state.add_head(head)
    state.add_fork(b"w" * 16, 1)
    state.doubt_head("z1", ["d0"])
    only = Standing([replace(_head("b", 1), vector={b"v" * 16: (3, _digest("w", 3))})])
    assert {head.name for head, _ in unsure(state, only)} == {"z1"}
    state.close()


def test_the_chain_to_where_a_branch_begins_is_looked_through_whatever_forks_are_known(state: State) -> None:
    """Others read a head that names a branch once they have it from its first head on."""
    for head in [_head("w", number) for number in range(1, 6)]:
        state.add_head(head)
        state.doubt_head(head.name, ["d0"])
    begins = branch_writer(b"w" * 16, _digest("w", 3))
    names = replace(_head("b", 1), vector={begins: (5, _digest("w", 5)), b"b" * 16: (1, _digest("b", 1))})
    state.add_head(names)
    now = Standing([replace(_head("c", 1), vector=names.vector)])
    assert {head.name for head, _ in unsure(state, now)} == {"w3", "w4", "w5"}
    now = Standing([replace(_head("c", 1), vector={b"b" * 16: (1, names.hash), b"w" * 16: (5, _digest("w", 5))})])
    assert {head.name for head, _ in unsure(state, now)} == {"w3", "w4", "w5"}
    state.add_fork(b"w" * 16, 2)
    assert {head.name for head, _ in unsure(state, now)} == {"w2", "w3", "w4", "w5"}
    state.close()


def test_what_is_too_much_to_look_through_is_put_without_looking(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = [_head("a", 1)] + [_head(chr(97 + at), 1, **{chr(96 + at): 1}) for at in range(1, 20)]
    for head in [*chain, _head("z", 1)]:
        state.add_head(head)
    for name in ("a1", "z1"):
        state.doubt_head(name, ["d0"])
    now = Standing([chain[-1]])
    assert {head.name for head, _ in unsure(state, now)} == {"a1"}
    monkeypatch.setattr(footing, "MOST_WALKED", 5)
    assert {head.name for head, _ in unsure(state, now)} == {"a1", "z1"}
    state.close()


async def test_what_was_built_on_a_head_that_rests_on_one_that_one_store_has_outlasts_that_store(
    tmp_path: Path,
) -> None:
    """A device names its own third head for all to see, and in another life its first; both lie in one store alone."""
    machines = await Machines.make(tmp_path)
    for name in ("eve", "honest", "fresh"):
        await machines.invite(name, Role.WRITER)
    async with machines.open("eve") as space:
        await shown(space)
        core = space.core

        async def put(life: bytes, sequence: int, previous: bytes, more: Vector) -> bytes:
            name, data = seal_head(
                incarnation=life * 16,
                sequence=sequence,
                previous=previous,
                steward=StewardLayer(epoch=core.keys.number),
                member=MemberLayer(core.keys.number, list(core.membership.heads), more, None, 0, 9, ""),
                embedded=b"",
                device=keys_of("eve"),
                keys=core.keys,
                feature=2,
            )
            await machines.world.stores["d0"].put(ObjectName(name.encode()), (data,))
            return take_apart(data, name).hash

        first = last = await put(b"z", 1, NO_HEAD, {})
        for sequence in (2, 3):
            last = await put(b"z", sequence, last, {})
        await put(b"x", 1, NO_HEAD, {writer_id(keys_of("eve").public().id, b"z" * 16): (1, first)})
    async with machines.open("honest") as space:
        await space.write("honest", b"1")
    machines.away(["d0"])
    async with machines.open("fresh") as space:
        assert "honest" in await shown(space)


def test_older_heads_stand_for_those_that_are_left_out_and_our_own_stay(state: State) -> None:
    heads = [_head("a", 1), _head("a", 2), _head("b", 1), _head("b", 2, a=2), _head("c", 1), _head("c", 2, a=2)]
    for head in heads:
        state.add_head(head)
    without = [_digest("a", 2)]
    assert {head.name for head in standing(state).heads} == {"b2", "c2"}
    assert {head.name for head in standing(state, without, b"x" * 16).heads} == {"a1", "b1", "c1"}
    assert {head.name for head in standing(state, without, b"c" * 16).heads} == {"b1", "c2"}
    assert standing(state, [head.hash for head in heads], b"").heads == []
    state.add_fork(b"a" * 16, 1)
    twin = b"other".ljust(32)
    state.add_head(replace(_head("a", 1), name="a1'", hash=twin, vector={b"a" * 16: (1, twin)}))
    left = footing._without(state, [heads[0]], b"x" * 16)
    assert {head.name for head in left.heads} == {"a1'", "b1", "c1"}
    state.close()


def test_the_bytes_of_heads_that_few_stores_have_are_kept_for_the_newest(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "MOST_KEPT", 2)
    state.add_head(replace(_head("b", 1), state=0), b"pending")
    for number in range(1, 5):
        state.add_head(replace(_head("a", number), time=number))
        state.keep_head(f"a{number}", b"%d" % number)
    assert [state.head_data(f"a{number}") for number in range(1, 5)] == [None, None, b"3", b"4"]
    state.placed_head("a4")
    state.placed_head("b1")
    assert (state.head_data("a4"), state.head_data("b1")) == (None, b"pending")
    state.close()


def test_the_bytes_of_heads_that_were_given_up_are_kept_for_the_newest(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MOST_WITHDRAWN", 2)
    for number in range(1, 5):
        head = replace(_head("a", number), state=0)
        state.add_head(head, b"%d" % number)
        state.settle_head(head.name, WITHDRAWN)
    found = state.given_up([_digest("a", number) for number in range(6)])
    assert [(head.name, data) for head, data in found] == [("a1", None), ("a2", None), ("a3", b"3"), ("a4", b"4")]
    state.close()
