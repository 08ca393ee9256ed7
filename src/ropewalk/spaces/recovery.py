"""Recovery: the paper key of a member written anew, and used to come back with fresh device keys.

Flow: Membership, keys -> records for the stores; words, spaces found in stores -> records put -> Restored
Never: keeps words, or says that somebody is back before enough stores have the record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ropewalk.errors import Missing, RopewalkError
from ropewalk.spaces.identity import PAPER, DeviceKeys, PublicKeys
from ropewalk.spaces.learning import read_membership
from ropewalk.spaces.members import NO_CUT, Cut, Membership, Role, consent, ticket
from ropewalk.spaces.members.authoring import Author
from ropewalk.spaces.members.operations import AddDevice, Delivered, Revoke
from ropewalk.spaces.members.records import parse, record_hash
from ropewalk.spaces.members.wraps import deliver, open_ring
from ropewalk.spaces.pool.pool import Pool
from ropewalk.spaces.store import ObjectName

__all__ = [
    "NoPaperKey",
    "Recoverable",
    "Restored",
    "come_back",
    "deeds_of",
    "is_out",
    "is_retired",
    "others_of",
    "paper_of",
    "replace_paper",
    "restore",
]

NamedRecord = tuple[ObjectName, bytes]
Label = Callable[[Membership, bytes], bytes]  # the name of a device, by its id, in a sealed box


class NoPaperKey(Missing):
    """These words are of no paper key that is valid in this space now."""

    code = "recovery.no-paper-key"


class Recoverable(Protocol):
    """A space that the paper key opens, as `discover` finds it."""

    @property
    def id(self) -> bytes:
        """32 bytes."""
        ...

    @property
    def stores(self) -> Sequence[str]:
        """Names of the stores that hold its records."""
        ...

    @property
    def membership(self) -> Membership:
        """What its records come to."""
        ...

    @property
    def records(self) -> Mapping[str, bytes]:
        """Their objects by name."""
        ...


def paper_of(membership: Membership, device: bytes) -> bytes | None:
    """The paper key of the member that a device is of, if it has one now."""
    of_member = (one for one in _devices_with(membership, device) if membership.devices[one].kind == PAPER)
    return next(of_member, None)


def others_of(membership: Membership, device: bytes) -> list[bytes]:
    """The other devices of the member that a device is of, paper keys aside: what a thief may hold."""
    return [one for one in _devices_with(membership, device) if one != device and membership.devices[one].kind != PAPER]


def _devices_with(membership: Membership, device: bytes) -> Sequence[bytes]:
    member = membership.state.devices.get(device)
    return () if member is None else membership.state.members[member].devices


# ---- a new paper key -------------------------------------------------------------------------------------------------


def replace_paper(
    space_id: bytes,
    records: Sequence[bytes],
    device: DeviceKeys,
    incarnation: bytes,
    now: int,
    paper: PublicKeys,
    label: Label,
    *,
    old: DeviceKeys | None = None,
    cuts: Mapping[bytes, Cut] | None = None,
    chance: Callable[[int], bytes] = os.urandom,
) -> list[NamedRecord]:
    """The records that make ``paper`` the paper key of this device's member, and the one before none; in that order.

    Whoever calls has seen that the words are written down, since the old ones are of no use once the first is put.
    What is done already is not done again.  The old key can read what is new until an admin makes a new epoch.
    Where the old key is senior to this device, it holds only with ``old`` against what others sign with the old
    key under an old date.

    Args:
        space_id: The space.
        records: The objects of all membership records that are known.
        device: Signs.
        incarnation: That of the device's heads.
        now: Nanoseconds since 1970.
        paper: Public half of the new key.
        label: Seals the key's name.
        old: A paper key that this takes the place of, or that was put out before: it retires itself.
        cuts: Paper key to the newest head accepted of each of its writers, where it has written.
        chance: Gives random bytes.

    Raises:
        NotAMember, NotAllowed: This device is no member's any more.
        NoPaperKey: ``old`` is none of this member's.
    """
    known, made = list(records), []
    membership = read_membership(space_id, known)
    mine, cuts = device.public().id, cuts or {}
    if old is not None and not is_retired(membership, old.public().id):
        made.append(_retire(membership, known, mine, old, chance(16), now, cuts))
        known.append(made[-1][1])
        membership = read_membership(space_id, known, membership)
    current = paper_of(membership, mine)
    if current == paper.id:
        return made
    if current is not None:  # there is one at a time
        made.append(Author(membership, device, incarnation, now).revoke(current, cuts.get(current, NO_CUT)))
        known.append(made[-1][1])
        membership = read_membership(space_id, known, membership)
    author = Author(membership, device, incarnation, now)
    made.append(author.device(paper, label(membership, paper.id), _wraps(membership, device, paper)))
    return made


def is_out(membership: Membership, paper: bytes) -> bool:
    """Whether somebody put a paper key out, as after its words were seen; not with all of its member."""
    return any(True for _ in _revocations(membership, paper))


def is_retired(membership: Membership, paper: bytes) -> bool:
    """Whether a paper key has put itself out, which nothing that it signs under an old date undoes."""
    return any(author == paper for author in _revocations(membership, paper))


def _revocations(membership: Membership, device: bytes) -> Iterator[bytes]:
    for record in membership.records:
        if record.grounded and isinstance(record.content, Revoke) and record.content.device == device:
            yield record.author


def deeds_of(membership: Membership, paper: bytes) -> list[bytes]:
    """Devices that a paper key itself let in or put out: what who has its words can take back, retired or not."""
    found: dict[bytes, None] = {}
    for record in membership.records:
        if not record.grounded or record.author != paper:
            continue
        match record.content:
            case AddDevice(keys=keys):
                found[keys.id] = None
            case Revoke(device=device) if device != paper:
                found[device] = None
    return list(found)


def _retire(
    membership: Membership,
    known: Sequence[bytes],
    mine: bytes,
    old: DeviceKeys,
    life: bytes,
    now: int,
    cuts: Mapping[bytes, Cut],
) -> NamedRecord:
    paper = old.public().id
    if paper not in membership.state.devices:  # it was put out before: it signs on what had not seen that
        membership = read_membership(membership.space_id, _without(membership, known, paper), membership)
    if paper not in _devices_with(membership, mine):
        raise NoPaperKey(
            f"the old words are of no paper key that you had in space {membership.space_id.hex()[:8]}",
            hint="look for those that it had last, or do without them",
        )
    # What the key has signed before, nobody at this machine knows: it counts anew.
    return Author(membership, old, life, now).revoke(paper, cuts.get(paper, NO_CUT))


def _without(membership: Membership, known: Sequence[bytes], paper: bytes) -> list[bytes]:
    """The records that do not rest on any which puts a paper key out."""
    graph = membership.resolution.graph
    out = 0
    for record in graph.records:
        if isinstance(record.content, Revoke) and record.content.device == paper:
            out |= 1 << record.position | graph.after[record.position]
    bodies = [(data, parse(data)) for data in known]
    places = [(data, graph.places.get(record_hash(signed.body))) for data, signed in bodies if signed is not None]
    return [data for data, place in places if place is not None and not out >> place & 1]


def _wraps(membership: Membership, holder: DeviceKeys, to: PublicKeys) -> list[Delivered]:
    ring = open_ring(membership.epochs, holder).ring
    role = membership.state.role_of(holder.public().id)
    return [deliver(membership.epochs, ring, to, role if role is not None else Role.READER)]


# ---- coming back -----------------------------------------------------------------------------------------------------


def come_back(
    membership: Membership,
    paper: DeviceKeys,
    fresh: DeviceKeys,
    now: int,
    label: Label,
    chance: Callable[[int], bytes] = os.urandom,
) -> NamedRecord | None:
    """The record by which a paper key lets fresh device keys in; None where they are in already.

    Raises:
        NoPaperKey: It is none of a member's any more.
        NotAllowed: The member has as many devices as it may.
    """
    if (member := membership.state.devices.get(paper.public().id)) is None:
        raise NoPaperKey(
            f"these words are no paper key of space {membership.space_id.hex()[:8]} any more",
            hint="look for newer words, or ask a member for an invite",
        )
    mine = fresh.public()
    if mine.id in membership.state.devices:
        return None
    # What the key has signed before, nobody at this machine knows: it counts anew.
    author = Author(membership, paper, chance(16), now)
    agreed = [consent(fresh, [], chance(16), chance(32), [ticket(membership.space_id, member)])]
    wraps = _wraps(membership, paper, mine)
    return author.device(mine, label(membership, mine.id), wraps, consents=agreed)


@dataclass(slots=True)
class Restored:
    """What came of words on paper.

    Attributes:
        back: Ids of the spaces that the fresh keys belong to now, on enough stores.
        devices: Space id to the other devices of the member, which may be lost or stolen.
        problems: Space id to what kept us from it; run it again.
    """

    back: list[bytes] = field(default_factory=list)
    devices: dict[bytes, list[bytes]] = field(default_factory=dict)
    problems: dict[bytes, str] = field(default_factory=dict)


async def restore(
    pool: Pool,
    spaces: Sequence[Recoverable],
    paper: DeviceKeys,
    fresh: DeviceKeys,
    now: int,
    label: Label,
    chance: Callable[[int], bytes] = os.urandom,
) -> Restored:
    """Let fresh device keys into every space that a paper key opens; it may be run again after any stop.

    Args:
        pool: The stores that were looked into.
        spaces: What was found in them.
        paper: Keys from words.
        fresh: This machine's new keys.
        now: Nanoseconds since 1970.
        label: Seals the device's name.
        chance: Gives random bytes.
    """
    restored = Restored()
    for space in spaces:
        try:
            record = come_back(space.membership, paper, fresh, now, label, chance)
            kept, why = await _put(pool, space, record)
        except RopewalkError as error:
            restored.problems[space.id] = str(error)
            continue
        floor = min(space.membership.policy.floor, len(space.stores))
        if kept < floor:
            restored.problems[space.id] = f"{kept} of {len(space.stores)} stores took the record, {floor} must ({why})"
            continue
        restored.back.append(space.id)
        restored.devices[space.id] = others_of(space.membership, paper.public().id)
    return restored


async def _put(pool: Pool, space: Recoverable, record: NamedRecord | None) -> tuple[int, str]:
    """How many stores have all that lets the fresh keys in, at least; and what kept the others from it."""
    # A run that was stopped may have left its record in one store: from there the others get it.
    records = {ObjectName(name): data for name, data in space.records.items()} if record is None else dict([record])
    fewest = len(space.stores)
    failed: dict[str, RopewalkError] = {}
    for name, data in records.items():
        copies = await pool.put_copies(name, data, among=space.stores)
        fewest = min(fewest, len(copies.kept))
        failed |= copies.failed
    return fewest, "; ".join(f"{store}: {error}" for store, error in sorted(failed.items()))
