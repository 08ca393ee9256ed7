"""Load: clients that write and read files of known content all the while, and what was said to them.

Flow: writers -> Known, by what each was told -> readers compare; struck -> so many operations were under way
Never: takes what was refused for lost, or what was not answered for written.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from ropewalk.errors import RopewalkError
from ropewalk.spaces.space import Space
from ropewalk.spaces.version import NoSuchPath, Version
from ropewalk.testing.liars.stage import contents

__all__ = ["Known", "Load", "content"]

SIZES = (300, 3_000, 20_000, 150_000, 400_000)  # bytes: in heads, and in packs of their own
LARGEST = 300_000  # bytes of what is written by a client that may be killed
PAUSE = 0.1  # seconds between two operations of one client
MORE_WITHIN = 90.0  # seconds in which some operation ends, whatever is done to stores
_CONFLICT = re.compile(r" \(conflict [^)]*\)")  # what the view puts into the name of what clashes


def content(path: str) -> bytes:
    """What a client that may be killed at any time puts into a file of this path."""
    chance = random.Random(path)  # noqa: S311 - whoever reads it knows what it must be
    return chance.randbytes(chance.randint(1, LARGEST))


@dataclass
class Known:
    """What clients know of their files.

    Attributes:
        acknowledged: By path, what must be there.
        tried: By path, what may be there: all that was ever to be written.
        replaced: By path, what was acknowledged before what is acknowledged now.
        wrong: What was read and nobody wrote, in words.
        count: Of operations by how they ended: ``written``, ``queued``, ``read``, ``refused write``, ``refused read``.
        slowest: Seconds of the slowest ``write`` and ``read``, whichever way they ended.
    """

    acknowledged: dict[str, bytes] = field(default_factory=dict)
    tried: dict[str, set[bytes]] = field(default_factory=dict)
    replaced: dict[str, set[bytes]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    count: Counter[str] = field(default_factory=Counter)
    slowest: Counter[str] = field(default_factory=Counter)
    why: dict[str, str] = field(default_factory=dict)  # the last refusal of each kind

    def begin(self, path: str, data: bytes) -> None:
        """It is about to be written."""
        self.tried.setdefault(path, set()).add(data)

    def said(self, path: str, data: bytes, *, queued: bool = False) -> None:
        """It was acknowledged, or waits in a place that outlasts the process: sooner or later it will be."""
        if path in self.acknowledged:
            self.replaced.setdefault(path, set()).add(self.acknowledged[path])
        self.acknowledged[path] = data
        self.count["queued" if queued else "written"] += 1

    async def compare(self, version: Version) -> list[str]:
        """What of all that was acknowledged is not in a version, as it was written."""
        found: dict[str, set[bytes]] = {}
        for path, data in (await contents(version)).items():
            found.setdefault(_CONFLICT.sub("", path), set()).add(data)
        for path, several in found.items():
            if several - self.tried.get(path, set()):
                self.wrong.append(f"{path} holds what nobody wrote")
        return [path for path, data in self.acknowledged.items() if data not in found.get(path, set())]


class Load:
    """Clients at work.

    Args:
        known: What they know; shared with others that write.
        chance: Draws what they do.
    """

    def __init__(self, known: Known, chance: random.Random) -> None:
        self.known, self.under_way = known, 0
        self._chance, self._ended = chance, 0
        self._news, self._begun = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def of(self, writers: Sequence[Space], readers: Sequence[Space]) -> AsyncIterator[None]:
        """So many write and read, as long as the block lasts."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number, space in enumerate(writers):
                group.create_task(self._write(space, f"w{number}", random.Random(self._chance.random()), stop))  # noqa: S311
            for space in readers:
                own = next((f"w{number}/" for number, one in enumerate(writers) if one is space), None)
                group.create_task(self._read(space, own, random.Random(self._chance.random()), stop))  # noqa: S311
            try:
                yield
            finally:
                stop.set()

    async def wait_busy(self) -> None:
        """Wait until some operation is under way.

        Raises:
            TimeoutError: The clients do nothing any more.
        """
        async with asyncio.timeout(MORE_WITHIN):
            await self._begun.wait()

    async def more(self, count: int) -> None:
        """Wait until so many more operations have ended, whichever way.

        Raises:
            TimeoutError: They hang.
        """
        wanted = self._ended + count
        async with asyncio.timeout(MORE_WITHIN):
            while self._ended < wanted:
                self._news.clear()
                await self._news.wait()

    async def more_of(self, kind: str, count: int) -> None:
        """Wait until so many more operations have ended so; see `Known.count`.

        Raises:
            TimeoutError: They hang.
        """
        began = self.known.count.copy()
        try:
            async with asyncio.timeout(MORE_WITHIN):
                while self.known.count[kind] < began[kind] + count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            ended = dict(self.known.count - began)
            raise TimeoutError(f"want {count} more {kind}, got {ended}; the last refusals: {self.known.why}") from None

    async def _write(self, space: Space, who: str, chance: random.Random, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            if not number or chance.random() < 0.8:
                number += 1
            path = f"{who}/{number if chance.random() < 0.8 else chance.randint(1, number)}"
            data = chance.randbytes(chance.choice(SIZES))
            self.known.begin(path, data)
            with self._timed("write"):
                try:
                    await space.write(path, data)
                except RopewalkError as error:
                    self._refused("write", error)
                else:
                    self.known.said(path, data)
            await asyncio.sleep(PAUSE)

    async def _read(self, space: Space, own: str | None, chance: random.Random, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if self.known.acknowledged:
                path = chance.choice(list(self.known.acknowledged))
                with self._timed("read"):
                    await self.read_one(space, path, own=own is not None and path.startswith(own))
            await asyncio.sleep(PAUSE)

    async def read_one(self, space: Space, path: str, *, own: bool) -> None:
        """Read a file that was acknowledged.

        Args:
            space: The client's.
            path: Of the file.
            own: Whether it was this client that wrote it: then it is to be there, and no older.
        """
        older = set(self.known.replaced.get(path, ())) if own else set()
        try:
            await space.freshness()
            data = await space.read(path)
        except NoSuchPath:
            if own:
                self.known.wrong.append(f"{path} is not there for the client to which it was acknowledged")
            self.known.count["not heard of yet"] += 1  # at the end all of it must be there
        except RopewalkError as error:
            self._refused("read", error)
        else:
            self.known.count["read"] += 1
            if data not in self.known.tried[path]:
                self.known.wrong.append(f"{path} was read as {len(data)} bytes that nobody wrote")
            elif data in older:
                self.known.wrong.append(f"{path} was read as it was before its writer replaced it")

    def _refused(self, kind: str, error: RopewalkError) -> None:
        self.known.count[f"refused {kind}"] += 1
        self.known.why[kind] = f"{error.code}: {error}"

    @contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        now = asyncio.get_running_loop().time
        began = now()
        self.under_way += 1
        self._begun.set()
        try:
            yield
        finally:
            self.under_way -= 1
            if not self.under_way:
                self._begun.clear()
            self._ended += 1
            self.known.slowest[kind] = max(self.known.slowest[kind], now() - began)  # type: ignore[assignment]
            self._news.set()
