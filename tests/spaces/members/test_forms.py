"""Forms of operations: decoding undoes encoding, and what is not quite one is none."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Refused
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import KeyRing, hashed
from ropewalk.spaces.members import NO_CUT, BadName, Cut, Membership, Policy, Role, Signed, create, people
from ropewalk.spaces.members.authoring import Author, NotAllowed
from ropewalk.spaces.members.operations import (
    Accept,
    Add,
    AddDevice,
    Content,
    Deliver,
    Delivered,
    Kind,
    Prove,
    Remove,
    Revoke,
    SetLabel,
    SetLevel,
    SetPolicy,
    SetRole,
    Unknown,
    content_bytes,
    parse_operation,
)
from ropewalk.spaces.members.records import OperationBody, parse, parse_epoch
from ropewalk.spaces.records import encode
from ropewalk.testing.letting_in import consents as signed
from ropewalk.testing.letting_in import member_with
from tests.spaces.making import flips, truncations
from tests.spaces.members.group import Group, consents, cut, device, keys

SPACE = bytes(32)
PUBLIC, PAPER = keys("a1").public(), keys("paperA").public()
AGREED = consents([PUBLIC, PAPER], [bytes(32)] * 64)
WRAP = Delivered(bytes(32), bytes(16), bytes(1232))
CUTS = cut(a=1, b=2**63 - 1).packed()

FORMS: list[tuple[Kind, Content]] = [
    (
        Kind.ADD,
        Add(bytes(16), Role.WRITER, [PUBLIC, PAPER], bytes(256), [WRAP], consents([PUBLIC, PAPER], [bytes(32)])),
    ),
    (Kind.REMOVE, Remove(bytes(16), CUTS)),
    (Kind.ROLE, SetRole(bytes(16), Role.READER, CUTS)),
    (Kind.DEVICE, AddDevice(PUBLIC, b"label", [WRAP, WRAP], AGREED)),
    (Kind.DEVICE, AddDevice(PAPER, b"label", [WRAP, WRAP], [])),
    (Kind.REVOKE, Revoke(bytes(16), CUTS)),
    (Kind.POLICY, SetPolicy(Policy(2, 4, 3, {"site": 1}), [1, 1], 2)),
    (Kind.LEVEL, SetLevel(2)),
    (Kind.ACCEPT, Accept(CUTS, [bytes(16), b"\1" * 16])),
    (Kind.WRAP, Deliver([WRAP])),
    (Kind.PROOF, Prove(b"proof", CUTS)),
    (Kind.LABEL, SetLabel(bytes(16), bytes(256))),
]
names = st.binary(min_size=16, max_size=16)


ORDER = ["type", "version", "space", "author", "incarnation", "count", "parents", "kind", "content", "time", "extra"]


def body(kind: int, content: object, /, **at: object) -> bytes:
    fields: list[object] = ["op", 1, SPACE, bytes(16), bytes(16), 1, [bytes(32)], kind, content, 7, {}]
    for name, value in at.items():
        fields[ORDER.index(name)] = value
    return bytes(msgspec.msgpack.encode(fields))


def raw(content: Content) -> object:
    return msgspec.msgpack.decode(encode(content), type=object)


@pytest.mark.parametrize(("kind", "content"), FORMS)
def test_decoding_undoes_encoding(kind: Kind, content: Content) -> None:
    plain = OperationBody("op", 1, SPACE, b"d" * 16, b"i" * 16, 9, [bytes(32)], int(kind), content_bytes(content), 5)
    found = parse_operation(encode(plain), SPACE)
    assert found is not None
    assert (found.content, found.author, found.incarnation) == (content, b"d" * 16, b"i" * 16)
    assert (found.count, found.parents, found.time) == (9, (bytes(32),), 5)
    assert found.cut.packed() == getattr(content, "cuts", NO_CUT.packed())
    assert encode(plain) == body(kind, raw(content), author=b"d" * 16, incarnation=b"i" * 16, count=9, time=5)
    assert parse_operation(encode(plain), b"\1" * 32) is None
    for changed in truncations(encode(plain)):
        assert parse_operation(changed, SPACE) is None
    for changed in flips(encode(plain))[::3]:
        assert parse_operation(changed, SPACE) != found


@given(st.binary(max_size=200), st.integers(0, 12))
def test_fuzz_junk_is_no_operation(junk: bytes, kind: int) -> None:
    assert parse_operation(junk, SPACE) is None
    assert parse_epoch(junk, SPACE) is None
    found = parse_operation(body(kind, msgspec.Raw(junk)), SPACE)
    assert found is None or found.author == bytes(16)


ENVELOPES: list[dict[str, object]] = [
    {"type": "ops"},
    {"version": 2},
    {"space": bytes(31)},
    {"author": bytes(15)},
    {"incarnation": bytes(17)},
    {"count": 0},
    {"count": -1},
    {"parents": []},
    {"parents": [bytes(32)] * 2},
    {"parents": [b"\1" * 32, bytes(32)]},
    {"parents": [bytes(31)]},
    {"parents": [bytes(31) + bytes([number]) for number in range(17)]},
    {"kind": -1},
    {"time": -1},
    {"extra": []},
    {"extra": {1: bytes(1030)}},
]


@pytest.mark.parametrize("at", ENVELOPES)
def test_an_envelope_that_cannot_be(at: dict[str, object]) -> None:
    assert parse_operation(body(7, [2]), SPACE) is not None
    assert parse_operation(body(7, [2], parents=[bytes(31) + bytes([n]) for n in range(16)]), SPACE) is not None
    assert parse_operation(body(7, [2], **at), SPACE) is None


BUILT = {kind: raw(content) for kind, content in FORMS}


def instead(kind: Kind, at: int, value: object) -> tuple[Kind, object]:
    content = BUILT[kind]
    assert isinstance(content, list)
    return kind, [*content[:at], value, *content[at + 1 :]]


KEYS, PAPER_KEYS = (msgspec.to_builtins(one, builtin_types=(bytes,)) for one in (PUBLIC, PAPER))
W, D = bytes(16), bytes(32)
CONTENTS: list[tuple[Kind, object]] = [
    *((kind, BUILT[kind] + [0]) for kind in Kind),  # type: ignore[operator]
    *((kind, BUILT[kind][:-1]) for kind in Kind),  # type: ignore[index]
    *((kind, None) for kind in Kind),
    instead(Kind.ADD, 0, bytes(15)),
    instead(Kind.ADD, 1, 0),
    instead(Kind.ADD, 1, 5),
    instead(Kind.ADD, 2, []),
    instead(Kind.ADD, 2, [KEYS, KEYS]),
    instead(Kind.ADD, 2, [PAPER_KEYS, [1, *KEYS[1:]]]),
    instead(Kind.ADD, 2, [[2, *KEYS[1:]]]),
    instead(Kind.ADD, 2, [[300, *KEYS[1:]]]),
    instead(Kind.ADD, 2, [[0, b"", *KEYS[2:]]]),
    instead(Kind.ADD, 2, [msgspec.to_builtins(keys(f"k{n}").public(), builtin_types=(bytes,)) for n in range(5)]),
    instead(Kind.ADD, 3, bytes(257)),
    instead(Kind.ADD, 4, [[bytes(31), W, b""]]),
    instead(Kind.ADD, 4, [[D, bytes(17), b""]]),
    instead(Kind.ADD, 4, [[D, W, bytes(1233)]]),
    instead(Kind.REMOVE, 1, [W, 1]),
    instead(Kind.REMOVE, 1, [W, 0, D]),
    instead(Kind.REMOVE, 1, [W, 2**63, D]),
    instead(Kind.REMOVE, 1, [W, 1, D, W, 2, D]),
    instead(Kind.REMOVE, 1, [b"\1" * 16, 1, D, W, 2, D]),
    instead(Kind.REMOVE, 1, [W, D, 1]),
    instead(Kind.REMOVE, 1, [bytes(15), 1, D]),
    instead(Kind.REMOVE, 1, [W, 1, bytes(33)]),
    instead(Kind.REMOVE, 1, [part for n in range(1025) for part in (n.to_bytes(16, "big"), 1, D)]),
    instead(Kind.ROLE, 1, 9),
    instead(Kind.DEVICE, 0, [0, *KEYS[1:4], b""]),
    instead(Kind.POLICY, 0, [3, 2, 2, {}]),
    instead(Kind.POLICY, 1, [1, 2]),
    instead(Kind.POLICY, 1, [1]),
    instead(Kind.POLICY, 1, [-1, 1]),
    instead(Kind.POLICY, 1, [2, 1]),
    instead(Kind.POLICY, 2, 3),
    instead(Kind.LEVEL, 0, 1),
    instead(Kind.LEVEL, 0, 256),
    instead(Kind.ACCEPT, 1, [W, W]),
    instead(Kind.ACCEPT, 1, [b"\1" * 16, W]),
    instead(Kind.PROOF, 0, bytes(512 * 1024 + 1)),
    instead(Kind.LABEL, 0, bytes(15)),
    instead(Kind.LABEL, 1, bytes(257)),
    instead(Kind.REMOVE, 1, None),
    instead(Kind.REMOVE, 1, b""),
    instead(Kind.REMOVE, 1, [W, 1.0, D]),
]


@pytest.mark.parametrize(("kind", "content"), CONTENTS)
def test_a_content_that_cannot_be(kind: Kind, content: object) -> None:
    assert parse_operation(body(kind, BUILT[kind]), SPACE) is not None
    assert parse_operation(body(kind, content), SPACE) is None


def test_the_largest_of_everything() -> None:
    most = [part for n in range(1024) for part in (n.to_bytes(16, "big"), 1, D)]
    assert parse_operation(body(Kind.REMOVE, [W, most]), SPACE) is not None
    assert parse_operation(body(Kind.PROOF, [bytes(512 * 1024), most]), SPACE) is not None
    wraps = [[D, W, bytes(1232)]] * 50
    assert parse_operation(body(Kind.WRAP, [wraps]), SPACE) is not None
    assert parse_operation(body(Kind.WRAP, [wraps * 2]), SPACE) is None


def test_a_kind_of_a_later_version_is_one_whatever_it_holds() -> None:
    contents: list[object] = [[], None, {"a": [1.5]}]
    for content in contents:
        found = parse_operation(body(11, content), SPACE)
        assert found is not None
        assert found.content == Unknown(11)


# ---- signed in earnest ---------------------------------------------------------------------------------------------


ADMIN_DEVICE, NEW, OTHER = DeviceKeys(b"1" * 32), DeviceKeys(b"2" * 32), DeviceKeys(b"3" * 32)


def a_space(feature: int = 2) -> tuple[bytes, dict[str, bytes]]:
    policy = Policy(2, 4, 3, {"store": 2})
    space_id, _, records = create(policy, 1, ADMIN_DEVICE, PAPER, 1, feature)
    return space_id, dict(records)


def author(space_id: bytes, records: dict[str, bytes], by: DeviceKeys = ADMIN_DEVICE) -> Author:
    return Author(Membership.read(space_id, records.values()), by, hashed("test incarnation", by.seed)[:16], 5)


def test_what_an_author_writes_is_read_as_meant() -> None:
    space_id, records = a_space(feature=1)
    policy = Policy(3, 6, 4, {})

    def put(one: tuple[str, bytes]) -> Membership:
        records[one[0]] = one[1]
        read = Membership.read(space_id, records.values())
        (mine,) = [kept for kept in read.records if kept.hash == read.frontier[0]]
        assert (read.frontier, mine.grounded, mine.time) == ([mine.hash], True, 5)
        return read

    assert put(author(space_id, records).level()).feature == 2
    nonce, pledge = author(space_id, records).new_member()
    member = member_with(pledge, NEW.public())
    wraps = [Delivered(Membership.read(space_id, records.values()).epoch_id, NEW.public().id, bytes(1232))]
    agreed = signed(space_id, pledge, Role.WRITER, [NEW])
    read = put(author(space_id, records).add(nonce, Role.WRITER, [NEW.public()], b"label", wraps, consents=agreed))
    assert (read.state.members[member].label, read.state.members[member].role) == (b"label", Role.WRITER)
    assert read.wraps[NEW.public().id] == bytes(1232)
    assert put(author(space_id, records).role(member, Role.ADMIN)).state.members[member].role is Role.ADMIN
    agreed = signed(space_id, member, 0, [OTHER])
    read = put(author(space_id, records, NEW).device(OTHER.public(), b"other", consents=agreed))
    assert read.state.labels[OTHER.public().id] == b"other"
    assert put(author(space_id, records, NEW).policy(policy, 1, 2)).policy == policy
    assert put(author(space_id, records, NEW).label(member, b"new")).state.members[member].label == b"new"
    assert put(author(space_id, records).label(NEW.public().id, b"mine")).state.labels[NEW.public().id] == b"mine"
    put(author(space_id, records, NEW).wrap())
    put(author(space_id, records, NEW).proof(b"", cut(x=1)))
    read = put(author(space_id, records).revoke(OTHER.public().id, cut(other=3)))
    assert read.state.gone == {OTHER.public().id: cut(other=3)}
    read = put(author(space_id, records).accept(cut(other=4), [NEW.public().id]))
    assert read.state.gone == {OTHER.public().id: cut(other=4)}
    read = put(author(space_id, records).remove(member, cut(new=2)))
    assert read.state.gone[NEW.public().id] == cut(new=2)
    assert [one.count for one in read.records if one.author == NEW.public().id] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("feature", [1, 2, None])
def test_the_first_member_and_its_device_have_names_from_the_beginning(feature: int | None) -> None:
    given = (Policy(1, 1, 1, {}), 1, ADMIN_DEVICE, PAPER, 7, feature)
    space_id, secrets, records = create(*given, ("Änne", "laptop"))
    read = Membership.read(space_id, [data for _, data in records])
    ring = KeyRing.derive(space_id, read.epoch_id, secrets)
    (me,) = people(read, ring, ADMIN_DEVICE.public().id)
    names = (me.name, me.machines[1].name)
    assert names == ((None, None) if feature == 1 else ("Änne", "laptop"))
    assert (len(records), len(create(*given)[2])) == (2 if feature == 1 else 4, 2)
    assert all(one.grounded for one in read.records)
    assert read.frontier == [read.records[-1].hash]
    with pytest.raises(BadName):
        create(*given[:-1], 2, ("", "laptop"))


def test_an_author_does_not_write_what_readers_pass_over() -> None:
    space_id, records = a_space(feature=1)
    first = author(space_id, records)
    with pytest.raises(NotAllowed, match="would have no effect"):
        first.add(bytes(16), Role.WRITER, [PAPER], b"", consents=[])  # before a level
    name, data = first.level()
    records[name] = data
    by = author(space_id, records)
    with pytest.raises(NotAllowed, match="role admin"):
        by.remove(bytes(16), Cut({}))
    with pytest.raises(NotAllowed, match="not active"):
        author(space_id, records, NEW).wrap()
    with pytest.raises(NotAllowed, match="not what the format allows") as refused:
        by.wrap([WRAP] * 60)
    assert isinstance(refused.value, Refused)
    assert "split" in refused.value.hint


def test_an_author_names_what_is_newest_and_its_own_last_record(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group()
    b = group.add("a1", group.first, name="B", role=Role.ADMIN)
    tops = [group.write("a1", b, says=Deliver([]), life=str(number)) for number in range(20)]
    lost = group.role("b1", b, name="A", role=Role.READER)
    group.remove("a1", b, name="B", life="other")
    read = group.read()
    by = Author(read, keys("a1"), b"i" * 16, 1)
    assert by.parents(None) == read.frontier[:16]
    assert set(read.frontier) > set(tops)
    assert lost in by.parents(lost)
    assert len(by.parents(lost)) == 16
    _, data = by.wrap()
    signed = parse(data)
    assert signed is not None
    found = parse_operation(signed.body, group.space_id)
    assert found is not None
    assert list(found.parents) == read.frontier[:16]


@pytest.mark.parametrize("bit", range(0, 8 * 10000, 4999))
def test_no_bit_of_a_signed_operation_can_change(bit: int) -> None:
    space_id, records = a_space()
    by = author(space_id, records)
    nonce, pledge = by.new_member()
    agreed = signed(space_id, pledge, Role.READER, [NEW])
    _, data = by.add(nonce, Role.READER, [NEW.public()], b"", consents=agreed)
    changed = data[: bit // 8] + bytes((data[bit // 8] ^ 1 << bit % 8,)) + data[bit // 8 + 1 :]
    assert len(Membership.read(space_id, [*records.values(), data]).state.members) == 2
    assert len(Membership.read(space_id, [*records.values(), changed]).state.members) == 1
    assert device("a1")


def test_what_a_later_version_wrote_counts_if_its_author_is_an_active_admin() -> None:
    space_id, records = a_space()
    by = author(space_id, records)
    nonce, pledge = by.new_member()
    member, agreed = member_with(pledge, NEW.public()), signed(space_id, pledge, Role.ADMIN, [NEW])
    name, data = by.add(nonce, Role.ADMIN, [NEW.public()], b"", consents=agreed)
    records[name] = data

    def read_only(signed: DeviceKeys) -> bool:
        later = msgspec.msgpack.encode(["op", 2, space_id, NEW.public().id, "whatever"])
        return Membership.read(space_id, [*records.values(), encode(Signed.make(later, signed))]).read_only

    assert read_only(NEW)
    assert not read_only(OTHER)
    name, data = author(space_id, records).role(member, Role.WRITER)
    records[name] = data
    assert not read_only(NEW)
    name, data = author(space_id, records).role(member, Role.ADMIN)
    records[name] = data
    assert read_only(NEW)
    name, data = author(space_id, records).remove(member, Cut({}))
    records[name] = data
    assert not read_only(NEW)
