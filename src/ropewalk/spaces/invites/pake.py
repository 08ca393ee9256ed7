"""PAKE: two sides that know the same few bytes come to a key; the one import of `spake2` (docs/spec/invites.md 3).

Flow: secret, random bytes -> Exchange.message -> the other side; its message -> Exchange.key -> K
Never: takes a second message: each is a guess.

The package works with Python's integers, not in constant time; a secret serves one exchange, and is void then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ropewalk.spaces.invites.errors import MessageMalformed, OutOfTurn
from ropewalk.spaces.keys import hashed

if TYPE_CHECKING:
    from typing import Literal

__all__ = ["MESSAGE_SIZE", "Exchange"]

MESSAGE_SIZE = 33  # a byte for the side, and a point
_INVITER, _JOINER = b"ropewalk inviter 1", b"ropewalk joiner 1"
_FIELD = 2**255 - 19


class Exchange:
    """One side of one exchange.

    Args:
        side: Whose.
        secret: What both sides know.
        random: Gives random bytes.

    Attributes:
        message: For the other side.
    """

    def __init__(self, side: Literal["inviter", "joiner"], secret: bytes, random: Callable[[int], bytes]) -> None:
        import spake2  # type: ignore[import-untyped]  # 50 ms, which only invites need

        kind, self._other = (spake2.SPAKE2_A, b"B") if side == "inviter" else (spake2.SPAKE2_B, b"A")
        self._side: Any = kind(secret, idA=_INVITER, idB=_JOINER, entropy_f=random)
        self.message: bytes = self._side.start()

    def key(self, message: bytes) -> bytes:
        """``K``: 32 bytes, the same at both sides if they know the same.

        Raises:
            MessageMalformed: What came is no message of the other side's.
            OutOfTurn: One came before.
        """
        from spake2 import SPAKEError
        from spake2.ed25519_basic import NotOnCurve  # type: ignore[import-untyped]

        if self._side is None:
            raise OutOfTurn("an exchange takes one message, and has had it")
        side, self._side = self._side, None
        # The package takes longer messages and other encodings of a point, for which the two keys would differ; and the
        # neutral point, where it has the sign bit.
        y = int.from_bytes(message[1:], "little") & (1 << 255) - 1
        if len(message) != MESSAGE_SIZE or message[:1] != self._other or y >= _FIELD or y == 1:
            raise MessageMalformed(f"got {len(message)} bytes, expected {MESSAGE_SIZE}: the other side, and a point")
        try:
            return hashed("invite key", side.finish(message))
        except (SPAKEError, NotOnCurve, ValueError) as error:
            raise MessageMalformed(f"what came is no point of an exchange: {error}") from None
