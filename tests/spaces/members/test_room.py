"""Room: who was put out takes none, and who floods is named (docs/spec/groups.md 2.1)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docs.spec.vectors.reference_room import settled
from ropewalk.spaces.members import (
    NO_CUT,
    Author,
    Membership,
    NotAllowed,
    Role,
    Signed,
    TooManyRecords,
)
from ropewalk.spaces.members.operations import Deliver
from ropewalk.spaces.members.records import object_hash
from tests.spaces.members.group import ADMIN, WRITER, Group, device, keys
from tests.spaces.members.test_resolve import a_history, slowly


def junk(group: Group, author: str, *parents: bytes, number: int, chain: bool = False) -> list[bytes]:
    """Records that say nothing: side by side, or one on the other."""
    made: list[bytes] = []
    for at in range(number):
        on = [made[-1]] if chain and made else parents
        life = f"junk {author}" if chain else f"junk {author} {at}"
        made.append(group.write(author, *on, says=Deliver([]), life=life, time=at))
    return made


def same(one: Membership, other: Membership) -> bool:
    """Whether nobody is better or worse off."""
    return (one.state, one.frontier, one.devices, one.epoch_id, one.crowd) == (
        (other.state, other.frontier, other.devices, other.epoch_id, other.crowd)
    )


@pytest.mark.parametrize("chain", [False, True])
@pytest.mark.parametrize("put_out", ["remove", "revoke"])
def test_junk_of_who_was_put_out_takes_no_room(group: Group, all_of_them: bytes, put_out: str, chain: bool) -> None:
    more = group.deliver("b1", group.device("w1", all_of_them, new="w2"), epoch=group.first, to="w2")
    last = group.remove("b1", more, name="W") if put_out == "remove" else group.revoke("w2", more, what="w1")
    before = group.read()
    room = len(before.records) + 3
    junk(group, "w1", all_of_them, number=50, chain=chain)
    after = group.read(room=room)
    assert same(before, after)
    assert after.knows([last])
    assert len(after.records) == len(before.records)
    last = group.add("b1", last, name="X", role=WRITER)
    assert group.member["X"] in group.read(room=room).state.members


def test_what_others_had_seen_of_who_was_put_out_stays(group: Group, all_of_them: bytes) -> None:
    mine = group.add("b1", all_of_them, name="X", role=WRITER)
    early = junk(group, "b1", mine, number=5, chain=True)
    last = group.remove("a1", early[2], name="B")
    junk(group, "b1", mine, number=30)
    read = group.read(room=20)
    assert read.knows([last, early[2]])
    assert not read.knows([early[3]])
    assert group.member["X"] in read.state.members


def test_who_is_put_out_does_not_put_others_out(group: Group, all_of_them: bytes) -> None:
    """Whom it brings in does not either, or helps it to be seen."""
    last = group.remove("a1", all_of_them, name="B")
    before = group.read()
    for name in "AWRS":
        group.remove("b1", all_of_them, name=name, life=f"against {name}")
    friend = group.add("b1", all_of_them, name="F", role=ADMIN, life="friend")
    flood = junk(group, "f1", friend, number=30, chain=True)
    group.remove("f1", flood[-1], name="A")
    group.role("f1", friend, name="W", role=ADMIN, life="promoter")
    assert same(before, group.read(room=len(before.records) + 1))
    assert group.read().knows([last])


def test_a_junior_may_have_put_a_flooding_senior_out(group: Group, all_of_them: bytes) -> None:
    more = group.add("a1", all_of_them, name="C", role=ADMIN)
    group.remove("c1", more, name="B")
    before = group.read()
    junk(group, "b1", all_of_them, number=40)
    assert same(before, group.read(room=len(before.records) + 10))


def test_somebody_who_is_in_and_floods_is_named_and_then_put_out(group: Group, all_of_them: bytes) -> None:
    before = group.read()
    room = len(before.records) + 5
    junk(group, "w1", all_of_them, number=40)
    with pytest.raises(TooManyRecords, match=device("w1").hex()[:8]) as refused:
        group.read(room=room)
    assert refused.value.device == device("w1")
    assert refused.value.count == 40
    partly = group.read(room=room, partly=True)
    assert partly.crowd is not None
    assert (partly.crowd.device, partly.crowd.count) == (device("w1"), refused.value.count)
    assert (partly.state, partly.frontier) == (before.state, before.frontier)
    added = group.add("b1", all_of_them, name="X", role=WRITER)  # others go on
    assert group.read(room=room, partly=True).knows([added])
    last = group.remove("a1", all_of_them, name="W")
    after = group.read(room=room)
    assert after.knows([last, added])
    assert group.names(after) == "A admin, B admin, R reader, S steward, X writer"


def test_who_helps_to_have_a_flood_seen_is_named(group: Group, all_of_them: bytes) -> None:
    last = group.remove("a1", all_of_them, name="W")
    flood = junk(group, "w1", all_of_them, number=40, chain=True)
    group.write("r1", flood[-1], says=Deliver([]))
    with pytest.raises(TooManyRecords) as refused:
        group.read(room=20)
    assert refused.value.device == device("r1")
    group.remove("b1", last, name="R")
    assert group.read(room=20).crowd is None


def test_who_took_most_of_the_room_is_named_and_not_who_came_last(group: Group, all_of_them: bytes) -> None:
    junk(group, "b1", all_of_them, number=40)
    junk(group, "w1", all_of_them, number=4)
    with pytest.raises(TooManyRecords) as refused:
        group.read(room=len(group.past(all_of_them)) + 42)
    assert refused.value.device == device("b1")


def test_of_two_devices_of_one_member_the_one_with_less_may_put_the_other_out(group: Group, all_of_them: bytes) -> None:
    more = group.device("w1", all_of_them, new="w2")
    seen = group.deliver("b1", more, epoch=group.first, to="w2")
    junk(group, "w1", seen, number=3)
    last = group.revoke("w2", seen, what="w1")
    read = group.read(room=len(group.past(seen)) + 3)
    assert read.crowd is None
    assert (len(read.records), read.frontier) == (len(group.past(seen)) + 1, [last])


def test_of_two_admins_who_put_each_other_out_the_senior_is_asked_first(group: Group, all_of_them: bytes) -> None:
    more = group.add("a1", all_of_them, name="C", role=ADMIN)
    last = group.remove("a1", more, name="W")
    group.remove("b1", last, name="C")
    late = group.remove("c1", last, name="B")
    before = group.read()
    junk(group, "w1", all_of_them, number=20)
    after = group.read(room=len(before.records))
    assert group.names(after) == group.names(before) == "A admin, B admin, R reader, S steward"
    assert not after.knows([late])


def test_admins_are_asked_before_those_who_came_earlier(group: Group, all_of_them: bytes) -> None:
    more = group.remove("a1", group.add("a1", all_of_them, name="C", role=ADMIN), name="R")
    group.remove("c1", more, name="W")
    number = len(group.objects)
    late = junk(group, "w1", all_of_them, number=4)
    junk(group, "r1", all_of_them, number=20)
    read = group.read(room=number + 4)
    assert len(read.records) == number
    assert not read.knows(late[:1])


def test_exactly_as_many_as_there_is_room_for(group: Group, all_of_them: bytes) -> None:
    junk(group, "w1", all_of_them, number=5)
    number = len(group.objects)
    assert len(group.read(room=number).records) == number
    with pytest.raises(TooManyRecords):
        group.read(room=number - 1)


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.integers(2, 24))
def test_what_there_is_room_for_is_the_references(chance: random.Random, steps: int) -> None:
    group = a_history(chance, steps)
    all_there_are = slowly(group)
    group.objects = {one: data for one, data in group.objects.items() if one in all_there_are.records}
    room = chance.randrange(2, len(group.objects) + 1)
    wanted, flooding = settled(all_there_are, room)
    if not wanted.outcome().good & {group.first}:
        return  # nothing could be sealed in such a space
    read = group.read(room=room, partly=True)
    assert {one.hash for one in read.records} == set(wanted.records)
    assert (read.crowd is not None) == bool(flooding)
    outcome = wanted.outcome()
    assert {one.hash for one in read.records if one.grounded} == outcome.good
    assert {one: int(member.role) for one, member in read.state.members.items()} == outcome.members
    if len(group.objects) > 2:
        order = list(group.objects)
        chance.shuffle(order)
        assert group.read(room=room, partly=True, order=[*order, *order[:5]]) == read


@settings(max_examples=200)
@given(st.randoms(use_true_random=False), st.integers(2, 20))
def test_who_was_put_out_by_a_senior_changes_nothing(chance: random.Random, steps: int) -> None:
    """Whatever it signs, on whatever had not seen that it was put out, and whoever else does that it brought in."""
    group = Group()
    last = group.add("a1", group.first, name="B", role=chance.choice([WRITER, ADMIN]))
    old = last
    for name in "CD":
        last = group.add("a1", last, name=name, role=chance.choice([WRITER, ADMIN]))
    if chance.random() < 0.5:
        last = group.device("b1", last, new="b2")
    seen = last
    last = group.remove(chance.choice(["a1", "paperA"]), last, name="B")
    last = group.add("a1", last, name="E", role=WRITER)
    before = group.read()
    room = len(before.records) + chance.randrange(3)
    bad, names = ["b1"], list(group.member)
    on = [group.first, old, seen]
    for at in range(steps):
        author, parents = chance.choice(bad), chance.sample(on, min(len(on), chance.randrange(1, 4)))
        name, life = chance.choice(names), f"bad {at}"
        what = chance.choice(["add", "remove", "role", "device", "revoke", "wrap", "label"])
        if what == "add":
            on.append(group.add(author, *parents, name=f"bad {at}", role=ADMIN, to=[f"bad{at}"], life=life))
            bad.append(f"bad{at}")
        elif what == "remove":
            on.append(group.remove(author, *parents, name=name, life=life))
        elif what == "role":
            on.append(group.role(author, *parents, name=name, role=chance.choice(list(Role)), life=life))
        elif what == "device":
            on.append(group.device(author, *parents, new=f"bad{at}", life=life))
            bad.append(f"bad{at}")
        elif what == "revoke":
            on.append(group.revoke(author, *parents, what=chance.choice(["a1", "c1", "e1", "paperA"]), life=life))
        elif what == "wrap":
            on.append(group.deliver(author, *parents, epoch=group.first, to="c1"))
        else:
            on.append(group.label(author, *parents, of=device("c1"), box=b"bad", life=life))
    flood = [one for one in group.objects if one not in {record.hash for record in before.records}]
    junk(group, "b1", old, number=room)  # so that there are too many in any case
    after = group.read(room=room)
    assert same(before, after)
    assert not any(after.knows([one]) for one in flood)


# ---- signed in earnest ---------------------------------------------------------------------------------------------


def test_no_signature_is_checked_of_who_was_put_out(
    group: Group, all_of_them: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []

    def verify(self: Signed, author: object) -> bool:
        checked.append(self.body)
        return True

    monkeypatch.setattr(Signed, "verify", verify)
    group.remove("a1", all_of_them, name="W")
    honest = {object_hash(data) for data in group.objects.values()}
    room = len(group.objects)
    flood = junk(group, "w1", all_of_them, number=200)
    read = Membership.read(group.space_id, group.objects.values(), verified=honest, room=room)
    assert len(read.records) == room
    assert not any(read.knows([one]) for one in flood)
    assert len(checked) <= room + 1  # to see that there are too many; none to choose
    assert read.verified == honest


def test_what_somebody_else_signed_in_the_name_of_who_is_in_takes_no_room(group: Group, all_of_them: bytes) -> None:
    verified = {object_hash(data) for data in group.objects.values()}
    before, room = group.read(), len(group.objects)
    group.remove("a1", all_of_them, name="W")
    verified |= {object_hash(data) for data in group.objects.values()}
    flood = junk(group, "w1", all_of_them, number=5, chain=True)
    verified |= {object_hash(group.objects[one]) for one in flood}
    forged = group.write("b1", flood[-1], says=Deliver([]), life="forged")
    read = Membership.read(group.space_id, group.objects.values(), verified=verified, room=room + 1)
    assert not read.knows([forged])
    assert not read.knows(flood[:1])
    assert len(read.records) == len(before.records) + 1


def author(group: Group, label: str, room: int) -> Author:
    return Author(group.read(room=room), keys(label), b"i" * 16, 1)


def test_an_author_signs_nothing_that_there_is_no_room_for(group: Group, all_of_them: bytes) -> None:
    assert author(group, "a1", len(group.objects) + 1).wrap()
    with pytest.raises(NotAllowed, match="readers take"):
        author(group, "a1", len(group.objects)).wrap()
    flood = junk(group, "w1", all_of_them, number=20)  # a record names 16 of them
    with pytest.raises(NotAllowed, match="readers take"):
        author(group, "a1", len(group.objects)).wrap()
    for one in flood:
        del group.objects[one]
    group.remove("a1", all_of_them, name="W")
    room = len(group.objects) + 3
    junk(group, "w1", all_of_them, number=3)
    assert author(group, "a1", room).wrap()  # what W wrote makes room


def test_an_admin_can_put_out_who_used_the_room_up(group: Group, all_of_them: bytes) -> None:
    junk(group, "w1", all_of_them, number=9)
    room = len(group.objects)
    with pytest.raises(NotAllowed, match="readers take"):
        author(group, "a1", room).wrap()
    for name, data in (
        author(group, "a1", room).remove(group.member["W"], NO_CUT),
        author(group, "b1", room).revoke(device("w1"), NO_CUT),
    ):
        verified = {object_hash(one) for one in (*group.objects.values(), data)}
        read = Membership.read(group.space_id, [*group.objects.values(), data], verified=verified, room=room)
        assert device("w1") not in read.state.devices, name
        assert len(read.records) == len(group.past(all_of_them)) + 1


def test_a_first_device_can_be_put_out_where_it_used_the_room_up() -> None:
    group = Group()
    junk(group, "a1", group.first, number=9)
    room = len(group.objects)
    _, data = author(group, "paperA", room).revoke(device("a1"), NO_CUT)
    verified = {object_hash(one) for one in (*group.objects.values(), data)}
    objects = [*group.objects.values(), data]
    read = Membership.read(group.space_id, objects, verified=verified, room=room, partly=True)
    assert set(read.state.devices) == {device("paperA")}
