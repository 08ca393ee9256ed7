"""What the other end sends is a value, or is refused with the code of the document; nothing else comes of it."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.broker.errors import BadValue, OverLimit, UnknownType
from ropewalk.broker.limits import Limits
from ropewalk.broker.unpacking import Awaited, Unpacking, settle
from ropewalk.broker.weigh import too_deep
from ropewalk.errors import PeerFault, RopewalkError
from tests.broker.shapes import NoSession, array, ext
from tests.broker.test_values import Point, same

CODES = {"", *(f"broker.{name}" for name in ("frame", "limit", "message", "value"))} | {
    *(f"broker.{name}" for name in ("no-object", "unknown-type", "cannot-send"))
}


def code_of(do: Callable[[], object]) -> str:
    """What something is refused with, "" where it is not."""
    try:
        do()
    except RopewalkError as error:
        return error.code
    return ""


def got(item: bytes, segments: tuple[bytes, ...] = (), finds: NoSession | None = None) -> Any:
    """A value from its bytes."""
    unpacking = Unpacking(finds or NoSession())
    (message,) = unpacking.decode(memoryview(b"\x91\x93\x01\x01" + item), segments)
    value = message.value
    return settle(value, lambda awaited: awaited) if unpacking.marks else value


def text(some: str) -> bytes:
    """Encoded text."""
    data = some.encode()
    return b"\xd9" + bytes([len(data)]) + data


BAD = {
    "unknown extension": ext(17, b"\xc0"),
    "unknown extension of a negative number": ext(-2, b"\xc0"),
    "segment that is not there": ext(1, b"\x00"),
    "segment that is no number": ext(1, b"\xc3"),
    "object without a name": ext(2, b"\x91\x01"),
    "object that is the door": ext(2, b"\x92\x00\xa0"),
    "object with a negative number": ext(2, b"\x92\xff\xa0"),
    "object of a number that is too large": ext(2, b"\x92\xce\x80\0\0\0\xa0"),
    "object with a long name": ext(2, b"\x92\x01" + text("n" * 129)),
    "own object that is the door": ext(3, b"\x00"),
    "own object that is text": ext(3, b"\xa11"),
    "answer without a question": ext(4, b"\x90"),
    "answer to question 0": ext(4, b"\x91\x00"),
    "answer with a step that is nil": ext(4, b"\x92\x01\xc0"),
    "answer with 65 steps": ext(4, array([b"\x01"] * 66)),
    "copyable without fields": ext(5, b"\x91\xa1a"),
    "copyable with a number as its name": ext(5, b"\x92\x01\x80"),
    "copyable with a field that is no text": ext(5, b"\x92" + text("tests.values.pair") + b"\x81\x01\x01"),
    "shared object with a short run": ext(6, b"\x95\x01\xa0\xc4\x01x\x00\xc0"),
    "shared object with a negative version": ext(6, b"\x95\x01\xa0\xc4\x08" + bytes(8) + b"\xff\xc0"),
    "empty large integer": ext(7, b"\xc4\x00"),
    "large integer of 1,025 bytes": ext(7, b"\xc5\x04\x01" + bytes(1025)),
    "large integer that is text": ext(7, b"\xa11"),
    "tuple that is a map": ext(8, b"\x80"),
    "stream 0": ext(9, b"\x00"),
    "blob 0": ext(10, b"\x00"),
    "set with an element twice": ext(11, b"\x92\x01\x01"),
    "set of arrays": ext(11, b"\x91\x90"),
    "set that is text": ext(11, b"\xa11"),
    "decimal with a space": ext(12, text(" 1")),
    "decimal without digits": ext(12, text("-")),
    "decimal with other digits": ext(12, text("\u0661")),
    "decimal with a long exponent": ext(12, text("1E+" + "9" * 30)),
    "decimal that is a number": ext(12, b"\x01"),
    "decimal that is binary": ext(12, b"\xc4\x011"),
    "uuid of 15 bytes": ext(13, b"\xc4\x0f" + bytes(15)),
    "uuid that is text": ext(13, text("0" * 16)),
    "uuid that is an array": ext(13, array([b"\x01"] * 16)),
    "date without dashes": ext(14, text("20240102")),
    "date of a week": ext(14, text("2024-W01-1")),
    "date that there is not": ext(14, text("2023-02-29")),
    "date and time with a zone": ext(15, text("2024-01-02T03:04:05+00:00")),
    "date and time with a space": ext(15, text("2024-01-02 03:04:05")),
    "date and time of a third of a microsecond": ext(15, text("2024-01-02T03:04:05.123")),
    "length of time that is a float": ext(16, b"\xcb" + bytes(8)),
    "length of time that is a boolean": ext(16, b"\xc3"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_value_of_no_kind_ends_the_session(name: str) -> None:
    with pytest.raises(BadValue):
        got(BAD[name])


@pytest.mark.parametrize(
    "item",
    [ext(8, b"\x90\xc0"), ext(8, b""), ext(8, b"\x91"), b"\xa1\xff", b"\x81\x90", b"\xc1", ext(-1, bytes(5))],
    ids=["more", "nothing", "less", "no utf-8", "half a map", "no type", "moment of 5 bytes"],
)
def test_what_is_no_messagepack_ends_the_session(item: bytes) -> None:
    with pytest.raises(PeerFault) as caught:
        got(item)
    assert caught.value.code == "broker.frame"


@pytest.mark.parametrize(
    ("item", "value"),
    [
        (b"\xd3" + bytes(7) + b"\x01", 1),
        (ext(7, b"\xc4\x03\x00\x00\x05"), 5),
        (ext(7, b"\xc4\x01\xff"), -1),
        (b"\xc9\0\0\0\x01\x08\x90", ()),
        (ext(12, text("-Infinity")), decimal.Decimal("-Infinity")),
        (ext(12, text("-0.0E-5")), decimal.Decimal("-0.0E-5")),
        (ext(13, b"\xc4\x10" + bytes(15) + b"\x01"), uuid.UUID(int=1)),
        (ext(15, text("2024-01-02T03:04:05.000006")), dt.datetime.fromisoformat("2024-01-02T03:04:05.000006")),
        (ext(16, b"\xff"), -dt.timedelta(microseconds=1)),
        (ext(4, b"\x93\x05\xa1a\x02"), Awaited(5, ("a", 2))),
        (ext(5, b"\x92" + text("tests.values.point") + b"\x81\xa1x\x05"), Point(5)),
    ],
)
def test_longer_forms_are_taken(item: bytes, value: Any) -> None:
    assert same(got(item), value)


@pytest.mark.parametrize(
    "fields", [b"\x80", b"\x81\xa1x\xa11", b"\x81\xa1x\xc0"], ids=["none", "of another type", "nil"]
)
def test_a_copyable_that_does_not_fit_harms_only_its_message(fields: bytes) -> None:
    for name in ("tests.values.point", "os.system", "x" * 200):
        with pytest.raises(UnknownType):
            got(ext(5, b"\x92" + text(name) + fields))


def test_a_copyable_that_raises_when_it_is_made_harms_only_its_message() -> None:
    with pytest.raises(UnknownType, match="not this one"):
        got(ext(5, b"\x92" + text("tests.values.picky") + b"\x81\xa1x\xa3bad"))


@pytest.mark.parametrize(
    "outer",
    [
        lambda item: b"\x91" + item,
        lambda item: b"\x81\xa1k" + item,
        lambda item: ext(8, b"\x91" + item),
        lambda item: ext(5, b"\x92" + text("tests.values.pair") + b"\x81\xa4left" + item),
        lambda item: ext(6, b"\x95\x01\xa0\xc4\x08" + bytes(8) + b"\x00" + item),
    ],
    ids=["array", "map", "tuple", "copyable", "shared"],
)
def test_what_cannot_be_made_is_found_wherever_it_lies(outer: Any) -> None:
    broken = ext(5, b"\x92\xa1z\x80")
    unpacking = Unpacking(NoSession())
    value = unpacking.value(outer(broken))
    assert unpacking.marks
    with pytest.raises(RopewalkError) as caught:
        settle(value, lambda awaited: awaited)
    assert not isinstance(caught.value, PeerFault)


def test_what_is_awaited_is_no_key_and_in_no_set() -> None:
    with pytest.raises(BadValue):
        got(b"\x81" + ext(4, b"\x91\x01") + b"\xc0")
    with pytest.raises(BadValue):
        got(ext(11, b"\x91" + ext(4, b"\x91\x01")))


def test_depth_inside_of_a_copyable_and_a_state_is_counted() -> None:
    deep = b"\x91" * 70 + b"\xc0"
    for item in (
        ext(5, b"\x92" + text("tests.values.pair") + b"\x81\xa4left" + deep),
        ext(6, b"\x95\x01\xa0\xc4\x08" + bytes(8) + b"\x00" + deep),
    ):
        with pytest.raises(OverLimit):
            got(item)


# Segments, and items of streams.


def test_a_segment_is_used_once_and_by_something() -> None:
    assert got(array([ext(1, b"\x01"), ext(1, b"\x00")]), (b"a", b"b")) == [b"b", b"a"]
    for item, segments, code in (
        (array([ext(1, b"\x00")] * 2), (b"a", b"b"), "broker.value"),
        (array([ext(1, b"\x00")]), (b"a", b"b"), "broker.frame"),
        (array([ext(1, b"\x02")]), (b"a", b"b"), "broker.value"),
    ):
        with pytest.raises(PeerFault) as caught:
            got(item, segments)
        assert caught.value.code == code


@pytest.mark.parametrize("item", [ext(1, b"\x00"), ext(10, b"\x01"), ext(4, b"\x91\x01"), b"\xc0\xc0", b""])
def test_an_item_holds_nothing_of_its_frame(item: bytes) -> None:
    with pytest.raises(PeerFault):
        Unpacking(NoSession()).item(item, Limits())


def test_an_item_that_is_decoded_between_messages_changes_nothing_for_them() -> None:
    unpacking = Unpacking(NoSession())
    unpacking.value(ext(4, b"\x91\x01"))
    assert unpacking.item(b"\x05", Limits()) == 5
    assert unpacking.marks == 1


@given(st.binary(max_size=120))
def test_fuzz_junk_is_values_or_a_fault(junk: bytes) -> None:
    decoders: list[Callable[[], object]] = [
        lambda: got(junk),
        lambda: Unpacking(NoSession()).item(junk, Limits()),
    ]
    for decode in decoders:
        assert code_of(decode) in CODES


codes = st.one_of(st.integers(0, 18), st.just(-1))


@given(st.recursive(
    st.one_of(st.binary(max_size=12), st.sampled_from([*BAD.values(), b"\x01", b"\xc4\x08" + bytes(8), b"\xa1a"])),
    lambda inner: st.one_of(st.tuples(codes, inner).map(lambda two: ext(*two)), st.lists(inner, max_size=4).map(array)),
    max_leaves=8,
))  # fmt: skip
def test_fuzz_extensions_of_anything_are_values_or_a_fault(item: bytes) -> None:
    assert code_of(lambda: too_deep((got(item),), 64)) in CODES
