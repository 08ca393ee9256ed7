"""Lies of a mailbox: what two people say to each other in a ceremony is dropped, changed, replayed or answered.

Flow: a side's message -> Lie.carried -> what comes to whom
Never: knows the code.
"""

from __future__ import annotations

from collections.abc import Sequence

from ropewalk.errors import RopewalkError
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites import NEW_MEMBER, Inviter, Joiner, JoinerKeys, Offer, OfferedSpace
from ropewalk.spaces.members import Role
from ropewalk.testing.liars.liar import Lie, Place

__all__ = ["MAILBOX_CODE", "AnswersItself", "ChangesMessages", "DropsMessages", "ReplaysMessages"]

MAILBOX_CODE = (bytes(3) + b"\x07", b"\x3c\x3b")  # slot and secret of the ceremony that is lied about
_GUESS = b"\x3c\x3c"
_FAR = 1 << 62  # nanoseconds since 1970
_NOISE = bytes(100)

Told = Sequence[tuple[str, bytes]]  # what comes to whom


class _Mailbox(Lie):
    """Remembers what each side has said."""

    by_mailbox = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.said: dict[str, list[bytes]] = {"inviter": [], "joiner": []}

    def carried(self, side: str, message: bytes) -> Sequence[tuple[str, bytes]]:
        self.said[side].append(message)
        true = super().carried(side, message)
        told = self.told(side, message, true)
        if told != true:
            self.place.account.told("mailbox")
        return told

    def told(self, side: str, message: bytes, true: Told) -> Told:
        """What comes of it."""
        raise NotImplementedError


class DropsMessages(_Mailbox):
    """Loses the welcome."""

    number, name = "39a", "mailbox that drops"

    def told(self, side: str, _message: bytes, true: Told) -> Told:
        return [] if side == "inviter" and len(self.said[side]) == 2 else true


class ChangesMessages(_Mailbox):
    """Turns a bit over in the second thing that the joiner says, which has its keys."""

    number, name = "39b", "mailbox that swaps keys"

    def told(self, side: str, message: bytes, true: Told) -> Told:
        if side != "joiner" or len(self.said[side]) != 2:
            return true
        at = len(message) // 2
        return [(true[0][0], message[:at] + bytes((message[at] ^ 1,)) + message[at + 1 :])]


class ReplaysMessages(_Mailbox):
    """Gives everything twice, and at last what the side had said at first."""

    number, name = "39c", "mailbox that replays"

    def told(self, side: str, _message: bytes, true: Told) -> Told:
        to = true[0][0]
        return [(to, self.said[side][0])] if len(self.said[side]) > 1 else [*true, *true]


class AnswersItself(_Mailbox):
    """Plays the other side to both, with keys of its own and a guessed code."""

    number, name = "39d", "mailbox that answers with its own keys"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.sides: dict[str, Inviter | Joiner] = {}

    def told(self, side: str, message: bytes, _true: Told) -> Told:
        try:
            return self._answered(side, message)
        except RopewalkError:
            return [(side, _NOISE)]  # it was found out

    def _answered(self, side: str, message: bytes) -> Told:
        slot, random = MAILBOX_CODE[0], self.place.chance.randbytes
        keys = DeviceKeys(random(32))
        if side == "joiner" and len(self.said[side]) == 1:
            space = bytes.fromhex(self.place.space)
            offer = Offer(keys.public(), NEW_MEMBER, [OfferedSpace(space, bytes(16), Role.WRITER)], _FAR)
            inviter = Inviter(slot, _GUESS, offer, clock=self.place.now, random=random)
            joiner = Joiner(slot, _GUESS, keys, JoinerKeys(keys.public(), None, "dave", "laptop"), random=random)
            self.sides = {"inviter": inviter, "joiner": joiner}
            return [("joiner", inviter.answer(message, lambda: None)), ("inviter", joiner.ask(lambda: None))]
        mine = self.sides["joiner" if side == "inviter" else "inviter"]
        return [(side, mine.confirm(message))] if isinstance(mine, Joiner) else _admitted(mine.confirm(message))


def _admitted(joiner: JoinerKeys) -> Told:
    raise AssertionError(f"a guessed code let {joiner.name} be read")
