"""Who: which space is meant by a command that names only a person, or a device.

Flow: a name, --in -> the one space where somebody is called that -> the open space, the person
Never: chooses between two.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.options import Keyed
from ropewalk.cli.session import opened
from ropewalk.errors import Misuse
from ropewalk.spaces.home import Home
from ropewalk.spaces.members import BadName, Names, NoSuchPerson, Person, check_person, find_person
from ropewalk.spaces.space import Space

__all__ = ["InSpace", "own_device", "own_name", "person_in", "space_names"]

InSpace = Annotated[
    str | None,
    Parameter(name="--in", metavar="SPACE", help="The space, where more than one has somebody of this name."),
]


def own_name() -> str:
    """What the user is called on this machine."""
    try:
        return _fit(getpass.getuser(), "me")
    except (OSError, KeyError):  # no such user in the system's list
        return "me"


def own_device() -> str:
    """What this machine is called."""
    return _fit(socket.gethostname(), "device")


def _fit(name: str, otherwise: str) -> str:
    try:
        return check_person(name)
    except BadName:
        return otherwise


def space_names(one: str | None) -> list[str]:
    """The space that was named, or all that are set up.

    Raises:
        Misuse: There are none.
    """
    home = Home.of_user()
    if one is not None:
        home.space(one)
        return [one]
    names = sorted(home.load().spaces)
    if not names:
        raise Misuse("there is no space yet", hint="make one with `ropewalk space create`, or join one")
    return names


@asynccontextmanager
async def person_in(name: str | None, who: str, common: Keyed) -> AsyncIterator[tuple[Space, Person]]:
    """The open space in which somebody is called this, and the person.

    Raises:
        NoSuchPerson: Nobody is, in any of them.
        Misuse: Somebody is in several.
    """
    names = space_names(name)
    found: list[str] = []
    gone: list[str] = []
    if len(names) > 1:
        for one in names:
            async with opened(one, common, stewards=True) as space:
                try:
                    find_person(space.people(), who)
                    found.append(one)
                except NoSuchPerson:
                    if _was_here(space, who):
                        gone.append(one)
        if len(found) > 1:
            raise Misuse(f"somebody is called {who!r} in {', '.join(found)}", hint="say which: --in SPACE")
        if gone and not found:
            raise _put_out(who, gone)
        if not found:
            raise NoSuchPerson(
                f"nobody is called {who!r} in {', '.join(names)}", hint=f"`ropewalk members {names[0]}` lists who is"
            )
        names = found
    async with opened(names[0], common, stewards=True) as space:
        try:
            person = find_person(space.people(), who)
        except NoSuchPerson:
            if _was_here(space, who):
                raise _put_out(who, names) from None
            raise
        yield space, person


def _was_here(space: Space, who: str) -> bool:
    membership = space.core.membership
    names = Names(membership, space.core.keys)
    came = {record.admitted for record in membership.records if record.admitted}
    return any(names.member(one) == who for one in came - membership.state.members.keys())


def _put_out(who: str, spaces: Sequence[str]) -> NoSuchPerson:
    return NoSuchPerson(
        f"{who} does not belong to {', '.join(spaces)} any more",
        hint=f"`ropewalk member reseal {spaces[0]}` seals what is there now with keys that nobody has who was put out",
    )
