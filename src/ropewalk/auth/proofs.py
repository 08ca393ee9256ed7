"""Proofs: whether a signature shows that a peer holds a key.

Flow: public key as SSH writes it, message, signature -> nothing, or Denied
Never: takes RSA with SHA-1, or a key of DSA.
Source: RFC 8709 (Ed25519), RFC 5656 (ECDSA), RFC 8332 (RSA with SHA-2).
"""

from __future__ import annotations

import base64

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from ropewalk.auth.interface import Denied

__all__ = ["ed25519_blob", "verify_ed25519"]

_KIND = b"ssh-ed25519"


def ed25519_blob(key: bytes) -> bytes:
    """A raw Ed25519 public key of 32 bytes, as SSH writes it."""
    return len(_KIND).to_bytes(4, "big") + _KIND + len(key).to_bytes(4, "big") + key


def verify_ed25519(blob: bytes, message: bytes, signature: bytes) -> None:
    """Return if ``signature`` is one of ``message`` by the holder of an Ed25519 key.

    Raises:
        Denied: It is not, or the key is none.
    """
    try:
        key = load_ssh_public_key(_KIND + b" " + base64.b64encode(blob))
        if not isinstance(key, Ed25519PublicKey):
            raise Denied
        key.verify(signature, message)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        raise Denied from None
