"""Offers: what can be called of a class, and what its arguments have to be."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, Optional

import msgspec
import pytest
from msgspec import Meta

from ropewalk import broker as rope
from ropewalk.broker.errors import Failed
from ropewalk.broker.offers import BadOffer
from ropewalk.errors import RopewalkError
from tests.broker.pair import Pair

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]

Account = NewType("Account", int)


class Colour(enum.Enum):
    """As text."""

    RED = "red"


class Note(msgspec.Struct):
    """Not registered: a map that fits becomes one."""

    text: str
    stars: Annotated[int, Meta(ge=0)] = 0


class Other(rope.Object):
    """Another class."""


class Base(rope.Object):
    """Offers two."""

    @rope.remote
    def kept(self) -> str:
        return "kept"

    @rope.remote
    def changed(self) -> str:
        return "of the base"

    @rope.remote
    def hidden(self) -> str:
        return "hidden"

    def local(self) -> str:
        return "never"


class Mixin:
    """Is no Object."""

    @rope.remote
    def mixed(self) -> str:
        return "mixed"


class Desk(Mixin, Base):
    """All kinds of methods."""

    @rope.remote
    async def changed(self) -> str:  # type: ignore[override]
        return "of the desk"

    def hidden(self) -> str:
        return "not any more"

    @rope.remote
    def plain(self, a: Any, b: Any = 2, *, c: Any = 3) -> Any:
        return [a, b, c]

    @rope.remote
    def typed(self, number: int, text: str = "", *, flag: bool = False) -> list[Any]:
        return [number, text, flag]

    @rope.remote
    def needs(self, first: int, second: int) -> int:
        return first * second

    @rope.remote
    def rest(self, first: int, *more: int, **others: str) -> Any:
        return [first, more, others]

    @rope.remote
    def only(self, first: int, /, *, last: int) -> Any:
        return [first, last]

    @rope.remote
    def nested(self, it: dict[str, list[tuple[int, str]]]) -> Any:
        return it

    @rope.remote
    def maybe(self, it: Optional[int] = None, other: int | str | list[int] = 0) -> Any:  # noqa: UP045
        return [it, other]

    @rope.remote
    def bounded(self, it: Annotated[int, Meta(gt=0, le=9)], name: Annotated[str, Meta(max_length=3)] = "") -> Any:
        return it

    @rope.remote
    def desk(self, it: Desk) -> str:
        return type(it).__name__

    @rope.remote
    def desks(self, it: list[Desk], more: dict[str, Desk | None] | None = None, one: Desk | int | str = 0) -> int:
        return len(it) + len(more or {})

    @rope.remote
    def any_reference(self, it: rope.Reference) -> str:
        return type(it).__name__

    @rope.remote
    def theirs(self, it: rope.Remote) -> str:
        return type(it).__name__

    @rope.remote
    def view(self, it: rope.View) -> str:
        return type(it).__name__

    @rope.remote
    def stream(self, it: AsyncIterator[int]) -> str:
        return type(it).__name__

    @rope.remote
    def note(self, it: Note, notes: list[Note] | None = None) -> str:
        return f"{type(it).__name__} {it.text} {it.stars}"

    @rope.remote
    def word(self, it: Literal["a", "b"], colour: Colour = Colour.RED, account: Account = Account(0)) -> Any:
        return [it, type(colour).__name__, account]

    @rope.remote
    def binary(self, it: bytes) -> bytes:
        return it

    @rope.remote
    def unknown(self, fine: int, it: Unknown) -> Any:  # its name is there for type checkers only
        return it

    @rope.remote
    def unreadable(self, it: "no such thing") -> Any:  # type: ignore[valid-type]  # noqa: F722
        return it

    @rope.remote
    def returns(self, fine: int) -> Unknown:
        return fine

    @rope.remote
    def raises(self) -> None:
        raise TypeError("inside")

    @rope.remote
    def me(self) -> Desk:
        return self

    @rope.remote
    def shared(self) -> rope.Shared:
        return rope.Shared({})

    @rope.remote
    def other(self) -> Other:
        return Other()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair(Desk())
    yield made
    await made.stop()


async def test_what_is_offered_is_inherited_and_overridden(pair: Pair) -> None:
    assert await pair.got(pair.me.kept()) == "kept"
    assert await pair.got(pair.me.changed()) == "of the desk"
    assert await pair.got(pair.me.mixed()) == "mixed"
    for name in ("hidden", "local", "__init__", "__class__", "plain.__globals__", ""):
        with pytest.raises(RopewalkError) as caught:
            await pair.got(pair.client.broker.asking.ask(0, None, 0, name, (), {}) if name else pair.me.nothing())
        assert caught.value.code == "broker.no-method"
    assert Base.__offers__.keys() == {"kept", "changed", "hidden"}
    assert Desk.__offers__["kept"].call is Base.kept


def test_what_cannot_be_remote_is_refused_where_it_is_written() -> None:
    for make in (property, classmethod, staticmethod, lambda _found: 5):
        with pytest.raises(BadOffer, match="cannot be remote"):
            rope.remote(make(lambda self: 1))  # type: ignore[type-var]

    def marked(self: Any) -> int:
        return 1

    rope.remote(marked)
    for make in (property, classmethod, staticmethod):
        with pytest.raises(BadOffer, match=f"Desk.name cannot be remote: it is a {make.__name__}"):
            type("Desk", (rope.Object,), {"name": make(marked)})
    for name in ("_private", "__call__", "x" * 129):
        with pytest.raises(BadOffer, match="begins with _ or is long"):
            type("Desk", (rope.Object,), {name: marked})
    with pytest.raises(BadOffer, match="takes no self"):
        type("Desk", (rope.Object,), {"it": rope.remote(lambda: 1)})


FITS: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = [
    ("plain", (1,), {}, [1, 2, 3]),
    ("plain", (1,), {"c": 4}, [1, 2, 4]),
    ("plain", (), {"a": 1, "b": 5}, [1, 5, 3]),
    ("typed", (1,), {}, [1, "", False]),
    ("typed", (1, "x"), {"flag": True}, [1, "x", True]),
    ("typed", (), {"number": 1}, [1, "", False]),
    ("needs", (2,), {"second": 3}, 6),
    ("rest", (1,), {}, [1, (), {}]),
    ("rest", (1, 2, 3), {"a": "b", "return": "c", "more": "d"}, [1, (2, 3), {"a": "b", "return": "c", "more": "d"}]),
    ("only", (1,), {"last": 2}, [1, 2]),
    ("nested", ({"a": [(1, "x")]},), {}, {"a": [(1, "x")]}),
    ("maybe", (None, "x"), {}, [None, "x"]),
    ("maybe", (5, [1]), {}, [5, [1]]),
    ("bounded", (9, "abc"), {}, 9),
    ("note", ({"text": "hi"},), {}, "Note hi 0"),
    ("note", ({"text": "hi", "stars": 2}, [{"text": "x"}]), {}, "Note hi 2"),
    ("word", ("a", "red", 5), {}, ["a", "Colour", 5]),
    ("binary", (b"x",), {}, b"x"),
    ("returns", (1,), {}, 1),
]


@pytest.mark.parametrize(("method", "arguments", "named", "expected"), FITS)
async def test_arguments_that_fit(
    pair: Pair, method: str, arguments: tuple[Any, ...], named: dict[str, Any], expected: Any
) -> None:
    assert await pair.got(getattr(pair.me, method)(*arguments, **named)) == expected


UNFIT: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("plain", (), {}, "plain: missing a required argument: 'a'"),
    ("plain", (1, 2, 3), {}, "plain: too many positional arguments"),
    ("plain", (1,), {"d": 1}, "plain: got an unexpected keyword argument 'd'"),
    ("plain", (1,), {"a": 1}, "plain: multiple values for argument 'a'"),
    ("kept", (1,), {}, "kept: too many positional arguments"),
    ("typed", ("x",), {}, "typed: argument number: expected `int`, got `str`"),
    ("typed", (1, 2), {}, "typed: argument text: expected `str`, got `int`"),
    ("typed", (1,), {"flag": 1}, "typed: argument flag: expected `bool`, got `int`"),
    ("typed", ("x",), {"flag": True}, "typed: argument number: expected `int`, got `str`"),
    ("typed", (True,), {}, "typed: argument number: expected `int`, got `bool`"),
    ("needs", (2,), {"second": "x"}, "needs: argument second: expected `int`, got `str`"),
    ("rest", (1, 2, "x"), {}, r"rest: argument more\[1\]: expected `int`, got `str`"),
    ("rest", (1,), {"a": 5}, "rest: argument a: expected `str`, got `int`"),
    (
        "only",
        (),
        {"first": 1, "last": 2},
        "only: ('first' parameter is pos|missing a req|got some pos)",
    ),
    ("nested", ({"a": [(1, "x"), (2, 3)]},), {}, r"nested: argument it\[...\]\[1\]\[1\]: expected `str`, got `int`"),
    ("maybe", ("x",), {}, r"maybe: argument it: expected `int \| null`, got `str`"),
    ("maybe", (1, ["x"]), {}, r"maybe: argument other\[0\]: expected `int`, got `str`"),
    ("bounded", (0,), {}, "bounded: argument it: expected `int` >= 1"),
    ("bounded", (5, "abcd"), {}, "bounded: argument name: expected `str` of length <= 3"),
    ("desk", (5,), {}, "desk: argument it: expected a reference to Desk, got `int`"),
    ("desk", (None,), {}, "desk: argument it: expected a reference to Desk, got null"),
    ("desks", ([5],), {}, r"desks: argument it\[0\]: expected a reference to Desk, got `int`"),
    ("desks", ([], {"a": 5}), {}, r"desks: argument more.*: expected"),
    ("desks", ([], None, []), {}, r"desks: argument one: expected Desk \| int \| str, got `list`"),
    ("stream", ([1],), {}, "stream: argument it: expected a stream, got `list`"),
    ("note", ({},), {}, "note: argument it: .*missing required field `text`"),
    ("note", (5,), {}, "note: argument it: expected Note, got `int`"),
    ("note", ({"text": "x", "stars": -1},), {}, r"note: argument it\.stars: expected `int` >= 0"),
    ("note", ({"text": "x"}, [{"text": 1}]), {}, r"note: argument notes.*expected"),
    ("word", ("c",), {}, "word: argument it: [Ii]nvalid enum value 'c'"),
    ("word", ("a", "blue"), {}, "word: argument colour: [Ii]nvalid enum value 'blue'"),
    ("binary", ("aGk=",), {}, "binary: argument it: expected `bytes`, got `str`"),
]


@pytest.mark.parametrize(("method", "arguments", "named", "expected"), UNFIT)
async def test_arguments_that_do_not_fit_are_named(
    pair: Pair, method: str, arguments: tuple[Any, ...], named: dict[str, Any], expected: str
) -> None:
    with pytest.raises(RopewalkError, match=expected) as caught:
        await pair.got(getattr(pair.me, method)(*arguments, **named))
    assert caught.value.code == "broker.arguments"


async def test_references_are_checked_as_far_as_this_end_can_know(pair: Pair) -> None:
    me, other, view = [await pair.got(call) for call in (pair.me.me(), pair.me.other(), pair.me.shared())]
    mine = Other()
    for fits, expected in (
        (pair.me.desk(me), "Desk"),
        (pair.me.desk(mine), "Remote"),  # what class it is of only the other end knows
        (pair.me.any_reference(me), "Desk"),
        (pair.me.any_reference(mine), "Remote"),
        (pair.me.theirs(mine), "Remote"),
        (pair.me.view(rope.Shared([])), "View"),
        (pair.me.desks([me, mine], {"a": mine, "b": None}, me), 4),
        (pair.me.desks([], None, "x"), 0),
    ):
        assert await pair.got(fits) == expected
    for unfit, expected in (
        (pair.me.desk(other), "desk: argument it: expected a reference to Desk, got `Other`"),
        (pair.me.theirs(me), "theirs: argument it: expected a reference to Remote, got `Desk`"),
        (pair.me.view(mine), "view: argument it: expected a reference to View, got `Remote`"),
        (pair.me.view(view), "view: argument it: expected a reference to View, got `Shared`"),
        (pair.me.desks([me, other]), r"desks: argument it\[1\]: expected a reference to Desk, got `Other`"),
    ):
        with pytest.raises(RopewalkError, match=expected):
            await pair.got(unfit)


async def test_what_is_raised_inside_is_no_fault_of_the_arguments(pair: Pair) -> None:
    with pytest.raises(Failed):
        await pair.got(pair.me.raises())


@pytest.mark.parametrize(("method", "name"), [("unknown", "Unknown"), ("unreadable", "no such thing")])
async def test_an_annotation_that_cannot_be_read_fails_the_call_and_not_the_session(
    pair: Pair, method: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What was meant to be checked is not called unchecked."""
    for _ in range(2):
        with pytest.raises(Failed, match=f"{method}: the annotation of it cannot be checked"):
            await pair.got(getattr(pair.me, method)(*range(2 if method == "unknown" else 1)))
    assert f"{method}: the annotation of it" in caplog.text
    assert await pair.got(pair.me.kept()) == "kept"


async def test_nothing_is_kept_for_each_number_of_arguments(pair: Pair) -> None:
    """A peer could fill the memory with kinds of tuples."""
    for count in range(1, 200):
        assert (await pair.got(pair.me.rest(*range(count))))[0] == 0
    assert len(Desk.__offers__["rest"]._counts) == 1


def test_a_dataclass_that_is_an_object_is_offered_once() -> None:
    @dataclasses.dataclass
    class Made(rope.Object):
        it: int

        @rope.remote
        def get(self) -> int:
            return self.it

    assert Made(5).get() == 5
    assert list(Made.__offers__) == ["get"]
