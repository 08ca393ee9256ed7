"""What values are taken to need is never less than what they need, and not much more."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.broker.errors import Busy
from ropewalk.broker.footprint import MOST_PER_BYTE, footprint, messages, quickly, size_of
from tests.broker.costs import Door, calls, fed, filling, number, opened, stopped
from tests.broker.raw import Raw, ext, frame
from tests.broker.shapes import SHAPES, array, cost, filled, integer, mapping
from tests.broker.shapes import ext as encoded_ext

ANY = 1 << 60


@pytest.mark.parametrize("name", SHAPES)
def test_values_take_no_more_than_they_are_taken_to(name: str) -> None:
    body = filled(SHAPES[name], 30_000)
    assert cost(body) <= footprint(body) <= quickly(body)
    assert cost(body) <= len(body) * MOST_PER_BYTE


def test_long_text_takes_about_its_bytes() -> None:
    assert footprint(b"\xdb" + (900_000).to_bytes(4, "big") + b"a" * 900_000) < 901_000


@given(st.lists(st.sampled_from(list(SHAPES.values())), max_size=30))
def test_messages_are_told_apart(items: list[bytes]) -> None:
    body = array(items)
    assert [body[begin:end] for begin, end, _ in messages(body)] == items
    assert sum(taken for _, _, taken in messages(body)) <= footprint(body)


def test_a_value_here_is_counted_without_its_text() -> None:
    assert size_of("x" * 100_000) < 100
    assert 10_000 * 64 < size_of([{} for _ in range(10_000)]) < 10_000 * 100


# Through a session.


async def test_an_item_that_is_too_heavy_ends_the_session_when_it_is_read() -> None:
    door = Door()
    raw = Raw(door)
    raw.say([0, 1, 0, "keep", [ext(9, 1)]])
    await raw.rest()
    content = b"\xdd" + (1_000_000).to_bytes(4, "big") + b"\x80" * 1_000_000
    raw.say([6, 1, [content]])
    assert raw.code == ""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        with pytest.raises(Exception, match="weighs over"):
            await anext(door.kept[0])
        assert tracemalloc.get_traced_memory()[1] - before < 4 << 20
    finally:
        tracemalloc.stop()
    assert raw.code == "broker.limit"
    await raw.stop()


LARGE = mapping([(integer(200 + i), b"\xa9some text") for i in range(69)] + [(b"\x91\x01", b"\xc0")])


async def test_a_large_map_with_an_array_for_a_key_ends_the_session_in_a_call() -> None:
    raw = Raw(Door())
    for one in calls("echo", LARGE):
        raw.give(one)
    assert raw.code == "broker.frame"
    await raw.stop()


async def test_a_large_map_with_an_array_for_a_key_ends_the_session_in_an_item_that_is_read() -> None:
    door = Door()
    raw = Raw(door)
    raw.say([0, 1, 0, "keep", [ext(9, 1)]])
    await raw.rest()
    raw.say([6, 1, [LARGE]])
    with pytest.raises(Exception, match="key of a map"):
        await anext(door.kept[0])
    assert raw.code == "broker.frame"
    await raw.stop()


async def test_what_is_shown_in_a_refused_call_is_let_go() -> None:
    """References are released, streams closed, segments and blobs used up."""
    session = opened(Door())
    await fed(session, calls("hold", *filling(b"\x80", 58_000, 240_000)))
    broker = session.broker
    heavy = array([b"\x80"] * 58_000)
    shown = [encoded_ext(code, content) for code, content in ((2, b"\x92\x07\xa0"), (9, b"\x03"), (10, b"\x05"))]
    inner = encoded_ext(2, b"\x92\x09\xa0")
    shown += [encoded_ext(1, b"\x00"), encoded_ext(6, b"\x95\x08\xa0\xc4\x08" + bytes(8) + b"\x00" + inner)]
    body = array([b"\x95\x00" + number(50) + b"\x00\xa4hold\x91" + array([*shown, heavy])])
    await fed(session, [frame(b"\x92\x05\x04", (b"blob",), flags=1), frame(body, (b"segment",))])
    assert session.error is None
    assert broker.answering.answers[50].error.code == "broker.busy"
    assert len(broker.objects) == 0 or not any(there() for there in broker.objects._held.values())
    assert not broker.blobs._blobs
    assert all(entry.closed for entry in broker.streams._in.values())
    await stopped(session)


async def test_an_item_for_whose_references_there_is_no_room_is_an_error_in_its_place() -> None:
    door = Door()
    session = opened(door)
    await fed(session, calls("keep", encoded_ext(9, b"\x01")))
    await fed(session, calls("hold", *filling(b"\x80", 58_000), first=2))
    references = array([encoded_ext(2, b"\x92" + number(n) + b"\xa0") for n in range(1, 9_000)])
    item = b"\x91\xc6" + len(references).to_bytes(4, "big") + references
    await fed(session, [frame(array([b"\x93\x06\x01" + one])) for one in (item, b"\x91\xc4\x01\x05")])
    with pytest.raises(Busy):
        await anext(door.kept[0])
    assert await anext(door.kept[0]) == 5
    await stopped(session)


async def test_a_copy_for_whose_growth_there_is_no_room_says_so() -> None:
    door = Door()
    session = opened(door)
    await fed(session, calls("keep", encoded_ext(6, b"\x95\x01\xa0\xc4\x08" + bytes(8) + b"\x00\x90")))
    (view,) = door.kept
    updates = [
        frame(array([b"\x94\x09\x01" + number(version) + b"\x91\x92\x91" + number(version - 1) + value]))
        for version, value in enumerate(filling(b"\x80", 50_000), 1)
    ]
    await fed(session, updates)
    with pytest.raises(Busy):
        await view.changed()
    assert session.error is None
    await stopped(session)


async def test_a_copy_that_changes_and_does_not_grow_goes_on_for_ever() -> None:
    door = Door()
    session = opened(door)
    await fed(session, calls("keep", encoded_ext(6, b"\x95\x01\xa0\xc4\x08" + bytes(8) + b"\x00\x81\xa1n\x00")))
    (view,) = door.kept
    said = [b"\x94\x09\x01" + number(n) + b"\x91\x92\x91\xa1n" + number(n) for n in range(1, 20_001)]
    await fed(session, [frame(array(said[at : at + 500])) for at in range(0, 20_000, 500)])
    assert view.state == {"n": 20_000}
    assert session.broker.answering.burden.size < 20_000
    await stopped(session)
