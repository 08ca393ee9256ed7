"""What tests of the collector share: a clock, frames, and a place to collect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ropewalk.collector.collector import Collector
from ropewalk.collector.history import History
from ropewalk.collector.intake import Sample, SeriesKey
from ropewalk.collector.wire import VERSION, Define, Definition, FromCollector, Hello, Push, Reader, encode
from ropewalk.metrics import Registry

BEGIN = 1_700_000_400.0  # a time that is a whole number of ten minutes
RUN = bytes(range(16))
HELLO = Hello(VERSION, "web-1", "secret", RUN, 10.0)
DEFINE = Define([Definition(0, "a_total", "counter", {"b": "c"}), Definition(1, "level", "gauge", {})])


class Clock:
    """A time that moves only when told."""

    def __init__(self, now: float = BEGIN) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def sample(sequence: int, time: float, **values: float) -> Sample:
    """A push; names that end in total are counters."""
    keys = {name: SeriesKey(name, "counter" if name.endswith("total") else "gauge", "{}") for name in values}
    return Sample(sequence, int(time * 1000), [(keys[name], value) for name, value in values.items()])


async def until(done: Callable[[], object]) -> None:
    """Let the loop turn until something is so; whoever calls has a deadline."""
    while not done():  # noqa: ASYNC110 - what is waited for is inside the other side, which tells nobody
        await asyncio.sleep(0)


async def check(source: str, token: str) -> bool:
    return token == "secret"


@asynccontextmanager
async def collecting(folder: Path, clock: Clock, **options: Any) -> AsyncIterator[tuple[Collector, int]]:
    """A collector that listens; its port."""
    async with (
        asyncio.timeout(60),
        History(folder / "history.sqlite", clock=clock) as history,
        Collector(history, check, clock=clock, registry=options.pop("registry", Registry()), **options) as collector,
    ):
        server = await asyncio.get_running_loop().create_server(collector.protocol, "127.0.0.1", 0)
        try:
            yield collector, server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await asyncio.sleep(0)


class Peer:
    """An agent made by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._frames: Reader[FromCollector] = Reader(FromCollector)  # type: ignore[arg-type]

    @classmethod
    @asynccontextmanager
    async def connected(cls, port: int) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)

    def send(self, *messages: Hello | Define | Push | bytes) -> None:
        self._writer.write(b"".join(each if isinstance(each, bytes) else encode(each) for each in messages))

    async def receive(self) -> FromCollector | None:
        """The next message; None at the end."""
        while (message := self._frames.next()) is None:
            data = await self._reader.read(4096)
            if not data:
                return None
            self._frames.feed(data)
        return message

    def stop_reading(self) -> None:
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]
