"""Arrival: how a joiner comes into spaces by what an invite gave (docs/spec/invites.md 4).

Flow: Invited -> stores within reach -> records that say the same -> settings of the joiner
Never: rests on what the records do not say, or writes a space into the settings before they say it.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import PurePath

from msgspec.structs import replace

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.discover import FoundSpace, discover
from ropewalk.spaces.home import Home, Settings, SpaceSetting, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites import NEW_DEVICE, Grant, GrantedStore, Invited, JoinerKeys, NotAsOffered, OfferedSpace
from ropewalk.spaces.members import Kept, Membership, Names, Role, open_ring
from ropewalk.spaces.members.operations import Add, SetRole
from ropewalk.spaces.members.records import Genesis
from ropewalk.spaces.opening import open_pool
from ropewalk.spaces.places import OpenStore, opener, scheme_of

__all__ = ["Arrival", "Shared", "arrive"]

_OWN_NAME = re.compile(r"\w[\w.-]{0,63}")  # as the command line has them: they stand before colons and in TOML


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a joiner has now.

    Attributes:
        name: What the space is called here.
        space: Its id.
        role: What we may do.
        member_name: What we are called there; "" where that is not known.
        own: Whether we are one more device of a member, who was there before.
        stores: Names of its stores that are set up here.
        missing: Stores of the space that are not: id, domains and place, which may be unknown.
    """

    name: str
    space: bytes
    role: Role
    member_name: str
    own: bool
    stores: Sequence[str]
    missing: Sequence[GrantedStore]


@dataclass(frozen=True, slots=True)
class Shared:
    """A member that we are one more device of, though it was as a new one that we were invited.

    Attributes:
        space: What whoever invited calls the space.
        member: Its id.
        name: What it is called there.
        devices: Its others, which can do all that this one can: ids and names.
    """

    space: str
    member: bytes
    name: str
    devices: Sequence[tuple[bytes, str]]

    def __str__(self) -> str:
        """What it comes to, for people."""
        others = ", ".join(name for _, name in self.devices)
        return f"makes this machine one more device of {self.name}, which has these: {others}"


async def arrive(
    home: Home,
    device: DeviceKeys,
    me: JoinerKeys,
    invited: Invited,
    extra: Sequence[str] = (),
    name: str | None = None,
    clock: Callable[[], float] = time.monotonic,
    left: Callable[[str, RopewalkError], None] | None = None,
    here: Collection[bytes] = (),
    open_store: OpenStore | None = None,
    confirm: Callable[[Shared], bool] | None = None,
) -> list[Arrival]:
    """Set up what an invite gave, once the records in the stores say the same.

    May be called again, wherever it stopped.

    Args:
        home: Of the joiner.
        device: Its keys.
        me: The keys that we have named, and what we signed.
        invited: The end of the ceremony.
        extra: Names of stores of our own to look into, too.
        name: What to call the space, where there is one and the name is free.
        clock: Seconds, monotonic.
        left: Told of each space that we did not come into, and why, where we came into any.
        here: The ids of spaces to leave alone, since they are set up here.
        open_store: How to reach a store; what is installed knows, by default.
        confirm: Asks the user whether a member that has other devices is his; None where he cannot be asked.

    Raises:
        NotAsOffered: The records do not admit us as the invite said.
        Misuse: No store is within reach.
    """
    found: list[Arrival] = []
    problems: list[tuple[str, RopewalkError]] = []
    joining = _Joining(home, device, me, invited, extra, clock, open_store or opener(home, device), confirm)
    for at, (grant, offered) in enumerate(zip(invited.grants.spaces, invited.offer.spaces, strict=True)):
        if grant.space in here:
            continue
        try:
            found.append(await joining.come(grant, offered, me.member_in(invited.offer, at), name or grant.name))
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
    me: JoinerKeys
    invited: Invited
    extra: Sequence[str]
    clock: Callable[[], float]
    open_store: OpenStore
    confirm: Callable[[Shared], bool] | None

    async def come(self, grant: Grant, offered: OfferedSpace, member: bytes, name: str) -> Arrival:
        """Into one space; where that fails, no store is left in the settings for it."""
        before = {setting.id for setting in self.home.load().stores.values()}
        wanted = [self.invited.grants.stores[at] for at in grant.stores]
        try:
            names, missing = await _stores(self.home, wanted, self.open_store)
            space = await self._look(grant, [*names, *self.extra])
            role, own = self._check(space, grant, offered, member)
            stores = list(
                dict.fromkeys([*names, *space.stores])
            )  # one that hides the records is one of it all the same
            here = _set_up(self.home, name, grant.space, stores)
        except BaseException:
            _forget_stores(self.home, {one.identity.hex() for one in wanted} - before)
            raise
        return Arrival(here, grant.space, role, grant.member_name, own, stores, missing)

    async def _look(self, grant: Grant, stores: Sequence[str]) -> FoundSpace:
        if not stores:
            raise Misuse(
                f"none of the {len(grant.stores)} stores of {grant.name} is within reach of this machine",
                hint="nothing is lost: set up those that you can reach with `ropewalk store add NAME FOLDER`, wherever"
                " they are mounted here",
            )
        pool = await open_pool(
            self.home, list(dict.fromkeys(stores)), self.clock, self.open_store, self.device.public()
        )
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
            hint="nothing is lost: bring more of its stores back, or wait until they have what they are copied from",
        )

    def _check(self, space: FoundSpace, grant: Grant, offered: OfferedSpace, due: bytes) -> tuple[Role, bool]:
        """What the spec asks of a joiner before it writes; our role now, and whether we are one of several devices."""
        mine, inviter = self.device.public().id, self.invited.offer.inviter.id
        membership = space.membership
        epoch = membership.epochs.known.get(grant.epoch)
        secrets = grant.member_secrets()
        given = grant.secrets if secrets is None else secrets
        if epoch is None or not epoch.fits(given):
            raise NotAsOffered("the secrets that were given are none of this space's", hint="ask for a new invite")
        if self.invited.offer.kind == NEW_DEVICE and grant.member not in (None, due):
            raise NotAsOffered(
                f"the invite makes this machine one more device of a member of {grant.name}, and what was given is for"
                " another member",
                hint="ask for a new invite",
            )
        promised = grant.member or due
        member, role = membership.state.devices.get(mine), membership.state.role_of(mine)
        changed = any(
            one.grounded and isinstance(one.content, SetRole) and one.content.member == promised
            for one in membership.records
        )
        if member != promised or role is None or not (role == offered.role or changed):
            raise NotAsOffered(
                "the records admit this device as somebody else than was offered, or it was put out since",
                hint="ask for a new invite",
            )
        if not any(
            one.grounded and (grant.member or one.author == inviter) and mine in _introduced(one.content)
            for one in membership.records
        ):
            raise NotAsOffered("no record by the device that invited admits this one", hint="ask for a new invite")
        own = self.invited.offer.kind == NEW_DEVICE or self._is_shared(membership, grant, promised)
        return role, own

    def _is_shared(self, membership: Membership, grant: Grant, member: bytes) -> bool:
        """Whether the member that we are to be had other devices before us, which are said to be ours.

        Raises:
            NotAsOffered: Nobody says so, or keys came with the member that are none of ours.
        """
        mine = self.device.public().id
        first = frozenset().union(
            *(_introduced(one.content) for one in membership.records if one.grounded and _adds(one, member))
        )
        if grant.member and mine not in first:
            names = Names(membership, open_ring(membership.epochs, self.device).ring)
            others = [one for one in membership.state.members[member].devices if one != mine]
            shared = Shared(grant.name, member, names.member(member), [(one, names.device(one)) for one in others])
            if self.confirm is None or not self.confirm(shared):
                raise NotAsOffered(
                    f"the invite is for a new member of {grant.name}, and {shared}",
                    hint="whoever has one of those can act in your name; if they are yours, say so at a terminal, or"
                    " run `ropewalk device add` on one of them; if not, ask whoever invited what that is",
                )
            return True
        ours = {one.id for one in self.me.keys}
        if not (first <= ours if grant.member else first == ours):
            raise NotAsOffered(
                "the records admit other keys than those that were named: somebody could act in our place, or our"
                " paper key could not",
                hint="ask whoever invited what that is",
            )
        return False


async def _stores(
    home: Home, wanted: Sequence[GrantedStore], open_store: OpenStore
) -> tuple[list[str], list[GrantedStore]]:
    """The names here of stores that can be reached, set up if they were not, and those that cannot."""
    names: list[str] = []
    missing: list[GrantedStore] = []
    known = {setting.id: name for name, setting in home.load().stores.items()}
    async with asyncio.TaskGroup() as group:  # one that does not answer takes its time, and not that of the others
        new = {one.identity for one in wanted if one.identity.hex() not in known}
        ways = [(one, group.create_task(_way(one, open_store)) if one.identity in new else None) for one in wanted]
    for one, way in ways:
        known = {setting.id: name for name, setting in home.load().stores.items()}
        if (name := known.get(one.identity.hex())) is not None:
            names.append(name)
            continue
        if way is None or not (path := way.result()):
            missing.append(one)
            continue
        name = _free(_fit(_called(path), "store"), set(known.values()))
        others = [other for other in one.paths if other != path and scheme_of(other) and scheme_of(path)]
        home.add_store(name, StoreSetting(path, one.identity.hex(), dict(one.domains), others))
        names.append(name)
    return names, missing


async def _way(one: GrantedStore, open_store: OpenStore) -> str:
    """The first way that leads to a store from here, or nothing."""
    for path in one.paths:
        try:
            if scheme_of(path) or PurePath(path).is_absolute():
                await (await open_store(path, one.identity)).aclose()
                return path
        except (RopewalkError, ValueError):
            continue
    return ""


def _called(place: str) -> str:
    """What a store is called where it is: its folder, or the name that stands last in its URL."""
    url, _, fragment = place.partition("#")
    return fragment.partition("/")[2] or PurePath(url.partition("?")[0]).name


def _adds(record: Kept, member: bytes) -> bool:
    """Whether a record is one by which a member came, and not only a device of it."""
    match record.content:
        case Genesis(member=first):
            return first == member
        case Add():
            return record.admitted == member
    return False


def _introduced(content: object) -> frozenset[bytes]:
    """The devices that a record lets in."""
    keys = content.devices if isinstance(content, Genesis) else getattr(content, "keys", [])
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
