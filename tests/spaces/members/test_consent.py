"""Consent: nobody is a member's device who did not agree to be, with these keys, whatever an admin who turned signs."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.members import Author, Membership, Policy, Role, consent, create, member_of, pledged, ticket
from ropewalk.spaces.members.operations import Add, AddDevice, Deliver, Kind, content_bytes
from ropewalk.spaces.members.records import OperationBody, sign
from ropewalk.spaces.records import encode
from ropewalk.testing.letting_in import consents
from tests.spaces.members.group import ADMIN, READER, WRITER, Group, device, keys

MINE, PAPER = ("c1",), ("c1", "paperC")


def joined(to: tuple[str, ...] = MINE) -> tuple[Group, bytes, bytes]:
    """B, who turns, has let C in as a writer: the group, B's record, C's."""
    group = Group()
    b = group.add("a1", group.first, name="B", role=ADMIN)
    return group, b, group.add("b1", b, name="C", role=WRITER, to=to)


def again(group: Group, on: bytes, to: tuple[str, ...], role: Role, by: str = "b1") -> bytes:
    """The nonce of C once more; c1 has signed nothing but for the first."""
    _, first = next(one for one in group.added.values() if one[1].name == "C")
    return group.add_again(by, on, name="C", role=role, to=to, asked=first.consents, life="turned")


def check_c(group: Group, to: tuple[str, ...] = MINE, *which: bytes) -> None:
    """C is as it came: nobody else acts as C, and it is what it was."""
    state = group.read(*which).state
    member = state.members[group.member["C"]]
    assert set(member.devices) == {device(one) for one in to}
    assert member.role is WRITER
    assert state.devices[device("c1")] == member.id


@pytest.mark.parametrize("by", ["b1", "a1"])
@pytest.mark.parametrize(
    ("to", "role"),
    [
        (("e1",), WRITER),
        (("e1",), ADMIN),
        (("c1", "e1"), WRITER),
        (("e1", "c1"), ADMIN),
        (("c1", "paperE"), WRITER),
        (("c1",), ADMIN),
        (("c1",), READER),
        (("c1",), WRITER),
    ],
)
@pytest.mark.parametrize("old", [False, True])
def test_a_second_add_changes_nothing_of_the_first(to: tuple[str, ...], role: Role, by: str, *, old: bool) -> None:
    """Other devices, one more, another paper key, another role; by another admin; of a date as old as can be."""
    group, b, c = joined()
    acted = group.write("c1", c, says=Deliver([]))
    twin = again(group, group.first if old and by == "a1" else b, to, role, by)
    check_c(group)
    check_c(group, MINE, twin, c)  # before C has acted
    assert acted in group.read().frontier


@pytest.mark.parametrize("kept", ["first", "second"])
def test_whichever_of_the_two_is_struck(kept: str) -> None:
    group, b, c = joined()
    twin = again(group, b, ("e1",), WRITER)
    group.remove("a1", c if kept == "first" else twin, name="B")
    state = group.read().state
    assert (group.member["C"] in state.members) is (kept == "first")
    assert (device("c1") in state.devices) is (kept == "first")
    if kept == "first":
        check_c(group)


def test_a_device_is_nobodys_who_takes_it() -> None:
    """A writer signs, of a date before C came, that c1 is a device of his."""
    group = Group()
    b = group.add("a1", group.first, name="B", role=WRITER)
    group.add("a1", group.add("a1", b, name="X", role=WRITER), name="C", role=WRITER)
    taken = group.take("b1", b, what="c1", life="old")
    check_c(group)
    assert taken not in group.read().frontier
    assert len(group.read().state.members[group.member["B"]].devices) == 1


def test_a_member_that_was_removed_is_not_revived_by_its_own_add() -> None:
    group, b, c = joined(PAPER)
    check_c(group, PAPER)
    gone = group.remove("a1", c, name="C")
    again(group, gone, PAPER, WRITER)
    again(group, b, PAPER, WRITER)
    assert group.member["C"] not in group.read().state.members


# ---- signed in earnest -----------------------------------------------------------------------------------------------

ADMIN_DEVICE, BOB, EVE = DeviceKeys(b"1" * 32), DeviceKeys(b"2" * 32), DeviceKeys(b"3" * 32)


def a_space() -> tuple[bytes, list[bytes]]:
    space_id, _, records = create(Policy(2, 4, 3, {"store": 2}), 1, ADMIN_DEVICE, keys("paperA").public(), 1)
    return space_id, [data for _, data in records]


def written(space_id: bytes, known: list[bytes], kind: Kind, content: Add | AddDevice) -> bytes:
    """Whatever an admin's device signs, on top of all that is known."""
    frontier = Membership.read(space_id, known).frontier
    body = OperationBody(
        *("op", 1, space_id, ADMIN_DEVICE.public().id, bytes(16), 1, frontier, int(kind), content_bytes(content), 1)
    )
    return sign(space_id, encode(body), ADMIN_DEVICE)[1]


def test_who_agrees_comes() -> None:
    space_id, known = a_space()
    nonce, pledge = Author(Membership.read(space_id, known), ADMIN_DEVICE, bytes(16), 1).new_member()
    add = Add(nonce, WRITER, [BOB.public()], b"", [], consents(space_id, pledge, WRITER, [BOB]))
    read = Membership.read(space_id, [*known, written(space_id, known, Kind.ADD, add)])
    assert read.state.devices[BOB.public().id] == member_of(space_id, ADMIN_DEVICE.public().id, add)


@pytest.mark.parametrize(
    "wrong", ["signed by another", "of another space", "of another role", "with other keys", "cut"]
)
def test_without_its_word_nobody_comes(wrong: str) -> None:
    space_id, known = a_space()
    nonce = bytes(16)
    pledge = pledged(space_id, ADMIN_DEVICE.public().id, nonce)
    public, role, of = [BOB.public()], WRITER, space_id
    if wrong == "of another space":
        of = bytes(32)
    if wrong == "of another role":
        role = READER
    (agreed,) = consents(of, pledge, role, [BOB])
    if wrong == "signed by another":
        (theirs,) = consents(of, pledge, role, [EVE])
        agreed = replace(theirs, names=agreed.names)
    if wrong == "with other keys":
        public = [BOB.public(), keys("paperC").public()]
        agreed = replace(agreed, names=sorted(one.id for one in public))
    if wrong == "cut":
        agreed = replace(agreed, mldsa=agreed.mldsa[:-1])
    data = written(space_id, known, Kind.ADD, Add(nonce, WRITER, public, b"", [], [agreed]))
    assert len(Membership.read(space_id, [*known, data]).state.members) == 1


def test_a_consent_to_be_somebodys_device_is_good_for_that_member_alone() -> None:
    space_id, known = a_space()
    (mine,) = Membership.read(space_id, known).state.members
    for of, counts in ((mine, True), (bytes(16), False)):
        said = consent(BOB, [], bytes(16), bytes(32), [ticket(space_id, of)])
        data = written(space_id, known, Kind.DEVICE, AddDevice(BOB.public(), b"", [], [said]))
        devices = Membership.read(space_id, [*known, data]).state.devices
        assert (devices.get(BOB.public().id) == mine) is counts
