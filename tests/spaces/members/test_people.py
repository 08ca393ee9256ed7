"""People: members and devices by their names, those that are gone too, and never one for another."""

from __future__ import annotations

import pytest

from ropewalk.spaces.members import (
    NO_CUT,
    Names,
    NoSuchPerson,
    Person,
    Role,
    find_person,
    machines_called,
    people,
    seal_label,
)
from tests.spaces.club import ADMIN, READER, WRITER, Club, device

ALL = {"B": ("bob", ADMIN), "C": ("carl", READER), "D": ("dora", WRITER)}


@pytest.fixture
def club() -> Club:
    """Of the admins A, who has no name, and bob, and of carl and dora."""
    club = Club()
    for name, (called, role) in ALL.items():
        club.add(name, role)
        call(club, club.member[name], called)
    return club


def call(club: Club, bearer: bytes, name: str, by: str = "a1") -> None:
    club.put(club.author(by).label(bearer, seal_label(club.ring(by), bearer, name)))


def seen(club: Club, by: str = "a1") -> list[Person]:
    return people(club.read(), club.ring(by), device(by))


def test_all_are_there_the_most_senior_first(club: Club) -> None:
    known = seen(club)
    assert [(one.name, one.role) for one in known] == [
        (None, ADMIN),
        ("bob", ADMIN),
        ("carl", READER),
        ("dora", WRITER),
    ]
    assert [one.ours for one in known] == [True, False, False, False]
    assert [(one.paper, one.ours, one.called) for one in known[0].machines] == [
        (True, False, "paper key"),
        (False, True, f"device {device('a1').hex()[:8]}"),
    ]
    assert known[0].called == f"member {club.member['A'].hex()[:8]}"
    assert [one.ours for one in seen(club, "c1")] == [False, False, True, False], "it depends on who looks"


def test_a_name_or_digits_find_one(club: Club) -> None:
    known = seen(club)
    for who in ("bob", club.member["B"].hex(), club.member["B"].hex()[:8], club.member["B"].hex()[:6].upper()):
        assert find_person(known, who).id == club.member["B"]
    assert find_person(known, known[0].called).ours
    assert [one.ours for one in machines_called(known[0].machines, device("a1").hex()[:8])] == [True]
    assert [one.paper for one in machines_called(known[0].machines, "paper key")] == [True]


def test_nobody_is_found_by_too_little(club: Club) -> None:
    known = seen(club)
    for who in ("", "b", "bo", "Bob", "bob ", club.member["B"].hex()[:3], "eve"):
        with pytest.raises(NoSuchPerson, match=r"no member is called.*bob, carl, dora"):
            find_person(known, who)
    assert machines_called(known[0].machines, "laptop") == []


def test_of_two_of_one_name_none_is_meant(club: Club) -> None:
    call(club, club.member["C"], "bob")
    known = seen(club)
    with pytest.raises(NoSuchPerson) as refused:
        find_person(known, "bob")
    for name in ("B", "C"):
        digits = club.member[name].hex()[:8]
        assert digits in str(refused.value)
        assert find_person(known, digits).id == club.member[name]


def test_who_takes_the_digits_of_another_for_a_name_is_not_found_by_them(club: Club) -> None:
    digits = club.member["B"].hex()[:8]
    call(club, club.member["C"], digits)
    with pytest.raises(NoSuchPerson, match="2 members"):
        find_person(seen(club), digits)
    assert find_person(seen(club), club.member["B"].hex()[:9]).id == club.member["B"]


def test_who_is_gone_keeps_the_name(club: Club) -> None:
    call(club, device("b1"), "laptop", by="b1")
    club.put(club.author("a1").remove(club.member["B"], NO_CUT))
    club.rotate()
    assert [one.name for one in seen(club)] == [None, "carl", "dora"]
    names = Names(club.read(), club.ring("a1"))
    assert names.member(club.member["B"]) == "bob"
    assert names.device(device("b1")) == "laptop"
    assert names.whose(device("b1")) == "bob (laptop)"
    assert names.whose(device("paperA")) == "paper key"
    assert names.member(b"?" * 16) == f"member {b'?'.hex() * 4}"
    assert names.whose(b"?" * 16) == f"device {b'?'.hex() * 4}"


def test_nobody_names_others_who_may_not(club: Club) -> None:
    for bearer in (club.member["B"], device("b1")):
        with pytest.raises(Exception, match="would have no effect"):
            call(club, bearer, "fool", by="c1")
    call(club, club.member["C"], "karl", by="c1")
    assert [one.name for one in seen(club)][2] == "karl"


def test_a_name_that_was_given_before_a_new_epoch_is_read_by_who_came_after_it(club: Club) -> None:
    club.rotate()
    club.add("E", Role.WRITER)
    assert [one.name for one in seen(club, "e1")][1:4] == ["bob", "carl", "dora"]
