"""A club: a space whose records come one by one, with secrets that open, and devices that have some records or all.

Flow: labels -> keys; Club.add, rotate, put -> objects -> Club.read, epochs, ring of any of them
Never: checks signatures: records pass as verified, which saves most of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.keys import KeyRing, hashed
from ropewalk.spaces.members import Consent, Epochs, Membership, Policy, Role, create, record_hash
from ropewalk.spaces.members.authoring import Author
from ropewalk.spaces.members.records import object_hash, parse
from ropewalk.spaces.members.wraps import Rotation, deliver, open_ring, rotate
from ropewalk.testing.letting_in import consents, member_with

__all__ = ["ADMIN", "READER", "STEWARD", "WRITER", "Club", "device", "first", "keys", "opens"]

STEWARD, READER, WRITER, ADMIN = Role


@cache
def keys(label: str) -> DeviceKeys:
    """The keys of a device; those of a paper key where the label begins with paper."""
    return DeviceKeys(hashed("test device", label.encode()), PAPER if label.startswith("paper") else 0)


def device(label: str) -> bytes:
    """Its id."""
    return keys(label).public().id


class Club:
    """A space of A, with a1 and paperA, and all records that were ever written in it.

    Records pass as verified: whose signature counts is tested elsewhere.
    """

    def __init__(self) -> None:
        policy = Policy(2, 4, 3, {"store": 2})
        self.space_id, self.secrets, records = create(policy, 1, keys("a1"), keys("paperA").public(), 1, 2)
        self.objects = [data for _, data in records]
        self.member: dict[str, bytes] = {}
        self.member["A"] = next(iter(self.read().state.members))

    def read(self, objects: Iterable[bytes] | None = None) -> Membership:
        """What some records come to, or all of them."""
        chosen = list(self.objects if objects is None else objects)
        return Membership.read(self.space_id, chosen, verified={object_hash(data) for data in chosen})

    def epochs(self, objects: Iterable[bytes] | None = None) -> Epochs:
        """The epochs among some records, or all of them."""
        return self.read(objects).epochs

    def ring(self, label: str, objects: Iterable[bytes] | None = None) -> KeyRing:
        """What a device opens of some records, or of all of them."""
        return open_ring(self.epochs(objects), keys(label)).ring

    def author(self, label: str, objects: Iterable[bytes] | None = None) -> Author:
        """A device that has some records, or all of them."""
        return Author(self.read(objects), keys(label), hashed("test life", label.encode())[:16], 0)

    def put(self, record: tuple[object, bytes] | Rotation) -> bytes:
        """A record is there from now on; its object."""
        data = record.data if isinstance(record, Rotation) else record[1]
        self.objects.append(data)
        return data

    def add(
        self,
        name: str,
        role: Role,
        *labels: str,
        by: str = "a1",
        at: Sequence[bytes] | None = None,
        wrapped: bool = True,
    ) -> bytes:
        """A member, and what the admin knows wrapped for its devices."""
        author, epochs = self.author(by, at), self.epochs(at)
        nonce, pledge = author.new_member()
        public = [keys(label).public() for label in labels or (f"{name.lower()}1",)]
        wraps = [deliver(epochs, self.ring(by, at), one, role) for one in public] if wrapped else []
        self.member[name] = member_with(pledge, *public)
        agreed = self.agreed(pledge, role, *(labels or (f"{name.lower()}1",)))
        return self.put(author.add(nonce, role, public, b"", wraps, consents=agreed))

    def agreed(self, pledge: bytes, role: int, *labels: str) -> list[Consent]:
        """Consents of devices to come together as a new member; with role 0, to be one more of its devices."""
        return consents(self.space_id, pledge, role, [keys(label) for label in labels])

    def rotate(self, by: str = "a1", at: Sequence[bytes] | None = None) -> Rotation:
        """A new epoch, on top of some records, or of all of them."""
        read = self.read(at)
        made = rotate(read.epochs, self.ring(by, at), keys(by), read.frontier)
        self.put(made)
        return made


def opens(ring: KeyRing, *epochs: bytes) -> bool:
    """Whether a ring has all of these with the secrets of members."""
    return all(ring.knows(epoch, members=True) for epoch in epochs)


def first(club: Club) -> bytes:
    """The hash of epoch 1."""
    signed = parse(club.objects[1])
    assert signed is not None
    return record_hash(signed.body)
