"""`ropewalk invite`, `device add`: let somebody, or one more machine of one's own, into spaces.

Flow: spaces, role -> Admission -> code or file -> mailbox, of our own or another's -> records, secrets for the joiner
Never: shows a code before a wrong guess would void it, or waits for ever.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.output import Voice, count
from ropewalk.cli.session import opened
from ropewalk.errors import Misuse
from ropewalk.spaces.admission import Admission
from ropewalk.spaces.home import Home
from ropewalk.spaces.invites import (
    WORDS,
    WORDS_FOR_ADMINS,
    Code,
    CodeUsed,
    InviteFile,
    Inviter,
    Invites,
    LetterInviter,
    OpenInvite,
    read_answer_file,
    write_private,
)
from ropewalk.spaces.members import Role, check_person
from ropewalk.spaces.records import encode
from ropewalk.spaces.space import Space

__all__ = ["MAILBOX", "MailboxUrl", "add_device", "invite", "invites_of", "read_small", "seconds_of"]

MAILBOX = "ROPEWALK_MAILBOX"  # in the environment: where invites meet, if not at the inviter's own machine
GOODBYE = 1.0  # seconds
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 7 * 86400.0  # seconds
_HOUR, _DAY = 3600.0, 86400.0

Expires = Annotated[
    str | None,
    Parameter(
        name="--expires", metavar="TIME", help="How long it is good: 30m, 2h, 1d; an hour, or a day with --file."
    ),
]
MailboxUrl = Annotated[
    str | None,
    Parameter(
        name="--mailbox",
        metavar="URL",
        help=f"Meet there, such as tcp://host:port; without it at ${MAILBOX}, or here: this command listens itself.",
    ),
]
File = Annotated[
    Path | None,
    Parameter(
        name="--file", metavar="FILE", help="Write an invite file instead of saying a code; it is as good as a key."
    ),
]
Qr = Annotated[bool, Parameter(name="--qr", help="Show the invite as a QR code; as good as a key, too.")]
Answer = Annotated[
    Path | None,
    Parameter(
        name="--answer", metavar="FILE", help="Take the answer file that `ropewalk join` wrote; no mailbox is needed."
    ),
]
Places = Annotated[
    bool, Parameter(name="--no-places", negative="", help="Do not tell where the stores are; ids and domains are told.")
]


async def invite(
    space: Annotated[str, Parameter(help="The space.")],
    /,
    *,
    role: Annotated[
        Literal["reader", "writer", "admin", "steward"], Parameter(help="What the new member may do.")
    ] = "writer",
    person: Annotated[
        str, Parameter(name="--as", metavar="NAME", help="What the new member is called; else what it calls itself.")
    ] = "",
    mailbox: MailboxUrl = None,
    file: File = None,
    qr: Qr = False,
    answer: Answer = None,
    expires: Expires = None,
    no_places: Places = False,
    common: Keyed = KEYED,
) -> int:
    """Invite somebody into a space, and wait until they have joined.

    Tell the code to the person you mean, and to nobody else: it is good for one try. Admins are invited with three
    words, others with two.
    """
    if person:
        check_person(person)
    async with opened(space, common) as one:
        if answer is not None:
            return await _take_answer([one], answer, common)
        if person and any(known.called == person for known in one.people()):
            raise Misuse(f"a member of {space} is called {person!r} already", hint="choose another name")
        ends = time.time_ns() + int(seconds_of(expires, _DAY if file or qr else _HOUR) * 1e9)
        admission = Admission(
            *(Home.of_user(), [one], ends),
            role=Role[role.upper()],
            name=person,
            nonces={one.core.space_id: os.urandom(16)},
            places=not no_places,
        )
        return await _offer(admission, [one], mailbox, file, common, qr=qr)


async def add_device(
    *,
    mailbox: MailboxUrl = None,
    file: File = None,
    qr: Qr = False,
    answer: Answer = None,
    expires: Expires = None,
    no_places: Places = False,
    common: Keyed = KEYED,
) -> int:
    """Let one more machine of yours into all your spaces, and wait until it has joined."""
    home = Home.of_user()
    names = sorted(home.load().spaces)
    if not names:
        raise Misuse("there is no space yet", hint="set the other machine up with `ropewalk init` of its own")
    async with AsyncExitStack() as stack:
        spaces = [await stack.enter_async_context(opened(name, common)) for name in names]
        if answer is not None:
            return await _take_answer(spaces, answer, common)
        ends = time.time_ns() + int(seconds_of(expires, _DAY if file or qr else _HOUR) * 1e9)
        admission = Admission(home, spaces, ends, places=not no_places)
        return await _offer(admission, spaces, mailbox, file, common, qr=qr)


def seconds_of(text: str | None, otherwise: float) -> float:
    """``30m`` as seconds.

    Raises:
        Misuse: It is no time, or over a week.
    """
    if text is None:
        return otherwise
    try:
        seconds = float(text[:-1]) * _UNITS[text[-1:]]
    except (ValueError, KeyError):
        raise Misuse(f"--expires has {text!r}, expected a number and s, m, h or d", hint="as in --expires 2h") from None
    if not 1 <= seconds <= _LONGEST:
        raise Misuse(f"--expires has {text!r}, expected between a second and 7 days")
    return seconds


def invites_of(home: Home) -> Invites:
    """What this device's disk knows of invites."""
    home.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Invites(str(home.state.absolute() / "invites"), clock=time.time_ns)


async def _offer(
    admission: Admission,
    spaces: Sequence[Space],
    mailbox: str | None,
    file: Path | None,
    common: Keyed,
    *,
    qr: bool,
) -> int:
    voice, keys = common.voice, spaces[0].core.device
    invites = invites_of(Home.of_user())
    wait = (admission.offer.expires - time.time_ns()) / 1e9
    given = mailbox or os.environ.get(MAILBOX)
    if file is not None and given is None and not qr:
        return await _leave(admission, file, invites, spaces, voice)
    from ropewalk.mailbox import invite as meet
    from ropewalk.mailbox import opened as mailbox_opened

    async with _meeting_place(given) as (url, shown):
        invite_file: InviteFile | None = None
        if file is not None or qr:
            invite_file = InviteFile.draw(keys.public().id, [shown], admission.offer.expires)
        slot = invite_file.slot if invite_file else b""
        async with mailbox_opened(url, slot=slot, seconds=wait) as side:
            words = WORDS_FOR_ADMINS if admission.offer.for_admin else WORDS
            if invite_file is None:
                code = Code.of_slot(side.slot, words, os.urandom)
                secret, told = code.secret, str(code)
            else:
                secret, told = invite_file.secret, ""
            kept = OpenInvite(os.urandom(16), side.slot, secret, encode(admission.offer), [shown], admission.note)
            await asyncio.to_thread(invites.keep, kept, keys)
            _say(voice, told, mailbox or shown, given is None, invite_file, file, wait, qr=qr)
            try:
                done = await meet(
                    side,
                    Inviter(side.slot, secret, admission.offer, clock=time.time_ns, random=os.urandom),
                    admission,
                    lambda: invites.burn(kept.id),
                    seconds=wait,
                )
            finally:
                await _withdraw(invites, kept.id)
    joiner = done.joiner
    _tell(voice, spaces, joiner.name, joiner.device_name, joiner.device.id)
    if not done.told:
        voice.warning("the other machine is in, and did not say that it knows: if it failed there, invite it again")
    return 0


async def _withdraw(invites: Invites, invite: bytes) -> None:
    with suppress(CodeUsed):
        await asyncio.to_thread(invites.burn, invite)


@asynccontextmanager
async def _meeting_place(given: str | None) -> AsyncIterator[tuple[str, str]]:
    """A mailbox to reach from here, and its URL for the other side; one of our own where none is named."""
    if given is not None:
        yield given, given
        return
    from ropewalk import net
    from ropewalk.mailbox import Slots, host

    loop = asyncio.get_running_loop()
    own = host(Slots(clock=loop.time, random=os.urandom))
    name = f"memory://invite-{os.urandom(8).hex()}"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(await net.listen(name, own.protocol))
        listener = await stack.enter_async_context(await net.listen("tcp://*:0", own.protocol))
        try:
            yield name, f"tcp://{_own_address()}:{listener.endpoint.port}"
        finally:
            await own.close(GOODBYE)  # who waits at it is told how it ended


def _own_address() -> str:
    """The address by which others on the network may reach this machine; loopback where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: nothing is sent, the route is asked for
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _say(
    voice: Voice,
    code: str,
    url: str,
    ours: bool,
    invite: InviteFile | None,
    file: Path | None,
    wait: float,
    *,
    qr: bool,
) -> None:
    minutes = max(round(wait / 60), 1)
    good = f"good for one try and {count(minutes, 'minute')}"
    if invite is None:
        line = f"ropewalk join {code}" + (f" --mailbox {url}" if ours else "")
        voice.answer(
            [f"On the other machine, within reach of this one: ({good})", "", f"    {line}", ""],
            {"code": code, "mailbox": url, "command": line},
        )
    else:
        text = invite.text()
        lines: list[str] = []
        if file is not None:
            write_private(file, invite.encode())
            lines = [
                f"{file} is the invite, {good}: whoever has it can join",
                "",
                f"    ropewalk join --file {file.name}",
            ]
        if qr and not voice.json:
            from ropewalk.spaces.invites.qr import terminal

            print(terminal(text))
        if qr:
            lines += ["", f"or the text of the picture:  ropewalk join {text}"]
        voice.answer(lines, {"file": str(file) if file else None, "text": text, "mailbox": url})
    voice.note("waiting for the other machine; ^C withdraws the invite")


async def _leave(admission: Admission, file: Path, invites: Invites, spaces: Sequence[Space], voice: Voice) -> int:
    """An invite file that is answered by a file."""
    keys = spaces[0].core.device
    made = InviteFile.draw(keys.public().id, [], admission.offer.expires)
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


async def _take_answer(spaces: Sequence[Space], answer: Path, common: Keyed) -> int:
    home, voice, keys = Home.of_user(), common.voice, spaces[0].core.device
    invites = invites_of(home)
    data = read_small(answer)
    kept = await asyncio.to_thread(invites.load, read_answer_file(data).slot, keys)
    admission = Admission.again(home, spaces, kept.read_offer(), kept.note)
    letter = LetterInviter(kept.slot, kept.secret, admission.offer, clock=time.time_ns)
    joiner = await asyncio.to_thread(letter.confirm, data, lambda: invites.burn(kept.id))
    welcome = letter.welcome(await admission.admit(joiner))
    target = answer.with_name(answer.name.removesuffix(".answer") + ".welcome")
    write_private(target, welcome)
    _tell(voice, spaces, joiner.name, joiner.device_name, joiner.device.id)
    voice.note(f"hand {target} back; on the other machine: `ropewalk join --file INVITE --welcome {target.name}`")
    return 0


def read_small(path: Path) -> bytes:
    """A file of at most 1 MiB.

    Raises:
        Misuse: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(1 << 20)
    except OSError as error:
        raise Misuse(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None


def _tell(voice: Voice, spaces: Sequence[Space], name: str, device_name: str, device: bytes) -> None:
    for space in spaces:
        person = next((one for one in space.people() if any(own.id == device for own in one.machines)), None)
        called = person.called if person else name
        role = person.role.name.lower() if person else ""
        voice.done(
            f"{called} is in {space.name} now, as {role}, with {device_name}",
            {
                "space": space.name,
                "member": person.id.hex() if person else None,
                "name": called,
                "role": role,
                "device": device.hex(),
            },
        )
