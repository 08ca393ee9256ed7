"""Names from the wire: they find what was offered, nothing else, and tell nothing of the house."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.broker.broker import Broker
from ropewalk.broker.limits import Limits
from ropewalk.errors import Missing
from tests.broker.pair import Pair
from tests.broker.raw import Raw, ext


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


def test_missing_is_what_is_not_offered() -> None:
    assert issubclass(rope.NoMethod, Missing)
