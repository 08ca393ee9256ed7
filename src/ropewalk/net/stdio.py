"""stdio: standard input and output as one connection, for programs that another one starts.

Flow: descriptors 0 and 1, or those of the options -> the loop's pipe transports -> StdioTransport -> the protocol
Never: closes descriptors 0 and 1 themselves, or takes a regular file, which no loop can wait for.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, cast

from ropewalk.net.buffered import deliver, report
from ropewalk.net.endpoint import Endpoint
from ropewalk.net.errors import NoSuchSocket, NotCarried

__all__ = ["StdioCarrier", "StdioTransport"]

Bytes = bytes | bytearray | memoryview
Factory = Callable[[], asyncio.BaseProtocol]


class StdioTransport(asyncio.Transport):
    """Two pipes as one transport.  Made by `StdioCarrier`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol) -> None:
        super().__init__({"peername": "stdio", "sockname": "stdio"})
        self._loop, self._protocol = loop, protocol
        self._in: asyncio.ReadTransport
        self._out: asyncio.WriteTransport
        self._started = False  # both are there, the protocol knows, and either may be closed
        self._open = 2  # pipes
        self._closing = False
        self._error: Exception | None = None

    def _start(self, reading: asyncio.ReadTransport, writing: asyncio.WriteTransport) -> None:
        self._in, self._out = reading, writing
        self._protocol.connection_made(self)

    # what the pipes tell

    def _received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            deliver(self._protocol, data)
        except Exception as error:  # noqa: BLE001 - the user's code; the loop is told, and the connection ends
            report(self._protocol, self, error, "data_received()")
            self._error = error
            self.abort()

    def _ended(self) -> None:
        if self._closing:
            return
        keep: bool | None = False
        try:
            keep = self._protocol.eof_received()  # type: ignore[attr-defined]  # both kinds of protocol have it
        except Exception as error:  # noqa: BLE001 - as above
            report(self._protocol, self, error, "eof_received()")
            self._error = error
        if not keep:
            self.close()

    def _pipe_lost(self, exc: Exception | None, *, writing: bool) -> None:
        self._open -= 1
        if exc is not None and self._error is None and not self._closing:
            self._error = exc
        if writing and self._started and not self._closing and not self._half:
            self._output_lost()
        if self._closing and self._open == 0:
            self._loop.call_soon(self._protocol.connection_lost, self._error)

    def _check_output(self) -> None:
        """Nobody may have read what is written from the very beginning."""
        self._started = True
        if self._open < 2 and not self._closing:
            self._output_lost()

    def _output_lost(self) -> None:
        self._error = self._error or BrokenPipeError("nobody reads what is written")
        self.close()

    # what the protocol asks

    _half = False  # write_eof was called

    def write(self, data: Bytes) -> None:
        """Write."""
        if not self._closing:
            self._out.write(data)

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        """Write them joined."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """It can: the two directions are two pipes."""
        return True

    def write_eof(self) -> None:
        """Close the output once it is written."""
        if not self._closing:
            self._half = True
            self._out.close()

    def close(self) -> None:
        """Read no more, write what waits, then be lost."""
        if not self._closing:
            self._closing = True
            self._in.close()
            self._out.close()
            if self._open == 0:
                self._loop.call_soon(self._protocol.connection_lost, self._error)

    def abort(self) -> None:
        """End at once."""
        self.close()
        self._out.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._closing

    def pause_reading(self) -> None:
        """Take nothing until `resume_reading`."""
        if not self._closing and self._open == 2:
            self._in.pause_reading()

    def resume_reading(self) -> None:
        """Take again."""
        if not self._closing:
            self._in.resume_reading()

    def is_reading(self) -> bool:
        """Whether bytes are taken."""
        return not self._closing and self._in.is_reading()

    def get_write_buffer_size(self) -> int:
        """Bytes that the pipe has not taken."""
        return self._out.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Low and high mark."""
        return self._out.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Where the protocol is told to pause and to resume."""
        self._out.set_write_buffer_limits(high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who gets what comes."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who gets what comes."""
        return self._protocol


class _Input(asyncio.Protocol):
    def __init__(self, above: StdioTransport) -> None:
        self._above = above

    def data_received(self, data: bytes) -> None:
        self._above._received(data)  # noqa: SLF001 - the two halves of one transport, here and below

    def eof_received(self) -> None:
        self._above._ended()  # noqa: SLF001

    def connection_lost(self, exc: Exception | None) -> None:
        self._above._pipe_lost(exc, writing=False)  # noqa: SLF001


class _Output(asyncio.Protocol):
    def __init__(self, above: StdioTransport) -> None:
        self._above = above

    def pause_writing(self) -> None:
        self._above._protocol.pause_writing()  # noqa: SLF001

    def resume_writing(self) -> None:
        self._above._protocol.resume_writing()  # noqa: SLF001

    def connection_lost(self, exc: Exception | None) -> None:
        self._above._pipe_lost(exc, writing=True)  # noqa: SLF001


class _Listening:
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def close(self) -> None:
        """There is only the one connection, which the listener ends itself."""


class StdioCarrier:
    """The carrier behind stdio:."""

    async def listen(self, endpoint: Endpoint, factory: Factory) -> _Listening:
        """Serve the one connection that there is.

        Raises:
            NotCarried: Input or output is a regular file or the like.
        """
        await self.connect(endpoint, factory)
        return _Listening(endpoint)

    async def connect(self, endpoint: Endpoint, factory: Factory) -> tuple[Any, asyncio.BaseProtocol]:
        """Talk to who started us.

        Raises:
            NotCarried: Input or output is a regular file or the like.
            NoSuchSocket: It is closed.
        """
        loop = asyncio.get_running_loop()
        reading = _pipe(int(endpoint.option("read", "0")), "rb", "input")
        try:
            writing = _pipe(int(endpoint.option("write", "1")), "wb", "output")
        except Exception:
            reading.close()
            raise
        try:
            protocol = factory()
            above = StdioTransport(loop, protocol)
            out, _ = await loop.connect_write_pipe(lambda: _Output(above), writing)
        except BaseException:
            reading.close()
            writing.close()
            raise
        started = asyncio.Event()

        def begin() -> asyncio.Protocol:
            return _Starting(above, out, started)

        try:
            await loop.connect_read_pipe(begin, reading)
            await started.wait()
            above._check_output()  # noqa: SLF001 - it is made here; uvloop forgets a pipe that is closed any earlier
        except BaseException:
            out.close()
            reading.close()
            raise
        return above, protocol


class _Starting(_Input):
    """Input whose beginning is the connection's: nothing is read before the user's protocol knows its transport."""

    def __init__(self, above: StdioTransport, out: asyncio.WriteTransport, started: asyncio.Event) -> None:
        super().__init__(above)
        self._out, self._started = out, started

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._above._start(cast(asyncio.ReadTransport, transport), self._out)  # noqa: SLF001
        self._started.set()


def _pipe(number: int, mode: str, what: str) -> BinaryIO:
    """A file of our own on a copy of a descriptor, so that closing it leaves 0 and 1 in their place."""
    try:
        kind = os.fstat(number).st_mode
    except OSError:
        raise NoSuchSocket(f"standard {what}, descriptor {number}, is not open") from None
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or (stat.S_ISCHR(kind) and os.isatty(number))):
        raise NotCarried(
            f"standard {what} is a file, expected a pipe, a socket or a terminal",
            hint="through a pipe it works: cat FILE | program | cat",
        )
    return cast(BinaryIO, os.fdopen(os.dup(number), mode, buffering=0))
