"""`ropewalk join`: come into spaces by a code, a file, or the text of a picture.

Flow: code -> mailbox -> ceremony -> secrets, places, kept -> records checked -> settings; --again from what is kept
Never: writes a setting before the records say what the invite said, or loses what an invite gave.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.asking import agreed
from ropewalk.cli.first_look import look_first
from ropewalk.cli.init import paper_key, set_up
from ropewalk.cli.mailboxes import MailboxUrls, invites_of, joinings_of, mailboxes_for, read_small, slot_joined
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import LEFT_OUT
from ropewalk.cli.output import Voice, count, shown
from ropewalk.cli.place import check_own_name
from ropewalk.cli.session import device_keys, opened
from ropewalk.cli.which_space import WHY, shown_id
from ropewalk.cli.who import own_device, own_name
from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.arrival import Arrival, Shared, arrive
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites import (
    Code,
    Invited,
    InviteFile,
    Joiner,
    JoinerKeys,
    Joining,
    NoInvite,
    Step,
    accept,
    answer,
    joiner_of,
    read_invite,
    write_private,
)
from ropewalk.spaces.members import Role, check_person

__all__ = ["join"]

PATIENCE = 10.0  # seconds for a mailbox to answer
_TEXT = "ROPEWALK:"
_AGAIN = "`ropewalk join --again` goes on, without a new invite"


async def join(
    code: Annotated[
        str | None, Parameter(help="What the other side was shown: 7-crossover-clockwork, or the text of a picture.")
    ] = None,
    /,
    *,
    person: Annotated[
        str, Parameter(name="--as", metavar="NAME", help="What you are called, where the inviter has not said.")
    ] = "",
    device: Annotated[
        str | None, Parameter(metavar="NAME", help="What this machine is called; its host name by default.")
    ] = None,
    name: Annotated[
        str | None, Parameter(metavar="SPACE", help="What to call the space here; by default as the inviter does.")
    ] = None,
    stores: Annotated[
        str, Parameter(metavar="A,B,...", help="Stores of the space that are set up here, besides those that are told.")
    ] = "",
    mailbox: MailboxUrls = None,
    file: Annotated[Path | None, Parameter(metavar="FILE", help="The invite file.")] = None,
    welcome: Annotated[
        Path | None, Parameter(metavar="FILE", help="What the inviter made of the answer file; with --file.")
    ] = None,
    again: Annotated[
        bool,
        Parameter(
            negative="", help="Go on where an invite was taken and its spaces could not be reached; without a code."
        ),
    ] = False,
    forget: Annotated[
        bool, Parameter(negative="", help="Forget the invites that --again would go on with; without a code.")
    ] = False,
    yes: Annotated[
        bool,
        Parameter(
            name=("--yes", "-y"), negative="", help="Do not ask whether a new paper key's words were written down."
        ),
    ] = False,
    common: Keyed = KEYED,
) -> int:
    """Join spaces that somebody has invited this machine to.

    The code is good for one try. Where it is told without --mailbox, the inviter is looked for at the nodes of the
    stores that are set up here. Keys for this machine are made first, as by `ropewalk init`, if it has none.
    """
    home = Home.of_user()
    if [code is not None, file is not None, again, forget].count(True) != 1:
        raise Misuse(
            "one of a code, --file, --again and --forget is needed",
            hint="as in `ropewalk join 7-crossover-clockwork --mailbox URL`, all of it as the inviter was shown it",
        )
    if forget:
        return _forget(home, common)
    if name is not None:
        check_own_name(name, "space")
    called = check_person(device) if device else own_device()
    extra = [one.strip() for one in stores.split(",") if one.strip()]
    home.stores(extra)  # a wrong name is told before a code is used up
    if again:
        return await _go_on(home, extra, name, common)
    invite = _invite(code, file)
    if invite is not None and not invite.mailboxes and welcome is not None:
        return await _take_welcome(home, invite, welcome, (person, device or ""), extra, name or "", common)
    words = Code.parse(code) if invite is None and code is not None else None
    by_files = invite is not None and not invite.mailboxes
    urls = [] if by_files else await mailboxes_for(home, mailbox, invite, PATIENCE)
    if not home.has_keys:
        set_up(home, common, yes=yes)
    keys = device_keys(home, common)
    me = JoinerKeys(keys.public(), paper_key(home), check_person(person) if person else own_name(), called)
    joinings_of(home).check_room()
    if invite is not None and by_files:
        return _leave_answer(home, invite, keys, me, (person, device or ""), common)
    joining = await _meet(home, words, invite, urls, keys, me, name or "", common.voice)
    return await _come(home, joining, keys, extra, common)


def _invite(code: str | None, file: Path | None) -> InviteFile | None:
    if file is not None:
        return read_invite(read_small(file))
    if code is not None and code.upper().startswith(_TEXT):
        return read_invite(code)
    return None


async def _meet(
    home: Home,
    words: Code | None,
    invite: InviteFile | None,
    urls: Sequence[str],
    keys: DeviceKeys,
    me: JoinerKeys,
    name: str,
    voice: Voice,
) -> Joining:
    from ropewalk.mailbox import join as meet

    if words is not None:
        slot, secret, inviter = words.slot, words.secret, None
    else:
        assert invite is not None
        slot, secret, inviter = invite.slot, invite.secret, invite.inviter
    invites, joinings = invites_of(home), joinings_of(home)

    def keep(invited: Invited) -> None:
        joinings.keep(Joining.of(slot, secret, invited, joiner.me, name), keys)

    joiner = Joiner(slot, secret, keys, me, inviter=inviter, random=os.urandom)
    async with AsyncExitStack() as stack:
        side = await slot_joined(stack, urls, slot, PATIENCE)
        try:
            invited = await meet(side, joiner, lambda: invites.mark(slot, secret), keep)
        except asyncio.CancelledError:
            if joiner.step is not Step.OPEN:
                voice.warning("the code is used up: this very command cannot be given again, so ask for a new invite")
            raise
    return Joining.of(slot, secret, invited, joiner.me, name)


def _leave_answer(
    home: Home, invite: InviteFile, keys: DeviceKeys, me: JoinerKeys, named: tuple[str, str], common: Keyed
) -> int:
    data = joinings_of(home).answer(invite.slot, invite.secret, lambda: answer(invite, keys, me, os.urandom))
    _check_names(joiner_of(invite, data), named)
    target = Path(f"{invite.slot.hex()[:8]}.answer")
    if not target.exists() or read_small(target) != data:
        write_private(target, data)
    common.voice.answer(
        [
            f"{target} is the answer: give it to whoever invited you, who makes a welcome file of it. Then, here:",
            "",
            "    ropewalk join --file INVITE_FILE --welcome WELCOME_FILE",
        ],
        {"answer": str(target)},
    )
    return 0


async def _take_welcome(
    home: Home,
    invite: InviteFile,
    welcome: Path,
    named: tuple[str, str],
    extra: Sequence[str],
    name: str,
    common: Keyed,
) -> int:
    keys, joinings = device_keys(home, common), joinings_of(home)
    joinings.check_room()
    answered = joinings.answered(invite.slot, invite.secret)
    me = joiner_of(invite, answered)
    _check_names(me, named)
    joining = Joining.of(invite.slot, invite.secret, accept(invite, answered, read_small(welcome), keys), me, name)
    joinings.keep(joining, keys)
    return await _come(home, joining, keys, extra, common)


def _check_names(me: JoinerKeys, named: tuple[str, str]) -> None:
    """See that names which are given now are those of the answer, which whoever invited has seen.

    Raises:
        Misuse: They are others.
    """
    for option, wanted, said in zip(("--as", "--device"), named, (me.name, me.device_name), strict=True):
        if wanted and wanted != said:
            raise Misuse(
                f"{option} is {wanted!r}, and the answer to this invite has said {said!r}",
                hint=f"leave {option} out: an invite is answered once",
            )


# ---- once the invite was taken ---------------------------------------------------------------------------------------


async def _go_on(home: Home, extra: Sequence[str], name: str | None, common: Keyed) -> int:
    """Come into what earlier invites gave; one that cannot be gone on with does not keep us from the others."""
    keys = device_keys(home, common)
    joinings = joinings_of(home)
    problems: list[RopewalkError] = []
    statuses: list[int] = []
    for one in joinings.ids():
        try:
            joining = joinings.load(one, keys)
            statuses.append(await _come(home, joining, keys, extra, common, name=name, again=True))
        except RopewalkError as error:
            problems.append(error)
    if not statuses:
        raise (
            problems[0]
            if problems
            else NoInvite(
                "no invite is under way on this machine",
                hint="with files: `ropewalk join --file INVITE --welcome FILE`; else ask for a new invite, which is"
                " right, too, if you were let in and did not hear of it",
            )
        )
    for problem in problems:
        common.voice.warning(f"left out: {problem}; {problem.hint}")
    return LEFT_OUT if problems else max(statuses)


async def _come(
    home: Home,
    joining: Joining,
    keys: DeviceKeys,
    extra: Sequence[str],
    common: Keyed,
    *,
    name: str | None = None,
    again: bool = False,
) -> int:
    """Arrive; what was given is forgotten once all of it is in the settings."""
    voice, joinings, me = common.voice, joinings_of(home), joining.joiner
    here = _here(home) & joining.spaces if again else frozenset()
    left: list[str] = []
    try:
        arrived = await arrive(
            *(home, keys, me, joining.invited, extra, name or joining.name or None),
            confirm=_is_mine if sys.stdin.isatty() and voice.for_people else None,
            left=lambda space, why: left.append(f"{space} was left out: {why}"),
            here=here,
        )
    except RopewalkError as error:
        error.hint = f"{error.hint}; then {_AGAIN}" if error.hint else _AGAIN
        raise
    except BaseException:
        voice.warning(f"what the invite gave is kept: {_AGAIN}")
        raise
    for one in joinings.ids():
        _drop_if_done(home, one, keys)
    for space, called in _names(home, here).items():
        voice.done(f"{called} is here already", {"space": called, "id": space.hex()})
    told = [name for arrival in arrived for name in arrival.stores]
    await look_first(home, told, keys, voice, puts=any(one.role is not Role.READER for one in arrived))
    for arrival in arrived:
        await _settle_in(arrival, me.device_name, common)
    for why in left:
        voice.warning(f"{why}; {_AGAIN}")
    if arrived:
        voice.note(_next(arrived))
    return LEFT_OUT if left else 0


def _is_mine(one: Shared) -> bool:
    print(shown(f"The invite was for a new member of {one.space}, and {one}."), file=sys.stderr)
    return agreed("Whoever has one of those can act in your name. Are all of them yours? (yes/no) ")


def _drop_if_done(home: Home, one: bytes, keys: DeviceKeys) -> None:
    """Forget an invite all of whose spaces are set up here, be it by another one."""
    joinings = joinings_of(home)
    try:
        if joinings.load(one, keys).spaces <= _here(home):
            joinings.drop(one)
    except RopewalkError:
        return  # one that cannot be read is told of by --again


def _here(home: Home) -> frozenset[bytes]:
    return frozenset(bytes.fromhex(setting.id) for setting in home.load().spaces.values())


def _names(home: Home, spaces: frozenset[bytes]) -> dict[bytes, str]:
    named = {bytes.fromhex(setting.id): name for name, setting in home.load().spaces.items()}
    return {space: named[space] for space in sorted(spaces)}


def _forget(home: Home, common: Keyed) -> int:
    joinings = joinings_of(home)
    known = joinings.ids()
    for one in known:
        joinings.drop(one)
    common.voice.done(f"{count(len(known), 'invite')} forgotten", {"forgotten": len(known)})
    return 0


def _next(arrived: Sequence[Arrival]) -> str:
    if all(one.role is Role.STEWARD for one in arrived):
        return (
            "a steward reads nothing: `ropewalk watch SPACE` beats and says what comes, `ropewalk repair SPACE` mends"
        )
    return "`ropewalk ls SPACE:/` shows what is there"


async def _settle_in(one: Arrival, device: str, common: Keyed) -> None:
    """Say what came of it; give this machine its name in the space, for the others to see."""
    voice = common.voice
    as_whom = f" as {one.member_name}" if one.member_name else ""
    if one.own:
        as_whom = f"; this machine is one more device of {one.member_name or 'whoever invited it'}"
    voice.done(
        f"{one.name} is here now{as_whom}: {one.role.name.lower()}, {count(len(one.stores), 'store')}",
        {
            "space": one.name,
            "id": one.space.hex(),
            "role": one.role.name.lower(),
            "name": one.member_name,
            "one_more_device": one.own,
            "stores": list(one.stores),
            "missing": [store.identity.hex() for store in one.missing],
        },
    )
    if not one.own:  # else its own words open nothing there
        voice.note(f"its id is {shown_id(one.space)}; write it down beside the words of the paper key: {WHY}")
    for store in one.missing:
        domains = ",".join(f"{kind}={value}" for kind, value in sorted(store.domains.items()))
        where = f", elsewhere at {', '.join(store.paths)}" if store.paths else ""
        voice.warning(
            f"a store of {one.name} is not set up here{where}: `ropewalk store add NAME FOLDER"
            f"{f' --domain {domains}' if domains else ''}` and `ropewalk space add-store {one.name} NAME`"
        )
    if one.role is Role.STEWARD:  # whose names of others, and of itself, are sealed to it
        return
    try:
        async with opened(one.name, common, tell_away=False) as space, space.group() as group:
            await group.call_device(device)
    except RopewalkError as error:
        voice.note(f"this machine has no name there yet: {error}")
