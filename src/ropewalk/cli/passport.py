"""`ropewalk store passport`: what a store really does, and what follows from it.

Flow: name -> store opened, looked at, signed -> findings, terms -> words, JSON, exit status
Never: calls a store good by what it says of itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.output import count, iso, shown, size
from ropewalk.cli.session import device_keys
from ropewalk.errors import Damaged, Misuse, RopewalkError
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.passport import Passport, PassportDamaged, load, renew, terms
from ropewalk.spaces.places import opener
from ropewalk.spaces.store import LARGEST_OBJECT, Terms
from ropewalk.spaces.unlock import NoPassphrase, known_passphrase

__all__ = ["brief", "brief_fields", "known", "passport", "tell_quickly"]

_LATER = "`ropewalk store passport {}` tries it"
DAY = 24 * 3600 * 10**9  # nanoseconds


async def passport(
    name: Annotated[str, Parameter(help="The store.")],
    /,
    *,
    quick: Annotated[
        bool, Parameter(name="--quick", negative="", help="Put no object of more than 5 MiB, and few of them.")
    ] = False,
    leave: Annotated[
        bool, Parameter(name="--leave", negative="", help="Leave a few objects in it, for --after-restart.")
    ] = False,
    after_restart: Annotated[
        bool,
        Parameter(name="--after-restart", negative="", help="Look for what was left, after the store was restarted."),
    ] = False,
    common: Keyed = KEYED,
) -> int:
    """Find out what a store really does, and use it by that.

    Objects are put into it, read, listed, raced for and deleted, up to 64 MiB at a time; afterwards they are gone. What
    was found is signed and kept: a store that loses or tears what it acknowledged gets nothing more, and one that
    cannot do something is not asked for it. A look with --quick takes nothing back of what was found before. What is
    shown is what is kept.

    Exit status: 0 the store can be used; 6 nothing is put into it from now on.
    """
    if leave and after_restart:
        raise Misuse(
            "--leave and --after-restart are given, expected one of them", hint="first the one, then the other"
        )
    home = Home.of_user()
    home.store(name)  # a wrong name is told before a passphrase is asked
    keys = device_keys(home, common)
    found = await renew(
        home,
        name,
        keys,
        opener(home, keys),
        clock=time.monotonic,
        now=time.time_ns,
        quick=quick,
        leaving=leave,
        restarted=after_restart,
    )
    width = max(len(finding.probe) for finding in found.findings)
    lines = [f"{finding.verdict:<8} {finding.probe:<{width}}  {finding.words}" for finding in found.findings]
    common.voice.answer([*lines, "", *_follows(name, found)], _fields(name, found))
    if leave and found.left:
        common.voice.note(f"start the store again, then look with `ropewalk store passport {name} --after-restart`")
    if quick and not found.quick:
        common.voice.note(f"the quick look found nothing worse than the whole one of {iso(found.time)}, which is kept")
    elif quick and replace(terms(found), limits=()) != Terms():
        common.voice.note(f"a quick look takes nothing back: `ropewalk store passport {name}` does, if all is well")
    return Damaged.status if terms(found).refused else 0


async def tell_quickly(home: Home, name: str, common: Keyed) -> None:
    """Look at a store that was just added, and tell what people should know of it."""
    voice = common.voice
    if not home.has_keys:
        voice.note(f"what {name} does was not tried, since there are no keys to sign it with: {_LATER.format(name)}")
        return
    try:
        keys = device_keys(home, common)
    except NoPassphrase:
        voice.note(f"what {name} does was not tried, since no passphrase was given: {_LATER.format(name)}")
        return
    except RopewalkError as error:  # the store is added all the same
        voice.warning(f"what {name} does was not tried: {error}; {_LATER.format(name)}")
        return
    try:
        found = await renew(home, name, keys, opener(home, keys), clock=time.monotonic, now=time.time_ns, quick=True)
    except RopewalkError as error:
        voice.warning(f"what {name} does could not be found out: {error}; {_LATER.format(name)}")
        return
    if terms(found).refused:
        for line in _follows(name, found):
            voice.warning(line)
    else:
        voice.note(f"{name} was looked at: {brief(Known(found), time.time_ns())}")


def _follows(name: str, found: Passport) -> list[str]:
    """What follows from it, in words."""
    use = terms(found)
    if use.refused:
        return [f"nothing is put into {name}: {use.refused}", "what lies there is still read"]
    lines = []
    if use.largest < LARGEST_OBJECT:
        lines.append(f"no object of more than {size(use.largest)} is put into {name}")
    if not use.deletes:
        lines.append(f"{name} is not asked to delete: what nobody needs stays there")
    if not use.hints:
        lines.append(f"no hints are put into {name}: others hear of changes from the other stores")
    return lines or [f"{name} is used for everything"]


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of a store, for a listing.

    Attributes:
        passport: What was found, if anything was.
        damaged: Why nobody knows what was.
        checked: Whether it is known that this device has signed it.
    """

    passport: Passport | None = None
    damaged: str = ""
    checked: bool = True


def known(home: Home, setting: StoreSetting, common: Keyed) -> Known:
    """What this device has found of a store; where its keys cannot be opened without a question, any device."""
    identity = bytes.fromhex(setting.id)
    try:
        found = load(home, identity, None)
        if found is None:
            return Known()
        keys = _keys_unasked(home, common)
        return Known(found, checked=False) if keys is None else Known(load(home, identity, keys.public().ed25519))
    except PassportDamaged as error:
        return Known(damaged=str(error))


def _keys_unasked(home: Home, common: Keyed) -> DeviceKeys | None:
    try:
        if common.passphrase_file is None and known_passphrase(home) is None:
            return None
        return device_keys(home, common)
    except RopewalkError:  # a listing needs no keys
        return None


def brief(known: Known, now: int) -> str:
    """A passport in a few words, for a line of a listing."""
    found = known.passport
    if known.damaged:
        return f"passport damaged, nothing is put into it: {known.damaged}"
    if found is None:
        return "no passport"
    refused = ", nothing is put into it" if terms(found).refused else ""
    limited = [finding.probe for finding in found.findings if finding.verdict == "limited"]
    what = f" ({', '.join(limited[:3])}{', ...' if len(limited) > 3 else ''})" if limited and not refused else ""
    days = max(now - found.time, 0) // DAY
    age = f"{count(days, 'day')} old" if days else "made today"
    unchecked = "" if known.checked else ", not checked who signed it"
    return f"passport {found.verdict}{what}{refused}, {'quick, ' if found.quick else ''}{age}{unchecked}"


def brief_fields(known: Known) -> dict[str, object] | None:
    """The same for JSON."""
    found = known.passport
    if found is None and not known.damaged:
        return None
    return {
        "verdict": found.verdict if found else None,
        "time": iso(found.time) if found else None,
        "quick": bool(found.quick) if found else None,
        "refused": (f"its passport is damaged: {known.damaged}" if known.damaged else terms(found).refused) or None,
        "damaged": bool(known.damaged),
        "checked": known.checked,
    }


def _fields(name: str, found: Passport) -> dict[str, object]:
    """For JSON."""
    use = terms(found)
    return {
        "store": name,
        "id": found.store.hex(),
        "device_key": found.device.hex(),
        "kind": found.kind,
        "time": iso(found.time),
        "software": found.software,
        "quick": bool(found.quick),
        "verdict": found.verdict,
        "findings": [
            {"probe": one.probe, "value": one.value, "verdict": one.verdict, "words": shown(one.words)}
            for one in found.findings
        ],
        "terms": {
            "refused": use.refused or None,
            "largest": use.largest,
            "deletes": use.deletes,
            "hints": use.hints,
        },
    }
