"""Room: which records count where there are more than a space has room for (docs/spec/groups.md 2.1).

Flow: too many records by hash -> devices in turn, each if what was taken before leaves it in -> the records that count
Never: checks a signature of a device that was put out, or lets one that is in lose a record to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from ropewalk.spaces.identity import PublicKeys
from ropewalk.spaces.members.graph import Building, Found, Graph, Record, bits, generations, introduced
from ropewalk.spaces.members.operations import Operation, Role
from ropewalk.spaces.members.records import EpochBody, Genesis, Signed
from ropewalk.spaces.members.resolve import Resolution
from ropewalk.spaces.members.state import GroupState

__all__ = ["Crowd", "Settled", "counted", "resettle"]

MOST_TURNS = 64  # states that are worked out; more would need as many admins who write past each other
_UNSIGNED = Signed(b"", b"", b"")


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who is in, and wrote, or stands on, more than there is room for."""

    device: bytes
    count: int  # of records, as far as they were looked at


@dataclass(frozen=True, slots=True)
class Settled:
    """The records that there is room for."""

    found: Mapping[bytes, Found] = field(repr=False)
    verified: AbstractSet[bytes] = field(repr=False)  # hashes of the objects whose signatures are good
    crowd: Crowd | None  # nobody, where only devices lost records that were put out


def counted(
    space_id: bytes, found: Mapping[bytes, Found], genesis: bytes, verified: AbstractSet[bytes], room: int
) -> tuple[Graph, Crowd | None]:
    """The records that count, and who lost some that is in.

    Args:
        space_id: Of the space.
        found: By hash.
        genesis: The hash of the one that all begins with; its signature was checked.
        verified: Hashes of objects whose signatures were good before.
        room: For so many records.
    """
    building = Building(found, verified)
    for generation, digest in generations(found, genesis):
        building.take(digest, generation)
        if len(building.records) > room:
            break
    else:
        return building.graph(space_id, room), None
    settled = _Turns(space_id, found, genesis, verified | building.verified, room).settle()
    return Graph.build(space_id, settled.found, genesis, settled.verified, room), settled.crowd


def resettle(graph: Graph) -> Settled:
    """The records that there is room for, of those of a graph to which one was joined."""
    found = {one.hash: _found(one) for one in graph.records}
    return _Turns(graph.space_id, found, graph.records[0].hash, set(found), graph.room).settle()


def _found(record: Record) -> Found:
    content = record.content if record.operation is None else record.operation
    assert isinstance(content, Genesis | EpochBody | Operation)
    return Found(record.hash, record.author, record.parents, content, [(_UNSIGNED, record.hash)])


class _Turns:
    def __init__(
        self, space_id: bytes, found: Mapping[bytes, Found], genesis: bytes, verified: AbstractSet[bytes], room: int
    ) -> None:
        self._space_id, self._found, self._genesis, self._room = space_id, found, genesis, room
        self._verified = set(verified)
        self._building = Building(found, self._verified)  # what was looked at and would count, settled or not
        self._settled = 0  # of that
        self._generation: dict[bytes, int] = {}
        self._order: dict[bytes, int] = {}
        self._by: defaultdict[bytes, list[bytes]] = defaultdict(list)  # device -> what it may have signed
        self._keys: dict[bytes, PublicKeys] = {}
        self._void: set[bytes] = set()
        for at, (generation, digest) in enumerate(generations(found, genesis)):
            one = found[digest]
            self._generation[digest], self._order[digest] = generation, at
            content = one.content.content if isinstance(one.content, Operation) else one.content
            if digest != genesis:
                self._by[one.author].append(digest)
            for keys in introduced(content):
                self._keys[keys.id] = keys

    def settle(self) -> Settled:
        self._building.take(self._genesis, 0)
        self._settled = 1
        over: dict[bytes, int] = {}  # devices that there is no room for, and how much they would bring
        taken: set[bytes] = set()
        state, done = self._state(), False
        for _ in range(MOST_TURNS):
            if done := not self._turn(state, taken, over):
                break
            state = self._state()
        records = self._building.records
        crowd = None
        if any(one in over or (not done and one not in taken) for one in state.devices):
            counts = {one: max(over[one], len(self._by[one])) if one in over else 0 for one in state.devices}
            for place in bits(self._settled):
                if (author := records[place].author) in counts and author not in over:
                    counts[author] += 1  # who took most of the room, and not who came last
            device = max(counts, key=lambda one: (counts[one], one))
            crowd = Crowd(device, counts[device])
        self._verified |= self._building.verified
        chosen = {records[place].hash: self._found[records[place].hash] for place in bits(self._settled)}
        return Settled(chosen, self._verified, crowd)

    def _turn(self, state: GroupState, taken: set[bytes], over: dict[bytes, int]) -> bool:
        """Take what the next devices wrote, as long as who is in does not change by it; whether there was any."""
        members = sorted(state.members.values(), key=lambda one: one.rank)
        admins = [one for member in members if member.role is Role.ADMIN for one in member.devices]
        for device in admins:
            if device not in taken:
                taken.add(device)
                if self._take(device, over):
                    return True
        grew = False
        others = {one: self._brings(one) for one in state.devices if one not in taken}
        for device in sorted(others, key=lambda one: (others[one], one)):
            taken.add(device)
            grew |= self._take(device, over)
        return grew

    def _brings(self, device: bytes) -> int:
        more = self._more(device)
        return self._left + 1 if more is None else more.bit_count()

    def _take(self, device: bytes, over: dict[bytes, int]) -> bool:
        if (more := self._more(device)) is None:
            over[device] = self._left + 1
            return False
        self._settled |= more
        return more > 0

    @property
    def _left(self) -> int:
        return self._room - self._settled.bit_count()

    def _more(self, device: bytes) -> int | None:
        """What a device wrote and what that had seen, of what is not settled; None, if there is no room for it."""
        more = 0
        for digest in self._by.get(device, ()):
            more |= self._seen(digest) & ~self._settled
            if more.bit_count() > self._left:
                self._forget()
                return None
        return more

    def _forget(self) -> None:
        """Keep what is settled alone: many who flood would fill memory with what they had seen of each other."""
        records = self._building.records
        self._verified |= self._building.verified
        self._building = Building(self._found, self._verified)
        for place in bits(self._settled):
            self._building.take(digest := records[place].hash, self._generation[digest])
        self._settled = (1 << len(self._building.records)) - 1

    def _seen(self, digest: bytes) -> int:
        """A record and what it had seen, if it would count; or so much of that as there is no room for."""
        places, before = self._building.places, self._building.before
        if digest not in places and digest not in self._void:
            start = len(before)
            for other in self._unseen(digest):
                if other in self._void or not self._building.take(other, self._generation[other]):
                    self._void.add(other)
                if len(before) - start > self._left:
                    return (1 << len(before)) - (1 << start)
        place = places.get(digest)
        return 0 if place is None else before[place] | 1 << place

    def _unseen(self, digest: bytes) -> list[bytes]:
        """A record and what it had seen, of what was not looked at yet; nothing, where its author did not sign it."""
        one = self._found[digest]
        if not self._building.is_signed(one, self._keys[one.author]):
            self._void.add(digest)
            return []
        unseen = {digest}
        waiting = [digest]
        while waiting:
            for parent in self._found[waiting.pop()].parents:
                if parent not in self._building.places and parent not in unseen:
                    unseen.add(parent)
                    waiting.append(parent)
        return sorted(unseen, key=self._order.__getitem__)

    def _state(self) -> GroupState:
        records = self._building.records
        found = {records[place].hash: self._found[records[place].hash] for place in bits(self._settled)}
        graph = Graph.build(self._space_id, found, self._genesis, self._building.verified, self._room)
        return Resolution(graph).state(graph.everything)
