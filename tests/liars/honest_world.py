"""A world of honest devices, at the level of heads and records: who writes, looks, lets in, puts out, is restored.

What judges is real: `judge`, `fallen` and `resettled` of conduct, and the resolution of records.  What is left out are
boxes and the checking of signatures: heads are made as the ledger remembers them, records pass as verified.  Stores are
left out too, and what is said of them; those that come, are drained, emptied and go are in test_honest.

Flow: chance -> operations of devices that know some of what there is -> each judges what is new to it -> heal -> agree
Never: signs what an honest device would not.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from ropewalk.spaces.conduct import Branches, Quarantine, Refuse, Wait, fallen, judge, resettled
from ropewalk.spaces.envelope import NO_HEAD, writer_id
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.keys import KeyRing, hashed
from ropewalk.spaces.members import (
    Author,
    Cut,
    Membership,
    NotAllowed,
    NotAMember,
    Policy,
    Role,
    create,
    deliver,
    open_ring,
    owed,
    rotate,
)
from ropewalk.spaces.members.records import object_hash
from ropewalk.spaces.state import ACKED, QUARANTINED, KnownHead
from ropewalk.spaces.vectors import MOST_NUMBER
from ropewalk.testing.letting_in import consents

__all__ = ["MOST_MACHINES", "World"]

MOST_MACHINES = 6
HOUR = 3600 * 10**9  # nanoseconds
MISSED = 0.1  # how likely a look misses a head that is there
Vector = Mapping[bytes, tuple[int, bytes]]


@cache
def keys(number: int) -> DeviceKeys:
    """The keys of a device; of a paper key for 0."""
    return DeviceKeys(hashed("test device", b"%d" % number), 0 if number else PAPER)


@cache
def device(number: int) -> bytes:
    """Its id."""
    return keys(number).public().id


@cache
def beginning() -> tuple[bytes, tuple[bytes, ...]]:
    """A space, and its first records: of the device 1, with the paper key 0."""
    space_id, _, records = create(Policy(2, 4, 3, {"store": 2}), 1, keys(1), keys(0).public(), 1, 2)
    return space_id, tuple(data for _, data in records)


class Room:
    """What one device knows (`Known` and `Heads` of conduct)."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.by_hash: dict[bytes, KnownHead] = {}
        self.by_writer: dict[bytes, dict[int, bytes]] = {}
        self.waiting: dict[bytes, KnownHead] = {}
        self.past_cut: set[bytes] = set()  # hashes of heads that are in quarantine
        self.branches = Branches({}, self.by_hash.get)

    def head(self, digest: bytes) -> KnownHead | None:
        return self.by_hash.get(digest)

    def place(self, digest: bytes) -> tuple[bytes, int] | None:
        one = self.by_hash.get(digest)
        return None if one is None else (one.writer, one.sequence)

    def hashes_at(self, writer: bytes, sequence: int) -> list[bytes]:
        found = self.by_writer.get(writer, {}).get(sequence)
        return [] if found is None else [found]

    def hashes_after(self, writer: bytes, sequence: int, previous: bytes) -> list[bytes]:
        return [one.hash for one in self.heads_at(writer, sequence) if one.previous == previous]

    def heads_at(self, writer: bytes, sequence: int, last: int | None = None) -> list[KnownHead]:
        there = self.by_writer.get(writer, {})
        if last is None:
            return [self.by_hash[there[sequence]]] if sequence in there else []
        return [self.by_hash[there[at]] for at in range(sequence, min(last, max(there, default=0)) + 1) if at in there]

    def writers(self) -> Mapping[bytes, bytes]:
        return {writer: self.by_hash[next(iter(there.values()))].device for writer, there in self.by_writer.items()}

    def newest(self, writer: bytes, last: int) -> KnownHead | None:
        there = self.by_writer[writer]
        number = max((at for at in there if at <= last), default=0) if last < MOST_NUMBER else max(there)
        return self.by_hash[there[number]] if number else None

    def quarantined(self) -> Sequence[KnownHead]:
        return [self.by_hash[digest] for digest in self.past_cut]

    def tops(self) -> list[KnownHead]:
        """The newest head that counts of each writer."""
        found = []
        for there in self.by_writer.values():
            counting = (self.by_hash[there[at]] for at in sorted(there, reverse=True))
            found += [top] if (top := next((one for one in counting if one.state == ACKED), None)) else []
        return found

    def come(self, heads: Iterable[KnownHead]) -> None:
        """Judge heads that are new here, and those that wait as long as that helps."""
        self.waiting.update({one.hash: one for one in heads if one.hash not in self.by_hash})
        moved = True
        while moved and self.waiting:
            before = len(self.waiting)
            for one in sorted(self.waiting.values(), key=_age):
                self._judge(one)
            moved = len(self.waiting) < before
        for one, now in resettled(self):
            self.by_hash[one.hash] = replace(one, state=now)
            (self.past_cut.add if now == QUARANTINED else self.past_cut.discard)(one.hash)

    def _judge(self, one: KnownHead) -> None:
        verdict = judge(one, self)
        if isinstance(verdict, Wait):
            return
        assert not isinstance(verdict, Refuse), verdict
        assert not verdict.evidence, verdict
        if isinstance(verdict, Quarantine):
            one = replace(one, state=QUARANTINED)
            self.past_cut.add(one.hash)
        del self.waiting[one.hash]
        self.by_hash[one.hash] = one
        there = self.by_writer.setdefault(one.writer, {})
        assert one.sequence not in there, "an honest device uses a sequence once"
        there[one.sequence] = one.hash
        assert not fallen(one, self, broken=False)


def _age(one: KnownHead) -> int:
    return sum(sequence for sequence, _ in one.vector.values())


@dataclass(eq=False)
class Machine:
    """One device: what it knows, and who it is in heads."""

    number: int
    room: Room
    skew: int  # nanoseconds
    life: int = 1
    objects: frozenset[bytes] = frozenset()
    last: KnownHead | None = None

    @property
    def id(self) -> bytes:
        return device(self.number)

    @property
    def incarnation(self) -> bytes:
        return hashed("test life", b"%d %d" % (self.number, self.life))[:16]

    @property
    def writer(self) -> bytes:
        return writer_id(self.id, self.incarnation)


class World:
    """Devices of one space, and all that they have written."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.counts = chance, Counter[str]()
        self.space_id, first = beginning()
        self.records = set(first)
        self.heads: list[KnownHead] = []
        self.machines: list[Machine] = []
        self.met = 1  # numbers given to devices
        self.now = 1_700_000_000 * 10**9
        self._read: dict[frozenset[bytes], Membership] = {}
        self._come(1)

    # -- what is known -------------------------------------------------------------------------------------------

    def membership(self, objects: frozenset[bytes]) -> Membership:
        """What some records come to."""
        if objects not in self._read:
            ordered = sorted(objects)
            self._read[objects] = Membership.read(
                self.space_id, ordered, verified={object_hash(one) for one in ordered}
            )
        return self._read[objects]

    def _come(self, number: int) -> None:
        """A device begins: it knows all records, and looks at what there is."""
        objects = frozenset(self.records)
        skew = self.chance.randint(-HOUR, HOUR)
        machine = Machine(number, Room(self.membership(objects)), skew, objects=objects)
        machine.room.come(self.heads)
        self.machines.append(machine)

    def look(self, machine: Machine, *, everything: bool = False) -> None:
        """Take in what stores have; some of it they do not show, or other devices have not brought yet."""
        chance = self.chance
        until = len(self.heads) if everything or chance.random() < 0.5 else chance.randint(0, len(self.heads))
        seen = [one for one in self.heads[:until] if everything or chance.random() >= MISSED]
        if everything or chance.random() < 0.7:
            machine.objects = frozenset(self.records)
            machine.room.membership = self.membership(machine.objects)
        machine.room.come(seen)

    # -- operations ----------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One operation of one device."""
        self.now += self.chance.randint(0, HOUR)
        machine = self.chance.choice(self.machines)
        draw = self.chance.random()
        if draw < 0.54:
            self.write(machine)
        elif draw < 0.93:
            self.look(machine)
            self.counts["look"] += 1
        elif draw < 0.98:
            try:
                self.change_group(machine)
            except NotAllowed:
                self.counts["held back"] += 1
        elif draw < 0.993:
            machine.life, machine.last = machine.life + 1, None  # what it sent last, it does not know
            self.counts["new life"] += 1
        else:
            self.machines.remove(machine)
            self._come(machine.number)
            self.machines[-1].life = machine.life + 1
            self.counts["restore"] += 1

    def write(self, machine: Machine) -> None:
        """A head on top of all that counts here; one that joins, if that is several."""
        membership = machine.room.membership
        if not membership.state.may_write(machine.id):
            self.look(machine)
            self.counts["look"] += 1
            return
        tops = machine.room.tops()
        seen: dict[bytes, tuple[int, bytes]] = {}
        for top in tops:
            for writer, item in top.vector.items():
                if writer not in seen or seen[writer] < item:
                    seen[writer] = item
        others = sum(1 for top in tops if not any(one is not top and _saw(one, top) for one in tops))
        last = machine.last
        sequence = last.sequence + 1 if last else 1
        digest = hashed("test head", machine.writer + sequence.to_bytes(8, "big"))
        seen[machine.writer] = sequence, digest
        head = KnownHead(
            name=f"{machine.number}-{machine.life}-{sequence}",
            hash=digest,
            writer=machine.writer,
            sequence=sequence,
            previous=last.hash if last else NO_HEAD,
            time=self.now + machine.skew,
            root=None,
            entries=0,
            note="",
            vector=seen,
            embedded=False,
            state=ACKED,
            device=machine.id,
            feature=membership.feature,
            frontier=tuple(membership.frontier),
        )
        machine.last = head
        self.heads.append(head)
        machine.room.come([head])
        self.counts["merge" if others > 1 else "write"] += 1

    def change_group(self, machine: Machine) -> None:
        """What an admin, or anybody for himself, does to the records; and what is due then."""
        state, ring = machine.room.membership.state, self._ring(machine)
        role = state.role_of(machine.id)
        if role is None or ring is None:
            return
        others = [one for one in state.members.values() if machine.id not in one.devices]
        devices = [each for member in others for each in member.devices]
        draw = self.chance.random()
        if draw < 0.5 or role is not Role.ADMIN:
            if len(self.machines) < MOST_MACHINES:
                self._let_in(machine, ring, role)
        elif draw < 0.7 and others:
            gone = self.chance.choice(others)
            self._put(machine, "remove", self._author(machine).remove(gone.id, self._cut(machine, gone.devices)))
        elif draw < 0.8 and devices:
            one = self.chance.choice(devices)
            self._put(machine, "revoke", self._author(machine).revoke(one, self._cut(machine, [one])))
        elif draw < 0.95 and others:
            member, given = self.chance.choice(others), self.chance.choice([Role.READER, Role.WRITER, Role.ADMIN])
            cut = self._cut(machine, member.devices) if given < Role.WRITER else Cut({})
            self._put(machine, "role", self._author(machine).role(member.id, given, cut))
        self._tend(machine)

    def _let_in(self, machine: Machine, ring: KeyRing, role: Role) -> None:
        """One more device of its own; an admin may take in a new member as well."""
        self.met += 1
        author, new = self._author(machine), keys(self.met)
        public, space_id = new.public(), machine.room.membership.space_id
        epochs = machine.room.membership.epochs
        if role is Role.ADMIN and self.chance.random() < 0.7:
            nonce, pledge = author.new_member()
            given = self.chance.choice([Role.WRITER, Role.ADMIN])
            agreed = consents(space_id, pledge, given, [new])
            record = author.add(nonce, given, [public], b"", [deliver(epochs, ring, public, given)], consents=agreed)
            self._put(machine, "add", record)
        else:
            agreed = consents(space_id, machine.room.membership.state.devices[machine.id], 0, [new])
            wraps = [deliver(epochs, ring, public, role)]
            self._put(machine, "device", author.device(public, b"", wraps, consents=agreed))
        self._come(self.met)

    def _tend(self, machine: Machine) -> None:
        """A new epoch, and secrets for those who lack them."""
        membership, ring = machine.room.membership, self._ring(machine)
        if ring is None or (role := membership.state.role_of(machine.id)) is None:
            return
        if membership.epochs.due and role is Role.ADMIN:
            made = rotate(membership.epochs, ring, keys(machine.number), membership.frontier)
            self._put(machine, "rotate", (made.name, made.data))
            made.enter(ring)
        for wraps in owed(machine.room.membership.epochs, ring):
            self._put(machine, "wrap", self._author(machine).wrap(wraps))

    def _ring(self, machine: Machine) -> KeyRing | None:
        """The secrets that it has; None where it waits for its first."""
        try:
            return open_ring(machine.room.membership.epochs, keys(machine.number)).ring
        except NotAMember:
            return None

    def _author(self, machine: Machine) -> Author:
        return Author(machine.room.membership, keys(machine.number), machine.incarnation, self.now + machine.skew)

    def _cut(self, machine: Machine, devices: Iterable[bytes]) -> Cut:
        tops = [head for head in machine.room.tops() if head.device in set(devices)]
        return Cut({head.writer: (head.sequence, head.hash) for head in tops})

    def _put(self, machine: Machine, what: str, record: tuple[object, bytes]) -> None:
        self.counts[what] += 1
        self.records.add(record[1])
        machine.objects |= {record[1]}
        machine.room.membership = self.membership(machine.objects)
        machine.room.come([])

    # -- the end -------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """All look at everything, and agree; only who was put out lost anything."""
        views = []
        for machine in self.machines:
            self.look(machine, everything=True)
            room = machine.room
            assert not room.waiting, f"{len(room.waiting)} heads wait for ever"
            assert len(room.by_hash) == len(self.heads)
            views.append({one.hash: one.state for one in room.by_hash.values()})
            state = room.membership.state
            assert not state.frozen
            assert not state.forks
            for one in room.quarantined():
                assert not state.may_write(one.device)
                assert one.device in state.gone
                cut = state.gone[one.device].heads
                assert cut.get(one.writer, (0, b""))[0] < one.sequence
        assert all(view == views[0] for view in views), "all come to the same"
        self.counts["set aside"] += list(views[0].values()).count(QUARANTINED)


def _saw(one: KnownHead, other: KnownHead) -> bool:
    return one.vector.get(other.writer, (0, b""))[0] >= other.sequence
