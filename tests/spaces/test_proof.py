"""Proofs: a stranger believes what a device signed, takes our word for what a store did, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Misuse
from ropewalk.spaces.envelope import HeadName, heads_prefix
from ropewalk.spaces.head import NO_HEAD, Head, MemberLayer, StewardLayer, open_head, seal_head
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.members import Accused, Membership, Policy, create
from ropewalk.spaces.members.operations import AddDevice, Deliver, content_bytes
from ropewalk.spaces.members.operations import Kind as Operation
from ropewalk.spaces.members.records import OperationBody, record_name, sign
from ropewalk.spaces.proof import (
    Kind,
    ProofDamaged,
    Statement,
    accusation,
    digest,
    introductions,
    listing,
    opened_exhibit,
    prove,
    signed_exhibit,
    verify,
)
from ropewalk.spaces.records import encode
from ropewalk.spaces.store import ObjectName
from ropewalk.spaces.vectors import Vector
from ropewalk.testing.letting_in import consents
from tests.spaces.making import device, flips, paper, truncations

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
INCARNATION = b"i" * 16
MARKER = b"m" * 16
OTHER = b"o" * 16


@cache
def membership() -> tuple[Membership, KeyRing, tuple[tuple[ObjectName, bytes], ...]]:
    """A space of level 2, of one device."""
    space_id, secrets, objects = create(Policy(2, 4, 3, {"store": 2}), 1, device(), paper().public(), 1, feature=2)
    members = Membership.read(space_id, [data for _, data in objects])
    return members, KeyRing.derive(space_id, members.epoch_id, secrets), tuple(objects)


@cache
def other_space() -> tuple[Membership, KeyRing]:
    """Another space of the same device."""
    return membership.__wrapped__()[:2]


def made(
    sequence: int = 1,
    previous: bytes = NO_HEAD,
    vector: Vector | None = None,
    *,
    note: str = "",
    by: DeviceKeys | None = None,
    feature: int = 2,
    incarnation: bytes = INCARNATION,
    space: tuple[Membership, KeyRing] | None = None,
) -> Head:
    members, keys = space or membership()[:2]
    name, data = seal_head(
        incarnation=incarnation,
        sequence=sequence,
        previous=previous,
        steward=StewardLayer(),
        member=MemberLayer(1, members.frontier, vector or {}, None, 0, 0, note),
        embedded=b"",
        device=by or device(),
        keys=keys,
        feature=feature,
    )
    return open_head(data, name, members, keys)


@cache
def operation(count: int, time: int, by: DeviceKeys | None = None) -> bytes:
    """An operation that does nothing, as an object."""
    members, author = membership()[0], by or device()
    body = encode(
        OperationBody(
            *("op", 1, members.space_id, author.public().id, INCARNATION, count, members.frontier),
            *(Operation.WRAP, content_bytes(Deliver([])), time),
        )
    )
    return sign(members.space_id, body, author)[1]


def records() -> list[bytes]:
    return [data for _, data in membership()[2]]


@cache
def genesis() -> tuple[bytes, ...]:
    return tuple(introductions(membership()[0].space_id, records(), [device().public().id]))


def show(kind: Kind, one: bytes, other: bytes, said: Statement | None = None, by: DeviceKeys | None = None) -> bytes:
    return prove(kind, membership()[0].space_id, genesis(), (one, other), said, by or device())


def said(text: str = "it went back", store: bytes | None = MARKER) -> Statement:
    return Statement(device().public().id, store, text, 5)


SEEN = {OTHER: (3, b"x" * 32)}


@cache
def pair() -> tuple[Head, Head]:
    """A head, and the next one, which has seen less."""
    first = made(1, vector=SEEN)
    return first, made(2, first.hash)


@cache
def samples() -> Mapping[Kind, bytes]:
    """A proof of each kind."""
    first, second = pair()
    prefix = heads_prefix(membership()[0].space_id, first.envelope.writer)
    return {
        Kind.FORK: show(Kind.FORK, signed_exhibit(made(note="one")), signed_exhibit(made(note="other"))),
        Kind.FORKED_RECORD: show(Kind.FORKED_RECORD, operation(1, 1), operation(1, 2)),
        Kind.WENT_BACK: show(Kind.WENT_BACK, opened_exhibit(first), opened_exhibit(second)),
        Kind.DOWNGRADE: show(Kind.DOWNGRADE, signed_exhibit(first), signed_exhibit(made(2, first.hash, feature=1))),
        Kind.ROLLBACK: show(
            Kind.ROLLBACK, signed_exhibit(second), listing("", [first.name.encode()], ended=True), said()
        ),
        Kind.REPLAY: show(
            Kind.REPLAY, signed_exhibit(made(space=other_space())), f"{prefix}{'0' * 16}-{'0' * 64}".encode(), said()
        ),
    }


ALL = pytest.mark.parametrize("kind", list(Kind))


def name_of(record: bytes) -> bytes:
    return record_name(membership()[0].space_id, record).encode()


@cache
def foreign() -> tuple[bytes, ...]:
    """A genesis, an epoch and an operation of another space, by a device that is introduced here too."""
    space_id, _, objects = create(Policy(2, 4, 3, {"store": 2}), 1, device(), paper().public(), 2, feature=2)
    fields = ("op", 1, space_id, device().public().id, INCARNATION, 1, [b"p" * 32], Operation.WRAP)
    body = encode(OperationBody(*fields, content_bytes(Deliver([])), 1))
    return *(data for _, data in objects), sign(space_id, body, device())[1]


@cache
def of_records() -> Mapping[str, bytes]:
    """Testimony about membership records, by what is told."""
    others = sorted(name_of(operation(count, 1)).decode() for count in range(1, 4))
    gone = next(one for one in (operation(count, 1) for count in range(1, 4)) if name_of(one).decode() == others[1])
    hidden = listing(others[0], [others[2]], ended=False)
    told = {f"replay {at}": show(Kind.REPLAY, one, name_of(one), said()) for at, one in enumerate(foreign())}
    return told | {
        "rollback": show(Kind.ROLLBACK, gone, hidden, said()),
        "rollback of the genesis": show(Kind.ROLLBACK, records()[0], listing("", [], ended=True), said()),
    }


@ALL
def test_a_file_shows_what_it_was_made_of(kind: Kind) -> None:
    found = verify(samples()[kind])
    assert (found.kind, found.proven) == (kind, kind <= Kind.DOWNGRADE)
    assert (found.space_id, found.device) == (membership()[0].space_id, device().public().id)
    assert found.file == digest(samples()[kind])
    assert found.statement == (None if found.proven else said())
    if kind is not Kind.FORKED_RECORD:
        assert found.writer == pair()[0].envelope.writer


def test_testimony_may_be_about_a_record() -> None:
    for told, data in of_records().items():
        found = verify(data)
        assert (found.kind is Kind.REPLAY, found.proven, found.of_record) == ("replay" in told, False, True)
        assert found.device == device().public().id
    assert [verify(of_records()[f"replay {at}"]).sequences for at in range(3)] == [(0, 0), (1, 0), (1, 0)]
    assert not verify(samples()[Kind.REPLAY]).of_record


@pytest.mark.parametrize("told", ["replay 2", "rollback"])
def test_no_flip_and_no_cut_of_what_is_about_a_record_shows_anything(told: str) -> None:
    data = of_records()[told]
    for changed in (*flips(data)[::3], *truncations(data)[::3]):
        with pytest.raises(ProofDamaged):
            verify(changed)


@ALL
def test_no_flip_and_no_cut_shows_anything(kind: Kind) -> None:
    data = samples()[kind]
    for changed in (*flips(data)[::3], *truncations(data)[::3]):
        with pytest.raises(ProofDamaged):
            verify(changed)


@given(st.binary(max_size=300))
def test_fuzz_junk_shows_nothing(junk: bytes) -> None:
    with pytest.raises(ProofDamaged):
        verify(junk)


@ALL
@given(st.integers(0, 6), st.binary(max_size=40) | st.integers(-1, 9) | st.lists(st.binary(max_size=9)) | st.none())
def test_fuzz_no_field_can_be_another(kind: Kind, field: int, junk: object) -> None:
    parts = unpack(samples()[kind])
    if parts[field] != junk:
        parts[field] = junk
        with pytest.raises(ProofDamaged):
            verify(pack(parts))


def test_who_is_not_introduced_proves_nothing() -> None:
    stranger = DeviceKeys(b"s" * 32)
    members, _, _ = membership()
    with pytest.raises(Misuse, match="not brought in"):
        introductions(members.space_id, records(), [stranger.public().id])
    with pytest.raises(ProofDamaged, match="introduced"):
        show(Kind.FORKED_RECORD, operation(1, 1, stranger), operation(1, 2, stranger))
    with pytest.raises(ProofDamaged, match="statement is not signed"):
        show(Kind.FORK, *_fork(), said(), stranger)
    with pytest.raises(Misuse, match="genesis"):
        introductions(members.space_id, [], [])


def _fork() -> tuple[bytes, bytes]:
    return signed_exhibit(made(note="one")), signed_exhibit(made(note="other"))


def test_a_device_that_came_later_is_introduced_by_the_chain_of_records_that_let_it_in() -> None:
    members, _, _ = membership()
    newcomer, next_one = DeviceKeys(b"n" * 32), DeviceKeys(b"t" * 32)
    first = _adding(newcomer, device(), 1)
    second = _adding(next_one, newcomer, 1)
    chain = introductions(members.space_id, [second, first, *records()], [next_one.public().id])
    assert chain == [genesis()[0], first, second]
    exhibits = operation(5, 1, next_one), operation(5, 2, next_one)
    found = verify(prove(Kind.FORKED_RECORD, members.space_id, chain, exhibits))
    assert found.device == next_one.public().id
    for wrong in ([chain[0], second, first], [*chain, first], chain[1:], [chain[0], second]):
        with pytest.raises(ProofDamaged):
            prove(Kind.FORKED_RECORD, members.space_id, wrong, exhibits)


def _adding(keys: DeviceKeys, by: DeviceKeys, count: int) -> bytes:
    members = membership()[0]
    content = content_bytes(AddDevice(keys.public(), b"", [], consents(members.space_id, bytes(16), 0, [keys])))
    parents = members.frontier
    fields = ("op", 1, members.space_id, by.public().id, INCARNATION, count, parents, Operation.DEVICE, content, 1)
    return sign(members.space_id, encode(OperationBody(*fields)), by)[1]


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (Kind.FORK, lambda: (signed_exhibit(made()), signed_exhibit(made()))),
        (Kind.FORK, lambda: (signed_exhibit(pair()[0]), signed_exhibit(pair()[1]))),
        (Kind.FORK, lambda: (signed_exhibit(made()), signed_exhibit(made(incarnation=OTHER)))),
        (Kind.FORK, lambda: (signed_exhibit(made()), signed_exhibit(made(space=other_space())))),
        (Kind.FORK, lambda: (opened_exhibit(made(note="one")), opened_exhibit(made(note="other")))),
        (Kind.FORKED_RECORD, lambda: (operation(1, 1), operation(2, 1))),
        (Kind.FORKED_RECORD, lambda: (records()[1], operation(2, 1))),
        (Kind.WENT_BACK, lambda: (opened_exhibit(made(1)), opened_exhibit(made(2, b"p" * 32, SEEN)))),
        (Kind.WENT_BACK, lambda: (opened_exhibit(made(1, vector=SEEN)), opened_exhibit(made(2, b"p" * 32, SEEN)))),
        (
            Kind.WENT_BACK,  # the later one names a branch of what the earlier named
            lambda: (
                opened_exhibit(made(1, vector=SEEN)),
                opened_exhibit(made(2, b"p" * 32, {OTHER: (1, b"w" * 32), b"q" * 16: (3, b"x" * 32)})),
            ),
        ),
        (Kind.WENT_BACK, lambda: (_lying(opened_exhibit(pair()[0])), opened_exhibit(pair()[1]))),
        (Kind.DOWNGRADE, lambda: (signed_exhibit(made(1)), signed_exhibit(made(2, b"p" * 32)))),
        (Kind.DOWNGRADE, lambda: (signed_exhibit(made(1, feature=1)), signed_exhibit(made(2, b"p" * 32)))),
        (Kind.ROLLBACK, lambda: (signed_exhibit(pair()[0]), listing("", [pair()[0].name.encode()], ended=True))),
        (Kind.ROLLBACK, lambda: (signed_exhibit(pair()[0]), listing("", [pair()[1].name.encode()], ended=False))),
        (Kind.ROLLBACK, lambda: (signed_exhibit(pair()[1]), listing(pair()[0].name.encode(), [], ended=True))),
        (Kind.ROLLBACK, lambda: (signed_exhibit(pair()[1]), listing("", ["z", "a"], ended=True))),
        (Kind.ROLLBACK, lambda: (signed_exhibit(pair()[1]), listing("", ["junk"], ended=True))),
        (Kind.REPLAY, lambda: (signed_exhibit(made()), made().name.encode().encode())),
        (Kind.REPLAY, lambda: (signed_exhibit(made(space=other_space())), b"elsewhere")),
        (Kind.REPLAY, lambda: (b"junk", made().name.encode().encode())),
        (Kind.REPLAY, lambda: (operation(1, 1), name_of(operation(1, 1)))),
        (Kind.REPLAY, lambda: (foreign()[2], name_of(foreign()[1]))),
        (Kind.REPLAY, lambda: (_unsigned(foreign()[2]), name_of(_unsigned(foreign()[2])))),
        (Kind.ROLLBACK, lambda: (foreign()[2], listing("", [], ended=True))),
        (Kind.ROLLBACK, lambda: (operation(1, 1), listing("", [], ended=False))),
        (Kind.ROLLBACK, lambda: (operation(1, 1), listing("", [name_of(operation(1, 1)).decode()], ended=True))),
        (Kind.ROLLBACK, lambda: (operation(1, 1, DeviceKeys(b"s" * 32)), listing("", [], ended=True))),
        (Kind.ROLLBACK, lambda: (operation(1, 1), listing("", ["junk"], ended=True))),
    ],
)
def test_what_an_honest_device_or_store_may_do_shows_nothing(
    kind: Kind, make: Callable[[], tuple[bytes, bytes]]
) -> None:
    with pytest.raises(ProofDamaged):
        show(kind, *make(), said())


def _unsigned(record: bytes) -> bytes:
    parts = unpack(record)
    return pack([*parts[:2], bytes(len(parts[2]))])


def _lying(exhibit: bytes) -> bytes:
    parts = unpack(exhibit)
    parts[3] = pack([membership()[0].frontier, [OTHER, 9, b"x" * 32]])
    return pack(parts)


@pytest.mark.parametrize("kind", [Kind.ROLLBACK, Kind.REPLAY])
def test_testimony_is_somebodys_and_about_a_store(kind: Kind) -> None:
    exhibits = unpack(samples()[kind])[5]
    for word in (None, said(store=None)):
        with pytest.raises(ProofDamaged, match="which store"):
            show(kind, exhibits[0], exhibits[1], word)
    for word in (said("x" * 501), said(store=b"short")):
        with pytest.raises(ProofDamaged, match="longer text"):
            show(kind, exhibits[0], exhibits[1], word)


def test_a_proof_in_a_record_accuses_in_its_own_space_only() -> None:
    space_id = membership()[0].space_id
    first, second = verify(samples()[Kind.FORK]).hashes
    writer = pair()[0].envelope.writer
    accused = device().public().id
    assert accusation(space_id, samples()[Kind.FORK]) == Accused(accused, writer, 1, frozenset((first, second)))
    back = frozenset(verify(samples()[Kind.WENT_BACK]).hashes)
    assert accusation(space_id, samples()[Kind.WENT_BACK]) == Accused(accused, exhibits=back)
    assert accusation(bytes(32), samples()[Kind.FORK]) is None
    assert accusation(space_id, samples()[Kind.ROLLBACK]) is None
    assert accusation(space_id, b"junk") is None


def test_two_heads_after_one_are_a_fork_that_has_no_one_place() -> None:
    exhibits = signed_exhibit(made(2, b"p" * 32)), signed_exhibit(made(3, b"p" * 32))
    data = show(Kind.FORK, exhibits[1], exhibits[0])
    assert verify(data).sequences == (2, 3)
    accused = Accused(device().public().id, exhibits=frozenset(verify(data).hashes))
    assert accusation(membership()[0].space_id, data) == accused


def test_names_in_a_listing_are_those_of_heads() -> None:
    first, second = pair()
    assert HeadName.decode(first.name.encode()) is not None
    assert first.name.encode() > second.name.encode()
    names = [f"{second.name.encode()[:-1]}{at}" for at in range(3)]
    with pytest.raises(ProofDamaged, match="has what it should not"):
        show(Kind.ROLLBACK, signed_exhibit(second), listing("", names, ended=True), said())


def test_a_limit_holds_for_records() -> None:
    parts = unpack(samples()[Kind.FORK])
    parts[4] = parts[4] * 2001
    with pytest.raises(ProofDamaged):
        verify(pack(parts))
    parts[4] = []
    with pytest.raises(ProofDamaged, match="0 records"):
        verify(pack(parts))
