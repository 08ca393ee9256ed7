"""Client: one side of one slot, over a connection that may break (docs/spec/invites.md 5).

Flow: URL -> `opened` or `joined` -> Side.put, Side.take -> the same calls again where a session was lost
Never: begins a ceremony again: what is repeated is the very same message under the same number.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol

from ropewalk import broker
from ropewalk.broker.errors import BadMessage
from ropewalk.errors import RopewalkError
from ropewalk.mailbox.errors import Abandoned, MailboxAway, told
from ropewalk.mailbox.slots import NAME_SIZE, NUMBER_SIZE
from ropewalk.net import Endpoint
from ropewalk.spaces.invites import LARGEST_MESSAGE

__all__ = ["Carrier", "Side", "joined", "opened"]

_WAIT = 20.0  # seconds that one call waits at the mailbox, which takes 25
_MOST_LOST = 100  # sessions that one call may lose before the mailbox is given up
_MOST_EARLY = 20  # answers that there is nothing, sooner than asked for; one is due where a session was lost
_LEAVING = 5.0  # seconds to say that we leave
_BACKOFF = broker.Backoff(first=0.25, most=5.0)


class Carrier(Protocol):
    """What brings the messages of one side to the other, in order, and those of the other side here."""

    async def put(self, message: bytes) -> None:
        """Send; when it returns, the message will be there even if this process ends."""

    async def take(self, seconds: float) -> bytes:
        """The next message of the other side.

        Raises:
            Abandoned: None comes within so many seconds.
            NoSlot: None will come.
        """

    async def close(self) -> None:
        """No more is sent or wanted from here; never fails."""


class Side:
    """One side of one slot; a `Carrier`. Made by `opened` and `joined`.

    Attributes:
        slot: Its name.
    """

    def __init__(self, link: broker.Link, url: str | Endpoint, token: bytes) -> None:
        self.slot = b""
        self._link, self._url, self._token = link, url, token
        self._put = self._taken = 0

    async def put(self, message: bytes) -> None:
        """Leave a message for the other side.

        Raises:
            NoSlot: The slot is over.
            Unavailable: The mailbox cannot be reached.
        """
        number = self._put
        await self._asked(lambda: self._box.put(self._token, number, message))
        self._put += 1

    async def take(self, seconds: float) -> bytes:
        """The next message of the other side.

        Raises:
            Abandoned: None came within so many seconds.
            NoSlot: The slot is over.
            Unavailable: The mailbox cannot be reached.
        """
        clock, number, early = asyncio.get_running_loop().time, self._taken, 0
        until = clock() + seconds
        while (left := until - clock()) > 0:
            wait, began = min(left, _WAIT), clock()
            message = await self._asked(partial(self._wait, number, wait))
            if message is not None:
                if not isinstance(message, bytes) or len(message) > LARGEST_MESSAGE:
                    raise BadMessage("what the mailbox gave is no message")
                self._taken += 1
                return message
            early += clock() - began < wait / 2
            if early > _MOST_EARLY:
                raise BadMessage("the mailbox does not wait when it is asked to")
        raise Abandoned(f"the other side did not answer within {seconds:g} s", hint="make a new invite")

    def _wait(self, number: int, seconds: float) -> Awaitable[Any]:
        wait: Awaitable[Any] = self._box.wait(self._token, number, seconds)
        return wait

    async def close(self) -> None:
        """End one's turn, if the mailbox can be told."""
        with suppress(RopewalkError, TimeoutError):
            async with asyncio.timeout(_LEAVING):
                await self._box.close(self._token)

    async def open(self, slot: bytes, seconds: float) -> None:
        """Have a new slot; see `opened`."""
        name = await self._asked(lambda: self._box.open(slot, self._token, seconds))
        if not isinstance(name, bytes) or len(name) != (NAME_SIZE if slot else NUMBER_SIZE) or (slot and name != slot):
            raise BadMessage("what the mailbox gave is no name of a slot")
        self.slot = name

    async def join(self, slot: bytes) -> None:
        """Be the other side of a slot; see `joined`."""
        await self._asked(lambda: self._box.join(slot, self._token))
        self.slot = slot

    @property
    def _box(self) -> Any:
        return self._link.perspective

    async def _asked(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """What a call gives, made again where its session was lost: it changes nothing if it was done before."""
        for left in reversed(range(_MOST_LOST)):
            try:
                return await call()
            except (broker.Lost, broker.Ended, broker.Cancelled):
                if self._link.error is not None or not left:
                    raise
            except broker.Late:
                raise MailboxAway(
                    f"no mailbox answers at {self._url}",
                    hint="is the other side still waiting, and can this machine reach it?",
                ) from None
            except RopewalkError as error:
                raise told(error) from None
        raise AssertionError


@asynccontextmanager
async def opened(
    url: str | Endpoint,
    *,
    slot: bytes = b"",
    seconds: float = 3600.0,
    random: Callable[[int], bytes] = os.urandom,
    patience: float = 30.0,
    backoff: broker.Backoff = _BACKOFF,
) -> AsyncIterator[Side]:
    """The inviter's side of a new slot: ``async with opened(url) as side``; the slot is freed at the end.

    Args:
        url: Of the mailbox.
        slot: The name that an invite file has; none for a number that the mailbox draws.
        seconds: That it is needed.
        random: Gives random bytes.
        patience: Seconds that a call waits for a connection.
        backoff: How long to wait between connections.

    Raises:
        MailboxFull, SlotTaken, TooOften: There is no slot for us.
        MailboxAway: Nobody answers there within `patience`.
    """
    async with broker.reconnecting(url, patience=patience, deadline=patience, backoff=backoff) as link:
        side = Side(link, url, random(32))
        await side.open(slot, seconds)
        try:
            yield side
        finally:
            await side.close()


@asynccontextmanager
async def joined(
    url: str | Endpoint,
    slot: bytes,
    *,
    random: Callable[[int], bytes] = os.urandom,
    patience: float = 30.0,
    backoff: broker.Backoff = _BACKOFF,
) -> AsyncIterator[Side]:
    """The joiner's side of a slot that the inviter has opened.

    Args:
        url, random, patience, backoff: See `opened`.
        slot: Its name, from the code or the file.

    Raises:
        NoSlot: There is none such.
        SlotTaken, TooOften: It is not for us.
        MailboxAway: Nobody answers there within `patience`.
    """
    async with broker.reconnecting(url, patience=patience, deadline=patience, backoff=backoff) as link:
        side = Side(link, url, random(32))
        await side.join(slot)
        try:
            yield side
        finally:
            await side.close()
