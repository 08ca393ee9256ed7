"""Keys: hashes, boxes, and the key hierarchy of a space (docs/spec/space.md 1 and 2).

Flow: secrets -> SpaceKeys -> KeyRing -> chunk, pack, head; bytes -> `hashed`, `seal_box`, `open_box`
Never: keeps a key anywhere, or makes a nonce: every AEAD key meets one message, so the nonce is always zero.

This module and `identity` are the only ones that name a cipher or a hash.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, Self

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ropewalk.errors import Damaged, Missing, Refused

__all__ = [
    "EPOCH_SIZE",
    "HASH_SIZE",
    "TAG_SIZE",
    "BoxDamaged",
    "Buffer",
    "EpochUnknown",
    "KeyRing",
    "Kind",
    "MembersOnly",
    "Secrets",
    "SpaceKeys",
    "StewardKeys",
    "aead_open",
    "aead_seal",
    "hashed",
    "keyed",
    "keyed_stream",
    "open_box",
    "seal_box",
]

Buffer = bytes | bytearray | memoryview
Kind = Literal["member", "steward", "directory", "hint", "label"]  # of a box in a ring: which key of its epoch

HASH_SIZE = 32
EPOCH_SIZE = 8
TAG_SIZE = 16
_NONCE = bytes(12)
_STEWARD = "the role of this device is steward: its keys open nothing of what is in the space"
_TO_READ = "an admin makes it a reader with `ropewalk member role NAME reader`"


class BoxDamaged(Damaged):
    """A sealed record does not open: it was changed, or it was sealed with another key or for another place."""

    code = "keys.box-damaged"


class EpochUnknown(Missing):
    """A box was sealed in an epoch whose record, or whose wrap for these keys, is not here yet."""

    code = "keys.epoch-unknown"


class MembersOnly(Refused):
    """A steward's keys were asked for what only members read."""

    code = "keys.members-only"

    def __init__(self, message: str = _STEWARD, *, hint: str = _TO_READ) -> None:
        super().__init__(message, hint=hint)


@cache
def _context(tag: str) -> str:
    return f"ropewalk 2026-11 v1 {tag}"


def hashed(tag: str, *parts: Buffer) -> bytes:
    """``H(tag, parts joined)`` of the spec: 32 bytes; to hash, and to derive a key from a secret."""
    hasher = blake3(parts[0], derive_key_context=_context(tag))
    for part in parts[1:]:
        hasher.update(part)
    return hasher.digest()


def keyed(key: bytes, *parts: Buffer) -> bytes:
    """``M(key, parts joined)`` of the spec: 32 bytes."""
    if len(parts) == 1:
        return blake3(parts[0], key=key).digest()
    hasher = blake3(key=key)
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def keyed_stream(key: bytes, length: int, *parts: Buffer) -> bytes:
    """``M(key, parts joined, length)``: the first ``length`` bytes of the extended output."""
    hasher = blake3(key=key)
    for part in parts:
        hasher.update(part)
    return hasher.digest(length=length)


def aead_seal(key: bytes, plain: Buffer, associated: bytes) -> bytes:
    """Ciphertext and tag; ``key`` must meet no other message, ever."""
    return AESGCM(key).encrypt(_NONCE, plain, associated)


def aead_open(key: bytes, sealed: Buffer, associated: bytes) -> bytes:
    """The plain bytes.

    Raises:
        BoxDamaged: The tag does not fit.
    """
    try:
        return AESGCM(key).decrypt(_NONCE, sealed, associated)
    except InvalidTag:
        raise BoxDamaged(f"sealed bytes do not open ({len(sealed)} bytes)") from None


@dataclass(frozen=True, slots=True)
class _BoxKey:
    iv: bytes
    key: bytes


@cache
def _box_keys(key: bytes) -> _BoxKey:
    return _BoxKey(hashed("box iv", key), hashed("box key", key))


def seal_box(key: bytes, context: bytes, plain: Buffer) -> bytes:
    """Seal a small record for one context; equal input gives equal output, so it may be done twice."""
    keys = _box_keys(key)
    iv = keyed(keys.iv, len(context).to_bytes(8, "big"), context, plain)
    return iv + aead_seal(keyed(keys.key, iv), plain, context)


def open_box(key: bytes, context: bytes, box: Buffer) -> bytes:
    """The record sealed for ``context``.

    Raises:
        BoxDamaged: Changed, truncated, or sealed for another key or context.
    """
    if len(box) < HASH_SIZE + TAG_SIZE:
        raise BoxDamaged(f"box is too short: got {len(box)} bytes, expected {HASH_SIZE + TAG_SIZE} and more")
    keys = _box_keys(key)
    iv = bytes(box[:HASH_SIZE])
    plain = aead_open(keyed(keys.key, iv), memoryview(box)[HASH_SIZE:], context)
    if not hmac.compare_digest(iv, keyed(keys.iv, len(context).to_bytes(8, "big"), context, plain)):
        raise BoxDamaged("box opens to bytes that it was not made from")
    return plain


@dataclass(frozen=True, slots=True)
class Secrets:
    """The three secrets of a space in one epoch, 32 bytes each."""

    epoch: bytes = field(repr=False)
    steward: bytes = field(repr=False)
    space: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StewardKeys:
    """The keys of one epoch that keep the promise, and read nothing."""

    space_id: bytes
    epoch: bytes  # first 8 bytes of the hash of the epoch's record; stands before every box
    steward: bytes = field(repr=False)
    directory: bytes = field(repr=False)
    hint: bytes = field(repr=False)

    def seal(self, key: bytes, context: bytes, plain: Buffer) -> bytes:
        """A box of this space and epoch; ``key`` is one of ours."""
        return self.epoch + seal_box(key, self.epoch + context, plain)

    def open(self, key: bytes, context: bytes, box: Buffer) -> bytes:
        """What `seal` sealed.

        Raises:
            BoxDamaged: Of another epoch, key or context, or changed.
        """
        if bytes(box[:EPOCH_SIZE]) != self.epoch:
            raise BoxDamaged("box is of another epoch than the keys at hand")
        return open_box(key, self.epoch + context, memoryview(box)[EPOCH_SIZE:])


def _of_steward(secret: bytes) -> tuple[bytes, bytes, bytes]:
    return hashed("steward layer", secret), hashed("directory", secret), hashed("hint key", secret)


@dataclass(frozen=True, slots=True)
class SpaceKeys(StewardKeys):
    """All keys that are derived from the secrets of one space and epoch."""

    chunk: bytes = field(repr=False)
    pad: bytes = field(repr=False)
    plain: bytes = field(repr=False)
    content: bytes = field(repr=False)
    boundary: bytes = field(repr=False)
    member: bytes = field(repr=False)
    label: bytes = field(repr=False)  # of the names of people and devices in records
    blind: bytes = field(repr=False)  # of what a head commits to

    @classmethod
    def derive(cls, space_id: bytes, epoch: bytes, secrets: Secrets) -> SpaceKeys:
        """The key hierarchy of docs/spec/space.md 2."""
        return cls(
            space_id,
            epoch[:EPOCH_SIZE],
            *_of_steward(secrets.steward),
            chunk=hashed("chunk key", secrets.epoch),
            pad=hashed("chunk pad", secrets.epoch),
            plain=hashed("plain hash", secrets.space),
            content=hashed("content id", secrets.space),
            boundary=hashed("tree boundary", secrets.space),
            member=hashed("member layer", secrets.epoch),
            label=hashed("label", secrets.epoch),
            blind=hashed("seen blind", secrets.epoch),
        )


@dataclass(frozen=True, slots=True)
class _Epoch:
    number: int
    keys: StewardKeys
    secrets: Secrets | bytes = field(repr=False)  # of a steward: S alone


class KeyRing:
    """The keys of every epoch of a space that are known here; those of one of them seal.

    All parts of an open space hold the same ring, so that what is added or used reaches each of them.
    """

    __slots__ = ("_by_tag", "_epochs", "_now", "current", "number", "space_id")

    def __init__(self, space_id: bytes) -> None:
        self.space_id = space_id
        self.current = b""  # hash of the record of the epoch that seals
        self.number = 0  # of that epoch
        self._epochs: dict[bytes, _Epoch] = {}
        self._by_tag: dict[bytes, tuple[bytes, ...]] = {}  # whoever makes epochs could make two of one tag
        self._now: StewardKeys | None = None

    @classmethod
    def derive(cls, space_id: bytes, epoch: bytes, secrets: Secrets, number: int = 1) -> Self:
        """A ring of one epoch, which seals."""
        ring = cls(space_id)
        ring.add(epoch, secrets, number)
        ring.use(epoch)
        return ring

    def add(self, epoch: bytes, secrets: Secrets | bytes, number: int) -> None:
        """Know an epoch by the hash of its record, with its three secrets, or a steward's one; it never goes again."""
        known = self._epochs.get(epoch)
        if known is not None and (isinstance(known.secrets, Secrets) or isinstance(secrets, bytes)):
            return
        if isinstance(secrets, Secrets):
            keys: StewardKeys = SpaceKeys.derive(self.space_id, epoch, secrets)
        else:
            keys = StewardKeys(self.space_id, epoch[:EPOCH_SIZE], *_of_steward(secrets))
        self._epochs[epoch] = _Epoch(number, keys, secrets)
        if known is None:
            self._by_tag[keys.epoch] = (*self._by_tag.get(keys.epoch, ()), epoch)
        if epoch == self.current:
            self.use(epoch)

    def use(self, epoch: bytes) -> None:
        """Seal in this epoch from now on.

        Raises:
            EpochUnknown: It was not added.
        """
        one = self._epoch(epoch)
        self.current, self.number, self._now = epoch, one.number, one.keys

    @property
    def epochs(self) -> frozenset[bytes]:
        """Hashes of the records of all epochs that are known."""
        return frozenset(self._epochs)

    @property
    def space_secret(self) -> bytes | None:
        """``W``, once any epoch is known as its members know it."""
        return next((one.secrets.space for one in self._epochs.values() if isinstance(one.secrets, Secrets)), None)

    def knows(self, epoch: bytes, *, members: bool) -> bool:
        """Whether an epoch was added, with the secrets of members if that is asked."""
        one = self._epochs.get(epoch)
        return one is not None and not (members and isinstance(one.secrets, bytes))

    @property
    def reads(self) -> bool:
        """Whether we have, in the epoch that seals, what members have; else we are a steward, who reads nothing."""
        return isinstance(self._now, SpaceKeys)

    def secrets(self, epoch: bytes) -> Secrets:
        """The three secrets of an epoch.

        Raises:
            EpochUnknown, MembersOnly.
        """
        if isinstance(secrets := self._epoch(epoch).secrets, bytes):
            raise MembersOnly
        return secrets

    def steward_secret(self, epoch: bytes) -> bytes:
        """``S`` of an epoch."""
        secrets = self._epoch(epoch).secrets
        return secrets if isinstance(secrets, bytes) else secrets.steward

    def seal(self, kind: Kind, context: bytes, plain: Buffer) -> bytes:
        """A box of this space, sealed in the current epoch."""
        keys = self._sealing  # once: another thread may be told of a new epoch meanwhile
        return keys.seal(_key(keys, kind), context, plain)

    def open(self, kind: Kind, context: bytes, box: Buffer) -> bytes:
        """What `seal` sealed, in whichever epoch.

        Raises:
            EpochUnknown: Of an epoch that is not known here; it may be once newer records are.
            BoxDamaged: Of another key or context, or changed.
            MembersOnly: We are stewards in that epoch, and this is for members.
        """
        return self.find(kind, context, box)[1]

    def find(self, kind: Kind, context: bytes, box: Buffer) -> tuple[StewardKeys, bytes]:
        """As `open`, and the keys of the epoch that it was sealed in."""
        tag = bytes(box[:EPOCH_SIZE])
        if len(box) >= EPOCH_SIZE + HASH_SIZE + TAG_SIZE and tag not in self._by_tag:
            raise EpochUnknown(
                f"box was sealed in epoch {tag.hex()}, {len(self._epochs)} others are known",
                hint="the record of that epoch is in the stores that have the newest records",
            )
        damaged: BoxDamaged | None = None
        for keys in [self._epochs[epoch].keys for epoch in self._by_tag.get(tag, ())]:
            try:
                return keys, keys.open(_key(keys, kind), context, box)
            except BoxDamaged as error:
                damaged = error
        raise damaged or BoxDamaged(f"box is too short: got {len(box)} bytes")

    def tagged(self, tag: bytes) -> list[tuple[int, SpaceKeys]]:
        """The epochs of a tag, of which there is hardly ever more than one: number and keys, where we are members."""
        found = [self._epochs[epoch] for epoch in self._by_tag.get(tag, ())]
        return [(one.number, one.keys) for one in found if isinstance(one.keys, SpaceKeys)]

    @property
    def epoch(self) -> bytes:
        """The tag of the current epoch."""
        return self._sealing.epoch

    @property
    def chunk(self) -> bytes:
        """Key of the keys of chunks, in the current epoch."""
        return self.members.chunk

    @property
    def plain(self) -> bytes:
        """Key of hashes of plain bytes; the same in all epochs."""
        return self.members.plain

    @property
    def content(self) -> bytes:
        """Key of content ids; the same in all epochs."""
        return self.members.content

    @property
    def _sealing(self) -> StewardKeys:
        if self._now is None:
            raise EpochUnknown("no epoch of this space is known to seal in")
        return self._now

    @property
    def members(self) -> SpaceKeys:
        """All keys of the current epoch, which stay those of that one."""
        keys = self._sealing
        if not isinstance(keys, SpaceKeys):
            raise MembersOnly
        return keys

    def _epoch(self, epoch: bytes) -> _Epoch:
        if (one := self._epochs.get(epoch)) is None:
            raise EpochUnknown(f"epoch {epoch.hex()[:16]} is not known, {len(self._epochs)} others are")
        return one


def _key(keys: StewardKeys, kind: Kind) -> bytes:
    if kind == "steward":
        return keys.steward
    if kind == "directory":
        return keys.directory
    if kind == "hint":
        return keys.hint
    if not isinstance(keys, SpaceKeys):
        raise MembersOnly
    return keys.member if kind == "member" else keys.label
