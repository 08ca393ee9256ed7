"""The format once more, straightforward and slow: conventions, secrets, devices and chunks (space.md 1 to 4).

Flow: what the spec says -> bytes; bytes -> what they hold, or Refused -> make.py, the tests
Never: imports ropewalk, or is fast: it is there to disagree with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256, shake_128

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from mnemonic import Mnemonic

from docs.spec.vectors.reference_records import Refused, number, refuse

__all__ = [
    "MIB",
    "Device",
    "Space",
    "aead_open",
    "aead_seal",
    "h",
    "m",
    "made",
    "open_box",
    "open_chunk",
    "padme",
    "parse_reference",
    "seal_box",
    "seal_chunk",
    "words_of",
    "words_to_seed",
]

MIB = 1 << 20


def made(label: str, size: int) -> bytes:
    """Bytes that look random and are the same in every run: SHAKE128 of the label."""
    return shake_128(f"ropewalk vector {label}".encode()).digest(size)


# ---- 1: hashes, AEAD, boxes ------------------------------------------------------------------------------------------


def h(tag: str, x: bytes) -> bytes:
    """H(tag, x)."""
    return blake3(x, derive_key_context="ropewalk 2026-11 v1 " + tag).digest()


def m(key: bytes, x: bytes, size: int = 32) -> bytes:
    """M(key, x, n)."""
    return blake3(x, key=key).digest(length=size)


def aead_seal(key: bytes, plain: bytes, associated: bytes) -> bytes:
    """AES-256-GCM with the nonce of zeros."""
    return AESGCM(key).encrypt(bytes(12), plain, associated)


def aead_open(key: bytes, sealed: bytes, associated: bytes, code: str) -> bytes:
    """The plain bytes, or refused with ``code``."""
    refuse(code, "no room for a tag", len(sealed) < 16)
    try:
        return AESGCM(key).decrypt(bytes(12), sealed, associated)
    except InvalidTag:
        raise Refused(code, "does not decrypt") from None


def _iv(key: bytes, context: bytes, plain: bytes) -> bytes:
    return m(h("box iv", key), number(len(context), 8) + context + plain)


def seal_box(key: bytes, epoch_tag: bytes, place: bytes, plain: bytes) -> bytes:
    """seal(key, context, p), where the context is the epoch tag and ``place``."""
    context = epoch_tag + place
    iv = _iv(key, context, plain)
    return epoch_tag + iv + aead_seal(m(h("box key", key), iv), plain, context)


def open_box(key: bytes, epoch_tag: bytes, place: bytes, box: bytes) -> bytes:
    """What `seal_box` sealed."""
    code = "keys.box-damaged"
    refuse(code, "another epoch, or too short", box[:8] != epoch_tag or len(box) < 8 + 32 + 16)
    context, iv = epoch_tag + place, box[8:40]
    plain = aead_open(m(h("box key", key), iv), box[40:], context, code)
    refuse(code, "an iv that does not follow", _iv(key, context, plain) != iv)
    return plain


# ---- 2 and 3: the keys of a space and of a device --------------------------------------------------------------------


@dataclass(frozen=True)
class Space:
    """A space in one epoch."""

    id: bytes
    epoch_tag: bytes
    epoch_secret: bytes
    steward_secret: bytes
    space_secret: bytes

    def key(self, name: str) -> bytes:
        """A derived key, by the name the spec has for it."""
        tags = {
            "content": ("content id", self.space_secret),
            "plain": ("plain hash", self.space_secret),
            "boundary": ("tree boundary", self.space_secret),
            "chunk": ("chunk key", self.epoch_secret),
            "pad": ("chunk pad", self.epoch_secret),
            "member": ("member layer", self.epoch_secret),
            "chain": ("epoch chain", self.epoch_secret),
            "steward": ("steward layer", self.steward_secret),
            "directory": ("directory", self.steward_secret),
        }
        return h(*tags[name])

    def seal(self, key: str, place: bytes, plain: bytes) -> bytes:
        """A box with one of the keys."""
        return seal_box(self.key(key), self.epoch_tag, place, plain)

    def open(self, key: str, place: bytes, box: bytes) -> bytes:
        """What `seal` sealed."""
        return open_box(self.key(key), self.epoch_tag, place, box)


@dataclass(frozen=True)
class Device:
    """A device, or a paper key (kind 1), by its seed."""

    seed: bytes
    kind: int = 0

    def _derived(self, name: str, size: int = 32) -> bytes:
        return m(h("device seed", self.seed), name.encode(), size)

    @cached_property
    def ed25519(self) -> Ed25519PrivateKey:
        """Signs heads and records."""
        return Ed25519PrivateKey.from_private_bytes(self._derived("ed25519"))

    @cached_property
    def mldsa(self) -> MLDSA65PrivateKey:
        """Signs records."""
        return MLDSA65PrivateKey.from_seed_bytes(self._derived("ml-dsa-65"))

    @cached_property
    def x25519(self) -> X25519PrivateKey:
        """Opens wraps, with the next."""
        return X25519PrivateKey.from_private_bytes(self._derived("x25519"))

    @cached_property
    def mlkem(self) -> MLKEM768PrivateKey:
        """Opens wraps."""
        return MLKEM768PrivateKey.from_seed_bytes(self._derived("ml-kem-768", 64))

    @cached_property
    def public(self) -> list[int | bytes]:
        """The keys of the device as records hold them."""
        private = (self.ed25519, self.mldsa, self.x25519, self.mlkem)
        return [self.kind, *(key.public_key().public_bytes_raw() for key in private)]

    @cached_property
    def id(self) -> bytes:
        """16 bytes."""
        return h("device", bytes([self.kind]) + b"".join(key for key in self.public if isinstance(key, bytes)))[:16]


def words_of(seed: bytes) -> str:
    """A seed of 32 bytes as the 24 words of BIP-39."""
    bits = int.from_bytes(seed + sha256(seed).digest()[:1], "big")
    listed = Mnemonic("english").wordlist
    return " ".join(listed[bits >> 11 * (23 - i) & 2047] for i in range(24))


def words_to_seed(words: str) -> bytes:
    """The seed that 24 words stand for."""
    code, listed = "identity.wrong-words", list(Mnemonic("english").wordlist)
    given = words.split()
    refuse(code, "not 24 words of the list", len(given) != 24 or any(word not in listed for word in given))
    bits = 0
    for word in given:
        bits = bits << 11 | listed.index(word)
    seed = number(bits >> 8, 32)
    refuse(code, "the checksum differs", sha256(seed).digest()[0] != bits & 255)
    return seed


# ---- 4: chunks -------------------------------------------------------------------------------------------------------


def padme(length: int) -> int:
    """PADME(L)."""
    if length < 8:
        return length
    e = length.bit_length() - 1
    step = 1 << e - e.bit_length()
    return -(-length // step) * step


def _chunk_context(space: Space, kind: int) -> bytes:
    return b"ropewalk chunk 1\0" + bytes([kind]) + space.id


def seal_chunk(
    space: Space, kind: int, plain: bytes, *, frame: bytes | None = None, padded: bool = False
) -> tuple[bytes, bytes]:
    """The reference and the sealed bytes; ``frame`` is what a compressor made of the plain bytes, if it was asked."""
    body, flags = plain, 0
    if kind == 1 and frame is not None and 16 * len(frame) <= 15 * len(plain):
        body, flags = frame, 1
    s = body
    if padded:
        s += m(space.key("pad"), bytes([kind]) + body, padme(len(body)) - len(body))
    context = _chunk_context(space, kind)
    key = m(space.key("chunk"), context + m(space.key("plain"), s))
    sealed = aead_seal(key, s, context)
    sizes = number(len(plain), 4) + number(len(body), 4) + bytes([flags])
    return h("chunk id", sealed) + key + sizes, sealed


def parse_reference(reference: bytes) -> tuple[bytes, bytes, int, int, int]:
    """Id, key, plain size, body size and flags."""
    code = "chunk.damaged"
    refuse(code, "not 73 bytes", len(reference) != 73)
    size, body = (int.from_bytes(reference[at : at + 4], "big") for at in (64, 68))
    flags = reference[72]
    refuse(code, "flags over 1", flags > 1)
    refuse(code, "a size out of range", not 0 < size <= MIB or not 0 < body <= size or (flags == 0 and body != size))
    return reference[:32], reference[32:64], size, body, flags


def open_chunk(space: Space, kind: int, reference: bytes, sealed: bytes) -> bytes:
    """The plain bytes that the reference names."""
    code = "chunk.damaged"
    chunk, key, size, length, flags = parse_reference(reference)
    refuse(code, "a length that does not fit", not length + 16 <= len(sealed) <= padme(length) + 16)
    refuse(code, "another id", h("chunk id", sealed) != chunk)
    body = aead_open(key, sealed, _chunk_context(space, kind), code)[:length]
    if flags == 0:
        return body
    try:
        frame = zstandard.get_frame_parameters(body)
        said = (frame.content_size == size, frame.dict_id == 0, frame.window_size <= MIB)
        refuse(code, "a frame that says what it must not", not all(said))
        with zstandard.ZstdDecompressor().stream_reader(body) as stream:
            plain = stream.read(size + 1)  # a byte more tells a frame that holds more
        rest = zstandard.ZstdDecompressor().decompressobj()
        refuse(code, "another length", len(plain) != size or rest.decompress(body) != plain)
        refuse(code, "not one whole frame", not rest.eof or rest.unused_data != b"")
    except zstandard.ZstdError as error:
        raise Refused(code, str(error)) from None
    return plain
