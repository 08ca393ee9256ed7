"""Devices of a space, cloned, parted, put out, their keys stolen: in the end all show the same, and all of it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.errors import Misuse, Refused, Unavailable
from ropewalk.spaces.chunk import Reference
from ropewalk.spaces.head import MemberLayer, StewardLayer, seal_head
from ropewalk.spaces.home import Home, Settings, SpaceSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.learning import due_proofs, learn, look, send_record
from ropewalk.spaces.members import Role
from ropewalk.spaces.members.authoring import Author
from ropewalk.spaces.members.wraps import deliver
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import QUARANTINED, State
from ropewalk.spaces.store import Store
from ropewalk.testing.faults import FaultStore
from ropewalk.testing.letting_in import consents
from tests.spaces.making import World, a_space, device

DEVICES = 3


@dataclass
class Machine:
    """One installation: a home and the space that it has open."""

    home: Home
    keys: DeviceKeys
    space: Space | None = None
    stores: dict[str, FaultStore] = field(default_factory=dict)  # as it sees them
    away: str = ""  # the one that it does not reach

    def reach(self, away: str = "") -> None:
        """Reach all stores but one."""
        self.away = away
        for name, store in self.stores.items():
            store.gone = name == away


@dataclass
class Group:
    """Installations over the same stores, and what was acknowledged to any of them."""

    world: World
    root: Path
    machines: list[Machine] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)  # file -> the name of the head that wrote it
    removed: set[str] = field(default_factory=set)
    guilty: set[bytes] = field(default_factory=set)  # devices that signed two histories, as far as anybody can tell
    made: int = 0

    @classmethod
    async def make(cls, root: Path) -> Group:
        """A space of one member with three devices, all of which know it."""
        world = await a_space(root / "first")
        group = cls(world, root)
        group.machines.append(Machine(world.home, device()))
        async with world.open() as space:
            core = space.core
            if core.membership.feature < 2:
                await send_record(core, *Author(core.membership, device(), core.incarnation, world.now()).level())
            for number in range(1, DEVICES):
                keys = DeviceKeys(bytes((number,)) * 32)
                wraps = [deliver(core.membership.epochs, core.keys, keys.public(), Role.ADMIN)]
                author = Author(core.membership, device(), core.incarnation, world.now())
                agreed = consents(core.space_id, core.membership.state.devices[device().public().id], 0, [keys])
                await send_record(core, *author.device(keys.public(), b"", wraps, consents=agreed))
                group.machines.append(Machine(group.home_of(f"machine{number}"), keys))
        return group

    def home_of(self, name: str) -> Home:
        """A home that has the same stores and the same space."""
        home = Home(self.root / name / "config", self.root / name / "state")
        known = self.world.home.load()
        spaces = {"photos": SpaceSetting(known.spaces["photos"].id, known.spaces["photos"].stores)}

        def settings(one: Settings) -> Settings:
            return msgspec.structs.replace(one, stores=known.stores, spaces=spaces)

        home.update(settings)
        return home

    async def open(self, machine: Machine) -> Space:
        """Its space, which stays open: from then on it sees others' work only when it looks."""

        async def open_store(path: str, identity: bytes) -> Store:
            machine.stores[path] = FaultStore(await self.world.open_store(path, identity))
            machine.stores[path].gone = path == machine.away
            return machine.stores[path]

        if machine.space is None:
            machine.space = await open_space(
                machine.home,
                "photos",
                machine.keys,
                clock=self.world.clock,
                now=self.world.now,
                threads=1,
                open_store=open_store,
                pay_every=3600,
            )
        return machine.space

    async def close(self, machine: Machine) -> None:
        if machine.space is not None:
            await machine.space.aclose()
            machine.space = None

    async def step(self, what: str, who: int) -> None:
        machine = self.machines[who % len(self.machines)]
        if what == "close":
            await self.close(machine)
        elif what == "clone" and len(self.machines) < 2 * DEVICES:
            await self.close(machine)
            folder = machine.home.space_folder(machine.home.space("photos").id)
            copy = Machine(self.home_of(f"clone{len(self.machines)}"), machine.keys)
            shutil.copytree(folder, copy.home.space_folder(copy.home.space("photos").id), dirs_exist_ok=True)
            self.machines.append(copy)
            self.guilty.add(machine.keys.public().id)
            await self.open(machine)
            await self.open(copy)
        elif what == "look":
            await look((await self.open(machine)).core)
        elif what == "write":
            await self._write(await self.open(machine))
        elif what == "remove":
            await self._remove(await self.open(machine))
        elif what == "part":
            machine.reach(f"d{who % 5}")
            self.world.clock.seconds += 100
        elif what == "tend":
            await self._group(machine)
        elif what == "revoke":
            await self._group(machine, self.machines[(who // DEVICES + who + 1) % DEVICES])
        elif what == "forge":
            await self._forge(machine)

    async def _group(self, machine: Machine, other: Machine | None = None) -> None:
        """See to what is due; and put a device out before that."""
        space = await self.open(machine)
        try:
            async with space.group() as group:
                if other is not None and other.keys.public().id != machine.keys.public().id:
                    await group.revoke(other.keys.public().id)
        except (Refused, Misuse):
            return  # it does not belong any more, or the other one does not

    async def _forge(self, machine: Machine) -> None:
        """Who has stolen the keys signs the newest head anew, otherwise, and shows it to everybody."""
        core = (await self.open(machine)).core
        last = await core.ledger.do(State.newest_head, core.writer_id)
        if last is None:
            return
        self.guilty.add(machine.keys.public().id)
        before = await core.ledger.do(State.head_hashed, last.previous)
        vector = before.vector if before is not None else {}  # what it leaves out it has not seen: it removes nothing
        seen = {writer: item for writer, item in vector.items() if writer != last.writer}
        root = Reference.decode(before.root) if before is not None and before.root else None
        name, data = seal_head(
            incarnation=core.incarnation,
            sequence=last.sequence,
            previous=last.previous,
            steward=StewardLayer(
                epoch=core.keys.number, packs=[], roots=[root.id] if root else [], owed=0, debt=[], heads=[]
            ),
            member=MemberLayer(core.keys.number, list(last.frontier), seen, root, 0, 7, f"forged {self.made}"),
            embedded=b"",
            device=core.device,
            keys=core.keys,
            feature=last.feature,
        )
        self.made += 1
        for store in self.world.stores.values():
            await store.put(name.encode(), [data])

    async def _write(self, space: Space) -> None:
        self.made += 1
        path, data = f"f{self.made}", b"%d" % self.made * 300
        try:
            outcome = await space.write(path, data)
        except (Refused, Unavailable):
            return  # a device that is frozen, which an admin has to thaw; or one that was put out
        assert outcome is not None
        self.files[path], self.heads[path] = data, outcome.head.name

    async def _remove(self, space: Space) -> None:
        there = [info.path async for info in space.list()]
        if not there:
            return
        path = min(there)
        try:
            await space.remove(path)
        except (Refused, Unavailable):
            return
        self.removed.add(path)

    async def heal(self) -> None:
        """Everybody looks through everything, as each tenth look does; then all must show the same."""
        self.world.clock.seconds += 100
        for machine in self.machines:
            machine.reach()
            await learn((await self.open(machine)).core, everything=True)
        views = []
        late: set[str] = set()  # heads of devices that are frozen or gone, past what others knew of them
        gone: set[bytes] = set()
        for machine in self.machines:
            space = await self.open(machine)
            space._current = None  # the look was behind its back
            state = space.core.membership.state
            assert state == (await self.open(self.machines[0])).core.membership.state, "all know who belongs"
            gone = {one.keys.public().id for one in self.machines} - state.devices.keys()
            aside = await space.core.ledger.do(State.set_aside)
            if machine.keys.public().id in gone:
                continue  # what is new is sealed for others
            shown = {info.path: await space.read(info.path) async for info in space.list()}
            views.append(shown)
            assert not [head for head in aside if head.state != QUARANTINED], "nobody honest is refused"
            assert {head.device for head in aside} <= self.guilty | gone, "and only heads past a cut are set aside"
            late |= {head.name for head in aside}
        kept = {
            path: data for path, data in self.files.items() if path not in self.removed and self.heads[path] not in late
        }
        for shown in views:
            assert {path: shown.get(path) for path in kept} == kept, "what was acknowledged is there"
            assert shown == views[0], "all show the same"
            if not late:
                assert not self.removed & shown.keys(), "what was removed stays so: nobody wrote it anew"

    async def settle(self) -> None:
        """All that is due is done, one after the other, until nothing is; then nobody who is gone reads on."""
        for _ in range(4):
            for machine in self.machines:
                machine.reach()
                await learn((await self.open(machine)).core, everything=True)
                await self._group(machine)
        for machine in self.machines:
            core = (await self.open(machine)).core
            if core.device.public().id in core.membership.state.devices:
                assert not core.membership.epochs.due
                assert not await due_proofs(core)
                assert core.keys.current == core.membership.epochs.current.hash


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "write", "look", "remove", "close", "clone"]),
        st.integers(0, 2 * DEVICES - 1),
    ),
    max_size=16,
)


@pytest.mark.slow
@settings(max_examples=12)
@given(STEPS)
def test_devices_that_write_apart_agree_when_they_meet(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_run(steps))


WILD = st.lists(
    st.tuples(
        st.sampled_from(
            ["write", "write", "write", "look", "look", "remove", "close", "clone", "part", "tend", "revoke", "forge"]
        ),
        st.integers(0, 2 * DEVICES - 1),
    ),
    max_size=14,
)


@pytest.mark.slow
@settings(max_examples=12)
@given(WILD)
def test_whatever_becomes_of_devices_those_that_belong_agree(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_run(steps, settled=True))


async def _run(steps: list[tuple[str, int]], *, settled: bool = False) -> None:
    with tempfile.TemporaryDirectory() as folder:
        group = await Group.make(Path(folder))
        async with AsyncExitStack() as stack:
            for what, who in steps:
                await group.step(what, who)
            await group.heal()
            if settled:
                await group.settle()
                await group.heal()
            for machine in group.machines:
                stack.push_async_callback(group.close, machine)


async def test_a_clone_and_its_original_write_at_once_and_nothing_of_either_is_lost() -> None:
    """The shortest story with a fork: both hold a space open, and neither looks before it writes."""
    await _run([("write", 0), ("clone", 0), ("write", 0), ("write", 3), ("write", 1), ("write", 0)])


async def test_a_removal_that_leaves_what_one_of_two_heads_has_is_a_change() -> None:
    """What is left is the very tree of the newer head, and still the other one's file is to be gone."""
    await _run([("look", 0), ("write", 1), ("write", 0), ("look", 0), ("remove", 0)])


async def test_what_a_thief_of_keys_signs_stands_beside_and_takes_nothing_away() -> None:
    await _run([("write", 1), ("write", 0), ("forge", 0), ("look", 1), ("tend", 1), ("write", 2)], settled=True)


async def test_a_device_that_is_put_out_while_it_sees_other_stores_loses_only_what_nobody_saw() -> None:
    steps = [("write", 0), ("look", 1), ("write", 1), ("look", 0), ("part", 1), ("write", 1), ("revoke", 0)]
    await _run([*steps, ("write", 1), ("write", 0), ("look", 1), ("write", 1)], settled=True)
