"""No frame is ever longer or heavier than the other end takes, and no message is lost or torn."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.broker.errors import CannotSend
from ropewalk.broker.limits import LIGHT, Limits
from ropewalk.broker.outbox import Outbox, encode, encode_into, frame_of
from ropewalk.broker.weigh import _exactly
from tests.broker.reading import reading


class Taker:
    """The other end."""

    def __init__(self) -> None:
        self.frames: list[tuple[list[Any], list[bytes]]] = []
        self.bodies: list[bytes] = []

    def taken(self, body: memoryview, segments: Any) -> None:
        self.bodies.append(bytes(body))
        self.frames.append((msgspec.msgpack.decode(body), list(segments)))

    def piece(self, body: memoryview, size: int) -> memoryview:
        return memoryview(bytearray(size))

    def piece_end(self) -> None:
        self.frames.append(([], []))


messages = st.one_of(
    st.tuples(st.just("say"), st.sampled_from([1, 50, 1_000, 3_990, 4_050, 30_000, 59_900, 60_100, 99_000, 200_000])),
    st.tuples(st.just("hot"), st.sampled_from([1, 50, 1_000, 3_990, 4_050, 59_900, 60_100, 99_000])),
    st.tuples(st.just("add"), st.sampled_from([1, 3_000, 59_000, 62_000, 99_000])),
    st.tuples(st.just("beside"), st.sampled_from([0, 1, 3_000, 40_000, 99_000, 120_000])),
    st.tuples(st.just("heavy"), st.sampled_from([1, 1_000, 20_000, 59_000, 62_000, 70_000])),
    st.tuples(st.just("whole"), st.just(0)),
    st.tuples(st.just("unencodable"), st.just(0)),
)
limits = st.sampled_from(
    [
        Limits(frame=4096, weight=2 << 20),
        Limits(frame=100_000),
        Limits(frame=100_000, weight=2 << 20),
        Limits(),
    ]
)


@given(st.lists(st.one_of(messages, st.just(("take", 0))), max_size=25), limits)
def test_every_message_arrives_in_order_in_frames_within_the_limits(
    said: list[tuple[str, int]], theirs: Limits
) -> None:
    woken: list[bool] = []
    outbox = Outbox(woken.append)
    outbox.limit(theirs)
    wanted: list[Any] = []
    sent: list[bytes] = []
    for number, (how, size) in enumerate(said):
        before = outbox.waiting
        woken.clear()
        try:
            wanted += done(outbox, how, size, number)
        except CannotSend:
            assert size > 1_000 or how == "unencodable"
        if how == "take":
            sent += [b"".join(frame) for frame in outbox.take()]
        elif outbox.waiting and not before and how != "whole":
            assert woken
    sent += [b"".join(frame) for frame in outbox.take()]
    assert outbox.sent == sum(map(len, sent))
    assert not outbox.waiting
    taker = Taker()
    for frame in sent:
        assert len(frame) <= theirs.frame
        reading(taker, theirs.frame).feed(frame)
    assert [message for frame, _ in taker.frames for message in (frame or [[]])] == wanted
    for body in taker.bodies:
        assert _exactly(body, 1 << 60) <= theirs.weight


def done(outbox: Outbox, how: str, size: int, number: int) -> list[Any]:
    """Say something; what the other end is to see of it."""
    message: list[Any] = [number, "x" * size]
    match how:
        case "say":
            outbox.say(message)
        case "hot":  # as the loops over calls do
            before = len(outbox.body)
            encode_into(message, outbox.body, -1)
            if len(outbox.body) > outbox.soft:
                outbox.cut(before)
            count = outbox.count
            outbox.count = count + 1
            if not count:
                outbox.wake(False)
        case "add":
            outbox.add(encode(message))
        case "beside":
            outbox.add(encode([number]), [b"y" * size, b"z"])
            return [[number]]
        case "heavy":
            message = [number, [{}] * size]
            outbox.say(message)
        case "whole":
            outbox.put_frame(frame_of(encode([number, 1]), [b"p"], 1))
            return [[]]
        case "unencodable":
            with pytest.raises(TypeError):
                outbox.say([number, "x" * 100, object()])
            return []
        case _:
            return []
    return [message]


def test_only_one_message_of_a_frame_has_segments_and_it_is_the_last() -> None:
    outbox = Outbox(lambda _alone: None)
    outbox.limit(Limits())
    outbox.say([1])
    outbox.add(encode([2]), [b"a"])
    outbox.add(encode([3]), [b"b"])
    outbox.say([4])
    taker = Taker()
    for frame in outbox.take():
        reading(taker, 1 << 20).feed(b"".join(frame))
    assert taker.frames == [([[1], [2]], [b"a"]), ([[3]], [b"b"]), ([[4]], [])]


def test_a_message_with_segments_joins_no_frame_that_would_be_too_heavy_with_it() -> None:
    outbox = Outbox(lambda _alone: None)
    outbox.limit(Limits())
    outbox.add(encode([1, [{}] * 50_000]))
    outbox.add(encode([2, [{}] * 50_000]), [b"a"])
    assert len(outbox.take()) == 2


def test_what_is_too_long_is_refused_and_nothing_of_it_is_left() -> None:
    outbox = Outbox(lambda _alone: None)
    for say in (
        lambda: outbox.say([1, "x" * 5_000]),
        lambda: outbox.add(encode([1, "x" * 5_000])),
        lambda: outbox.add(encode([1]), [b"x" * 5_000]),
        lambda: outbox.add(encode([1]), [b""] * 4_097),
    ):
        with pytest.raises(CannotSend):
            say()
    assert not outbox.waiting
    outbox.limit(Limits())
    with pytest.raises(CannotSend, match="weighs"):
        outbox.say([1, [{}] * (LIGHT + 10_000)])
    outbox.say([2])
    assert b"".join(outbox.take()[0])[13:] == encode([2])


@pytest.mark.parametrize("text", ["x" * 4_096, "\U0001f600" * 4_096])
def test_an_error_is_told_however_little_the_other_end_takes(text: str) -> None:
    outbox = Outbox(lambda _alone: None)
    outbox.say_error((2, 7), ("failed", "c" * 128, text, {"hint": text}))
    (frame,) = outbox.take()
    taker = Taker()
    reading(taker, 4096).feed(b"".join(frame))
    (message,) = taker.frames[0][0]
    assert message[:4] == [2, 7, "failed", "c" * 128]
    assert text.startswith(message[4])
    outbox.say_error((7, 7), ("missing", "c", "text", {"hint": "h"}))
    outbox.say_error((7, 7), ("missing", "c", "text", {}))
    reading(taker, 4096).feed(b"".join(outbox.take()[0]))
    assert taker.frames[1][0] == [[7, 7, "missing", "c", "text", {"hint": "h"}], [7, 7, "missing", "c", "text"]]
