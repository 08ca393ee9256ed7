"""A family: a space with real records, its people, and calls of theirs at an offered store.

Flow: Family -> records -> `founded` in a node's store -> what its people ask, as the broker asks it
Never: uses a network.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk.node.offered import Offered
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.members import NO_CUT, Membership, Policy, Role, create
from ropewalk.spaces.members.authoring import Author
from ropewalk.spaces.members.wraps import deliver, open_ring
from ropewalk.spaces.store import ObjectName
from ropewalk.testing.letting_in import consents, member_with
from tests.node.making import Town, a_node

OWNER, ANNA, BOB, CARL = (DeviceKeys(bytes([number]) * 32) for number in range(1, 5))


def key(who: DeviceKeys | Ed25519PrivateKey) -> bytes:
    """By which a node knows somebody."""
    return who.public_key().public_bytes_raw() if isinstance(who, Ed25519PrivateKey) else who.public().ed25519


@dataclass
class Family:
    """A space of `OWNER`, with real signatures."""

    space: bytes
    objects: dict[ObjectName, bytes]

    @classmethod
    def make(cls) -> Family:
        paper = DeviceKeys(bytes([99]) * 32, PAPER).public()
        space, _, records = create(Policy(2, 4, 3, {"store": 2}), 1, OWNER, paper, 1)
        return cls(space, dict(records))

    def name(self, rest: str) -> str:
        return f"{self.space.hex()}/{rest}"

    def read(self) -> Membership:
        return Membership.read(self.space, self.objects.values())

    def author(self, by: DeviceKeys = OWNER) -> Author:
        return Author(self.read(), by, bytes(16), len(self.objects))

    def add(self, role: Role, who: DeviceKeys, by: DeviceKeys = OWNER) -> tuple[ObjectName, bytes]:
        """Let somebody in; the record."""
        author, epochs = self.author(by), self.read().epochs
        nonce, pledge = author.new_member()
        self.last = member_with(pledge, who.public())
        ring = open_ring(epochs, by).ring
        wraps, agreed = [deliver(epochs, ring, who.public(), role)], consents(self.space, pledge, role, [who])
        return self._kept(author.add(nonce, role, [who.public()], b"", wraps, consents=agreed))

    def remove(self, member: bytes, by: DeviceKeys = OWNER) -> tuple[ObjectName, bytes]:
        """Put somebody out; the record."""
        return self._kept(self.author(by).remove(member, NO_CUT))

    def _kept(self, made: tuple[ObjectName, bytes]) -> tuple[ObjectName, bytes]:
        self.objects[made[0]] = made[1]
        return made


async def pieces_of(data: bytes, size: int = 1 << 20) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def put(offered: Offered, who: DeviceKeys | Ed25519PrivateKey, name: str, data: bytes = b"data") -> None:
    await offered.put(key(who), name, len(data), pieces_of(data))


@asynccontextmanager
async def offered_in(folder: Path, **more: object) -> AsyncIterator[tuple[Town, Offered]]:
    async with a_node(folder / "home") as town:
        await (await town.offer("disk1", **more)).aclose()
        yield town, town.node.offers["disk1"]


async def founded(town: Town, offered: Offered, family: Family) -> None:
    """The owner of a space was given room, and puts its first records there."""
    town.grant(key=None, keys=(key(OWNER).hex(),))
    await town.node.look()
    for name, data in family.objects.items():
        await put(offered, OWNER, name, data)


async def trashed(offered: Offered, family: Family) -> list[str]:
    return [one.label for one in await offered.trash(key(OWNER), family.space, "", 1000)]
