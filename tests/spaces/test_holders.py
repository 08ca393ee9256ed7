"""Holders: whose keys open a space, for a family, for one person alone, and after words were replaced."""

from __future__ import annotations

from ropewalk.spaces.holders import Written, holders, paper_note
from ropewalk.spaces.identity import PAPER
from ropewalk.spaces.members import NO_CUT, Membership, Names, seal_label
from ropewalk.spaces.members.wraps import deliver
from ropewalk.spaces.promise import KeyHolder
from tests.spaces.club import ADMIN, READER, STEWARD, WRITER, Club, device, keys

SHOWN = Written(device("paperA"), "2026-01-02")
HERE = {"machine": "here"}
THIS = KeyHolder("this device", HERE)


def found(club: Club, mine: str = "a1", written: Written = SHOWN) -> list[KeyHolder]:
    membership = club.read()
    return holders(membership, Names(membership, club.ring("a1")), device(mine), written)


def named(club: Club, mine: str = "a1", written: Written = SHOWN) -> list[str]:
    return [one.name for one in found(club, mine, written)]


def note(club: Club, mine: str = "a1", written: Written = SHOWN) -> str:
    return paper_note(club.read(), device(mine), written)


def call(club: Club, bearer: bytes, name: str) -> None:
    """An admin names a member or a device."""
    club.put(club.author("a1").label(bearer, seal_label(club.ring("a1"), bearer, name)))


def more(club: Club, label: str, by: str = "a1", *, wrapped: bool = True) -> None:
    """One more device, or paper key, of the member whose device says so."""
    read: Membership = club.read()
    wraps = [deliver(read.epochs, club.ring(by), keys(label).public(), ADMIN)] if wrapped else []
    agreed = club.agreed(read.state.devices[device(by)], 0, label)
    club.put(club.author(by).device(keys(label).public(), b"", wraps, consents=agreed))


def test_one_person_with_words_on_paper_has_two_copies() -> None:
    assert found(Club()) == [THIS, KeyHolder("your paper key", {}, "shown on 2026-01-02")]
    assert note(Club()) == ""


def test_one_person_without_words_has_one_and_is_told() -> None:
    club = Club()
    club.put(club.author("a1").revoke(device("paperA"), NO_CUT))
    assert found(club) == [THIS]
    assert note(club) == "no words on paper of yours open this space; `ropewalk recovery paper` makes some that do"


def test_a_family_of_three_has_the_copies_of_all() -> None:
    club = Club()
    club.add("B", WRITER, "b1", "paperB")
    club.add("C", READER, "c1")
    for member, label, name, machine in (("B", "b1", "bob", "laptop"), ("C", "c1", "carol", "phone")):
        call(club, club.member[member], name)
        call(club, device(label), machine)
    assert found(club) == [
        THIS,
        KeyHolder("your paper key", {}, "shown on 2026-01-02"),
        KeyHolder("bob (laptop)", {"machine": "of bob (laptop)"}),
        KeyHolder("bob (paper key)"),
        KeyHolder("carol (phone)", {"machine": "of carol (phone)"}, "", writes=False),
    ]
    assert named(club, "c1", Written()) == [
        "this device",
        f"device {device('a1').hex()[:8]}",
        "paper key",
        "bob (laptop)",
        "bob (paper key)",
    ]


def test_words_that_another_machine_replaced_are_not_those_shown_here() -> None:
    club = Club()
    more(club, "a2")
    club.put(club.author("a2").revoke(device("paperA"), NO_CUT))
    more(club, "paperNew", by="a2")
    assert KeyHolder("your paper key") in found(club)
    assert note(club) == (
        "the words that were shown on this machine on 2026-01-02 do not open this space:"
        " your paper key for it was written down elsewhere"
    )
    assert note(club, "a2", Written(device("paperNew"), "2026-02-03")) == ""


def test_a_machine_that_came_later_has_words_that_open_nothing_here() -> None:
    club = Club()
    more(club, "a2")
    own = Written(device("paperOther"), "2026-03-04")
    assert [one.said for one in found(club, "a2", own)] == ["", "", ""]
    assert sorted(named(club, "a2", own)) == sorted(
        ["this device", "your paper key", f"your device {device('a1').hex()[:8]}"]
    )
    assert "shown on this machine on 2026-03-04 do not open this space" in note(club, "a2", own)
    assert "the words of this machine do not open this space" in note(club, "a2", Written(device("paperOther"), ""))


def test_a_machine_that_works_with_the_paper_key_is_a_copy_besides_the_paper() -> None:
    assert keys("paperA").kind == PAPER
    assert found(Club(), "paperA", SHOWN)[:2] == [
        THIS,
        KeyHolder("your paper key", {}, "which this machine works with"),
    ]
    assert note(Club(), "paperA", Written()) == ""


def test_who_waits_for_the_newest_keys_or_was_put_out_is_no_copy() -> None:
    club = Club()
    more(club, "a2", wrapped=False)
    club.add("B", WRITER, "b1")
    assert len(named(club)) == 3
    club.put(club.author("a1").remove(club.member["B"], NO_CUT))
    assert named(club) == ["this device", "your paper key"]


def test_stewards_open_nothing() -> None:
    club = Club()
    club.add("S", STEWARD, "s1")
    assert named(club) == ["this device", "your paper key"]


def test_devices_that_are_called_alike_are_told_apart() -> None:
    club = Club()
    for label in ("a2", "a3"):
        more(club, label)
        call(club, device(label), "laptop")
    names = named(club)
    assert len(set(names)) == len(names) == 4
    assert sum(one.startswith("your laptop") for one in names) == 2


def test_who_may_write_follows_the_role_of_today() -> None:
    club = Club()
    club.add("B", READER, "b1")
    assert [one.writes for one in found(club)] == [True, True, False]
    club.put(club.author("a1").role(club.member["B"], WRITER))
    assert [one.writes for one in found(club)] == [True, True, True]
