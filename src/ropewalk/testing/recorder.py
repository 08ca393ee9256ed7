"""Protocols that keep what they are told, for tests of transports and listeners.

Flow: transport -> Recorder, or BufferedRecorder and then Recorder -> a test that waits for it
Never: does anything by itself, but what a test told it to do with `on_made` and `on_data`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

__all__ = ["BufferedRecorder", "Recorder"]

_SMALL = 1000  # bytes of a buffered protocol's buffer; no divisor of anything


class Recorder(asyncio.Protocol):
    """A protocol that keeps what it is told, and can be waited for.

    Attributes:
        calls: Names of the methods that were called, in order; data_received only where it is the first in a row.
        received: All bytes.
        lost: What connection_lost was given, each time.
        keep: What eof_received answers.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self.calls: list[str] = []
        self.received = bytearray()
        self.lost: list[Exception | None] = []
        self.keep = keep
        self.on_data: Callable[[], None] | None = None
        self.on_made: Callable[[], None] | None = None
        self.transport: asyncio.Transport
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._note("connection_made")
        if self.on_made is not None:
            self.on_made()

    def data_received(self, data: bytes) -> None:
        self.take(data)

    def eof_received(self) -> bool:
        self._note("eof_received")
        return self.keep

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)
        self._note("connection_lost")

    def pause_writing(self) -> None:
        self._note("pause_writing")

    def resume_writing(self) -> None:
        self._note("resume_writing")

    def take(self, data: bytes | memoryview) -> None:
        """Keep bytes that came."""
        self.received += data
        if self.calls[-1:] != ["data_received"]:
            self.calls.append("data_received")
        self._changed.set()
        if self.on_data is not None:
            self.on_data()

    def _note(self, name: str) -> None:
        self.calls.append(name)
        self._changed.set()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something is true of this protocol, which is looked at whenever it is told something."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def until_received(self, size: int) -> bytes:
        """Wait for so many bytes in all."""
        await self.until(lambda: len(self.received) >= size or self.lost)
        return bytes(self.received)

    async def until_lost(self) -> Exception | None:
        """Wait for the end."""
        await self.until(lambda: self.lost)
        return self.lost[0]


class BufferedRecorder(asyncio.BufferedProtocol):
    """The same for a protocol that lends a buffer, here a small one; it tells a `Recorder`."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._buffer = bytearray(_SMALL)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.recorder.connection_made(transport)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - its shape
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.recorder.take(memoryview(self._buffer)[:nbytes])

    def eof_received(self) -> bool:
        return self.recorder.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.recorder.connection_lost(exc)

    def pause_writing(self) -> None:
        self.recorder.pause_writing()

    def resume_writing(self) -> None:
        self.recorder.resume_writing()
