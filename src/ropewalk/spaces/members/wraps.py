"""Wraps: how a device comes by the secrets of epochs, and how those of new ones are handed out (groups.md 3.2, 3.3).

Flow: Epochs, DeviceKeys -> KeyRing; Epochs, KeyRing -> an epoch's record, or wraps for newcomers
Never: wraps for who is gone, takes secrets that do not fit their record, or puts anything anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ropewalk.errors import Refused
from ropewalk.spaces.identity import DeviceKeys, KeysUnusable, PublicKeys
from ropewalk.spaces.keys import BoxDamaged, KeyRing, Secrets, hashed, open_box, seal_box
from ropewalk.spaces.members.epochs import MEMBER_WRAP, MOST_BEFORE, STEWARD_WRAP, Epoch, Epochs
from ropewalk.spaces.members.membership import NotAMember
from ropewalk.spaces.members.operations import Delivered, Role
from ropewalk.spaces.members.records import (
    MOST_WRAPS,
    Before,
    EpochBody,
    RecordDamaged,
    Wrap,
    epoch_info,
    record_hash,
    sign,
    steward_info,
)
from ropewalk.spaces.records import encode
from ropewalk.spaces.store import ObjectName

__all__ = ["Opened", "Rotation", "TooManyDevices", "deliver", "open_ring", "owed", "rotate", "unreached"]

WRAPS_AT_ONCE = 48  # in one operation, which has 64 KiB
_NO_TAG = bytes(8)  # stands in the boxes of the chain, in place of an epoch's


class TooManyDevices(Refused):
    """A space has more devices than an epoch can be wrapped for."""

    code = "members.too-many-devices"


# ---- opening ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Opened:
    """What a device can open of a space.

    Attributes:
        ring: The keys of all epochs that these are of; the best of them seals.
        waits: Whether the current epoch is not among them: a wrap for this device is owed.
        problems: Wraps and chains that did not hold what their record says.
    """

    ring: KeyRing
    waits: bool = False
    problems: list[str] = field(default_factory=list)


def open_ring(epochs: Epochs, device: DeviceKeys, ring: KeyRing | None = None, *, use: bool = True) -> Opened:
    """Open all epochs that a device can: by its own wraps, and from each back along the chain.

    Args:
        epochs: Of all records known.
        device: The keys of a device, or of a paper key.
        ring: One of this space that is in use: what is new is added to it.
        use: Whether it is to seal in what is current now.

    Raises:
        NotAMember: There is no wrap for these keys.
        RecordDamaged: There are wraps, and none of them opens.
    """
    opened = Opened(ring if ring is not None else KeyRing(epochs.space_id))
    mine = device.public().id
    newest = sorted(epochs.known.values(), key=lambda one: (one.body.number, one.hash), reverse=True)
    order = list({one.hash: one for one in (*epochs.tops, *newest)}.values())
    for one in order:
        if not _is_complete(opened.ring, one, mine):
            secrets = _unwrapped(epochs, one, device, opened)
            if secrets is not None:
                _walk_back(epochs, one, secrets, opened)
    usable = [one.hash for one in order if opened.ring.knows(one.hash, members=False)]
    if not usable:
        if any(mine in one.wraps for one in order):
            raise RecordDamaged(f"no wrap for this device opens: {'; '.join(opened.problems[:3])}")
        raise NotAMember("the keys of this device open nothing in this space", hint="ask an admin for an invite")
    if use:
        opened.ring.use(usable[0])
    opened.waits = usable[0] != epochs.current.hash
    return opened


def _is_complete(ring: KeyRing, epoch: Epoch, device: bytes) -> bool:
    if not ring.knows(epoch.hash, members=False):
        return device not in epoch.wraps
    return not epoch.holds(device, as_steward=False) or ring.knows(epoch.hash, members=True)


def _unwrapped(epochs: Epochs, epoch: Epoch, device: DeviceKeys, opened: Opened) -> Secrets | bytes | None:
    mine, body = device.public().id, epoch.body
    for wrap in sorted(epoch.wraps[mine], key=len, reverse=True):  # members' before stewards'
        if len(wrap) == MEMBER_WRAP:
            info = epoch_info(epochs.space_id, body.number, mine, body.check)
        else:
            info = steward_info(epochs.space_id, body.number, mine, body.steward_check)
        try:
            plain = device.unwrap(wrap, info)
        except BoxDamaged as error:
            opened.problems.append(f"epoch {body.number}: {error}")
            continue
        secrets = plain if len(wrap) == STEWARD_WRAP else Secrets(plain[:32], plain[32:64], plain[64:])
        if epoch.fits(secrets) and _is_of_space(opened.ring, secrets):
            return secrets
        opened.problems.append(f"epoch {body.number}: wrapped secrets are not those that its record says")
    return None


def _is_of_space(ring: KeyRing, secrets: Secrets | bytes) -> bool:
    known = ring.space_secret
    return isinstance(secrets, bytes) or known is None or secrets.space == known


def _walk_back(epochs: Epochs, epoch: Epoch, secrets: Secrets | bytes, opened: Opened) -> None:
    waiting = [(epoch, secrets)]
    while waiting:  # each step adds an epoch, or the rest of one, and those are no more than records
        one, found = waiting.pop()
        if opened.ring.knows(one.hash, members=isinstance(found, Secrets)):
            continue
        opened.ring.add(one.hash, found, one.body.number)
        for before in one.body.previous:
            earlier = epochs.known[before.epoch]
            if (rest := _before(epochs.space_id, one, before, earlier, found)) is not None:
                waiting.append((earlier, rest))
            else:
                opened.problems.append(f"epoch {one.body.number} does not lead back to epoch {earlier.body.number}")


def _before(
    space_id: bytes, epoch: Epoch, before: Before, earlier: Epoch, secrets: Secrets | bytes
) -> Secrets | bytes | None:
    """The secrets of an epoch before, from those of the one that names it; None where they do not fit its record."""
    place = _place(space_id, epoch.body.number)
    try:
        if isinstance(secrets, bytes):
            rest: Secrets | bytes = open_box(hashed("steward chain", secrets), place, _untagged(before.stewards))
        else:
            plain = open_box(hashed("epoch chain", secrets.epoch), place, _untagged(before.members))
            rest = Secrets(plain[:32], plain[32:], secrets.space)
    except BoxDamaged:
        return None
    return rest if earlier.fits(rest) else None


def _place(space_id: bytes, number: int) -> bytes:
    return _NO_TAG + b"epoch" + space_id + number.to_bytes(8, "big")


def _untagged(box: bytes) -> bytes:
    if box[: len(_NO_TAG)] != _NO_TAG:
        raise BoxDamaged("box of the chain has the tag of an epoch")
    return box[len(_NO_TAG) :]


# ---- a new epoch -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rotation:
    """A new epoch, to be put like any record, and sealed in once it is on the floor of stores.

    Attributes:
        name: Of the record's object.
        data: Its bytes.
        hash: What the epoch is known by.
        number: The epoch's.
        secrets: Of the epoch.
        left_out: Active devices whose public keys are none that anything could be sealed for.
    """

    name: ObjectName
    data: bytes = field(repr=False)
    hash: bytes
    number: int
    secrets: Secrets = field(repr=False)
    left_out: Sequence[bytes]

    def enter(self, ring: KeyRing) -> None:
        """Seal in it from now on."""
        ring.add(self.hash, self.secrets, self.number)
        ring.use(self.hash)


def rotate(
    epochs: Epochs,
    ring: KeyRing,
    device: DeviceKeys,
    frontier: Sequence[bytes],
    chance: Callable[[int], bytes] = os.urandom,
) -> Rotation:
    """A new epoch for all who are active now.

    Args:
        epochs: Of all records known.
        ring: The keys of this device, an admin's.
        device: Signs.
        frontier: The newest records.
        chance: Gives random bytes.

    Raises:
        TooManyDevices: More than 1,024 are active.
        MembersOnly, EpochUnknown: The ring has no current epoch of a member.
    """
    space_id, state = epochs.space_id, epochs.state
    if len(state.devices) > MOST_WRAPS:
        raise TooManyDevices(
            f"space has {len(state.devices)} active devices, an epoch is for {MOST_WRAPS} at most",
            hint="revoke devices that are not used any more",
        )
    ends = _ends(epochs, ring)
    parents = epochs.parents(frontier, ends)
    number = epochs.number_after(parents)
    secrets = Secrets(chance(32), chance(32), ring.secrets(ring.current).space)
    plain = secrets.epoch + secrets.steward + secrets.space
    check, steward_check = hashed("epoch check", plain), hashed("steward check", secrets.steward)
    wraps: list[Wrap] = []
    steward_wraps: list[Wrap] = []
    left_out: list[bytes] = []
    for one in sorted(state.devices):
        public = epochs.keys_of(one)
        try:
            if state.role_of(one) is Role.STEWARD:
                info = steward_info(space_id, number, one, steward_check)
                steward_wraps.append(Wrap(one, public.wrap(secrets.steward, info)))
            else:
                wraps.append(Wrap(one, public.wrap(plain, epoch_info(space_id, number, one, check))))
        except KeysUnusable:
            left_out.append(one)
    seen = [one for one in ends if epochs.has_seen(parents, one)][:MOST_BEFORE]
    previous = [_chained(space_id, one.hash, ring, number, secrets) for one in sorted(seen, key=lambda one: one.hash)]
    body = encode(
        EpochBody(
            *("epoch", 1, space_id, number, parents, device.public().id),
            *(check, steward_check, wraps, steward_wraps, previous),
        )
    )
    name, data = sign(space_id, body, device)
    return Rotation(name, data, record_hash(body), number, secrets, left_out)


def unreached(epochs: Epochs, ring: KeyRing) -> list[Epoch]:
    """Epochs of ours that the current one does not lead back to: newcomers do not read what was sealed in them.

    An epoch is due where accepted heads were sealed in one of these.  That one is there is no reason by itself: a
    former admin can make epochs that look older than his removal as often as he likes.
    """
    return [one for one in _ends(epochs, ring) if one.hash != epochs.current.hash]


def _ends(epochs: Epochs, ring: KeyRing) -> list[Epoch]:
    """The epochs of ours that no other of ours leads back to, the newest first."""
    ours = [one for one in epochs.known.values() if ring.knows(one.hash, members=True)]
    reached = {before.epoch for one in ours for before in one.body.previous if _leads_back(epochs, ring, one, before)}
    ends = [one for one in ours if one.hash not in reached]
    return sorted(ends, key=lambda one: (one.body.number, one.hash), reverse=True)


def _chained(space_id: bytes, epoch: bytes, ring: KeyRing, number: int, secrets: Secrets) -> Before:
    """The secrets of an epoch of ours, sealed with those of the one with this number."""
    old, place = ring.secrets(epoch), _place(space_id, number)
    for_members = seal_box(hashed("epoch chain", secrets.epoch), place, old.epoch + old.steward)
    for_stewards = seal_box(hashed("steward chain", secrets.steward), place, old.steward)
    return Before(epoch, _NO_TAG + for_members, _NO_TAG + for_stewards)


def _leads_back(epochs: Epochs, ring: KeyRing, epoch: Epoch, before: Before) -> bool:
    earlier, secrets = epochs.known[before.epoch], ring.secrets(epoch.hash)
    both = (secrets, secrets.steward)
    return all(_before(epochs.space_id, epoch, before, earlier, one) is not None for one in both)


# ---- for those who came later ----------------------------------------------------------------------------------------


def deliver(epochs: Epochs, ring: KeyRing, keys: PublicKeys, role: Role) -> Delivered:
    """The secrets of the epoch that the ring seals in for a device, for the operation that lets it in.

    Raises:
        KeysUnusable: Nothing can be sealed for its keys.
        MembersOnly: We are stewards, and it is to be more.
    """
    epoch, space_id = epochs.known[ring.current], epochs.space_id
    body = epoch.body
    if role is Role.STEWARD:
        info = steward_info(space_id, body.number, keys.id, body.steward_check)
        return Delivered(epoch.hash, keys.id, keys.wrap(ring.steward_secret(epoch.hash), info))
    secrets = ring.secrets(epoch.hash)
    info = epoch_info(space_id, body.number, keys.id, body.check)
    return Delivered(epoch.hash, keys.id, keys.wrap(secrets.epoch + secrets.steward + secrets.space, info))


def owed(epochs: Epochs, ring: KeyRing) -> list[list[Delivered]]:
    """Wraps for active devices that lack those of the current epoch; one list for each `wrap` operation."""
    current = epochs.current
    if ring.current != current.hash:
        return []
    found: list[Delivered] = []
    for device in sorted(epochs.state.devices):
        role = epochs.state.role_of(device)
        assert role is not None
        as_steward = role is Role.STEWARD
        if current.holds(device, as_steward=as_steward) or not ring.knows(current.hash, members=not as_steward):
            continue
        try:
            found.append(deliver(epochs, ring, epochs.keys_of(device), role))
        except KeysUnusable:
            continue
    return [found[at : at + WRAPS_AT_ONCE] for at in range(0, len(found), WRAPS_AT_ONCE)]
