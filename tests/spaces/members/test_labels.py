"""Labels: names rest sealed, all of one size, and open only for whom they are meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.keys import KeyRing, MembersOnly
from ropewalk.spaces.members import BadName, check_person, open_label, seal_label
from tests.spaces.making import flips, some_keys, truncations

BEARER, OTHER = b"b" * 16, b"o" * 16
FIT = st.text(min_size=1, max_size=100).filter(
    lambda name: name.isprintable() and name == name.strip() and len(name.encode()) <= 100
)


@given(FIT)
def test_a_name_comes_back_and_only_for_its_bearer(name: str) -> None:
    box = seal_label(some_keys(), BEARER, name)
    assert open_label(some_keys(), BEARER, box) == name
    assert open_label(some_keys(), OTHER, box) is None
    assert open_label(some_keys("two"), BEARER, box) is None


def test_a_store_learns_neither_how_long_a_name_is_nor_who_has_the_same() -> None:
    boxes = [seal_label(some_keys(), BEARER, name) for name in ("a", "x" * 100, "é" * 50)]
    assert len({len(box) for box in boxes}) == 1
    assert seal_label(some_keys(), BEARER, "anna") != seal_label(some_keys(), OTHER, "anna")


@pytest.mark.parametrize(
    "name",
    ["", " anna", "anna ", "a\nb", "a\x00", "\u202eanna", "a\u200bb", "x" * 101, "é" * 51, "\udc80", "\x1b[31m"],
)
def test_what_nobody_can_be_called_is_refused(name: str) -> None:
    with pytest.raises(BadName):
        check_person(name)
    with pytest.raises(BadName):
        seal_label(some_keys(), BEARER, name)


def test_a_damaged_box_has_no_name() -> None:
    box = seal_label(some_keys(), BEARER, "anna")
    assert {open_label(some_keys(), BEARER, one) for one in (*flips(box), *truncations(box), b"")} == {None}


@pytest.mark.parametrize(
    "plain",
    [
        b"\4anna" + bytes(106),  # a byte short
        b"\4anna" + bytes(108),
        b"\4annab" + bytes(106),  # more than it says
        b"\0" + bytes(111),
        b"\xffanna" + bytes(107),
        b"\x65" + b"x" * 101 + bytes(10),  # longer than a name is
        b"\2a\n" + bytes(109),
        b"\1\xff" + bytes(110),
    ],
)
def test_a_box_that_a_member_filled_with_something_else_has_no_name(plain: bytes) -> None:
    box = some_keys().seal("label", b"label" + some_keys().space_id + BEARER, plain)
    assert open_label(some_keys(), BEARER, box) is None
    good = some_keys().seal("label", b"label" + some_keys().space_id + BEARER, b"\4anna" + bytes(107))
    assert open_label(some_keys(), BEARER, good) == "anna"


def test_stewards_see_no_names() -> None:
    box = seal_label(some_keys(), BEARER, "anna")
    ring = KeyRing(some_keys().space_id)
    ring.add(some_keys().current, some_keys().steward_secret(some_keys().current), 1)
    ring.use(some_keys().current)
    assert open_label(ring, BEARER, box) is None
    with pytest.raises(MembersOnly):
        seal_label(ring, BEARER, "anna")
