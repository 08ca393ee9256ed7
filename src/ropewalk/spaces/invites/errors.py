"""Errors: what can go wrong with an invite (docs/spec/invites.md 1).

Flow: every module of this part raises one of these
Never: says which part of a secret was wrong.
"""

from __future__ import annotations

from ropewalk.errors import Damaged, Missing, Misuse, PeerFault, Refused

__all__ = [
    "BadCode",
    "BadOffer",
    "CodeUsed",
    "InviteExpired",
    "InviteFileDamaged",
    "MessageMalformed",
    "NoInvite",
    "NotAsOffered",
    "OutOfTurn",
    "TooManyInvites",
    "WrongCode",
]


class BadCode(Misuse):
    """What was typed is no code."""

    code = "invite.bad-code"


class BadOffer(Misuse):
    """What is to be offered cannot be, or the grants do not follow it."""

    code = "invite.bad-offer"


class MessageMalformed(PeerFault):
    """A message is not in its form."""

    code = "invite.malformed"


class OutOfTurn(PeerFault):
    """A message came, or was asked for, when another one is due; or the ceremony is over."""

    code = "invite.out-of-turn"


class WrongCode(Refused):
    """The other side does not know the code, or somebody stands in between."""

    code = "invite.wrong-code"


class NotAsOffered(PeerFault):
    """The welcome holds another thing than what was committed to, or offered."""

    code = "invite.not-as-offered"


class CodeUsed(Refused):
    """The code was used before; there is one try."""

    code = "invite.used"


class InviteExpired(Refused):
    """The time of the invite is over."""

    code = "invite.expired"


class TooManyInvites(Refused):
    """As many as there may be are open, or were used here."""

    code = "invite.too-many"


class NoInvite(Missing):
    """There is no such open invite on this device."""

    code = "invite.unknown"


class InviteFileDamaged(Damaged):
    """A file, or what a QR code holds, is no invite, answer or welcome."""

    code = "invite.file-damaged"
