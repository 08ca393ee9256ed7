"""Heads: what was signed is read, by those who may, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Misuse
from ropewalk.spaces import head as head_module
from ropewalk.spaces.chunk import ChunkType, Reference, seal
from ropewalk.spaces.envelope import commitment, committed, sign_envelope, signed_by
from ropewalk.spaces.head import (
    LARGEST_EMBEDDED,
    NO_HEAD,
    AddedPack,
    HeadDamaged,
    HeadName,
    MemberLayer,
    Owed,
    StewardLayer,
    embed,
    embedded_column,
    heads_prefix,
    open_envelope,
    open_head,
    open_layers,
    seal_head,
    seen_of,
    split_embedded,
    take_apart,
    verify,
    writer_id,
)
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import EpochUnknown, KeyRing, MembersOnly, Secrets, hashed
from ropewalk.spaces.learning import known_head
from ropewalk.spaces.learning.heads import open_run
from ropewalk.spaces.members import Membership, Policy, create
from ropewalk.spaces.proof import opened_exhibit
from ropewalk.spaces.publish import MOST_OWED, MOST_PACKS
from ropewalk.spaces.state import ACKED
from ropewalk.spaces.vectors import Vector, VectorMalformed, parse_vector
from tests.spaces.making import device, flips, membership, paper, some_keys, truncations

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
INCARNATION = b"i" * 16
hashes = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**63 - 1)
references = st.builds(lambda plain: seal(plain, ChunkType.NODE, some_keys()).reference, st.binary(min_size=1))
vectors = st.dictionaries(st.binary(min_size=16, max_size=16), st.tuples(st.integers(1, 2**63 - 1), hashes), max_size=5)
members = st.builds(
    MemberLayer,
    st.just(1),
    st.lists(hashes, min_size=1, max_size=2),
    vectors,
    st.none() | references,
    numbers,
    numbers,
    st.text(max_size=200),
)
stewards = st.builds(
    StewardLayer,
    packs=st.lists(st.builds(AddedPack, hashes, hashes, hashes, numbers), max_size=3),
    roots=st.lists(hashes, max_size=1),
    owed=numbers,
    debt=st.lists(st.builds(Owed, hashes, st.binary(max_size=5)), max_size=3),
    heads=st.lists(hashes, max_size=3),
)
EMPTY = MemberLayer(1, [bytes(32)], {}, None, 0, 0)


def make(
    member: MemberLayer = EMPTY,
    steward: StewardLayer | None = None,
    embedded: bytes = b"",
    sequence: int = 1,
    previous: bytes = NO_HEAD,
    *,
    by: DeviceKeys | None = None,
    feature: int = 1,
    incarnation: bytes = INCARNATION,
) -> tuple[HeadName, bytes]:
    return seal_head(
        incarnation=incarnation,
        sequence=sequence,
        previous=previous,
        steward=steward or StewardLayer(),
        member=member,
        embedded=embedded,
        device=by or device(),
        keys=membership()[1],
        feature=feature,
    )


@given(members, stewards, st.binary(max_size=500), st.integers(2, 2**63 - 1), hashes.filter(lambda one: one != NO_HEAD))
def test_a_head_comes_back_and_counts_itself_as_seen(
    member: MemberLayer, steward: StewardLayer, embedded: bytes, sequence: int, previous: bytes
) -> None:
    name, data = make(member, steward, embedded, sequence, previous)
    head = open_head(data, name, membership()[0], membership()[1])
    seen = {**member.vector, name.writer: (sequence, head.hash)}
    assert head.member == replace(member, vector=seen)
    assert (head.steward, head.embedded, head.size) == (steward, embedded, len(data))
    assert (head.envelope.sequence, head.envelope.previous) == (sequence, previous)
    assert name.writer == writer_id(device().public().id, INCARNATION)
    assert HeadName.decode(name.encode()) == name
    assert make(member, steward, embedded, sequence, previous) == (name, data)


@given(members, stewards, st.binary(max_size=500))
def test_a_steward_opens_its_layer_and_sees_one_head_that_has_seen_itself(
    member: MemberLayer, steward: StewardLayer, embedded: bytes
) -> None:
    name, data = make(member, steward, embedded)
    head = open_head(data, name, membership()[0], for_stewards())
    assert (head.member, head.blind, head.steward, head.embedded) == (None, b"", steward, embedded)
    assert head.vector == {name.writer: (1, head.hash)}
    known = known_head(head, ACKED, 77)
    assert (known.unread, known.time, known.root, known.note, known.frontier) == (True, 77, None, "", ())
    assert known.vector == head.vector
    with pytest.raises(MembersOnly):
        opened_exhibit(head)


@cache
def for_stewards() -> KeyRing:
    """What a steward has of the keys of the space."""
    ring = KeyRing(membership()[1].space_id)
    ring.add(membership()[1].current, membership()[1].steward_secret(membership()[1].current), 1)
    ring.use(membership()[1].current)
    return ring


def test_what_is_wrong_with_a_head_a_steward_finds_as_far_as_it_sees() -> None:
    name, data = sample()
    for broken in flips(data):
        with pytest.raises(HeadDamaged):
            open_head(broken, name, membership()[0], for_stewards())


def test_a_member_who_lacks_an_epoch_takes_no_head_of_it_as_a_steward() -> None:
    """Else it would show a head that it cannot read as one that is empty, and whose author saw nothing."""
    name, data = sample()
    ring = KeyRing(for_stewards().space_id)
    ring.add(membership()[1].current, membership()[1].steward_secret(membership()[1].current), 1)
    ring.add(b"another".ljust(32), Secrets(bytes(32), bytes(32), bytes(32)), 2)
    ring.use(b"another".ljust(32))
    with pytest.raises(MembersOnly):
        open_head(data, name, membership()[0], ring)
    _, problems = open_run([(name, data)], membership()[0], ring)
    assert [one for one, _ in problems] == [name]


@cache
def sample() -> tuple[HeadName, bytes]:
    reference = seal(b"root", ChunkType.NODE, membership()[1]).reference
    member = MemberLayer(1, [bytes(32)], {b"w" * 16: (3, bytes(32))}, reference, 5, 7, "a note")
    return make(member, StewardLayer(packs=[AddedPack(bytes(32), bytes(32), bytes(32), 9)]), b"embedded")


def test_no_bit_and_no_length_of_a_head_can_change_even_under_a_name_that_fits() -> None:
    name, data = sample()
    for changed in (*flips(data)[::3], *truncations(data)):
        assert not name.fits(changed)
        with pytest.raises(HeadDamaged, match="other bytes than its name"):
            open_head(changed, name, *membership()[:2])
        squatted = replace(name, check=hashed("object", changed))
        assert squatted.fits(changed)
        with pytest.raises(HeadDamaged):
            open_head(changed, squatted, *membership()[:2])


@given(st.binary(max_size=300) | st.lists(st.binary(max_size=60), min_size=5, max_size=5).map(pack))
def test_fuzz_junk_is_no_head(junk: bytes) -> None:
    name = replace(sample()[0], check=hashed("object", junk))
    with pytest.raises(HeadDamaged):
        open_head(junk, name, *membership()[:2])
    embedded_column(junk, name.encode())  # a column or None, and no error


@given(st.integers(0, 4), st.binary(max_size=200))
def test_fuzz_no_part_of_a_head_can_be_replaced(part: int, junk: bytes) -> None:
    name, data = sample()
    parts = unpack(data)
    parts[part] = junk
    changed = pack(parts)
    if changed != data:
        with pytest.raises(HeadDamaged):
            open_head(changed, replace(name, check=hashed("object", changed)), *membership()[:2])


@pytest.mark.parametrize("change", ["writer", "sequence", "space_id"])
def test_a_head_under_the_name_of_another_is_refused(change: str) -> None:
    name, data = sample()
    other = {"writer": bytes(16), "sequence": 2, "space_id": bytes(32)}[change]
    with pytest.raises(HeadDamaged, match="names another"):
        open_head(data, replace(name, **{change: other}), *membership()[:2])  # type: ignore[arg-type]


def test_a_head_replayed_from_another_space_of_the_same_device_is_refused() -> None:
    space, _, _ = membership()
    with pytest.raises(HeadDamaged, match="another space"):
        open_head(sample()[1], sample()[0], replace(space, space_id=bytes(32)), some_keys())
    with pytest.raises(EpochUnknown):
        open_head(sample()[1], sample()[0], space, some_keys())


def test_a_head_by_a_stranger_is_refused() -> None:
    name, data = make(by=DeviceKeys(b"s" * 32))
    with pytest.raises(HeadDamaged, match="not a member"):
        open_envelope(data, name, membership()[0])


def test_a_forged_signature_is_refused() -> None:
    name, data = sample()
    parts = unpack(data)
    parts[4] = DeviceKeys(b"s" * 32).sign_quick(b"ropewalk head 1\0" + hashed("head", parts[0]))
    forged = pack(parts)
    with pytest.raises(HeadDamaged, match="signature"):
        open_envelope(forged, replace(name, check=hashed("object", forged)), membership()[0])


@pytest.mark.parametrize(
    ("why", "head"),
    [
        ("feature level", lambda: make(feature=3)),
        ("feature level", lambda: make(feature=0)),
        ("names another", lambda: make(sequence=1, previous=b"p" * 32)),
        ("names another", lambda: make(sequence=2, previous=NO_HEAD)),
        ("names another", lambda: make(sequence=2, previous=b"short")),
        ("names another", lambda: make(sequence=2**63, previous=b"p" * 32)),
        ("names another", lambda: make(incarnation=b"short")),
        ("unknown version", lambda: make(steward=StewardLayer(version=2))),
        ("longer embedded pack", lambda: make(embedded=bytes(LARGEST_EMBEDDED + 1))),
        ("longer note", lambda: make(replace(EMPTY, note="ä" * 501))),
        ("cannot be", lambda: make(replace(EMPTY, entries=-1))),
        ("cannot be", lambda: make(replace(EMPTY, entries=2**63))),
        ("cannot be", lambda: make(replace(EMPTY, time=2**64 - 1))),
        ("cannot be", lambda: make(replace(EMPTY, time=-1))),
        ("a root that is none", lambda: make(replace(EMPTY, root=Reference(bytes(32), bytes(32), 0, 0, 0)))),
        ("a root that is none", lambda: make(replace(EMPTY, root=Reference(bytes(31), bytes(32), 9, 9, 9)))),
        ("its own writer", lambda: make(replace(EMPTY, vector={sample()[0].writer: (1, bytes(32))}))),
        ("not in order", lambda: make(replace(EMPTY, vector={b"short": (1, bytes(32))}))),
        ("not in order", lambda: make(replace(EMPTY, vector={bytes(16): (0, bytes(32))}))),
        ("not in order", lambda: make(replace(EMPTY, vector={bytes(16): (2**63, bytes(32))}))),
        ("not in order", lambda: make(replace(EMPTY, vector={bytes(16): (1, b"short")}))),
        ("other things", lambda: make(replace(EMPTY, vector={bytes(16): (b"1", bytes(32))}))),  # type: ignore[dict-item]
        (
            "vector of",
            lambda: make(replace(EMPTY, vector={at.to_bytes(16, "big"): (1, bytes(32)) for at in range(1, 1026)})),
        ),
    ],
)
def test_what_a_member_signed_and_no_head_may_say(why: str, head: object) -> None:
    """A member's device may be broken too: it gets an error of ours, and the rest of the space stays readable."""
    assert callable(head)
    name, data = head()
    with pytest.raises(HeadDamaged, match=why):
        open_head(data, name, *membership()[:2])


@pytest.mark.parametrize(
    "flat", [[b"w" * 16], [b"w" * 16, 1], [1, 1, 1], [b"w" * 16, 1, bytes(32), b"a" * 16, 1, bytes(32)]]
)
def test_a_vector_that_is_not_made_of_ascending_items_is_refused(flat: list[bytes | int]) -> None:
    with pytest.raises(VectorMalformed, match="vector"):
        parse_vector(flat)


@given(st.binary(max_size=600))
def test_fuzz_padding_comes_off_as_it_was_put_on_or_is_refused(record: bytes) -> None:
    padded = head_module._padded(record)
    assert len(padded) % 256 == 0
    assert head_module._unpadded(padded) == record
    try:
        plain = head_module._unpadded(record)
    except ValueError:
        return
    assert head_module._padded(plain) == record


def test_a_head_that_is_too_large_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="expected at most"):
        make(embedded=bytes(256 * 1024))


def test_a_full_head_fits() -> None:
    """As many packs and debts as `publish` names at most, beside the largest pack a head may embed."""
    steward = StewardLayer(
        packs=[AddedPack(b"p" * 32, b"m" * 32, b"d" * 32, 2**40)] * MOST_PACKS,
        debt=[Owed(b"p" * 32, bytes(64))] * MOST_OWED,
        heads=[b"h" * 32] * MOST_OWED,
    )
    vector = {at.to_bytes(16, "big"): (2**62, b"h" * 32) for at in range(1, 1024)}
    member = replace(EMPTY, vector=vector, note="n" * 1000)
    name, data = make(member, steward, bytes(LARGEST_EMBEDDED))
    assert open_head(data, name, *membership()[:2]).steward == steward


names = st.builds(
    HeadName,
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=16, max_size=16),
    st.integers(1, 2**64 - 1),
    st.binary(min_size=32, max_size=32),
)


@given(names, names)
def test_names_come_back_and_newer_ones_list_first(one: HeadName, other: HeadName) -> None:
    assert HeadName.decode(one.encode()) == one
    assert one.encode().startswith(heads_prefix(one.space_id, one.writer))
    other = replace(other, space_id=one.space_id, writer=one.writer)
    if one.sequence != other.sequence:
        assert (one.sequence > other.sequence) == (one.encode() < other.encode())


@given(st.text(max_size=250) | names.map(lambda name: name.encode()[:-1]) | names.map(lambda name: name.encode() + "0"))
def test_fuzz_other_names_are_no_heads(name: str) -> None:
    assert HeadName.decode(name) is None


def test_names_that_only_look_like_a_heads_are_none() -> None:
    name = sample()[0].encode()
    space, heads, writer, last = name.split("/")
    for other in (
        name.upper(),
        f"{space}/packs/{writer}/{last}",
        f"{name}\n",
        f" {name}",
        f"{space}/{heads}/{writer}/{'f' * 16}-{last[17:]}",  # sequence 0
        f"{space}/{heads}/{writer}/{last.replace('-', '_')}",
        f"{space}/{heads}/{writer[:-1]}/{last}",
    ):
        assert HeadName.decode(other) is None
    with pytest.raises(Misuse):
        replace(sample()[0], check=b"\xff" * 65).encode()


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_an_embedded_pack_splits_as_it_was_joined(directory: bytes, column: bytes) -> None:
    assert tuple(map(bytes, split_embedded(embed(directory, column)))) == (directory, column)
    name, data = make(embedded=embed(directory, column))
    assert bytes(embedded_column(data, name.encode()) or b"") == column
    assert embedded_column(data + b"\0", name.encode()) is None
    assert embedded_column(data, "no/head") is None


@given(st.binary(max_size=20))
def test_fuzz_an_embedded_pack_is_whole_or_refused(junk: bytes) -> None:
    try:
        directory, column = split_embedded(junk)
    except HeadDamaged:
        return
    assert embed(bytes(directory), bytes(column)) == junk


# ---- level 2 ---------------------------------------------------------------------------------------------------------


@cache
def second_level() -> tuple[Membership, KeyRing]:
    """A space in which heads commit to what they have seen."""
    space_id, secrets, records = create(Policy(2, 4, 3, {"store": 2}), 1, device(), paper().public(), 1, feature=2)
    members = Membership.read(space_id, [data for _, data in records])
    return members, KeyRing.derive(space_id, members.epoch_id, secrets)


def committing_head(frontier: list[bytes], vector: Vector | None = None, feature: int = 2) -> tuple[HeadName, bytes]:
    return seal_head(
        incarnation=INCARNATION,
        sequence=1,
        previous=NO_HEAD,
        steward=StewardLayer(),
        member=MemberLayer(1, frontier, vector or {}, None, 0, 0),
        embedded=b"",
        device=device(),
        keys=second_level()[1],
        feature=feature,
    )


def test_a_head_commits_to_what_it_has_seen_and_to_nothing_else() -> None:
    members, keys = second_level()
    vector = {b"w" * 16: (3, b"h" * 32)}
    name, data = committing_head(members.frontier, vector)
    head = open_head(data, name, members, keys)
    assert head.member is not None
    seen = seen_of(head.member, head.envelope.writer)
    assert unpack(seen) == [members.frontier, [b"w" * 16, 3, b"h" * 32]]
    assert committed(head.envelope) == commitment(head.blind, seen)
    assert signed_by(device().public(), head.signed, head.signature)
    other_name, bare = committing_head(members.frontier)
    other = open_head(bare, other_name, members, keys)
    assert other.blind == head.blind, "it depends on the place alone"
    assert committed(other.envelope) != committed(head.envelope)


def test_a_head_that_commits_to_something_else_is_refused() -> None:
    members, keys = second_level()
    name, data = committing_head(members.frontier, {b"w" * 16: (3, b"h" * 32)})
    other = unpack(committing_head(members.frontier)[1])[0]
    parts = unpack(data)
    envelope = unpack(parts[0])
    for extra, match in (
        (unpack(other)[10], "commits to something else"),
        ({}, "does not commit"),
        ({1: b"short"}, "does not commit"),
        ({2: bytes(32)}, "does not commit"),
    ):
        signed = pack([*envelope[:10], extra])
        changed = pack([signed, *parts[1:4], sign_envelope(device(), signed)])
        with pytest.raises(HeadDamaged, match=match):
            open_head(changed, replace(name, check=hashed("object", changed)), members, keys)


@pytest.mark.parametrize(
    ("match", "frontier"),
    [
        ("names 0 records", []),
        ("names 65 records", [at.to_bytes(32, "big") for at in range(65)]),
        ("names 1 records", [b"short"]),
        ("out of order", [b"b" * 32, b"a" * 32]),
        ("out of order", [b"a" * 32, b"a" * 32]),
    ],
)
def test_a_frontier_is_a_few_hashes_in_order(match: str, frontier: list[bytes]) -> None:
    name, data = committing_head(frontier)
    with pytest.raises(HeadDamaged, match=match):
        open_head(data, name, *second_level())


@pytest.mark.parametrize("frontier", [[], [b"short"], [bytes(32)] * 65])
def test_a_head_of_level_one_names_records_too(frontier: list[bytes]) -> None:
    """In a space of level 2 as in one of level 1: what it is must not depend on which records are known."""
    low, high = make(replace(EMPTY, membership=frontier)), committing_head(frontier, feature=1)
    for (name, data), (members, keys) in ((low, membership()[:2]), (high, second_level())):
        with pytest.raises(HeadDamaged, match=f"names {len(frontier)} records"):
            open_head(data, name, members, keys)


def test_a_head_that_a_good_one_follows_needs_no_good_signature() -> None:
    members, keys = second_level()
    name, data = committing_head(members.frontier)
    parts = unpack(data)
    parts[4] = bytes(64)
    unsigned = pack(parts)
    found = take_apart(unsigned, replace(name, check=hashed("object", unsigned)))
    with pytest.raises(HeadDamaged, match="signature"):
        verify(found, members)
    verify(found, members, follows=True)
    assert open_layers(found, keys).hash == open_head(data, name, members, keys).hash
    with pytest.raises(HeadDamaged, match="another space"):
        verify(found, membership()[0], follows=True)


def test_a_head_of_a_level_that_no_record_says_is_refused() -> None:
    space_id, _, records = create(Policy(2, 4, 3, {"store": 2}), 1, device(), paper().public(), 1, feature=1)
    first_level = Membership.read(space_id, [data for _, data in records])
    name, data = committing_head(second_level()[0].frontier)
    found = replace(first_level, space_id=second_level()[0].space_id)
    with pytest.raises(HeadDamaged, match="feature level 2, the space's records say 1"):
        open_envelope(data, name, found)
