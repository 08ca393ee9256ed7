"""Blobs: what is sent in pieces arrives whole, whatever is sent beside it, given up or held back."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ropewalk.broker.blobs import Blobs
from ropewalk.broker.errors import BadFrame, BadMessage, CannotSend, OverLimit
from ropewalk.broker.lanes import Job, Lanes
from ropewalk.broker.limits import PIECE, Limits
from ropewalk.broker.outbox import Outbox, encode, frame_of
from ropewalk.errors import PeerFault
from tests.broker.reading import reading

LIMITS = Limits(window=2_000_000, blob=1_000_000, blobs=6, frame=100_000)


class Taker:
    """The end that blobs come to."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.blobs = Blobs(limits)
        self.piece, self.piece_end = self.blobs.piece, self.blobs.piece_end
        self.messages: list[bytes] = []

    def taken(self, body: memoryview, segments: Any) -> None:
        self.messages.append(bytes(body))


def fed(taker: Taker, *frames: Any) -> None:
    """Frames to a taker."""
    reader = reading(taker, 1 << 20)
    for frame in frames:
        reader.feed(b"".join(frame))


def piece(number: int, total: int, data: bytes) -> list[Any]:
    """A frame with a piece."""
    return frame_of(encode([number, total]), [data], 1)


def test_pieces_of_several_blobs_may_be_mixed() -> None:
    taker = Taker()
    fed(taker, piece(1, 4, b"ab"), piece(2, 3, b"xyz"), piece(1, 4, b"cd"))
    assert (taker.blobs.whole(2), taker.blobs.whole(1)) == (b"xyz", b"abcd")
    assert taker.blobs.taken == 7
    fed(taker, piece(1, 1, b"q"))
    assert taker.blobs.whole(1) == b"q"


@pytest.mark.parametrize(
    ("frames", "fault"),
    [
        pytest.param([piece(1, 4, b"")], BadMessage, id="empty piece"),
        pytest.param([piece(1, 4, b"abcde")], BadMessage, id="more than all"),
        pytest.param([piece(1, 4, b"ab"), piece(1, 4, b"cde")], BadMessage, id="more than is missing"),
        pytest.param([piece(1, 4, b"ab"), piece(1, 5, b"c")], BadMessage, id="another total"),
        pytest.param([piece(1, 2, b"ab"), piece(1, 2, b"c")], BadMessage, id="of one that is whole"),
        pytest.param([piece(1, 0, b"")], BadMessage, id="given up and never begun"),
        pytest.param([piece(1, 4, b"ab"), piece(1, 0, b"c")], BadMessage, id="given up with bytes"),
        pytest.param([piece(1, 4, b"ab"), piece(1, 0, b""), piece(1, 0, b"")], BadMessage, id="given up twice"),
        pytest.param([piece(0, 4, b"ab")], BadFrame, id="number 0"),
        pytest.param([piece(2**31, 4, b"ab")], BadFrame, id="number too large"),
        pytest.param([piece(1, -4, b"ab")], BadFrame, id="negative total"),
        pytest.param([piece(1, 1_000_001, b"ab")], OverLimit, id="too long"),
        pytest.param([piece(n, 1, b"a") for n in range(1, 8)], OverLimit, id="too many"),
        pytest.param([piece(n, 700_000, b"a") for n in range(1, 4)], OverLimit, id="too long together"),
        pytest.param([frame_of(encode([1, 4, 5]), [b"ab"], 1)], BadFrame, id="three fields"),
        pytest.param([frame_of(encode([True, 4]), [b"ab"], 1)], BadFrame, id="number that is a boolean"),
        pytest.param([frame_of(encode({1: 2}), [b"ab"], 1)], BadFrame, id="a map"),
        pytest.param([frame_of(b"\xc1", [b"ab"], 1)], BadFrame, id="no MessagePack"),
        pytest.param([frame_of(b"\x92\x01", [b"ab"], 1)], BadFrame, id="half an array"),
        pytest.param([frame_of(b"\x92\x01\xa1\xff", [b"ab"], 1)], BadFrame, id="no UTF-8"),
        pytest.param([frame_of(b"\x92\x01\x81\x90\x01", [b"ab"], 1)], BadFrame, id="an array as a key"),
    ],
)
def test_what_breaks_the_rules_is_refused(frames: list[Any], fault: type[PeerFault]) -> None:
    taker = Taker()
    fed(taker, *frames[:-1])
    with pytest.raises(fault):
        fed(taker, frames[-1])


def test_a_piece_is_no_longer_than_256_kib() -> None:
    taker = Taker()
    fed(taker, piece(1, 900_000, b"x" * PIECE))
    with pytest.raises(BadMessage):
        fed(taker, piece(1, 900_000, b"x" * (PIECE + 1)))


@pytest.mark.parametrize("frames", [[], [piece(1, 2, b"a")], [piece(1, 2, b"ab"), piece(1, 0, b"")]])
def test_a_blob_that_is_not_whole_cannot_be_used(frames: list[Any]) -> None:
    taker = Taker()
    fed(taker, *frames)
    with pytest.raises(BadMessage):
        taker.blobs.whole(1)


def test_a_blob_is_used_once() -> None:
    taker = Taker()
    fed(taker, piece(1, 2, b"ab"))
    taker.blobs.whole(1)
    with pytest.raises(BadMessage):
        taker.blobs.whole(1)


def test_room_is_made_for_what_came_and_not_for_what_was_told() -> None:
    taker = Taker(Limits())
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1, 17):
            fed(taker, piece(number, 4 << 20, b"x" * 1000))
        assert tracemalloc.get_traced_memory()[0] - before < 16 * 8_000 + 50_000
    finally:
        tracemalloc.stop()


@given(st.lists(st.integers(1, 60_000), min_size=1, max_size=30))
def test_a_blob_that_grows_piece_by_piece_is_whole(sizes: list[int]) -> None:
    data = bytes(index % 251 for index in range(sum(sizes)))
    taker, at = Taker(Limits()), 0
    for size in sizes:
        fed(taker, piece(1, len(data), data[at : at + size]))
        at += size
    got = taker.blobs.whole(1)
    assert type(got) is bytes
    assert got == data


class Blobbed(RuleBasedStateMachine):
    """Lanes at one end and blobs at the other, against a list of what was put into which lane."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(lambda _alone: None)
        self.outbox.limit(LIMITS)
        self.lanes = Lanes(self.outbox, LIMITS)
        self.taker = Taker()
        self.reader = reading(self.taker, LIMITS.frame)
        self.jobs: dict[int, list[tuple[int, Job]]] = {}  # by lane, in order
        self.count = 0
        self.used: list[int] = []

    @rule(lane=st.integers(0, 3), sizes=st.lists(st.sampled_from([1, 5_000, 99_000, 250_000, 900_000]), max_size=4))
    def put(self, lane: int, sizes: list[int]) -> None:
        self.count += 1
        blobs = {self.lanes.number(): bytes([self.count % 256]) * size for size in sizes}
        if blobs:
            try:
                self.lanes.check(blobs)
            except CannotSend:
                assert sum(sizes) > LIMITS.window or len(sizes) > LIMITS.blobs
                for number in blobs:
                    self.lanes.free(number)
                return
        name = self.count
        job = Job(blobs, lambda: self.outbox.add(encode([name, list(blobs)])))
        self.jobs.setdefault(lane, []).append((name, job))
        self.lanes.put(lane, job)

    @rule()
    def pump(self) -> None:
        if not self.lanes.pump():
            assert not any(self.jobs.values()) or self.lanes._underway
        self.move()

    @precondition(lambda self: any(self.jobs.values()))
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from([lane for lane, jobs in self.jobs.items() if jobs]))
        index = data.draw(st.integers(0, len(self.jobs[lane]) - 1))
        _, job = self.jobs[lane].pop(index)
        assert self.lanes.drop(lane, job)
        assert not self.lanes.drop(lane, job)
        for number in job.blobs:
            self.lanes.free(number)
        self.move()

    def move(self) -> None:
        """What is to be sent arrives; each message finds its blobs, in the order of its lane."""
        for frame in self.outbox.take():
            data = b"".join(frame)
            assert len(data) <= LIMITS.frame
            self.reader.feed(data)
        for body in self.taker.messages:
            for name, numbers in msgspec.msgpack.decode(body):
                lane = next(lane for lane, jobs in self.jobs.items() if jobs and jobs[0][0] == name)
                _, job = self.jobs[lane].pop(0)
                for number in numbers:
                    assert self.taker.blobs.whole(number) == job.blobs[number]
        self.taker.messages.clear()

    @invariant()
    def within_limits(self) -> None:
        assert self.taker.blobs._size <= LIMITS.window
        assert len(self.taker.blobs._blobs) <= LIMITS.blobs
        assert bool(self.lanes) is any(self.jobs.values())

    def teardown(self) -> None:
        """All that is left can be sent, and then nothing is held at either end."""
        for _ in range(10_000):
            if not self.lanes.pump():
                break
            self.move()
        assert not any(self.jobs.values())
        assert (self.taker.blobs._size, self.lanes._underway, self.lanes._count) == (0, 0, 0)
        assert not self.taker.blobs._blobs
        assert sorted(self.lanes._free) == list(range(1, self.lanes._next))


TestBlobbed = Blobbed.TestCase


def test_lanes_take_turns() -> None:
    outbox = Outbox(lambda _alone: None)
    lanes = Lanes(outbox, Limits())
    said: list[str] = []
    lanes.put("a", Job({1: b"x" * 3 * PIECE}, lambda: said.append("a")))
    lanes.put("b", Job({2: b"x"}, lambda: said.append("b")))
    lanes.put("b", Job({}, lambda: said.append("after b")))
    while lanes.pump():
        pass
    assert said == ["b", "after b", "a"]


def test_what_can_never_be_sent_is_refused_at_once() -> None:
    lanes = Lanes(Outbox(lambda _alone: None), LIMITS)
    for blobs in (
        {1: b"x" * 1_000_001},
        dict.fromkeys(range(3), b"x" * 900000),
        dict.fromkeys(range(7), b"x"),
    ):
        with pytest.raises(CannotSend):
            lanes.check(blobs)
