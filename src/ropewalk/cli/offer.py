"""Offer: an invite on its way to somebody: as a code, a file or a picture, and back as keys to let in.

Flow: Admission -> code or file -> mailbox, of our own or another's -> records, secrets for the joiner
Never: uses an invite up for what can be seen beforehand to fail.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ropewalk.cli.mailboxes import Meeting, invites_of, meeting_place, read_small
from ropewalk.cli.options import Keyed
from ropewalk.cli.output import Voice, count
from ropewalk.errors import Misuse, Refused
from ropewalk.spaces.admission import Admission
from ropewalk.spaces.home import Home
from ropewalk.spaces.invites import (
    InviteFile,
    Invites,
    JoinerKeys,
    LetterInviter,
    OpenInvite,
    answer_hash,
    read_answer_file,
    write_private,
)
from ropewalk.spaces.records import encode
from ropewalk.spaces.space import Space

if TYPE_CHECKING:
    from ropewalk.mailbox import Offered
    from ropewalk.net import Endpoint

__all__ = ["offer", "take_answer"]


class PutOut(Refused):
    """Who answered was let in before, and was put out since."""

    code = "invite.put-out"


async def offer(
    admission: Admission,
    spaces: Sequence[Space],
    given: Meeting | None,
    file: Path | None,
    common: Keyed,
    *,
    qr: bool,
) -> int:
    """Offer an admission, and let in who comes; with a file and no mailbox, only write the file.

    Args:
        admission: What is offered.
        spaces: The open spaces.
        given: A mailbox, if there is one; else we are one ourselves.
        file: Where to write an invite file, if one is wanted.
        common: The command's options.
        qr: Whether to show a picture.
    """
    voice, keys = common.voice, spaces[0].core.device
    invites = invites_of(Home.of_user())
    wait = (admission.offer.expires - time.time_ns()) / 1e9
    if file is not None and given is None and not qr:
        return await _leave(admission, file, invites, spaces, voice)
    from ropewalk.mailbox import offered
    from ropewalk.net import Endpoint

    await admission.check_ready()  # nobody is given a code that would be used up for nothing
    async with meeting_place(given) as (url, shown):
        own = None if given else Endpoint.parse(shown[0])
        by_file = file is not None or qr
        async with offered(
            *(admission.offer, admission.note, invites, keys, (url, shown)), by_file=by_file, seconds=wait
        ) as one:
            if one.file is None:
                _say_code(voice, one, wait, own)
            else:
                _hand_over(voice, one.file, file, wait, own, qr=qr)
            if own is not None:
                voice.note(_listening(own, wait))
            voice.note("waiting for the other machine; ^C withdraws the invite")
            done = await one.wait(admission, wait)
    _tell(voice, spaces, done.joiner, admission.already)
    if not done.told:
        voice.warning(
            "the other machine is in, and did not say that it has all that it needs: if it stopped before that, invite"
            " it again with the same role; it is not let in twice"
        )
    return 0


def _say_code(voice: Voice, one: Offered, wait: float, own: Endpoint | None) -> None:
    urls, line = list(one.mailboxes), one.command
    voice.answer(
        [f"On the other machine, which has to reach this mailbox; {_good(wait)}:", "", f"    {line}", ""],
        {"code": one.code, "mailbox": urls[0], "mailboxes": urls, "command": line, "listens": _place(own)},
    )


def _hand_over(
    voice: Voice,
    invite: InviteFile,
    file: Path | None,
    wait: float,
    own: Endpoint | None,
    *,
    qr: bool,
) -> None:
    text = invite.text()
    lines: list[str] = []
    if file is not None:
        write_private(file, invite.encode())
        lines = [
            f"{file} is the invite, {_good(wait)}: whoever has it can join",
            "",
            f"    ropewalk join --file {file.name}",
        ]
    if qr and not voice.json:
        from ropewalk.spaces.invites.qr import terminal

        print(terminal(text))
    if qr:
        lines += ["", f"or the text of the picture:  ropewalk join {text}"]
    urls = list(invite.mailboxes)
    fields = {"file": str(file) if file else None, "text": text, "mailbox": urls[0], "mailboxes": urls}
    voice.answer(lines, {**fields, "listens": _place(own)})


def _place(own: Endpoint | None) -> dict[str, object] | None:
    """Where this machine is the mailbox itself, for programs that have to let others through to it."""
    return {"address": own.host, "port": own.port} if own is not None else None


def _listening(own: Endpoint, wait: float) -> str:
    return (
        f"this machine is the mailbox: it listens at port {own.port} of all its addresses, {own.host} among them,"
        f" to whoever reaches it, until the other machine has joined, or for {_minutes(wait)}; --mailbox names another"
    )


def _good(wait: float) -> str:
    return f"good for one try and {_minutes(wait)}"


def _minutes(wait: float) -> str:
    return count(max(round(wait / 60), 1), "minute")


async def _leave(admission: Admission, file: Path, invites: Invites, spaces: Sequence[Space], voice: Voice) -> int:
    """An invite file that is answered by a file."""
    keys = spaces[0].core.device
    _check_free(file, None, "name a new file")
    made = InviteFile.draw(admission.offer, [])
    kept = OpenInvite(made.slot, made.slot, made.secret, encode(admission.offer), [], admission.note)
    await asyncio.to_thread(invites.keep, kept, keys)
    write_private(file, made.encode())
    back = f"ropewalk invite {spaces[0].name}" if admission.role is not None else "ropewalk device add"
    voice.answer(
        [
            f"{file} is the invite: whoever has it can join. Hand it over in a private way. On the other machine:",
            "",
            f"    ropewalk join --file {file.name}",
            "",
            "which writes an answer file; with that, here:",
            "",
            f"    {back} --answer ANSWER_FILE",
        ],
        {"file": str(file)},
    )
    return 0


async def take_answer(
    spaces: Sequence[Space], answer: Path, common: Keyed, elsewhere: Mapping[str, Sequence[str]] | None = None
) -> int:
    """Let in who wrote an answer file, and write the welcome; for the same file as often as it is given."""
    home, voice, keys = Home.of_user(), common.voice, spaces[0].core.device
    invites = invites_of(home)
    data = read_small(answer)
    target = answer.with_name(answer.name.removesuffix(".answer") + ".welcome")
    digest = answer_hash(data)
    kept = await asyncio.to_thread(invites.load, read_answer_file(data).slot, keys, digest)
    admission = Admission.again(home, spaces, kept.read_offer(), kept.note, elsewhere)
    letter = LetterInviter(kept.slot, kept.secret, admission.offer, clock=time.time_ns)
    welcome = await asyncio.to_thread(invites.welcome, kept.id)
    _check_free(target, welcome, "move it away, and give the same answer again")
    await admission.check_ready()
    check = [] if welcome is not None else [admission.check_joiner]  # who was let in may have another role since
    joiner = await asyncio.to_thread(letter.confirm, data, lambda: invites.burn(kept.id, digest), *check)
    if welcome is None:
        made = letter.welcome(await admission.admit(joiner, letter.consent))
        welcome = await asyncio.to_thread(invites.keep_welcome, kept.id, made)
    else:
        _check_in(spaces, joiner)
    _put(target, welcome)
    _tell(voice, spaces, joiner, admission.already)
    voice.note(f"hand {target} back; on the other machine: `ropewalk join --file INVITE --welcome {target.name}`")
    return 0


def _check_in(spaces: Sequence[Space], joiner: JoinerKeys) -> None:
    """See that somebody who was let in before was not put out since, of any of these spaces.

    Raises:
        PutOut: It was.
    """
    mine = joiner.device.id
    out = [space.name for space in spaces if space.core.membership.state.role_of(mine) is None]
    if out:
        raise PutOut(
            f"{joiner.device_name} was let in by this answer, and was put out of {', '.join(out)} since",
            hint="an invite is good once; to let that machine in again: a new one",
        )


def _check_free(path: Path, data: bytes | None, hint: str) -> None:
    if path.exists() and (data is None or read_small(path) != data):
        raise Misuse(f"{path} is there already", hint=hint)


def _put(path: Path, data: bytes) -> None:
    if not path.exists():
        write_private(path, data)


def _tell(voice: Voice, spaces: Sequence[Space], joiner: JoinerKeys, already: Collection[bytes]) -> None:
    for space in spaces:
        mine = joiner.device.id
        person = next((one for one in space.people() if any(own.id == mine for own in one.machines)), None)
        called = person.called if person else joiner.name
        role = person.role.name.lower() if person else ""
        again = space.core.space_id in already
        voice.done(
            f"{called} is in {space.name} {'already' if again else 'now'}, as {role}, with {joiner.device_name}"
            f"{': what it needs is given again' if again else ''}",
            {
                "space": space.name,
                "member": person.id.hex() if person else None,
                "name": called,
                "role": role,
                "device": mine.hex(),
                "already": again,
            },
        )
