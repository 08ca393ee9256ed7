"""Two devices that work offline while stores come and go: nothing that was queued is lost, and nobody sees it early.

Flow: steps -> both devices, and a model of what each has written -> what each shows, at every look and in the end
Never: lets both devices write one file: what a join does with that is for other tests.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.errors import Unavailable
from ropewalk.spaces.members import Role
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from tests.spaces.machines import Machines, shown
from tests.spaces.test_offline import allow

DEVICES = ("admin", "bob")
STORES = tuple(f"d{number}" for number in range(5))
FILES = 2  # of each device

steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(DEVICES), st.integers(0, FILES - 1), st.sampled_from([10, 90_000])),
        st.tuples(st.just("away"), st.sets(st.sampled_from(STORES))),
        st.tuples(st.just("look"), st.sampled_from(DEVICES)),
        st.tuples(st.just("restart"), st.sampled_from(DEVICES)),
        st.tuples(st.just("pay"), st.sampled_from(DEVICES)),
        st.tuples(st.just("forget"), st.sampled_from(DEVICES)),
    ),
    max_size=14,
)


@dataclass
class Device:
    """One, and what it has written."""

    name: str
    space: Space
    stack: AsyncExitStack
    last: dict[str, int] = field(default_factory=dict)  # file -> number of the write that was kept last
    heads: dict[int, str] = field(default_factory=dict)  # number -> its head


def content(number: int, size: int) -> bytes:
    return number.to_bytes(4, "big") * (size // 4)


def number_in(data: bytes) -> int:
    number = int.from_bytes(data[:4], "big")
    assert data == content(number, len(data))  # not one byte of another write
    return number


class Run:
    """The machines, at work."""

    def __init__(self, machines: Machines) -> None:
        self.machines = machines
        self.devices: dict[str, Device] = {}
        self.written = 0
        self.seen: dict[tuple[str, str], int] = {}  # who saw which file, and its number

    async def open(self, name: str) -> None:
        stack = AsyncExitStack()
        space = await stack.enter_async_context(self.machines.open(name))
        if name in self.devices:
            self.devices[name].space, self.devices[name].stack = space, stack
        else:
            self.devices[name] = Device(name, space, stack)

    async def do(self, step: tuple) -> None:  # type: ignore[type-arg]
        what, rest = step[0], step[1:]
        if what == "away":
            self.machines.away(rest[0])
            for device in self.devices.values():
                await device.space.core.pool.revive()
            return
        device = self.devices[rest[0]]
        if what == "write":
            await self.write(device, *rest[1:])
        elif what == "look":
            await self.look(device)
        elif what == "pay":
            await device.space.pay()
        elif what == "restart":
            await device.stack.aclose()
            await self.open(device.name)
        elif what == "forget" and not any(store.gone for store in self.machines.world.stores.values()):
            # Whatever the stores have was seen by all by now, so nothing else is lost with the memory of it.
            await device.stack.aclose()
            folder = self.machines.all[device.name].home.space_folder(device.space.core.space_id.hex())
            for file in folder.glob("state.db*"):
                file.unlink()
            await self.open(device.name)

    async def write(self, device: Device, file: int, size: int) -> None:
        self.written += 1
        name = f"{device.name}-{file}"
        up = sum(not store.gone for store in self.machines.world.stores.values())
        try:
            outcome = await device.space.write(name, content(self.written, size))
        except Unavailable:
            assert up < device.space.core.membership.policy.k  # it rests on what was heard of, and never read here
            return
        assert outcome is not None
        assert outcome.queued == (up < device.space.core.head_floor)
        device.last[name] = self.written
        device.heads[self.written] = outcome.head.name
        found = await device.space.read(name)
        assert number_in(found) == self.written

    async def look(self, device: Device) -> None:
        queued = set()
        for other in self.devices.values():
            if other is not device:
                names = set(await other.space.core.ledger.do(State.queued_names))
                queued |= {number for number, head in other.heads.items() if head in names}
        try:
            found = await shown(device.space)
        except Unavailable:
            return  # what was never read here cannot be read now
        for file, data in found.items():
            number = number_in(data)
            assert number not in queued
            assert number >= self.seen.get((device.name, file), 0)  # in the order in which they were written
            self.seen[device.name, file] = number
        for file, number in device.last.items():
            assert number_in(found[file]) == number

    async def end(self) -> None:
        self.machines.away(())
        for _ in range(2):
            for device in self.devices.values():
                await device.space.core.pool.revive()
                await device.space._list()
                await device.space.pay()
        views = [await shown(device.space) for device in self.devices.values()]
        last = {file: number for device in self.devices.values() for file, number in device.last.items()}
        for view in views:
            assert {file: number_in(data) for file, data in view.items()} == last
        for device in self.devices.values():
            assert not await device.space.core.ledger.do(State.queued_names)
            assert device.space.core.queue is not None
            assert device.space.core.queue.waiting().size == 0
            await device.stack.aclose()


async def play(folder: Path, todo: list[tuple]) -> None:  # type: ignore[type-arg]
    machines = await Machines.make(folder)
    await machines.invite("bob", Role.WRITER)
    for name in DEVICES:
        allow(machines.all[name].home)
    run = Run(machines)
    for name in DEVICES:
        await run.open(name)
    for step in todo:
        await run.do(step)
    await run.end()


@settings(deadline=None, max_examples=25)
@given(steps)
def test_nothing_that_was_kept_is_lost_or_seen_too_early(todo: list[tuple]) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), todo))
