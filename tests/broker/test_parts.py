"""A long frame is taken in parts: in order, with nothing between them that was read later, and to its end."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from ropewalk import broker as rope
from ropewalk import loops, net
from ropewalk.broker.broker import _PART
from ropewalk.broker.outbox import frame_of
from ropewalk.errors import PeerFault
from tests.broker.costs import heard, opened
from tests.broker.hosts import DEADLINE, House, Raw, served, until
from tests.broker.pair import Pair


class Notes(rope.Perspective):
    """Writes down what it is called with."""

    def __init__(self) -> None:
        self.noted: list[int] = []

    @rope.remote
    def note(self, number: int) -> int:
        """The number."""
        self.noted.append(number)
        return number

    @rope.remote
    async def later(self, number: int) -> int:
        """The number, in a task."""
        self.noted.append(number)
        return number


def frame(*messages: Any) -> bytes:
    """A frame of these."""
    return b"".join(frame_of(msgspec.msgpack.encode(list(messages))))


def calls(count: int, first: int = 1, method: str = "note") -> list[Any]:
    """So many, with their numbers for arguments."""
    return [[0, number, 0, method, [number]] for number in range(first, first + count)]


def noted(pair: Pair) -> Notes:
    """The server's door."""
    door = pair.server.broker.objects.shown[0].target
    assert isinstance(door, Notes)
    return door


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    made = Pair(Notes())
    monkeypatch.setattr(made.server, "soon", list)  # nothing: it is for the test to go on
    return made


async def test_a_part_is_answered_before_the_next_is_taken(pair: Pair) -> None:
    server, notes = pair.server, noted(pair)
    server.hear(frame(*calls(2 * _PART + 5)))
    for end in (_PART, 2 * _PART, 2 * _PART + 5):
        assert notes.noted == list(range(1, end + 1))
        assert sorted(server.broker.answering.answers) == notes.noted
        assert server.broker.calls >= end
        assert bool(server.broker.rest) == (end < 2 * _PART + 5)
        if server.broker.rest:
            server.broker.go_on()


async def test_what_is_read_later_is_taken_later(pair: Pair) -> None:
    server, notes = pair.server, noted(pair)
    server.hear(frame(*calls(3 * _PART)) + frame([4, [1, 2, 3 * _PART]], *calls(1, 1)))
    assert server.error is None
    assert notes.noted == [*range(1, 3 * _PART + 1), 1]
    server.hear(frame(*calls(_PART + 1, 1_000)))
    assert server.broker.rest
    server.hear(frame([4, [1_000 + _PART]]))  # of what was not begun yet
    assert server.error is None
    assert notes.noted[-1] == 1_000 + _PART


async def test_calls_that_run_have_their_frame_for_a_burden_once(pair: Pair) -> None:
    server = pair.server
    server.hear(frame(*calls(4 * _PART, method="later")))
    burden = server.broker.answering.burden
    once = burden.bytes
    assert once < 2 * len(frame(*calls(4 * _PART, method="later")))
    assert not server.broker.rest
    await pair.run()
    assert (burden.bytes, burden.size) == (0, 0)


async def test_a_fault_in_a_later_part_ends_the_session_and_the_end_forgets_the_rest(pair: Pair) -> None:
    server = pair.server
    server.hear(frame(*calls(_PART), [0, 1, 0, "note", [1]], *calls(_PART, 500)))
    assert server.error is None
    with pytest.raises(PeerFault, match="in use"):
        server.broker.go_on()
    server.end(rope.Ended("over"))
    assert not server.broker.rest


async def test_what_is_left_when_the_connection_is_lost_is_taken_before_the_end() -> None:
    notes = Notes()
    session = opened(notes)
    heard(session, frame(*calls(3 * _PART)))
    assert len(notes.noted) == _PART
    session.connection_lost(None)
    assert notes.noted == list(range(1, 3 * _PART + 1))
    await session.wait_closed()
    session.buffer_updated(0)  # as the loop does that was told to go on
    assert len(notes.noted) == 3 * _PART


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_session_takes_all_of_a_frame_also_where_the_connection_ends_with_it(loop: str) -> None:
    async def main() -> None:
        house = House(make=lambda _visit: Notes())
        async with asyncio.timeout(DEADLINE), served(house, "tcp://127.0.0.1:0") as listener:
            _, raw = await net.connect(str(listener.endpoint), Raw)
            await raw.enter()
            raw.transport.write(frame(*[[0, 100 + n, 1, "note", [n]] for n in range(1_000)]))
            raw.transport.write(frame(*[[0, 2_000 + n, 1, "note", [1_000 + n]] for n in range(500)]))
            raw.transport.close()
            await until(lambda: house.given[0].noted and not house.sessions)
            assert house.given[0].noted == list(range(1_500))

    loops.run(main(), loop=loop)


def test_others_are_served_between_the_parts() -> None:
    async def main() -> None:
        order: list[str] = []

        class Both(Notes):
            def __init__(self, name: str) -> None:
                super().__init__()
                self.name = name

            @rope.remote
            def note(self, number: int) -> int:
                """The number."""
                order.append(self.name)
                return number

        names = iter("ab")
        house = House(make=lambda _visit: Both(next(names)))
        async with asyncio.timeout(DEADLINE), served(house, "tcp://127.0.0.1:0") as listener:
            greedy, modest = [(await net.connect(str(listener.endpoint), Raw))[1] for _ in range(2)]
            await greedy.enter()
            await modest.enter()
            greedy.transport.write(frame(*[[0, 100 + n, 1, "note", [n]] for n in range(2_000)]))
            modest.say([0, 100, 1, "note", [0]])
            await until(lambda: len(order) == 2_001)
            assert order.index("b") < 1_000
            for raw in (greedy, modest):
                raw.transport.close()
            await until(lambda: not house.sessions)

    loops.run(main(), loop="asyncio")
