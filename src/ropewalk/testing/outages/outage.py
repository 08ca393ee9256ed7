"""Outages: what can befall nodes and clients, while files are written and read.

Flow: Stage with a load -> Outage.befall -> all is as before again
Never: takes more from a space than it promises to outlast: two nodes of five.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from ropewalk.testing.outages.client import ClientProcess
from ropewalk.testing.outages.nodes import NodeProcess, run
from ropewalk.testing.outages.stage import Stage

__all__ = [
    "PROMPT",
    "FullDisk",
    "Killed",
    "KilledClient",
    "MissingLists",
    "OldBackup",
    "OldHeads",
    "Outage",
    "WrongBytes",
    "WrongClock",
]

ROUNDS = 4
PROMPT = {"read": 15.0, "write": 15.0}  # seconds that none takes longer where operations go on at their pace


class Outage:
    """One kind of trouble.  The first line of its docstring is what the table says of it.

    Attributes:
        name: In the table.
        floor: Stores that must have something before it is acknowledged; as a space has it, by default.
        prompt: Seconds that no ``read`` or ``write`` takes longer all the while, whichever way it ends; a kind that may
            wait is left out.
        apart: It needs network namespaces, and the whole run is in one of its own.
        root: It needs root.
    """

    name: ClassVar[str] = ""
    floor: ClassVar[int | None] = None
    prompt: ClassVar[Mapping[str, float]] = {}
    apart: ClassVar[bool] = False
    root: ClassVar[bool] = False

    def __init__(self) -> None:
        self.accused: list[str] = []  # nodes of which people must be told

    async def begin(self, stage: Stage) -> None:
        """Before there is a load."""

    async def befall(self, stage: Stage) -> None:
        """Strike, while the load goes on; at the end nothing is amiss any more."""
        raise NotImplementedError


class Killed(Outage):
    """Any one or two nodes are killed with SIGKILL, and come back later; again and again."""

    name = "kill -9"
    floor = 3

    async def befall(self, stage: Stage) -> None:
        for at in range(ROUNDS):
            names = stage.some(1 + at % 2)
            await stage.kill(names)
            await stage.load.more(10)
            await stage.load.more_of("written", 1)
            await stage.load.more_of("read", 1)
            await stage.start(names)
            await stage.whole()
            await stage.load.more(stage.chance.randint(1, 10))


class OldBackup(Outage):
    """A node's folder and register are put back to what they were some time ago."""

    name = "restored from a backup"

    async def befall(self, stage: Stage) -> None:
        (name,) = self.accused = stage.some(1)
        node = stage.nodes[name]
        await node.kill()
        await node.back_up(stage.folder / "backup")
        await node.start()
        before = node.count()
        while node.count() < before + 8:  # it may take a while before clients find that it is back
            await stage.load.more(3)
        await stage.kill([name])
        await node.restore(stage.folder / "backup")
        await node.start()
        await stage.load.more(10)
        await stage.audit(name)


class FullDisk(Outage):
    """A node's disk has room for 256 KiB more, and later for all of it."""

    name = "full disk"
    root = True

    async def befall(self, stage: Stage) -> None:
        (name,) = stage.some(1)
        node = stage.nodes[name]
        await stage.kill([name])
        small = node.folder / "small"
        small.mkdir()
        used = sum(file.stat().st_blocks * 512 for file in node.disk.rglob("*"))
        await node.start(
            within=f"mount: mount -t tmpfs -o size={used // 1024 + 256}k none '{small}'\n"
            f"cp -a '{node.disk}/.' '{small}/'\nmount --bind '{small}' '{node.disk}'"
        )
        while await _fits(node, 100):
            await stage.load.more_of("written", 3)
        await stage.strike()
        await stage.load.more_of("written", 5)
        await run("nsenter", f"--target={node.pid}", "--mount", "mount", "-o", "remount,size=1g", str(small))
        await stage.load.more(5)


class WrongClock(Outage):
    """Of two nodes one has a clock that is an hour ahead, and one an hour behind."""

    name = "clock wrong by an hour"

    async def befall(self, stage: Stage) -> None:
        names = stage.some(2)
        for name, ahead in zip(names, ("3600", "-3600"), strict=True):
            await stage.kill([name])
            await stage.nodes[name].start(bent=("--ahead", ahead))
        await stage.load.more(20)
        for name in names:
            await stage.kill([name])
        await stage.start(names)


class _Lying(Outage):
    """A node lies, and another one is dead for a while."""

    lie: ClassVar[str] = ""

    async def befall(self, stage: Stage) -> None:
        name, dead = stage.some(2)
        self.accused = [name]
        await stage.kill([name])
        await stage.nodes[name].start(bent=("--lie", self.lie))
        await stage.load.more_of("written", 5)
        await stage.kill([dead])
        await stage.load.more(10)
        await stage.start([dead])
        await stage.audit(name)
        await stage.kill([name])
        await stage.start([name])


class OldHeads(_Lying):
    """A node hides all heads since some time ago; another one is dead for a while."""

    name, lie = "lie: old heads", "4"


class WrongBytes(_Lying):
    """A node turns a bit over in every leaf of what it gives; another one is dead for a while."""

    name, lie = "lie: wrong bytes", "8"


class MissingLists(_Lying):
    """A node leaves half of the names out of its listings; another one is dead for a while."""

    name, lie = "lie: missing lists", "18"


class KilledClient(Outage):
    """A client is killed in the middle of a put, twenty times."""

    name = "client killed in a put"

    async def befall(self, stage: Stage) -> None:
        for turn in range(10):
            await asyncio.gather(self._killed(stage, "killed", turn), self._killed(stage, "killed too", turn))

    async def _killed(self, stage: Stage, name: str, turn: int) -> None:
        """A client of its own process, always with the same memory, is killed while it puts."""
        async with ClientProcess.started(stage.known, stage.home(name), f"{name}/{turn}") as client:
            await client.wait_said(stage.chance.randint(1, 4))
            await asyncio.sleep(stage.chance.uniform(0, 0.1))  # then it is somewhere in the middle
            await stage.strike()
            stage.under_way += 1


async def _fits(node: NodeProcess, size: int) -> bool:
    """Whether a node's disk has room for so many KiB, as its process sees it."""
    probe = f"dd if=/dev/zero of='{node.disk}/probe' bs=1k count={size} 2>&1; rm '{node.disk}/probe'"
    process = await asyncio.create_subprocess_exec(
        "nsenter", f"--target={node.pid}", "--mount", "sh", "-c", probe, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return b"No space left" not in said
