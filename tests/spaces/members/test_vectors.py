"""The package says of groups what the vectors say, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from docs.spec.vectors import cases_groups
from ropewalk.spaces.keys import KeyRing, Secrets
from ropewalk.spaces.members import (
    FEATURE_LEVEL,
    Accused,
    Membership,
    Signed,
    committed,
    consent_message,
    member_id,
    member_of,
    open_label,
    pledged,
    record_hash,
    seal_label,
    ticket,
)
from ropewalk.spaces.members.operations import Add, Unknown, parse_operation
from ropewalk.spaces.members.records import object_hash
from ropewalk.spaces.records import encode

Case = dict[str, Any]
CASES: list[Case] = json.loads((Path(__file__).parents[3] / "docs" / "spec" / "vectors" / "groups.json").read_text())


def of(what: str) -> list[Any]:
    found = [pytest.param(case, id=case["why"]) for case in CASES if case["what"] == what]
    assert found
    return found


def test_every_kind_of_case_has_a_test() -> None:
    assert {case["what"] for case in CASES} == {"operation", "consent", "example", "room", "label"}


@pytest.mark.parametrize("case", of("operation"))
def test_operations(case: Case) -> None:
    body, space_id = bytes.fromhex(case["body"]), bytes.fromhex(case["space_id"])
    assert record_hash(body).hex() == case["hash"]
    operation = parse_operation(body, space_id)
    assert (operation is not None) is case["counts"]
    if operation is not None:
        assert isinstance(operation.content, Unknown) is (case["kind"] == 11)
    if "member" in case:
        assert operation is not None
        assert isinstance(operation.content, Add)
        assert member_of(space_id, operation.author, operation.content).hex() == case["member"]


def test_consents() -> None:
    (case,) = (one for one in CASES if one["what"] == "consent")
    space_id, author, nonce, salt, of, blind = (
        bytes.fromhex(case[name]) for name in ("space_id", "author", "nonce", "salt", "of", "blind")
    )
    names, tickets = ([bytes.fromhex(one) for one in case[name]] for name in ("names", "tickets"))
    pledge = pledged(space_id, author, nonce)
    assert (pledge.hex(), member_id(pledge, names, salt).hex()) == (case["pledge"], case["member"])
    assert tickets == [ticket(space_id, pledge, case["role"]), ticket(space_id, of)]
    assert consent_message(names, salt, committed(blind, tickets)).hex() == case["signed"]


def accused(file: bytes) -> Accused:
    """What a file of an example proves: whom, and of what."""
    device, matter, _ = msgspec.msgpack.decode(file)
    return Accused(device, exhibits=frozenset({matter.encode()}))


@pytest.mark.parametrize("case", of("example"))
def test_examples(case: Case) -> None:
    bodies = cases_groups.bodies(case["records"])
    assert {label: record_hash(body).hex() for label, body in bodies.items()} == case["hashes"]
    labels = {record_hash(body): label for label, body in bodies.items()}
    objects = [encode(Signed(body, b"", b"")) for body in bodies.values()]
    verified = {object_hash(data) for data in objects}
    read = Membership.read(cases_groups.SPACE, objects, verified=verified, proofs=accused)
    authors = {said[0]: author for _, author, _, kind, *said in case["records"] if kind == 1} | {"A": "a1"}
    people = {cases_groups.member(label, author): label for label, author in authors.items()}
    devices = {cases_groups.device(label).id: label for label in ("a1", "paperA", "b1", "b2", "c1", "c2", "d1", "d2")}
    devices |= {
        cases_groups.device(cases_groups.first_device(label)).id: cases_groups.first_device(label) for label in authors
    }
    devices |= {cases_groups.device(row[4]).id: row[4] for row in case["records"] if row[3] == 4}
    state = read.state
    assert {people[one]: int(member.role) for one, member in state.members.items()} == case["members"]
    assert {devices[one]: people[of] for one, of in state.devices.items()} == case["devices"]
    assert sorted(devices[one] for one in state.frozen) == case["frozen"]
    assert {labels[one]: labels[why.by] for one, why in state.struck.items()} == case["struck"]
    assert sorted(labels[one.hash] for one in read.records if one.grounded) == case["standing"]
    assert (read.feature, read.read_only) == (case["feature"], case["unknown"] or case["feature"] > FEATURE_LEVEL)
    named = {people[one]: member.label for one, member in state.members.items()}
    named |= {devices[one]: box for one, box in state.labels.items()}
    assert {one: box.decode() for one, box in named.items() if box} == case["labels"]


@pytest.mark.parametrize("case", of("room"))
def test_room(case: Case) -> None:
    bodies = cases_groups.bodies(case["records"])
    labels = {record_hash(body): label for label, body in bodies.items()}
    objects = [encode(Signed(body, b"", b"")) for body in bodies.values()]
    verified = {object_hash(data) for data in objects}
    read = Membership.read(cases_groups.SPACE, objects, verified=verified, room=case["room"], partly=True)
    assert sorted(labels[one.hash] for one in read.records) == case["count"]
    assert ([] if read.crowd is None else [read.crowd.device]) == [
        cases_groups.device(one).id for one in case["flooding"]
    ]


@pytest.mark.parametrize("case", of("label"))
def test_labels(case: Case) -> None:
    space_id, epoch, secret, bearer, box = (
        bytes.fromhex(case[name]) for name in ("space_id", "epoch", "epoch_secret", "bearer", "box")
    )
    ring = KeyRing.derive(space_id, epoch, Secrets(secret, bytes(32), bytes(32)))
    assert open_label(ring, bearer, box) == case["name"]
    if case["name"] is not None:
        assert seal_label(ring, bearer, case["name"]) == box
