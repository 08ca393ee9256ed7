"""Admission: what an inviter offers and gives in open spaces, and how a joiner takes it (docs/spec/invites.md 4).

Flow: spaces, role -> Offer; JoinerKeys -> records on the floor of stores -> Grants; Invited -> settings of the joiner
Never: gives a secret before the record that admits is durable, or lets a joiner rest on what records do not say.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import PurePath

import msgspec
from msgspec.structs import replace

from ropewalk.errors import Misuse, Refused, RopewalkError
from ropewalk.spaces.discover import FoundSpace, discover
from ropewalk.spaces.group import BelowFloor
from ropewalk.spaces.home import Home, Settings, SpaceSetting, StoreSetting
from ropewalk.spaces.identity import DeviceKeys, PublicKeys
from ropewalk.spaces.invites import (
    NEW_DEVICE,
    NEW_MEMBER,
    Grant,
    GrantedStore,
    Grants,
    Invited,
    JoinerKeys,
    NotAsOffered,
    Offer,
    OfferedSpace,
)
from ropewalk.spaces.learning import short_records
from ropewalk.spaces.members import Role, member_id
from ropewalk.spaces.opening import open_pool
from ropewalk.spaces.records import encode
from ropewalk.spaces.space import Space

__all__ = ["Admission", "Arrival", "arrive"]

_note = msgspec.msgpack.Decoder(tuple[str, bool, list[tuple[bytes, bytes]]])
_OWN_NAME = re.compile(r"\w[\w.-]{0,63}")  # as the command line has them: they stand before colons and in TOML


class Admission:
    """What is offered, and how somebody is let in; an `invites.Admit`.

    Args:
        home: Where the stores of the spaces are set up.
        spaces: Open ones; one for a new member, any number for one more device of our own.
        expires: Nanoseconds since 1970.
        role: Of a new member; None for one more device.
        name: What the new member is to be called; "" for what it calls itself.
        nonces: By space: 16 random bytes, by which the member's id is promised.
        places: Whether the joiner is told where the stores are.
    """

    def __init__(
        self,
        home: Home,
        spaces: Sequence[Space],
        expires: int,
        *,
        role: Role | None = None,
        name: str = "",
        nonces: Mapping[bytes, bytes] | None = None,
        places: bool = True,
    ) -> None:
        self._home, self.role, self._name, self._places = home, role, name, places
        self._nonces = dict(nonces or {})
        self._spaces = sorted(spaces, key=lambda space: space.core.space_id)
        offered = [OfferedSpace(space.core.space_id, *self._offered(space)) for space in self._spaces]
        inviter = self._spaces[0].core.device.public()
        self.offer = Offer(inviter, NEW_DEVICE if role is None else NEW_MEMBER, offered, expires)

    @property
    def note(self) -> bytes:
        """What it takes to make the same admission again, besides the offer; for `OpenInvite.note`."""
        return encode([self._name, self._places, sorted(self._nonces.items())])

    @classmethod
    def again(cls, home: Home, spaces: Sequence[Space], offer: Offer, note: bytes) -> Admission:
        """The admission that an invite was kept of.

        Raises:
            Misuse: These are not the spaces of the offer.
        """
        name, places, nonces = _note.decode(note)
        wanted = {one.space for one in offer.spaces}
        known = [space for space in spaces if space.core.space_id in wanted]
        if len(known) < len(wanted):
            raise Misuse("this invite was made for another space", hint="name the one that it was made for")
        role = None if offer.kind == NEW_DEVICE else Role(offer.spaces[0].role)
        made = cls(home, known, offer.expires, role=role, name=name, nonces=dict(nonces), places=places)
        if made.offer != offer:
            raise Misuse("what this invite offers does not hold any more", hint="make a new one")
        return made

    def _offered(self, space: Space) -> tuple[bytes, int]:
        core = space.core
        device = core.device.public().id
        mine = core.membership.state.devices.get(device)
        ours = core.membership.state.role_of(device)
        if mine is None or ours is None:
            raise Refused(f"this device does not belong to {space.name} any more", hint="ask an admin for an invite")
        if self.role is None:
            return mine, ours
        if ours is not Role.ADMIN:
            raise Refused(
                f"only an admin of {space.name} may invite, and you are a {ours.name.lower()}", hint="ask an admin to"
            )
        return member_id(core.space_id, device, self._nonces[core.space_id]), self.role

    async def admit(self, joiner: JoinerKeys) -> bytes:
        """Let these keys in, everywhere; the encoded `Grants`.

        Raises:
            RopewalkError: It is not known to be done everywhere.
        """
        stores: dict[str, GrantedStore] = {}
        grants: list[Grant] = []
        for space, offered in zip(self._spaces, self.offer.spaces, strict=True):
            name = self._name or joiner.name or joiner.device_name
            async with space.group() as group:
                if joiner.device.id in space.core.membership.state.devices:
                    self._check_same(space, joiner, offered)  # as after a crash: `tend` wraps for it again
                elif self.role is None:
                    await group.add_device(joiner.device_name, joiner.device)
                else:
                    keys = [joiner.device, *([joiner.paper] if joiner.paper else [])]
                    await group.add(self.role, name, keys, self._nonces[offered.space])
            if short := await short_records(space.core):  # of the epoch that is given, perhaps
                raise BelowFloor(
                    f"{len(short)} membership records of {space.name} are in too few stores",
                    hint="bring stores back, and let in again: nobody is let in twice by that",
                )
            setting = self._home.space(space.name)
            for store, one in zip(setting.stores, self._home.stores(setting.stores), strict=True):
                place = one.path if self._places else ""
                stores.setdefault(store, GrantedStore(bytes.fromhex(one.id), one.domains, place))
            keys_now = space.core.keys
            if offered.role == Role.STEWARD:
                secrets = keys_now.steward_secret(keys_now.current)
            else:
                three = keys_now.secrets(keys_now.current)
                secrets = three.epoch + three.steward + three.space
            indices = [list(stores).index(store) for store in setting.stores]
            grants.append(Grant(offered.space, keys_now.current, secrets, space.name, name, indices))
        return encode(Grants(grants, list(stores.values())))

    def _check_same(self, space: Space, joiner: JoinerKeys, offered: OfferedSpace) -> None:
        member = space.core.membership.state.devices[joiner.device.id]
        if member != offered.member:
            raise Misuse(f"this device is a member of {space.name} already", hint="nothing was changed")


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a joiner has now.

    Attributes:
        name: What the space is called here.
        space: Its id.
        role: What we may do.
        member_name: What we are called there.
        stores: Names of its stores that are set up here.
        missing: Stores of the space that are not: id, domains and place, which may be unknown.
    """

    name: str
    space: bytes
    role: Role
    member_name: str
    stores: Sequence[str]
    missing: Sequence[GrantedStore]


async def arrive(
    home: Home,
    device: DeviceKeys,
    invited: Invited,
    extra: Sequence[str] = (),
    name: str | None = None,
    clock: Callable[[], float] = time.monotonic,
    paper: PublicKeys | None = None,
    left: Callable[[str, RopewalkError], None] | None = None,
) -> list[Arrival]:
    """Set up what an invite gave, once the records in the stores say the same.

    Args:
        home: Of the joiner.
        device: Its keys.
        invited: The end of the ceremony.
        extra: Names of stores of our own to look into, too.
        name: What to call the space, where there is one and the name is free.
        clock: Seconds, monotonic.
        paper: The public half of the paper key that we have named, if we did.
        left: Told of each space that we did not come into, and why, where we came into any.

    Raises:
        NotAsOffered: The records do not admit us as the invite said.
        Misuse: No store is within reach.
    """
    found: list[Arrival] = []
    problems: list[tuple[str, RopewalkError]] = []
    joining = _Joining(home, device, invited, paper, extra, clock)
    for grant, offered in zip(invited.grants.spaces, invited.offer.spaces, strict=True):
        try:
            found.append(await joining.come(grant, offered, name or grant.name))
        except RopewalkError as error:
            problems.append((grant.name, error))
    if problems and (not found or left is None):
        raise problems[0][1]
    for space, why in problems:
        if left is not None:
            left(space, why)
    return found


@dataclass(frozen=True, slots=True)
class _Joining:
    """Who joins, and by which invite."""

    home: Home
    device: DeviceKeys
    invited: Invited
    paper: PublicKeys | None
    extra: Sequence[str]
    clock: Callable[[], float]

    async def come(self, grant: Grant, offered: OfferedSpace, name: str) -> Arrival:
        """Into one space; where that fails, no store is left in the settings for it."""
        before = {setting.id for setting in self.home.load().stores.values()}
        wanted = [self.invited.grants.stores[at] for at in grant.stores]
        try:
            names, missing = await _stores(self.home, wanted)
            space = await self._look(grant, [*names, *self.extra])
            self._check(space, grant, offered)
            stores = list(
                dict.fromkeys([*names, *space.stores])
            )  # one that hides the records is one of it all the same
            here = _set_up(self.home, name, grant.space, stores)
        except BaseException:
            _forget_stores(self.home, {one.identity.hex() for one in wanted} - before)
            raise
        return Arrival(here, grant.space, Role(offered.role), grant.member_name, stores, missing)

    async def _look(self, grant: Grant, stores: Sequence[str]) -> FoundSpace:
        if not stores:
            raise Misuse(
                f"none of the {len(grant.stores)} stores of {grant.name} is within reach of this machine",
                hint="set up those you can reach with `ropewalk store add`, and say --stores A,B,...",
            )
        pool = await open_pool(self.home, list(dict.fromkeys(stores)), self.clock)
        try:
            found = await discover(pool, self.device)
        finally:
            await pool.aclose()
        for space in found.spaces:
            if space.id == grant.space:
                return space
        problems = f" ({'; '.join(found.problems)})" if found.problems else ""
        raise NotAsOffered(
            f"{', '.join(stores)} do not show this device as a member of the space yet{problems}",
            hint="if its stores are copied from somewhere, wait for that, and run `ropewalk space attach`",
        )

    def _check(self, space: FoundSpace, grant: Grant, offered: OfferedSpace) -> None:
        """What the spec asks of a joiner before it writes."""
        mine, inviter = self.device.public().id, self.invited.offer.inviter.id
        membership = space.membership
        epoch = membership.epochs.known.get(grant.epoch)
        secrets = grant.member_secrets()
        given = grant.secrets if secrets is None else secrets
        if epoch is None or not epoch.fits(given):
            raise NotAsOffered("the secrets that were given are none of this space's", hint="make a new invite")
        member = membership.state.devices.get(mine)
        if member != offered.member or membership.state.role_of(mine) != offered.role:
            raise NotAsOffered(
                "the records admit this device as somebody else than was offered", hint="make a new invite"
            )
        admitted = [
            _introduced(record.content)
            for record in membership.records
            if record.grounded and record.author == inviter and mine in _introduced(record.content)
        ]
        if not admitted:
            raise NotAsOffered("no record by the device that invited admits this one", hint="make a new invite")
        ours = {mine, self.paper.id} if self.paper is not None else {mine}
        if self.invited.offer.kind == NEW_MEMBER and ours not in admitted:
            raise NotAsOffered(
                "the records admit other keys than those that were named: somebody could act in our place, or our"
                " paper key could not",
                hint="ask whoever invited what that is",
            )


async def _stores(home: Home, wanted: Sequence[GrantedStore]) -> tuple[list[str], list[GrantedStore]]:
    """The names here of stores that can be reached, set up if they were not, and those that cannot."""
    from ropewalk.spaces.store import DiskStore

    names: list[str] = []
    missing: list[GrantedStore] = []
    for one in wanted:
        known = {setting.id: name for name, setting in home.load().stores.items()}
        if (name := known.get(one.identity.hex())) is not None:
            names.append(name)
            continue
        try:
            if not PurePath(one.path).is_absolute():
                missing.append(one)
                continue
            store = await DiskStore.open(one.path, one.identity)
            await store.aclose()
        except (RopewalkError, ValueError):
            missing.append(one)
            continue
        name = _free(_fit(PurePath(one.path).name, "store"), set(known.values()))
        home.add_store(name, StoreSetting(one.path, one.identity.hex(), dict(one.domains)))
        names.append(name)
    return names, missing


def _introduced(content: object) -> frozenset[bytes]:
    keys = getattr(content, "keys", [])
    return frozenset(one.id for one in (keys if isinstance(keys, list) else [keys]))


def _set_up(home: Home, wanted: str, space_id: bytes, stores: Sequence[str]) -> str:
    """Put a space into the settings, or stores to those that it has there; its name here."""
    name = ""

    def change(settings: Settings) -> Settings:
        nonlocal name
        name = _free_name(settings, wanted, space_id)
        known = settings.spaces[name].stores if name in settings.spaces else []
        setting = SpaceSetting(space_id.hex(), list(dict.fromkeys([*known, *stores])))
        return replace(settings, spaces={**settings.spaces, name: setting})

    home.update(change)
    return name


def _forget_stores(home: Home, ids: AbstractSet[str]) -> None:
    """Take stores out of the settings again that were set up for nothing."""

    def change(settings: Settings) -> Settings:
        used = {name for space in settings.spaces.values() for name in space.stores}
        kept = {name: one for name, one in settings.stores.items() if name in used or one.id not in ids}
        return replace(settings, stores=kept)

    home.update(change)


def _free_name(settings: Settings, wanted: str, space_id: bytes) -> str:
    for name, setting in settings.spaces.items():
        if setting.id == space_id.hex():
            return name
    return _free(_fit(wanted, "space"), set(settings.spaces))


def _fit(told: str, otherwise: str) -> str:
    """What somebody else calls a thing, where it can be a name here."""
    return told if _OWN_NAME.fullmatch(told) else otherwise


def _free(wanted: str, taken: set[str]) -> str:
    if wanted not in taken:
        return wanted
    number = 2
    while f"{wanted}-{number}" in taken:
        number += 1
    return f"{wanted}-{number}"
