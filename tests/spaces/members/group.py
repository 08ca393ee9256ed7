"""A group written record by record: who signs, what it says, and which records it had seen.

Flow: labels -> keys; Group.write -> record hashes -> Group.read of any of them -> Membership
Never: signs in earnest, unless told to: records are passed as verified before, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from ropewalk.spaces.identity import DEVICE, PAPER, DeviceKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import (
    MOST_RECORDS,
    NO_CUT,
    Accused,
    Membership,
    Policy,
    Role,
    Signed,
    member_id,
    record_hash,
)
from ropewalk.spaces.members.operations import (
    Accept,
    Add,
    AddDevice,
    Content,
    Cut,
    Deliver,
    Delivered,
    Kind,
    Prove,
    Remove,
    Revoke,
    SetLabel,
    SetLevel,
    SetPolicy,
    SetRole,
    content_bytes,
)
from ropewalk.spaces.members.records import EpochBody, Genesis, OperationBody, Wrap, object_hash
from ropewalk.spaces.records import encode

__all__ = ["ADMIN", "READER", "STEWARD", "WRITER", "Group", "cut", "device", "keys", "writer"]

STEWARD, READER, WRITER, ADMIN = Role
Judge = Callable[[bytes], Accused | None]
POLICY = Policy(2, 4, 3, {"store": 2})
_KINDS: dict[type, int] = {
    Add: Kind.ADD,
    Remove: Kind.REMOVE,
    SetRole: Kind.ROLE,
    AddDevice: Kind.DEVICE,
    Revoke: Kind.REVOKE,
    SetPolicy: Kind.POLICY,
    SetLevel: Kind.LEVEL,
    Accept: Kind.ACCEPT,
    Deliver: Kind.WRAP,
    Prove: Kind.PROOF,
    SetLabel: Kind.LABEL,
}


@cache
def keys(label: str) -> DeviceKeys:
    """The keys of a device; those of a paper key where the label begins with paper."""
    return DeviceKeys(hashed("test device", label.encode()), PAPER if label.startswith("paper") else DEVICE)


def device(label: str) -> bytes:
    """The id of a device."""
    return keys(label).public().id


def writer(label: str) -> bytes:
    """Some writer of a device."""
    return hashed("test writer", label.encode())[:16]


def cut(**sequences: int) -> Cut:
    """A cut at these sequences of these writers."""
    return Cut({writer(one): (at, hashed("test head", f"{one} {at}".encode())) for one, at in sequences.items()})


class Group:
    """A space of one member, A, with the device a1 and the paper key paperA, and whatever is written then."""

    def __init__(self, feature: int = 2, privacy: int = 1) -> None:
        first = [keys("a1").public(), keys("paperA").public()]
        self.member = {"A": b"A" * 16}
        body = encode(Genesis("genesis", 1, bytes(32), feature, 1, privacy, POLICY, [0, 1], self.member["A"], first, 1))
        self.space_id = hashed("space", body)
        self.objects: dict[bytes, bytes] = {}
        self.parents: dict[bytes, tuple[bytes, ...]] = {}
        self.counts: dict[bytes, tuple[str, int]] = {}
        self.genesis = self._keep(body, ())
        self._nonces = 0
        self.first = self.epoch("a1", self.genesis)

    def _keep(self, body: bytes, parents: tuple[bytes, ...]) -> bytes:
        digest = record_hash(body)
        self.objects[digest] = encode(Signed(body, b"", b""))
        self.parents[digest] = parents
        return digest

    def past(self, *of: bytes) -> set[bytes]:
        """Records and all that they had seen."""
        found: set[bytes] = set()
        todo = list(of)
        while todo:
            if (one := todo.pop()) not in found:
                found.add(one)
                todo += self.parents[one]
        return found

    def epoch(self, author: str, *parents: bytes, number: int = 1, to: Iterable[str] = ("a1",)) -> bytes:
        """An epoch, its wraps of no use."""
        wraps = [Wrap(device(one), bytes(1232)) for one in to]
        fields = (*("epoch", 1, self.space_id, number, sorted(parents), device(author)), bytes(32), bytes(32))
        return self._keep(encode(EpochBody(*fields, wraps, [], [])), parents)

    def write(
        self, author: str, *parents: bytes, says: Content, count: int = 0, life: str = "", time: int = 0, kind: int = 0
    ) -> bytes:
        """An operation; its count is the next one of its author's life, an incarnation, unless it is given."""
        chain = f"{author} {life}"
        seen = [self.counts[one][1] for one in self.past(*parents) if self.counts.get(one, ("", 0))[0] == chain]
        count = count or max(seen, default=0) + 1
        incarnation = hashed("test incarnation", chain.encode())[:16]
        kind = kind or _KINDS[type(says)]
        body = encode(
            OperationBody(
                *("op", 1, self.space_id, device(author), incarnation, count),
                *(sorted(set(parents)), kind, content_bytes(says), time),
            )
        )
        digest = self._keep(body, parents)
        self.counts[digest] = chain, count
        return digest

    def add(self, author: str, *parents: bytes, name: str, role: Role, to: Iterable[str] = (), life: str = "") -> bytes:
        """A member with the device of its name in small letters and 1, or with those given."""
        self._nonces += 1
        nonce = hashed("test nonce", name.encode())[:16]
        self.member[name] = member_id(self.space_id, device(author), nonce)
        public = [keys(one).public() for one in to or (f"{name.lower()}1",)]
        return self.write(author, *parents, says=Add(nonce, role, public, name.encode(), []), life=life)

    def remove(self, author: str, *parents: bytes, name: str, at: Cut = NO_CUT, life: str = "") -> bytes:
        return self.write(author, *parents, says=Remove(self.member[name], at.packed()), life=life)

    def role(
        self,
        author: str,
        *parents: bytes,
        name: str,
        role: Role,
        at: Cut = NO_CUT,
        life: str = "",
    ) -> bytes:
        return self.write(author, *parents, says=SetRole(self.member[name], role, at.packed()), life=life)

    def device(self, author: str, *parents: bytes, new: str, life: str = "") -> bytes:
        return self.write(author, *parents, says=AddDevice(keys(new).public(), new.encode(), []), life=life)

    def revoke(self, author: str, *parents: bytes, what: str, at: Cut = NO_CUT, life: str = "") -> bytes:
        return self.write(author, *parents, says=Revoke(device(what), at.packed()), life=life)

    def label(self, author: str, *parents: bytes, of: bytes, box: bytes, life: str = "") -> bytes:
        return self.write(author, *parents, says=SetLabel(of, box), life=life)

    def accept(self, author: str, *parents: bytes, at: Cut = NO_CUT, thawed: Iterable[str] = ()) -> bytes:
        return self.write(author, *parents, says=Accept(at.packed(), sorted(map(device, thawed))))

    def deliver(self, author: str, *parents: bytes, epoch: bytes, to: str, wrap: bytes = b"") -> bytes:
        return self.write(author, *parents, says=Deliver([Delivered(epoch, device(to), wrap)]))

    def read(
        self,
        *which: bytes,
        order: Iterable[bytes] | None = None,
        proofs: Callable[[bytes], Accused | None] | None = None,
        room: int = MOST_RECORDS,
        partly: bool = False,
    ) -> Membership:
        """What these and all before them come to; all there are where none is named."""
        chosen = self.past(*which) if which else set(self.objects)
        objects = [self.objects[one] for one in (order if order is not None else self.objects) if one in chosen]
        verified = {object_hash(data) for data in objects}
        return Membership.read(self.space_id, objects, verified=verified, proofs=proofs, room=room, partly=partly)

    def names(self, membership: Membership) -> str:
        """The members that are left, by name and role, as in "A admin, C writer"."""
        found = {name: membership.state.members.get(one) for name, one in self.member.items()}
        return ", ".join(f"{name} {one.role.name.lower()}" for name, one in sorted(found.items()) if one)
