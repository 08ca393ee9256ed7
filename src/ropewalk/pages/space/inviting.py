"""Inviting: the pages by which somebody, or one more machine of one's own, is let into a space.

Flow: form -> Invitation, which waits -> its page: code or picture, for who made it alone; how it ended -> withdraw
Never: shows a code to another browser, or once it was used.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.pages.answers import page
from ropewalk.pages.asking import asker_of
from ropewalk.pages.auditing import audited
from ropewalk.pages.browsing import Browsing
from ropewalk.pages.changing import field_of
from ropewalk.pages.multipart import BadForm
from ropewalk.pages.names import moment, shown, stamp
from ropewalk.pages.opened import Spaces
from ropewalk.pages.places import Place, place_of
from ropewalk.pages.sending import attachment
from ropewalk.pages.space.invitations import Invitation, Invitations
from ropewalk.spaces.admission import name_of
from ropewalk.spaces.invites import NEW_DEVICE, NoInvite, OpenInvite
from ropewalk.spaces.members import Role, check_person

__all__ = ["LIVES", "InvitePages", "OpenRow"]

LIVES = {"15 minutes": 900, "1 hour": 3600, "8 hours": 8 * 3600, "1 day": 86_400, "3 days": 3 * 86_400}  # seconds
USUAL = "1 hour"
_ID = 32  # hex digits


@dataclass(frozen=True, slots=True)
class OpenRow:
    """An open invite in a list.

    Attributes:
        id: In hex.
        whom: For people.
        how: By code or by file.
        until, stamp: When it is over, for people and for programs.
        here: Whether it waits in this process, and so has a page.
    """

    id: str
    whom: str
    how: str
    until: str
    stamp: str
    here: bool

    @classmethod
    def of(cls, one: OpenInvite, *, here: bool) -> OpenRow:
        """What is known of an invite; never its secret."""
        offer = one.read_offer()
        name = shown(name_of(one.note)) or "somebody"
        whom = "a machine of yours" if offer.kind == NEW_DEVICE else f"{name} as {_role(Role(offer.spaces[0].role))}"
        how = "by file" if one.by_file else f"by code {int.from_bytes(one.slot, 'big')}-\N{HORIZONTAL ELLIPSIS}"
        return cls(one.id.hex(), whom, how, moment(offer.expires), stamp(offer.expires), here)


class InvitePages:
    """Endpoints.

    Args:
        spaces: What can be shown.
        browsing: Gives what each page needs.
        invitations: Those that wait.
    """

    def __init__(self, spaces: Spaces, browsing: Browsing, invitations: Invitations) -> None:
        self._spaces, self._browsing, self._invitations = spaces, browsing, invitations

    def table(self) -> Mapping[str, Mapping[str, Callable[[Request], Awaitable[Response]]]]:
        """By WHAT of ``/spaces/NAME/WHAT``, by method."""
        return {
            "invite": {"GET": self.show, "POST": self.begin},
            "invite-file": {"GET": self.file},
            "invite-withdraw": {"POST": self.withdraw},
        }

    async def begin(self, request: Request) -> Response:
        """Make an invite: ``whom`` (member, device), ``role``, ``name``, ``life``, ``by`` (code, file)."""
        place = await place_of(request, self._spaces)
        whom, by, life = field_of(request, "whom"), field_of(request, "by"), field_of(request, "life")
        if life not in LIVES or by not in ("code", "file") or whom not in ("member", "device"):
            raise BadForm("the form asks for an invite of a kind that there is not", hint="load the page again")
        role, name, into = None, "", [place.name]
        if whom == "member":
            role, name = role_of(field_of(request, "role")), field_of(request, "name").strip()
            if name:
                check_person(name)
            if name and any(person.called == name for person in place.space.people()):
                raise Misuse(
                    f"a member of {place.name} is called {name!r} already",
                    hint="choose another name; to invite the same person again, leave the name out",
                )
        else:
            into = [place.name, *(one for one in await own_names(self._spaces) if one != place.name)]
        ends = time.time_ns() + LIVES[life] * 10**9
        one = Invitation(asker_of(request).session, into, role, name, by == "file", ends)
        words = "a machine of one's own" if role is None else f"{shown(name) or 'somebody'} as {_role(role)}"
        with audited(request, f"invite {words} into {', '.join(map(shown, into))}"):
            await self._invitations.begin(one)
        return RedirectResponse(place.href("invite", (one.id.hex().encode(),)), 303)

    async def show(self, request: Request) -> Response:
        """One of them, as it stands."""
        place = await place_of(request, self._spaces)
        one = self._found(place)
        mine = one.session is asker_of(request).session and not one.used
        told = one.told if mine else None
        values: dict[str, Any] = {
            "place": Place(place.name, place.space, ()), "one": one, "id": one.id.hex(), "told": told,
            "text": told.file.text() if told is not None and told.file is not None else "",
            "role": _role(one.role) if one.role is not None else "", "spaces": [shown(name) for name in one.spaces],
            "until": moment(one.ends), "stamp": stamp(one.ends),
        }  # fmt: skip
        return page("space/invite.html", {**values, **self._browsing.frame(request, place.space)})

    async def file(self, request: Request) -> Response:
        """The invite as a file, for who made it."""
        place = await place_of(request, self._spaces)
        one = self._found(place)
        if one.session is not asker_of(request).session or one.used or one.told is None or one.told.file is None:
            raise NoInvite("there is no such invite file for this browser", hint="make a new invite")
        headers = {"content-disposition": attachment(f"{place.name}.invite")}
        return Response(one.told.file.encode(), 200, headers, "application/octet-stream")

    async def withdraw(self, request: Request) -> Response:
        """Make one void: ``id``."""
        place = await place_of(request, self._spaces)
        invite = _id(field_of(request, "id"))
        with audited(request, f"withdraw invite {invite.hex()[:8]} into {shown(place.name)}"):
            await self._invitations.withdraw(invite, place.space)
        text = "Withdrawn: nobody can join by that invite any more."
        notice = self._browsing.notices.add(asker_of(request).session, text)
        return RedirectResponse(place.href("members", (), done=notice.word), 303)

    def _found(self, place: Place) -> Invitation:
        """That of the address.

        Raises:
            NoInvite.
        """
        one = self._invitations.find(_id(place.parts[0].decode(errors="replace"))) if len(place.parts) == 1 else None
        if one is None or place.name not in one.spaces:
            raise NoInvite("no such invite was made from these pages lately", hint="the page of members lists the open")
        return one


async def open_names(spaces: Spaces) -> list[str]:
    """The spaces that are open now."""
    found = []
    for name in spaces.names():
        try:
            await spaces.open(name)
        except RopewalkError:
            continue
        found.append(name)
    return found


async def own_names(spaces: Spaces) -> list[str]:
    """Those of them to which this device belongs: a machine that comes later belongs to no other."""
    found = []
    for name in await open_names(spaces):
        with suppress(RopewalkError):
            core = (await spaces.open(name)).core
            if core.membership.state.role_of(core.device.public().id) is not None:
                found.append(name)
    return found


def role_of(text: str) -> Role:
    """A role that a form names.

    Raises:
        BadForm.
    """
    try:
        return Role[text.upper()]
    except KeyError:
        raise BadForm(f"{text[:20]!r} is no role", hint="steward, reader, writer or admin") from None


def _role(role: Role) -> str:
    name = role.name.lower()
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _id(text: str) -> bytes:
    try:
        return bytes.fromhex(text) if len(text) == _ID else b""
    except ValueError:
        return b""
