"""Ways: what can befall the way to nodes: cut, silent, half open, slow, or with bits that are turned over.

Flow: Stage with a load -> the way to one node or two -> the load goes on -> the way is whole, and used again
Never: takes the way to others before all clients have those back whose turn it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from ropewalk.remote.link import QUIET
from ropewalk.testing.outages.nodes import within_net
from ropewalk.testing.outages.outage import PROMPT, Outage
from ropewalk.testing.outages.stage import NAMES, Stage

__all__ = [
    "BlackHole",
    "Cuts",
    "Flips",
    "HalfOpen",
    "Narrow",
    "Parted",
    "Refuses",
    "Slow",
    "TwoBlackHoles",
    "TwoParted",
]

# Of two nodes that fall silent only the end of their links tells: a write that needs one of them waits for that.
WRITES_WAIT = {"read": PROMPT["read"], "write": 2 * QUIET + PROMPT["write"]}


class _OnTheWay(Outage):
    """Something befalls the connections to some nodes."""

    count = 1
    rounds = 2

    async def afflict(self, stage: Stage, name: str) -> None:
        """From now on."""
        raise NotImplementedError

    async def heal(self, stage: Stage, names: Sequence[str]) -> None:
        """No more."""
        stage.heal(names)

    async def befall(self, stage: Stage) -> None:
        for _ in range(self.rounds):
            names = stage.some(self.count)
            await stage.strike()
            for name in names:
                await self.afflict(stage, name)
            await stage.load.more(15)
            await stage.load.more_of("read", 2)
            await stage.load.more_of(*(("written", 2) if self.count == 1 else ("refused write", 1)))
            await self.heal(stage, names)
            await stage.whole()
            await stage.load.more(5)


class Refuses(_OnTheWay):
    """The way to two nodes is cut, and no connection to them is taken."""

    name = "partition: refused"
    count = 2
    prompt = PROMPT

    async def afflict(self, stage: Stage, name: str) -> None:
        stage.proxies[name].faults.refuse = True
        stage.proxies[name].cut()


class BlackHole(_OnTheWay):
    """Nothing passes to or from a node, and nobody is told."""

    name = "partition: black hole"
    prompt = PROMPT

    async def afflict(self, stage: Stage, name: str) -> None:
        stage.proxies[name].faults.black_hole = True


class TwoBlackHoles(BlackHole):
    """Nothing passes to or from two nodes, and nobody is told; writes are refused meanwhile."""

    name = "partition: two black holes"
    count = 2
    rounds = 1
    prompt = WRITES_WAIT


class HalfOpen(Outage):
    """A node is gone, and its end of each connection seems to be there still."""

    name = "half-open"
    prompt = PROMPT

    async def befall(self, stage: Stage) -> None:
        (name,) = stage.some(1)
        stage.proxies[name].faults.deaf = True
        await stage.kill([name])
        await stage.load.more(15)
        await stage.load.more_of("written", 2)
        stage.heal([name])
        await stage.start([name])
        await stage.whole()
        await stage.load.more(5)


class Cuts(Outage):
    """All connections to one or two nodes are cut at once, ten times."""

    name = "cut"
    prompt = PROMPT

    async def befall(self, stage: Stage) -> None:
        for at in range(10):
            await stage.strike()
            for name in stage.some(1 + at % 2):
                stage.proxies[name].cut()
            await stage.load.more(stage.chance.randint(1, 5))


class Slow(_OnTheWay):
    """Each piece that passes to or from a node comes 500 ms late."""

    name = "delay of 500 ms"
    rounds = 1
    prompt = PROMPT

    async def afflict(self, stage: Stage, name: str) -> None:
        stage.proxies[name].faults.delay = 0.5


class Narrow(_OnTheWay):
    """A node is reached at 64 KiB a second each way."""

    name = "64 KiB a second"
    prompt = PROMPT

    async def afflict(self, stage: Stage, name: str) -> None:
        stage.proxies[name].faults.rate = 64 * 1024


class Flips(_OnTheWay):
    """One of ten pieces that pass to or from a node has a bit turned over."""

    name = "byte flips"
    prompt = PROMPT

    async def afflict(self, stage: Stage, name: str) -> None:
        stage.proxies[name].faults.flip = 0.1

    async def befall(self, stage: Stage) -> None:
        await super().befall(stage)
        while not sum(proxy.flipped for proxy in stage.proxies.values()):
            await self.afflict(stage, NAMES[0])
            await stage.load.more(5)
            stage.heal()


class Parted(_OnTheWay):
    """Nodes in network namespaces of their own: the link of one is taken down, and packets are lost without a word."""

    name = "partition: link down"
    apart = True
    root = True
    prompt = PROMPT

    async def afflict(self, stage: Stage, name: str) -> None:
        await within_net(stage.nodes[name], "ip", "link", "set", "eth0", "down")

    async def heal(self, stage: Stage, names: Sequence[str]) -> None:
        for name in names:
            await within_net(stage.nodes[name], "ip", "link", "set", "eth0", "up")


class TwoParted(Parted):
    """The same with the links of two; writes are refused meanwhile."""

    name = "partition: two links down"
    count = 2
    rounds = 1
    prompt = WRITES_WAIT
