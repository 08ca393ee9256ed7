"""`ropewalk node allow`, `node deny`: to whom the node of this machine gives room.

Flow: a key, the name of somebody, a space -> a grant in node.toml, which a node that runs takes up by itself
Never: gives room to somebody who was not named, or more by being asked twice for the same.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import replace

from ropewalk.cli.amounts import parse_end, parse_size
from ropewalk.cli.node import OWNER, NoOffer, Quota, new_id, offer_of
from ropewalk.cli.options import COMMON, KEYED, Common, Keyed
from ropewalk.cli.output import count, date, shown, size
from ropewalk.cli.reach import node_file, reached
from ropewalk.cli.who import person_in
from ropewalk.errors import Missing, Misuse
from ropewalk.node import Act, GrantSetting, NodeSettings
from ropewalk.spaces.home import Home

__all__ = ["SHORTEST_ID", "NoGrant", "allow", "deny"]

SHORTEST_ID = 4  # hex digits that name a grant
_DIGITS = re.compile(r"[0-9a-f]{64}")
_NEARLY = re.compile(r"[0-9a-f]{32,}")  # what was meant as a key: nobody is called so
_WHO = (
    "a key has 64 digits, and `ropewalk node key` prints it on the machine that is to be let in; people go by their"
    " names where they are members of a space of yours"
)


class NoGrant(Missing):
    """No grant, or more than one, has an id that begins so."""

    code = "node.no-such-grant"


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
    Given again for the same, it takes the new quota and end; what is not said stays.
    """
    home = Home.of_user()
    file = node_file(home)
    chosen = _chosen(file.load(), offer)
    acts = _acts(may)
    most = None if quota is None else parse_size(quota, "--quota")
    now = time.time()
    end = None if until is None else parse_end(until, "--until", now)
    spaces = None if space is None else tuple(dict.fromkeys(_space_id(home, one) for one in space))
    whom = await _whom(home, who, named, common)
    if whom.space is not None and (alone or spaces is not None):
        raise Misuse("--alone and --space are for keys and people, not for a space", hint="leave them out")
    asked = GrantSetting(
        new_id(), chosen, whom.keys, whom.space, acts, spaces, alone, most, end, shown(label) or whom.label
    )
    grant, before, others = asked, None, 0

    def change(settings: NodeSettings) -> NodeSettings:
        nonlocal grant, before, others
        offer_of(settings, chosen)
        before = next((one for one in reversed(settings.grants) if _is_for_the_same(one, asked)), None)
        grant = asked if before is None else _renewed(before, asked, label, now)
        rest = [one for one in settings.grants if one is not before]
        others = sum(
            one.offer == chosen and (bool(set(one.keys) & set(grant.keys)) or (one.space == grant.space is not None))
            for one in rest
        )
        if before is None:
            return replace(settings, grants=(*rest, grant))
        return replace(settings, grants=tuple(grant if one is before else one for one in settings.grants))

    file.update(change)
    near = reached(home)
    addresses = [f"{one}/{chosen}" for one in near.addresses]
    was = ""
    if before is not None:
        was = " as before" if _limits(before) == _limits(grant) else f" now; before it was {_limits(before)}"
    common.voice.done(
        f"{grant.label} may use {_limits(grant)}{was}; the grant is {grant.id}",
        {
            "id": grant.id,
            "offer": chosen,
            "label": grant.label,
            "keys": list(grant.keys),
            "space": grant.space,
            "may": [act.value for act in acts],
            "spaces": None if spaces is None else list(spaces),
            "alone": alone,
            "quota": grant.quota,
            "until": grant.until,
            "before": None if before is None else {"quota": before.quota, "until": before.until},
            "addresses": addresses,
        },
    )
    if others:
        common.voice.note(
            f"what {count(others, 'other grant')} from before allow{'s' if others == 1 else ''} comes on top of it:"
            " `ropewalk node show` lists them, `ropewalk node deny ID` takes one back"
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


def _is_for_the_same(one: GrantSetting, asked: GrantSetting) -> bool:
    """Whether a grant from before says the same as what is asked for, but for how much and how long."""
    same = (one.offer, one.space, one.alone) == (asked.offer, asked.space, asked.alone)
    limits = set(one.may) == set(asked.may) and _set(one.spaces) == _set(asked.spaces)
    return same and limits and set(one.keys) <= set(asked.keys) and one.label != OWNER


def _set(spaces: Sequence[str] | None) -> frozenset[str] | None:
    return None if spaces is None else frozenset(spaces)


def _renewed(before: GrantSetting, asked: GrantSetting, label: str, now: float) -> GrantSetting:
    """The same grant, so that what lies there at its cost still does, with what is new."""
    ended = before.until is not None and before.until <= now
    return replace(
        asked,
        id=before.id,
        quota=before.quota if asked.quota is None else asked.quota,
        until=before.until if asked.until is None and not ended else asked.until,
        label=asked.label if label else before.label,
    )


def _limits(grant: GrantSetting) -> str:
    """How much and how long, for people."""
    room = f"{size(grant.quota)} of " if grant.quota is not None else ""
    return f"{room}{grant.offer}{f' until {date(grant.until * 10**9)}' if grant.until is not None else ''}"


async def _whom(home: Home, who: str, named: str | None, common: Keyed) -> _Whom:
    if who == "space" and named is not None:
        space = _space_id(home, named)
        return _Whom(f"space {named if named in home.load().spaces else space[:8]}", space=space)
    if named is not None:
        raise Misuse(f"got {named!r} besides {who!r}, expected it after the word space", hint="as in `space photos`")
    key = who.removeprefix("ed25519:").lower()
    if _DIGITS.fullmatch(key):
        return _Whom(f"key {key[:8]}", (key,))
    if _NEARLY.fullmatch(key):
        raise Misuse(f"key {who!r:.100} has {len(key)} digits, expected 64", hint=_WHO)
    where, colon, person = who.rpartition(":")
    if not colon and not home.load().spaces:
        raise Misuse(f"{who!r} is no key, and this machine has no space in which somebody is called that", hint=_WHO)
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
        offer_of(settings, name)
        return name
    if len(settings.offers) == 1:
        return next(iter(settings.offers))
    if not settings.offers:
        raise NoOffer("this node offers nothing yet", hint="`ropewalk node offer NAME FOLDER`")
    raise Misuse(f"there are several offers: {', '.join(sorted(settings.offers))}", hint="say which: --offer NAME")
