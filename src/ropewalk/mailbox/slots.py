"""Slots: what a mailbox holds: messages of two sides, for a while (docs/spec/invites.md 5).

Flow: calls of both sides -> Slot -> whoever waits
Never: looks into a message, or holds more than its limits say.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

import msgspec

from ropewalk.auth import FailureLimits, Rate
from ropewalk.mailbox.errors import MailboxFull, NoSlot, OutOfOrder, SlotTaken, TooLarge, TooOften
from ropewalk.spaces.invites import LARGEST_MESSAGE
from ropewalk.spaces.keys import hashed

__all__ = ["NAME_SIZE", "NUMBER_SIZE", "SlotLimits", "Slots"]

NUMBER_SIZE, NAME_SIZE = 4, 16  # bytes of a slot's name: one that the mailbox drew, one that a file tells
_SHORT_NUMBERS = 1000  # what is drawn is below, as long as there are few slots: a person has to say it


class SlotLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a mailbox.

    Attributes:
        slots: At a time.
        per_address: Of them, opened from one address; addresses that are none, as of Unix sockets, have no own bound.
        seconds: That a slot lives at most.
        messages: Of one side.
        bytes: Of one slot, all messages together.
        rate: `open` and `join` from one address: so many at once, and one more each so many seconds.
        wait: Seconds that one call waits at most.
    """

    slots: int = 100
    per_address: int = 16
    seconds: float = 7 * 24 * 3600
    messages: int = 4
    bytes: int = 2 * LARGEST_MESSAGE
    rate: tuple[int, float] = (10, 6.0)
    wait: float = 25.0


@dataclass(eq=False, slots=True)
class _Side:
    slot: _Slot
    opened: bool  # by who opened the slot, not by who joined it
    messages: list[bytes] = field(default_factory=list)
    waiting: asyncio.Future[None] | None = None

    @property
    def other(self) -> _Side | None:
        return self.slot.joiner if self.opened else self.slot.opener

    def wake(self) -> None:
        """Let the call that waits look again."""
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)


@dataclass(eq=False, slots=True)
class _Slot:
    name: bytes
    address: str
    until: float
    opener: _Side = field(init=False)
    joiner: _Side | None = None
    tokens: list[bytes] = field(default_factory=list)  # hashes, of both sides
    held: int = 0  # bytes


class Slots:
    """All slots of one mailbox. It belongs to one event loop.

    Args:
        limits: Its bounds.
        clock: Seconds, of a clock that does not jump.
        random: Gives random bytes.
    """

    def __init__(
        self,
        limits: SlotLimits | None = None,
        *,
        clock: Callable[[], float],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.limits = limits or SlotLimits()
        self._clock, self._random = clock, random
        self._slots: dict[bytes, _Slot] = {}
        self._sides: dict[bytes, _Side] = {}  # by the hash of the token, so that no comparison tells of the token
        self._rates = FailureLimits(clock, address=Rate(*self.limits.rate))

    def __len__(self) -> int:
        """Slots that are open."""
        self._sweep()
        return len(self._slots)

    def open(self, name: bytes, token: bytes, seconds: float, address: str) -> bytes:
        """A new slot, or the one that this token has opened: its name.

        Raises:
            SlotTaken: The name is another's.
            MailboxFull, TooOften: Not now.
        """
        self._sweep()
        side = self._sides.get(_hash(token))
        if side is not None:
            if not side.opened or (name and side.slot.name != name):
                raise SlotTaken("this token is in use for another slot")
            return side.slot.name
        if name and len(name) != NAME_SIZE:
            raise NoSlot(f"a slot that is not drawn has a name of {NAME_SIZE} bytes, got {len(name)}")
        self._count(address)
        if name in self._slots:
            raise SlotTaken("this slot is in use")
        account = _account(address)
        theirs = sum(one.address == account for one in self._slots.values()) if account else 0
        if len(self._slots) >= self.limits.slots or theirs >= self.limits.per_address:
            raise MailboxFull("the mailbox has no slot left for you", hint="try again later, or use another mailbox")
        slot = _Slot(name or self._drawn(), account, self._clock() + min(max(seconds, 0.0), self.limits.seconds))
        slot.opener = self._side(slot, token, opened=True)
        self._slots[slot.name] = slot
        return slot.name

    def join(self, name: bytes, token: bytes, address: str) -> None:
        """Be the other side of a slot.

        Raises:
            NoSlot: There is none of this name.
            SlotTaken: Somebody else has joined.
            TooOften: Not now.
        """
        self._sweep()
        side = self._sides.get(_hash(token))
        if side is not None:
            if side.opened or side.slot.name != name:
                raise SlotTaken("this token is in use for another slot")
            return
        self._count(address)
        slot = self._slots.get(name)
        if slot is None:
            raise NoSlot("there is no such slot", hint="it is over, or at another mailbox")
        if slot.joiner is not None:
            raise SlotTaken("somebody else has joined this slot", hint="ask for a new code")
        slot.joiner = self._side(slot, token, opened=False)

    def put(self, token: bytes, index: int, message: bytes) -> None:
        """Leave a message for the other side.

        Raises:
            TooLarge, OutOfOrder: It cannot be left.
            NoSlot: The slot is over.
        """
        side = self._there(token)
        if 0 <= index < len(side.messages):
            if side.messages[index] != message:
                raise OutOfOrder(f"message {index} is another one")
            return
        if index != len(side.messages):
            raise OutOfOrder(f"message {index} is put, expected {len(side.messages)}")
        limits, slot = self.limits, side.slot
        if len(message) > LARGEST_MESSAGE or index >= limits.messages or slot.held + len(message) > limits.bytes:
            raise TooLarge(f"a slot takes {limits.messages} messages a side, and {limits.bytes:,} bytes")
        side.messages.append(bytes(message))
        slot.held += len(message)
        if side.other is not None:
            side.other.wake()

    async def wait(self, token: bytes, index: int, seconds: float) -> bytes | None:
        """The other side's message, or None after so many seconds, or where a later call waits.

        Raises:
            OutOfOrder: One before it has not come.
            NoSlot: The slot is over.
        """
        side = self._there(token)
        found = self._message(side, index)
        if found is not None:
            return found
        side.wake()
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        side.waiting = waiting
        try:
            async with asyncio.timeout(min(max(seconds, 0.0), self.limits.wait)):
                await waiting
        except TimeoutError:
            pass
        finally:
            if side.waiting is waiting:
                side.waiting = None
        return self._message(self._there(token), index)

    def close(self, token: bytes) -> None:
        """End one's turn; the slot is free where its opener does so. Nothing where there is none."""
        side = self._sides.get(_hash(token))
        if side is not None and side.opened:
            self._free(side.slot)

    # ------------------------------------------------------------------------------------------------------------------

    def _there(self, token: bytes) -> _Side:
        self._sweep()
        side = self._sides.get(_hash(token))
        if side is None:
            raise NoSlot("this slot is over", hint="the other side has ended it, or its time has run out")
        return side

    def _message(self, side: _Side, index: int) -> bytes | None:
        there = [] if side.other is None else side.other.messages
        if 0 <= index < len(there):
            return there[index]
        if index != len(there):
            raise OutOfOrder(f"message {index} is waited for, the next is {len(there)}")
        return None

    def _side(self, slot: _Slot, token: bytes, *, opened: bool) -> _Side:
        side = self._sides[_hash(token)] = _Side(slot, opened)
        slot.tokens.append(_hash(token))
        return side

    def _count(self, address: str) -> None:
        if self._rates.wait_for(address, ""):
            raise TooOften("this address has opened or joined too often", hint="try again in a minute")
        self._rates.attempted(address, "")

    def _drawn(self) -> bytes:
        """A number that nobody has, short enough to be said; at random, so that an old code meets a new one seldom."""
        most = max(_SHORT_NUMBERS, 10 * self.limits.slots)
        first = int.from_bytes(self._random(8), "big")
        for step in range(len(self._slots) + 1):  # one of so many is free
            name = ((first + step) % (most - 1) + 1).to_bytes(NUMBER_SIZE, "big")
            if name not in self._slots:
                return name
        raise AssertionError

    def _sweep(self) -> None:
        now = self._clock()
        for slot in [one for one in self._slots.values() if one.until <= now]:
            self._free(slot)

    def _free(self, slot: _Slot) -> None:
        self._slots.pop(slot.name, None)
        for token in slot.tokens:
            self._sides.pop(token, None)
        for side in (slot.opener, slot.joiner):
            if side is not None:
                side.wake()


def _hash(token: bytes) -> bytes:
    return hashed("mailbox token", token)


def _account(address: str) -> str:
    """What counts as one address: an IPv6 address by its /64, the least that a customer gets."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:256]
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return parsed.packed[:8].hex()
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
