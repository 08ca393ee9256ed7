"""People: who belongs to a space, with which devices, and what this device may change about that.

Flow: Space.people, records, heads -> PersonRow -> page; form -> Group -> what followed, as a notice
Never: changes anybody that the form does not name by its id, or says done what is not on the floor of stores.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ropewalk.counting import count
from ropewalk.errors import Misuse
from ropewalk.pages.answers import page
from ropewalk.pages.asking import asker_of
from ropewalk.pages.auditing import audited
from ropewalk.pages.browsing import Browsing
from ropewalk.pages.changing import field_of
from ropewalk.pages.names import shown
from ropewalk.pages.opened import Spaces
from ropewalk.pages.places import Place, place_of
from ropewalk.pages.space.invitations import Invitations
from ropewalk.pages.space.inviting import LIVES, USUAL, OpenRow, open_names, own_names, role_of
from ropewalk.pages.space.seats import PersonRow, gone, rows
from ropewalk.spaces.members import (
    Machine,
    Membership,
    Names,
    NoSuchPerson,
    Person,
    Role,
    seniors_of_member,
    undoes,
    who_stays,
)
from ropewalk.spaces.space import Space

__all__ = ["MAY", "PeoplePages"]

MOST_NAMED = 20  # of who stays
MAY = {
    Role.STEWARD: "sees that all is there, checks and mends it, and can read nothing",
    Role.READER: "reads everything",
    Role.WRITER: "reads and changes everything",
    Role.ADMIN: "reads and changes everything, and says who belongs",
}


@dataclass(frozen=True, slots=True)
class _Rights:
    """What this device may do here.

    Attributes:
        admin: Whether it may say who belongs.
        belongs: Whether it belongs to anybody.
        why: Why it may not invite, for people; "" where it may.
    """

    admin: bool
    belongs: bool
    why: str


class PeoplePages:
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
            "members": {"GET": self.members},
            "member-role": {"POST": self.role},
            "member-remove": {"POST": self.remove},
            "device-revoke": {"POST": self.revoke},
        }

    async def members(self, request: Request) -> Response:
        """All of them, those that were put out, the invites that are open."""
        found = await place_of(request, self._spaces)
        place, space = Place(found.name, found.space, ()), found.space
        people: Sequence[PersonRow] = await rows(space)
        open_ones = await self._invitations.open(space)
        others = await open_names(self._spaces)
        names = Names(space.core.membership, space.core.keys)
        values = {
            "place": place, "people": people, "gone": gone(space), "may": {one.name.lower(): MAY[one] for one in Role},
            "rights": _rights(space), "can_invite": self._invitations.inviting is not None,
            "open": [OpenRow.of(one, here=self._invitations.find(one.id) is not None) for one in open_ones],
            "lives": LIVES, "usual": USUAL, "closed": [shown(one) for one in self._spaces.names() if one not in others],
            "into": [shown(one) for one in await own_names(self._spaces)],
            "exposed": [shown(names.whose(one.device)) for one in space.core.membership.epochs.exposure],
        }  # fmt: skip
        return page("space/members.html", {**values, **self._browsing.frame(request, space)})

    async def role(self, request: Request) -> Response:
        """Give a member another role: ``who`` (its id), ``role``."""
        place = await place_of(request, self._spaces)
        space, new = place.space, role_of(field_of(request, "role"))
        who, word = field_of(request, "who"), new.name.lower()
        with audited(request, f"make somebody {word} of {shown(place.name)}") as said:
            person = _person(space, who)
            called = shown(person.called)
            said[:] = [f"make {called} {word} of {shown(place.name)}"]
            if person.role is new:
                raise Misuse(f"{called} is {word} of {shown(place.name)} already", hint="nothing was changed")
            async with space.group() as group:
                await group.set_role(person.id, new)
        text, warning = _followed(space)
        return self._told(request, place, f"{called} is {word} now: {MAY[new]}. {text}", warning=warning)

    async def remove(self, request: Request) -> Response:
        """Put a member out: ``who`` (its id)."""
        place = await place_of(request, self._spaces)
        space = place.space
        who = field_of(request, "who")
        with audited(request, f"put somebody out of {shown(place.name)}") as audit:
            person = _person(space, who)
            called = shown(person.called)
            audit[:] = [f"put {called} out of {shown(place.name)}"]
            if person.ours:
                hint = "if that is meant: `ropewalk member remove --yes`"
                raise Misuse("this is you: you would be put out", hint=hint)
            async with space.group() as group:
                before = space.core.membership
                await group.remove(person.id)
        text, warning = _followed(space)
        devices = [machine.id for machine in person.machines]
        more = _stays(space, called, devices)
        if devices and undoes(before.state, devices[0], space.core.device.public().id):
            more += _senior(before, space, person)
        said = f"{called} does not belong to {shown(place.name)} any more. {text}{more}"
        return self._told(request, place, said, warning=warning or bool(more))

    async def revoke(self, request: Request) -> Response:
        """Put a device of ours out: ``device`` (its id)."""
        place = await place_of(request, self._spaces)
        space, wanted = place.space, field_of(request, "device")
        with audited(request, f"put the device {shown(wanted[:8])} out of {shown(place.name)}") as audit:
            machine = _own(space, wanted)
            called = shown(machine.called)
            audit[:] = [f"put the device {called} out of {shown(place.name)}"]
            async with space.group() as group:
                before = space.core.membership
                await group.revoke(machine.id)
        text, warning = _followed(space)
        more = _stays(space, called, [machine.id])
        if undoes(before.state, machine.id, space.core.device.public().id):
            more += (
                f" {called} came before this machine: who has it can undo this. To rule that out, sign with the words"
                " of your paper key: `ropewalk device revoke NAME --with-words`."
            )
        others = [one for one in await open_names(self._spaces) if one != place.name]
        left = f" In your other spaces it is as before: {', '.join(map(shown, others))}." if others else ""
        said = f"{called} does not belong to {shown(place.name)} any more. {text}{more}{left}"
        return self._told(request, place, said, warning=warning or bool(more))

    def _told(self, request: Request, place: Place, text: str, *, warning: bool) -> Response:
        notice = self._browsing.notices.add(asker_of(request).session, text.strip(), warning=warning)
        return RedirectResponse(place.href("members", (), done=notice.word), 303)


def _rights(space: Space) -> _Rights:
    state = space.core.membership.state
    mine = state.role_of(space.core.device.public().id)
    if mine is None:
        return _Rights(admin=False, belongs=False, why="This device was put out of this space.")
    if space.core.membership.read_only:
        return _Rights(admin=False, belongs=True, why="An admin used a newer version of ropewalk: update this one.")
    if mine is Role.ADMIN:
        return _Rights(admin=True, belongs=True, why="")
    names = Names(space.core.membership, space.core.keys)
    admins = ", ".join(shown(names.member(one.id)) for one in state.admins()[:MOST_NAMED])
    return _Rights(admin=False, belongs=True, why=f"Only an admin changes who belongs: ask {admins or 'one'}.")


def _person(space: Space, who: str) -> Person:
    for person in space.people():
        if person.id.hex() == who:
            return person
    raise NoSuchPerson("this member does not belong to the space any more", hint="load the page of members again")


def _own(space: Space, wanted: str) -> Machine:
    for person in space.people():
        for machine in person.machines:
            if machine.id.hex() != wanted:
                continue
            if not person.ours:
                raise Misuse(
                    f"{shown(machine.called)} is a device of {shown(person.called)}",
                    hint="everybody puts their own devices out; an admin can put the whole member out",
                )
            if machine.ours:
                raise Misuse("this is the machine that you use now", hint="use another one of yours to put it out")
            if machine.paper:
                raise Misuse(
                    "the paper key is not put out alone: who then loses the machines has lost the space",
                    hint="`ropewalk recovery paper` puts a new one in its place",
                )
            return machine
    raise NoSuchPerson("this device does not belong to the space any more", hint="load the page of members again")


def _followed(space: Space) -> tuple[str, bool]:
    """What followed from a change, in words, and whether there is a catch."""
    tended, exposed = space.tended, space.core.membership.epochs.exposure
    said = []
    if tended.epoch is not None:
        said.append("What is written from now on is sealed with new keys, for those who belong alone.")
    elif exposed:
        said.append(
            f"{count(len(exposed), 'device')} that {'was' if len(exposed) == 1 else 'were'} put out can still read what"
            " is new, until an admin's device makes a change."
        )
    said += [f"Something is still due: {shown(why)}." for why in tended.undone]
    return " ".join(said), bool(exposed or tended.undone)


def _stays(space: Space, called: str, out: Sequence[bytes]) -> str:
    core = space.core
    stay = who_stays(core.membership, core.keys, core.device.public().id, out)
    names = [shown(one["name"]) for one in (*stay["members"], *stay["devices"])]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f" {called} had let in, and they stay: {', '.join(names[:MOST_NAMED])}{more}." if names else ""


def _senior(before: Membership, space: Space, person: Person) -> str:
    names = Names(before, space.core.keys)
    seniors = [shown(names.member(one)) for one in seniors_of_member(before.state, person.id)]
    way = f"what {' or '.join(seniors[:3])} signs, who came before, holds" if seniors else "nobody came before"
    called = shown(person.called)
    return f" {called} came before you: by a record dated back {called} can undo this and put you out; {way}."
