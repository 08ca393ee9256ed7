"""Argon2: passwords and passphrases stretched into keys, one at a time in a process.

Flow: spaces.identity, auth.passwords -> derive, kept, agrees -> the cryptography package
Never: stretches two at once: OpenSSL counts the threads for lanes over all its callers, and two of them at the same
       time fail, or wait for each other for ever.
Source: RFC 9106.
"""

from __future__ import annotations

import os
from threading import Lock

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

__all__ = ["LANES", "MEMORY", "PASSES", "agrees", "derive", "kept"]

# 64 MiB, 3 passes, 4 lanes: the second recommended choice of RFC 9106 (section 4). MEMORY is in KiB.
MEMORY, PASSES, LANES = 64 * 1024, 3, 4
_TURN = Lock()


def derive(secret: bytes, salt: bytes, memory: int = MEMORY, passes: int = PASSES, lanes: int = LANES) -> bytes:
    """A key of 32 bytes; ``memory`` is in KiB. With the defaults it takes about 0.1 s, and lets other threads run."""
    kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
    with _TURN:
        return kdf.derive(secret)


def kept(password: bytes) -> str:
    """What to keep of a password: a PHC string with a salt of its own."""
    kdf = Argon2id(salt=os.urandom(16), length=32, iterations=PASSES, lanes=LANES, memory_cost=MEMORY)
    with _TURN:
        return kdf.derive_phc_encoded(password)


def agrees(password: bytes, phc: str) -> bool:
    """Whether a password is the one of which this PHC string was kept."""
    try:
        with _TURN:
            Argon2id.verify_phc_encoded(password, phc)
    except InvalidKey:
        return False
    return True
