"""Epochs: which one seals now, and who holds the secrets of which (docs/spec/groups.md 3).

Flow: Resolution -> Epochs -> wraps
Never: opens a secret, or counts an epoch whose author was no admin's device when it was made.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ropewalk.spaces.identity import PublicKeys
from ropewalk.spaces.keys import Secrets, hashed
from ropewalk.spaces.members.graph import bits, introduced
from ropewalk.spaces.members.operations import Add, AddDevice, Deliver, Delivered, Role
from ropewalk.spaces.members.records import MOST_PARENTS, EpochBody, RecordDamaged
from ropewalk.spaces.members.resolve import Resolution
from ropewalk.spaces.members.state import GroupState

__all__ = ["MEMBER_WRAP", "MOST_BEFORE", "STEWARD_WRAP", "Epoch", "Epochs", "Exposed"]

MOST_BEFORE = 64  # epochs that one names as previous; a group that rotates at 64 places at once is none
MOST_TRIED = 64  # wraps of one epoch for one device: any member may write wraps that are none
MEMBER_WRAP, STEWARD_WRAP = 1232, 1168  # bytes: HPKE's encapsulation, the secrets, and a tag


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch whose record stood when it was made."""

    hash: bytes
    place: int  # of its record in the graph
    body: EpochBody = field(repr=False)
    wraps: Mapping[bytes, Sequence[bytes]] = field(repr=False)  # device -> its wraps, the likeliest first

    def holds(self, device: bytes, *, as_steward: bool) -> bool:
        """Whether a device was given what stewards, or what members hold."""
        return any((len(wrap) == STEWARD_WRAP) == as_steward for wrap in self.wraps.get(device, ()))

    def fits(self, secrets: Secrets | bytes) -> bool:
        """Whether these are the secrets that the record speaks of."""
        if isinstance(secrets, bytes):
            return hashed("steward check", secrets) == self.body.steward_check
        plain = secrets.epoch + secrets.steward + secrets.space
        return hashed("epoch check", plain) == self.body.check and self.fits(secrets.steward)


@dataclass(frozen=True, slots=True)
class Exposed:
    """A device that holds the newest keys, and should not."""

    device: bytes
    since: int  # nanoseconds, as the record says by which it lost the right to them; a hint


class Epochs:
    """All epochs of a space.

    Args:
        resolution: Of all records that are known.
    """

    def __init__(self, resolution: Resolution) -> None:
        self._resolution, self._graph = resolution, resolution.graph
        self.space_id = self._graph.space_id
        self.state: GroupState = resolution.state(self._graph.everything)
        standing = resolution.standing(self._graph.everything)
        self._good, self._grounding = standing.good, standing.grounding
        self._sound = resolution.sound | self._good
        delivered = self._delivered()
        self.known: dict[bytes, Epoch] = {}  # by hash, in the order of their records
        for place in bits(self._sound):
            record = self._graph.records[place]
            if isinstance(record.content, EpochBody) and self._is_sound(record.content, place):
                wraps = _by_device(record.content, delivered[record.hash])
                self.known[record.hash] = Epoch(record.hash, place, record.content, wraps)

    def _is_sound(self, body: EpochBody, place: int) -> bool:
        names = [before.epoch for before in body.previous]
        if len(names) > MOST_BEFORE or not _ascends(names) or not all(name in self.known for name in names):
            return False
        if not all(self._graph.before[place] >> self.known[name].place & 1 for name in names):
            return False
        devices = [one.device for one in (*body.wraps, *body.steward_wraps)]
        if len(set(devices)) < len(devices):
            return False
        lengths = [(body.wraps, MEMBER_WRAP), (body.steward_wraps, STEWARD_WRAP)]
        return all(len(one.wrap) == length for wraps, length in lengths for one in wraps)

    def _delivered(self) -> defaultdict[bytes, list[Delivered]]:
        """Wraps in operations by epoch, those that admins wrote first.

        What was struck since counts: its secrets are out.
        """
        found: defaultdict[bytes, list[tuple[bool, int, Delivered]]] = defaultdict(list)
        for place in bits(self._sound):
            record = self._graph.records[place]
            if not isinstance(record.content, Add | AddDevice | Deliver):
                continue
            late = self.state.role_of(record.author) is not Role.ADMIN
            for one in record.content.wraps:
                at = self._graph.places.get(one.epoch)
                if at is not None and self._graph.before[place] >> at & 1:
                    found[one.epoch].append((late, place, one))
        ordered: defaultdict[bytes, list[Delivered]] = defaultdict(list)
        for epoch, wraps in found.items():
            ordered[epoch] = [one for _, _, one in sorted(wraps, key=lambda wrap: wrap[:2])]
        return ordered

    # ---- which one seals ---------------------------------------------------------------------------------------------

    @cached_property
    def tops(self) -> Sequence[Epoch]:
        """The epochs that no other had seen, the current one first."""
        standing = [one for one in self.known.values() if self._good >> one.place & 1] or list(self.known.values())
        covered = 0
        for one in standing:
            covered |= self._graph.before[one.place]
        tops = [one for one in standing if not covered >> one.place & 1]
        return sorted(tops, key=lambda one: (-len(self.exposed(one)), one.body.number, one.hash), reverse=True)

    @property
    def current(self) -> Epoch:
        """The one to seal in.

        Raises:
            RecordDamaged: There is none.
        """
        if not self.tops:
            raise RecordDamaged(
                f"space {self.space_id.hex()[:8]} has no epoch record signed by an admin",
                hint="look for it on other stores",
            )
        return self.tops[0]

    def exposed(self, epoch: Epoch) -> frozenset[bytes]:
        """Devices that hold an epoch's secrets, and should not; clean, if there are none."""
        members = {one.device for one in epoch.body.wraps}
        stewards = {one.device for one in epoch.body.steward_wraps}
        found: set[bytes] = set()
        late: set[bytes] = set()
        for device in epoch.wraps:
            role = self.state.role_of(device)
            if role is None:
                (found if device in members | stewards else late).add(device)
            elif role is Role.STEWARD and epoch.holds(device, as_steward=False):
                (found if device in members else late).add(device)
        return frozenset(found | self._newly(epoch, late)) if late else frozenset(found)

    @property
    def exposure(self) -> list[Exposed]:
        """Who can read what is new although he is gone, and since when, until an admin makes an epoch."""
        return [Exposed(device, self._lost_at(device)) for device in sorted(self.exposed(self.current))]

    def _lost_at(self, device: bytes) -> int:
        index = self._grounding.index
        taken = index.revocations.get(device, 0)
        for place in bits(index.admits.get(device, 0)):
            verdict = self._grounding.verdicts[place]
            member = index.added.get(place, verdict.subject if verdict is not None else b"")
            taken |= index.removals.get(member, 0) | index.roles.get(member, 0)
        last = max(bits(taken & self._good), default=None)
        return 0 if last is None else self._graph.records[last].time

    def _newly(self, epoch: Epoch, devices: set[bytes]) -> set[bytes]:
        """Without those that never came, or had no right to secrets before the epoch: it makes no difference to them.

        Whoever wraps for them gives away what is his, and must not have us rotate for it again and again.
        """
        before = self._graph.before[epoch.place]
        then = self._resolution.state(before)
        known = {keys.id for place in bits(before) for keys in introduced(self._graph.records[place].content)}
        return {
            device
            for device in devices
            if device in self._graph.keys and (device not in known or (then.role_of(device) or 0) > Role.STEWARD)
        }

    @property
    def due(self) -> str:
        """Why an admin's device should make a new epoch, or "" where none is needed."""
        if exposed := self.exposed(self.current):
            return f"{len(exposed)} devices that are gone, or are stewards now, hold the newest keys"
        if len(self.tops) > 1:
            return f"{len(self.tops)} epochs were begun at once"
        return "" if self._good >> self.current.place & 1 else "who began the newest epoch had no right to by then"

    def parents(self, frontier: Sequence[bytes], needed: Sequence[Epoch]) -> list[bytes]:
        """What a new epoch stands on: the newest records, and epochs that it leads back to; as many as it may name."""
        parents = list(frontier[:MOST_PARENTS])
        past = self._graph.past(parents)
        for one in needed:
            if not past >> one.place & 1 and len(parents) < MOST_PARENTS:
                parents.append(one.hash)
                past |= self._graph.past([one.hash])
        return self._graph.tops(past)

    def has_seen(self, parents: Sequence[bytes], epoch: Epoch) -> bool:
        """Whether what stands on these records stands on an epoch."""
        return bool(self._graph.past(parents) >> epoch.place & 1)

    def number_after(self, parents: Sequence[bytes]) -> int:
        """The number of an epoch that has seen these records, and all that they had."""
        deepest: dict[int, int] = {}
        for place in bits(self._graph.past(parents)):
            record = self._graph.records[place]
            seen = max((deepest[self._graph.places[parent]] for parent in record.parents), default=0)
            deepest[place] = seen + isinstance(record.content, EpochBody)
        return max(deepest.values(), default=0) + 1

    def keys_of(self, device: bytes) -> PublicKeys:
        """The public keys of a device that any record has introduced."""
        return self._graph.keys[device]


def _by_device(body: EpochBody, delivered: Sequence[Delivered]) -> dict[bytes, Sequence[bytes]]:
    found: defaultdict[bytes, list[bytes]] = defaultdict(list)
    listed = [(one.device, one.wrap) for one in (*body.wraps, *body.steward_wraps)]
    for device, wrap in (*listed, *((one.device, one.wrap) for one in delivered)):
        if len(wrap) in (MEMBER_WRAP, STEWARD_WRAP) and len(found[device]) < MOST_TRIED:
            found[device].append(wrap)
    return dict(found)


def _ascends(names: Sequence[bytes]) -> bool:
    return all(one < other for one, other in itertools.pairwise(names))
