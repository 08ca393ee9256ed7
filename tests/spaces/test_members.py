"""Members: only what the genesis and its devices signed says who belongs to a space."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Refused
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import (
    Membership,
    NotAMember,
    Policy,
    RecordDamaged,
    Signed,
    create,
    is_record,
    record_name,
)
from ropewalk.spaces.members.records import epoch_info
from ropewalk.spaces.records import encode
from tests.spaces.making import device, flips, membership, paper, truncations

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
STRANGER = DeviceKeys(b"s" * 32)


def _records() -> list[bytes]:
    return [data for _, data in membership()[2]]


def test_device_and_paper_key_read_the_same_secrets() -> None:
    members, _, _ = membership()
    assert members.secrets(device()) == members.secrets(paper())
    assert members.policy == Policy(2, 4, 3, {"store": 2})
    assert (members.epoch, members.privacy, members.feature, members.read_only, members.paper) == (1, 1, 2, False, True)


def test_the_order_of_records_and_junk_among_them_make_no_difference() -> None:
    members, _, _ = membership()
    junk = [b"", b"junk", pack([b"body", b"", b""]), encode(Signed.make(pack(["epoch", 1]), STRANGER))]
    for order in itertools.permutations([*_records(), *junk[:2]]):
        assert Membership.read(members.space_id, [*order, *junk]) == members


@given(st.lists(st.binary(max_size=100), max_size=4))
def test_fuzz_junk_records_are_passed_over(junk: list[bytes]) -> None:
    members, _, _ = membership()
    assert Membership.read(members.space_id, [*junk, *_records()]) == members
    with pytest.raises(RecordDamaged):
        Membership.read(members.space_id, junk)


@pytest.mark.parametrize("which", [0, 1])
def test_no_bit_and_no_length_of_a_record_can_change(which: int) -> None:
    members, _, _ = membership()
    records = _records()
    for changed in [*flips(records[which])[::11], *truncations(records[which])[::7]]:
        assert not is_record(membership()[2][which][0], changed)
        given = [changed if at == which else data for at, data in enumerate(records)]
        with pytest.raises(RecordDamaged):
            Membership.read(members.space_id, given)


def test_a_record_is_known_by_its_name_alone() -> None:
    members, _, records = membership()
    for name, data in records:
        assert is_record(name, data)
        assert name == record_name(members.space_id, data)
        assert not is_record(name, data + b"\0")
        assert not is_record(name.upper(), data)
        assert not is_record(name.replace("/records/", "/heads/"), data)


def test_a_stranger_reads_nothing_and_adds_nothing() -> None:
    space, _, _ = membership()
    with pytest.raises(NotAMember):
        space.secrets(STRANGER)
    epoch = unpack(unpack(_records()[1])[0])
    epoch[3] = 2
    forged = encode(Signed.make(pack(epoch), STRANGER))
    claimed = [*unpack(forged)[:1], *unpack(_records()[1])[1:]]  # the body of one under the signature of another
    assert Membership.read(space.space_id, [*_records(), forged, pack(claimed)]) == space


def test_the_newest_epoch_of_a_member_counts_and_must_give_its_secrets() -> None:
    space, _, _ = membership()
    epoch = unpack(unpack(_records()[1])[0])
    epoch[3], epoch[4] = 2, [space.epoch_id]
    second = encode(Signed.make(pack(epoch), device()))
    newer = Membership.read(space.space_id, [*_records(), second])
    assert (newer.epoch, newer.heads) == (2, [newer.epoch_id])
    with pytest.raises(RecordDamaged, match="do not open"):
        newer.secrets(device())  # they were wrapped for number 1
    epoch[3], epoch[4], epoch[6] = 3, [newer.epoch_id], bytes(32)
    info = epoch_info(space.space_id, 3, device().public().id, bytes(32))
    epoch[8] = [[device().public().id, device().public().wrap(bytes(96), info)]]
    wrong = Membership.read(space.space_id, [*_records(), second, encode(Signed.make(pack(epoch), device()))])
    with pytest.raises(RecordDamaged, match="not those that its record says"):
        wrong.secrets(device())


def test_an_epoch_of_another_space_does_not_count() -> None:
    space, _, _ = membership()
    _, _, others = create(Policy(1, 1, 1, {}), 1, device(), paper().public(), 1)
    assert Membership.read(space.space_id, [*_records(), *(data for _, data in others)]) == space


def test_an_operation_that_is_not_known_makes_the_space_read_only_if_a_member_signed_it() -> None:
    space, _, _ = membership()
    body = pack(["op", 2, space.space_id, device().public().id, "of a later version"])
    assert Membership.read(space.space_id, [*_records(), encode(Signed.make(body, device()))]).read_only
    assert not Membership.read(space.space_id, [*_records(), encode(Signed.make(body, STRANGER))]).read_only
    other = pack(["op", 2, bytes(32), device().public().id])
    assert not Membership.read(space.space_id, [*_records(), encode(Signed.make(other, device()))]).read_only
    for strange in (
        b"",
        b"\xc0",
        pack([]),
        pack([1]),
        pack(["op", 2]),
        pack(["op", 1, space.space_id]),
        b"\x91\xa2\xff\xfe",
        b"\x91" * 5000,
    ):
        Membership.read(space.space_id, [*_records(), encode(Signed.make(strange, device()))])


def _changed_genesis(at: int, value: object) -> tuple[bytes, list[bytes]]:
    body = unpack(unpack(_records()[0])[0])
    body[at] = value
    changed = pack(body)
    return hashed("space", changed), [encode(Signed.make(changed, device()))]


KEYS = [msgspec.to_builtins(one.public(), builtin_types=(bytes,)) for one in (device(), paper())]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, "epoch"),
        (1, 2),
        (4, 2),
        (5, 3),
        (6, [3, 2, 2, {}]),
        (6, [1, 65, 2, {}]),
        (6, [2, 4, 1, {}]),
        (6, [2, 4, 5, {}]),
        (6, [0, 4, 1, {}]),
        (7, []),
        (7, [-1]),
        (7, [2]),
        (9, []),
        (9, KEYS[:1]),
        (9, KEYS[::-1]),
        (9, [KEYS[1]]),
        (9, [*KEYS, KEYS[1]]),
        (9, [[7, *KEYS[0][1:]], KEYS[1]]),
        (9, [*KEYS, [300, *KEYS[0][1:]]]),
        (10, "noon"),
        (11, []),
    ],
)
def test_a_genesis_that_cannot_be_is_refused(at: int, value: object) -> None:
    """Also where its hash is the space id and its first device signed it: a careless maker is no reason to crash."""
    with pytest.raises(RecordDamaged):
        Membership.read(*_changed_genesis(at, value))


def test_a_feature_level_of_a_later_version_is_refused_with_a_hint() -> None:
    with pytest.raises(Refused, match="feature level 3") as refused:
        Membership.read(*_changed_genesis(3, 3))
    assert "upgrade" in refused.value.hint


@pytest.mark.parametrize(("thresholds", "right"), [([0, 1], True), ([1, 1], True), ([0], False), ([0, 2], False)])
def test_one_admin_is_enough_at_feature_level_2(thresholds: list[int], right: bool) -> None:
    body = unpack(unpack(_records()[0])[0])
    body[3], body[7] = 2, thresholds
    changed = pack(body)
    with pytest.raises(RecordDamaged, match="no epoch" if right else "admins needed"):
        Membership.read(hashed("space", changed), [encode(Signed.make(changed, device()))])


def test_signatures_that_were_good_once_are_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    space, _, _ = membership()
    assert space.verified == {bytes.fromhex(name.rpartition("/")[2]) for name, _ in membership()[2]}
    monkeypatch.setattr(Signed, "verify", lambda *_: False)
    assert Membership.read(space.space_id, _records(), verified=space.verified) == space
    with pytest.raises(RecordDamaged):
        Membership.read(space.space_id, _records(), verified=[*space.verified][:1])  # type: ignore[arg-type]


def test_a_genesis_without_an_epoch_is_refused() -> None:
    with pytest.raises(RecordDamaged, match="no epoch"):
        Membership.read(membership()[0].space_id, _records()[:1])


@pytest.mark.parametrize(
    ("policy", "lying"),
    [(Policy(3, 5, 4, {"store": 2}), 1), (Policy(1, 3, 2, {"store": 2}), 1), (Policy(2, 4, 2, {}), 0)],
)
def test_a_new_space_expects_one_store_to_lie_where_its_floor_leaves_room_for_that(policy: Policy, lying: int) -> None:
    space_id, _, records = create(policy, 1, device(), paper().public(), 1)
    assert Membership.read(space_id, [data for _, data in records]).lying == lying
