"""Offline work: a client that may go on alone loses the way to too many nodes, and is killed meanwhile, or afterwards.

Flow: a client with a way of its own -> away -> what is queued -> killed, or not -> back -> published
Never: takes the way to any node from the other clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import msgspec

from ropewalk.errors import RopewalkError
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.space import open_space
from ropewalk.spaces.state import State
from ropewalk.testing.fault_proxy import FaultProxy, Faults
from ropewalk.testing.outages.client import ClientProcess
from ropewalk.testing.outages.outage import Outage
from ropewalk.testing.outages.stage import DEVICE, SPACE, Stage

__all__ = ["Offline"]

BACK, PUBLISHING, AWAY, TWICE = "back", "publishing", "away", "twice away"  # when it is killed
TURNS = (  # and whether the nodes fall silent, or cannot be reached
    (BACK, False),
    (PUBLISHING, False),
    (AWAY, True),
    (TWICE, False),
    (BACK, True),
    (PUBLISHING, False),
)
PUBLISHED_WITHIN = 120.0  # seconds, with all nodes there


@dataclass(frozen=True, slots=True)
class _Alone:
    """A client with a way of its own to each node, and a memory that outlives its processes."""

    stage: Stage
    home: Home
    ways: dict[str, FaultProxy]

    @classmethod
    @asynccontextmanager
    async def made(cls, stage: Stage) -> AsyncIterator[_Alone]:
        """The client, which may work offline, as its settings say."""
        home = Home(stage.folder / "client-alone", stage.folder / "state-alone")
        space = stage.home("first").load().spaces[SPACE]
        async with AsyncExitStack() as owned:
            ways = {
                name: await owned.enter_async_context(FaultProxy.before(node.port, number))
                for number, (name, node) in enumerate(stage.nodes.items())
            }
            stores = {
                name: StoreSetting(node.address(ways[name].port), node.identity.hex())
                for name, node in stage.nodes.items()
            }
            spaces = {SPACE: msgspec.structs.replace(space, offline=True)}
            home.update(lambda settings: msgspec.structs.replace(settings, stores=stores, spaces=spaces))
            yield cls(stage, home, ways)

    async def lose(self, *, silent: bool) -> None:
        """The way to more nodes than may be away."""
        await self.stage.strike()
        for name in self.stage.some(self.stage.chance.randint(2, 4)):
            self.ways[name].faults = Faults(black_hole=silent, refuse=not silent)
            if not silent:
                self.ways[name].cut()

    def find(self) -> None:
        """All of it again."""
        for way in self.ways.values():
            way.faults = Faults()

    async def publish(self) -> None:
        """Open the space as anybody would, and have what waits published.

        Raises:
            TimeoutError: It waits still.
        """
        why, left = "", 0
        try:
            async with (
                asyncio.timeout(PUBLISHED_WITHIN),
                await open_space(self.home, SPACE, DEVICE, threads=1) as space,
            ):
                while left := len(await space.core.ledger.do(State.queued_names)):
                    try:
                        await space.pay()
                    except RopewalkError as error:
                        why = str(error)
                    await asyncio.sleep(0.2)
                self.stage.said += space.warnings
        except TimeoutError:
            raise TimeoutError(f"{left} changes wait still: {why}") from None


class Offline(Outage):
    """A client that may work offline loses the way to two nodes or more, six times, and is killed away or back."""

    name = "offline work"

    async def befall(self, stage: Stage) -> None:
        async with _Alone.made(stage) as alone:
            for at, (end, silent) in enumerate(TURNS):
                await self._turn(alone, f"alone/{at}", end, silent=silent)
                alone.find()
            await alone.publish()

    async def _turn(self, alone: _Alone, prefix: str, end: str, *, silent: bool) -> None:
        stage = alone.stage
        async with ClientProcess.started(stage.known, alone.home, prefix) as client:
            await client.wait_said(1, "done")
            await alone.lose(silent=silent)
            await client.wait_said(stage.chance.randint(1, 4), "queued")
            if end == BACK:
                alone.find()
                await client.wait_said(2, "done")  # after all that waited
            elif end == PUBLISHING:
                alone.find()
                await asyncio.sleep(stage.chance.uniform(0, 3))  # and is somewhere in the middle of it
        if end == TWICE:
            async with ClientProcess.started(stage.known, alone.home, f"{prefix} again") as client:
                await client.wait_said(stage.chance.randint(2, 4), "queued")
