"""Nothing that comes costs more memory than it weighs, or more time than its length is worth."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.broker import weigh as weighing
from ropewalk.broker.errors import BadFrame, OverLimit
from ropewalk.broker.limits import BEFORE_LOGIN, LIGHT, Limits
from ropewalk.broker.unpacking import Unpacking
from ropewalk.broker.weigh import PER_BYTE, _exactly, check_keys, too_deep, weigh
from ropewalk.errors import PeerFault
from tests.broker.shapes import SHAPES, NoSession, array, cost, ext, filled, integer, mapping

ANY = 1 << 60


@pytest.mark.parametrize("name", SHAPES)
def test_a_body_costs_no_more_than_it_weighs(name: str) -> None:
    body = filled(SHAPES[name], 100_000)
    assert cost(body) <= _exactly(body, ANY) <= weigh(body, ANY)


WORST = ["nil", "empty map", "empty array", "negative integer", "map of 86", "set of 77", "copyable that nobody knows"]


@pytest.mark.parametrize("name", WORST)
def test_what_is_taken_of_a_mebibyte_never_costs_over_16_mebibytes(name: str) -> None:
    """All of it where it is light enough, and else as much as is not refused."""
    limits, item = Limits(), SHAPES[name]
    size = 1 << 20
    while True:
        body = filled(item, size)
        try:
            weigh(body, limits.weight)
            break
        except OverLimit:
            size = size * 9 // 10
    assert size > LIGHT
    assert cost(body) <= 16 << 20


@pytest.mark.parametrize("limits", [Limits(), BEFORE_LOGIN])
def test_a_light_body_is_never_too_heavy(limits: Limits) -> None:
    assert min(LIGHT, limits.frame) * PER_BYTE <= limits.weight
    for item in SHAPES.values():
        body = filled(item, min(LIGHT, limits.frame) - 300)
        assert weigh(body, limits.weight) <= limits.weight
        assert _exactly(body, ANY) <= len(body) * PER_BYTE


items = st.recursive(
    st.one_of(
        st.sampled_from(list(SHAPES.values())),
        st.binary(max_size=40).map(lambda data: b"\xc4" + bytes([len(data)]) + data),
        st.binary(min_size=4, max_size=4).map(lambda data: ext(-1, data)),
        st.integers(0, 65_535).map(integer),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6).map(array),
        st.lists(st.tuples(st.integers(0, 65_535).map(integer), inner), max_size=6).map(mapping),
        st.lists(inner, max_size=6).map(lambda some: ext(8, array(some))),
        st.lists(inner, max_size=6).map(lambda some: ext(11, array(some))),
    ),
    max_leaves=12,
)


@given(items)
def test_the_quick_bound_is_never_below_the_exact_weight(item: bytes) -> None:
    assert weigh(item, ANY) >= _exactly(item, ANY)


@given(st.binary(max_size=300), st.integers(0, 100_000))
def test_fuzz_junk_is_weighed_or_refused(junk: bytes, most: int) -> None:
    try:
        assert weigh(junk, most) <= most
    except OverLimit:
        with pytest.raises(OverLimit):
            _exactly(junk, most)
    with contextlib.suppress(BadFrame):
        check_keys(junk)


@pytest.mark.parametrize("size", [4, 8, 12])
def test_bytes_of_a_moment_are_no_heads(size: int) -> None:
    """Else they could say that text of any length follows, and hide what does."""
    moment = ext(-1, bytes(size - 1) + b"\xdb")
    fixed = {4: b"\xd6\xff", 8: b"\xd7\xff", 12: b"\xc7\x0c\xff"}[size] + moment[3:]
    hidden = [b"\x80"] * 100_000
    for head in (moment, fixed):
        with pytest.raises(OverLimit):
            weigh(array([head, *hidden]), Limits().weight)


def test_contents_of_extensions_are_weighed() -> None:
    with pytest.raises(OverLimit):
        weigh(ext(8, array([b"\x80"] * 100_000)), Limits().weight)


def test_a_body_that_is_over_by_the_quick_bound_alone_is_taken() -> None:
    text = b"\xdb" + (1 << 20).to_bytes(4, "big") + b"\x80" * (1 << 20)
    assert weigh(array([text]), Limits().weight) < Limits().weight


# Keys that fall on one place of a table.


def _alike(count: int) -> list[tuple[int, int]]:
    """Pairs of numbers with one hash, by computing Python's hash of a pair backwards; none where it is another."""
    one, two, five, all_ = 11400714785074694791, 14029467366897019727, 2870177450012600261, 2**64
    made: list[tuple[int, int]] = []
    back = pow(one, -1, all_), pow(two, -1, all_)
    for first in range(1, 10 * count):
        middle = (five + first * two) % all_
        middle = ((middle << 31 | middle >> 33) % all_) * one % all_
        wanted = 12345
        before = (wanted >> 31 | wanted << 33) % all_
        second = (before - middle) * back[1] % all_
        if second < 2**61 - 1:
            made.append((first, second))
    made = made[:count]
    return made if len({hash(pair) for pair in made}) == 1 else []


def _pair(pair: tuple[int, int]) -> bytes:
    return array([b"\xcf" + number.to_bytes(8, "big") for number in pair])


KEYS: dict[str, Callable[[int], bytes]] = {
    "arrays": lambda i: _pair((i, i)),
    "extensions": lambda i: ext(13, b"\xc4\x10" + i.to_bytes(16, "big")),
    "moments": lambda i: ext(-1, i.to_bytes(4, "big")),
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("where", [0, 40, 63])
def test_a_large_map_has_no_keys_that_can_be_chosen_to_collide(kind: str, where: int) -> None:
    entries = [(integer(200 + i), b"\xc0") for i in range(70)]
    entries[where] = (KEYS[kind](where), b"\xc0")
    good = mapping([(integer(200 + i), KEYS[kind](i)) for i in range(70)])
    check_keys(array([good]))
    for body in (
        mapping(entries),
        array([b"\x01", mapping(entries)]),
        ext(8, array([mapping(entries)])),
        mapping([(b"\x01", b"\x90")] * 20 + [(b"\x02", mapping(entries))]),
        array([good, ext(-1, b"\xdb" + bytes(3)), mapping(entries)]),
        array([b"\xcb" + b"\xde\x00\x50" + bytes(5), mapping(entries)]),
    ):
        with pytest.raises(BadFrame):
            check_keys(body)


def test_many_small_messages_are_not_gone_through_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Question 222 is a byte that a large map could begin with, and the next ones look like its length."""
    walked: list[int] = []
    monkeypatch.setattr(weighing, "_walk", lambda data: walked.append(len(data)))
    messages = [array([b"\x00", integer(222), b"\x00", b"\xa4echo", array([b"\x07"])])] * 100
    check_keys(array(messages))
    assert walked == []
    check_keys(array([*messages, mapping([(integer(200 + i), b"\xc0") for i in range(222)])]))
    assert len(walked) == 1
    assert walked[0] < 1_000


def test_a_small_map_is_not_looked_at() -> None:
    check_keys(array([mapping([(KEYS["arrays"](i), b"\xc0") for i in range(60)])] * 10))


def test_a_set_of_elements_with_one_hash_is_refused() -> None:
    unpacking = Unpacking(NoSession())
    numbers = [ext(7, b"\xc4\x14" + (n * (2**61 - 1)).to_bytes(20, "big")) for n in range(1, 200)]
    with pytest.raises(OverLimit):
        unpacking.value(ext(11, array(numbers)))
    pairs = [ext(8, _pair(pair)) for pair in _alike(200)]
    if pairs:
        with pytest.raises(OverLimit):
            unpacking.value(ext(11, array(pairs)))
    many = [ext(8, _pair((n, n))) for n in range(5_000)]
    made = unpacking.value(ext(11, array(many)))
    assert len(made) == 5_000


# Depth.


@given(st.integers(0, 200), st.integers(0, 100), st.sampled_from([list, dict, tuple]))
def test_depth_is_counted(deep: int, most: int, kind: type[Any]) -> None:
    value: Any = 5
    for _ in range(deep):
        value = {"k": value} if kind is dict else kind([value])
    assert too_deep((value,), most) is (deep > most)


@pytest.mark.parametrize("item", [b"\x91", b"\x81\x01", b"\xc7\xff\x08"])
def test_decoding_survives_any_depth(item: bytes) -> None:
    body = item * 100_000 + b"\xc0"
    with pytest.raises(PeerFault):
        Unpacking(NoSession()).decode(memoryview(body), ())
    nested = b"\xc0"
    for _ in range(2_000):
        nested = ext(8, b"\x91" + nested)
    with pytest.raises(PeerFault):
        Unpacking(NoSession()).decode(memoryview(nested), ())
