"""The blocking face: for plain programs, against a server in another thread."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk import broker, net, threads
from ropewalk.auth import Visit
from ropewalk.broker.blocking import Answer, Face, ViewFace
from ropewalk.errors import Missing, Misuse, Refused, RopewalkError, Unavailable
from tests.broker.hosts import Desk, House, Me


class More(Me):
    def __init__(self, visit: Visit) -> None:
        super().__init__(visit)
        self.cut = threading.Event()

    @broker.remote
    def left_of_it(self) -> float | None:
        return broker.remaining()

    @broker.remote
    def trace(self) -> str | None:
        return broker.trace()

    @broker.remote
    async def first(self, items: AsyncIterator[bytes], most: int) -> int:
        got = 0
        async for _ in items:
            got += 1
            if got == most:
                break
        return got

    @broker.remote
    async def trickle(self) -> AsyncIterator[int]:
        try:
            yield 0
            yield 1
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cut.set()
            raise


class Place:
    """A server and where it is."""

    def __init__(self, url: str, house: House) -> None:
        self.url, self.house = url, house


@pytest.fixture
def place() -> Iterator[Place]:
    async def start() -> tuple[House, net.Listener]:
        house = House(make=More)
        return house, await net.listen("tcp://127.0.0.1:0", house.protocol)

    with threads.portal() as door:
        house, listener = door.call(start)
        with door.enter(listener):
            yield Place(str(listener.endpoint.peer()), house)


def test_calls_block_and_references_are_faces(place: Place) -> None:
    with broker.connect_sync(place.url) as me:
        assert me.echo(5) == 5
        assert me.echo(value=[1, {"a": (2, 3)}]) == [1, {"a": (2, 3)}]
        desk = me.desk("gold")
        assert isinstance(desk, Face)
        assert desk.quote("x") == "gold: x"
        assert me.ask(desk) == "gold: you"
        assert me.ask(desk=desk) == "gold: you"
        inside = me.echo({"desks": [desk, (desk,)]})["desks"]
        assert inside[0].quote("y") == inside[1][0].quote("y") == "gold: y"
        assert me.ask(Desk("mine")) == "mine: you"
        me.say.tell("told")
        me.say("said")
        assert place.house.given[0].said == ["told", "said"]
        with pytest.raises(Missing):
            me.nothing()
        with pytest.raises(RopewalkError) as raised:
            me.fail()
        assert "secret" not in str(raised.value)
    with pytest.raises(RopewalkError):
        me.echo(1)


def test_promises_can_be_made_first(place: Place) -> None:
    with broker.connect_sync(place.url) as me:
        answers = [me.echo.begin(number) for number in range(200)]
        assert [answer.result() for answer in answers] == list(range(200))
        assert answers[0].done()
        gold = me.desk.begin("gold")
        assert gold.quote("x") == "gold: x"
        assert gold.quote.begin("y").result() == "gold: y"
        assert me.ask(gold) == "gold: you"
        part = me.echo.begin([{"a": 7}])[0]["a"]
        assert isinstance(part, Answer)
        assert part.result() == 7
        assert part.done()


def test_a_deadline_cancels_the_call(place: Place) -> None:
    with broker.connect_sync(place.url) as me:
        with pytest.raises(broker.Late, match=r"there was no answer within 0.05 s") as caught:
            me.wait.begin().result(deadline=0.05)
        assert caught.value.code == "broker.deadline"
        assert me.echo(1) == 1
        slow = me.slow.begin(3600)
        with pytest.raises(broker.Late):
            slow.result(0.05)
        assert me.echo(2) == 2
        assert place.house.given[0].stopped == 1


def test_a_deadline_block_ends_what_blocks_inside(place: Place) -> None:
    with broker.connect_sync(place.url) as me:
        there: Me = place.house.given[0]
        quick = me.echo.begin("it is there")
        assert quick.result() == "it is there"
        with broker.deadline(0.05):
            with pytest.raises(broker.Late, match="the deadline is over"), broker.deadline(3600):
                me.slow(3600)  # the outer one is the earlier
            time.sleep(broker.remaining() or 0)  # a loop's timer may be a fraction of a millisecond early
            assert broker.remaining() == 0
            with pytest.raises(broker.Late, match="before the call was made"):
                me.echo(1)
            with pytest.raises(broker.Late, match="before the call was made"):
                me.say.tell("too late")
            assert quick.result() == "it is there"
        assert broker.remaining() is None
        assert me.echo(2) == 2
        assert there.said == []
        with broker.deadline(3600):
            left = me.left_of_it()
            assert 3000 < left <= 3600  # which the other end was told
            with pytest.raises(broker.Late, match=r"no answer within 0.05 s"):
                me.wait.begin().result(0.05)
        assert me.left_of_it() is None


def test_a_deadline_block_ends_the_wait_for_an_item_or_a_state(place: Place) -> None:
    with broker.connect_sync(place.url) as me:
        view = me.state()
        states = view.states()
        items = me.trickle()
        with broker.deadline(3600):
            assert next(states) == {"n": 0}
            assert next(items) == 0
        assert next(items) == 1  # that one was for the first item alone
        with broker.deadline(0.05):
            for blocks in (lambda: next(states), lambda: next(items), view.changed):
                with pytest.raises(broker.Late, match="the deadline is over"):
                    blocks()
        assert me.echo(1) == 1
        assert place.house.given[0].cut.wait(30)  # who fills the stream


def test_a_deadline_covers_the_connection_and_is_not_for_ever(place: Place) -> None:
    with broker.deadline(3600), broker.connect_sync(place.url) as me:
        assert me.ask(Desk("mine")) == "mine: you"
        assert me.ask(Clock()) is True
    with pytest.raises(broker.Late), broker.deadline(0), broker.connect_sync(place.url):
        pass


class Clock(broker.Object):
    """Of this end; called in the loop's thread, where the program's deadline is none of its business."""

    @broker.remote
    def quote(self, word: str) -> bool:
        return broker.about.PLAIN.get() is None


async def test_a_plain_deadline_beside_a_loop_is_a_mistake() -> None:
    with pytest.raises(Misuse, match="expected `async with"), broker.deadline(1):
        pass
    for seconds in (float("nan"), float("inf")):
        with pytest.raises(Misuse, match="expected a number of seconds"):
            broker.deadline(seconds)


def test_a_trace_goes_with_the_calls_of_a_plain_program(place: Place) -> None:
    parent = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    with broker.connect_sync(place.url) as me:
        with broker.tracing(parent):
            assert me.trace() == parent
        assert me.trace() is None


def test_a_face_is_described_at_once(place: Place) -> None:
    with broker.connect_sync(place.url) as me:
        told = broker.describe(me)
        assert (told["name"], told["about"]) == ("More", "")
        assert "quote" in broker.describe(me.desk("gold"))["methods"]
        assert "quote" in broker.describe(me.desk.begin("gold"))["methods"]
        with broker.deadline(0), pytest.raises(broker.Late):
            broker.describe(me)
        with pytest.raises(RopewalkError):
            broker.describe(me.echo.begin(5))


def test_an_answer_to_be_cannot_be_iterated(place: Place) -> None:
    """Its parts 0, 1, 2 .. are there for the asking, so that it never came to an end."""
    with broker.connect_sync(place.url) as me:
        answer = me.echo.begin([1, 2])
        for one in (answer, answer[0]):
            with pytest.raises(TypeError, match="not iterable"):
                iter(one)
            with pytest.raises(TypeError, match=r"not iterable|not a container"):
                assert 1 in one
        assert answer.result() == [1, 2]


def test_streams_are_iterators_both_ways(place: Place) -> None:
    with broker.connect_sync(place.url) as me:
        assert list(me.count(500)) == list(range(500))
        for number in me.count(1_000_000):
            if number == 10:
                break
        threads_used = set()

        def items() -> Iterator[bytes]:
            for _ in range(20):
                threads_used.add(threading.current_thread().name)
                yield b"x" * 1000

        assert me.total(items()) == 20_000
        assert threading.current_thread().name not in threads_used
        assert me.total(iter([b"a", b"bc"])) == 3


def test_a_generator_is_closed_where_it_runs_when_nobody_wants_more(place: Place) -> None:
    closed = threading.Event()
    where: list[str] = []

    def items() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            where.append(threading.current_thread().name)
            closed.set()

    with broker.connect_sync(place.url) as me:
        held, all_of_it = items(), items()  # held: so that it is not the collector who closes it
        assert me.first(held, 3) == 3
        assert closed.wait(30)
        assert next(held, None) is None
        closed.clear()
        endless = me.total.begin(all_of_it)
        with pytest.raises(broker.Late):
            endless.result(0.05)
        assert closed.wait(30)
        assert next(all_of_it, None) is None
    assert len(where) == 2
    assert not {threading.current_thread().name, "ropewalk portal"} & set(where)


def test_what_is_no_generator_is_left_as_the_program_has_it(place: Place) -> None:
    lines = io.BytesIO(b"a\nb\nc\nd\n")
    with broker.connect_sync(place.url) as me:
        assert me.total(iter(lines)) == 8
        assert not lines.closed


def test_a_shared_object_has_a_face(place: Place) -> None:
    with broker.connect_sync(place.url) as me:
        view = me.state()
        assert isinstance(view, ViewFace)
        assert (view.state, view.version) == ({"n": 0}, 0)
        assert len(view.run) == 8
        states = view.states()
        assert next(states) == {"n": 0}
        me_there: Me = place.house.given[0]
        session = next(iter(place.house.sessions))
        session.loop.call_soon_threadsafe(lambda: me_there.shared.put("n", value=1))
        assert next(states) == {"n": 1}
        states.close()
        view.state["n"] = 99  # a copy
        assert view.state == {"n": 1}
        with pytest.raises(broker.Late, match=r"there was no change within 0.05 s"):
            view.changed(deadline=0.05)


def test_faces_are_equal_where_their_objects_are(place: Place) -> None:
    with broker.connect_sync(place.url) as me:
        desk = Desk("mine")
        one, two = me.echo([me.desk("a"), desk])
        assert two is desk
        assert one == me.echo(one)
        assert hash(one) == hash(me.echo(one))
        assert one != me
        assert one != 5


def test_a_portal_can_be_shared_and_errors_come_through(place: Place) -> None:
    with threads.portal() as door:
        with broker.connect_sync(place.url, through=door) as one, broker.connect_sync(place.url, through=door) as two:
            assert two.ask(one.desk("a")) == "a: you"  # of another session: calls are passed on
        with (
            pytest.raises(Refused),
            broker.connect_sync(place.url, broker.Key(Ed25519PrivateKey.generate()), through=door),
        ):
            pass
        with pytest.raises(Unavailable), broker.connect_sync("tcp://127.0.0.1:1", through=door):
            pass


def test_the_end_of_a_server_is_told(place: Place) -> None:
    with broker.connect_sync(place.url) as me:
        waits = me.wait.begin()
        me.echo(1)
        session = next(iter(place.house.sessions))
        session.loop.call_soon_threadsafe(session.abort, RopewalkError("cut"))
        with pytest.raises(Unavailable):
            waits.result()
        with pytest.raises(Unavailable):
            me.echo(1)
