"""Invites once more: words, SPAKE2, transcripts, messages and files (invites.md 2 to 6), and what a reader refuses.

Flow: what the spec says -> bytes; bytes -> what they hold, or Refused -> make.py, the tests
Never: imports ropewalk or a package for SPAKE2, or is fast.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path

from docs.spec.vectors.reference import aead_open, aead_seal, h, m
from docs.spec.vectors.reference_groups import committed
from docs.spec.vectors.reference_records import Refused, number, pack, refuse, unpack

__all__ = [
    "Ceremony",
    "Half",
    "code_of",
    "commitment",
    "file_key",
    "file_random",
    "file_text",
    "invite_info",
    "said",
    "said_by_file",
    "slot_of",
    "text_of",
    "used_name",
]

LIMIT = 64 * 1024
_WORDS = Path(__file__).parents[3] / "src" / "ropewalk" / "spaces" / "invites" / "words.txt"

# ---- 2: words --------------------------------------------------------------------------------------------------------


@cache
def _lists() -> tuple[list[str], list[str]]:
    rows = [line.split() for line in _WORDS.read_text().splitlines()]
    return [row[1] for row in rows], [row[0] for row in rows]


def text_of(slot_number: int, secret: bytes) -> str:
    """A code as it is said."""
    return "-".join([str(slot_number), *(_lists()[at % 2][byte] for at, byte in enumerate(secret))])


def code_of(text: str) -> tuple[int, bytes]:
    """Number and secret of what was typed."""
    code = "invite.bad-code"
    first, *words = text.lower().replace("-", " ").split() or [""]
    digits = first.isascii() and first.isdigit() and not first.startswith("0")
    refuse(code, "no number of 1 to 999,999", not digits or len(first) > 6)
    refuse(code, "not two or three words", len(words) not in (2, 3))
    secret = b""
    for at, word in enumerate(words):
        listed = _lists()[at % 2]
        found = [listed.index(word)] if word in listed else [i for i, one in enumerate(listed) if one.startswith(word)]
        refuse(code, "not one word of its list", len(found) != 1)
        secret += bytes(found)
    return int(first), secret


# ---- 3: SPAKE2 -------------------------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int]
_ZERO: Point = (0, 1)


def _add(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    """Projective: x = X / Z, y = Y / Z."""
    z = a[2] * b[2] % P
    c, d = a[0] * b[0] % P, a[1] * b[1] % P
    e = _D * c * d % P
    f, g = (z * z - e) % P, (z * z + e) % P
    return z * f * ((a[0] + a[1]) * (b[0] + b[1]) - c - d) % P, z * g * (c + d) % P, f * g % P


def _affine(a: tuple[int, int, int]) -> Point:
    over = pow(a[2], P - 2, P)
    return a[0] * over % P, a[1] * over % P


def _plus(a: Point, b: Point) -> Point:
    return _affine(_add((*a, 1), (*b, 1)))


def _times(n: int, a: Point) -> Point:
    total, doubled = (0, 1, 1), (*a, 1)
    while n:
        if n & 1:
            total = _add(total, doubled)
        doubled, n = _add(doubled, doubled), n >> 1
    return _affine(total)


def _encode(a: Point) -> bytes:
    return (a[1] | (a[0] & 1) << 255).to_bytes(32, "little")


def _decode(data: bytes) -> Point:
    code = "invite.malformed"
    given = int.from_bytes(data, "little")
    y, sign = given % 2**255, given >> 255
    refuse(code, "not the shortest encoding", y >= P)
    square = (y * y - 1) * pow(_D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    refuse(code, "no point", (x * x - square) % P != 0)
    if x & 1 != sign:
        x = P - x
    refuse(code, "the neutral point, or outside of the subgroup", (x % P, y) == _ZERO or _times(L, (x, y)) != _ZERO)
    return x, y


_BASE = _decode(bytes([88] + [102] * 31))
_M = _decode(bytes.fromhex("15cfd18e385952982b6a8f8c7854963b58e34388c8e6dae891db756481a02312"))
_N = _decode(bytes.fromhex("f04f2e7eb734b2a8f8b472eaf9c3c632576ac64aea650b496a8a20ff00e583c3"))
_A, _B = b"ropewalk inviter 1", b"ropewalk joiner 1"


def _hkdf(secret: bytes, info: bytes, size: int) -> bytes:
    key = hmac.digest(bytes(32), secret, "sha256")
    out, block = b"", b""
    while len(out) < size:
        block = hmac.digest(key, block + info + bytes([len(out) // 32 + 1]), "sha256")
        out += block
    return out[:size]


@dataclass(frozen=True)
class Half:
    """One side of an exchange."""

    inviter: bool
    secret: bytes
    random: bytes

    @property
    def _w(self) -> int:
        return int.from_bytes(_hkdf(self.secret, b"SPAKE2 pw", 48), "big") % L

    @property
    def _scalar(self) -> int:
        return int.from_bytes(self.random, "big") % L

    @cached_property
    def message(self) -> bytes:
        """33 bytes."""
        side, blind = (b"A", _M) if self.inviter else (b"B", _N)
        return side + _encode(_plus(_times(self._scalar, _BASE), _times(self._w, blind)))

    def exchanged(self, message: bytes) -> bytes:
        """The key that the exchange gives, before it is hashed to ``K``."""
        code = "invite.malformed"
        refuse(code, "not 33 bytes", len(message) != 33)
        refuse(code, "of the wrong side", message[:1] != (b"B" if self.inviter else b"A"))
        refuse(code, "one's own", message[1:] == self.message[1:])
        blind = _N if self.inviter else _M
        z = _times(self._scalar, _plus(_decode(message[1:]), _times(L - self._w, blind)))
        halves = (self.message, message) if self.inviter else (message, self.message)
        parts = [sha256(each).digest() for each in (self.secret, _A, _B)]
        return sha256(b"".join([*parts, halves[0][1:], halves[1][1:], _encode(z)])).digest()

    def key(self, message: bytes) -> bytes:
        """``K``."""
        return h("invite key", self.exchanged(message))


# ---- 4: transcripts, messages ----------------------------------------------------------------------------------------


def blinded(r: bytes, offer: bytes) -> bytes:
    """What a consent shows of an offer."""
    return h("invite offer", r + offer)


def commitment(r: bytes, offer: bytes, tickets: list[bytes]) -> bytes:
    """``c``."""
    return committed(blinded(r, offer), tickets)


def file_random(secret: bytes) -> bytes:
    """``r`` of an invite by file."""
    return m(secret, b"invite offer")


def said(slot: bytes, x: bytes, y: bytes, c: bytes, me: bytes) -> bytes:
    """``T1``."""
    return h("invite transcript", pack([1, slot, x, y, c, me]))


def said_by_file(slot: bytes, n: bytes, inviter: bytes, me: bytes) -> bytes:
    """``T1`` of a ceremony by files."""
    return h("invite transcript", pack([3, slot, n, inviter, me]))


def invite_info(t1: bytes, device: bytes) -> bytes:
    """HPKE's info of the grants' wrap."""
    return b"ropewalk invite 1\0" + t1 + device


def used_name(slot: bytes, secret: bytes) -> str:
    """The file by which a joiner's disk knows that a code was used."""
    return h("invite used", slot + secret)[:16].hex() + ".used"


@dataclass(frozen=True)
class Ceremony:
    """What both sides know once ``T1`` is said."""

    key: bytes
    t1: bytes

    def t2(self, offer: bytes, wrap: bytes) -> bytes:
        """``T2``."""
        return h("invite transcript", pack([2, self.t1, offer, h("object", wrap)]))

    def me(self, plain: bytes) -> list[object]:
        """Box and confirmation of message 3."""
        return [aead_seal(self._k("joiner box"), plain, b"joiner box"), m(self._k("joiner confirm"), self.t1)]

    def welcome(self, blind: bytes, offer: bytes, wrap: bytes) -> list[object]:
        """Box and confirmation of message 4."""
        box = aead_seal(self._k("inviter box"), pack([blind, offer, wrap]), b"inviter box")
        return [box, m(self._k("inviter confirm"), self.t2(offer, wrap))]

    def done(self, offer: bytes, wrap: bytes) -> bytes:
        """The confirmation of message 5."""
        return m(self._k("done"), self.t2(offer, wrap))

    def open_welcome(self, box: bytes, confirmation: bytes) -> list[object]:
        """``r``, the offer and the wrap."""
        code = "invite.wrong-code"
        held = unpack(aead_open(self._k("inviter box"), box, b"inviter box", code), LIMIT, "invite.malformed")
        refuse("invite.malformed", "not three", len(held) != 3 or not all(isinstance(one, bytes) for one in held))
        _, offer, wrap = held
        if not isinstance(offer, bytes) or not isinstance(wrap, bytes):
            raise Refused("invite.malformed", "not bytes")
        fits = hmac.compare_digest(confirmation, m(self._k("inviter confirm"), self.t2(offer, wrap)))
        refuse(code, "not confirmed", not fits)
        return held

    def _k(self, name: str) -> bytes:
        return m(self.key, name.encode())


# ---- 6: files --------------------------------------------------------------------------------------------------------


def file_key(secret: bytes, n: bytes) -> bytes:
    """``K`` of a ceremony by files."""
    return h("invite file key", secret + n)


def file_text(data: bytes) -> str:
    """An invite file for a QR code."""
    return "ROPEWALK:" + base64.b32encode(data).decode().rstrip("=")


def slot_of(slot_number: int) -> bytes:
    """The name of the slot of a code."""
    return number(slot_number, 4)
