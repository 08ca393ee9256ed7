"""Mailboxes for tests: an honest one on a URL, one in memory that lies, and a ceremony's two ends.

Flow: `served` -> URL; `Liar` -> two Carriers; `Ends` -> both drivers
Never: waits without a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ropewalk import net
from ropewalk.mailbox import Abandoned, Admitted, Carrier, NoSlot, Slots, host, invite, join
from ropewalk.spaces.invites import Invited, Inviter, Invites, InvitesUnwritable, Joiner, OpenInvite
from ropewalk.spaces.records import encode
from tests.spaces.invites.parties import Clock, Door, device, drawn, offer, person

SECRET = b"\x3c\x3b"


@asynccontextmanager
async def served(url: str = "memory://mailbox", slots: Slots | None = None) -> AsyncIterator[net.Listener]:
    """A mailbox that listens."""
    made = host(Slots(clock=asyncio.get_running_loop().time) if slots is None else slots)
    async with await net.listen(url, made.protocol) as listener:
        yield listener
        await made.close(1)


class Ends:
    """Anna, who invites, and somebody who joins, with what each has written down.

    Attributes:
        burnt: How often Anna burnt the code.
        given: What the joiner kept.
        full: Whether the joiner's disk takes no more.
        marked: How often the joiner marked it.
        seconds: Until both had ended, where that was measured.

    Args:
        disks: Where both keep what they must not forget; nowhere if that is not what is shown.
    """

    def __init__(
        self,
        number: int = 1,
        *,
        secret: bytes = SECRET,
        typed: bytes | None = None,
        who: str = "bob",
        disks: Path | None = None,
    ) -> None:
        self.number, self.secret, self.who = number, secret, who
        self.id, self.slot = bytes([number]) * 16, b""
        self.disks: list[Invites] | None = None
        if disks is not None:
            self.disks = [Invites(str(disks / name), clock=Clock()) for name in ("anna", who)]
        self.typed = secret if typed is None else typed
        self.door = Door(offer())
        self.burnt = self.marked = 0
        self.given: list[Invited] = []
        self.full = False
        self.seconds = 0.0
        self.inviter: Inviter | None = None

    def burn(self) -> None:
        if self.disks is not None:
            self.disks[0].burn(self.id)
        self.burnt += 1

    def keep(self, invited: Invited) -> None:
        if self.full:
            raise InvitesUnwritable("the disk is full")
        self.given.append(invited)

    def mark(self) -> None:
        if self.disks is not None:
            self.disks[1].mark(self.slot, self.typed)
        self.marked += 1

    async def invite(self, carrier: Carrier, slot: bytes, seconds: float = 60) -> Admitted:
        random = drawn(2 * self.number)
        if self.disks is not None:
            kept = OpenInvite(self.id, slot, self.secret, encode(self.door.offer), [])
            self.disks[0].keep(kept, device("anna"))
        self.inviter = Inviter(slot, self.secret, self.door.offer, clock=Clock(), random=random)
        return await invite(carrier, self.inviter, self.door, self.burn, seconds=seconds)

    async def join(self, carrier: Carrier, slot: bytes) -> Invited:
        self.slot = slot
        joiner = Joiner(slot, self.typed, device(self.who), person(self.who), random=drawn(2 * self.number + 1))
        return await join(carrier, joiner, self.mark, self.keep)


Meddle = Callable[["End", int, bytes], list[bytes]]


@dataclass(eq=False)
class End:
    """One side of a lying mailbox; a `Carrier`."""

    name: str
    liar: Liar
    came: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    sent: int = 0
    closed: bool = False

    async def put(self, message: bytes) -> None:
        if self.other.closed:
            raise NoSlot("over")
        number, self.sent = self.sent, self.sent + 1
        for told in self.liar.meddle(self, number, message):
            self.other.came.put_nowait(told)

    async def take(self, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                message = await self.came.get()
        except TimeoutError:
            raise Abandoned("nothing came") from None
        if message is None:
            raise NoSlot("over")
        return message

    async def close(self) -> None:
        if not self.closed and self is self.liar.inviter:
            self.closed = True
            self.other.came.put_nowait(None)

    @property
    def other(self) -> End:
        return self.liar.joiner if self is self.liar.inviter else self.liar.inviter


class Liar:
    """A mailbox that does what it likes: ``meddle`` says what becomes of a message of one side.

    Attributes:
        passed: What each side said, in its order.
    """

    def __init__(self, meddle: Meddle = lambda end, number, message: [message]) -> None:
        self.passed: list[tuple[str, bytes]] = []
        self._meddle = meddle
        self.inviter, self.joiner = End("inviter", self), End("joiner", self)

    def meddle(self, end: End, number: int, message: bytes) -> list[bytes]:
        self.passed.append((end.name, message))
        return self._meddle(end, number, message)
