"""A TCP proxy that does to connections what networks do: delay, lose, cut, throttle, swallow, and change bytes.

Flow: client -> FaultProxy -> server, each way through the same faults, as they are set at that moment
Never: looks into what passes, or draws a random number that it was not given.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

__all__ = ["FaultProxy", "Faults"]

_CHUNK = 64 * 1024  # bytes that are read at once
_LINE = 256  # pieces that wait, each way
_TICK = 0.05  # seconds between two looks at whether a black hole is over


@dataclass(slots=True)
class Faults:
    """What befalls all that passes; may be changed at any time.

    Attributes:
        delay: Seconds that each piece takes longer, each way.
        rate: Bytes a second, each way and connection; None without a bound.
        flip: Share of pieces in which one bit is changed.
        black_hole: Nothing passes, and nobody is told.
        refuse: New connections are cut at once.
        deaf: The server's side is cut, and the client is not told: half open.
    """

    delay: float = 0.0
    rate: float | None = None
    flip: float = 0.0
    black_hole: bool = False
    refuse: bool = False
    deaf: bool = False


@dataclass(slots=True)
class FaultProxy:
    """One place to connect to, in front of one server.

    Attributes:
        port: Of 127.0.0.1.
        faults: What befalls what passes.
        passed: Bytes, both ways.
        connections: Made so far.
    """

    host: str
    to: int
    chance: random.Random
    port: int = 0
    faults: Faults = field(default_factory=Faults)
    passed: int = 0
    connections: int = 0
    flipped: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def before(cls, port: int, seed: int, host: str = "127.0.0.1") -> AsyncIterator[FaultProxy]:
        """A proxy before a server on a port.

        Args:
            port: Of the server.
            seed: Of what is left to chance.
            host: Of the server.
        """
        proxy = cls(host, port, random.Random(seed))  # noqa: S311 - so that a run can be had again
        server = await asyncio.start_server(proxy._begin, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.cut()
            for task in proxy._tasks:
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)
            await server.wait_closed()

    def cut(self) -> None:
        """Cut all connections now, without a word (RST)."""
        for writer in list(self._open):
            writer.transport.abort()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        other: asyncio.StreamWriter | None = None
        try:
            if self.faults.refuse:
                return
            back, other = await asyncio.open_connection(self.host, self.to)
            self._open.add(other)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, other))
                group.create_task(self._pass(back, writer, to_client=True))
        except (OSError, ExceptionGroup):
            pass  # one side is gone: so is the other
        finally:
            for one in (writer, other):
                if one is not None:
                    self._open.discard(one)
                    one.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_client: bool = False
    ) -> None:
        """One way: pieces wait in a line, so that a delay costs time and no throughput."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_LINE)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take(reader, line))
            group.create_task(self._give(line, writer, to_client=to_client))

    async def _take(self, reader: asyncio.StreamReader, line: asyncio.Queue[tuple[float, bytes]]) -> None:
        now = asyncio.get_running_loop().time
        with suppress(OSError):
            while piece := await reader.read(_CHUNK):
                await line.put((now() + self.faults.delay, piece))
        await line.put((0.0, b""))

    async def _give(
        self, line: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, *, to_client: bool
    ) -> None:
        now = asyncio.get_running_loop().time
        with suppress(OSError):
            while True:
                due, piece = await line.get()
                if not piece:
                    break
                await asyncio.sleep(due - now())
                await self._wait_out()
                if self.faults.rate is not None:
                    await asyncio.sleep(len(piece) / self.faults.rate)
                if self.faults.flip and self.chance.random() < self.faults.flip:
                    piece = self._changed(piece)
                self.passed += len(piece)
                writer.write(piece)
                await writer.drain()
        if to_client and self.faults.deaf:
            await asyncio.get_running_loop().create_future()
        with suppress(OSError, RuntimeError):
            if writer.can_write_eof():
                writer.write_eof()

    async def _wait_out(self) -> None:
        while self.faults.black_hole:  # noqa: ASYNC110 - whoever tests changes it as it likes
            await asyncio.sleep(_TICK)

    def _changed(self, piece: bytes) -> bytes:
        self.flipped += 1
        changed = bytearray(piece)
        changed[self.chance.randrange(len(piece))] ^= 1 << self.chance.randrange(8)
        return bytes(changed)
