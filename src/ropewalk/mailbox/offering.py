"""Offering: an invite from its making to its end: kept, told, waited for, void (docs/spec/invites.md 7).

Flow: Offer, a mailbox -> slot -> code or file -> kept -> `Offered`, to be told -> `Offered.wait` -> Admitted
Never: gives a code or a file before a wrong guess would void it, or leaves an invite open for which nobody waits.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from ropewalk.mailbox.client import Side, opened
from ropewalk.mailbox.meeting import Admitted, invite
from ropewalk.net import Endpoint
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites import (
    WORDS,
    WORDS_FOR_ADMINS,
    Admit,
    Code,
    CodeUsed,
    InviteFile,
    Inviter,
    Invites,
    NoInvite,
    Offer,
    OpenInvite,
)
from ropewalk.spaces.records import encode

__all__ = ["Offered", "offered"]


class Offered:
    """An invite that can be told to who is meant. Made by `offered`.

    Attributes:
        id: What this device calls it, 16 bytes.
        code: What is said; "" where it is handed over.
        file: What is handed over; None where it is said. As good as a key.
        mailboxes: The ways of the other side to where they meet.
        used: Whether somebody has used it: no other can.
    """

    def __init__(
        self, side: Side, secret: bytes, code: str, file: InviteFile | None, mailboxes: Sequence[str], invites: Invites
    ) -> None:
        self.id = os.urandom(16)
        self.code, self.file, self.mailboxes, self.used = code, file, mailboxes, False
        self._side, self._secret, self._invites = side, secret, invites

    @property
    def command(self) -> str:
        """What is typed at the other machine, where a code is said.

        The mailbox is part of it even where it comes from our environment: the other machine does not have that.
        """
        return f"ropewalk join {self.code} {' '.join(f'--mailbox {shlex.quote(url)}' for url in self.mailboxes)}"

    async def wait(self, admit: Admit, seconds: float) -> Admitted:
        """Wait so many seconds for who joins, and let it in; see `invite`."""
        inviter = Inviter(self._side.slot, self._secret, admit.offer, clock=time.time_ns, random=os.urandom)
        return await invite(self._side, inviter, admit, self._burn, seconds=seconds)

    def _burn(self) -> None:
        self._invites.burn(self.id)
        self.used = True


@asynccontextmanager
async def offered(
    offer: Offer,
    note: bytes,
    invites: Invites,
    keys: DeviceKeys,
    place: tuple[Endpoint, Sequence[str]],
    *,
    by_file: bool,
    seconds: float,
    patience: float = 30.0,
) -> AsyncIterator[Offered]:
    """An invite that waits at a mailbox; at the end it is void, if it was not used before.

    Args:
        offer, note: Of an `Admission` that is ready.
        invites: Where this device keeps those that are open.
        keys: This device's.
        place: The mailbox as it is reached from here, and the ways to it of others.
        by_file: Whether it is handed over, and not said.
        seconds: For which it waits.
        patience: Seconds for the mailbox to answer.

    Raises:
        MailboxAway, MailboxFull, TooOften: There is no slot for it.
        TooManyInvites, BadOffer, InvitesBusy: It cannot be kept.
    """
    url, mailboxes = place
    file = InviteFile.draw(offer, list(mailboxes)) if by_file else None
    async with opened(url, slot=file.slot if file else b"", seconds=seconds, patience=patience) as side:
        if file is None:
            code = Code.of_slot(side.slot, WORDS_FOR_ADMINS if offer.for_admin else WORDS, os.urandom)
            secret, told = code.secret, str(code)
        else:
            secret, told = file.secret, ""
        made = Offered(side, secret, told, file, mailboxes, invites)
        try:
            kept = OpenInvite(made.id, side.slot, secret, encode(offer), list(mailboxes), note)
            await asyncio.to_thread(invites.keep, kept, keys)
            yield made
        finally:
            with suppress(CodeUsed, NoInvite):  # it was not kept, or its time is over
                await asyncio.to_thread(invites.burn, made.id)
