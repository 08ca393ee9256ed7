"""Kinds of operation, and what each must look like (docs/spec/groups.md 1).

Flow: body -> Operation with the content of its kind -> graph; content -> bytes, for who writes one
Never: looks at another record, or says who may write what.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from ropewalk.spaces.identity import PAPER, PublicKeys
from ropewalk.spaces.members.consent import Consent, are_consents, member_id, named, pledged
from ropewalk.spaces.members.records import (
    LARGEST_OPERATION,
    LARGEST_PROOF,
    MOST_KEYS,
    Digest,
    Id,
    Policy,
    are_keys,
    are_parents,
    fits,
    operation_body,
)
from ropewalk.spaces.records import Format, RecordMalformed, encode

__all__ = [
    "LARGEST_EXHIBITS",
    "LARGEST_LABEL",
    "MOST_CUT",
    "NO_CUT",
    "Accept",
    "Add",
    "AddDevice",
    "Content",
    "Cut",
    "Deliver",
    "Delivered",
    "Kind",
    "Operation",
    "Prove",
    "Remove",
    "Revoke",
    "Role",
    "SetLabel",
    "SetLevel",
    "SetPolicy",
    "SetRole",
    "Unknown",
    "content_bytes",
    "is_unreleased",
    "member_of",
    "parse_operation",
]

LARGEST_LABEL = 256  # bytes: a box of a name of up to 100
LARGEST_WRAP = 1232  # bytes: HPKE's encapsulation, 96 bytes of secrets and a tag
LARGEST_EXHIBITS = 512 * 1024  # bytes of a proof file
MOST_CUT = 1024  # writers in the cuts of one operation
_MOST = (1 << 63) - 1  # of a sequence, as in heads


class Role(IntEnum):
    """What a member may do, each all that those below it may."""

    STEWARD = 1  # keeps the promise, reads nothing
    READER = 2
    WRITER = 3
    ADMIN = 4


class Kind(IntEnum):
    """What an operation does; the numbers are in the records."""

    ADD = 1
    REMOVE = 2
    ROLE = 3
    DEVICE = 4
    REVOKE = 5
    POLICY = 6
    LEVEL = 7
    ACCEPT = 8
    WRAP = 9
    PROOF = 10
    LABEL = 12  # 11 is reserved


_Label = Annotated[bytes, Meta(max_length=LARGEST_LABEL)]
_Cuts = msgspec.Raw  # in its own form until it is asked for: read, 54 KB of cuts take four times that


class Delivered(msgspec.Struct, frozen=True, array_like=True):
    """The secrets of an epoch for a device that came later than its record."""

    epoch: Digest
    device: Id
    wrap: Annotated[bytes, Meta(max_length=LARGEST_WRAP)]


class Add(msgspec.Struct, frozen=True, array_like=True):
    """A new member with its first keys."""

    nonce: Id
    role: Role
    keys: list[PublicKeys]
    label: _Label
    wraps: list[Delivered]
    consents: list[Consent]  # of its devices, in the order of their keys


class Remove(msgspec.Struct, frozen=True, array_like=True):
    """A member and all its devices, for ever."""

    member: Id
    cuts: _Cuts


class SetRole(msgspec.Struct, frozen=True, array_like=True):
    """Another role for a member."""

    member: Id
    role: Role
    cuts: _Cuts


class AddDevice(msgspec.Struct, frozen=True, array_like=True):
    """One more device, or a paper key, of the member whose device says so."""

    keys: PublicKeys
    label: _Label
    wraps: list[Delivered]
    consents: list[Consent]  # of the device; a paper key needs none


class Revoke(msgspec.Struct, frozen=True, array_like=True):
    """A device, for ever as one of the member that it is of."""

    device: Id
    cuts: _Cuts


class SetPolicy(msgspec.Struct, frozen=True, array_like=True):
    """Another policy; the privacy level may only rise."""

    policy: Policy
    thresholds: list[int]
    privacy: int


class SetLevel(msgspec.Struct, frozen=True, array_like=True):
    """A feature level; the greatest one stands."""

    feature: Annotated[int, Meta(ge=2, le=255)]


class Accept(msgspec.Struct, frozen=True, array_like=True):
    """Heads past a cut that are taken in all the same, and frozen devices that may go on."""

    cuts: _Cuts
    thawed: list[Id]


class Deliver(msgspec.Struct, frozen=True, array_like=True):
    """Secrets for devices that came later than the epoch's record; with none, it only joins its parents."""

    wraps: list[Delivered]


class Prove(msgspec.Struct, frozen=True, array_like=True):
    """A proof that a device signed what no honest device signs; its exhibits count, not who wrote it."""

    proof: Annotated[bytes, Meta(max_length=LARGEST_EXHIBITS)]
    cuts: _Cuts


class SetLabel(msgspec.Struct, frozen=True, array_like=True):
    """A name, in a sealed box, for a member or a device."""

    bearer: Id
    label: _Label


@dataclass(frozen=True, slots=True)
class Unknown:
    """The content of an operation of a later version."""

    kind: int


Content = (
    Add | Remove | SetRole | AddDevice | Revoke | SetPolicy | SetLevel | Accept | Deliver | Prove | SetLabel | Unknown
)  # what the kinds of operation hold


@dataclass(frozen=True, slots=True)
class Cut:
    """Up to where the heads of a device's writers count; those of a writer not named do not count at all."""

    heads: Mapping[bytes, tuple[int, bytes]]  # by writer: sequence and head hash

    def packed(self) -> msgspec.Raw:
        """As it stands in a record."""
        return msgspec.Raw(encode([part for writer in sorted(self.heads) for part in (writer, *self.heads[writer])]))

    @classmethod
    def parse(cls, packed: msgspec.Raw) -> Cut | None:
        """What stands in a record, or None where that are no cuts."""
        if (flat := _flat(packed)) is None:
            return None
        heads: dict[bytes, tuple[int, bytes]] = {}
        for writer, sequence, digest in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
            assert isinstance(writer, bytes)
            assert isinstance(sequence, int)
            assert isinstance(digest, bytes)
            heads[writer] = sequence, digest
        return cls(heads)


_cuts_form: Format[list[bytes | int]] = Format(list[bytes | int], LARGEST_PROOF, "cuts")
_NOTHING = msgspec.Raw(encode([]))


def _flat(packed: msgspec.Raw) -> list[bytes | int] | None:
    try:
        flat = _cuts_form.decode(memoryview(packed))
    except RecordMalformed:
        return None
    return flat if _are_cuts(flat) else None


def _are_cuts(flat: Sequence[bytes | int]) -> bool:
    # Whole columns at a time: a former member could write thousands of records full of cuts.
    writers, sequences, digests = flat[::3], flat[1::3], flat[2::3]
    if len(flat) % 3 or len(flat) > 3 * MOST_CUT or not {*map(type, sequences)} <= {int}:
        return False
    if not {*map(type, writers), *map(type, digests)} <= {bytes}:
        return False
    lengths = {*map(len, writers)} <= {16} and {*map(len, digests)} <= {32}  # type: ignore[arg-type]
    ascending = all(map(operator.lt, writers, writers[1:]))
    return lengths and ascending and (not flat or (min(sequences) >= 1 and max(sequences) <= _MOST))  # type: ignore[operator]


NO_CUT = Cut({})


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation whose form is right; what it comes to is for `resolve` to say."""

    author: bytes  # device id
    incarnation: bytes
    count: int  # from 1, of the operations of this device and incarnation
    parents: tuple[bytes, ...]
    content: Content
    time: int  # nanoseconds; a hint

    @property
    def cut(self) -> Cut:
        """Its cuts; none, where its kind has none."""
        return Cut.parse(_cuts(self.content)) or NO_CUT


_CONTENTS: dict[int, Format[Content]] = {
    kind: Format(form, LARGEST_PROOF if kind == Kind.PROOF else LARGEST_OPERATION, f"{kind.name.lower()} operation")
    for kind, form in (
        (Kind.ADD, Add),
        (Kind.REMOVE, Remove),
        (Kind.ROLE, SetRole),
        (Kind.DEVICE, AddDevice),
        (Kind.REVOKE, Revoke),
        (Kind.POLICY, SetPolicy),
        (Kind.LEVEL, SetLevel),
        (Kind.ACCEPT, Accept),
        (Kind.WRAP, Deliver),
        (Kind.PROOF, Prove),
        (Kind.LABEL, SetLabel),
    )
}


# As `add` and `device` were until consents came.
_UNRELEASED: dict[int, Format[tuple[object, ...]]] = {
    Kind.ADD: Format(tuple[Id, Role, list[PublicKeys], _Label, list[Delivered]], LARGEST_OPERATION, "add operation"),
    Kind.DEVICE: Format(tuple[PublicKeys, _Label, list[Delivered]], LARGEST_OPERATION, "device operation"),
}


def member_of(space_id: bytes, author: bytes, said: Add) -> bytes:
    """The id of the member that the device ``author`` adds."""
    salt = said.consents[0].salt if said.consents else b""
    return member_id(pledged(space_id, author, said.nonce), named(said.keys), salt)


def parse_operation(body: bytes, space_id: bytes) -> Operation | None:
    """An operation of version 1 and this space, or None where it is none, or not what its kind must be."""
    try:
        plain = operation_body.decode(body)
        if plain.type != "op" or plain.version != 1 or plain.space != space_id or not are_parents(plain.parents):
            return None
        if plain.kind != Kind.PROOF and len(body) > LARGEST_OPERATION:
            return None
        form = _CONTENTS.get(plain.kind)
        content = Unknown(plain.kind) if form is None else form.decode(memoryview(plain.content))
    except RecordMalformed:
        return None
    if _flat(_cuts(content)) is None or not _fits(content):
        return None
    return Operation(plain.author, plain.incarnation, plain.count, tuple(plain.parents), content, plain.time)


def is_unreleased(body: bytes) -> bool:
    """Whether a body lets somebody in as programs wrote it that were never released: nobody consents."""
    try:
        plain = operation_body.decode(body)
        form = _UNRELEASED.get(plain.kind)
        if plain.type != "op" or plain.version != 1 or form is None:
            return False
        form.decode(memoryview(plain.content))
    except RecordMalformed:
        return False
    return True


def _cuts(content: Content) -> msgspec.Raw:
    return content.cuts if isinstance(content, Remove | SetRole | Revoke | Accept | Prove) else _NOTHING


def content_bytes(content: Content) -> msgspec.Raw:
    """As it stands in a record."""
    return msgspec.Raw(encode(content))


def _fits(content: Content) -> bool:
    match content:
        case Add(keys=keys, consents=consents):
            if not 1 <= len(keys) <= MOST_KEYS or not all(map(are_keys, keys)):
                return False
            if len({one.id for one in keys}) < len(keys) or sum(one.kind == PAPER for one in keys) > 1:
                return False
            return are_consents(consents, keys, all_named=True)
        case AddDevice(keys=keys, consents=consents):
            return are_keys(keys) and are_consents(consents, [keys], all_named=False)
        case SetPolicy(policy=policy, thresholds=thresholds, privacy=privacy):
            right = len(thresholds) == 2 and thresholds[0] >= 0 and thresholds[1] == 1 and privacy in (1, 2)
            return right and fits(policy, thresholds[0])
        case Accept(thawed=thawed):
            return all(one < other for one, other in itertools.pairwise(thawed))
    return True
