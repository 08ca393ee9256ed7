"""Keys: hashes, boxes, and the key hierarchy of a space (docs/spec/space.md 1 and 2).

Flow: secrets -> SpaceKeys -> chunk, pack, head; bytes -> `hashed`, `seal_box`, `open_box`
Never: keeps a key anywhere, or makes a nonce: every AEAD key meets one message, so the nonce is always zero.

This module and `identity` are the only ones that name a cipher or a hash.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import cache

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ropewalk.errors import Damaged

__all__ = [
    "EPOCH_SIZE",
    "HASH_SIZE",
    "TAG_SIZE",
    "BoxDamaged",
    "Buffer",
    "Secrets",
    "SpaceKeys",
    "aead_open",
    "aead_seal",
    "hashed",
    "keyed",
    "keyed_stream",
    "open_box",
    "seal_box",
]

Buffer = bytes | bytearray | memoryview

HASH_SIZE = 32
EPOCH_SIZE = 8
TAG_SIZE = 16
_NONCE = bytes(12)


class BoxDamaged(Damaged):
    """A sealed record does not open: it was changed, or it was sealed with another key or for another place."""

    code = "keys.box-damaged"


@cache
def _context(tag: str) -> str:
    return f"ropewalk 2026-11 v1 {tag}"


def hashed(tag: str, data: Buffer) -> bytes:
    """``H(tag, data)`` of the spec: 32 bytes; to hash, and to derive a key from a secret."""
    return blake3(data, derive_key_context=_context(tag)).digest()


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
class SpaceKeys:
    """All keys that are derived from the secrets of one space and epoch."""

    space_id: bytes
    epoch: bytes  # first 8 bytes of the hash of the epoch's record; stands before every box
    chunk: bytes = field(repr=False)
    pad: bytes = field(repr=False)
    plain: bytes = field(repr=False)
    content: bytes = field(repr=False)
    boundary: bytes = field(repr=False)
    member: bytes = field(repr=False)
    steward: bytes = field(repr=False)
    directory: bytes = field(repr=False)

    @classmethod
    def derive(cls, space_id: bytes, epoch: bytes, secrets: Secrets) -> SpaceKeys:
        """The key hierarchy of docs/spec/space.md 2."""
        return cls(
            space_id=space_id,
            epoch=epoch[:EPOCH_SIZE],
            chunk=hashed("chunk key", secrets.epoch),
            pad=hashed("chunk pad", secrets.epoch),
            plain=hashed("plain hash", secrets.space),
            content=hashed("content id", secrets.space),
            boundary=hashed("tree boundary", secrets.space),
            member=hashed("member layer", secrets.epoch),
            steward=hashed("steward layer", secrets.steward),
            directory=hashed("directory", secrets.steward),
        )

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
