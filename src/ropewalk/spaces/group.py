"""Group: what a member does to the records of an open space: who belongs, with which role and devices.

Flow: intent -> operation on top of all records known -> ledger (durable) -> floor of stores -> the next epoch, wraps
Never: says done what is below the floor, or signs what readers would pass over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from ropewalk.errors import Misuse, Refused, RopewalkError, Unavailable
from ropewalk.spaces.core import Core
from ropewalk.spaces.identity import DeviceKeys, PublicKeys
from ropewalk.spaces.learning import cut_of, due_proofs, pay_records, reported, send_record
from ropewalk.spaces.members import (
    MOST_PARENTS,
    NO_CUT,
    Author,
    Consent,
    Cut,
    Delivered,
    Role,
    deliver,
    member_of,
    open_label,
    owed,
    pledged,
    rotate,
    seal_label,
    why_read_only,
)
from ropewalk.spaces.members.operations import Add
from ropewalk.spaces.members.wraps import unreached
from ropewalk.spaces.state import ACKED, KnownHead, State
from ropewalk.spaces.store import ObjectName

__all__ = ["NOTHING", "BelowFloor", "Group", "LastAdmin", "NotOurs", "Tended", "TooOld", "Written"]


GROUPS = 2  # the feature level from which there are operations
MOST_JOINS = 64  # records that join others under one, at a time; members can write any number of others


class BelowFloor(Unavailable):
    """Too few stores have a record; it is signed, kept here, and sent to the others as they come back."""

    code = "group.below-floor"


class LastAdmin(Refused):
    """Nobody would be left who can add or remove anybody."""

    code = "group.last-admin"


class NotOurs(Refused):
    """Words that are of no paper key of ours."""

    code = "group.not-our-words"


class TooOld(Refused):
    """The space has records that only a later version of the program understands, so this one signs none."""

    code = "group.too-old"


@dataclass(frozen=True, slots=True)
class Written:
    """A record that is on the floor of stores.

    Attributes:
        name: Of its object.
        copies: Stores that have it, of `stores`.
        size: Its bytes.
    """

    name: ObjectName
    copies: int
    stores: int
    size: int


@dataclass(frozen=True, slots=True)
class Tended:
    """What was due, and was done.

    Attributes:
        epoch: The number of a new epoch, or None.
        wraps: Devices that were given the secrets.
        proofs: Devices whose lies are in the records now.
        written: The records for all that.
        undone: Why something is still due.
    """

    epoch: int | None
    wraps: int
    proofs: int
    written: Sequence[Written]
    undone: Sequence[str]


NOTHING = Tended(None, 0, 0, (), ())


class Group:
    """The records of an open space, to be changed.

    The caller has the turn, and has just looked at what stores have; `Space.group` sees to both.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    @property
    def space_id(self) -> bytes:
        """32 bytes."""
        return self._core.space_id

    @property
    def member(self) -> bytes:
        """The member that this device is of.

        Raises:
            Refused: It is none's any more.
        """
        if (member := self._core.membership.state.devices.get(self._core.device.public().id)) is None:
            raise Refused("this device is not a member's any more", hint="ask an admin for an invite")
        return member

    def pledge(self, nonce: bytes) -> bytes:
        """What a nonce of this device pledges to whoever is to be a new member."""
        return pledged(self._core.space_id, self._core.device.public().id, nonce)

    # -- members and devices -------------------------------------------------------------------------------------

    async def add(
        self,
        role: Role,
        name: str,
        keys: Sequence[PublicKeys],
        nonce: bytes,
        consents: Sequence[Consent],
    ) -> tuple[bytes, Written]:
        """A new member; its id.

        Args:
            role: What it may do.
            name: What people call it; sealed.
            keys: Of its first device, and of its paper key if it has one; learnt by a ceremony.
            nonce: The 16 random bytes that it was pledged by.
            consents: Of its devices, to come as this member.
        """
        unnamed = Add(nonce, role, list(keys), b"", [], list(consents))
        member = member_of(self.space_id, self._core.device.public().id, unnamed)
        label = seal_label(self._core.keys, member, name)
        wraps = [self._wrap(one, role) for one in keys]
        return member, await self._write(lambda: self._author().add(nonce, role, keys, label, wraps, consents=consents))

    async def add_device(self, name: str, keys: PublicKeys, consents: Sequence[Consent]) -> Written:
        """One more device, which consents, of our own member; a steward's gets no name, for it has no key for that."""
        role = self._core.membership.state.role_of(self._core.device.public().id)
        if role is None:
            raise Refused("this device is not a member's any more", hint="ask an admin for an invite")
        label = seal_label(self._core.keys, keys.id, name) if self._core.keys.reads else b""
        return await self._write(
            lambda: self._author().device(keys, label, [self._wrap(keys, role)], consents=consents)
        )

    async def call(self, bearer: bytes, name: str) -> Written:
        """Give a member or a device another name."""
        label = seal_label(self._core.keys, bearer, name)
        return await self._write(lambda: self._author().label(bearer, label))

    async def call_device(self, name: str) -> Written | None:
        """Give this device a name, if it has another."""
        mine = self._core.device.public().id
        if open_label(self._core.keys, mine, self._core.membership.state.labels.get(mine, b"")) == name:
            return None
        return await self.call(mine, name)

    async def remove(self, member: bytes) -> Written:
        """Put a member and all its devices out, for good; `tend` then sees to it that it reads nothing new.

        Raises:
            LastAdmin: It is the only admin.
        """
        state = self._core.membership.state
        if member not in state.members:
            raise Misuse(f"no member {member.hex()[:8]} belongs to this space now")
        self._keep_an_admin(member)
        devices = state.members[member].devices
        cut = await self._cut(devices)
        return await self._write(lambda: self._author().remove(member, cut), devices)

    async def set_role(self, member: bytes, role: Role) -> Written:
        """Give a member another role.

        Raises:
            LastAdmin: It is the only admin.
        """
        state = self._core.membership.state
        if member not in state.members:
            raise Misuse(f"no member {member.hex()[:8]} belongs to this space now")
        if role is not Role.ADMIN:
            self._keep_an_admin(member)
        devices = state.members[member].devices
        cut = await self._cut(devices) if role < Role.WRITER else Cut({})
        lower = devices if role < state.members[member].role else ()
        return await self._write(lambda: self._author().role(member, role, cut), lower)

    async def revoke(self, device: bytes, words: DeviceKeys | None = None) -> Written:
        """Put one device out, for good.

        Args:
            device: Its id. With ``words`` also one that was revoked: by keys that it is senior to.
            words: The paper key of our member, to sign with; it may be senior to a device that is senior to this one.

        Raises:
            LastAdmin: It is the last device of the only admin.
            NotOurs: The words are of no paper key that our member has here now.
        """
        core, state = self._core, self._core.membership.state
        if words is not None and (
            (mine := state.devices.get(words.public().id)) is None or mine != state.devices.get(core.device.public().id)
        ):
            raise NotOurs("these words are of no paper key that you have in this space now", hint="look for newer ones")
        if (member := state.devices.get(device)) is None:
            if words is None or device not in core.membership.devices:
                raise Misuse(f"no device {device.hex()[:8]} belongs to this space now")
        elif state.members[member].devices == (device,):
            self._keep_an_admin(member)
        cut = await self._cut([device])
        # What the paper key has signed before, nobody at this machine knows: it counts anew.
        author = None if words is None else Author(core.membership, words, os.urandom(16), max(core.now(), 0))
        return await self._write(lambda: (author or self._author()).revoke(device, cut), [device])

    async def accept(self, heads: Iterable[KnownHead], thawed: Collection[bytes] = ()) -> Written:
        """Take heads in that were set aside, and let devices go on that were frozen."""
        cut: dict[bytes, tuple[int, bytes]] = {}
        for head in heads:
            cut[head.writer] = max(cut.get(head.writer, (0, b"")), (head.sequence, head.hash))
        return await self._write(lambda: self._author().accept(Cut(cut), thawed))

    async def cut(self, device: bytes) -> Cut:
        """The newest heads of a device that count: up to where it may be put out."""
        return await self._cut([device])

    async def send(self, name: ObjectName, data: bytes, against: Collection[bytes] = ()) -> Written:
        """A record that was signed elsewhere, as those of `recovery` are; the devices that it puts out, if any."""
        return await self._send(name, data, against)

    async def raise_level(self) -> Written:
        """Take a space of feature level 1 to the one that has groups."""
        return await self._send(*self._author().level())

    def check_floor(self) -> None:
        """Return if enough stores answer to take a record; nothing is written.

        Raises:
            BelowFloor: They do not.
        """
        core = self._core
        usable = [one for one in core.pool.takers if core.pool.up(one)]
        if len(usable) < core.head_floor:
            raise BelowFloor(
                f"{len(usable)} of {len(core.pool.names)} stores answer, the floor is {core.head_floor}",
                hint="nothing was changed; bring stores back and try again",
            )

    def check_known(self, against: Collection[bytes] = ()) -> None:
        """Return if this version may sign: all records are known to it, or it puts out who wrote those that are not.

        Raises:
            TooOld: It may not.
        """
        core = self._core
        if core.membership.read_only and core.membership.beyond.isdisjoint(against):
            why, hint = why_read_only(core.membership, core.keys)
            raise TooOld(why, hint=hint)

    # -- what follows --------------------------------------------------------------------------------------------

    async def tend(self) -> Tended:
        """Do what is due and ours to do: proofs, a new epoch, secrets for newcomers, records that stores lack.

        Nothing of it is an error: what could not be done is said, and is due again the next time.
        """
        core = self._core
        written: list[Written] = []
        undone: list[str] = []
        epoch, wrapped, proven = None, 0, 0
        try:
            await pay_records(core)
            if core.membership.read_only or core.membership.feature < GROUPS or not self._belongs:
                return NOTHING
            for _ in range(MOST_JOINS):
                if len(core.membership.frontier) <= MOST_PARENTS:
                    break
                written.append(await self._write(lambda: self._author().wrap()))
            for due in await due_proofs(core):
                written.append(await self._write(lambda due=due: self._author().proof(due.proof, due.cut)))  # type: ignore[misc]
                await reported(core, due.evidence)
                proven += 1
            if self._alone_and_frozen:  # restored from a backup, or copied: there is nobody else to let it go on
                written.append(await self._write(lambda: self._author().accept(NO_CUT, [core.device.public().id])))
            if self._is_admin and (core.membership.epochs.due or await self._sealed_aside()):
                epoch, one = await self._rotate()
                written.append(one)
            for wraps in owed(core.membership.epochs, core.keys):
                written.append(await self._write(lambda wraps=wraps: self._author().wrap(wraps)))  # type: ignore[misc]
                wrapped += len(wraps)
        except RopewalkError as error:
            undone.append(str(error))
        return Tended(epoch, wrapped, proven, tuple(written), tuple(undone))

    async def _sealed_aside(self) -> bool:
        """Whether heads that count may be sealed in epochs that the current one does not lead back to.

        Heads do not say outside of their boxes in which one; but who sealed in an epoch had seen its record.
        """
        epochs, graph = self._core.membership.epochs, self._core.membership.resolution.graph
        aside = 0
        for one in unreached(epochs, self._core.keys):
            aside |= 1 << one.place
        if not aside:
            return False
        frontiers = {head.frontier for head in await self._core.ledger.do(State.heads, ACKED)}
        return any(self._core.membership.knows(one) and graph.past(one) & aside for one in frontiers)

    async def _rotate(self) -> tuple[int, Written]:
        core = self._core
        made = rotate(core.membership.epochs, core.keys, core.device, core.membership.frontier)
        one = await self._send(made.name, made.data)
        made.enter(core.keys)
        for device in made.left_out:
            core.warnings.append(f"device {device.hex()[:8]} has keys that nothing can be sealed for: it is left out")
        return made.number, one

    # -- writing -------------------------------------------------------------------------------------------------

    @property
    def _belongs(self) -> bool:
        return self._core.membership.state.role_of(self._core.device.public().id) is not None

    @property
    def _alone_and_frozen(self) -> bool:
        state = self._core.membership.state
        return self._is_admin and len(state.members) == 1 and self._core.device.public().id in state.frozen

    @property
    def _is_admin(self) -> bool:
        return self._core.membership.state.role_of(self._core.device.public().id) is Role.ADMIN

    def _author(self) -> Author:
        core = self._core
        return Author(core.membership, core.device, core.incarnation, max(core.now(), 0))

    def _wrap(self, keys: PublicKeys, role: Role) -> Delivered:
        return deliver(self._core.membership.epochs, self._core.keys, keys, role)

    async def _write(self, make: Callable[[], tuple[ObjectName, bytes]], against: Collection[bytes] = ()) -> Written:
        if self._core.membership.feature < GROUPS:
            await self._send(*self._author().level())
        self.check_known(against)
        return await self._send(*make(), against)

    async def _send(self, name: ObjectName, data: bytes, against: Collection[bytes] = ()) -> Written:
        core = self._core
        self.check_known(against)
        self.check_floor()
        kept = await send_record(core, name, data)
        if len(kept) < core.head_floor:
            raise BelowFloor(
                f"{len(kept)} of {len(core.pool.names)} stores took the record, the floor is {core.head_floor}",
                hint="it is signed and kept here, and goes to the others as they come back",
            )
        return Written(name, len(kept), len(core.pool.names), len(data))

    def _keep_an_admin(self, leaving: bytes) -> None:
        admins = [one.id for one in self._core.membership.state.admins()]
        if self._is_admin and admins == [leaving]:
            raise LastAdmin(
                "this is the only admin; nobody could add or remove anybody any more",
                hint="make somebody else an admin first: `ropewalk member role NAME admin`",
            )

    async def _cut(self, devices: Collection[bytes]) -> Cut:
        return await self._core.ledger.do(cut_of, frozenset(devices))
