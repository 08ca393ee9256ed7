"""Membership: what the records of a space come to, as the rest of spaces uses it (docs/spec/groups.md 2).

Flow: records from anywhere -> graph, resolution -> Membership -> states at any frontier, the epoch, its secrets
Never: takes a key from a store's word: the genesis hashes to the space id, all else is signed by those it let in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from ropewalk.errors import Missing, Refused
from ropewalk.spaces.identity import PAPER, DeviceKeys, PublicKeys
from ropewalk.spaces.keys import BoxDamaged, Secrets, hashed
from ropewalk.spaces.members.epochs import Epochs
from ropewalk.spaces.members.graph import (
    MOST_RECORDS,
    Found,
    TooManyRecords,
    bits,
    introduced,
    sort_out,
)
from ropewalk.spaces.members.operations import Accept, Content, Role, is_unreleased
from ropewalk.spaces.members.records import (
    FEATURE_LEVEL,
    EpochBody,
    Genesis,
    Policy,
    RecordDamaged,
    Signed,
    epoch_info,
    object_hash,
    parse,
    parse_genesis,
    record_hash,
)
from ropewalk.spaces.members.resolve import Resolution
from ropewalk.spaces.members.room import Crowd, counted
from ropewalk.spaces.members.state import Accused, GroupState
from ropewalk.spaces.records import encode

__all__ = ["Kept", "Membership", "NotAMember", "RecordsMissing"]


class NotAMember(Refused):
    """These keys open nothing in this space."""

    code = "members.not-a-member"


class RecordsMissing(Missing):
    """A head or a record names membership records that are not here yet."""

    code = "members.records-missing"


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that counts, for the audit."""

    hash: bytes
    parents: tuple[bytes, ...]
    author: bytes  # device id
    incarnation: bytes  # b"" for genesis and epochs
    count: int  # 0 for genesis and epochs
    content: Genesis | EpochBody | Content
    time: int  # as its author says, 0 where it says nothing
    sound: bool  # it stood in its own past
    grounded: bool  # it stands among all records
    admitted: bytes  # the member that an add lets in, else b""


@dataclass(frozen=True)
class Membership:
    """What the records of a space say, once they are checked."""

    space_id: bytes
    policy: Policy
    privacy: int
    feature: int
    lying: int  # stores that may lie without a reader being misled
    devices: Mapping[bytes, PublicKeys]  # by device id: all that ever were let in, whose signatures can be checked
    frontier: list[bytes]  # hashes of the newest records that stand, ascending
    epoch: int
    epoch_id: bytes  # hash of the current epoch's record
    check: bytes  # what its secrets must give
    wraps: Mapping[bytes, bytes]  # of the current epoch, by device id
    state: GroupState
    beyond: frozenset[bytes] = frozenset()  # devices of admins who wrote what this version does not know
    unreleased: bool = False  # some of that is as it was written before the first release
    created: int = 0  # nanoseconds; a hint
    paper: bool = True  # some member has a paper key
    verified: frozenset[bytes] = field(default=frozenset(), compare=False, repr=False)  # hashes of objects
    judged: Mapping[bytes, Accused | None] = field(default_factory=dict, compare=False, repr=False)  # by hash of proof
    crowd: Crowd | None = field(default=None, compare=False)  # whose records were left out, though it is in
    resolution: Resolution = field(kw_only=True, compare=False, repr=False)
    epochs: Epochs = field(kw_only=True, compare=False, repr=False)

    @property
    def read_only(self) -> bool:
        """Whether this version may change nothing: an admin wrote what it does not know."""
        return bool(self.beyond)

    @property
    def heads(self) -> list[bytes]:
        """The frontier, as heads name it."""
        return self.frontier

    @property
    def records(self) -> list[Kept]:
        """All records that count, each after what it had seen."""
        standing = self.resolution.standing(self.resolution.graph.everything)
        sound, good = self.resolution.sound, standing.good
        added = standing.grounding.index.added
        return [
            Kept(
                record.hash,
                record.parents,
                record.author,
                record.operation.incarnation if record.operation else b"",
                record.operation.count if record.operation else 0,
                record.content,
                record.time,
                sound=bool(sound >> record.position & 1),
                grounded=bool(good >> record.position & 1),
                admitted=added.get(record.position, b"") if not isinstance(record.content, Genesis) else b"",
            )
            for record in self.resolution.graph.records
        ]

    @property
    def doubled(self) -> list[tuple[bytes, bytes]]:
        """Pairs of records that a device signed under one count of one incarnation, which no honest one does."""
        first: dict[tuple[bytes, bytes, int], bytes] = {}
        pairs: list[tuple[bytes, bytes]] = []
        for record in self.resolution.graph.records:
            if (one := record.operation) is not None:
                other = first.setdefault((one.author, one.incarnation, one.count), record.hash)
                if other != record.hash:
                    pairs.append((min(other, record.hash), max(other, record.hash)))
        return pairs

    def let_off(self, device: bytes, seen: Iterable[bytes], frontiers: Iterable[Iterable[bytes]]) -> bool:
        """Whether an accept that stands names a device, had seen these records, and is in the past of no frontier."""
        graph = self.resolution.graph
        needed = known = 0
        for record in seen:
            needed |= 1 << graph.places[record]
        for one in frontiers:
            known |= self._past(one)
        return any(
            device in thawed and not known >> place & 1 and not needed & ~graph.before[place]
            for place, thawed in self._accepts
        )

    @cached_property
    def _accepts(self) -> list[tuple[int, Sequence[bytes]]]:
        graph = self.resolution.graph
        good = self.resolution.standing(graph.everything).good
        contents = [(place, graph.records[place].content) for place in bits(good)]
        return [(place, content.thawed) for place, content in contents if isinstance(content, Accept)]

    def knows(self, frontier: Iterable[bytes]) -> bool:
        """Whether these records, and so all that they rest on, are here and count."""
        return all(one in self.resolution.graph.places for one in frontier)

    def at(self, frontier: Iterable[bytes]) -> GroupState:
        """What these records and all that they had seen come to; later records do not change it.

        Raises:
            RecordsMissing: One of them is not here.
        """
        return self.resolution.state(self._past(frontier))

    def unseen(self, older: Iterable[bytes], newer: Iterable[bytes]) -> list[bytes]:
        """Records in the past of ``older`` and not in that of ``newer``, that stand by both: who goes on has none.

        What else is known by now is not asked: it could raise a record again that was struck when ``newer`` was signed.

        Raises:
            RecordsMissing: One of them is not here.
        """
        graph = self.resolution.graph
        before, now = self._past(older), self._past(newer)
        return [
            graph.records[place].hash for place in bits(before & ~now & self.resolution.standing(before | now).good)
        ]

    def _past(self, frontier: Iterable[bytes]) -> int:
        try:
            return self.resolution.graph.past(frontier)
        except KeyError as error:
            raise RecordsMissing(
                f"membership record {error.args[0].hex()[:8]} is not here yet", hint="look for it on other stores"
            ) from None

    def secrets(self, keys: DeviceKeys) -> Secrets:
        """Open the current epoch's wrap for this device.

        Raises:
            NotAMember: There is none for these keys.
            RecordDamaged: There are some, and none gives the secrets that the epoch's record says.
        """
        device = keys.public().id
        tried = self.epochs.current.wraps.get(device, ())
        if not tried:
            raise NotAMember("the keys of this device open nothing in this space", hint="ask an admin for an invite")
        info = epoch_info(self.space_id, self.epoch, device, self.check)
        failed: RecordDamaged | None = None
        for wrapped in tried:
            try:
                plain = keys.unwrap(wrapped, info)
            except BoxDamaged as error:
                failed = failed or RecordDamaged(f"wrapped secrets of epoch {self.epoch} do not open: {error}")
                continue
            if len(plain) == 96 and hashed("epoch check", plain) == self.check:
                return Secrets(epoch=plain[:32], steward=plain[32:64], space=plain[64:])
            failed = RecordDamaged(f"wrapped secrets of epoch {self.epoch} are not those that its record says")
        assert failed is not None
        raise failed

    @classmethod
    def read(
        cls,
        space_id: bytes,
        records: Iterable[bytes],
        *,
        verified: AbstractSet[bytes] = frozenset(),
        proofs: Callable[[bytes], Accused | None] | None = None,
        room: int = MOST_RECORDS,
        partly: bool = False,
    ) -> Membership:
        """Check the records of a space, in any order; what does not belong is passed over.

        Args:
            space_id: Known from our own settings, or claimed by a store's listing: the genesis must hash to it.
            records: The objects' bytes.
            verified: What an earlier `Membership.verified` said: their signatures are not checked again.
            proofs: What the bytes of a proof prove, or None where they prove nothing; without it no proof counts.
            room: For so many records.
            partly: Leave out what somebody who is in wrote beyond that; for who knows no older set to go on with.

        Raises:
            RecordDamaged: The genesis is not there, or there is no epoch that it accounts for.
            TooManyRecords: Somebody who is in wrote more records than a reader takes.
            Refused: The space needs a newer version.
        """
        objects = list(records)
        first, genesis, known = _find_genesis(space_id, objects, verified)
        found, strange = sort_out(space_id, objects)
        found[first.hash] = first
        graph, crowd = counted(space_id, found, first.hash, verified, room)
        if crowd is not None and not partly:
            raise TooManyRecords(room, crowd.device, crowd.count)
        resolution = Resolution(graph, proofs)
        state = resolution.state(graph.everything)
        good = resolution.standing(graph.everything).good
        epochs = Epochs(resolution)
        current = epochs.current
        devices = {
            keys.id: keys
            for place in bits(resolution.sound | good)
            for keys in introduced(graph.records[place].content)
        }
        later = _later(strange, space_id, state, devices)
        unreleased = any(object_hash(encode(one)) in later and is_unreleased(one.body) for one in strange)
        return cls(
            space_id=space_id,
            policy=state.policy,
            privacy=state.privacy,
            feature=state.feature,
            lying=state.thresholds[0],
            devices=devices,
            frontier=graph.tops(good),
            epoch=current.body.number,
            epoch_id=current.hash,
            check=current.body.check,
            wraps={device: wraps[0] for device, wraps in current.wraps.items()},
            state=state,
            beyond=frozenset({graph.records[graph.places[one]].author for one in state.beyond} | set(later.values())),
            unreleased=unreleased,
            created=genesis.time,
            paper=any(devices[one].kind == PAPER for one in state.devices),
            verified=frozenset(graph.verified | known | later.keys()),
            crowd=crowd,
            resolution=resolution,
            epochs=epochs,
        )


def _find_genesis(
    space_id: bytes, objects: Sequence[bytes], verified: AbstractSet[bytes]
) -> tuple[Found, Genesis, set[bytes]]:
    genesis: Genesis | None = None
    for data in objects:
        if (signed := parse(data)) is None or hashed("space", signed.body) != space_id:
            continue
        if genesis is None:
            try:
                genesis = parse_genesis(signed.body)
            except RecordDamaged as error:
                raise RecordDamaged(f"space {space_id.hex()[:8]}: {error}") from None
            if genesis.feature > FEATURE_LEVEL:
                raise Refused(
                    f"space {space_id.hex()[:8]} has feature level {genesis.feature}, "
                    f"this version knows {FEATURE_LEVEL}",
                    hint="upgrade ropewalk",
                )
        if (digest := object_hash(data)) in verified or signed.verify(genesis.devices[0]):
            first = Found(record_hash(signed.body), genesis.devices[0].id, (), genesis, [])
            return first, genesis, {digest}
    if genesis is not None:
        raise RecordDamaged(f"genesis of space {space_id.hex()[:8]} is not signed by its first device")
    raise RecordDamaged(f"genesis of space {space_id.hex()[:8]} was not found", hint="look for it on other stores")


_strange = msgspec.msgpack.Decoder(list[msgspec.Raw])
_bytes = msgspec.msgpack.Decoder(bytes)


def _later(
    strange: Sequence[Signed], space_id: bytes, state: GroupState, devices: Mapping[bytes, PublicKeys]
) -> dict[bytes, bytes]:
    """Hashes of objects by admins that only another version can read, and who signed; first fields are as in all."""
    found: dict[bytes, bytes] = {}
    for signed in strange:
        try:
            fields = _strange.decode(signed.body)
            space, author = (_bytes.decode(fields[at]) for at in (2, 3))
        except (msgspec.DecodeError, UnicodeDecodeError, IndexError, RecursionError):
            continue
        if space == space_id and state.role_of(author) is Role.ADMIN and signed.verify(devices[author]):
            found[object_hash(encode(signed))] = author
    return found
