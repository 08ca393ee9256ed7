"""Invitations: the invites that were made from pages, each waiting in a task until somebody comes, or its end.

Flow: Inviting, what is offered -> a task: mailbox, code or file -> Invitation, its state -> pages
Never: lets more wait than there is room for, lets in by a space that was closed since, or outlasts `work`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.mailbox import Admitted, Offered, offered
from ropewalk.net import Endpoint
from ropewalk.pages.answers import Failure
from ropewalk.pages.names import shown
from ropewalk.pages.opened import Spaces
from ropewalk.pages.sessions import Session
from ropewalk.spaces.admission import Admission
from ropewalk.spaces.home import Home
from ropewalk.spaces.invites import Invites, JoinerKeys, NoInvite, Offer, OpenInvite, TooManyInvites, WrongCode
from ropewalk.spaces.members import Consent, Role
from ropewalk.spaces.space import Space

__all__ = ["Invitation", "Invitations", "Inviting", "NotInviting", "State"]

MOST_WAITING = 8  # of one node: each holds a connection to a mailbox
MOST_KNOWN = 50  # with those that have ended, whose end can still be looked at
SLACK = 5 * 10**9  # nanoseconds by which a mailbox may end a slot before we do
PATIENCE = 10.0  # seconds for a mailbox to answer, while a person looks at a page that does not come


class NotInviting(Unavailable):
    """Nothing is here that could wait for who is invited."""

    code = "pages.not-inviting"


@dataclass(frozen=True, slots=True)
class Inviting:
    """What it takes to invite.

    Attributes:
        home: Where the stores of the spaces are set up.
        invites: What this device's disk knows of invites.
        meeting: For open spaces a mailbox, for as long as it is wanted: as it is reached from here, and by others.
        elsewhere: The ways by which others reach stores, as for `Admission`; called in a thread.
    """

    home: Home
    invites: Invites
    meeting: Callable[[Sequence[Space]], AbstractAsyncContextManager[tuple[Endpoint, Sequence[str]]]]
    elsewhere: Callable[[], Mapping[str, Sequence[str]]] = dict


class State(StrEnum):
    """How an invite stands."""

    WAITING = "waiting"
    JOINED = "joined"
    WRONG = "wrong"  # somebody used another code
    FAILED = "failed"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    STOPPED = "stopped"  # with the pages


@dataclass(slots=True, eq=False)
class Invitation:
    """One invite.

    Attributes:
        session: Which is shown the code; None once it has left.
        spaces: Their names.
        role: Of a new member; None for one more device.
        name: What the new member is to be called; "" for what it calls itself.
        by_file: Whether it is handed over.
        ends: Nanoseconds since 1970.
        state: How it stands.
        told: The code, or the file.
        picture: The file as markup of a QR code; "" where it is too much for one.
        listens: Where this machine is the mailbox itself; "" where they meet elsewhere.
        said, hint: How it ended, for people.
    """

    session: Session | None
    spaces: Sequence[str]
    role: Role | None
    name: str
    by_file: bool
    ends: int
    state: State = State.WAITING
    told: Offered | None = field(default=None, repr=False)
    picture: str = field(default="", repr=False)  # as good as a key
    listens: str = ""
    said: str = ""
    hint: str = ""
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def id(self) -> bytes:
        """What this device calls it."""
        return self.told.id if self.told is not None else b""

    @property
    def used(self) -> bool:
        """Whether what was told is worth nothing any more."""
        return self.state is not State.WAITING or self.told is None or self.told.used


class Invitations:
    """Those of this process.

    Args:
        spaces: The open ones.
        inviting: None where nobody can be invited from here.
    """

    def __init__(self, spaces: Spaces, inviting: Inviting | None) -> None:
        self._spaces, self.inviting = spaces, inviting
        self._known: OrderedDict[bytes, Invitation] = OrderedDict()
        self._waiting: set[Invitation] = set()
        self._group: asyncio.TaskGroup | None = None

    async def work(self) -> None:
        """Let invites wait, until cancelled; then those that still do are void."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    def find(self, invite: bytes) -> Invitation | None:
        """One that was made here, also if it has ended a while ago."""
        return self._known.get(invite)

    def forget(self, session: Session) -> None:
        """A session ended: nobody is shown its codes any more."""
        for one in (*self._known.values(), *self._waiting):
            if one.session is session:
                one.session = None

    async def begin(self, one: Invitation) -> None:
        """Have it wait; when this returns, it can be told.

        Raises:
            NotInviting: The pages stop, or cannot.
            TooManyInvites: As many wait as may.
            RopewalkError: Somebody would be invited in vain.
        """
        if self.inviting is None or self._group is None:
            raise NotInviting("nobody can be invited from here now", hint="`ropewalk invite SPACE` does it")
        if len(self._waiting) >= MOST_WAITING:
            raise TooManyInvites(f"{MOST_WAITING} invites wait already", hint="withdraw one that is not needed")
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(one)
        one.task = self._group.create_task(self._work(self.inviting, one, ready), name="invite")

        def over(_: object) -> None:
            self._waiting.discard(one)
            if not ready.done():  # it was stopped, perhaps before it had begun
                ready.set_exception(NotInviting("these pages are being stopped", hint="try again once they are up"))

        one.task.add_done_callback(over)
        try:
            await ready
        except asyncio.CancelledError:  # nobody will ever see it
            one.task.cancel()
            raise

    async def withdraw(self, invite: bytes, space: Space) -> None:
        """Make one into this space void, whoever made it on this device.

        Raises:
            NotInviting: Nothing is known of invites here.
            CodeUsed, NoInvite: It is not open any more, or leads into other spaces.
        """
        if self.inviting is None:
            raise NotInviting("nothing is known of invites here", hint="`ropewalk invite --withdraw ID` does it")
        await asyncio.to_thread(self._burn, self.inviting.invites, invite, space)
        one = self._known.get(invite)
        if one is not None and one.task is not None and one.state is State.WAITING:
            one.state = State.WITHDRAWN
            one.task.cancel()

    @staticmethod
    def _burn(invites: Invites, invite: bytes, space: Space) -> None:
        if not _leads_into(invites.load(invite, space.core.device), space):
            raise NoInvite("this invite does not lead into this space", hint="the page of members lists those that do")
        invites.burn(invite)

    async def open(self, space: Space) -> list[OpenInvite]:
        """Those of this device into a space that are open, whichever process made them."""
        return await asyncio.to_thread(self._open, space) if self.inviting is not None else []

    def _open(self, space: Space) -> list[OpenInvite]:
        assert self.inviting is not None
        found = []
        for invite in self.inviting.invites.open_ids():
            try:
                one = self.inviting.invites.load(invite, space.core.device)
            except Exception as error:  # noqa: BLE001 - it is void, or not ours to read: there is nothing to be said of it
                Failure.of(error)
                continue
            if _leads_into(one, space):
                found.append(one)
        return found

    # -- one of them -----------------------------------------------------------------------------------------------

    async def _work(self, inviting: Inviting, one: Invitation, ready: asyncio.Future[None]) -> None:
        door: _Door | None = None
        try:
            spaces = [await self._spaces.open(name) for name in one.spaces]
            nonces = {space.core.space_id: os.urandom(16) for space in spaces} if one.role is not None else {}
            elsewhere = await asyncio.to_thread(inviting.elsewhere)
            admission = Admission(
                *(inviting.home, spaces, one.ends),
                role=one.role, name=one.name, nonces=nonces, elsewhere=elsewhere,
            )  # fmt: skip
            await admission.check_ready()  # nobody is given a code that would be used up for nothing
            offer, note, keys = admission.offer, admission.note, spaces[0].core.device
            seconds = (one.ends - time.time_ns()) / 1e9
            async with (
                inviting.meeting(spaces) as place,
                offered(
                    *(offer, note, inviting.invites, keys, place),
                    by_file=one.by_file, seconds=seconds, patience=PATIENCE,
                ) as told,
            ):  # fmt: skip
                if told.file is not None:
                    from ropewalk.spaces.invites.qr import inline

                    with suppress(ValueError):
                        one.picture = await asyncio.to_thread(inline, told.file.text())
                one.listens = place[1][0] if place[0].carrier == "memory" else ""
                one.told = told
                self._keep(one)
                if not ready.done():
                    ready.set_result(None)
                door = _Door(self._spaces, inviting, one.spaces, offer, note)
                done = await told.wait(door, max((one.ends - time.time_ns()) / 1e9, 0))
                one.said, one.hint = await self._joined(one, done, door)
                one.state = State.JOINED
        except asyncio.CancelledError:
            if one.state is State.WAITING:
                one.state = State.STOPPED
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and ends no other
            if not ready.done():
                ready.set_exception(error)
                return
            failure = Failure.of(error)
            one.said, one.hint = failure.message, failure.hint
            if door is not None and (names := await self._in(one, door)):
                one.hint = f"Who came is in {', '.join(names)} all the same: the members there show it. {one.hint}"
            if one.state is State.WAITING:
                one.state = _end_of(one, error)
        finally:
            one.picture = ""

    def _keep(self, one: Invitation) -> None:
        self._known[one.id] = one
        for known in [each for each in self._known.values() if each not in self._waiting]:
            if len(self._known) <= MOST_KNOWN:
                break
            del self._known[known.id]

    async def _joined(self, one: Invitation, done: Admitted, door: _Door) -> tuple[str, str]:
        device, said = done.joiner.device.id, []
        for name in one.spaces:
            try:
                space = await self._spaces.open(name)
            except RopewalkError:  # it was closed since; who was let in is in
                who = shown(done.joiner.name or "somebody")
                said.append(f"{who} is in {shown(name)} now, with {shown(done.joiner.device_name)}.")
                continue
            person = next((each for each in space.people() if any(own.id == device for own in each.machines)), None)
            called = person.called if person is not None else done.joiner.name
            role = f", as {person.role.name.lower()}" if person is not None else ""
            again = space.core.space_id in door.already
            said.append(
                f"{shown(called)} is in {shown(name)} {'already' if again else 'now'}{role}, with"
                f" {shown(done.joiner.device_name)}{': what it needs was given again' if again else ''}."
            )
        hint = "" if done.told else (
            "The other machine did not say that it has all that it needs: if it stopped before that, invite it again"
            " with the same role; it is not let in twice."
        )  # fmt: skip
        return " ".join(said), hint

    async def _in(self, one: Invitation, door: _Door) -> list[str]:
        """The spaces in which who came is, though not all was done."""
        names = []
        for name in one.spaces if door.joiner is not None else ():
            try:
                state = (await self._spaces.open(name)).core.membership.state
            except RopewalkError:
                continue
            if door.joiner is not None and state.role_of(door.joiner.device.id) is not None:
                names.append(shown(name))
        return names


class _Door:
    """Lets in by the spaces as they are open when somebody comes: they may have been opened anew (an `Admit`)."""

    def __init__(self, spaces: Spaces, inviting: Inviting, names: Sequence[str], offer: Offer, note: bytes) -> None:
        self._spaces, self._inviting, self._names, self._offer, self._note = spaces, inviting, names, offer, note
        self.already: set[bytes] = set()
        self.joiner: JoinerKeys | None = None

    @property
    def offer(self) -> Offer:
        """What is offered."""
        return self._offer

    async def admit(self, joiner: JoinerKeys, consent: Consent) -> bytes:
        """Let these keys in; see `Admission.admit`."""
        spaces = [await self._spaces.open(name) for name in self._names]
        elsewhere = await asyncio.to_thread(self._inviting.elsewhere)
        admission = Admission.again(self._inviting.home, spaces, self._offer, self._note, elsewhere)
        self.joiner = joiner
        grants = await admission.admit(joiner, consent)
        self.already = admission.already
        return grants


def _leads_into(one: OpenInvite, space: Space) -> bool:
    return any(into.space == space.core.space_id for into in one.read_offer().spaces)


def _end_of(one: Invitation, error: Exception) -> State:
    if isinstance(error, WrongCode):
        return State.WRONG
    unused = one.told is not None and not one.told.used
    if unused and time.time_ns() >= one.ends - SLACK:
        return State.EXPIRED
    return State.FAILED
