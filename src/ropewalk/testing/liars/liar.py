"""The liar: a store that answers as a lie tells it to, and keeps account of which lies were told and taken.

Beneath it lies a store that does all it is asked to, so that the truth is always at hand: an answer is a lie where it
is not what that store says.  A lie is *served* when such an answer was made, and *consumed* when the caller had it: the
call was not cancelled, and of a listing the caller took the false name, or came to the end of one that left names out.

Flow: a space -> Liar -> Lie -> the store that keeps everything; Account <- what was served and consumed
Never: lies while it is switched off; then it is the store beneath.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar, Self, TypeVar

from ropewalk.errors import RopewalkError
from ropewalk.spaces.store import Listed, NoSuchObject, ObjectName, Parts, Room, Store, wait_changed

__all__ = ["ENOUGH", "KINDS", "Account", "Inside", "Liar", "Lie", "Place", "kind_of"]

ENOUGH = 2_000  # false names in one listing, after which whoever still asks for more has no bound
LISTINGS = 20  # that an operation may take so many names of
KINDS = ("record", "head", "share", "hint", "other")

_KIND_OF = {(3, "records"): "record", (4, "heads"): "head", (3, "packs"): "share", (3, "hints"): "hint"}
_T = TypeVar("_T")


def kind_of(name: str) -> str:
    """What a name is the name of, as far as its form tells."""
    parts = name.split("/")
    return _KIND_OF.get((len(parts), parts[1]), "other") if len(parts) > 1 else "other"


@dataclass(slots=True)
class Account:
    """What a liar got away with, counted by call and kind of object: ``get head``, ``list``, ``put share``."""

    served: Counter[str] = field(default_factory=Counter)
    consumed: Counter[str] = field(default_factory=Counter)
    names: int = 0  # false ones given
    unbounded: bool = False  # they were more than anybody should take

    def told(self, what: str) -> None:
        """A lie that was served and consumed in one."""
        self.served[what] += 1
        self.consumed[what] += 1


def no_beat(_count: int, _time: int) -> bytes:
    """What somebody can say of heads who has no keys: nothing."""
    return b""


@dataclass(frozen=True, slots=True)
class Inside:
    """What a teller has from devices that help it: one that was put out, and one that still belongs.

    Attributes:
        records: Names of records that are truly there, by what they do: "level", "add", "remove", "epoch".
        made: Objects that these devices signed for it, by what they are for.
        beat: A bulletin with this count and time that names heads which are nowhere, signed by a device that belongs.
        marks: First digits of the ids of the device that still belongs: a user who is told of it knows who lies.
    """

    records: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    beat: Callable[[int, int], bytes] = no_beat
    marks: tuple[str, ...] = ()


@dataclass(slots=True)
class Place:
    """Where a lie is told, and what its teller knows.

    Attributes:
        truth: The store that keeps everything.
        chance: By the seed.
        sleep: Waits so many seconds.
        now: Nanoseconds since 1970.
        space: The space it lies about, in hex; nothing else is lied about.
        past: Objects that it held some time ago.
        deleted: Objects that it was told to delete.
        foreign: Objects of another space, under the names they would have in this one.
        forged: Objects of this space that an enemy without its keys has made up, by their names.
        inside: What it has from devices that help it.
        authors: Which client put which object.
        account: What was told and taken, of all who lie together.
        lying: Switches the lie on and off.
        enough: False names that anybody may take of one listing; who takes more has no bound.
        store: Its name, where several tell a lie and not all of them the same.
    """

    truth: Store
    chance: random.Random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], int] = lambda: 0
    space: str = ""
    past: Mapping[str, bytes] = field(default_factory=dict)
    deleted: dict[str, bytes] = field(default_factory=dict)
    foreign: Mapping[str, bytes] = field(default_factory=dict)
    forged: Mapping[str, bytes] = field(default_factory=dict)
    inside: Inside = field(default_factory=Inside)
    authors: dict[str, str] = field(default_factory=dict)
    account: Account = field(default_factory=Account)
    lying: bool = False
    enough: int = ENOUGH
    store: str = ""


class Lie:
    """One way of lying; by itself it tells the truth.  A kind of lie overrides what it says otherwise.

    What it remembers from call to call is in containers that all its clients share.  The first line of its docstring is
    what the table of lies says of it.

    Attributes:
        number: Its number in the table of lies.
        name: Its name there; those of D24 have the words of D24.
        spoils: It does not give back what it took: who reads every byte must find that.
        all_alike: All stores tell it together.
        tellers: These stores tell it together, where it is neither one nor all.
        told_of: Words of which a user has to hear some, whatever else he hears; else the name of any that tells it.
        may_show_past: Where all tell it, a device without memory may be shown an old state.
        by_device: A device that belongs lies too: what it does afterwards may be refused.
        by_clock: The machine's own clock tells it: by a leap ahead, what was heard is old.
        by_mailbox: No store tells it: it is tried where there is a mailbox.
    """

    number: ClassVar[str] = ""
    name: ClassVar[str] = ""
    spoils: ClassVar[bool] = False
    all_alike: ClassVar[bool] = False
    tellers: ClassVar[tuple[str, ...]] = ()
    told_of: ClassVar[tuple[str, ...]] = ()
    may_show_past: ClassVar[bool] = False
    by_device: ClassVar[bool] = False
    by_clock: ClassVar[bool] = False
    by_mailbox: ClassVar[bool] = False

    def __init__(self, place: Place) -> None:
        self.place = place
        self.client = ""

    async def begin(self) -> None:
        """From here on it is told."""

    async def end(self) -> None:
        """It is told no more from here on."""

    # What it says lies in the store: most lies are one of these two.

    async def shown(self, name: ObjectName) -> bytes | None:
        """The object under a name."""
        return await self.kept(name)

    async def names(self, prefix: str) -> Iterable[Listed]:
        """The names under a prefix, in the order in which they are given."""
        return [listed async for listed in self.place.truth.list(prefix)]

    # The calls.

    async def put(self, name: ObjectName, data: bytes) -> None:
        await self.place.truth.put(name, [data])

    async def replace(self, name: ObjectName, data: bytes) -> None:
        await self.place.truth.replace(name, [data])

    async def get(self, name: ObjectName, offset: int, length: int | None) -> bytes:
        whole = await self.shown(name)
        if whole is None:
            raise NoSuchObject(f"no object {name}")
        return whole[offset:] if length is None else whole[offset : offset + length]

    async def list(self, prefix: str, after: str) -> AsyncIterator[Listed]:
        for listed in await self.names(prefix):
            if listed.name > after:
                yield listed

    async def delete(self, name: ObjectName) -> None:
        await self.place.truth.delete(name)

    async def room(self) -> Room | None:
        return await self.place.truth.room()

    # What is lied about outside of the calls.

    def time(self, true: int) -> int:
        """What the machine says the time is, in nanoseconds since 1970."""
        return true

    def answers_to(self, identity: bytes) -> bytes:
        """The identity that it shows to whoever opens the store that has this one."""
        return identity

    def carried(self, side: str, message: bytes) -> Sequence[tuple[str, bytes]]:
        """What comes to whom of the two sides of a mailbox, "inviter" and "joiner", when one of them says this."""
        return [("joiner" if side == "inviter" else "inviter", message)]

    # For the kinds of lie.

    async def kept(self, name: ObjectName) -> bytes | None:
        """What truly lies under a name."""
        try:
            return await self.place.truth.get(name)
        except NoSuchObject:
            return None

    async def wait(self, what: str, seconds: float) -> None:
        """Let the caller wait; it has consumed that as soon as any time went by."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        self.place.account.served[what] += 1
        try:
            await self.place.sleep(seconds)
        finally:
            if loop.time() > started:
                self.place.account.consumed[what] += 1


class Liar:
    """A store that tells one lie.

    Args:
        place: Where it stands.
        lie: Which.
    """

    def __init__(self, place: Place, lie: Lie) -> None:
        self.place, self.lie = place, lie

    @property
    def account(self) -> Account:
        """What was served and consumed so far."""
        return self.place.account

    def to(self, client: str) -> Self:
        """The same store, as one of its clients meets it."""
        twin = copy.copy(self)
        twin.lie = copy.copy(self.lie)
        twin.lie.client = client
        return twin

    async def put(self, name: ObjectName, parts: Parts) -> None:
        if not self._lies_about(name):
            await self.place.truth.put(name, parts)
        else:
            await self.lie.put(name, b"".join(parts))
        self.place.authors.setdefault(name, self.lie.client)

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        for name, parts in objects:
            await self.put(name, parts)

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        if not self._lies_about(name):
            await self.place.truth.replace(name, parts)
        else:
            await self.lie.replace(name, b"".join(parts))

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        """As `Tells.wait_changed`."""
        return await wait_changed(self.place.truth, name, mark)

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        if not self._lies_about(name):
            return await self.place.truth.get(name, offset, length)
        told = await _outcome(self.lie.get(name, offset, length))
        if not _same(told, await _outcome(self.place.truth.get(name, offset, length))):
            self.account.told(f"get {kind_of(name)}")
        return _answer(told)

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        if not self._lies_about(prefix) or self.account.unbounded:  # then enough is known
            async for listed in self.place.truth.list(prefix, after):
                yield listed
            return
        truth = [listed async for listed in self.place.truth.list(prefix, after)]
        given = 0
        async for listed in self.lie.list(prefix, after):
            if given >= len(truth) or truth[given] != listed:
                self.account.served["list"] += 1
                self.account.names += 1
                most = self.place.enough
                self.account.unbounded = given > most or self.account.names > LISTINGS * most
                try:
                    yield listed
                finally:  # whether more is asked for or not: it was taken
                    self.account.consumed["list"] += 1
            else:
                yield listed
            given += 1
            if self.account.unbounded:
                return
        if given < len(truth):
            self.account.told("list")

    async def delete(self, name: ObjectName) -> None:
        with suppress(NoSuchObject):
            self.place.deleted.setdefault(name, await self.place.truth.get(name))
        if self._lies_about(name):
            await self.lie.delete(name)
        else:
            await self.place.truth.delete(name)

    async def room(self) -> Room | None:
        return await (self.lie.room() if self.place.lying else self.place.truth.room())

    async def aclose(self) -> None:
        await self.place.truth.aclose()

    def _lies_about(self, name: str) -> bool:
        return self.place.lying and (name.startswith(self.place.space) or self.place.space.startswith(name))


async def _outcome(call: Awaitable[_T]) -> _T | RopewalkError:
    try:
        return await call
    except RopewalkError as error:
        return error


def _same(one: bytes | RopewalkError, other: bytes | RopewalkError) -> bool:
    if isinstance(one, RopewalkError) or isinstance(other, RopewalkError):
        return type(one) is type(other)
    return one == other


def _answer(told: bytes | RopewalkError) -> bytes:
    if isinstance(told, RopewalkError):
        raise told
    return told
