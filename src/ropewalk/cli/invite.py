"""`ropewalk invite`, `device add`: let somebody, or one more machine of one's own, into spaces.

Flow: spaces, role -> Admission -> offered; an answer file -> welcome file; --list, --withdraw -> what is open
Never: shows a code before a wrong guess would void it, or waits for ever.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ropewalk.cli.invites import list_open, withdraw_one
from ropewalk.cli.mailboxes import MAILBOX, MailboxUrl, Meeting
from ropewalk.cli.offer import offer, take_answer
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.session import opened
from ropewalk.errors import Misuse
from ropewalk.spaces.admission import Admission
from ropewalk.spaces.home import Home
from ropewalk.spaces.members import Role, check_person
from ropewalk.spaces.space import Space

__all__ = ["add_device", "invite", "seconds_of"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 7 * 86400.0  # seconds
_HOUR, _DAY = 3600.0, 86400.0


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Way:
    """How an invite comes to who is invited, and the answer back."""

    mailbox: MailboxUrl = None
    file: Annotated[
        Path | None,
        Parameter(
            name="--file", metavar="FILE", help="Write an invite file instead of saying a code; it is as good as a key."
        ),
    ] = None
    qr: Annotated[bool, Parameter(name="--qr", help="Show the invite as a QR code; as good as a key, too.")] = False
    answer: Annotated[
        Path | None,
        Parameter(
            name="--answer",
            metavar="FILE",
            help="Take the answer file that `ropewalk join` wrote; no mailbox is needed. If it could not be done, the"
            " same file can be given again.",
        ),
    ] = None
    expires: Annotated[
        str | None,
        Parameter(
            name="--expires",
            metavar="TIME",
            help="How long it is good: 30m, 2h, 1d; an hour, or a day with --file or --qr.",
        ),
    ] = None
    no_places: Annotated[
        bool,
        Parameter(name="--no-places", negative="", help="Do not tell where the stores are; ids and domains are told."),
    ] = False

    @property
    def ends(self) -> int:
        """When it is over, in nanoseconds since 1970."""
        return time.time_ns() + int(seconds_of(self.expires, _DAY if self.file or self.qr else _HOUR) * 1e9)


_SAID = Way()


async def invite(
    space: Annotated[str | None, Parameter(help="The space.")] = None,
    /,
    *,
    role: Annotated[
        Literal["reader", "writer", "admin", "steward"],
        Parameter(
            metavar="ROLE",
            help="What the new member may do: be a reader, writer, admin or steward; writer if not said.",
            show_choices=False,
        ),
    ] = "writer",
    person: Annotated[
        str, Parameter(name="--as", metavar="NAME", help="What the new member is called; else what it calls itself.")
    ] = "",
    way: Way = _SAID,
    show: Annotated[
        bool, Parameter(name="--list", negative="", help="Only list the invites of this machine that are open.")
    ] = False,
    withdraw: Annotated[
        str | None,
        Parameter(metavar="ID", help="Only withdraw the invite whose id, in --list, begins with these digits."),
    ] = None,
    common: Keyed = KEYED,
) -> int:
    """Invite somebody into a space, and wait until they have joined.

    Tell the code to the person you mean, and to nobody else: it is good for one try. Admins are invited with three
    words, others with two. Whoever was let in and did not hear of it can be invited again, and is not let in twice.
    """
    if show or withdraw is not None:
        if show and withdraw is not None:
            raise Misuse("--list and --withdraw do different things", hint="do one after the other")
        return list_open(space, common) if withdraw is None else withdraw_one(withdraw, common)
    if space is None:
        raise Misuse("it is not said into which space", hint="as in `ropewalk invite photos`; or --list, --withdraw")
    if person:
        check_person(person)
    async with opened(space, common) as one:
        if way.answer is not None:
            return await take_answer([one], way.answer, common, _elsewhere())
        if person and any(known.called == person for known in one.people()):
            raise Misuse(
                f"a member of {space} is called {person!r} already",
                hint="choose another name; to invite the same person again, leave --as out",
            )
        nonces = {one.core.space_id: os.urandom(16)}
        admission = Admission(
            *(Home.of_user(), [one], way.ends),
            role=Role[role.upper()],
            name=person,
            nonces=nonces,
            places=not way.no_places,
            elsewhere=_elsewhere(),
        )
        return await _offered(admission, [one], way, common)


async def add_device(*, way: Way = _SAID, common: Keyed = KEYED) -> int:
    """Let one more machine of yours into all your spaces, and wait until it has joined."""
    home = Home.of_user()
    names = sorted(home.load().spaces)
    if not names:
        raise Misuse("there is no space yet", hint="set the other machine up with `ropewalk init` of its own")
    async with AsyncExitStack() as stack:
        spaces = [await stack.enter_async_context(opened(name, common, stewards=True)) for name in names]
        if way.answer is not None:
            return await take_answer(spaces, way.answer, common, _elsewhere())
        admission = Admission(home, spaces, way.ends, places=not way.no_places, elsewhere=_elsewhere())
        return await _offered(admission, spaces, way, common)


async def _offered(admission: Admission, spaces: Sequence[Space], way: Way, common: Keyed) -> int:
    from ropewalk.cli.reach import meeting_near

    url = way.mailbox or os.environ.get(MAILBOX)
    given: Meeting | None = (url, [url]) if url else None
    if given is None and (way.file is None or way.qr):  # a file alone is answered by a file
        given = meeting_near(Home.of_user(), spaces)
    return await offer(admission, spaces, given, way.file, common, qr=way.qr)


def _elsewhere() -> dict[str, Sequence[str]]:
    """Where others reach the stores that this machine's own node offers."""
    from ropewalk.cli.reach import offered_places

    return offered_places(Home.of_user())


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
