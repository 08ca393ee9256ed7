"""The worked examples of docs/spec/groups.md 2.6, by name."""

from __future__ import annotations

import pytest

from ropewalk.spaces.members import NO_CUT, Membership
from tests.spaces.members.group import ADMIN, READER, WRITER, Group, cut, device, writer


def struck(group: Group, membership: Membership) -> dict[bytes, bytes]:
    """What was struck, and by what."""
    return {one: why.by for one, why in membership.state.struck.items()}


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture
def b(group: Group) -> bytes:
    """B is an admin."""
    return group.add("a1", group.first, name="B", role=ADMIN)


def test_e1_of_two_admins_that_remove_each_other_the_senior_stands(group: Group, b: bytes) -> None:
    first = group.remove("a1", b, name="B")
    second = group.remove("b1", b, name="A")
    read = group.read()
    assert group.names(read) == "A admin"
    assert struck(group, read) == {second: first}
    assert read.state.struck[second].why == "removed"


def test_e2_what_one_did_while_being_removed_has_no_effect(group: Group, b: bytes) -> None:
    removal = group.remove("a1", b, name="B")
    carol = group.add("b1", b, name="C", role=WRITER)
    more = group.device("c1", carol, new="c2")
    read = group.read()
    assert group.names(read) == "A admin"
    assert struck(group, read) == {carol: removal}
    grounded = {record.hash: record.grounded for record in read.records}
    assert (grounded[carol], grounded[more], grounded[removal]) == (False, False, True)
    # Both were let in once: heads of theirs are to be kept from the join, and not to be taken for a stranger's.
    assert [read.state.gone[device(one)] for one in ("c1", "c2")] == [NO_CUT, NO_CUT]
    assert {device("c1"), device("c2")} <= set(read.devices)


def test_e3_of_two_roles_at_once_the_lower_one(group: Group, b: bytes) -> None:
    d = group.add("a1", b, name="D", role=WRITER)
    group.role("a1", d, name="D", role=ADMIN)
    group.role("b1", d, name="D", role=READER)
    assert group.names(group.read()) == "A admin, B admin, D reader"


def test_e4_a_junior_removes_a_senior_who_can_undo_it_by_saying_that_he_did_not_know(group: Group, b: bytes) -> None:
    first = group.remove("b1", b, name="A")
    assert group.names(group.read()) == "B admin"
    second = group.remove("a1", b, name="B")
    read = group.read()
    assert group.names(read) == "A admin"
    assert struck(group, read) == {first: second}


def test_e4_who_knows_that_he_was_removed_does_nothing_more(group: Group, b: bytes) -> None:
    first = group.remove("b1", b, name="A")
    group.remove("a1", first, name="B")
    assert group.names(group.read()) == "B admin"


def test_e5_a_paper_key_is_the_senior_of_its_member(group: Group) -> None:
    thief = group.revoke("a1", group.first, what="paperA")
    owner = group.revoke("paperA", group.first, what="a1")
    read = group.read()
    assert set(read.state.devices) == {device("paperA")}
    assert struck(group, read) == {thief: owner}
    assert read.state.struck[thief].why == "revoked"


def test_e6_nothing_comes_of_old_parents_for_who_was_removed(group: Group, b: bytes) -> None:
    d = group.add("a1", b, name="D", role=WRITER)
    removal = group.remove("a1", d, name="B")
    forged = [group.remove("b1", d, name="D"), group.add("b1", b, name="E", role=ADMIN, life="another")]
    read = group.read()
    assert group.names(read) == "A admin, D writer"
    assert struck(group, read) == dict.fromkeys(forged, removal)


def test_e7_in_a_ring_of_removals_the_most_senior_one_strikes_first(group: Group, b: bytes) -> None:
    c = group.add("a1", b, name="C", role=ADMIN)
    ab, bc = group.remove("a1", c, name="B"), group.remove("b1", c, name="C")
    ca = group.remove("c1", c, name="A")
    read = group.read()
    assert group.names(read) == "C admin"
    assert struck(group, read) == {bc: ab}
    assert {record.hash for record in read.records if record.grounded} >= {ab, ca}


def test_e8_a_device_that_comes_while_its_member_goes(group: Group) -> None:
    d = group.add("a1", group.first, name="D", role=WRITER)
    removal = group.remove("a1", d, name="D")
    more = group.device("d1", d, new="d2")
    read = group.read()
    assert group.names(read) == "A admin"
    assert struck(group, read) == {more: removal}
    assert {device("d1"), device("d2")} <= set(read.state.gone)


def test_e9_a_cut_says_up_to_where_heads_count(group: Group) -> None:
    d = group.add("a1", group.first, name="D", role=WRITER)
    group.remove("a1", d, name="D", at=cut(d1=7))
    state = group.read().state
    assert state.gone[device("d1")] == cut(d1=7)
    assert state.gone[device("d1")].heads.get(writer("other")) is None
    assert not state.may_write(device("d1"))


def test_e10_two_epochs_at_once_both_stand_and_the_next_one_follows_both(group: Group, b: bytes) -> None:
    x = group.add("a1", b, name="X", role=WRITER)
    y = group.add("a1", x, name="Y", role=WRITER)
    one = group.remove("a1", y, name="X")
    other = group.remove("b1", y, name="Y")
    first = group.epoch("a1", one, number=2, to=["a1", "b1", "y1"])
    second = group.epoch("b1", other, number=2, to=["a1", "b1", "x1"])
    read = group.read()
    assert group.names(read) == "A admin, B admin"
    assert {epoch.hash for epoch in read.epochs.tops} == {first, second}
    assert read.epochs.exposed(read.epochs.known[first]) == {device("y1")}
    third = group.epoch("a1", first, second, number=3, to=["a1", "b1"])
    read = group.read()
    assert (read.epoch_id, read.epoch) == (third, 3)
    assert read.frontier == [third]


def test_e11_a_paper_key_that_retires_takes_what_it_signs_of_old_dates_with_it(group: Group) -> None:
    retired = group.revoke("paperA", group.first, what="paperA")
    group.device("a1", retired, new="paperA2")
    thief = group.revoke("paperA", group.first, what="a1", life="thief")
    more = group.device("paperA", group.first, new="a2", life="thief")
    by_it = group.remove("a2", more, name="A")
    read = group.read()
    assert set(read.state.devices) == {device("a1"), device("paperA2")}
    assert struck(group, read) == {thief: retired, more: retired}
    assert not next(record for record in read.records if record.hash == by_it).grounded


def test_e11_nothing_that_the_key_signs_undoes_its_retirement(group: Group) -> None:
    retired = group.revoke("paperA", group.first, what="paperA")
    group.device("a1", retired, new="paperA2")
    again = group.revoke("paperA", group.first, what="paperA", life="thief")
    group.remove("paperA", again, name="A", life="thief")
    group.remove("paperA", group.first, name="A", life="thief too")
    assert set(group.read().state.devices) == {device("a1"), device("paperA2")}


def test_e11_a_second_retirement_takes_back_what_the_key_itself_had_done(group: Group) -> None:
    """What nobody can tell from what a thief has done: a limit, that the threat model names."""
    a2 = group.device("paperA", group.first, new="a2")
    lost = group.revoke("paperA", a2, what="a1")
    group.revoke("paperA", lost, what="paperA")
    assert set(group.read().state.devices) == {device("a2")}
    group.revoke("paperA", group.first, what="paperA", life="thief")
    assert set(group.read().state.devices) == {device("a1")}


def test_e11_a_machine_retires_before_it_is_sold(group: Group, b: bytes) -> None:
    more = group.device("b1", b, new="b2")
    retired = group.revoke("b1", more, what="b1")
    thief = group.revoke("b1", more, what="b2", life="thief")
    read = group.read()
    assert set(read.state.devices) == {device("a1"), device("paperA"), device("b2")}
    assert struck(group, read) == {thief: retired}


def test_e11_a_retirement_that_a_senior_strikes_strikes_nothing(group: Group, b: bytes) -> None:
    paper = group.device("b1", b, new="paperB")
    d = group.add("a1", paper, name="D", role=WRITER)
    removal = group.remove("paperB", d, name="D")
    out = group.remove("a1", removal, name="B")
    retired = group.revoke("paperB", paper, what="paperB", life="thief")
    read = group.read()
    assert group.names(read) == "A admin"
    assert struck(group, read) == {retired: out}


def test_e11_a_retirement_is_free_once_what_struck_it_is_struck(group: Group, b: bytes) -> None:
    paper = group.device("b1", b, new="paperB")
    c = group.add("a1", paper, name="C", role=ADMIN)
    early = group.remove("paperB", c, name="C", life="thief")  # the first in order, of one rank
    ab = group.remove("a1", c, name="B")
    own = group.revoke("paperA", c, what="a1")
    retired = group.revoke("paperB", group.add("c1", c, name="X", role=WRITER), what="paperB")
    read = group.read()
    assert group.names(read) == "A admin, B admin, C admin, X writer"
    assert struck(group, read) == {ab: own, early: retired}
