"""Every kind of value crosses as it is, or is refused at the end that should refuse it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.broker.copyables import copyable
from ropewalk.broker.errors import CannotSend, error_of, wire_form
from ropewalk.broker.offers import Object, Reference, kind_of
from ropewalk.broker.outbox import encode, encode_value
from ropewalk.broker.packing import Packing, plain
from ropewalk.broker.promise import Promise
from ropewalk.broker.unpacking import Unpacking
from ropewalk.errors import Misuse, PeerFault, Refused
from tests.broker.shapes import NoSession


class Thing(Object):
    """Something of ours."""


class Ends(NoSession):
    """Both ends of a session at once: what one shows, the other finds."""

    def __init__(self, frame: int = 1 << 20) -> None:
        self.frame = frame
        self.shown: list[Any] = []
        self.open = 0
        self.blobs: dict[int, bytes] = {}
        self.next = 1

    def show(self, value: Object | Reference) -> int:
        self.open += 1
        self.shown.append(value)
        return len(self.shown)

    def unshow(self, value: Object | Reference) -> None:
        self.open -= 1

    def watch(self, value: Any, version: int) -> None:
        raise AssertionError

    def back(self, value: Reference) -> int | None:
        return None

    def step(self, promise: Promise) -> int:
        raise AssertionError

    def stream(self, items: Any) -> int:
        self.open += 1
        return 7

    def unstream(self, number: int) -> None:
        self.open -= 1

    def start(self, number: int) -> None:
        raise AssertionError

    def room(self) -> int:
        return self.frame

    def blob(self) -> int:
        self.open += 1
        self.next += 1
        return self.next - 1

    def awaits(self, promise: Promise) -> None:
        raise AssertionError

    def unblob(self, number: int) -> None:
        self.open -= 1

    def found(self, number: int, name: str) -> Any:
        there = self.shown[number - 1]
        assert kind_of(there) == name
        return there

    def whole(self, number: int) -> bytes:
        return self.blobs.pop(number)


def crossed(value: Any, ends: Ends | None = None, most: int = 64) -> Any:
    """A value after it has gone to the other end."""
    ends = ends or Ends()
    packing = Packing(ends, most)
    body = encode([[1, 1, packing.swap(value)]])
    ends.blobs |= {number: bytes(blob) for number, blob in packing.blobs.items()}
    (message,) = Unpacking(ends).decode(memoryview(body), [bytes(one) for one in packing.segments])
    assert not ends.blobs
    return message.value


@copyable("tests.values.pair")
@dataclasses.dataclass(frozen=True)
class Pair:
    """A registered dataclass."""

    left: Any
    right: Any = None


@copyable("tests.values.point")
class Point(msgspec.Struct, frozen=True):
    """A registered struct, with annotations that are checked."""

    x: int
    y: float = 0.0


class Unregistered(msgspec.Struct):
    """What nobody has registered."""

    x: int = 0


@copyable("tests.values.picky")
class Picky(msgspec.Struct):
    """One that refuses in its own words."""

    x: Any = 0

    def __post_init__(self) -> None:
        if self.x == "bad":
            raise LookupError("not this one")


utc_moments = st.datetimes(timezones=st.just(dt.UTC))
hashable = st.one_of(
    st.none(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(max_size=50),
    st.dates(),
    st.uuids(),
    st.builds(Point, st.integers(-(2**63), 2**63), st.floats(allow_nan=False)),
    st.tuples(st.integers(), st.text()),
)
leaves = st.one_of(
    hashable,
    st.booleans(),
    st.integers(-(2**2000), 2**2000),
    st.decimals(allow_nan=False),
    st.datetimes(),
    utc_moments,
    st.timedeltas(min_value=dt.timedelta(days=-100_000_000), max_value=dt.timedelta(days=100_000_000)),
    st.sampled_from([16_383, 16_384, 65_536, 262_144, 262_145]).map(lambda size: b"x" * size),
)
keys = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.text(), st.binary(max_size=20))
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(keys, inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.sets(hashable, max_size=5),
        st.builds(Pair, inner, inner),
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same kinds all through."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    if isinstance(one, Pair):
        return same(one.left, other.left) and same(one.right, other.right)
    if isinstance(one, float):
        return math.copysign(1, one) == math.copysign(1, other) and one == other
    if isinstance(one, decimal.Decimal):
        return str(one) == str(other)
    return bool(one == other)


@given(values)
def test_every_value_crosses_as_it_is(value: Any) -> None:
    assert same(crossed(value), value)


@given(values, st.sampled_from([4096, 40_000, 600_000]))
def test_what_goes_beside_the_body_fits_the_frames_of_the_other_end(value: Any, frame: int) -> None:
    ends = Ends(frame)
    packing = Packing(ends, 64)
    packing.swap([value] * 3)
    assert sum(map(len, packing.segments)) <= frame // 2
    assert all(16_384 <= len(segment) <= 262_144 for segment in packing.segments)
    packing.undo()
    assert ends.open == 0


@given(values)
def test_a_plain_value_needs_no_swapping(value: Any) -> None:
    try:
        swapped = Packing(Ends(), 64).swap(value)
    except CannotSend:
        assert not plain((value,), 64)
        return
    if plain((value,), 64) and not _has_large(value):
        assert same(swapped, value)


def _has_large(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_large, [*value, *value.values()]))
    return (
        any(map(_has_large, value)) if isinstance(value, list) else type(value) is int and not -(2**63) <= value < 2**64
    )


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"


class Number(enum.IntEnum):
    """One of numbers."""

    ONE = 1


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (Colour.RED, "red"),
        (Number.ONE, 1),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (frozenset({1}), {1}),
        (decimal.Decimal("-NaN12"), None),
        (
            dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            dt.datetime(2023, 12, 31, 22, tzinfo=dt.UTC),
        ),
    ],
)
def test_what_is_nearest_crosses(value: Any, becomes: Any) -> None:
    got = crossed(value)
    assert got.is_nan() if becomes is None else got == becomes


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Unregistered(),
        Pair(Unregistered()),
        {(1, 2): 3},
        {1.5: 3},
        2**8192,
        -(2**8192),
        decimal.Decimal("1" * 4097),
        decimal.Decimal("sNaN"),
        "\ud800",
        ("\ud800",),
        {"\ud800": 1},
        [{"\ud800"}],
        dt.timedelta.max,
        dt.timedelta.min,
        dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=23))),
        (dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=23))),),
        Promise,
        lambda: None,
        1j,
    ],
    ids=lambda value: type(value).__name__,  # an address in a name makes each run another
)
def test_what_cannot_cross_is_refused_here_and_leaves_nothing_behind(value: Any) -> None:
    ends = Ends()
    packing = Packing(ends, 64)
    with pytest.raises(CannotSend):
        encode_value(packing.swap([Thing(), b"x" * 300_000, value]))
    packing.undo()
    assert ends.open == 0


@pytest.mark.parametrize("make", [lambda inner: [inner], lambda inner: {"k": inner}, Pair, lambda inner: (inner,)])
def test_depth_is_refused_here(make: Any) -> None:
    value: Any = 5
    for _ in range(65):
        value = make(value)
    with pytest.raises(CannotSend):
        Packing(Ends(), 64).swap(value)
    value = 5
    for _ in range(2_000):
        value = make(value)
    with pytest.raises(CannotSend):
        Packing(Ends(), 64).swap(value)


def test_an_object_crosses_as_a_reference_and_is_counted_each_time() -> None:
    ends, thing = Ends(), Thing()
    assert crossed([thing, thing], ends) == [thing, thing]
    assert ends.open == 2


# Errors.


class Odd(Refused):
    """An error of a program."""

    code = "tests.odd"


@given(st.text(alphabet=st.characters(), max_size=30), st.text(alphabet=st.characters(), max_size=30))
def test_an_error_crosses_with_its_family_its_code_and_its_words(words: str, hint: str) -> None:
    family, code, said, details = wire_form(Odd(words, hint=hint))
    assert (family, code) == ("refused", "tests.odd")
    error = error_of(family, code, encode(said) and said, details or None)
    assert isinstance(error, Refused)
    assert error.code == "tests.odd"
    assert str(error) == said
    if not any(0xD800 <= ord(one) < 0xE000 for one in words):
        assert said == words


def test_an_error_with_a_name_that_is_no_unicode_crosses() -> None:
    family, code, said, details = wire_form(Misuse("no file \udcff", hint="\udcfe"))
    assert encode([family, code, said, details])


@pytest.mark.parametrize(
    "told", [(1, "c", "t"), ("f", None, "t"), ("f", "c", b"t"), ("f", "c", "t", []), ("f", "c", "t", "d")]
)
def test_what_is_no_error_is_refused(told: tuple[Any, ...]) -> None:
    with pytest.raises(PeerFault):
        error_of(*told)
