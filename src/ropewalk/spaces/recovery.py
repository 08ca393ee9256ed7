"""Recovery: the paper key of a member written anew, and used to come back with fresh device keys.

Flow: Membership, keys -> records for the stores; words, spaces found in stores -> records put -> Restored
Never: keeps words, or says that somebody is back before enough stores have the record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ropewalk.errors import Missing, RopewalkError
from ropewalk.spaces.identity import PAPER, DeviceKeys, PublicKeys
from ropewalk.spaces.learning import read_membership
from ropewalk.spaces.members import NO_CUT, Cut, Membership, Role
from ropewalk.spaces.members.authoring import Author
from ropewalk.spaces.members.operations import Delivered
from ropewalk.spaces.members.wraps import deliver, open_ring
from ropewalk.spaces.pool.pool import Pool
from ropewalk.spaces.store import ObjectName

__all__ = [
    "Found",
    "NoPaperKey",
    "Restored",
    "come_back",
    "others_of",
    "paper_of",
    "replace_paper",
    "restore",
    "revoke",
]

Record = tuple[ObjectName, bytes]
Label = Callable[[Membership, bytes], bytes]  # the name of a device, by its id, in a sealed box


class NoPaperKey(Missing):
    """These words are of no paper key that is valid in this space now."""

    code = "recovery.no-paper-key"


class Found(Protocol):
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
) -> list[Record]:
    """The records that make ``paper`` the paper key of this device's member, and the one before none; in that order.

    Whoever calls has seen that the words are written down, since the old ones are of no use once the first is put.
    What is done already is not done again.  The old key can read what is new until an admin makes a new epoch.

    Args:
        space_id: The space.
        records: The objects of all membership records that are known.
        device: Signs.
        incarnation: That of the device's heads.
        now: Nanoseconds since 1970.
        paper: Public half of the new key.
        label: Seals the key's name.

    Raises:
        NotAMember, NotAllowed: This device is no member's any more.
    """
    known, made = list(records), []
    membership = read_membership(space_id, known)
    mine = device.public().id
    old = paper_of(membership, mine)
    if old == paper.id:
        return []
    if old is not None:  # there is one at a time
        made.append(Author(membership, device, incarnation, now).revoke(old, NO_CUT))
        known.append(made[-1][1])
        membership = read_membership(space_id, known, membership)
    author = Author(membership, device, incarnation, now)
    made.append(author.device(paper, label(membership, paper.id), _wraps(membership, device, paper)))
    return made


def _wraps(membership: Membership, holder: DeviceKeys, to: PublicKeys) -> list[Delivered]:
    ring = open_ring(membership.epochs, holder).ring
    role = membership.state.role_of(holder.public().id)
    return [deliver(membership.epochs, ring, to, role if role is not None else Role.READER)]


# ---- coming back -----------------------------------------------------------------------------------------------------


def come_back(
    membership: Membership,
    paper: DeviceKeys,
    fresh: PublicKeys,
    now: int,
    label: Label,
    chance: Callable[[int], bytes] = os.urandom,
) -> Record | None:
    """The record by which a paper key lets fresh device keys in; None where they are in already.

    Raises:
        NoPaperKey: It is none of a member's any more.
        NotAllowed: The member has as many devices as it may.
    """
    if membership.state.devices.get(paper.public().id) is None:
        raise NoPaperKey(
            f"these words are no paper key of space {membership.space_id.hex()[:8]} any more",
            hint="look for newer words, or ask a member for an invite",
        )
    if fresh.id in membership.state.devices:
        return None
    # What the key has signed before, nobody at this machine knows: it counts anew.
    author = Author(membership, paper, chance(16), now)
    return author.device(fresh, label(membership, fresh.id), _wraps(membership, paper, fresh))


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
    spaces: Sequence[Found],
    paper: DeviceKeys,
    fresh: PublicKeys,
    now: int,
    label: Label,
    chance: Callable[[int], bytes] = os.urandom,
) -> Restored:
    """Let fresh device keys into every space that a paper key opens; it may be run again after any stop.

    Args:
        pool: The stores that were looked into.
        spaces: What was found in them.
        paper: Keys from words.
        fresh: Public half of this machine's new keys.
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


async def _put(pool: Pool, space: Found, record: Record | None) -> tuple[int, str]:
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


def revoke(
    space_id: bytes,
    records: Sequence[bytes],
    keys: DeviceKeys,
    incarnation: bytes,
    now: int,
    cuts: Mapping[bytes, Cut],
) -> list[Record]:
    """The records that revoke devices, signed with the paper key (nobody of the member is senior to it) or another's.

    Args:
        space_id: The space.
        records: The objects of all membership records that are known.
        keys: Signs.
        incarnation: Fresh for a paper key, else that of the device's heads.
        now: Nanoseconds since 1970.
        cuts: Device to the newest head accepted of each of its writers.
    """
    known, made = list(records), []
    membership = read_membership(space_id, known)
    for device in sorted(cuts):
        if device in membership.state.devices:
            made.append(Author(membership, keys, incarnation, now).revoke(device, cuts[device]))
            known.append(made[-1][1])
            membership = read_membership(space_id, known, membership)
    return made
