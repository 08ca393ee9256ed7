"""Errors: what a mailbox refuses, at its own end and at its clients' (docs/spec/invites.md 5).

Flow: Slots -> one of these -> the broker -> `told` -> the same class at the client
Never: says more of a slot than that it is not to be had.
"""

from __future__ import annotations

from ropewalk.errors import Missing, Misuse, Refused, RopewalkError, Unavailable

__all__ = [
    "Abandoned",
    "MailboxAway",
    "MailboxFull",
    "NoSlot",
    "OutOfOrder",
    "SlotTaken",
    "TooLarge",
    "TooOften",
    "told",
]


class NoSlot(Missing):
    """There is no such slot, or no more."""

    code = "mailbox.no-slot"


class SlotTaken(Refused):
    """Somebody else is at this side of the slot."""

    code = "mailbox.taken"


class MailboxFull(Unavailable):
    """There is no slot left, or this address has as many as it may."""

    code = "mailbox.full"


class TooOften(Unavailable):
    """This address has opened or joined too often."""

    code = "mailbox.too-often"


class TooLarge(Misuse):
    """A message is too long, or there are too many."""

    code = "mailbox.too-large"


class OutOfOrder(Misuse):
    """A message leaves one out, or is another one than was put there before."""

    code = "mailbox.out-of-order"


class MailboxAway(Unavailable):
    """The mailbox cannot be reached."""

    code = "mailbox.away"


class Abandoned(Refused):
    """The other side has ended the ceremony, or did not answer in time."""

    code = "invite.abandoned"


_KINDS = {kind.code: kind for kind in (NoSlot, SlotTaken, MailboxFull, TooOften, TooLarge, OutOfOrder)}


def told(error: RopewalkError) -> RopewalkError:
    """What came from a mailbox, in its own class."""
    kind = _KINDS.get(error.code)
    return error if kind is None or isinstance(error, kind) else kind(str(error), hint=error.hint)
