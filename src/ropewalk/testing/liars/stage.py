"""The stage: one prepared space, copied for each lie and operation, with its liars, its clients and what is true.

Flow: Prepared -> Stage -> Space (warm, behind or cold) over liars -> what it did and said
Never: waits for real time, or lets one run see what another did.
"""

from __future__ import annotations

import asyncio
import copy
import random
import re
import shutil
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ropewalk.spaces.check import check
from ropewalk.spaces.head import HeadName, open_head
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.keys import EpochUnknown, KeyRing
from ropewalk.spaces.members import Membership, NotAMember, Role, open_ring
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import State
from ropewalk.spaces.store import MemoryStore, ObjectName, Parts, Store, StoreGone
from ropewalk.spaces.version import Version
from ropewalk.testing.faults import Fault, FaultStore, Rule
from ropewalk.testing.liars.liar import Account, Inside, Liar, Lie, Place

__all__ = [
    "BOB",
    "CAROL",
    "DEVICE",
    "PAPER_KEY",
    "STORES",
    "Prepared",
    "Shelf",
    "Stage",
    "Wrong",
    "contents",
    "identity_of",
]

STORES = ("d0", "d1", "d2", "d3", "d4")
DEVICE = DeviceKeys(bytes(range(32)))  # of who made the space
PAPER_KEY = DeviceKeys(bytes(range(32, 64)), PAPER)
BOB = DeviceKeys(bytes(range(96, 128)))  # of a member that writes
CAROL = DeviceKeys(bytes(range(128, 160)))  # of an admin that was put out
SLOW = 3.0  # seconds; longer than a reader lingers who has been told enough
NEVER = 1e12  # seconds between two payments in the background: a scenario says when
_CONFLICT = re.compile(r" \(conflict [^)]*\)")  # what the view puts into the name of what clashes
START = 1_700_000_000 * 10**9  # nanoseconds since 1970


def identity_of(store: str) -> bytes:
    """The marker id of one of the stores."""
    return bytes((STORES.index(store) + 1,)) * 16


class Wrong(AssertionError):
    """What came back is not what was acknowledged, or what was said is not so."""


class Shelf(MemoryStore):
    """A store in memory that stays when a space is closed, can be copied, and remembers what it was told to delete."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, bytes] = {}
        self.deleted: dict[str, bytes] = {}

    async def put(self, name: ObjectName, parts: Parts) -> None:
        await super().put(name, parts)
        self.held[name] = b"".join(parts)

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        await super().replace(name, parts)
        self.held[name] = b"".join(parts)

    async def delete(self, name: ObjectName) -> None:
        await super().delete(name)
        if (gone := self.held.pop(name, None)) is not None:
            self.deleted[name] = gone

    async def aclose(self) -> None:
        """It stays."""

    def copied(self) -> Shelf:
        """Another one that holds the same."""
        twin = copy.copy(self)
        for name, value in vars(self).items():  # to put all again takes a tenth of the time of a run
            if isinstance(value, dict | set):
                setattr(twin, name, copy.copy(value))
        return twin


@dataclass
class Prepared:
    """A space with a history, from which each run starts.

    Attributes:
        folder: Holds the homes: ``warm`` knows all, ``behind`` what was some time ago, ``paper`` and ``bob`` are other
            devices'.
        shelves: The stores.
        past: What the stores held some time ago.
        foreign: Objects of another space, by store, under names of this one.
        forged: What an enemy made up without a key of the space.
        files: Path to content, now.
        before: The same, some time ago.
        version: The hash of the head of that time.
        inside: What a liar has from devices that help it.
        people: Devices that belong now, with what they may do.
        refused: Contents that may come back: of changes that were refused, and of a device that says two things.
        seen: Stores that may be gone: from the others, as they were prepared, a device without memory has read all.
    """

    folder: Path
    space: str
    shelves: dict[str, Shelf]
    past: Mapping[str, Mapping[str, bytes]]
    foreign: Mapping[str, Mapping[str, bytes]]
    forged: Mapping[str, bytes]
    files: dict[str, bytes]
    before: dict[str, bytes]
    version: str
    inside: Inside
    people: Mapping[bytes, Role]
    refused: frozenset[bytes]
    seen: set[frozenset[str]] = field(default_factory=set)


@dataclass
class Stage:
    """One run.

    Attributes:
        files: What was acknowledged: path to content.
        may_be: Contents that may be there too: of changes that were refused.
        said: All that a user was told.
        gone: Stores that are not there.
        slow: Honest stores that take their time to list.
        around: What the client's process puts around an honest store.
        spared: More of them that could be lost, by what was said, beside the liar.
        people: Devices that belong, with what they may do.
        out: Devices that were put out, and must not read what was written since.
    """

    prepared: Prepared
    folder: Path
    liars: dict[str, Liar]
    shelves: dict[str, Shelf]
    files: dict[str, bytes]
    may_be: set[bytes]
    said: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    spared: set[str] = field(default_factory=set)
    people: dict[bytes, Role] = field(default_factory=dict)
    out: list[DeviceKeys] = field(default_factory=lambda: [CAROL])
    skew: int = 0  # nanoseconds
    name: str = "photos"
    opened: int = 0
    around: Callable[[Store], Store] = lambda store: store
    clock: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)

    @classmethod
    async def set(
        cls, prepared: Prepared, folder: Path, lie: type[Lie], tellers: Collection[str], seed: int = 0
    ) -> Stage:
        """A copy of what was prepared, with liars in some places."""
        shelves = {name: shelf.copied() for name, shelf in prepared.shelves.items()}
        stage = cls(prepared, folder, {}, shelves, dict(prepared.files), set(prepared.refused))
        stage.people = dict(prepared.people)
        account = Account()
        for name in tellers:
            place = Place(
                shelves[name],
                random.Random(seed),  # noqa: S311 - repeatable, not secret
                asyncio.sleep,
                stage.wall,
                prepared.space,
                prepared.past[name],
                dict(shelves[name].deleted),
                prepared.foreign[name],
                prepared.forged,
                prepared.inside,
                account=account,
                store=name,
            )
            stage.liars[name] = Liar(place, lie(place))
        return stage

    @property
    def account(self) -> Account:
        """Of all liars together."""
        return next(iter(self.liars.values())).account

    def wall(self) -> int:
        """What time it truly is, in nanoseconds since 1970."""
        return START + self.skew + int(self.clock() * 1e9)

    def now(self) -> int:
        """What time the client's machine says it is."""
        for liar in self.liars.values():
            if liar.place.lying:
                return liar.lie.time(self.wall())
        return self.wall()

    async def begin(self) -> None:
        """From here on the liars lie, and 40 days later."""
        self.skew += 40 * 24 * 3600 * 10**9
        self.said.clear()  # what was said before is about something else
        for liar in self.liars.values():
            await liar.lie.begin()
            liar.place.lying = True

    async def end(self, *, leave: bool) -> None:
        """The liars lie no more; they leave, or tell the truth."""
        for name, liar in self.liars.items():
            await liar.lie.end()
            liar.place.lying = False
            if leave:
                self.gone.add(name)

    @property
    def as_prepared(self) -> bool:
        """Whether the stores that are there hold what they did at first, and nothing else was acknowledged."""
        before = self.prepared
        return (self.name, self.files, self.people) == ("photos", before.files, before.people) and all(
            self.shelves[name].held == before.shelves[name].held for name in STORES if name not in self.gone
        )

    def home(self, name: str) -> Home:
        """A home of this run: one that was prepared, or a new one that knows where the stores are."""
        home = Home(self.folder / name / "config", self.folder / name / "state")
        if not (self.folder / name).exists():
            prepared = self.prepared.folder / name
            if prepared.exists():
                shutil.copytree(prepared, self.folder / name)
            else:
                warm = self.home("warm").load()
                home.update(lambda _: warm)
        return home

    async def open_store(self, client: str, path: str, identity: bytes) -> Store:
        """A store, as one client meets it; it must have the identity."""
        if path in self.gone:
            raise StoreGone(f"store {path} is gone")
        if (liar := self.liars.get(path)) is None:
            if path not in self.slow:
                return self.around(self.shelves[path])
            return FaultStore(
                self.shelves[path],
                Rule(Fault.DELAY, on={"list"}, name=_is_of_records, seconds=SLOW),
                sleep=asyncio.sleep,
            )
        shown = liar.lie.answers_to(identity) if liar.place.lying else identity
        if shown != identity:
            raise StoreGone(f"store {path} is another: got {shown.hex()[:8]}, expected {identity.hex()[:8]}")
        return liar.to(client)

    @asynccontextmanager
    async def open(self, home: str = "warm", device: DeviceKeys = DEVICE) -> AsyncIterator[Space]:
        """The space; what it warns of is noted."""

        async def open_store(path: str, identity: bytes) -> Store:
            return await self.open_store(home, path, identity)

        space = await open_space(
            self.home(home),
            self.name,
            device,
            clock=self.clock,
            now=self.now,
            threads=1,
            open_store=open_store,
            pay_every=NEVER,
        )
        try:
            async with space:
                yield space
        finally:
            self.said += space.warnings

    def fresh(self) -> str:
        """The name of a home without memory."""
        self.opened += 1
        return f"cold{self.opened}"

    async def audit(self, space: Space) -> bool:
        """A check of every byte: whether it found nothing wrong.

        Raises:
            Wrong: It did not, though it was lied to by who does not give back what he took.
        """
        before = self.account.consumed.total()
        report = await check(space.core, everything=True)
        self.said += report.lines
        lied_to = self.account.consumed.total() > before
        if report.ok and lied_to and any(liar.lie.spoils for liar in self.liars.values()):
            raise Wrong("a check of every byte found nothing wrong")
        return report.ok

    def found(self, space: Space) -> dict[bytes, Role]:
        """Devices that belong to an open space, by what it knows."""
        state = space.core.membership.state
        return {device: role for device in state.devices if (role := state.role_of(device))}

    async def expect_people(self, space: Space) -> None:
        """Whoever belongs does so here, nobody else does, and who was put out cannot read what was written last here.

        Raises:
            Wrong.
        """
        membership, found = space.core.membership, self.found(space)
        if found != self.people:
            raise Wrong(f"these belong: {_named(found)}, expected {_named(self.people)}")
        newest = await space.core.ledger.do(State.newest_head, space.core.writer_id)
        name = HeadName.decode(newest.name) if newest is not None else None  # another's may be by who did not know it
        for keys in self.out:
            if name is None or (ring := _opened(membership, keys)) is None:
                continue
            data = await space.core.pool.get_any(name.encode(), name.fits)
            try:
                open_head(data, name, membership, ring)
            except EpochUnknown:
                continue
            raise Wrong(f"device {keys.public().id.hex()[:8]} was put out and reads the newest head")

    async def expect(self, version: Version, files: Mapping[str, bytes] | None = None) -> None:
        """All that was acknowledged is in a version, byte for byte, and nothing that nobody wrote.

        What came back of a change that was refused may be there too, beside what it clashes with.

        Raises:
            Wrong.
        """
        expected = self.files if files is None else files
        found: dict[str, set[bytes]] = {}
        for path, data in (await contents(version)).items():
            found.setdefault(_CONFLICT.sub("", path), set()).add(data)
        for path, data in expected.items():
            if data not in found.get(path, set()):
                raise Wrong(f"{path} is {_words(found.get(path))}, expected {_words({data})}")
        for path, several in found.items():
            if false := several - {expected.get(path, b"")} - self.may_be:
                raise Wrong(f"{path} is there ({_words(false)}), and was removed or never written")


async def contents(version: Version, *, read: bool = True) -> dict[str, bytes]:
    """All files of a version, or their names alone."""
    found: dict[str, bytes] = {}
    folders = [""]
    while folders:
        folder = folders.pop()
        async for info in version.list(folder):
            path = f"{folder}/{info.path}".lstrip("/")
            if info.kind == "folder":
                folders.append(path)
            else:
                found[path] = await version.read(path) if read else b""
    return found


def _is_of_records(name: str) -> bool:
    return "/records/" in name


def _opened(membership: Membership, keys: DeviceKeys) -> KeyRing | None:
    try:
        return open_ring(membership.epochs, keys).ring
    except NotAMember:
        return None


def _named(people: Mapping[bytes, Role]) -> str:
    return ", ".join(f"{device.hex()[:8]} ({role.name.lower()})" for device, role in sorted(people.items()))


def _words(several: set[bytes] | None) -> str:
    return " and ".join(f"{len(data)} bytes from {data[:12]!r}" for data in sorted(several)) if several else "not there"
