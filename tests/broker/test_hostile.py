"""Hostile peers: each harms its own session alone, finds nothing that was not shown to it, and learns nothing."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk import net
from ropewalk.broker.broker import Broker
from ropewalk.broker.limits import BEFORE_LOGIN, Limits
from ropewalk.errors import Missing
from tests.broker import hosts
from tests.broker.hosts import House, served, simulated
from tests.broker.pair import Pair
from tests.broker.raw import Raw, ext, frame

_LIMITS = Limits(
    frame=100_000,
    depth=20,
    weight=2 << 20,
    questions=20,
    window=200_000,
    references=100,
    streams=6,
    stream_window=10_000,
    blob=150_000,
    blobs=5,
    queued=30,
    chain=5,
    memory=1 << 20,
)

Attack = Callable[["Villain"], Coroutine[Any, Any, None]]


class Villain(hosts.Raw):
    """A peer that says what it should not."""

    def give(self, data: bytes) -> None:
        self.transport.write(data)

    def all(self, *messages: Any) -> None:
        """Send messages in one frame."""
        self.give(frame(list(messages)))

    async def ended(self) -> str:
        """The code with which the session was aborted."""
        await self.until(lambda: self.lost)
        (abort,) = [message for message in self.said if message[0] == 14]
        return str(abort[1])


def _attacked(attack: Attack, code: str | None, *, login: bool = True, limits: Limits = _LIMITS) -> None:
    """An attack ends its session with a code, or does not end it; and a friend's session goes on."""

    async def main() -> None:
        house = House(limits=limits)
        async with served(house), rope.connect("memory://house") as friend:
            held = await friend.desk("friend's")
            _, villain = await net.connect("memory://house", Villain)
            assert isinstance(villain, Villain)
            if login:
                await villain.enter()
            await attack(villain)
            if code is not None:
                assert await villain.ended() == code
            else:
                villain.all([0, 19 if login else 8, 0, "@describe", []])
                assert (await villain.answer(19 if login else 8))[0] == 1
                villain.transport.close()
            await hosts.until(lambda: len(house.sessions) == 1)
            assert await friend.echo("still there") == "still there"
            assert await held.quote("x") == "friend's: x"
            assert await (await friend.desk("new")).quote("y") == "new: y"

    simulated(main)


def _says(*messages: Any) -> Attack:
    async def attack(villain: Villain) -> None:
        villain.all(*messages)

    return attack


def _gives(data: bytes) -> Attack:
    async def attack(villain: Villain) -> None:
        villain.give(data)

    return attack


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


_ME = 1  # the number of the perspective that a login gives first

_ABORTED: dict[str, tuple[str, Attack]] = {
    "answers what was not asked": ("broker.message", _says([1, 1, 5])),
    "fails what was not asked": ("broker.message", _says([2, 1, "failed", "x", "y"])),
    "releases twice": ("broker.message", _says([0, 2, _ME, "desk", ["a"]], [3, [2], [1]], [3, [2], [1]])),
    "releases more than it was sent": ("broker.message", _says([0, 2, _ME, "desk", ["a"]], [3, [2], [9]])),
    "releases the door": ("broker.message", _says([3, [0], [1]])),
    "releases what others hold": ("broker.message", _says([3, [7], [1]])),
    "uses a question again": ("broker.message", _says([0, 2, _ME, "wait", []], [0, 2, _ME, "wait", []])),
    "finishes twice": ("broker.message", _says([0, 2, _ME, "wait", []], [4, [2]], [4, [2]])),
    "finishes what was not asked": ("broker.message", _says([4, [5]])),
    "grants what was not owed": ("broker.message", _says([5, 1, 100])),
    "sends an item of no stream": ("broker.message", _says([6, 1, b"x"])),
    "ends no stream": ("broker.message", _says([7, 1])),
    "closes no stream": ("broker.message", _says([8, 1])),
    "says nothing": ("broker.frame", _says()),
    "says what is no message": ("broker.message", _says(5)),
    "says an empty message": ("broker.message", _says([])),
    "says an unknown message": ("broker.message", _says([15, 1])),
    "says a negative one": ("broker.message", _says([-1, 1])),
    "says one with a name": ("broker.message", _says(["__init__", 1])),
    "says one that is nothing": ("broker.message", _says([None])),
    "says one that is a list": ("broker.message", _says([[0], 1])),
    "says true for a message": ("broker.message", _says([True, 1, 1])),
    "says 1.0 for a message": ("broker.message", _says([1.0, 1, 1])),
    "says too much in a message": ("broker.message", _says([10, 1, 1])),
    "says a second hello": ("broker.frame", _gives(frame({"ropewalk": "broker"}))),
    "says an unknown value": ("broker.value", _says([0, 2, _ME, "echo", [ext(99, 1)]])),
    "says a value of another kind": ("broker.value", _says([0, 2, _ME, "echo", [ext(3, "x")]])),
    "names a segment that is not there": ("broker.value", _says([0, 2, _ME, "echo", [ext(1, 0)]])),
    "names a blob that is not there": ("broker.message", _says([0, 2, _ME, "echo", [ext(10, 1)]])),
    "claims a body": ("broker.limit", _gives(struct.pack(">IHH", 2**32 - 1, 0, 0))),
    "claims segments": ("broker.frame", _gives(struct.pack(">IHH", 1, 2**16 - 1, 0))),
    "claims a segment": ("broker.limit", _gives(struct.pack(">IHHI", 1, 1, 0, 2**32 - 1))),
    "claims a flag": ("broker.frame", _gives(struct.pack(">IHH", 1, 0, 2))),
    "claims nothing": ("broker.frame", _gives(struct.pack(">IHH", 0, 0, 0))),
    "claims an array": ("broker.frame", _gives(frame(b"\x91\xdd\xff\xff\xff\xff"))),
    "claims a map": ("broker.frame", _gives(frame(b"\x91\x93\x01\x05\xdf\xff\xff\xff\xff"))),
    "claims a text": ("broker.frame", _gives(frame(b"\x91\xdb\xff\xff\xff\xff"))),
    "claims a blob": ("broker.limit", _gives(frame([1, 2**31], (b"x",), 1))),
    "goes over its frame": ("broker.limit", _gives(struct.pack(">IHH", 100_000, 0, 0))),
    "goes too deep": ("broker.limit", _says([0, 2, _ME, "echo", [_deep(20)]])),
    "goes too deep in a message": ("broker.limit", _says([0, 2, _ME, "echo", [], {"value": _deep(30)}])),
    "is too heavy": ("broker.limit", _gives(frame(b"\x91\x95\x00\x02\x01\xa4echo\x91\xdc\xc0\x00" + b"\x80" * 0xC000))),
    "asks too much at once": (
        "broker.limit",
        _says(*[[0, number, _ME, "wait", []] for number in range(2, 23)]),
    ),
    "asks too much at once with great numbers": (
        "broker.limit",
        _says(*[[0, number, _ME, "echo", [1]] for number in range(1_000_000, 1_000_022)]),
    ),
    "shows too much": (
        "broker.limit",
        _says([0, 2, _ME, "say", [[ext(2, [number, "x"]) for number in range(1, 102)]]]),
    ),
    "opens too many streams": (
        "broker.limit",
        _says([0, 2, _ME, "say", [[ext(9, number) for number in range(1, 8)]]]),
    ),
    "begins too many blobs": (
        "broker.limit",
        _gives(b"".join(frame([number, 1_000], (b"x",), 1) for number in range(1, 7))),
    ),
    "begins too much of blobs": (
        "broker.limit",
        _gives(b"".join(frame([number, 120_000], (b"x",), 1) for number in range(1, 3))),
    ),
    "sends more of a stream than is granted": (
        "broker.limit",
        _says([0, 2, _ME, "say", [ext(9, 1)]], *[[6, 1, bytes(4_000)] for _ in range(6)]),
    ),
    "names the door": ("broker.value", _says([0, 2, _ME, "say", [ext(3, 0)]])),
    "shows a door": ("broker.value", _says([0, 2, _ME, "say", [ext(2, [0, "x"])]])),
}


@pytest.mark.parametrize("name", _ABORTED)
def test_who_breaks_a_rule_ends_its_own_session(name: str) -> None:
    code, attack = _ABORTED[name]
    _attacked(attack, code)


_HELLO = frame({"ropewalk": "broker", "version": 1, "least": 1, "nonce": bytes(32)})
_BEFORE: dict[str, tuple[str, bytes]] = {
    "no hello": ("broker.frame", frame([[0, 1, 0, "login", ["anonymous", {}, ""]]])),
    "another protocol": ("broker.frame", b"GET / HTTP/1.1\r\n\r\n"),
    "a blob before the hello": ("broker.frame", frame([1, 5], (b"x",), 1)),
    "a version of its own": (
        "broker.version",
        frame({"ropewalk": "broker", "version": 9, "least": 9, "nonce": bytes(32)}),
    ),
    "a hello that is too long": ("broker.limit", struct.pack(">IHH", 4096, 0, 0)),
    "a frame that is too long": ("broker.limit", _HELLO + struct.pack(">IHH", 4096, 0, 0)),
    "too many questions": (
        "broker.limit",
        _HELLO + frame([[0, number, 0, "login", ["anonymous", {}, ""]] for number in range(1, 10)]),
    ),
    "too many references": (
        "broker.limit",
        _HELLO + frame([[0, 1, 0, "login", [[ext(2, [number, ""]) for number in range(1, 66)], {}, ""]]]),
    ),
    "too many streams": (
        "broker.limit",
        _HELLO + frame([[0, 1, 0, "login", [[ext(9, number) for number in range(1, 6)], {}, ""]]]),
    ),
    "a blob that is too long": ("broker.limit", _HELLO + frame([1, 16_385], (b"x",), 1)),
    "too many blobs": (
        "broker.limit",
        _HELLO + b"".join(frame([number, 10], (b"x",), 1) for number in range(1, 6)),
    ),
    "too deep": ("broker.limit", _HELLO + frame([[0, 1, 0, "login", ["x", {"k": _deep(16)}, ""]]])),
}


@pytest.mark.parametrize("name", _BEFORE)
def test_who_breaks_a_rule_before_a_login_ends_its_own_session(name: str) -> None:
    code, data = _BEFORE[name]
    _attacked(_gives(data), code, login=False)


def test_the_limits_before_a_login_are_those_of_the_spec() -> None:
    assert (BEFORE_LOGIN.frame, BEFORE_LOGIN.questions, BEFORE_LOGIN.references, BEFORE_LOGIN.streams) == (
        4096,
        8,
        64,
        4,
    )


def test_before_a_login_nothing_but_the_door_is_there() -> None:
    async def attack(villain: Villain) -> None:
        villain.hello()
        targets = [1, 2, 3, 1_000]
        villain.all(*[[0, at, target, "echo", [1]] for at, target in enumerate(targets, 1)])
        for at in range(1, 5):
            assert (await villain.answer(at))[:4] == [2, at, "missing", "broker.no-object"]

    _attacked(attack, None, login=False)


def test_a_flood_of_logins_is_met_one_after_the_other() -> None:
    async def attack(villain: Villain) -> None:
        villain.hello()
        for _ in range(50):
            before = len(villain.said)
            villain.all(*[[0, at, 0, "login", ["password", {"name": "x", "password": "y"}, ""]] for at in range(1, 8)])
            await villain.until(lambda: len(villain.said) == before + 7)  # noqa: B023 - it is done with at once
            villain.all([4, list(range(1, 8))])
        assert {message[0] for message in villain.said} == {2}

    _attacked(attack, None, login=False)


def test_calls_to_what_was_released_and_to_what_others_hold_find_nothing() -> None:
    async def attack(villain: Villain) -> None:
        villain.all([0, 2, _ME, "desk", ["a"]], [3, [2], [1]])
        villain.all(*[[0, 3 + at, number, "quote", ["x"]] for at, number in enumerate((2, 3, 2**31 - 1))])
        villain.all([0, 7, _ME, "ask", [ext(3, 2)]], [0, 8, _ME, "ask", [ext(3, 3)]])
        for at in (3, 4, 5, 7, 8):
            assert (await villain.answer(at))[:4] == [2, at, "missing", "broker.no-object"]

    _attacked(attack, None)


def test_who_never_releases_is_given_no_more() -> None:
    async def attack(villain: Villain) -> None:
        for number in range(2, 110):
            villain.all([0, 2, _ME, "desk", [str(number)]])
            answer = (await _next(villain, 2, number))[0]
            assert answer == (1 if number < 101 else 2)
            villain.all([4, [2]])

    _attacked(attack, None)


async def _next(villain: Villain, question: int, count: int) -> list[Any]:
    def answers() -> list[Any]:
        return [message for message in villain.said if message[0] in (1, 2) and message[1] == question]

    await villain.until(lambda: len(answers()) >= count - 1)
    found: list[Any] = answers()[count - 2]
    return found


def test_who_never_finishes_holds_up_itself() -> None:
    async def attack(villain: Villain) -> None:
        for number in range(2, 7):
            villain.all([0, number, _ME, "echo", ["x" * 50_000]])
        villain.all([4, [2, 3, 4]])
        await villain.answer(6)
        villain.all([4, [5, 6]])

    _attacked(attack, None)


def test_calls_that_wait_for_each_other_are_so_many_and_no_more() -> None:
    async def attack(villain: Villain) -> None:
        villain.all([0, 2, _ME, "wait", []], *[[0, at, [at - 1], "quote", ["x"]] for at in range(3, 12)])
        for at in range(7, 12):
            assert (await villain.answer(at))[3] == "broker.busy"
        villain.all([4, list(range(2, 12))])
        await villain.answer(2)

    _attacked(attack, None)


def test_who_never_reads_is_left_and_others_go_on() -> None:
    async def main() -> None:
        house = House(limits=_LIMITS)
        async with served(house), rope.connect("memory://house") as friend:
            transport, villain = await net.connect("memory://house", Villain)
            assert isinstance(villain, Villain)
            await villain.enter()
            transport.pause_reading()
            for number in range(2_000):
                villain.all([0, 2 + number, _ME, "echo", ["x" * 60_000]], [4, [2 + number]])
                await asyncio.sleep(0)
                if len(house.sessions) == 1:
                    break
            await hosts.until(lambda: len(house.sessions) == 1)
            assert await friend.echo("still there") == "still there"

    simulated(main)


# Names.


class Treasure(rope.Object):
    """What has much beside its one remote method."""

    secret = "of the class"
    made: list[str] = []  # noqa: RUF012 - seen by the test

    def __init__(self) -> None:
        self.inner = "of the instance"
        self.call = lambda: self.made.append("an attribute that can be called")

    @property
    def gold(self) -> str:
        self.made.append("a property")
        return "gold"

    def plain(self) -> None:
        self.made.append("a method that is not remote")

    @staticmethod
    def static() -> None:
        Treasure.made.append("a static method")

    @classmethod
    def of_class(cls) -> None:
        cls.made.append("a class method")

    def __call__(self) -> None:
        self.made.append("a call")

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            self.made.append(f"__getattr__ {name}")
        raise AttributeError(name)

    @rope.remote
    def open(self) -> str:
        return "opened"

    @rope.remote
    def hidden(self) -> str:
        return "never"


class Thief(Treasure):
    """Takes a remote method back."""

    hidden = None  # type: ignore[assignment]


_NAMES = (
    *(name for kind in (Treasure, rope.Remote, rope.Promise, rope.Session, Broker, object, type) for name in dir(kind)),
    *(
        "inner",
        "call",
        "gold",
        "plain",
        "static",
        "of_class",
        "__offers__",
        "__ropewalk_remote__",
        "_handle",
        "_asking",
    ),
    *("open.__func__", "open\0", " open", "OPEN", "@open", "@", "@@describe", "os.system", "__import__", "eval"),
    *("tell", "shown", "left", "limits", "objects", "asking", "\u202eopen", "op\u0435n"),
)


async def test_no_name_from_the_wire_finds_what_was_not_offered() -> None:
    Treasure.made.clear()
    door = Thief()
    raw = Raw(door)
    names = sorted({name for name in _NAMES if name not in ("open", "@describe")})
    assert len(names) > 150
    for name in names:
        for call in ([0, 1, 0, name, []], [0, 1, 0, name, [], {}], [0, 1, 0, name, [1], {"self": 1}]):
            (answer,) = raw.say(call)
            assert answer[:4] == [2, 1, "missing", "broker.no-method"], name
            raw.say([4, [1]])
    assert raw.say([0, 1, 0, "open", []]) == [[1, 1, "opened"]]
    # What it returned has no parts, nor has an object.
    for at, name in enumerate(names, 2):
        (answer,) = raw.say([0, at, [1, name], "open", []])
        assert answer[:4] == [2, at, "missing", "broker.no-path"], name
        raw.say([4, [at]])
    assert Treasure.made == []
    assert raw.code == ""


async def test_names_of_arguments_reach_nothing_but_arguments() -> None:
    raw = Raw(Thief())
    for name in ("self", "__class__", "target", "call", "offer", "method", "context", "", "a b", "*", "**"):
        (answer,) = raw.say([0, 1, 0, "open", [], {name: 1}])
        assert answer[:4] == [2, 1, "misuse", "broker.arguments"], name
        raw.say([4, [1]])


async def test_a_reference_that_is_passed_on_shows_nothing_of_what_stands_for_it() -> None:
    far = Pair(Treasure())

    class Between(rope.Object):
        @rope.remote
        def give(self) -> Any:
            return far.me

        @rope.remote
        def through(self) -> Any:
            return far.me.open()

    # The door of another session is passed on like any other of its objects.
    raw = Raw(Between())
    raw.say([0, 1, 0, "give", []])
    Treasure.made.clear()
    names = sorted({name for name in _NAMES if 0 < len(name) <= 128 and name not in ("open", "hidden", "@describe")})
    for at, name in enumerate(names, 2):
        raw.say([0, at, [1], name, []])
        for _ in range(3):
            far.move()
            await asyncio.sleep(0)
        heard = [message for message in [*raw.all, *raw.heard()] if message[1] == at]
        assert [message[3] for message in heard] == ["broker.no-method"], (name, heard)
        raw.say([4, [at]])
    assert Treasure.made == []
    assert raw.code == ""
    await raw.stop()
    await far.stop()


async def test_the_name_of_a_class_is_a_word_and_no_more() -> None:
    raw = Raw(Thief(), server=False)
    for name in ("os.system", "__main__.Thief", "\0", "x" * 128, "{0.__class__}", "%s"):
        promise = raw.me.x()
        question = raw.heard()[-1][1]
        raw.say([1, question, ext(2, [7, name])])
        got = promise.value()
        assert type(got) is rope.Remote
        assert name in repr(got) or name == "\0"
        del got, promise
        raw.heard()
    assert raw.code == ""


async def test_where_it_happened_stays_home_unless_it_may_be_told(caplog: pytest.LogCaptureFixture) -> None:
    class Breaks(rope.Object):
        @rope.remote
        def now(self) -> None:
            raise ValueError("password: hunter2")

        @rope.remote
        async def later(self) -> None:
            raise KeyError("password: hunter2")

        @rope.remote
        def bad(self) -> Any:
            return self.now

    for traces in (False, True):
        raw = Raw(Breaks(), limits=Limits(traces=traces))
        raw.say([0, 1, 0, "now", []], [0, 2, 0, "later", []], [0, 3, [2], "x", []])
        await raw.rest()
        told = [str(message) for message in raw.all if message[0] == 2]
        assert len(told) == 3
        for text in told:
            assert ("hunter2" in text) is traces, text
        for text in told[:2]:  # the third is the failure that it needed
            assert ("Traceback" in text) is traces, text
            assert (__file__ in text) is traces, text
        await raw.stop()
    assert "hunter2" in caplog.text  # our own log has it


# Nothing that is never held back waits for what may be.


async def test_full_windows_both_ways_do_not_wait_for_each_other() -> None:
    class Busy(rope.Object):
        def __init__(self) -> None:
            self.gate = asyncio.Event()

        @rope.remote
        async def hold(self, data: bytes) -> int:
            await self.gate.wait()
            return len(data)

        @rope.remote
        def give(self) -> rope.Object:
            return Busy()

    limits = Limits(window=40_000, questions=8)
    mine, theirs = Busy(), Busy()
    pair = Pair(theirs, mine, limits=limits, client_limits=limits)
    references = [await pair.got(pair.me.give()), await pair.got(pair.server.door.give())]
    calls = [[end.door.hold(bytes([1]) * 9_000) for _ in range(10)] for end in (pair.client, pair.server)]
    await pair.run()
    for end in (pair.client, pair.server):
        assert end.broker.asking.held
        assert end.broker.asking.used > 30_000
    # Releases and cancels pass.
    references.clear()
    pair.client.broker.asking.cancel(calls[0][0])
    pair.server.broker.asking.cancel(calls[1][0])
    await pair.run()
    assert list(pair.server.broker.objects.shown) == [0]
    assert list(pair.client.broker.objects.shown) == [0]
    for busy in (mine, theirs):
        busy.gate.set()
    await pair.run()
    for side in calls:
        assert [promise.value() for promise in side[1:]] == [9_000] * 9
    await pair.stop()


async def test_answers_go_out_while_uploads_of_both_ends_fill_the_windows() -> None:
    class Echo(rope.Object):
        @rope.remote
        def echo(self, data: bytes) -> bytes:
            return data

    limits = Limits(window=700_000, blob=700_000)
    pair = Pair(Echo(), Echo(), limits=limits, client_limits=limits)
    calls = [end.door.echo(bytes(600_000)) for _ in range(5) for end in (pair.client, pair.server)]
    small = [end.door.echo(b"x") for end in (pair.client, pair.server)]
    await pair.run()
    assert [len(promise.value()) for promise in calls] == [600_000] * 10
    assert [promise.value() for promise in small] == [b"x", b"x"]
    await pair.stop()


def test_missing_is_what_is_not_offered() -> None:
    assert issubclass(rope.NoMethod, Missing)
