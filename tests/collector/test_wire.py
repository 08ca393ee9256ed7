"""Frames: what was sent is read, wherever it is cut; what is no frame is refused."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.collector.intake import Intake, Sample
from ropewalk.collector.wire import (
    MOST_BEFORE_HELLO,
    MOST_FRAME,
    MOST_SERIES,
    Ack,
    BadFrame,
    Define,
    Definition,
    FromAgent,
    FromCollector,
    Hello,
    Push,
    Reader,
    Refusal,
    TooMuch,
    Welcome,
    encode,
)
from ropewalk.errors import PeerFault
from tests.collector.agents import DEFINE, HELLO, RUN

VECTORS = json.loads((Path(__file__).parents[2] / "docs/spec/vectors/metrics-push.json").read_text())
MESSAGES: list[FromAgent | FromCollector] = [
    HELLO,
    DEFINE,
    Push(1, 1_700_000_000_000, [(0, 3), (1, -1.5)]),
    Welcome(1, 7),
    Ack(8),
    Refusal("collector.token", "no", 300.0),
]


def taken(*chunks: bytes) -> list[Hello | Sample]:
    intake, items = Intake(), []
    for chunk in chunks:
        intake.feed(chunk)
        while item := intake.next():
            items.append(item)
    return items


def frame(value: object) -> bytes:
    body = msgspec.msgpack.encode(value)
    return len(body).to_bytes(4) + body


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_come_back(message: FromAgent | FromCollector) -> None:
    kind = FromCollector if isinstance(message, FromCollector) else FromAgent
    reader = Reader(kind)  # type: ignore[arg-type]
    reader.feed(encode(message))
    assert reader.next() == message
    assert reader.next() is None


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda vector: vector["name"])
def test_vectors_are_what_we_write_and_read(vector: dict[str, str]) -> None:
    data = bytes.fromhex(vector["frame"])
    kind = FromAgent if vector["from"] == "agent" else FromCollector
    reader = Reader(kind)  # type: ignore[arg-type]
    reader.feed(data)
    message = reader.next()
    assert message is not None
    assert type(message).__name__.lower() == vector["name"].split()[0]
    assert encode(message) == data


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda vector: vector["name"])
def test_bad_vectors_are_refused_with_their_code(vector: dict[str, str]) -> None:
    with pytest.raises(PeerFault) as caught:
        taken(bytes.fromhex(vector["bytes"]))
    assert caught.value.code == vector["code"]


def test_where_the_bytes_are_cut_does_not_matter() -> None:
    stream = b"".join(encode(message) for message in MESSAGES[:3]) + encode(Push(2, 5, []))
    whole = taken(stream)
    assert [type(item) for item in whole] == [Hello, Sample, Sample]
    for at in range(len(stream)):
        assert taken(stream[:at], stream[at:]) == whole
    assert taken(*(stream[at : at + 1] for at in range(len(stream)))) == whole


@pytest.mark.parametrize(
    "bad",
    [
        [1, 1, "web", "secret", RUN],  # too few fields
        [1, 1, "web", "secret", RUN, 10.0, 0],  # too many
        [1, 1, "web", "secret", RUN[:15], 10.0],
        [1, 1, "", "secret", RUN, 10.0],
        [1, 1, "a b", "secret", RUN, 10.0],
        [1, 1, "web\n", "secret", RUN, 10.0],
        [1, 1, "w" * 129, "secret", RUN, 10.0],
        [1, 1, "web", "s" * 1025, RUN, 10.0],
        [1, 1, "web", "secret", RUN, -1.0],
        [1, 1, "web", "secret", RUN, math.nan],
        [1, -1, "web", "secret", RUN, 10.0],
        [9, 1],
        [4, 1, 0],  # a welcome from an agent
        {"type": 1},
        "hello",
        None,
    ],
)
def test_what_is_no_hello_is_refused(bad: object) -> None:
    with pytest.raises(BadFrame):
        taken(frame(bad))


@pytest.mark.parametrize(
    "bad",
    [
        [2, []],
        [2, [[2, "0name", "gauge", {}]]],
        [2, [[2, "name", "histogram", {}]]],
        [2, [[2, "n" * 201, "gauge", {}]]],
        [2, [[2, "name", "gauge", {"a-b": "c"}]]],
        [2, [[2, "name", "gauge", {"a": "c" * 129}]]],
        [2, [[2, "name", "gauge", {f"l{n}": "" for n in range(18)}]]],
        [2, [[0, "again", "gauge", {}]]],
        [3, 0, 5, []],
        [3, 2**60, 5, []],
        [3, 1, -5, []],
        [3, 1, 5, [[0, 1], [0, 2]]],
        [3, 1, 5, [[7, 1]]],  # not defined
        [3, 1, 5, [[0, -1]]],  # a counter that shrinks
        [3, 1, 5, [[0, math.inf]]],
        [3, 1, 5, [[1, math.nan]]],
        [3, 1, 5, [[0, "1"]]],
        [3, 1, 5, [[0]]],
        [3, 1, 5, [[0, 1]] * (MOST_SERIES + 1)],
    ],
)
def test_what_does_not_fit_is_refused(bad: object) -> None:
    with pytest.raises(BadFrame):
        taken(encode(HELLO), encode(DEFINE), frame(bad))


def test_the_order_is_kept() -> None:
    with pytest.raises(BadFrame, match="hello first"):
        taken(encode(DEFINE))
    with pytest.raises(BadFrame, match="second hello"):
        taken(encode(HELLO), encode(HELLO))
    with pytest.raises(BadFrame, match="expected more than 3"):
        taken(encode(HELLO), encode(Push(3, 1, [])), encode(Push(3, 1, [])))


@pytest.mark.parametrize("size", [MOST_BEFORE_HELLO + 1, 2**31, 2**32 - 1])
def test_a_length_that_lies_is_refused_before_anything_is_kept(size: int) -> None:
    with pytest.raises(TooMuch):
        taken(size.to_bytes(4))
    with pytest.raises(TooMuch):
        taken(encode(HELLO), (size + MOST_FRAME).to_bytes(4) if size < 2**31 else size.to_bytes(4))


def test_series_are_bounded() -> None:
    many = [Definition(number, f"m{number}", "gauge", {}) for number in range(MOST_SERIES + 1)]
    frames = [encode(Define(many[at : at + 1_000])) for at in range(0, len(many), 1_000)]
    taken(encode(HELLO), *frames[:-1])
    with pytest.raises(TooMuch, match="series"):
        taken(encode(HELLO), *frames)


def test_what_is_too_long_is_not_sent() -> None:
    values = [Definition(number, "n" * 200, "gauge", {"a": "b" * 100}) for number in range(1_000)]
    with pytest.raises(TooMuch):
        encode(Define(values))


@given(st.lists(st.binary(max_size=64), max_size=8))
def test_junk_is_refused_or_waits(chunks: list[bytes]) -> None:
    with suppress(PeerFault):
        assert taken(*chunks) == []


@given(st.data())
def test_a_stream_that_was_meddled_with_is_refused_or_read(data: st.DataObject) -> None:
    stream = bytearray(b"".join(encode(message) for message in MESSAGES[:3]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at] = data.draw(st.integers(0, 255))
    try:
        items = taken(bytes(stream))
    except PeerFault:
        return
    assert all(math.isfinite(value) for item in items if isinstance(item, Sample) for _, value in item.values)


@given(st.recursive(st.none() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(), st.lists))
def test_any_value_in_a_frame_is_refused_or_read(value: object) -> None:
    with suppress(PeerFault):
        taken(encode(HELLO), encode(DEFINE), frame(value))
