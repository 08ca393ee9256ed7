"""Letterbox: a mailbox in memory, which carries what its teller says.

Flow: one side's message -> Carry -> what comes to whom
Never: waits without a bound, or keeps what the slot's end makes useless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ropewalk.mailbox import Abandoned, NoSlot

__all__ = ["Carry", "Letterbox"]

Carry = Callable[[str, bytes], Sequence[tuple[str, bytes]]]  # side, message -> what comes to which side


class Letterbox:
    """One slot.

    Args:
        carry: Says what becomes of a message.
    """

    def __init__(self, carry: Carry) -> None:
        self.ended = False
        self._sides = {name: _Side(self, name) for name in ("inviter", "joiner")}
        self._carry = carry

    def side(self, name: str) -> _Side:
        """The inviter's, or the joiner's; a `Carrier`."""
        return self._sides[name]

    def take(self, name: str, message: bytes) -> None:
        """One side says something."""
        if self.ended:
            raise NoSlot("the slot is over")
        for to, told in self._carry(name, message):
            self._sides[to].came.put_nowait(told)

    def end(self) -> None:
        """The inviter wants no more."""
        self.ended = True
        self._sides["joiner"].came.put_nowait(None)


class _Side:
    def __init__(self, box: Letterbox, name: str) -> None:
        self.came: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._box, self._name = box, name

    async def put(self, message: bytes) -> None:
        self._box.take(self._name, message)

    async def take(self, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                message = await self.came.get()
        except TimeoutError:
            raise Abandoned("nothing came") from None
        if message is None:
            raise NoSlot("the slot is over")
        return message

    async def close(self) -> None:
        if self._name == "inviter" and not self._box.ended:
            self._box.end()
