"""`ropewalk invite --list`, `--withdraw`: the invites of this machine that are open.

Flow: Invites -> lines; the first digits of an id -> burnt
Never: shows a secret: what was said or handed over is not shown again.
"""

from __future__ import annotations

from typing import Any

from ropewalk.cli.mailboxes import invites_of
from ropewalk.cli.options import Keyed
from ropewalk.cli.output import date, iso
from ropewalk.cli.session import device_keys
from ropewalk.errors import RopewalkError
from ropewalk.spaces.admission import name_of
from ropewalk.spaces.home import Home
from ropewalk.spaces.invites import NEW_DEVICE, NoInvite, OpenInvite
from ropewalk.spaces.members import Role

__all__ = ["list_open", "withdraw_one"]

SHOWN_ID = 8  # hex digits


def list_open(space: str | None, common: Keyed) -> int:
    """List what is open, of one space or all."""
    home, voice = Home.of_user(), common.voice
    if space is not None:
        home.space(space)
    keys, invites = device_keys(home, common), invites_of(home)
    shown = 0
    for one in invites.open_ids():
        try:
            fields = _fields(home, invites.load(one, keys))
        except RopewalkError as error:  # it counts all the same, and can be withdrawn
            voice.warning(f"invite {one.hex()[:SHOWN_ID]}: {error}")
            continue
        if space is None or space in fields["spaces"]:
            shown += 1
            voice.line(_line(fields), {name: value for name, value in fields.items() if name != "ends"})
    if not shown:
        voice.note("no invite is open")
    return 0


def withdraw_one(digits: str, common: Keyed) -> int:
    """Make the one void whose id begins with these digits."""
    invites = invites_of(Home.of_user())
    known = invites.open_ids()
    found = [one for one in known if one.hex().startswith(digits.lower())] if digits else []
    if len(found) != 1:
        raise NoInvite(
            f"{len(found) or 'no'} open invite{'s' if len(found) > 1 else ''} with an id that begins with {digits!r}",
            hint="`ropewalk invite --list` shows those that are open",
        )
    invites.burn(found[0])
    common.voice.done(f"invite {found[0].hex()[:SHOWN_ID]} is void now", {"id": found[0].hex()})
    return 0


def _fields(home: Home, one: OpenInvite) -> dict[str, Any]:
    offer = one.read_offer()
    names = {bytes.fromhex(setting.id): name for name, setting in home.load().spaces.items()}
    return {
        "id": one.id.hex(),
        "by": "file" if one.by_file else "code",
        "number": None if one.by_file else int.from_bytes(one.slot, "big"),
        "spaces": [names.get(space.space, space.space.hex()[:12]) for space in offer.spaces],
        "device": offer.kind == NEW_DEVICE,
        "role": Role(offer.spaces[0].role).name.lower(),
        "name": name_of(one.note),
        "expires": iso(offer.expires),
        "ends": offer.expires,
    }


def _line(one: dict[str, Any]) -> str:
    by = "by file" if one["by"] == "file" else f"by code {one['number']}-..."
    whom = "a machine of yours" if one["device"] else f"{one['name'] or 'somebody'} as {one['role']}"
    return f"{one['id'][:SHOWN_ID]}  {by:<14}  {whom} into {', '.join(one['spaces'])}, until {date(one['ends'])}"
