"""Frames are found wherever the bytes are cut; what is none is refused with the code of the document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.broker.errors import BadFrame, OverLimit
from ropewalk.broker.frames import HEADER, MOST_SEGMENTS, Reader, _pool
from ropewalk.broker.outbox import frame_of
from ropewalk.errors import PeerFault
from tests.broker.reading import reading

LIMIT = 1 << 20
Got = list[tuple[Any, ...]]


class Notes:
    """A taker that writes down what it gets."""

    def __init__(self) -> None:
        self.got: Got = []
        self._place = bytearray()

    def taken(self, body: memoryview, segments: Sequence[bytes]) -> None:
        assert all(type(segment) is bytes for segment in segments)
        self.got.append((bytes(body), *segments))

    def piece(self, body: memoryview, size: int) -> memoryview:
        self._place = bytearray(size)
        self.got.append(("piece", bytes(body)))
        return memoryview(self._place)

    def piece_end(self) -> None:
        self.got.append(("end", bytes(self._place)))

    def shown(self) -> list[dict[str, Any]]:
        """As the vectors show frames."""
        made: list[dict[str, Any]] = []
        for first, *rest in self.got:
            if first == "piece":
                made.append({"flags": 1, "body": rest[0].hex(), "segments": []})
            elif first == "end":
                made[-1]["segments"].append(rest[0].hex())
            else:
                made.append({"flags": 0, "body": first.hex(), "segments": [part.hex() for part in rest]})
        return made


def fed(reader: Reader, data: bytes) -> None:
    """Through `feed`."""
    reader.feed(data)


def read(reader: Reader, data: bytes) -> None:
    """As a loop does: it fills what it can of the buffer, and never asks twice."""
    while data:
        room = reader.get_buffer(-1)
        assert len(room) > 0
        size = min(len(room), len(data))
        room[:size] = data[:size]
        del room
        reader.read(size)
        data = data[size:]


WAYS: list[Callable[[Reader, bytes], None]] = [fed, read]


def outcome(parts: Sequence[bytes], way: Callable[[Reader, bytes], None], limit: int = LIMIT) -> tuple[Got, str]:
    """What a reader makes of bytes that come in these parts: what it got, and the code that ended it."""
    notes = Notes()
    reader = reading(notes, limit)
    try:
        for part in parts:
            way(reader, part)
    except PeerFault as error:
        return notes.got, error.code
    assert reader.received == sum(map(len, parts))
    return notes.got, ""


def joined(frame: Sequence[bytes | bytearray | memoryview]) -> bytes:
    """A frame in one piece."""
    return b"".join(frame)


bodies = st.binary(min_size=1, max_size=40)
short = st.one_of(
    st.builds(frame_of, bodies),
    st.builds(frame_of, bodies, st.lists(st.binary(max_size=30), min_size=1, max_size=4)),
    st.builds(lambda body, piece: frame_of(body, [piece], 1), bodies, st.binary(max_size=30)),
).map(joined)
sizes = st.sampled_from([1, 100, 16_000, 65_536, 262_135, 262_136, 262_137, 262_144, 300_000, 600_000])
long = st.one_of(
    sizes.map(lambda size: frame_of(b"b" * size)),
    st.tuples(sizes, sizes).map(lambda two: frame_of(b"b" * (two[0] // 8 + 1), [b"s" * (two[1] // 2), b"t"])),
    sizes.map(lambda size: frame_of(b"b", [b"p" * size], 1)),
).map(joined)


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    """Data in parts."""
    ends = [0, *sorted(min(one, len(data)) for one in at), len(data)]
    return [data[a:b] for a, b in pairwise(ends)]


@given(st.lists(short, min_size=1, max_size=3), st.sampled_from(WAYS))
def test_every_cut_of_short_frames_gives_the_same(frames: list[bytes], way: Callable[[Reader, bytes], None]) -> None:
    data = b"".join(frames)
    whole = outcome([data], fed)
    assert whole[1] == ""
    assert len([one for one in whole[0] if one[0] != "end"]) == len(frames)
    for at in range(len(data) + 1):
        assert outcome(cut(data, [at]), way) == whole
    assert outcome([data[at : at + 1] for at in range(len(data))], way) == whole


@given(
    st.lists(st.one_of(long, short), min_size=1, max_size=4),
    st.lists(st.integers(0, 1_500_000), max_size=12),
    st.sampled_from(WAYS),
)
def test_cuts_of_long_frames_give_the_same(
    frames: list[bytes], at: list[int], way: Callable[[Reader, bytes], None]
) -> None:
    data = b"".join(frames)
    assert outcome(cut(data, at), way) == outcome(frames, fed)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6), st.sampled_from(WAYS))
def test_fuzz_junk_is_frames_or_refused_wherever_it_is_cut(
    junk: bytes, at: list[int], way: Callable[[Reader, bytes], None]
) -> None:
    got, code = outcome([junk], fed, 100)
    assert code in ("", "broker.frame", "broker.limit")
    assert outcome(cut(junk, at), way, 100) == (got, code)


@pytest.mark.parametrize(
    ("head", "code"),
    [
        pytest.param((0, 0, 0), "broker.frame", id="no body"),
        pytest.param((1, 0, 2), "broker.frame", id="unknown flag"),
        pytest.param((1, 1, 3), "broker.frame", id="unknown flag beside a known one"),
        pytest.param((1, 0, 1), "broker.frame", id="a piece without a segment"),
        pytest.param((1, 2, 1), "broker.frame", id="a piece with two segments"),
        pytest.param((1, MOST_SEGMENTS + 1, 0), "broker.frame", id="too many segments"),
        pytest.param((LIMIT - 7, 0, 0), "broker.limit", id="over the limit by a byte"),
        pytest.param((2**32 - 1, 0, 0), "broker.limit", id="the longest body"),
    ],
)
def test_a_bad_header_is_refused_as_soon_as_it_is_there(head: tuple[int, int, int], code: str) -> None:
    assert outcome([HEADER.pack(*head)], read) == ([], code)


def test_segments_that_are_too_long_together_are_refused_by_their_lengths() -> None:
    lengths = b"\x00\x08\x00\x00" * 2
    assert outcome([HEADER.pack(1, 2, 0), lengths[:7]], read) == ([], "")
    assert outcome([HEADER.pack(1, 2, 0), lengths[:7], lengths[7:]], read) == ([], "broker.limit")


def test_the_most_segments_are_taken() -> None:
    frame = joined(frame_of(b"x", [b""] * (MOST_SEGMENTS - 1) + [b"end"]))
    assert outcome([frame], read) == ([(b"x", *[b""] * (MOST_SEGMENTS - 1), b"end")], "")


def test_a_limit_that_is_raised_by_a_frame_counts_for_the_next_one_in_the_same_bytes() -> None:
    notes = Notes()
    reader = reading(notes, 20)
    taken = notes.taken

    def raised(body: memoryview, segments: Sequence[bytes]) -> None:
        taken(body, segments)
        reader.limit = 100

    notes.taken = raised  # type: ignore[method-assign]
    reader.feed(joined(frame_of(b"a")) + joined(frame_of(b"b" * 50)))
    assert [len(body) for (body,) in notes.got] == [1, 50]
    with pytest.raises(OverLimit):
        reader.feed(joined(frame_of(b"c" * 100)))


def test_nothing_is_held_between_frames_but_what_came_of_the_next() -> None:
    reader = reading(Notes(), LIMIT)
    read(reader, joined(frame_of(b"a" * 100_000)) + b"\0\0")
    assert reader._buffer is None
    assert reader._rest == b"\0\0"
    assert len(_pool.free) <= 4


def test_a_long_frame_that_comes_in_small_parts_is_not_copied_again_with_each() -> None:
    """What is more than a little stays in the buffer, in its place from the second read on."""
    reader = reading(Notes(), LIMIT)
    data = joined(frame_of(b"a")) + joined(frame_of(b"b" * 200_000)) + joined(frame_of(b"c" * 60_000))[:5_000]
    read(reader, data[:150_000])
    kept = reader._buffer
    assert kept is not None
    assert reader._rest == b""
    for at in range(150_000, 200_000, 100):
        read(reader, data[at : at + 100])
        assert reader._buffer is kept
    read(reader, data[200_000:])
    assert (reader._buffer, len(reader._rest)) == (None, 5_000)
    assert _pool.free[-1] is kept


@pytest.mark.parametrize("size", [8, 100_000])
def test_a_fault_gives_the_buffer_back(size: int) -> None:
    free = len(_pool.free)
    reader = reading(Notes(), LIMIT)
    with pytest.raises(BadFrame):
        read(reader, bytes(size))
    assert reader._buffer is None
    assert len(_pool.free) in (free, 1)


@pytest.mark.parametrize("rest", range(1, 8))
def test_a_read_may_end_inside_of_a_header_also_where_the_buffer_ends(rest: int) -> None:
    notes = Notes()
    reader = reading(notes, LIMIT)
    size = len(reader.get_buffer(-1))
    data = joined(frame_of(b"a" * (size - rest - 8))) + joined(frame_of(b"b"))
    read(reader, data[:size])
    read(reader, data[size:])
    assert [len(one[0]) for one in notes.got] == [size - rest - 8, 1]
