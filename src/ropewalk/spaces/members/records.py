"""Signed forms: genesis, epoch and operation records as they lie in a store (docs/spec/space.md 3, groups.md 1).

Flow: structs <-> bytes of a body <-> Signed <-> bytes of an object, named by their hash
Never: says who may do what, or looks at a second record.
"""

from __future__ import annotations

import itertools
import re
from typing import Annotated

import msgspec
from msgspec import Meta

from ropewalk.errors import Damaged
from ropewalk.spaces.identity import DEVICE, PAPER, DeviceKeys, PublicKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.records import NO_EXTRA, Format, RecordMalformed, encode
from ropewalk.spaces.store import ObjectName, object_name

__all__ = [
    "FEATURE_LEVEL",
    "LARGEST_OPERATION",
    "LARGEST_PROOF",
    "LARGEST_RECORD",
    "MOST_KEYS",
    "MOST_PARENTS",
    "MOST_WRAPS",
    "Before",
    "Digest",
    "EpochBody",
    "Genesis",
    "Id",
    "OperationBody",
    "Policy",
    "RecordDamaged",
    "Signed",
    "Wrap",
    "are_keys",
    "are_parents",
    "epoch_info",
    "fits",
    "is_later",
    "is_record",
    "object_hash",
    "operation_body",
    "parse",
    "parse_epoch",
    "parse_genesis",
    "record_hash",
    "record_name",
    "records_prefix",
    "sign",
    "steward_info",
]

FEATURE_LEVEL = 2
LARGEST_RECORD = 2 * 1024 * 1024
LARGEST_OPERATION = 64 * 1024  # bytes of a body
LARGEST_PROOF = 512 * 1024 + 128 * 1024  # of a body: what is proven has 512 KiB, its cuts the rest
MOST_WRAPS = 1024  # in an epoch
MOST_PARENTS = 16
MOST_KEYS = 4  # that come in with a member
_SIGNED = b"ropewalk record 1\0"
_NAME = re.compile(r"([0-9a-f]{64})/records/([0-9a-f]{64})\Z")
_KEY_SIZES = (32, 1952, 32, 1184)  # bytes of Ed25519, ML-DSA-65, X25519 and ML-KEM-768 public keys

Id = Annotated[bytes, Meta(min_length=16, max_length=16)]
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Natural = Annotated[int, Meta(ge=0)]


class RecordDamaged(Damaged):
    """A membership record is not what its name, its signature or the format says."""

    code = "members.record-damaged"


class Policy(msgspec.Struct, frozen=True, array_like=True):
    """The part of the promise that placement needs."""

    k: int
    n: int
    floor: int  # shares, and copies of a head, that must be durable before a write is acknowledged
    survive: dict[str, int]  # domain kind -> how many may be lost


class Genesis(msgspec.Struct, frozen=True, array_like=True):
    """The body of the first record."""

    type: str
    version: int
    nonce: bytes
    feature: int
    consistency: int
    privacy: int
    policy: Policy
    thresholds: list[int]
    member: bytes
    devices: list[PublicKeys]
    time: int
    extra: msgspec.Raw = NO_EXTRA


class Wrap(msgspec.Struct, frozen=True, array_like=True):
    """Secrets for one device."""

    device: bytes
    wrap: bytes


class Before(msgspec.Struct, frozen=True, array_like=True):
    """The secrets of an epoch before, sealed with those of the one that follows."""

    epoch: bytes
    members: bytes
    stewards: bytes


class EpochBody(msgspec.Struct, frozen=True, array_like=True):
    """The body of a record that begins an epoch."""

    type: str
    version: int
    space: bytes
    number: int
    parents: list[bytes]
    author: bytes
    check: bytes
    steward_check: bytes
    wraps: list[Wrap]
    steward_wraps: list[Wrap]
    previous: list[Before]
    extra: msgspec.Raw = NO_EXTRA


class OperationBody(msgspec.Struct, frozen=True, array_like=True):
    """The body of an operation; what its content must be is for `operations` to say."""

    type: str
    version: int
    space: Digest
    author: Id
    incarnation: Id
    count: Annotated[int, Meta(ge=1)]
    parents: list[bytes]
    kind: Natural
    content: msgspec.Raw
    time: Natural
    extra: msgspec.Raw = NO_EXTRA


class Signed(msgspec.Struct, frozen=True, array_like=True):
    """A record as it lies in a store."""

    body: bytes
    ed25519: bytes
    mldsa: bytes

    @classmethod
    def make(cls, body: bytes, keys: DeviceKeys) -> Signed:
        """Sign ``body`` with both of the device's signature keys."""
        return cls(body, *keys.sign_slow(_SIGNED + body))

    def verify(self, author: PublicKeys) -> bool:
        """Whether ``author`` signed it, with both keys."""
        return author.verify_slow((self.ed25519, self.mldsa), _SIGNED + self.body)


_signed = Format(Signed, LARGEST_RECORD, "record")
_genesis = Format(Genesis, LARGEST_RECORD, "genesis")
_epoch = Format(EpochBody, LARGEST_RECORD, "epoch record")
operation_body = Format(OperationBody, LARGEST_PROOF, "operation")
_any = msgspec.msgpack.Decoder(list[msgspec.Raw])
_text = msgspec.msgpack.Decoder(str)
_number = msgspec.msgpack.Decoder(int)
_TYPES = ("genesis", "epoch", "op")


def records_prefix(space_id: bytes) -> str:
    """Where the records of a space lie."""
    return f"{space_id.hex()}/records/"


def record_hash(body: bytes) -> bytes:
    """What a record is known by."""
    return hashed("record", body)


def object_hash(data: bytes) -> bytes:
    """What the name of a record's object ends in; it commits to every byte, the signatures too."""
    return hashed("object", data)


def record_name(space_id: bytes, data: bytes) -> ObjectName:
    """The name of a record object in a store; it commits to every byte of it."""
    return object_name(records_prefix(space_id) + object_hash(data).hex())


def is_record(name: str, data: bytes) -> bool:
    """Whether bytes from a store are those that a record's name commits to."""
    match = _NAME.match(name)
    return match is not None and object_hash(data).hex() == match[2]


def sign(space_id: bytes, body: bytes, keys: DeviceKeys) -> tuple[ObjectName, bytes]:
    """Name and bytes of a record's object; each call makes others, so they are kept before the first put."""
    data = encode(Signed.make(body, keys))
    return record_name(space_id, data), data


def parse(data: bytes) -> Signed | None:
    """A record's object in its parts, or None where it is none; no signature is looked at."""
    try:
        return _signed.decode(data)
    except RecordMalformed:
        return None


def is_later(body: bytes) -> bool:
    """Whether a body is of a type or a version that this version does not know."""
    try:
        fields = _any.decode(body)
        return _text.decode(fields[0]) not in _TYPES or _number.decode(fields[1]) != 1
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError, RecursionError):
        return False


def parse_genesis(body: bytes) -> Genesis:
    """The genesis, which says nothing that cannot be; whoever calls compares its hash to the space id.

    Raises:
        RecordDamaged: It is none of version 1.
    """
    try:
        genesis = _genesis.decode(body)
    except RecordMalformed as error:
        raise RecordDamaged(str(error)) from None
    kinds = [device.kind for device in genesis.devices]
    thresholds = genesis.thresholds
    if genesis.type != "genesis" or genesis.version != 1 or not thresholds or thresholds[0] < 0:
        raise RecordDamaged("genesis is not of version 1")
    if genesis.feature <= FEATURE_LEVEL:  # of a later level nothing is known but that
        if not fits(genesis.policy, thresholds[0]):
            policy = genesis.policy
            raise RecordDamaged(f"genesis has a policy of {policy.k} of {policy.n} with floor {policy.floor}")
        if genesis.privacy not in (1, 2) or genesis.consistency != 1:
            raise RecordDamaged("genesis has a privacy level or a class that feature level 2 does not have")
        if genesis.feature >= 2 and thresholds[1:] != [1]:
            raise RecordDamaged(f"genesis has thresholds {thresholds}, and the admins needed are always 1")
    if kinds.count(PAPER) != 1 or kinds[0] != DEVICE or not set(kinds) <= {DEVICE, PAPER}:
        raise RecordDamaged(f"genesis has keys of the kinds {kinds}, expected a device first and one paper key")
    return genesis


def fits(policy: Policy, lying: int) -> bool:
    """Whether a policy can be kept at all, with so many stores that lie."""
    return 1 <= policy.k <= policy.n <= 64 and policy.k + lying <= policy.floor <= policy.n


def parse_epoch(body: bytes, space_id: bytes) -> EpochBody | None:
    """An epoch record of this space in its parts, or None where it is none."""
    try:
        epoch = _epoch.decode(body)
    except RecordMalformed:
        return None
    if epoch.type != "epoch" or epoch.version != 1 or epoch.space != space_id or epoch.number < 1:
        return None
    if len(epoch.wraps) + len(epoch.steward_wraps) > MOST_WRAPS or not are_parents(epoch.parents):
        return None
    return epoch


def are_parents(parents: list[bytes]) -> bool:
    """Whether these are 1 to 16 hashes in ascending order, none twice."""
    ascending = all(one < other for one, other in itertools.pairwise(parents))
    return 1 <= len(parents) <= MOST_PARENTS and ascending and all(len(parent) == 32 for parent in parents)


def are_keys(keys: PublicKeys) -> bool:
    """Whether these have the form of a device's or a paper key's public half."""
    sizes = (len(keys.ed25519), len(keys.mldsa), len(keys.x25519), len(keys.mlkem))
    return keys.kind in (DEVICE, PAPER) and sizes == _KEY_SIZES


def epoch_info(space_id: bytes, number: int, device: bytes, check: bytes) -> bytes:
    """HPKE's info of a member's wrap."""
    return b"ropewalk epoch 1\0" + space_id + number.to_bytes(8, "big") + device + check


def steward_info(space_id: bytes, number: int, device: bytes, steward_check: bytes) -> bytes:
    """HPKE's info of a steward's wrap."""
    return b"ropewalk steward 1\0" + space_id + number.to_bytes(8, "big") + device + steward_check
