"""Two people and a space for tests of invites: real keys, real records, real wraps, in memory.

Flow: seed -> Anna's space -> Door (an `Admit`) -> records in a dict -> `belongs`, which a joiner checks with
Never: fakes a cipher or a signature.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import msgspec

from ropewalk.spaces.identity import PAPER, DeviceKeys, PublicKeys
from ropewalk.spaces.invites import (
    NEW_MEMBER,
    Grant,
    GrantedStore,
    Grants,
    Invited,
    JoinerKeys,
    Offer,
    OfferedSpace,
)
from ropewalk.spaces.keys import Secrets, hashed
from ropewalk.spaces.members import Consent, Role, Signed, named_together
from ropewalk.spaces.records import encode

HOUR = 3600 * 10**9
NOW = 1_795_000_000 * 10**9


@cache
def device(name: str, kind: int = 0) -> DeviceKeys:
    return DeviceKeys(hashed("test device", name.encode()), kind)


@cache
def paper_of(name: str) -> PublicKeys:
    return device(f"{name}'s paper", PAPER).public()


def person(name: str, *, paper: bool = True) -> JoinerKeys:
    return JoinerKeys(device(name).public(), paper_of(name) if paper else None, name, f"{name}'s laptop")


def drawn(seed: int) -> Callable[[int], bytes]:
    """Random bytes that are the same in each run."""
    return random.Random(seed).randbytes


class Clock:
    """Nanoseconds that pass when they are told to."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def offer(
    role: int = Role.WRITER, *, kind: Literal[1, 2] = NEW_MEMBER, spaces: int = 1, expires: int = NOW + HOUR
) -> Offer:
    ids = sorted(hashed("test space", bytes([number])) for number in range(spaces))
    return Offer(device("anna").public(), kind, [OfferedSpace(one, one[:16], role) for one in ids], expires)


@dataclass
class Door:
    """An `Admit` over records in memory: what it signs is what a joiner finds in the stores.

    Attributes:
        records: Signed operations.
        admitted: Device ids, in their order.
    """

    offer: Offer
    records: list[bytes] = field(default_factory=list)
    admitted: list[bytes] = field(default_factory=list)
    path: str = "/mnt/usb"

    def secrets(self, space: bytes) -> Secrets:
        return Secrets(*(hashed(f"test {which}", space) for which in "ESW"))

    def epoch(self, space: bytes) -> bytes:
        return hashed("test epoch", space)

    async def admit(self, joiner: JoinerKeys, consent: Consent) -> bytes:
        assert consent.is_by(joiner.device)
        assert (consent.names, consent.tickets) == (named_together(joiner.keys), self.offer.tickets)
        return self.let_in(joiner)

    def let_in(self, joiner: JoinerKeys) -> bytes:
        for one in self.offer.spaces:
            body = encode(["op", 1, one.space, one.member, one.role, joiner.device])
            self.records.append(encode(Signed.make(body, device("anna"))))
        self.admitted.append(joiner.device.id)
        return self.grants(joiner.name)

    def grants(self, name: str) -> bytes:
        made = []
        for one in self.offer.spaces:
            secrets = self.secrets(one.space)
            told = secrets.steward if one.role == 1 else secrets.epoch + secrets.steward + secrets.space
            made.append(Grant(one.space, self.epoch(one.space), told, "photos", name, [0], None))
        return encode(Grants(made, [GrantedStore(bytes(16), {"disk": "usb"}, [self.path])]))

    def belongs(self, invited: Invited, keys: DeviceKeys) -> bool:
        """The joiner's own check: for each space there is a record by the inviter that admits exactly its keys."""
        found = [msgspec.msgpack.decode(record, type=Signed) for record in self.records]
        bodies = {one.body for one in found if one.verify(invited.offer.inviter)}
        return all(
            encode(["op", 1, one.space, one.member, one.role, keys.public()]) in bodies for one in invited.offer.spaces
        )
