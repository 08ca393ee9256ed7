"""Retirements and leaves: what a key says of itself holds against all that it signs of another date (groups.md 2.4)."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.spaces.members.group import ADMIN, READER, WRITER, Group, cut, device
from tests.spaces.members.test_resolve import agree

Forge = Callable[[Group, str, bytes], object]  # what the old key signs, on some record


def devices(group: Group) -> set[str]:
    """Who is in, in whatever order the records came; the reference of the format says the same."""
    reads = [group.read(order=order) for order in itertools.islice(itertools.permutations(group.objects), 0, 60, 7)]
    assert all(read.state == reads[0].state for read in reads)
    assert group.read(order=reversed(list(group.objects))).state == reads[0].state
    agree(group, reads[0])
    labels = ("a1", "a2", "a3", "paperA", "paperB", "paperX", "b1", "b2", "b3", "w1", "x1")
    return {one for one in labels if device(one) in reads[0].state.devices}


def _adds_a_device(group: Group, key: str, on: bytes) -> None:
    added = group.device(key, on, new="a3", life="thief")
    group.revoke("a3", added, what="a2", life="thief")


def _adds_a_member(group: Group, key: str, on: bytes) -> None:
    added = group.add(key, on, name="X", role=ADMIN, life="thief")
    group.remove("x1", added, name="A", life="thief")


FORGED: list[Forge] = [
    lambda group, key, on: group.revoke(key, on, what="a2", life="thief"),
    lambda group, key, on: group.revoke(key, on, what="a2"),  # under the count that the retirement has
    lambda group, key, on: group.remove(key, on, name="A", life="thief"),
    lambda group, key, on: group.role(key, on, name="A", role=READER, life="thief"),
    lambda group, key, on: group.remove(key, on, name="B", life="thief"),
    _adds_a_device,
    _adds_a_member,
]


@pytest.mark.parametrize("forge", FORGED)
@pytest.mark.parametrize("key", ["paperA", "a1"])
def test_a_key_that_retired_does_nothing_more_of_any_date(group: Group, key: str, forge: Forge) -> None:
    second = group.device("a1", group.first, new="a2", life="before")
    before = group.add("a2", second, name="B", role=ADMIN)
    retired = group.revoke(key, before, what=key, at=cut(a1=3))
    new = (
        group.device("a2", retired, new="paperB")
        if key == "paperA"
        else group.label("a2", retired, of=device("a2"), box=b"")
    )
    group.add("a2", new, name="W", role=WRITER)
    honest = {"a1", "paperA", "a2", "b1", "w1"} - {key} | ({"paperB"} if key == "paperA" else set())
    assert devices(group) == honest
    forge(group, key, before)
    assert devices(group) == honest
    forge(group, key, second)
    assert devices(group) == honest


@pytest.mark.parametrize("later", ["revoke", "remove"])
def test_what_it_says_after_a_second_retirement_of_its_own_is_nothing_either(group: Group, later: str) -> None:
    second = group.device("a1", group.first, new="a2")
    retired = group.revoke("paperA", second, what="paperA")
    group.device("a2", retired, new="paperB")
    put_out = group.revoke("paperA", second, what="a2", life="thief")
    if later == "revoke":
        group.revoke("paperA", put_out, what="paperA", life="thief")
    else:
        group.remove("paperA", put_out, name="A", life="thief")
    assert devices(group) == {"a1", "a2", "paperB"}


@pytest.mark.parametrize("forge", FORGED[:3])
def test_it_holds_whenever_the_member_became_an_admin(group: Group, forge: Forge) -> None:
    """What the key signs of the time before has an older rank."""
    w = group.add("a1", group.first, name="W", role=WRITER, to=["b1"])
    more = group.device("b1", w, new="a2", life="before")
    b = group.add("a1", more, name="B", role=WRITER, to=["b3"], life="2")
    raised = group.role("a1", b, name="W", role=ADMIN, life="3")
    group.revoke("b1", raised, what="b1")
    forge(group, "b1", b)
    minted = group.device("b1", more, new="b2", life="mint")
    group.revoke("b2", minted, what="b1")
    assert devices(group) == {"a1", "paperA", "a2", "b3"}


def test_a_senior_puts_out_who_then_says_that_it_had_retired(group: Group) -> None:
    """Its cuts count for nothing, and whom it removed stays out."""
    w = group.add("a1", group.first, name="W", role=WRITER)
    second = group.device("a1", w, new="a2")
    removed = group.remove("a2", second, name="W")
    group.revoke("a1", removed, what="a2", at=cut(a2=3))
    group.revoke("a2", second, what="a2", at=cut(a2=99), life="thief")
    assert devices(group) == {"a1", "paperA"}
    assert group.read().state.gone[device("a2")] == cut(a2=3)


def test_a_second_retirement_undoes_whom_the_key_had_put_out_and_let_in(group: Group) -> None:
    """Which nobody can tell from what a thief has done: the threat model says so."""
    w = group.add("a1", group.first, name="W", role=WRITER)
    second = group.device("a1", w, new="a2")
    last = group.remove("a2", group.device("a2", second, new="a3"), name="W")
    group.revoke("a2", last, what="a2")
    assert devices(group) == {"a1", "paperA", "a3"}
    group.revoke("a2", second, what="a2", life="thief")
    assert devices(group) == {"a1", "paperA", "w1"}


@pytest.mark.parametrize("forge", FORGED[:6])
def test_who_left_does_nothing_more_of_any_date(group: Group, forge: Forge) -> None:
    b = group.add("a1", group.first, name="B", role=ADMIN)
    c = group.add("b1", b, name="C", role=WRITER, to=["a2"])
    left = group.remove("b1", c, name="B")
    group.add("a1", left, name="W", role=WRITER)
    forge(group, "b1", c)
    assert devices(group) == {"a1", "paperA", "a2", "w1"}


def test_a_member_does_not_leave_by_the_hand_of_a_thief_whom_a_senior_device_puts_out(group: Group) -> None:
    b = group.add("a1", group.first, name="B", role=ADMIN, to=["b1", "paperB"])
    second = group.device("b1", b, new="b2")
    group.remove("b2", second, name="B", life="thief")
    group.revoke("paperB", second, what="b2")
    assert devices(group) == {"a1", "paperA", "b1", "paperB"}


def test_a_leave_is_undone_by_the_same_key_and_then_that_device_is_out(group: Group) -> None:
    """Of what a key says at once, that which takes the least: else old words could put the whole member out."""
    b = group.add("a1", group.first, name="B", role=ADMIN, to=["b1", "paperB"])
    group.remove("b1", b, name="B")
    group.revoke("b1", b, what="b1", life="later")
    assert devices(group) == {"a1", "paperA", "paperB"}


# ---- keys of an old date ---------------------------------------------------------------------------------------------


def _leave(group: Group, key: str, on: bytes, name: str) -> None:
    """The key lets in another one of an old date, which leaves with the member."""
    group.remove("a3", group.device(key, on, new="a3", life="thief"), name=name, life="thief")


def test_who_was_put_out_lets_in_nobody_who_leaves_with_the_member(group: Group) -> None:
    b = group.add("a1", group.first, name="B", role=ADMIN)
    second = group.device("b1", b, new="b2")
    c = group.add("b1", second, name="W", role=WRITER)
    group.add("b1", group.revoke("b1", c, what="b2"), name="X", role=WRITER)
    _leave(group, "b2", second, "B")
    assert devices(group) == {"a1", "paperA", "b1", "w1", "x1"}


@pytest.mark.parametrize("key", ["paperA", "a1"])
def test_a_key_that_retired_lets_in_nobody_who_leaves_with_the_member(group: Group, key: str) -> None:
    second = group.device("a1", group.first, new="a2", life="before")
    w = group.add("a2", second, name="W", role=WRITER)
    group.add("a2", group.revoke(key, w, what=key), name="X", role=WRITER)
    _leave(group, key, group.first, "A")
    assert devices(group) == {"a1", "paperA", "a2", "w1", "x1"} - {key}


def test_a_key_that_retired_stays_quiet_while_another_thief_attacks_who_let_it_in(group: Group) -> None:
    """By rank alone the one would put out who put the other out, before its retirement is heard."""
    b = group.add("a1", group.first, name="B", role=ADMIN)
    b2 = group.device("b1", b, new="b2")
    a2 = group.device("a1", b, new="a2")
    both = group.accept("a1", b2, a2)
    retired = group.revoke("a2", both, what="a2")
    group.revoke("b1", retired, what="b2")
    assert devices(group) == {"a1", "paperA", "b1"}
    group.remove("b2", b2, name="A", life="thief")
    group.remove("a2", both, name="B", life="thief")
    assert devices(group) == {"a1", "paperA", "b1"}


def test_a_machine_that_retires_while_its_member_is_demoted_is_out(group: Group) -> None:
    b = group.add("a1", group.first, name="B", role=ADMIN)
    second = group.device("b1", b, new="b2")
    group.role("a1", second, name="B", role=READER)
    group.revoke("b1", second, what="b1")
    assert devices(group) == {"a1", "paperA", "b2"}


def _demoted(group: Group, by: str) -> bytes:
    b = group.add("a1", group.first, name="B", role=ADMIN)
    x = group.add("a1", group.device("b1", b, new="b2"), name="X", role=WRITER)
    w = group.add(by, group.remove(by, x, name="X"), name="W", role=ADMIN)
    group.role("a1", w, name="B", role=READER)
    return x


@pytest.mark.parametrize("by", ["b1", "b2"])
def test_who_was_demoted_takes_nothing_back_that_it_did_as_an_admin(group: Group, by: str) -> None:
    """By no retirement, no leave, and no revocation of a device that did it."""
    x = _demoted(group, by)
    assert devices(group) == {"a1", "paperA", "b1", "b2", "w1"}
    group.revoke("b1", x, what=by, life="thief")
    assert devices(group) == {"a1", "paperA", "b1", "b2", "w1"} - {by}
    group.remove("b1", x, name="B", life="thief")  # which its retirement hits
    assert devices(group) == ({"a1", "paperA", "b2", "w1"} if by == "b1" else {"a1", "paperA", "w1"})


def test_a_demotion_by_a_junior_hinders_no_retirement(group: Group) -> None:
    b = group.add("a1", group.first, name="B", role=ADMIN)
    x = group.add("a1", b, name="X", role=ADMIN)
    group.role("x1", group.add("b1", x, name="W", role=WRITER), name="B", role=READER)
    group.revoke("b1", x, what="b1", life="sold")
    assert devices(group) == {"a1", "paperA", "x1"}


def test_who_became_an_admin_later_does_not_undo_by_a_leave_of_an_old_date_what_a_removal_left(group: Group) -> None:
    """Its rank for what takes no admin is the older one."""
    b = group.add("a1", group.first, name="B", role=WRITER)
    w = group.add("a1", b, name="W", role=ADMIN)
    raised = group.role("a1", w, name="B", role=ADMIN)
    group.remove("w1", group.add("b1", raised, name="X", role=WRITER), name="B")
    group.remove("b1", raised, name="B", life="thief")
    assert devices(group) == {"a1", "paperA", "w1", "x1"}


# ---- seniority -----------------------------------------------------------------------------------------------------


def test_who_is_put_out_by_a_senior_makes_no_senior_paper_key_of_an_old_date(group: Group) -> None:
    b = group.add("a1", group.first, name="B", role=ADMIN)
    second = group.device("b1", b, new="b2")
    group.revoke("b1", second, what="b2")
    minted = group.device("b2", second, new="paperX", life="thief")
    group.revoke("paperX", minted, what="b1")
    assert devices(group) == {"a1", "paperA", "b1"}


def test_a_paper_key_that_came_later_is_junior_to_those_before_it_and_senior_to_those_after(group: Group) -> None:
    none = group.revoke("a1", group.first, what="paperA")
    new = group.device("a1", none, new="paperB")
    third = group.device("a1", new, new="a3")
    state = group.read(third).state
    assert state.members[group.member["A"]].devices == (device("a1"), device("paperB"), device("a3"))
    group.revoke("paperB", third, what="a3")
    group.revoke("a3", third, what="paperB")
    assert devices(group) == {"a1", "paperB"}
    group.revoke("paperB", third, what="a1", life="2")
    group.revoke("a1", third, what="paperB", life="2")
    assert devices(group) == {"a1", "a3"}


def test_among_the_devices_of_a_member_it_does_not_count_when_it_became_an_admin(group: Group) -> None:
    w = group.add("a1", group.first, name="W", role=WRITER)
    more = group.device("w1", w, new="b2")
    raised = group.role("a1", more, name="W", role=ADMIN)
    group.revoke("w1", raised, what="b2")
    group.revoke("b2", more, what="w1")
    assert devices(group) == {"a1", "paperA", "w1"}
