"""`ropewalk join`: come into spaces by a code, a file, or the text of a picture.

Flow: code -> mailbox -> ceremony -> secrets, places -> records checked -> settings
Never: writes a setting before the records say what the invite said.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.init import paper_key, set_up
from ropewalk.cli.invite import MAILBOX, MailboxUrl, invites_of, read_small
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import LEFT_OUT
from ropewalk.cli.output import count
from ropewalk.cli.place import check_own_name
from ropewalk.cli.session import device_keys, opened
from ropewalk.cli.who import own_device, own_name
from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.admission import Arrival, arrive
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites import (
    Code,
    Invited,
    InviteFile,
    Joiner,
    JoinerKeys,
    accept,
    answer,
    read_invite,
    write_private,
)
from ropewalk.spaces.members import check_person

__all__ = ["join"]

PATIENCE = 10.0  # seconds for a mailbox to answer
_TEXT = "ROPEWALK:"


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
    mailbox: MailboxUrl = None,
    file: Annotated[Path | None, Parameter(metavar="FILE", help="The invite file.")] = None,
    welcome: Annotated[
        Path | None, Parameter(metavar="FILE", help="What the inviter made of the answer file; with --file.")
    ] = None,
    yes: Annotated[
        bool,
        Parameter(
            name=("--yes", "-y"), negative="", help="Do not ask whether a new paper key's words were written down."
        ),
    ] = False,
    common: Keyed = KEYED,
) -> int:
    """Join spaces that somebody has invited this machine to.

    The code is good for one try. Keys for this machine are made first, as by `ropewalk init`, if it has none.
    """
    home, voice = Home.of_user(), common.voice
    if (code is None) == (file is None):
        raise Misuse("one of a code and --file is needed", hint="as in `ropewalk join 7-crossover-clockwork`")
    if name is not None:
        check_own_name(name, "space")
    called = check_person(device) if device else own_device()
    extra = [one.strip() for one in stores.split(",") if one.strip()]
    home.stores(extra)  # a wrong name is told before a code is used up
    invite = _invite(code, file)
    words = Code.parse(code) if invite is None and code is not None else None
    if not home.has_keys:
        set_up(home, common, yes=yes)
    keys = device_keys(home, common)
    me = JoinerKeys(keys.public(), paper_key(home), check_person(person) if person else own_name(), called)
    if invite is not None and not invite.mailboxes:
        assert file is not None or code is not None
        kept = home.state / "invites" / f"{invite.slot.hex()}.answer"
        if welcome is None:
            return _leave_answer(home, invite, me, kept, common)
        invited = accept(invite, read_small(kept), read_small(welcome), keys)
    else:
        invited = await _meet(home, words, invite, mailbox, keys, me)
    left: list[str] = []
    for one in await arrive(
        *(home, keys, invited, extra, name),
        paper=me.paper,
        left=lambda space, why: left.append(f"{space} was left out: {why}"),
    ):
        await _settle_in(one, called, common)
    for why in left:
        voice.warning(why)
    if not voice.json:
        voice.note("`ropewalk ls SPACE:/` shows what is there")
    return LEFT_OUT if left else 0


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
    mailbox: str | None,
    keys: DeviceKeys,
    me: JoinerKeys,
) -> Invited:
    from ropewalk.mailbox import join as meet
    from ropewalk.mailbox import joined

    urls = [mailbox] if mailbox else list(invite.mailboxes) if invite else [os.environ.get(MAILBOX, "")]
    if not urls or not urls[0]:
        raise Misuse(
            "it is not known where the other side waits",
            hint=f"give all that it was shown, --mailbox URL included, or set {MAILBOX}",
        )
    if words is not None:
        slot, secret, inviter = words.slot, words.secret, None
    else:
        assert invite is not None
        slot, secret, inviter = invite.slot, invite.secret, invite.inviter
    invites = invites_of(home)
    async with joined(urls[0], slot, patience=PATIENCE) as side:
        joiner = Joiner(slot, secret, keys, me, inviter=inviter, random=os.urandom)
        return await meet(side, joiner, lambda: invites.mark(slot, secret))


def _leave_answer(home: Home, invite: InviteFile, me: JoinerKeys, kept: Path, common: Keyed) -> int:
    invites_of(home)
    kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    data = read_small(kept) if kept.exists() else answer(invite, me, os.urandom)
    if not kept.exists():
        write_private(kept, data)
    target = Path(f"{invite.slot.hex()[:8]}.answer")
    if not target.exists():
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


async def _settle_in(one: Arrival, device: str, common: Keyed) -> None:
    """Say what came of it; give this machine its name in the space, for the others to see."""
    voice = common.voice
    as_whom = f" as {one.member_name}" if one.member_name else ""
    voice.done(
        f"{one.name} is here now{as_whom}: {one.role.name.lower()}, {count(len(one.stores), 'store')}",
        {
            "space": one.name,
            "id": one.space.hex(),
            "role": one.role.name.lower(),
            "name": one.member_name,
            "stores": list(one.stores),
            "missing": [store.identity.hex() for store in one.missing],
        },
    )
    for store in one.missing:
        domains = ",".join(f"{kind}={value}" for kind, value in sorted(store.domains.items()))
        where = f", elsewhere at {store.path}" if store.path else ""
        voice.warning(
            f"a store of {one.name} is not set up here{where}: `ropewalk store add NAME FOLDER"
            f"{f' --domain {domains}' if domains else ''}` and `ropewalk space add-store {one.name} NAME`"
        )
    try:
        async with opened(one.name, common, tell_away=False) as space, space.group() as group:
            await group.call_device(device)
    except RopewalkError as error:
        print(f"note: this machine has no name there yet: {error}", file=sys.stderr)
