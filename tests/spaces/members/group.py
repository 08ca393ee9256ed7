"""A group written record by record: who signs, what it says, and which records it had seen.

Flow: labels -> keys; Group.write -> record hashes -> Group.read of any of them -> Membership
Never: signs in earnest, unless told to: records are passed as verified before, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from ropewalk.spaces.identity import DEVICE, PAPER, DeviceKeys, PublicKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import (
    MOST_RECORDS,
    NO_CUT,
    Accused,
    Consent,
    Membership,
    Policy,
    Role,
    Signed,
    member_of,
    pledged,
    record_hash,
    ticket,
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

__all__ = ["ADMIN", "READER", "STEWARD", "WRITER", "Added", "Group", "consents", "cut", "device", "keys", "writer"]

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


def consents(public: list[PublicKeys], tickets: list[bytes]) -> list[Consent]:
    """Those of the devices among keys that come together; that they are signed is taken as given."""
    names = sorted(one.id for one in public)
    return [Consent(names, bytes(16), bytes(32), tickets, b"", b"") for one in public if one.kind == DEVICE]


@dataclass(frozen=True)
class Added:
    """Who came by an `add`, and what its devices have agreed to."""

    name: str
    role: Role
    labels: list[str]
    consents: list[Consent]


class Group:
    """A space of one member, A, with the device a1 and the paper key paperA, and whatever is written then."""

    def __init__(self, feature: int = 2, privacy: int = 1) -> None:
        first = [keys("a1").public(), keys("paperA").public()]
        self.member = {"A": b"A" * 16}
        self._owners = {"a1": {self.member["A"]}, "paperA": {self.member["A"]}}  # device -> members it came to
        self.added: dict[bytes, tuple[str, Added]] = {}  # by record: who added whom
        self.agreed = {one.id: {self.member["A"]} for one in first}  # by device: the members that it agreed to be of
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
        pledge = pledged(self.space_id, device(author), nonce)
        labels = list(to) or [f"{name.lower()}1"]
        public = [keys(one).public() for one in labels]
        agreed = consents(public, [ticket(self.space_id, pledge, role)])
        says = Add(nonce, role, public, name.encode(), [], agreed)
        self.member[name] = member_of(self.space_id, device(author), says)
        for one in labels:
            self._owners.setdefault(one, set()).add(self.member[name])
            self.agreed.setdefault(device(one), set()).add(self.member[name])
        made = self.write(author, *parents, says=says, life=life)
        self.added[made] = author, Added(name, role, labels, agreed)
        return made

    def add_again(
        self,
        author: str,
        *parents: bytes,
        name: str,
        role: Role,
        to: Sequence[str],
        asked: Sequence[Consent],
        life: str,
    ) -> bytes:
        """The same nonce once more; who is not an accomplice (e, ..) has agreed to what it was asked first alone."""
        nonce, public = hashed("test nonce", name.encode())[:16], [keys(one).public() for one in to]
        bought = consents(public, [ticket(self.space_id, pledged(self.space_id, device(author), nonce), role)])
        mine = {device(one) for one in to if one.startswith("e")}
        were = dict(zip((one.id for one in public if one.id not in mine), asked, strict=False))
        devices = [one.id for one in public if one.kind == DEVICE]
        agreed = [bought[at] if one in mine else were[one] for at, one in enumerate(devices)]
        says = Add(nonce, role, public, b"", [], agreed)
        member = member_of(self.space_id, device(author), says)
        for one in mine:
            self._owners.setdefault(next(label for label in to if device(label) == one), set()).add(member)
            self.agreed.setdefault(one, set()).add(member)
        return self.write(author, *parents, says=says, life=life)

    def take(self, author: str, *parents: bytes, what: str, life: str) -> bytes:
        """A device that has agreed to what it agreed to, and not to be of the author's member."""
        public = keys(what).public()
        agreed = [ticket(self.space_id, one) for one in sorted(self._owners.get(what, ()))] or [bytes(32)]
        others = [one for one in agreed if one not in {ticket(self.space_id, m) for m in self._owners.get(author, ())}]
        says = AddDevice(public, what.encode(), [], consents([public], others or [bytes(32)]))
        return self.write(author, *parents, says=says, life=life)

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
        members = self._owners.setdefault(author, set())
        self._owners.setdefault(new, set()).update(members)
        self.agreed.setdefault(device(new), set()).update(members)
        public = keys(new).public()
        agreed = consents([public], sorted(ticket(self.space_id, one) for one in members) or [bytes(32)])
        return self.write(author, *parents, says=AddDevice(public, new.encode(), [], agreed), life=life)

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
