"""Two processes of one device that work offline over one queue: what either was told is kept is there for both, once.

Flow: steps, some of them at the same time -> two openings of one home -> what each shows, at every look and in the end
Never: lets both write one file at the same time: which of them is the later is for nobody to say.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ropewalk.errors import Unavailable
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import QUEUED, State
from tests.spaces.making import World, a_space
from tests.spaces.test_offline import allow, away

STORES = tuple(f"d{number}" for number in range(5))
BOTH = ("one", "two")
FILES = 2  # of each process

who = st.sampled_from(BOTH)
writes = st.tuples(st.just("write"), who, st.integers(0, FILES - 1), st.sampled_from([10, 90_000]))
quiet = st.tuples(st.sampled_from(["look", "pay"]), who)
steps = st.lists(
    st.one_of(
        writes,
        quiet,
        st.tuples(st.just("away"), st.sets(st.sampled_from(STORES))),
        st.tuples(st.just("restart"), who),
        st.tuples(st.just("drop"), who),
        st.tuples(st.just("at once"), st.lists(st.one_of(writes, quiet), min_size=2, max_size=4)),
    ),
    max_size=12,
)


def content(number: int, size: int) -> bytes:
    return number.to_bytes(4, "big") * (size // 4)


@dataclass
class Run:
    """The device, at work."""

    world: World
    spaces: dict[str, Space] = field(default_factory=dict)
    stacks: dict[str, AsyncExitStack] = field(default_factory=dict)
    heads: dict[str, tuple[str, int]] = field(default_factory=dict)  # name of a head -> file, number
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def open(self, name: str) -> None:
        self.stacks[name] = AsyncExitStack()
        self.spaces[name] = await self.stacks[name].enter_async_context(self.world.open())

    async def do(self, step: tuple) -> None:  # type: ignore[type-arg]
        what, rest = step[0], step[1:]
        if what == "away":
            away(self.world, *rest[0])
            for space in self.spaces.values():
                await space.core.pool.revive()
        elif what == "restart":
            await self.stacks[rest[0]].aclose()
            await self.open(rest[0])
        elif what == "drop":
            queued = set(await self.spaces[rest[0]].core.ledger.do(State.queued_names))
            assert await self.spaces[rest[0]].drop_queue() == len(queued)
            self.heads = {head: at for head, at in self.heads.items() if head not in queued}
        elif what == "at once":
            done = await asyncio.gather(*map(self.one, _apart(rest[0])), return_exceptions=True)
            assert not [one for one in done if isinstance(one, BaseException)], done
        else:
            await self.one(step)
        for name in BOTH:
            await self.look(name)

    async def one(self, step: tuple) -> None:  # type: ignore[type-arg]
        space = self.spaces[step[1]]
        if step[0] == "write":
            file, number = f"{step[1]}-{step[2]}", next(self.numbers)
            outcome = await space.write(file, content(number, step[3]))
            assert outcome is not None
            self.heads[outcome.head.name] = file, number
            assert await space.read(file) == content(number, step[3])
        elif step[0] == "pay":
            await space.pay()
        else:
            await self.shown(space)

    async def shown(self, space: Space) -> dict[str, int] | None:
        try:
            found = {info.path: await space.read(info.path) async for info in space.list()}
        except Unavailable:
            return None  # it was dropped, and written before by another process: never read by this one
        numbers = {path: int.from_bytes(data[:4], "big") for path, data in found.items()}
        assert all(data == content(numbers[path], len(data)) for path, data in found.items())
        return numbers

    async def look(self, name: str) -> None:
        space = self.spaces[name]
        log = list(reversed(await space.log()))
        assert {head.name for head in log} == set(self.heads), "a change is lost, or there twice"
        assert len(log) == len(self.heads)
        states = [head.state == QUEUED for head in log]
        assert states == sorted(states), "one that waits was passed over"
        last = {}
        for head in log:
            file, number = self.heads[head.name]
            last[file] = number
        if (numbers := await self.shown(space)) is not None:
            assert numbers == last
        for before, after in itertools.pairwise(log):
            if after.writer == before.writer:
                assert (after.previous, after.sequence) == (before.hash, before.sequence + 1)

    async def end(self) -> None:
        away(self.world)
        for space in self.spaces.values():
            await space.core.pool.revive()
            await space.pay()
        for name, space in self.spaces.items():
            await self.look(name)
            assert await self.shown(space) is not None
            assert await space.core.ledger.do(State.queued_names) == []
            assert space.core.queue is not None
            assert space.core.queue.waiting().size == 0
        for stack in self.stacks.values():
            await stack.aclose()
        heads = {name.partition("/heads/")[2] for name in await self.world.names("/heads/")}
        assert heads == {name.partition("/heads/")[2] for name in self.heads}


def _apart(some: list[tuple]) -> list[tuple]:  # type: ignore[type-arg]
    """Of writes to one file the first."""
    first: dict[object, tuple] = {}  # type: ignore[type-arg]
    for at, step in enumerate(some):
        first.setdefault(step[1:3] if step[0] == "write" else at, step)
    return list(first.values())


async def play(folder: Path, todo: list[tuple]) -> None:  # type: ignore[type-arg]
    world = await a_space(folder)
    allow(world.home)
    run = Run(world)
    for name in BOTH:
        await run.open(name)
    for step in todo:
        await run.do(step)
    await run.end()


@settings(deadline=None, max_examples=25)
@given(steps)
@example(
    [
        ("away", {"d0", "d1"}),
        ("at once", [("write", "one", 0, 90_000), ("write", "two", 0, 90_000)]),
        ("drop", "two"),
        ("write", "one", 0, 10),
        ("away", set()),
        ("at once", [("write", "two", 1, 10), ("pay", "one")]),
    ]
)
def test_two_processes_share_a_queue(todo: list[tuple]) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), todo))
