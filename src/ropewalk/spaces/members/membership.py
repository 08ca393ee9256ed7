"""Members: the signed records that say who belongs to a space and wrap its secrets (docs/spec/space.md 3).

Flow: policy, device keys -> genesis, first epoch -> records in every store -> Membership -> secrets
Never: takes a key from a store's word: the genesis hashes to the space id, all else is signed by its devices.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from ropewalk.errors import Damaged, Refused
from ropewalk.spaces.identity import DEVICE, PAPER, DeviceKeys, PublicKeys
from ropewalk.spaces.keys import BoxDamaged, Secrets, hashed
from ropewalk.spaces.records import NO_EXTRA, Format, RecordMalformed, encode
from ropewalk.spaces.store import ObjectName, object_name

__all__ = [
    "FEATURE_LEVEL",
    "LARGEST_RECORD",
    "Membership",
    "NotAMember",
    "Policy",
    "RecordDamaged",
    "Signed",
    "create",
    "is_record",
    "record_hash",
    "record_name",
    "records_prefix",
]

FEATURE_LEVEL = 1
LARGEST_RECORD = 2 * 1024 * 1024
MOST_WRAPS = 1024
_SIGNED = b"ropewalk record 1\0"
_NAME = re.compile(r"([0-9a-f]{64})/records/([0-9a-f]{64})\Z")


class RecordDamaged(Damaged):
    """A membership record is not what its name, its signature or the format says."""

    code = "members.record-damaged"


class NotAMember(Refused):
    """These keys open nothing in this space."""

    code = "members.not-a-member"


class Policy(msgspec.Struct, frozen=True, array_like=True):
    """The part of the promise that placement needs."""

    k: int
    n: int
    floor: int  # shares, and copies of a head, that must be durable before a write is acknowledged
    survive: dict[str, int]  # domain kind -> how many may be lost


class _Genesis(msgspec.Struct, frozen=True, array_like=True):
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


class _Wrap(msgspec.Struct, frozen=True, array_like=True):
    device: bytes
    wrap: bytes


class _Before(msgspec.Struct, frozen=True, array_like=True):
    epoch: bytes
    members: bytes
    stewards: bytes


class _Epoch(msgspec.Struct, frozen=True, array_like=True):
    type: str
    version: int
    space: bytes
    number: int
    parents: list[bytes]
    author: bytes
    check: bytes
    steward_check: bytes
    wraps: list[_Wrap]
    steward_wraps: list[_Wrap]
    previous: list[_Before]
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
_genesis = Format(_Genesis, LARGEST_RECORD, "genesis")
_epoch = Format(_Epoch, LARGEST_RECORD, "epoch record")
_any = msgspec.msgpack.Decoder(list[msgspec.Raw])
_text = msgspec.msgpack.Decoder(str)


def records_prefix(space_id: bytes) -> str:
    """Where the records of a space lie."""
    return f"{space_id.hex()}/records/"


def record_hash(body: bytes) -> bytes:
    """What a record is known by."""
    return hashed("record", body)


def record_name(space_id: bytes, data: bytes) -> ObjectName:
    """The name of a record object in a store; it commits to every byte of it."""
    return object_name(records_prefix(space_id) + hashed("object", data).hex())


def is_record(name: str, data: bytes) -> bool:
    """Whether bytes from a store are those that a record's name commits to."""
    match = _NAME.match(name)
    return match is not None and hashed("object", data).hex() == match[2]


@dataclass(frozen=True, slots=True)
class Membership:
    """What the records of a space say, once they are checked."""

    space_id: bytes
    policy: Policy
    privacy: int
    feature: int
    lying: int  # stores that may lie without a reader being misled
    devices: Mapping[bytes, PublicKeys]  # by device id
    heads: list[bytes]  # hashes of the newest records
    epoch: int
    epoch_id: bytes  # hash of the newest epoch's record
    check: bytes  # what its secrets must give
    wraps: Mapping[bytes, bytes]  # of the newest epoch, by device id
    read_only: bool = False  # there is an operation that this version does not know
    created: int = 0  # nanoseconds; a hint
    paper: bool = field(default=True)

    def secrets(self, keys: DeviceKeys) -> Secrets:
        """Open the newest epoch's wrap for this device.

        Raises:
            NotAMember: There is none for these keys.
        """
        device = keys.public().id
        if (wrapped := self.wraps.get(device)) is None:
            raise NotAMember("the keys of this device open nothing in this space", hint="ask an admin for an invite")
        try:
            plain = keys.unwrap(wrapped, _info(self.space_id, self.epoch, device, self.check))
        except BoxDamaged as error:
            raise RecordDamaged(f"wrapped secrets of epoch {self.epoch} do not open: {error}") from None
        if len(plain) != 96 or hashed("epoch check", plain) != self.check:
            raise RecordDamaged(f"wrapped secrets of epoch {self.epoch} are not those that its record says")
        return Secrets(epoch=plain[:32], steward=plain[32:64], space=plain[64:])

    @classmethod
    def read(cls, space_id: bytes, records: Iterable[bytes]) -> Membership:
        """Check the records of a space, in any order; what does not belong is passed over.

        Args:
            space_id: Known from our own settings, or claimed by a store's listing: the genesis must hash to it.
            records: The objects' bytes.

        Raises:
            RecordDamaged: The genesis is not there, or there is no epoch that it accounts for.
            Refused: The space needs a newer version.
        """
        bodies = [signed for data in records if (signed := _parse(data)) is not None]
        genesis = _find_genesis(space_id, bodies)
        devices = {device.id: device for device in genesis.devices}
        newest: _Epoch | None = None
        newest_hash = b""
        read_only = False
        for signed in bodies:
            kind = _type(signed.body)
            if kind == "epoch":
                epoch = _read_epoch(signed, space_id, devices)
                if epoch is not None and (newest is None or epoch.number > newest.number):
                    newest, newest_hash = epoch, record_hash(signed.body)
            elif kind != "genesis" and any(signed.verify(device) for device in devices.values()):
                read_only = True
        if newest is None:
            raise RecordDamaged(
                f"space {space_id.hex()[:8]} has no epoch record signed by a member", hint="look for it on other stores"
            )
        return cls(
            space_id=space_id,
            policy=genesis.policy,
            privacy=genesis.privacy,
            feature=genesis.feature,
            lying=genesis.thresholds[0],
            devices=devices,
            heads=[newest_hash],
            epoch=newest.number,
            epoch_id=newest_hash,
            check=newest.check,
            wraps={wrap.device: wrap.wrap for wrap in newest.wraps},
            read_only=read_only,
            created=genesis.time,
            paper=any(device.kind == PAPER for device in genesis.devices),
        )


def create(
    policy: Policy, privacy: int, device: DeviceKeys, paper: PublicKeys, now: int
) -> tuple[bytes, Secrets, list[tuple[ObjectName, bytes]]]:
    """A new space: its id, its secrets, and the records to put into every store.

    Args:
        policy: Checked against the pool by the caller.
        privacy: 1 or 2 (3 and 4 need batching, which is not there yet).
        device: The first admin's device.
        paper: The public half of the paper key.
        now: Nanoseconds since 1970.
    """
    public = device.public()
    body = encode(
        _Genesis(
            "genesis",
            1,
            os.urandom(32),
            FEATURE_LEVEL,
            1,
            privacy,
            policy,
            [0, 1],
            os.urandom(16),
            [public, paper],
            now,
        )
    )
    space_id = hashed("space", body)
    secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
    plain = secrets.epoch + secrets.steward + secrets.space
    check, steward_check = hashed("epoch check", plain), hashed("steward check", secrets.steward)
    wraps = [_Wrap(one.id, one.wrap(plain, _info(space_id, 1, one.id, check))) for one in (public, paper)]
    epoch = encode(_Epoch("epoch", 1, space_id, 1, [record_hash(body)], public.id, check, steward_check, wraps, [], []))
    objects = [encode(Signed.make(one, device)) for one in (body, epoch)]
    return space_id, secrets, [(record_name(space_id, data), data) for data in objects]


def _info(space_id: bytes, number: int, device: bytes, check: bytes) -> bytes:
    return b"ropewalk epoch 1\0" + space_id + number.to_bytes(8, "big") + device + check


def _parse(data: bytes) -> Signed | None:
    try:
        return _signed.decode(data)
    except RecordMalformed:
        return None


def _type(body: bytes) -> str:
    try:
        return _text.decode(_any.decode(body)[0])
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError, RecursionError):
        return ""


def _find_genesis(space_id: bytes, bodies: list[Signed]) -> _Genesis:
    for signed in bodies:
        if hashed("space", signed.body) != space_id:
            continue
        try:
            genesis = _genesis.decode(signed.body)
        except RecordMalformed as error:
            raise RecordDamaged(f"space {space_id.hex()[:8]}: {error}") from None
        if genesis.feature > FEATURE_LEVEL:
            raise Refused(
                f"space {space_id.hex()[:8]} has feature level {genesis.feature}, this version knows {FEATURE_LEVEL}",
                hint="upgrade ropewalk",
            )
        _check_genesis(genesis)
        if not signed.verify(genesis.devices[0]):
            raise RecordDamaged(f"genesis of space {space_id.hex()[:8]} is not signed by its first device")
        return genesis
    raise RecordDamaged(f"genesis of space {space_id.hex()[:8]} was not found", hint="look for it on other stores")


def _check_genesis(genesis: _Genesis) -> None:
    policy = genesis.policy
    kinds = [device.kind for device in genesis.devices]
    if genesis.type != "genesis" or genesis.version != 1 or not genesis.thresholds or genesis.thresholds[0] < 0:
        raise RecordDamaged("genesis is not of version 1")
    if not (1 <= policy.k <= policy.n <= 64 and policy.k + genesis.thresholds[0] <= policy.floor <= policy.n):
        raise RecordDamaged(f"genesis has a policy of {policy.k} of {policy.n} with floor {policy.floor}")
    if genesis.privacy not in (1, 2) or genesis.consistency != 1:
        raise RecordDamaged("genesis has a privacy level or a class that feature level 1 does not have")
    if kinds.count(PAPER) != 1 or kinds[0] != DEVICE or not set(kinds) <= {DEVICE, PAPER}:
        raise RecordDamaged(f"genesis has keys of the kinds {kinds}, expected a device first and one paper key")


def _read_epoch(signed: Signed, space_id: bytes, devices: Mapping[bytes, PublicKeys]) -> _Epoch | None:
    try:
        epoch = _epoch.decode(signed.body)
    except RecordMalformed:
        return None
    author = devices.get(epoch.author)
    if epoch.version != 1 or epoch.space != space_id or epoch.number < 1 or len(epoch.wraps) > MOST_WRAPS:
        return None
    if author is None or not signed.verify(author):
        return None
    return epoch
