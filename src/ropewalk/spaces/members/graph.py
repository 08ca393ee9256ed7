"""Which records count, and what each of them had seen (docs/spec/groups.md 2.1).

Flow: objects -> bodies by hash -> those whose ancestors are all there and whose author is known -> Graph
Never: trusts an order, a time or a depth that somebody claims: all of it follows from hashes and signatures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property

from ropewalk.errors import Refused
from ropewalk.spaces.identity import DEVICE, PublicKeys
from ropewalk.spaces.members.operations import Add, AddDevice, Content, Operation, is_unreleased, parse_operation
from ropewalk.spaces.members.records import (
    EpochBody,
    Genesis,
    Signed,
    is_later,
    object_hash,
    parse,
    parse_epoch,
    record_hash,
)

__all__ = [
    "MOST_RECORDS",
    "Building",
    "Found",
    "Graph",
    "Record",
    "TooManyRecords",
    "bits",
    "generations",
    "introduced",
    "sort_out",
]

MOST_RECORDS = 10_000  # of a space: a group of 300 writes some 600 in its first year


class TooManyRecords(Refused):
    """A space has more membership records than a reader takes.

    Attributes:
        device: Who wrote the most of them, of those that may still write any.
        count: How many those are.
    """

    code = "members.too-many-records"

    def __init__(self, room: int, device: bytes, count: int) -> None:
        self.device, self.count = device, count
        super().__init__(
            f"space has room for {room} membership records and is given more, "
            f"{count} of them from device {device.hex()[:8]}",
            hint="an admin can remove whoever wrote so many: what nobody else has seen of them is then left out",
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A record whose form is right, before anything is known of its author."""

    hash: bytes
    author: bytes
    parents: tuple[bytes, ...]
    content: Genesis | EpochBody | Operation
    copies: list[tuple[Signed, bytes]]  # with the hash of the object: one body may come under several signatures


@dataclass(frozen=True, slots=True)
class Record:
    """A record that counts."""

    hash: bytes
    position: int  # in the order of generation and hash; what it has seen stands before it
    generation: int
    author: bytes  # device id
    parents: tuple[bytes, ...]
    content: Genesis | EpochBody | Content
    operation: Operation | None  # what else an operation says
    time: int  # nanoseconds, 0 where the record says none; a hint


@dataclass(frozen=True)
class Graph:
    """All records that count, in the order of generation and hash, with what each had seen.

    Sets of records are numbers, in which bit `n` stands for the record at position `n`.
    """

    space_id: bytes
    records: Sequence[Record]
    before: Sequence[int]  # the ancestors of each
    places: Mapping[bytes, int] = field(repr=False)  # hash -> position
    keys: Mapping[bytes, PublicKeys] = field(repr=False)  # of each device that any of them introduces
    verified: AbstractSet[bytes] = field(repr=False)  # hashes of the objects whose signatures are good
    room: int = MOST_RECORDS  # for so many records

    def with_record(self, digest: bytes, operation: Operation) -> Graph:
        """The same with one more record at its end, as its author wants it; its signature is not asked for."""
        generation = 1 + max(self.records[self.places[parent]].generation for parent in operation.parents)
        keys = {**self.keys, **{one.id: one for one in introduced(operation.content)}}
        record = Record(
            digest,
            len(self.records),
            generation,
            operation.author,
            operation.parents,
            operation.content,
            operation,
            operation.time,
        )
        return Graph(
            self.space_id,
            [*self.records, record],
            [*self.before, self.past(operation.parents)],
            {**self.places, digest: record.position},
            keys,
            self.verified,
            self.room,
        )

    @cached_property
    def after(self) -> Sequence[int]:
        """The descendants of each."""
        found = [0] * len(self.records)
        for record in reversed(self.records):
            mine = found[record.position] | 1 << record.position
            for parent in record.parents:
                found[self.places[parent]] |= mine
        return found

    @property
    def everything(self) -> int:
        """The set of all records."""
        return (1 << len(self.records)) - 1

    def past(self, hashes: Iterable[bytes]) -> int:
        """These records and all that they had seen; KeyError where one is not here."""
        found = 0
        for one in hashes:
            place = self.places[one]
            found |= self.before[place] | 1 << place
        return found

    def tops(self, among: int) -> list[bytes]:
        """Hashes of the records of a set that no other of the set has seen, ascending."""
        covered = 0
        for place in bits(among):
            covered |= self.before[place]
        return sorted(self.records[place].hash for place in bits(among & ~covered))

    @classmethod
    def build(
        cls,
        space_id: bytes,
        found: Mapping[bytes, Found],
        genesis: bytes,
        verified: AbstractSet[bytes] = frozenset(),
        room: int = MOST_RECORDS,
    ) -> Graph:
        """The records that count: all ancestors are there, and an ancestor introduced whoever signed.

        Args:
            found: By hash, of any origin.
            genesis: The hash of the one that all begins with; its signature was checked.
            verified: Hashes of objects whose signatures were good before.
            room: For so many records; that there are no more is for `room` to see to.
        """
        building = Building(found, verified)
        for generation, digest in generations(found, genesis):
            building.take(digest, generation)
        return building.graph(space_id, room)


def bits(among: int) -> Iterator[int]:
    """The positions in a set, ascending."""
    while among:
        lowest = among & -among
        yield lowest.bit_length() - 1
        among ^= lowest


def sort_out(space_id: bytes, objects: Iterable[bytes]) -> tuple[dict[bytes, Found], list[Signed]]:
    """Records of this space by hash, and what may be a record of a later version, or of one before the first."""
    found: dict[bytes, Found] = {}
    strange: list[Signed] = []
    for data in objects:
        if (signed := parse(data)) is None:
            continue
        digest = record_hash(signed.body)
        if digest in found:
            found[digest].copies.append((signed, object_hash(data)))
        elif (one := _form(space_id, digest, signed, data)) is not None:
            found[digest] = one
        elif is_later(signed.body) or is_unreleased(signed.body):
            strange.append(signed)
    return found, strange


def _form(space_id: bytes, digest: bytes, signed: Signed, data: bytes) -> Found | None:
    copies = [(signed, object_hash(data))]
    if (operation := parse_operation(signed.body, space_id)) is not None:
        return Found(digest, operation.author, operation.parents, operation, copies)
    if (epoch := parse_epoch(signed.body, space_id)) is not None:
        return Found(digest, epoch.author, tuple(epoch.parents), epoch, copies)
    return None


def generations(found: Mapping[bytes, Found], genesis: bytes) -> list[tuple[int, bytes]]:
    """Generations of the records whose ancestors are all there, in their order."""
    waiting: dict[bytes, int] = {}
    children: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for digest, one in found.items():
        waiting[digest] = len(one.parents)
        for parent in one.parents:
            children[parent].append(digest)
    depths = {genesis: 0}
    ready = [genesis]
    for digest in ready:  # which grows
        for child in children[digest]:
            waiting[child] -= 1
            depths[child] = max(depths.get(child, 0), depths[digest] + 1)
            if not waiting[child]:
                ready.append(child)
    return sorted((depths[digest], digest) for digest in ready)


class Building:
    """Records that count, taken one by one, each after what it had seen.

    Args:
        found: All that there are, by hash.
        verified: Hashes of objects whose signatures were good before.
    """

    def __init__(self, found: Mapping[bytes, Found], verified: AbstractSet[bytes]) -> None:
        self._found, self._known = found, verified
        self.records: list[Record] = []
        self.before: list[int] = []
        self.places: dict[bytes, int] = {}
        self.verified: set[bytes] = set()
        self._keys: dict[bytes, PublicKeys] = {}
        self._introduced: defaultdict[bytes, int] = defaultdict(int)  # device -> the records that introduce it
        self._counted: defaultdict[tuple[bytes, bytes, int], int] = defaultdict(int)

    def graph(self, space_id: bytes, room: int) -> Graph:
        """What was taken; in the order of generation and hash, if it was taken in that."""
        return Graph(space_id, self.records, self.before, self.places, self._keys, self.verified, room)

    def take(self, digest: bytes, generation: int) -> bool:
        """Take a record, if it counts; its ancestors were taken before, or do not."""
        one = self._found[digest]
        before = 0
        for parent in one.parents:
            if (place := self.places.get(parent)) is None:
                return False
            before |= self.before[place] | 1 << place
        operation = one.content if isinstance(one.content, Operation) else None
        # A device id is a hash of its keys, so whichever ancestor introduced it gives the same keys.
        if one.parents and not self._introduced.get(one.author, 0) & before:
            return False
        if operation is not None and not self._is_next(operation, before):
            return False
        if one.parents and not self.is_signed(one, self._keys[one.author]):
            return False
        position = len(self.records)
        if operation is not None:
            self._counted[operation.author, operation.incarnation, operation.count] |= 1 << position
        content = operation.content if operation is not None else one.content
        assert not isinstance(content, Operation)
        time = operation.time if operation is not None else content.time if isinstance(content, Genesis) else 0
        self.records.append(Record(one.hash, position, generation, one.author, one.parents, content, operation, time))
        self.before.append(before)
        self.places[one.hash] = position
        for keys in introduced(content):
            self._keys[device := keys.id] = keys
            self._introduced[device] |= 1 << position
        return True

    def is_signed(self, one: Found, keys: PublicKeys) -> bool:
        """Whether who has these keys signed it, and each device that comes by it consents; each is checked once."""
        for signed, digest in sorted(one.copies, key=lambda copy: (not self._is_known(copy[1]), copy[1])):
            if self._is_known(digest) or (signed.verify(keys) and _is_agreed(one.content)):
                self.verified.add(digest)
                return True
        return False

    def _is_known(self, digest: bytes) -> bool:
        return digest in self._known or digest in self.verified

    def _is_next(self, operation: Operation, before: int) -> bool:
        chain, count = (operation.author, operation.incarnation), operation.count
        if count > 1 and not self._counted[*chain, count - 1] & before:
            return False
        return not self._counted[*chain, count] & before


def _is_agreed(content: Genesis | EpochBody | Operation) -> bool:
    said = content.content if isinstance(content, Operation) else None
    if not isinstance(said, Add | AddDevice):
        return True
    devices = (one for one in introduced(said) if one.kind == DEVICE)
    return all(one.is_by(keys) for one, keys in zip(said.consents, devices, strict=True))


def introduced(content: Genesis | EpochBody | Content) -> Sequence[PublicKeys]:
    """The keys that a record brings in."""
    match content:
        case Genesis(devices=keys) | Add(keys=keys):
            return keys
        case AddDevice(keys=one):
            return [one]
    return ()
