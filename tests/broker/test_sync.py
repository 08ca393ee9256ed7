"""The blocking face: for plain programs, against a server in another thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk import broker, net, threads
from ropewalk.broker.blocking import Answer, Face, ViewFace
from ropewalk.errors import Missing, Refused, RopewalkError, Unavailable
from tests.broker.hosts import Desk, House, Me


class Place:
    """A server and where it is."""

    def __init__(self, url: str, house: House) -> None:
        self.url, self.house = url, house


@pytest.fixture
def place() -> Iterator[Place]:
    async def start() -> tuple[House, net.Listener]:
        house = House()
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
        with pytest.raises(threads.Late):
            me.wait.begin().result(deadline=0.05)
        assert me.echo(1) == 1
        slow = me.slow.begin(3600)
        with pytest.raises(threads.Late):
            slow.result(0.05)
        assert me.echo(2) == 2
        assert place.house.given[0].stopped == 1


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
        with pytest.raises(threads.Late):
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
