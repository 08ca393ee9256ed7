"""Updates of shared objects: long ones, ones that are none, who waits for them, and any mix of all."""

from __future__ import annotations

import asyncio
import copy
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk import broker as rope
from ropewalk.broker.errors import BadMessage
from ropewalk.errors import Misuse, Unavailable
from tests.broker.pair import Pair
from tests.broker.pairs import shared_pair, shared_state  # noqa: F401 - fixtures
from tests.broker.sharing import Counter, Desk, one_way


async def test_big_values_in_changes_go_in_pieces(pair: Pair, shared: rope.Shared) -> None:
    """The bytes of such a change were never sent."""
    view = await pair.got(pair.me.watch())
    shared.put("a", value=bytes(20_000))
    await pair.run()
    assert view.state["a"] == bytes(20_000)
    shared.put("a", value=[bytes(700_000), Desk()])
    one_way(pair.server, pair.client, 1)
    assert pair.server.broker.lanes
    for number in range(3):
        shared.put("list", 0, value=number)
        one_way(pair.server, pair.client, 1)
    await pair.run()
    assert view.state["list"] == [2, 2]
    assert view.state["a"][0] == bytes(700_000)
    assert view.version == shared.version
    shared.put("a", value=0)
    await pair.run()
    gc.collect()
    await pair.run()
    assert len(pair.server.broker.objects.shown) == 2
    lanes = pair.server.broker.lanes
    assert sorted(lanes._free) == list(range(1, lanes._next))


async def test_a_change_on_its_way_in_pieces_is_given_up_with_the_last_reference(
    pair: Pair, shared: rope.Shared
) -> None:
    view = await pair.got(pair.me.watch())
    shared.put("a", value=[bytes(700_000), Desk()])
    one_way(pair.server, pair.client, 1)
    del view
    gc.collect()
    await pair.run()
    assert (pair.client.error, pair.server.error) == (None, None)
    assert len(pair.server.broker.objects.shown) == 1
    assert pair.client.broker.blobs._blobs == {}
    lanes = pair.server.broker.lanes
    assert sorted(lanes._free) == list(range(1, lanes._next))
    view = await pair.got(pair.me.watch())
    assert view.version == 1


async def test_changes_that_are_too_much_at_once_are_told_as_the_state(pair: Pair, shared: rope.Shared) -> None:
    view = await pair.got(pair.me.watch())
    for _ in range(5):
        shared.put("a", value="x" * 300_000)
    await pair.run()
    assert (view.state, view.version) == (shared.state, 5)


async def test_a_state_that_the_other_end_does_not_take_ends_the_session_with_the_reason(
    pair: Pair, shared: rope.Shared
) -> None:
    view = await pair.got(pair.me.watch())
    for number in range(5):
        shared.put(f"{number}", value="x" * 300_000)
    await pair.run()
    assert pair.server.error is not None
    assert isinstance(pair.server.error, Unavailable)
    assert pair.server.error.code == "broker.cannot-tell"
    assert view.version == 0


async def test_who_waits_for_a_change_is_told_once_for_all_of_a_turn(pair: Pair, shared: rope.Shared) -> None:
    view = await pair.got(pair.me.watch())
    waiting = [asyncio.ensure_future(view.changed()) for _ in range(3)]
    seen: list[Any] = []

    async def see() -> None:
        async for state in view.states():
            seen.append(copy.deepcopy(state["a"]))  # noqa: PERF401 - it is looked at while it grows

    seeing = asyncio.ensure_future(see())
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    shared.put("a", value=2)
    shared.put("a", value=3)
    await pair.run()
    assert [await one for one in waiting[1:]] == [2, 2]
    assert seen == [1, 3]
    pair.client.end(rope.Lost("the connection was lost"))
    with pytest.raises(rope.Lost):
        await seeing


async def test_who_waits_when_the_session_has_ended_is_told_at_once(pair: Pair) -> None:
    """It waited for ever."""
    view = await pair.got(pair.me.watch())
    waiting = asyncio.ensure_future(view.changed())
    await asyncio.sleep(0)
    pair.client.end(rope.Lost("the connection was lost"))
    for again in (waiting, view.changed(), view.changed()):
        with pytest.raises(rope.Lost):
            await again
    states = [state async for state in _until_lost(view)]
    assert states == [view.state]


async def _until_lost(view: rope.View) -> AsyncIterator[Any]:
    try:
        async for state in view.states():
            yield state
    except rope.Lost:
        return


async def test_a_view_is_no_value_of_a_third_session_but_can_be_called_through_it(shared: rope.Shared) -> None:
    here, there = Pair(Desk(Counter({"sum": 0}))), Pair(Desk())
    view = await here.got(here.me.watch())
    there_door = there.server.broker.objects.shown[0].target
    assert isinstance(there_door, Desk)
    await there.got(there.me.take(view))
    promise = there_door.got.add(5)
    for _ in range(4):
        await there.run()
        await here.run()
    assert promise.value() == 5
    await here.stop()
    await there.stop()


UPDATES: dict[str, tuple[Any, ...]] = {
    "a version that is text": (9, 1, "1", []),
    "a reference that is text": (9, "1", 1, []),
    "changes that are no array": (9, 1, 1, {}),
    "a change that is no array": (9, 1, 1, [1]),
    "a change of three": (9, 1, 1, [[[], 1, 2]]),
    "a path that is no array": (9, 1, 1, [["a", 1]]),
    "a gap": (9, 1, 5, [[["a"], 1]]),
    "no changes": (9, 1, 5, []),
    "a path that leads nowhere": (9, 1, 1, [[["no", "such"], 1]]),
    "removing what is not there": (9, 1, 1, [[["no"]]]),
    "removing all": (9, 1, 1, [[[]]]),
    "a step that is no step": (9, 1, 1, [[[1.5], 1]]),
    "a map as a step": (9, 1, 1, [[[{}], 1]]),
    "two of which the first is whole": (9, 1, 7, [[[], 1], [["a"], 1]]),
}


@pytest.mark.parametrize("message", UPDATES.values(), ids=UPDATES.keys())
async def test_an_update_that_is_none_ends_the_session(pair: Pair, message: tuple[Any, ...]) -> None:
    view = await pair.got(pair.me.watch())
    pair.server.broker.outbox.say(message)
    await pair.run()
    assert isinstance(pair.client.error, BadMessage)
    assert view.version == 0


async def test_updates_that_say_nothing_new_are_passed_over(pair: Pair, shared: rope.Shared) -> None:
    view = await pair.got(pair.me.watch())
    shared.put("a", value=2)
    await pair.run()
    outbox = pair.server.broker.outbox
    outbox.say((9, 1, 1, [[["a"], "again"]]))
    outbox.say((9, 1, 0, []))
    outbox.say((9, 1, 1, [[[], "whole"]]))
    outbox.say((9, 77, 1, [[["a"], "of nothing"]]))
    outbox.say((9, 1, 3, [[["a"], "again"], [["a"], "again"], [["b"], 3], [["c"], 4]]))
    await pair.run()
    assert pair.client.error is None
    assert ([view.state[key] for key in "abc"], view.version) == ([2, 3, 4], 3)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(
            ["put", "put", "remove", "replace", "drop", "watch", "blob", "move", "to", "from", "slow", "turn"]
        ),
        st.integers(0, 2),  # whose
        st.integers(0, 6),
        st.recursive(
            st.integers() | st.text(max_size=3) | st.just(b"x" * 17_000) | st.just(b"y" * 270_000),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            max_leaves=5,
        ),
    ),
    max_size=40,
)


def places(state: Any) -> list[tuple[Any, ...]]:
    """All paths in a state."""
    found: list[tuple[Any, ...]] = []
    if isinstance(state, dict):
        for key, inner in state.items():
            found += [(key,), *((key, *rest) for rest in places(inner))]
        found.append(("new",))
    elif isinstance(state, list):
        for index, inner in enumerate(state):
            found += [(index,), *((index, *rest) for rest in places(inner))]
        found.append((len(state),))
    return found


@settings(max_examples=120)
@given(steps=CHANGES)
async def test_each_view_equals_the_state_whatever_happens(steps: list[Any]) -> None:
    async with asyncio.timeout(60):
        shared = rope.Shared({"a": [1, {"b": 2}]})
        pairs = [Pair(Desk(shared)) for _ in range(3)]
        views: list[list[Any]] = [[], [], []]
        for step, whose, number, value in steps:
            pair = pairs[whose]
            if step in ("put", "remove"):
                paths = places(shared.state)
                if paths:
                    try:
                        path = paths[number % len(paths)]
                        shared.put(*path, value=value) if step == "put" else shared.remove(*path)
                    except Misuse:
                        continue  # removing what is not there
            elif step == "replace":
                shared.replace({"a": value})
            elif step == "watch":
                views[whose].append(pair.me.watch())
            elif step == "blob":
                views[whose].append(pair.me.watch_with(600_000)[0])
            elif step == "drop" and views[whose]:
                views[whose].pop()
            elif step == "to":
                one_way(pair.client, pair.server, number)
            elif step == "from":
                one_way(pair.server, pair.client, number)
            elif step == "slow":
                pair.server.broker.shares.slow = number > 3
            elif step == "move":
                await pair.run()
            else:
                await asyncio.sleep(0)
        for pair, promises in zip(pairs, views, strict=True):
            pair.server.broker.shares.slow = False
            await pair.run()
            assert (pair.client.error, pair.server.error) == (None, None)
            for promise in promises:
                view = await pair.got(promise)
                assert (view.state, view.version) == (shared.state, shared.version)
        views.clear()
        del promises, pair
        promise = view = None
        for pair in pairs:
            gc.collect(0)
            await pair.run()
            await pair.stop()
        assert len(shared._watches) == 0
