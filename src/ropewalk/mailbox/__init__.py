"""Mailbox: where an inviter and a joiner meet who cannot reach each other (docs/spec/invites.md 5).

Flow: Mailbox over the broker <- `opened`, `joined` <- `invite`, `join` with the ceremony of `spaces.invites`
Never: is trusted: it can drop messages and use up codes, and both are noticed.
"""

from __future__ import annotations

from ropewalk.mailbox.client import Carrier, Side, joined, opened
from ropewalk.mailbox.errors import (
    Abandoned,
    MailboxAway,
    MailboxFull,
    NoSlot,
    OutOfOrder,
    SlotTaken,
    TooLarge,
    TooOften,
)
from ropewalk.mailbox.meeting import Admitted, invite, join
from ropewalk.mailbox.offering import Offered, offered
from ropewalk.mailbox.service import Mailbox, MailboxService, host
from ropewalk.mailbox.slots import SlotLimits, Slots

__all__ = [
    "Abandoned",
    "Admitted",
    "Carrier",
    "Mailbox",
    "MailboxAway",
    "MailboxFull",
    "MailboxService",
    "NoSlot",
    "Offered",
    "OutOfOrder",
    "Side",
    "SlotLimits",
    "SlotTaken",
    "Slots",
    "TooLarge",
    "TooOften",
    "host",
    "invite",
    "join",
    "joined",
    "offered",
    "opened",
]
