"""Rules of docs/spec/groups.md 1 and 2, one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from ropewalk.spaces.members import NO_CUT, Membership, Policy, RecordsMissing, Role
from ropewalk.spaces.members.operations import (
    Content,
    Deliver,
    Prove,
    SetLevel,
    SetPolicy,
)
from ropewalk.spaces.members.records import object_hash
from tests.spaces.members.group import ADMIN, READER, WRITER, Group, cut, device


def grounded(group: Group, record: bytes) -> bool:
    """Whether it stands, with nothing but what it had seen."""
    found = {one.hash: one.grounded for one in group.read(record).records}
    return found[record]


ROLES = ["b1", "w1", "r1", "s1"]
EVERYBODY: list[tuple[Callable[[Group, str, bytes], bytes], list[str]]] = [
    (lambda group, by, on: group.add(by, on, name="X", role=WRITER), ["b1"]),
    (lambda group, by, on: group.remove(by, on, name="W"), ["b1", "w1"]),
    (lambda group, by, on: group.role(by, on, name="W", role=READER), ["b1"]),
    (lambda group, by, on: group.device(by, on, new="d"), ROLES),
    (lambda group, by, on: group.revoke(by, on, what="r1"), ["b1", "r1"]),
    (lambda group, by, on: group.write(by, on, says=SetPolicy(Policy(2, 5, 4, {}), [1, 1], 1)), ["b1"]),
    (lambda group, by, on: group.write(by, on, says=SetLevel(3)), ["b1"]),
    (lambda group, by, on: group.accept(by, on, at=cut(w1=3)), ["b1"]),
    (lambda group, by, on: group.deliver(by, on, epoch=group.first, to="w1"), ROLES),
    (lambda group, by, on: group.write(by, on, says=Prove(b"", NO_CUT.packed())), ROLES),
    (lambda group, by, on: group.epoch(by, on, number=2), ["b1"]),
    (lambda group, by, on: group.label(by, on, of=group.member["W"], box=b"w"), ["b1", "w1"]),
    (lambda group, by, on: group.label(by, on, of=device("s1"), box=b"s"), ["b1", "s1"]),
]


@pytest.mark.parametrize(("write", "may"), EVERYBODY)
def test_each_kind_takes_its_role(
    group: Group, all_of_them: bytes, write: Callable[[Group, str, bytes], bytes], may: list[str]
) -> None:
    assert [by for by in ROLES if grounded(group, write(group, by, all_of_them))] == may


def test_a_stranger_and_a_device_that_left_do_nothing(group: Group, all_of_them: bytes) -> None:
    left = group.remove("a1", all_of_them, name="W")
    assert not grounded(group, group.device("w1", left, new="d"))
    record = group.write("nobody", all_of_them, says=SetLevel(3))
    assert record not in {one.hash for one in group.read().records}


def test_a_device_of_a_member_that_left_can_come_back_as_one_of_a_new_member(group: Group, all_of_them: bytes) -> None:
    left = group.remove("a1", all_of_them, name="W", at=cut(w1=4))
    assert not grounded(group, group.add("a1", left, name="W", role=WRITER, life="same nonce"))
    assert set(group.read(left).state.gone) == {device("w1")}
    back = group.add("a1", left, name="again", role=WRITER, to=["w1"])
    state = group.read(back).state
    assert state.devices[device("w1")] == group.member["again"]
    assert device("w1") not in state.gone


def test_a_revoked_device_stays_out_of_its_member(group: Group, all_of_them: bytes) -> None:
    more = group.device("w1", all_of_them, new="w2")
    gone = group.revoke("w1", more, what="w2", at=cut(w2=2))
    assert group.read(gone).state.gone == {device("w2"): cut(w2=2)}
    assert not grounded(group, group.device("w1", gone, new="w2"))
    assert not grounded(group, group.revoke("a1", gone, what="w2"))


def test_keys_that_are_active_come_in_nowhere_else(group: Group, all_of_them: bytes) -> None:
    assert not grounded(group, group.device("b1", all_of_them, new="w1"))
    assert not grounded(group, group.add("b1", all_of_them, name="X", role=ADMIN, to=["x1", "w1"]))


def test_a_device_of_two_members_is_of_the_one_with_the_higher_role(group: Group, all_of_them: bytes) -> None:
    low = group.add("a1", all_of_them, name="L", role=READER, to=["x"])
    high = group.add("b1", all_of_them, name="H", role=WRITER, to=["x"])
    assert group.read(low, high).state.devices[device("x")] == group.member["H"]
    gone = group.remove("a1", low, high, name="H")
    assert group.read(gone).state.devices[device("x")] == group.member["L"]


def test_one_paper_key_and_32_devices_at_a_time(group: Group) -> None:
    assert not grounded(group, group.device("a1", group.first, new="paper2"))
    last = group.revoke("a1", group.first, what="paperA")
    last = group.device("a1", last, new="paper2")
    assert grounded(group, last)
    for number in range(30):
        last = group.device("a1", last, new=f"a1 {number}")
    assert grounded(group, last)
    full = group.device("a1", last, new="one too many")
    assert not grounded(group, full)
    assert grounded(group, group.device("a1", group.revoke("a1", last, what="paper2"), new="one in its place"))


def test_256_devices_ever(group: Group) -> None:
    last = added = group.first
    group.past = lambda *of: {*of}  # type: ignore[method-assign]  # a chain: the last count stands in the last record
    for number in range(256):
        added = group.device("a1", last, new=f"a1 {number}")
        last = group.revoke("a1", added, what=f"a1 {number}")
    more = group.device("a1", last, new="one too many")
    standing = {one.hash for one in group.read().records if one.grounded}
    assert added in standing
    assert more not in standing


def test_a_space_of_level_1_knows_no_operation_before_its_level(group: Group) -> None:
    old = Group(feature=1)
    assert not grounded(old, old.add("a1", old.first, name="B", role=ADMIN))
    level = old.write("a1", old.first, says=SetLevel(2))
    assert grounded(old, old.add("a1", level, name="B", role=ADMIN))
    assert (old.read(level).feature, old.read(level).read_only) == (2, False)
    assert not grounded(old, old.write("a1", level, says=SetLevel(2)))
    higher = old.write("a1", level, says=SetLevel(3))
    assert (old.read(higher).feature, old.read(higher).read_only) == (3, True)


def test_an_epochs_number_is_one_more_than_the_greatest_before_it(group: Group) -> None:
    for number in (1, 3, 2**63):
        assert not grounded(group, group.epoch("a1", group.first, number=number))
    assert grounded(group, group.epoch("a1", group.first, number=2))


# ---- policy, privacy, level ----------------------------------------------------------------------------------------


def test_of_two_policies_at_once_the_senior_s(group: Group, all_of_them: bytes) -> None:
    junior = group.write("b1", all_of_them, says=SetPolicy(Policy(1, 5, 4, {}), [1, 1], 2))
    senior = group.write("a1", all_of_them, says=SetPolicy(Policy(3, 5, 4, {}), [0, 1], 1))
    read = group.read(junior, senior)
    assert (read.policy.k, read.lying, read.privacy) == (3, 0, 2)
    assert (group.read(junior).policy.k, group.read(junior).lying) == (1, 1)
    later = group.write("b1", junior, senior, says=SetPolicy(Policy(1, 5, 4, {}), [1, 1], 2))
    assert group.read(later).policy.k == 1
    assert not grounded(group, group.write("a1", later, says=SetPolicy(Policy(1, 5, 4, {}), [1, 1], 1)))


def test_of_two_policies_of_one_author_the_greater_hash(group: Group) -> None:
    one, other = (
        group.write("a1", group.first, says=SetPolicy(Policy(k, 5, 4, {}), [0, 1], 1), life=str(k)) for k in (1, 2)
    )
    assert group.read(one, other).policy.k == (1 if one > other else 2)


# ---- labels --------------------------------------------------------------------------------------------------------


def named(group: Group, *which: bytes) -> dict[str, bytes]:
    """The names of members and devices, of those that have any."""
    state = group.read(*which).state
    bearers = {name: state.members[one].label for name, one in group.member.items() if one in state.members}
    bearers |= {one: state.labels[device(one)] for one in ("a1", "b1", "w1", "w2") if device(one) in state.labels}
    return {name: box for name, box in bearers.items() if box}


def test_names_come_with_who_comes_in_and_can_be_changed(group: Group, all_of_them: bytes) -> None:
    came = {"B": b"B", "W": b"W", "R": b"R", "S": b"S"}
    assert named(group) == came
    assert set(group.read().state.labels) == set(group.read().state.devices)
    second = group.device("w1", all_of_them, new="w2")
    assert named(group) == came | {"w2": b"w2"}
    last = group.label("w1", second, of=device("w2"), box=b"phone")
    last = group.label("w2", last, of=device("w1"), box=b"laptop")
    last = group.label("w1", last, of=group.member["W"], box=b"Walter")
    first = group.label("a1", last, of=group.member["A"], box=b"Anna")
    assert named(group, first) == came | {"w1": b"laptop", "w2": b"phone", "W": b"Walter", "A": b"Anna"}
    assert named(group, group.label("w1", first, of=device("w2"), box=b"")).get("w2") is None
    assert device("w2") not in group.read(group.revoke("w1", first, what="w2")).state.labels


def test_of_two_names_at_once_the_seniors_and_of_one_author_that_of_greater_hash(
    group: Group, all_of_them: bytes
) -> None:
    own = group.label("w1", all_of_them, of=device("w1"), box=b"own")
    junior = group.label("b1", all_of_them, of=device("w1"), box=b"junior")
    senior = group.label("a1", all_of_them, of=device("w1"), box=b"senior")
    assert named(group, own, junior)["w1"] == b"junior"
    assert named(group, own, junior, senior)["w1"] == b"senior"
    again = group.label("w1", own, junior, senior, of=device("w1"), box=b"again")
    assert named(group, again)["w1"] == b"again"
    boxes = [b"1", b"2", b"3"]
    tries = [group.label("w1", again, of=device("w1"), box=box, life=box.decode()) for box in boxes]
    assert named(group, *tries)["w1"] == boxes[tries.index(max(tries))]


def test_who_is_not_there_gets_no_name(group: Group, all_of_them: bytes) -> None:
    left = group.remove("a1", all_of_them, name="W")
    for bearer in (group.member["W"], device("w1"), bytes(16)):
        assert not grounded(group, group.label("a1", left, of=bearer, box=b"x"))
    assert not grounded(group, group.label("r1", all_of_them, of=group.member["W"], box=b"x"))


def test_a_demotion_leaves_the_name_that_one_gave_oneself(group: Group, all_of_them: bytes) -> None:
    own = group.label("b1", all_of_them, of=device("b1"), box=b"own")
    other = group.label("b1", own, of=device("w1"), box=b"other")
    lower = group.role("a1", all_of_them, name="B", role=WRITER)
    assert named(group, other, lower).items() >= {"b1": b"own"}.items()
    assert "w1" not in named(group, other, lower)


# ---- seniority, takings --------------------------------------------------------------------------------------------


def test_who_is_demoted_keeps_what_the_lower_role_may(group: Group, all_of_them: bytes) -> None:
    lower = group.role("a1", all_of_them, name="B", role=WRITER)
    kept = group.device("b1", all_of_them, new="b2")
    lost = group.add("b1", kept, name="X", role=WRITER)
    read = group.read(lower, lost)
    assert {one: why.why for one, why in read.state.struck.items()} == {lost: "demoted"}
    assert read.state.role_of(device("b2")) is WRITER


def test_a_promotion_strikes_nothing(group: Group, all_of_them: bytes) -> None:
    higher = group.role("a1", all_of_them, name="B", role=ADMIN)
    added = group.add("b1", all_of_them, name="X", role=WRITER)
    assert not group.read(higher, added).state.struck


def test_who_became_an_admin_later_is_junior(group: Group, all_of_them: bytes) -> None:
    c = group.add("a1", all_of_them, name="C", role=ADMIN)
    raised = group.role("a1", c, name="W", role=ADMIN)  # W came before C, and was no admin
    again = group.role("c1", raised, name="B", role=ADMIN)  # who is one: that takes nothing from B's seniority
    first, second = group.remove("c1", again, name="W"), group.remove("w1", again, name="C")
    assert set(group.read(first, second).state.struck) == {second}
    first, second = group.remove("b1", again, name="C", life="2"), group.remove("c1", again, name="B", life="2")
    assert set(group.read(first, second).state.struck) == {second}


def test_a_junior_does_not_become_the_elder_by_demoting_and_promoting(group: Group, all_of_them: bytes) -> None:
    lower = group.role("b1", all_of_them, name="A", role=WRITER)
    raised = group.role("b1", lower, name="A", role=ADMIN)
    undone = group.remove("a1", all_of_them, name="B")
    read = group.read(raised, undone)
    assert set(read.state.struck) == {lower, raised}
    assert group.member["B"] not in read.state.members


def test_one_device_does_not_strike_its_own_takings(group: Group, all_of_them: bytes) -> None:
    one = group.remove("b1", all_of_them, name="W", life="one")
    other = group.remove("b1", all_of_them, name="R", life="other")
    read = group.read(one, other)
    assert not read.state.struck
    assert group.names(read) == "A admin, B admin, S steward"


def test_revoking_a_device_leaves_what_the_others_of_its_member_signed(group: Group, all_of_them: bytes) -> None:
    more = group.device("b1", all_of_them, new="b2")
    gone = group.revoke("a1", more, what="b1")
    kept, lost = group.add("b2", more, name="X", role=WRITER), group.add("b1", more, name="Y", role=WRITER)
    assert set(group.read(gone, kept, lost).state.struck) == {lost}


def test_members_stand_by_seniority(group: Group, all_of_them: bytes) -> None:
    state = group.read(group.role("a1", all_of_them, name="W", role=ADMIN)).state
    ranks = {name: state.members[one].rank for name, one in group.member.items()}
    assert ranks == {"A": 0, "B": 1, "R": 2, "S": 3, "W": 4}
    assert state.members[group.member["A"]].devices == (device("paperA"), device("a1"))
    assert state.members[group.member["B"]].added_by == device("a1")
    assert [one.id for one in state.admins()] == [group.member[name] for name in "ABW"]


# ---- what counts at all --------------------------------------------------------------------------------------------


def test_counts_have_no_gaps_and_come_once_in_a_line(group: Group) -> None:
    def counts(record: bytes) -> bool:
        return record in {one.hash for one in group.read().records}

    one = group.write("a1", group.first, says=SetLevel(3))
    assert counts(group.write("a1", one, says=SetLevel(4)))
    assert not counts(group.write("a1", one, says=SetLevel(5), count=3))
    assert not counts(group.write("a1", one, says=SetLevel(5), count=1))
    assert not counts(group.write("a1", group.first, says=SetLevel(5), count=2))
    assert counts(group.write("a1", one, says=SetLevel(5), life="another"))
    assert not group.read().doubled
    twice = group.write("a1", group.first, says=SetLevel(5), count=1)
    assert counts(twice)
    assert group.read().doubled == [(min(one, twice), max(one, twice))]


def test_a_record_waits_for_its_parents(group: Group) -> None:
    one = group.add("a1", group.first, name="B", role=ADMIN)
    two = group.add("b1", one, name="C", role=ADMIN)
    objects = [data for name, data in group.objects.items() if name != one]
    read = Membership.read(group.space_id, objects, verified={object_hash(data) for data in objects})
    assert not read.knows([two])
    assert read.frontier == [group.first]
    with pytest.raises(RecordsMissing):
        read.at([two])
    assert group.read().knows([one, two, group.genesis])


def test_of_two_objects_of_one_record_a_good_one_is_enough(group: Group) -> None:
    one = group.add("a1", group.first, name="B", role=ADMIN)
    verified = {object_hash(data) for data in group.objects.values()}
    forged = [group.objects[one][:-2] + bytes([0xC4, 1]) + bytes([number]) for number in range(20)]
    read = Membership.read(group.space_id, [*forged, *group.objects.values(), *forged], verified=verified)
    assert group.names(read) == "A admin, B admin"
    read = Membership.read(
        group.space_id, [*forged, *(group.objects[o] for o in (group.genesis, group.first))], verified=verified
    )
    assert group.names(read) == "A admin"


def test_an_unknown_kind_by_an_admin_makes_the_space_read_only(group: Group, all_of_them: bytes) -> None:
    def read_only(author: str, on: bytes) -> bool:
        return group.read(group.write(author, on, says=UNKNOWN, kind=13)).read_only

    assert read_only("b1", all_of_them)
    assert [by for by in ("w1", "r1", "s1") if read_only(by, all_of_them)] == []
    assert not read_only("b1", group.remove("a1", all_of_them, name="B"))
    record = group.write("b1", all_of_them, says=UNKNOWN, kind=13, life="two")
    lower = group.role("a1", all_of_them, name="B", role=WRITER)
    assert set(group.read(record, lower).state.struck) == {record}
    assert not group.read(record, lower).read_only


UNKNOWN: Content = Deliver([])  # what it says does not matter


def test_a_frontier_is_judged_by_what_it_had_seen(group: Group, all_of_them: bytes) -> None:
    gone = group.remove("a1", all_of_them, name="W")
    group.remove("b1", all_of_them, name="A")
    read = group.read()
    assert group.names(read) == "A admin, B admin, R reader, S steward".replace("A admin, ", "")
    before = read.at([all_of_them])
    assert before.may_write(device("w1"))
    assert before.role_of(device("r1")) is READER
    assert not before.may_write(device("r1"))
    assert not read.at([gone]).may_write(device("w1"))
    assert read.at([gone]) is read.at([gone])
    assert read.unseen([gone], [all_of_them]) == [gone]
    assert read.unseen([all_of_them], [gone]) == []


def test_what_was_struck_is_not_missed(group: Group) -> None:
    b = group.add("a1", group.first, name="B", role=ADMIN)
    lost = group.add("b1", b, name="C", role=WRITER)
    gone = group.remove("a1", b, name="B")
    assert group.read().frontier == [gone]
    assert group.read().unseen([lost], [gone]) == []
    assert group.read(lost).frontier == [lost]


# ---- what only a closer look tells apart ---------------------------------------------------------------------------


@pytest.mark.parametrize("given", [*itertools.permutations([ADMIN, WRITER, READER])])
def test_of_any_roles_at_once_the_lowest(group: Group, given: tuple[Role, ...]) -> None:
    d = group.add("a1", group.first, name="D", role=WRITER)
    tops = [d, *(group.write("a1", d, says=Deliver([]), life=f"{number}") for number in range(2))]
    for number, role in enumerate(given):
        group.role("a1", tops[number], name="D", role=role, life=f"role {number}")
    state = group.read().state
    assert state.members[group.member["D"]].role is READER


def test_of_two_devices_of_one_member_the_elder(group: Group) -> None:
    last = group.first
    for number in range(2, 8):
        last = group.device("a1", last, new=f"a{number}")
    first, second = group.revoke("a3", last, what="a6"), group.revoke("a6", last, what="a3")
    assert set(group.read(first, second).state.struck) == {second}
    more = group.add("a1", last, name="B", role=ADMIN, to=["b9", "b2"])
    first, second = group.revoke("b9", more, what="b2"), group.revoke("b2", more, what="b9")
    assert set(group.read(first, second).state.struck) == {second}


def test_a_demotion_leaves_what_came_after_it(group: Group, all_of_them: bytes) -> None:
    lower = group.role("a1", all_of_them, name="B", role=READER)
    again = group.role("a1", lower, name="B", role=ADMIN)
    assert grounded(group, group.add("b1", again, name="X", role=WRITER))


def test_after_each_round_the_most_senior_comes_first_again(group: Group) -> None:
    last = group.first
    for name in ("B", "C", "Y", "X"):
        last = group.add("a1", last, name=name, role=ADMIN)
    removal = group.remove("y1", last, name="X")
    revived = group.add("x1", removal, name="Z", role=WRITER)  # ungrounded, until what removed X is struck
    first, second, third = (group.remove(f"{one}1", last, name=name) for one, name in ("aX", "bY", "cX"))
    state = group.read().state
    assert {one: why.by for one, why in state.struck.items()} == {removal: second, revived: first}
    assert third not in state.struck


def test_what_was_struck_when_a_head_was_signed_is_not_missed_though_it_stands_by_now(group: Group) -> None:
    b = group.add("a1", group.first, name="B", role=ADMIN)
    added = group.add("a1", b, name="C", role=WRITER)
    removal = group.remove("b1", b, name="A")
    assert group.read().unseen([added], [removal]) == []
    group.remove("a1", added, name="B")
    read = group.read()
    assert "C writer" in group.names(read), "the removal that struck it is struck"
    assert read.unseen([added], [removal]) == []
