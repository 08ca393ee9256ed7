"""`ropewalk node`: what the node of this machine offers, and to whom.

Flow: name, folder, quota -> a store made or recognised -> node.toml, which a node that runs takes up by itself
Never: deletes anything in a store, or gives room to somebody who was not named.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import replace

from ropewalk.cli.amounts import parse_end, parse_size, parse_span
from ropewalk.cli.init import paper_key
from ropewalk.cli.options import COMMON, KEYED, Common, Keyed
from ropewalk.cli.output import count, date, shown, size
from ropewalk.cli.reach import node_file, reached
from ropewalk.cli.session import device_keys
from ropewalk.cli.store import look_at
from ropewalk.cli.who import person_in
from ropewalk.errors import Missing, Misuse
from ropewalk.node import Act, GrantSetting, NodeSettings, OfferSetting
from ropewalk.node.settings import KEEP, LEAST_KEEP, MOST_KEEP
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys, KeysDamaged
from ropewalk.spaces.store import DiskStore

__all__ = ["NoGrant", "NoOffer", "allow", "deny", "key", "offer", "withdraw"]

OWNER = "owner"  # the label of the grant that an offer begins with
SHORTEST_ID = 4  # hex digits that name a grant
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")  # as it may stand in an address
_DIGITS = re.compile(r"[0-9a-f]{64}")

Quota = Annotated[str | None, Parameter(metavar="SIZE", help="At most so much of it, as in 50G; all by default.")]


class NoOffer(Missing):
    """The node offers nothing of this name."""

    code = "node.no-such-offer"


class NoGrant(Missing):
    """No grant, or more than one, has an id that begins so."""

    code = "node.no-such-grant"


async def offer(
    name: Annotated[str, Parameter(help="What it is called, in its address too.")],
    folder: Annotated[
        str, Parameter(help="An empty folder, one that is yet to be made, or a store that is there already.")
    ],
    /,
    *,
    quota: Quota = None,
    keep: Annotated[
        str | None,
        Parameter(metavar="TIME", help="How long what is deleted stays in the trash; 7d by default, 1h at least."),
    ] = None,
    common: Keyed = KEYED,
) -> int:
    """Offer a store in a folder of this machine to people whom you name.

    You may do all there yourself; `ropewalk node allow` lets others. Given again with the same folder, it takes the new
    quota and time. `ropewalk up` runs the node.
    """
    home = Home.of_user()
    if not _NAME.fullmatch(name):
        raise Misuse(
            f"{name!r} cannot be the name of an offer", hint="1 to 64 small letters, digits, dots, dashes, underscores"
        )
    most = None if quota is None else parse_size(quota, "--quota")
    seconds = KEEP if keep is None else int(parse_span(keep, "--keep", LEAST_KEEP, MOST_KEEP))
    keys = _own_keys(home, device_keys(home, common))
    path, there = look_at(folder)
    store = await (DiskStore.open(path) if there else DiskStore.create(path))
    identity = store.identity.hex()
    await store.aclose()

    def change(settings: NodeSettings) -> NodeSettings:
        for other, one in settings.offers.items():
            if other == name and one.id != identity:
                raise Misuse(f"another store is offered as {name!r} already, in {one.path}", hint="choose another name")
            if other != name and one.id == identity:
                raise Misuse(f"this store is offered already, as {other!r}", hint=f"`ropewalk node withdraw {other}`")
        before = settings.offers.get(name)
        made = OfferSetting(
            path,
            identity,
            most if quota is not None or before is None else before.quota,
            seconds if keep is not None or before is None else before.keep,
        )
        grants = settings.grants
        if not any(one.offer == name and one.label == OWNER for one in grants):
            grants = (*grants, GrantSetting(_new_id(), name, keys, label=OWNER))
        return replace(settings, offers={**settings.offers, name: made}, grants=grants)

    now = node_file(home).update(change).offers[name]
    near = reached(home)
    addresses = [f"{one}/{name}" for one in near.addresses]
    common.voice.done(
        f"{path} is offered as {name}{f', {size(now.quota)} of it' if now.quota is not None else ''}",
        {
            "offer": name,
            "path": path,
            "id": identity,
            "quota": now.quota,
            "keep": now.keep,
            "addresses": addresses,
            "made": not there,
        },
    )
    if addresses:
        common.voice.note(f"others add it with `ropewalk store add NAME '{addresses[0]}'`, once they are allowed to")
    common.voice.note(
        "`ropewalk node allow WHO` lets somebody use it" + ("" if near.running else "; `ropewalk up` runs the node")
    )
    return 0


def withdraw(name: Annotated[str, Parameter(help="The offer.")], /, *, common: Common = COMMON) -> int:
    """Offer a store no more; the grants for it end.

    Nothing in its folder is changed.
    """
    path, ended = "", 0

    def change(settings: NodeSettings) -> NodeSettings:
        nonlocal path, ended
        path = _offer_of(settings, name).path
        grants = tuple(one for one in settings.grants if one.offer != name)
        ended = sum(one.label != OWNER for one in settings.grants if one.offer == name)
        return replace(
            settings, offers={one: what for one, what in settings.offers.items() if one != name}, grants=grants
        )

    node_file(Home.of_user()).update(change)
    common.voice.done(
        f"{name} is not offered any more, and {count(ended, 'grant')} ended; what is in {path} was left as it is",
        {"offer": name, "path": path, "ended": ended},
    )
    return 0


@dataclass(frozen=True, slots=True)
class _Whom:
    """Who is given something."""

    label: str
    keys: tuple[str, ...] = ()
    space: str | None = None


async def allow(
    who: Annotated[
        str,
        Parameter(
            help="Who: a key, as `ropewalk node key` prints it on that person's machine; the name of a member of one of"
            " your spaces, or SPACE:NAME, for all machines that it has there now; or the word space."
        ),
    ],
    named: Annotated[
        str | None, Parameter(name="SPACE", help="After the word space: a space of yours, or the 64 digits of an id.")
    ] = None,
    /,
    *,
    offer: Annotated[str | None, Parameter(metavar="NAME", help="Which offer, where there are several.")] = None,
    label: Annotated[
        str, Parameter(name="--as", metavar="NAME", help="What you call who it is for; a member's name by default.")
    ] = "",
    quota: Quota = None,
    space: Annotated[
        list[str] | None, Parameter(metavar="SPACE", help="Only for this space; may be given several times.")
    ] = None,
    may: Annotated[
        str, Parameter(metavar="LIST", help="What is allowed, out of get, put and delete; all by default.")
    ] = "get,put,delete",
    until: Annotated[
        str | None, Parameter(metavar="WHEN", help="Until the end of a day, as 2026-12-31, or for so long, as 30d.")
    ] = None,
    alone: Annotated[
        bool,
        Parameter(
            negative="",
            help="For these keys alone; otherwise the people of spaces in which who is allowed is an admin may, too,"
            " each what its role does.",
        ),
    ] = False,
    common: Keyed = KEYED,
) -> int:
    """Let somebody use a store that you offer, or everybody in a space.

    Allowed as a space, its people may do what their roles do. Whoever is put out of a space is put out there at once.
    """
    home = Home.of_user()
    file = node_file(home)
    chosen = _chosen(file.load(), offer)
    acts = _acts(may)
    most = None if quota is None else parse_size(quota, "--quota")
    end = None if until is None else parse_end(until, "--until", time.time())
    spaces = None if space is None else tuple(dict.fromkeys(_space_id(home, one) for one in space))
    whom = await _whom(home, who, named, common)
    called = shown(label) or whom.label
    if whom.space is not None and (alone or spaces is not None):
        raise Misuse("--alone and --space are for keys and people, not for a space", hint="leave them out")
    grant = GrantSetting(_new_id(), chosen, whom.keys, whom.space, acts, spaces, alone, most, end, called)
    others = 0

    def change(settings: NodeSettings) -> NodeSettings:
        nonlocal others
        _offer_of(settings, chosen)
        others = sum(
            one.offer == chosen and (bool(set(one.keys) & set(grant.keys)) or (one.space == grant.space is not None))
            for one in settings.grants
        )
        return replace(settings, grants=(*settings.grants, grant))

    file.update(change)
    room = f"{size(most)} of " if most is not None else ""
    ends = f", until {date(end * 10**9)}" if end is not None else ""
    near = reached(home)
    addresses = [f"{one}/{chosen}" for one in near.addresses]
    common.voice.done(
        f"{called} may use {room}{chosen}{ends}; the grant is {grant.id}",
        {
            "id": grant.id,
            "offer": chosen,
            "label": called,
            "keys": list(whom.keys),
            "space": whom.space,
            "may": [act.value for act in acts],
            "spaces": None if spaces is None else list(spaces),
            "alone": alone,
            "quota": most,
            "until": end,
            "addresses": addresses,
        },
    )
    if others:
        common.voice.note(
            f"besides {count(others, 'grant')} from before: `ropewalk node show`, `ropewalk node deny ID`"
        )
    if addresses:
        common.voice.note(f"to be told to whom it is for: ropewalk store add NAME '{addresses[0]}'")
    return 0


def deny(
    which: Annotated[str, Parameter(name="ID", help="The grant, by the first digits that `ropewalk node show` shows.")],
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Take a grant back.

    What was put under it stays, and counts for nobody.
    """
    gone: list[GrantSetting] = []

    def change(settings: NodeSettings) -> NodeSettings:
        gone[:] = [one for one in settings.grants if len(which) >= SHORTEST_ID and one.id.startswith(which.lower())]
        if len(gone) != 1:
            raise NoGrant(
                f"{len(gone) or 'no'} grant{'s' if len(gone) > 1 else ''} with an id that begins with {which!r}",
                hint="`ropewalk node show` lists them",
            )
        return replace(settings, grants=tuple(one for one in settings.grants if one.id != gone[0].id))

    node_file(Home.of_user()).update(change)
    one = gone[0]
    common.voice.done(
        f"the grant for {one.label or one.id} at {one.offer} is taken back", {"id": one.id, "offer": one.offer}
    )
    return 0


def key(*, common: Keyed = KEYED) -> int:
    """Print the key by which nodes know this machine, for the owner of one."""
    mine = _of_device(device_keys(Home.of_user(), common))
    common.voice.answer([mine], {"key": mine})
    common.voice.note("it is no secret: `ropewalk node allow KEY` on the owner's machine lets this one in")
    return 0


# -- whom and what -----------------------------------------------------------------------------------------------------


def _of_device(device: DeviceKeys) -> str:
    return device.public().ed25519.hex()


def _own_keys(home: Home, device: DeviceKeys) -> tuple[str, ...]:
    """This machine's, and those of the paper key, which restores what it holds."""
    keys = [_of_device(device)]
    with suppress(KeysDamaged):  # it was restored from words, which are the device's own then
        keys.append(paper_key(home).ed25519.hex())
    return tuple(dict.fromkeys(keys))


async def _whom(home: Home, who: str, named: str | None, common: Keyed) -> _Whom:
    if who == "space" and named is not None:
        space = _space_id(home, named)
        return _Whom(f"space {named if named in home.load().spaces else space[:8]}", space=space)
    if named is not None:
        raise Misuse(f"got {named!r} besides {who!r}, expected it after the word space", hint="as in `space photos`")
    if _DIGITS.fullmatch(who):
        return _Whom(f"key {who[:8]}", (who,))
    where, colon, person = who.rpartition(":")
    async with person_in(where if colon else None, person, common) as (space_open, found):
        devices = space_open.core.membership.devices
        keys = tuple(dict.fromkeys(devices[one.id].ed25519.hex() for one in found.machines if not one.frozen))
        if not keys:
            raise Missing(f"{found.called} has no machine in {space_open.name} that counts")
        return _Whom(found.called, keys)


def _space_id(home: Home, text: str) -> str:
    return text if _DIGITS.fullmatch(text) else home.space(text).id


def _acts(text: str) -> tuple[Act, ...]:
    words = [word.strip() for word in text.split(",")]
    if not words or any(word not in set(Act) for word in words):
        raise Misuse(f"--may is {text!r}, expected some of get, put, delete", hint="as in --may get,put")
    return tuple(act for act in Act if act in words)


def _chosen(settings: NodeSettings, name: str | None) -> str:
    if name is not None:
        _offer_of(settings, name)
        return name
    if len(settings.offers) == 1:
        return next(iter(settings.offers))
    if not settings.offers:
        raise NoOffer("this node offers nothing yet", hint="`ropewalk node offer NAME FOLDER`")
    raise Misuse(f"there are several offers: {', '.join(sorted(settings.offers))}", hint="say which: --offer NAME")


def _offer_of(settings: NodeSettings, name: str) -> OfferSetting:
    if name not in settings.offers:
        known: Sequence[str] = sorted(settings.offers)
        raise NoOffer(
            f"nothing is offered as {name!r}, known are: {', '.join(known) or 'none'}",
            hint="`ropewalk node show` lists what is",
        )
    return settings.offers[name]


def _new_id() -> str:
    return secrets.token_hex(8)
