"""`ropewalk members`, `member role`, `member remove`: who belongs to a space, and putting somebody out.

Flow: a name -> Person -> Group -> records on the floor of stores, a new epoch -> words, JSON, exit status
Never: says that somebody can read nothing new before that is so.
"""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from ropewalk.cli.aftermath import still_in, tell_still_in, tell_taken_back
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.output import Voice, count, date, size
from ropewalk.cli.session import opened
from ropewalk.cli.who import InSpace, person_in
from ropewalk.errors import Misuse
from ropewalk.spaces.members import Membership, Names, Person, Role, seniors_of_member, undoes
from ropewalk.spaces.space import Space

__all__ = ["members", "remove", "role", "tell_tended"]


async def members(
    space: Annotated[str, Parameter(help="The space.")],
    /,
    *,
    common: Keyed = KEYED,
) -> int:
    """List who belongs to a space: name, role, devices; the most senior first."""
    voice = common.voice
    async with opened(space, common, stewards=True) as one:
        known = one.people()
        names = Names(one.core.membership, one.core.keys)
        exposed = [(names.whose(gone.device), gone.since) for gone in one.core.membership.epochs.exposure]
    called = [person.called + (" (you)" if person.ours else "") for person in known]
    width = max(map(len, called), default=0)
    for person, who in zip(known, called, strict=True):
        machines = ", ".join(
            machine.called + (" (this machine)" if machine.ours else "") + (" (frozen)" if machine.frozen else "")
            for machine in person.machines
        )
        voice.line(f"{who:<{width}}  {person.role.name.lower():<7}  {machines or 'no device'}", _fields(person))
    for device, since in exposed:
        ago = f", since {date(since)}" if since else ""
        voice.warning(
            f"{device}, which was put out, can still read what is new{ago}, until an admin's device makes a change"
        )
    return 0


async def role(
    who: Annotated[str, Parameter(help="The member's name, or the first digits of its id.")],
    to: Annotated[
        Literal["steward", "reader", "writer", "admin"],
        Parameter(name="ROLE", help="What it may do from now on: steward, reader, writer or admin."),
    ],
    /,
    *,
    space: InSpace = None,
    common: Keyed = KEYED,
) -> int:
    """Give a member another role.

    Each may do all that those before it may: a steward sees that all is there, and reads nothing; a reader reads; a
    writer changes what is there; an admin says who belongs.
    """
    new = Role[to.upper()]
    async with person_in(space, who, common) as (one, person):
        if person.role is new:
            raise Misuse(f"{person.called} is a {to} of {one.name} already", hint="nothing was changed")
        async with one.group() as group:
            before = one.core.membership
            written = await group.set_role(person.id, new)
        common.voice.done(
            f"{person.called} is a {to} of {one.name} now",
            {"space": one.name, "member": person.id.hex(), "role": to, "copies": written.copies, **_tended(one)},
        )
        tell_tended(one, common.voice)
        tell_taken_back(one, before, common.voice)
    return 0


async def remove(
    who: Annotated[str, Parameter(help="The member's name, or the first digits of its id.")],
    /,
    *,
    hard: Annotated[
        bool,
        Parameter(negative="", help="Seal everything that is there now anew, too; says what that costs, and asks."),
    ] = False,
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative="", help="Do not ask.")] = False,
    space: InSpace = None,
    common: Keyed = KEYED,
) -> int:
    """Put a member out, with all its devices, for good.

    It can read nothing that is written from then on. What it has read it keeps, and what it could read before it still
    can, in stores that it can reach: take away its access to those, too.
    """
    if hard:
        from ropewalk.cli.hard import check_asked

        check_asked(yes=yes, hint="in a script: add --yes; or leave out --hard: `ropewalk member reseal` does it later")
    async with person_in(space, who, common) as (one, person):
        if person.ours and not yes:
            raise Misuse("this is you: you would be put out", hint="if that is meant: --yes")
        async with one.group() as group:
            before = one.core.membership
            written = await group.remove(person.id)
        gone = [machine.id for machine in person.machines]
        senior = bool(gone) and undoes(before.state, gone[0], one.core.device.public().id)
        still = still_in(one, gone)
        done = {"space": one.name, "member": person.id.hex(), "copies": written.copies, "senior": senior}
        common.voice.done(
            f"{person.called} does not belong to {one.name} any more", done | {"still_in": still, **_tended(one)}
        )
        tell_tended(one, common.voice)
        tell_taken_back(one, before, common.voice)
        tell_still_in(person.called, still, common.voice)
        if senior and not person.ours:
            _tell_senior(one, before, person, common.voice)
        if hard:
            from ropewalk.cli.hard import seal_anew

            return await seal_anew(one, common, asked=not yes)
    return 0


def _tell_senior(space: Space, before: Membership, person: Person, voice: Voice) -> None:
    names = Names(before, space.core.keys)
    seniors = [names.member(one) for one in seniors_of_member(before.state, person.id)]
    way = f"what {' or '.join(seniors[:3])} signs, who came before, holds" if seniors else "nobody came before"
    voice.warning(
        f"{person.called} came before you: by a record that is dated back, {person.called} can undo this and put you"
        f" out; {way}"
    )


def tell_tended(space: Space, voice: Voice) -> None:
    """What followed from a change of the group."""
    tended = space.tended
    if tended.epoch is not None:
        keys = sum(written.size for written in tended.written)
        voice.note(
            f"epoch {tended.epoch} has begun: what is written now is for those who belong ({size(keys)} of keys)"
        )
    elif space.core.membership.epochs.exposure:
        number = len(space.core.membership.epochs.exposure)
        gone = f"{count(number, 'device')} that {'was' if number == 1 else 'were'} put out"
        voice.warning(f"{gone} can still read what is new, until an admin's device makes a change")
    for why in tended.undone:
        voice.warning(f"something is still due: {why}")


def _tended(space: Space) -> dict[str, object]:
    exposed = [one.device.hex() for one in space.core.membership.epochs.exposure]
    return {"epoch": space.tended.epoch, "exposed": exposed}


def _fields(person: Person) -> dict[str, object]:
    return {
        "id": person.id.hex(),
        "name": person.name,
        "role": person.role.name.lower(),
        "you": person.ours,
        "devices": [
            {
                "id": machine.id.hex(),
                "name": machine.name,
                "paper": machine.paper,
                "this": machine.ours,
                "frozen": machine.frozen,
            }
            for machine in person.machines
        ],
    }
