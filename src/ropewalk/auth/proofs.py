"""Proofs: a signature by which a peer shows that it holds an Ed25519 key, on this connection and just now.

Flow: KeyChallenge -> its 32 bytes to the peer -> proof_message, signed there -> answered -> HeldKey for the portal
Never: takes a signature that was made for another connection, another side, another name, or once before.
Source: RFC 8709 (Ed25519 keys), RFC 5929 and RFC 9266 (what a connection is known by).
"""

from __future__ import annotations

import os
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ropewalk.auth.credentials import HeldKey
from ropewalk.auth.interface import Denied
from ropewalk.auth.keys import BadKey, checked_key, ed25519_blob
from ropewalk.auth.names import plain
from ropewalk.errors import Misuse

__all__ = ["KeyChallenge", "Side", "proof_message", "verify_ed25519"]

Side = Literal["client", "server"]

_WHAT = b"ropewalk login 1"  # so that a signature for this is none for anything else that the key signs
_LEAST_BINDING, _CHALLENGE = 16, 32  # bytes


class KeyChallenge:
    """A question to the other side of a connection: show that you hold your key. It takes one answer.

    Either side may ask; where both do, each knows the other's key.

    Args:
        side: Which one is asked.
        binding: What both ends know this connection by and no other has, of 16 bytes or more: a TLS exporter's value or
            the hash of the server's certificate, SSH's session identifier. Without it, whoever a client connects to
            could pass on our question as its own, and be let in with the answer.
        challenge: 32 random bytes; else they are drawn here.
    """

    def __init__(self, side: Side, binding: bytes, challenge: bytes = b"") -> None:
        if len(binding) < _LEAST_BINDING:
            raise Misuse(f"got a channel binding of {len(binding)} bytes, expected {_LEAST_BINDING} or more")
        if challenge and len(challenge) != _CHALLENGE:
            raise Misuse(f"got a challenge of {len(challenge)} bytes, expected {_CHALLENGE}")
        self._side, self._binding = side, binding
        self.challenge = challenge or os.urandom(_CHALLENGE)
        self._answered = False

    def answered(self, name: str, key: bytes, signature: bytes) -> HeldKey:
        """What to ask the portal with, once the answer is known to be right.

        Args:
            name: Who the peer says it is; "" where the key alone tells.
            key: Its raw Ed25519 key, 32 bytes.
            signature: Of `proof_message`.

        Raises:
            Denied: It is wrong, or not the first answer.
        """
        first, self._answered = not self._answered, True
        blob = ed25519_blob(key)
        if not first or plain(name) is None:
            raise Denied
        verify_ed25519(blob, proof_message(self._side, self._binding, self.challenge, name, key), signature)
        return HeldKey(name, blob)


def proof_message(side: Side, binding: bytes, challenge: bytes, name: str, key: bytes) -> bytes:
    """What the side that is asked signs: each part after its length in four bytes."""
    parts = (_WHAT, side.encode(), binding, challenge, name.encode(), key)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def verify_ed25519(blob: bytes, message: bytes, signature: bytes) -> None:
    """Return if ``signature`` is one of ``message`` by the holder of an Ed25519 key.

    Raises:
        Denied: It is not, or the key is none.
    """
    try:
        checked_key(blob, "ssh-ed25519")
        Ed25519PublicKey.from_public_bytes(blob[-32:]).verify(signature, message)
    except (InvalidSignature, ValueError, BadKey):
        raise Denied from None
