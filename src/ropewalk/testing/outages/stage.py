"""The stage: five nodes as processes, a proxy before each, a space over them, and the clients of a run.

Flow: Stage.set -> nodes, proxies, a space -> spaces opened by clients -> what they were told
Never: leaves a process behind, or gives a client the memory of another.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ropewalk.errors import RopewalkError
from ropewalk.spaces.check import check
from ropewalk.spaces.hint import bulletin_name
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.opening import create_space, plan_policy
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import State
from ropewalk.testing.fault_proxy import FaultProxy, Faults
from ropewalk.testing.outages.load import Known, Load
from ropewalk.testing.outages.nodes import NodeProcess, start_apart

__all__ = ["DEVICE", "LOSES", "NAMES", "SPACE", "Stage"]

NAMES = tuple(f"n{number}" for number in range(5))
LOSES = 2  # of them may be lost
SPACE = "photos"
DEVICE = DeviceKeys(bytes(range(32)))
_PAPER = DeviceKeys(bytes(range(32, 64)), PAPER)
MOST_AUDITS = 20
_AWAY = (" is away", " not there:", " not connected", " does not answer", " did not answer")  # of no lie
PAY_EVERY = 1.0  # seconds
WHOLE_WITHIN = 90.0  # seconds; a link that nobody answers is found dead within 20


@dataclass
class Stage:
    """One run.

    Attributes:
        folder: Everything lies there.
        chance: By the seed.
        nodes: Five, by name.
        proxies: Before each; not where it is reached directly.
        known: What the clients know.
        load: The clients.
        times: How often something befell.
        under_way: Operations that were under way then, together.
        said: All that clients were told.
        spaces: Of the clients.
    """

    folder: Path
    chance: random.Random
    nodes: dict[str, NodeProcess] = field(default_factory=dict)
    proxies: dict[str, FaultProxy] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    load: Load = field(init=False)
    times: int = 0
    under_way: int = 0
    said: list[str] = field(default_factory=list)
    spaces: list[Space] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.load = Load(self.known, self.chance)

    @classmethod
    @asynccontextmanager
    async def set(
        cls, folder: Path, seed: int, floor: int | None = None, *, apart: bool = False
    ) -> AsyncIterator[Stage]:
        """Five nodes that run, and a space over them.

        Args:
            folder: Empty.
            seed: Of what is left to chance.
            floor: Stores that must have something before it is acknowledged; as a space has it, by default.
            apart: Each node is in a network namespace of its own, and reached without a proxy.
        """
        stage = cls(folder, random.Random(seed))  # noqa: S311 - so that a run can be had again
        async with AsyncExitStack() as owned:
            for name in NAMES:
                node = stage.nodes[name] = NodeProcess(name, folder / name)
                await node.set_up(DEVICE.login.public_key().public_bytes_raw())
                owned.push_async_callback(node.kill)
            if apart:
                for number, node in enumerate(stage.nodes.values()):
                    await start_apart(node, number)
            else:
                await stage.start(NAMES)
            for number, (name, node) in enumerate(() if apart else stage.nodes.items()):
                stage.proxies[name] = await owned.enter_async_context(FaultProxy.before(node.port, seed + number))
            await stage.make_space(floor)
            yield stage

    async def make_space(self, floor: int | None = None) -> None:
        """Settings that name the stores, and the space."""
        stores = {
            name: StoreSetting(
                node.address(self.proxies[name].port if name in self.proxies else None), node.identity.hex()
            )
            for name, node in self.nodes.items()
        }
        home = self.home("first")
        home.update(lambda settings: msgspec.structs.replace(settings, stores=stores))
        policy = plan_policy([StoreDomains(name) for name in NAMES], {"store": LOSES}, floor)
        await create_space(
            *(home, SPACE, NAMES, policy, 1, DEVICE, _PAPER.public()), clock=time.monotonic, now=time.time_ns
        )

    def home(self, name: str) -> Home:
        """The home of a client: all have the same settings, and each its own memory."""
        return Home(self.folder / "client", self.folder / f"state-{name}")

    @asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[Space]:
        """The space, as a client has it; what it is warned of is noted."""
        space = await open_space(self.home(name), SPACE, DEVICE, threads=2, pay_every=PAY_EVERY)
        try:
            async with space:
                yield space
        finally:
            self.said += space.warnings

    @asynccontextmanager
    async def clients(self, *names: str) -> AsyncIterator[list[Space]]:
        """Several."""
        async with AsyncExitStack() as owned:
            self.spaces = [await owned.enter_async_context(self.open(name)) for name in names]
            yield self.spaces

    async def audit(self, accused: str) -> None:
        """Have a client look at everything that the nodes keep, until it is told of one that lies, or for a while."""
        for _ in range(MOST_AUDITS):
            self.said += (await check(self.spaces[-1].core, everything=True)).lines
            if self.told_of(accused):
                return
            await self.load.more(5)

    def told_of(self, name: str) -> bool:
        """Whether anybody was told of a node, and not only that it was away."""
        lines = [*self.said, *(line for space in self.spaces for line in space.warnings)]
        return any(f"store {name}" in line and not any(word in line for word in _AWAY) for line in lines)

    def some(self, count: int) -> list[str]:
        """So many nodes, at random."""
        return self.chance.sample(NAMES, count)

    async def strike(self) -> None:
        """Something befalls now, in the middle of some operation."""
        await self.load.wait_busy()
        self.times += 1
        self.under_way += self.load.under_way

    async def whole(self) -> None:
        """Wait until every client that is at work has an answer from each node, and owes none of them anything.

        What was acknowledged while a node was away lies in no more stores than the floor asks for: until it has its
        share, fewer may be lost than the space promises once all is paid.

        Raises:
            TimeoutError: They do not come to that.
        """
        why = ""
        try:
            async with asyncio.timeout(WHOLE_WITHIN):
                for space in self.spaces:
                    while why := await _lacks(space):  # noqa: ASYNC110 - nobody tells that a debt is paid
                        await asyncio.sleep(0.1)
        except TimeoutError:
            raise TimeoutError(f"not all is as it was within {WHOLE_WITHIN:g} s: {why}") from None

    async def kill(self, names: Sequence[str]) -> None:
        """Kill these nodes."""
        await self.strike()
        await self.kill_quietly(names)

    async def kill_quietly(self, names: Sequence[str]) -> None:
        """Kill these nodes, once all has befallen."""
        await asyncio.gather(*(self.nodes[name].kill() for name in names))

    async def start(self, names: Sequence[str]) -> None:
        """Start these nodes again, where they were."""
        await asyncio.gather(*(self.nodes[name].start() for name in names))

    def heal(self, names: Sequence[str] = NAMES) -> None:
        """What passes to these nodes passes as it should."""
        for name in names:
            if name in self.proxies:
                self.proxies[name].faults = Faults()


async def _lacks(space: Space) -> str:
    """Why a client is not as it was when all nodes were there and nothing was owed; or nothing."""
    core = space.core
    try:
        await asyncio.gather(*(core.pool.hint(name, bulletin_name(core.space_id)) for name in core.pool.names))
        owed = await space.pay()
    except RopewalkError as error:
        return str(error)
    heads = await core.ledger.do(State.owed_heads)
    return f"{owed} shares and {len(heads)} heads are owed" if owed or heads else ""
