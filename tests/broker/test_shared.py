"""Shared objects: each live copy is the state, whatever changes, crosses, waits or is let go of."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.broker.errors import BadMessage
from ropewalk.broker.shared import BadChange
from ropewalk.errors import Missing
from tests.broker.pair import Pair
from tests.broker.pairs import shared_pair, shared_state  # noqa: F401 - fixtures
from tests.broker.sharing import Counter, Desk, one_way


async def test_a_view_is_the_state_and_follows_it(pair: Pair, shared: rope.Shared) -> None:
    view = await pair.got(pair.me.watch())
    assert isinstance(view, rope.View)
    assert (view.state, view.version, view.run) == (shared.state, 0, shared.run)
    shared.put("a", value=2)
    shared.put("list", 2, value={"x": [1]})
    shared.put("deep", "er", "more", value=None)
    shared.remove("list", 0)
    shared.put("list", 0, value=7)
    await pair.run()
    assert view.state == shared.state == {"a": 2, "list": [7, {"x": [1]}], "deep": {"er": {"more": None}}}
    assert view.version == shared.version == 5
    shared.replace([1])
    shared.put(1, value=2)
    await pair.run()
    assert (view.state, view.version) == ([1, 2], 7)


async def test_a_change_is_there_before_the_answer_to_the_call_that_made_it() -> None:
    pair = Pair(Desk(Counter({"sum": 1})))
    view = await pair.got(pair.me.watch())
    assert await pair.got(view.add(4)) == 5
    assert view.state == {"sum": 5}
    await pair.stop()


async def test_changes_of_one_turn_go_together(pair: Pair, shared: rope.Shared) -> None:
    view = await pair.got(pair.me.watch())
    before = pair.server.broker.outbox.sent
    for number in range(200):
        shared.put("a", value=number)
    await pair.run()
    assert view.state["a"] == 199
    assert pair.server.broker.outbox.sent - before < 200 * 8
    for number in range(1000):  # of very many only what came of them
        shared.put("a", value=number)
    before = pair.server.broker.outbox.sent
    await pair.run()
    assert (view.state, view.version) == (shared.state, 1200)
    assert pair.server.broker.outbox.sent - before < 100


async def test_what_is_told_of_a_value_is_how_it_was_put(pair: Pair, shared: rope.Shared) -> None:
    """A later change in place was told with it, and then once more."""
    view = await pair.got(pair.me.watch())
    mine = [1, 2, 3]
    shared.put("list", value=mine)
    mine.append(4)
    shared.remove("list", 0)
    shared.put("list", 2, value=9)
    await pair.run()
    assert view.state["list"] == shared.state["list"] == [2, 3, 9]


async def test_a_state_is_no_ones_but_its_own() -> None:
    mine: dict[str, Any] = {"a": [1]}
    shared = rope.Shared(mine)
    mine["a"].append(2)
    assert shared.state == {"a": [1]}
    shared.put("b", value=1)
    assert mine == {"a": [1, 2]}


async def test_objects_and_references_in_a_state_stay_what_they_are(pair: Pair, shared: rope.Shared) -> None:
    """They were copied, and the copy of a reference released it a second time."""
    desk = Desk(shared)
    view = await pair.got(pair.me.watch())
    shared.put("desks", value=[desk])
    assert shared.state["desks"][0] is desk
    await pair.run()
    assert await pair.got(view.state["desks"][0].is_ours(view)) is True
    mine = Desk()
    await pair.got(pair.me.take(mine))
    door = pair.server.broker.objects.shown[0].target
    assert isinstance(door, Desk)
    shared.put("theirs", value={"ref": door.got})
    await pair.run()
    assert view.state["theirs"]["ref"] is mine
    door.got = None
    shared.remove("theirs")
    shared.remove("desks")
    await pair.run()
    gc.collect()
    await pair.run()
    assert len(pair.client.broker.objects.shown) == 1
    assert len(pair.server.broker.objects.shown) == 2
    assert pair.server.error is None
    assert pair.client.error is None


@rope.copyable("shared.point")
@dataclasses.dataclass
class Point:
    """A record in a state."""

    x: int
    more: list[int]


async def test_a_record_in_a_state_is_copied_too(pair: Pair, shared: rope.Shared) -> None:
    view = await pair.got(pair.me.watch())
    point = Point(1, [1])
    shared.put("point", value=point)
    point.more.append(2)
    point.x = 5
    await pair.run()
    assert view.state["point"] == shared.state["point"] == Point(1, [1])


@pytest.mark.parametrize("value", [object(), [object()], {"a": {1: object()}}, {(1, 2): 3}])
async def test_a_value_that_cannot_cross_is_refused_where_it_is_put(shared: rope.Shared, value: Any) -> None:
    before = copy.deepcopy(shared.state)
    for change in (lambda: shared.put("a", value=value), lambda: shared.replace(value), lambda: rope.Shared(value)):
        with pytest.raises(rope.CannotSend):
            change()
    assert (shared.state, shared.version) == (before, 0)


async def test_streams_and_promises_are_no_part_of_a_state(pair: Pair, shared: rope.Shared) -> None:
    async def items() -> AsyncIterator[int]:
        yield 1

    stream = items()
    with pytest.raises(rope.CannotSend):
        shared.put("a", value=stream)
    with pytest.raises(rope.CannotSend):
        shared.put("a", value=[pair.me.watch()])
    await stream.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "path", [("no", "such"), ("list", 3), ("list", -1), ("list", "x"), ("a", "x"), ("list", True), (0,), (1.5,)]
)
async def test_a_path_that_leads_nowhere_changes_nothing(shared: rope.Shared, path: Any) -> None:
    before = copy.deepcopy(shared.state)
    with pytest.raises(BadChange):
        shared.put(*path, value=1)
    with pytest.raises(BadChange):
        shared.remove(*path)
    assert (shared.state, shared.version) == (before, 0)
    with pytest.raises(BadChange):
        shared.remove()
    with pytest.raises(BadChange):
        shared.remove("nothing")
    with pytest.raises(BadChange):
        shared.put(*["deep"] * 65, value=1)


async def test_who_writes_to_a_view_is_told_why_the_session_has_ended(shared: rope.Shared) -> None:
    class Waits(Desk):
        @rope.remote
        async def forever(self) -> None:
            await asyncio.Event().wait()

    pair = Pair(Waits(shared))
    view = await pair.got(pair.me.watch())
    own = copy.deepcopy(view.state)
    own["list"].clear()  # a copy is the program's own
    shared.put("list", 0, value=1)
    await pair.run()
    assert (view.state, pair.client.error) == (shared.state, None)
    slow = pair.me.forever()
    await pair.run()
    view.state["list"].clear()
    shared.put("list", 1, value=2)
    await pair.run()
    assert isinstance(pair.client.error, BadMessage)
    assert "there is no place 1 in a list" in str(pair.client.error)
    with pytest.raises(rope.Lost) as caught:
        slow.value()
    for error in (pair.client.error, caught.value):
        assert "was changed at this end" in error.hint
    await pair.stop()


async def test_a_slow_reader_gets_the_state_and_not_all_that_led_to_it(pair: Pair, shared: rope.Shared) -> None:
    view = await pair.got(pair.me.watch())
    pair.server.broker.shares.slow = True
    for number in range(100_000):
        shared.put("a", value=number)
    await pair.run()
    assert view.version == 0
    (watch,) = pair.server.broker.shares._watches.values()
    assert watch.changes is None  # nothing is kept for it
    pair.server.broker.shares.slow = False
    await pair.run()
    assert (view.state, view.version) == (shared.state, 100_000)


async def test_changes_while_the_message_that_shows_it_waits_for_bytes(pair: Pair, shared: rope.Shared) -> None:
    waiting = pair.me.watch_with(3_000_000)
    one_way(pair.client, pair.server)
    one_way(pair.server, pair.client, 2)
    shared.put("a", value="while it waited")
    one_way(pair.server, pair.client, 2)
    view, _ = await pair.got(waiting)
    assert (view.state, view.version) == (shared.state, 1)
    shared.put("a", value="after")
    await pair.run()
    assert (view.state, view.version) == (shared.state, 2)


async def test_it_is_let_go_of_while_the_message_that_shows_it_again_waits(pair: Pair, shared: rope.Shared) -> None:
    """The later one had an old state, and the next change ended the session."""
    view = await pair.got(pair.me.watch())
    waiting = pair.me.watch_with(3_000_000)
    one_way(pair.client, pair.server)
    one_way(pair.server, pair.client, 2)
    shared.put("a", value="while it waited")
    one_way(pair.server, pair.client, 2)
    assert view.version == 1
    del view
    gc.collect()
    one_way(pair.client, pair.server)  # RELEASE
    shared.put("a", value="nobody sees this")
    one_way(pair.server, pair.client, 2)
    view, _ = await pair.got(waiting)
    shared.put("list", value=[])
    await pair.run()
    assert pair.client.error is None
    assert (view.state, view.version) == (shared.state, 3)


async def test_release_crosses_an_update(pair: Pair, shared: rope.Shared) -> None:
    view = await pair.got(pair.me.watch())
    shared.put("a", value=2)
    del view
    gc.collect()
    await pair.run()
    assert (pair.client.error, pair.server.error) == (None, None)
    assert len(shared._watches) == 0
    shared.put("a", value=3)
    view = await pair.got(pair.me.watch())
    assert (view.state, view.version) == (shared.state, 2)
    assert len(shared._watches) == 1


async def test_a_method_of_it_is_kept_and_the_view_is_not(pair: Pair, shared: rope.Shared) -> None:
    view = await pair.got(pair.me.watch())
    method = view.nothing
    del view
    gc.collect()
    await pair.run()
    shared.put("a", value=2)
    shared.put("a", value=3)
    await pair.run()
    view = await pair.got(pair.me.watch())
    shared.put("a", value=4)
    await pair.run()
    assert (view.state, view.version) == (shared.state, 3)
    with pytest.raises(Missing, match="no remote method"):
        await pair.got(method())


async def test_one_object_has_one_view(pair: Pair, shared: rope.Shared) -> None:
    view = await pair.got(pair.me.watch())
    again = await pair.got(pair.me.watch())
    shared.put("a", value=5)
    await pair.run()
    assert view is again
    assert await pair.got(pair.me.is_ours(view)) is True


async def test_many_watch_and_each_sees_the_same(shared: rope.Shared) -> None:
    pairs = [Pair(Desk(shared)) for _ in range(20)]
    views = [await pair.got(pair.me.watch()) for pair in pairs]
    for number in range(10):
        shared.put("list", len(shared.state["list"]), value=number)
        for pair in pairs[number % 3 :: 3]:
            await pair.run()
    for pair in pairs[:5]:
        await pair.stop()
    shared.put("a", value="to the others")
    for pair in pairs[5:]:
        await pair.run()
    assert [view.state for view in views[5:]] == [shared.state] * 15
    assert len(shared._watches) == 15
    for pair in pairs[5:]:
        await pair.stop()
    assert len(shared._watches) == 0
