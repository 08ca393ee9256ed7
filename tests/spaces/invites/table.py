"""An inviter and a joiner at one table, for tests of what is said.

Flow: Table -> messages as far as a test wants them
Never: writes to a disk.
"""

from __future__ import annotations

from ropewalk.spaces.invites import Code, Invited, Inviter, Joiner, JoinerKeys, Offer
from tests.spaces.invites.parties import Clock, Door, device, drawn, offer, person

SLOT = bytes([0, 0, 0, 7])
CODE = Code(7, b"\x3c\x3b")
ADMIN_CODE = Code(7, b"\x3c\x3b\x01")


def nothing() -> None:
    """Neither burns nor marks: for tests of what is said."""


class Table:
    """An inviter and a joiner, and what they have said."""

    def __init__(
        self,
        offered: Offer | None = None,
        *,
        secret: bytes = CODE.secret,
        typed: bytes | None = None,
        who: str = "bob",
        file_of: bytes | None = None,
    ) -> None:
        self.clock, self.offer = Clock(), offered or offer()
        self.door = Door(self.offer)
        self.inviter = Inviter(SLOT, secret, self.offer, clock=self.clock, random=drawn(1))
        self.joiner = Joiner(
            SLOT,
            secret if typed is None else typed,
            device(who),
            person(who),
            inviter=file_of,
            random=drawn(2),
        )

    def until_answered(self) -> bytes:
        return self.inviter.answer(self.joiner.ask(nothing), nothing)

    def until_confirmed(self) -> JoinerKeys:
        return self.inviter.confirm(self.joiner.confirm(self.until_answered()))

    def until_welcomed(self) -> bytes:
        return self.inviter.welcome(self.door.let_in(self.until_confirmed()))

    def whole(self) -> Invited:
        invited, done = self.joiner.accept(self.until_welcomed())
        self.inviter.finish(done)
        return invited
