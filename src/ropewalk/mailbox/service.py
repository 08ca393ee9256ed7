"""Service: a mailbox over the broker, for whoever reaches it (docs/spec/invites.md 5).

Flow: listen -> Host -> an anonymous session -> Mailbox -> Slots
Never: asks who somebody is, or can read what passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, ClassVar, cast

import msgspec

from ropewalk import broker
from ropewalk.auth import AnonymousChecker, Perspectives, Portal, Visit
from ropewalk.mailbox.slots import SlotLimits, Slots
from ropewalk.net import Listener
from ropewalk.net.serving import Amount, Count, Serving, ServingConfig
from ropewalk.service import Context
from ropewalk.spaces.invites import LARGEST_MESSAGE

__all__ = ["Mailbox", "MailboxConfig", "MailboxService", "host"]

_REST = 0.1  # of the seconds of a stop: for calls that wait

Token = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Name = Annotated[bytes, msgspec.Meta(max_length=16)]
Index = Annotated[int, msgspec.Meta(ge=0, le=1000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class Mailbox(broker.Perspective):
    """What anybody may do.

    Args:
        slots: Those of this mailbox.
        address: Where its visitor comes from.
    """

    limits: ClassVar[broker.Limits | None] = broker.Limits(
        frame=2 * LARGEST_MESSAGE,
        weight=1 << 20,
        questions=16,
        window=4 * LARGEST_MESSAGE,
        references=16,
        streams=1,
        blob=LARGEST_MESSAGE,
        blobs=4,
        queued=16,
        chain=4,
        memory=1 << 20,
        idle=600.0,
    )

    def __init__(self, slots: Slots, address: str) -> None:
        self._slots, self._address = slots, address

    @broker.remote
    def open(self, slot: Name, token: Token, seconds: Seconds) -> bytes:
        """A slot: its name."""
        return self._slots.open(slot, token, seconds, self._address)

    @broker.remote
    def join(self, slot: Name, token: Token) -> None:
        """Be the other side of a slot."""
        self._slots.join(slot, token, self._address)

    @broker.remote
    def put(self, token: Token, index: Index, message: bytes) -> None:
        """Leave a message."""
        self._slots.put(token, index, message)

    @broker.remote
    async def wait(self, token: Token, index: Index, seconds: Seconds) -> bytes | None:
        """The other side's message, or None."""
        return await self._slots.wait(token, index, seconds)

    @broker.remote
    def close(self, token: Token) -> None:
        """End one's turn."""
        self._slots.close(token)


def host(slots: Slots) -> broker.Host:
    """A server of this mailbox: ``await net.listen(url, host(slots).protocol)``."""
    realm = Perspectives()
    realm.give(Mailbox, lambda visit: Mailbox(slots, _address(visit)))
    return broker.Host(Portal(realm, [AnonymousChecker()]), {"": Mailbox}, limits=Mailbox.limits)


def _address(visit: Visit) -> str:
    return visit.channel.address


class MailboxConfig(ServingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys of kind ``mailbox``.

    Attributes:
        slots: At a time.
        per_address: Of them, from one address.
        lifetime: Seconds that a slot lives at most.
    """

    slots: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    per_address: Count = 16
    lifetime: Amount = 7 * 24 * 3600.0


class MailboxService(Serving):
    """Kind ``mailbox``.

    Attributes:
        host: Its server.
        slots: What it holds; gone when it stops.
    """

    Config = MailboxConfig
    config: MailboxConfig

    host: broker.Host
    slots: Slots

    def __init__(self, config: MailboxConfig, context: Context) -> None:
        super().__init__(config, context)

    async def start(self) -> None:
        """Make the host, then listen."""
        config = self.config
        limits = SlotLimits(slots=config.slots, per_address=config.per_address, seconds=config.lifetime)
        self.slots = Slots(limits, clock=asyncio.get_running_loop().time)
        self.host = host(self.slots)
        await super().start()

    def protocol(self) -> broker.Session:
        """A session."""
        return self.host.protocol()

    async def stop(self, seconds: float) -> None:
        """Take no more sessions, and let what was asked be answered."""
        await super().stop(seconds)
        await self.host.close(seconds * _REST)

    async def ask_to_end(self, listener: Listener, seconds: float) -> int:
        """Say GOAWAY to each session of a listener."""
        return await listener.drain(seconds, lambda _, protocol: cast("broker.Session", protocol).close("it stops"))

    def statistics(self) -> Mapping[str, float]:
        """How many are connected, and how many slots are open."""
        return {"sessions": len(self.host.sessions), "slots": len(self.slots)}
