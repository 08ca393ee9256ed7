"""Keys: which public keys are taken, as OpenSSH writes them and as they go over the wire.

Flow: a line of `id_ed25519.pub`, or what SSH's protocol carries -> the bytes that accounts and checkers compare
Never: takes a certificate, a key with options, DSA, RSA of less than 2,048 bits, or what anybody could sign for.
Source: RFC 4253 section 6.6, RFC 5656, RFC 8709.
"""

from __future__ import annotations

import base64

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from ropewalk.errors import Misuse

__all__ = ["BadKey", "checked_key", "ed25519_blob", "public_key"]

_KINDS = frozenset({"ssh-ed25519", "ssh-rsa", *(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521))})
_LEAST_RSA, _MOST_RSA = 2048, 16384  # bits
_LONGEST = 8192  # bytes
_ED25519 = b"ssh-ed25519"
# The points of small order have these y (of those of order 8 one; its negative is another). A key that is one of them
# has signatures that anybody can make, and the library takes them.
_FIELD = 2**255 - 19
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL = frozenset({0, 1, _FIELD - 1, _ORDER_8, _FIELD - _ORDER_8})


class BadKey(Misuse):
    """Not a public key as OpenSSH writes it, or not one that is taken."""

    code = "auth.bad-key"


def public_key(line: str) -> bytes:
    """The key in a line like ``ssh-ed25519 AAAA... comment``, as it goes over the wire.

    Raises:
        BadKey: It has options, is of a kind that is too weak or not known, or is damaged.
    """
    words = line.split(maxsplit=2)
    if len(words) < 2 or words[0] not in _KINDS:
        raise BadKey(
            f"expected one of {', '.join(sorted(_KINDS))} and the key in base64",
            hint="lines with options before the key are not taken, since an option takes rights away",
        )
    try:
        blob = base64.b64decode(words[1], validate=True)
    except ValueError:
        blob = b""
    return checked_key(blob, words[0])


def checked_key(blob: bytes, kind: str = "") -> bytes:
    """A public key as it goes over the wire, once it is known to be one that is taken.

    Args:
        blob: The key.
        kind: What it was said to be; "" where nothing was.

    Raises:
        BadKey.
    """
    length = int.from_bytes(blob[:4], "big")
    named = blob[4 : 4 + min(length, 32)].decode("ascii", "replace")
    if len(blob) > _LONGEST or named not in _KINDS or (kind or named) != named:
        raise BadKey("the key is damaged: expected base64 of a key of the kind that is named")
    try:
        key = load_ssh_public_key(f"{named} ".encode() + base64.b64encode(blob))
    except (ValueError, TypeError):
        raise BadKey("the key is damaged: expected base64 of a key of the kind that is named") from None
    except UnsupportedAlgorithm as error:
        raise BadKey(f"not a public key that is taken: {error}") from None
    if isinstance(key, RSAPublicKey) and not _LEAST_RSA <= key.key_size <= _MOST_RSA:
        raise BadKey(f"got an RSA key of {key.key_size:,} bits, expected {_LEAST_RSA:,} to {_MOST_RSA:,}")
    if isinstance(key, Ed25519PublicKey) and _y(key.public_bytes_raw()) in _SMALL:
        raise BadKey("not a public key that is taken: anybody could sign for it")
    return blob


def ed25519_blob(key: bytes) -> bytes:
    """A raw Ed25519 public key of 32 bytes, as SSH writes it."""
    return len(_ED25519).to_bytes(4, "big") + _ED25519 + len(key).to_bytes(4, "big") + key


def _y(key: bytes) -> int:
    """Of a raw key: its upper bit is the sign of x, and some write y in two ways."""
    return int.from_bytes(key, "little") % 2**255 % _FIELD
