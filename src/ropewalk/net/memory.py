"""memory://name: two transports in one process and one loop, with all that a socket's transports do.

Flow: write -> bytes wait at the writer -> the next turn of the loop -> the reader's protocol, unless it pauses
Never: calls a protocol from inside a call of the other one: each step is a turn of the loop, in the order of the calls.

Names belong to the running loop: two loops in two threads, or one after the other, do not see each other's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

from ropewalk.net.buffered import deliver, report
from ropewalk.net.endpoint import Endpoint
from ropewalk.net.errors import AddressInUse, ConnectionRefused
from ropewalk.net.flow import Watermarks

__all__ = ["MemoryCarrier", "MemoryTransport", "memory_pair"]

_PIECE = 256 * 1024  # bytes given to a reader at once, as the loops read from a socket

Bytes = bytes | bytearray | memoryview
Factory = Callable[[], asyncio.BaseProtocol]

_names: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, MemoryListening]] = WeakKeyDictionary()


class MemoryTransport(asyncio.Transport):
    """One end.  Made in pairs by `memory_pair`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, name: str, peer: str) -> None:
        super().__init__({"sockname": name, "peername": peer, "ropewalk.private": True})
        self._loop, self._protocol = loop, protocol
        self._other: MemoryTransport = self
        self._waiting: deque[bytes | memoryview] = deque()  # written, and not yet read by the other end
        self._size = 0
        self._marks = Watermarks(lambda error, what: report(self._protocol, self, error, what))
        self._paused = False  # reading
        self._moving = False  # a turn of the loop is booked in which bytes go to the other end
        self._eof = False  # no more will be written
        self._eof_told = False  # and the other end knows
        self._input_ended = False  # nothing more comes from the other end
        self._closing = self._lost = False

    # reading

    def pause_reading(self) -> None:
        """Take nothing until `resume_reading`."""
        self._paused = True

    def resume_reading(self) -> None:
        """Take again, from the next turn of the loop on."""
        if not self._paused or self._closing:
            return
        self._paused = False
        if self._input_ended:
            self._loop.call_soon(self._end_of_input)
        else:
            self._other._book()  # noqa: SLF001 - its other half

    def is_reading(self) -> bool:
        """Whether bytes are taken."""
        return not self._paused and not self._closing

    # writing

    def write(self, data: Bytes) -> None:
        """Send, in one of the next turns of the loop."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data is {type(data).__name__!r}, expected a bytes-like object")
        if self._eof:
            raise RuntimeError("cannot write after write_eof()")
        if self._closing or not data:
            return
        kept = bytes(data)
        self._waiting.append(kept)
        self._size += len(kept)
        self._book()
        self._marks.changed(self._size, self._protocol)

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        """Send one after the other."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """It can."""
        return True

    def write_eof(self) -> None:
        """End this direction once all is taken."""
        if not self._eof and not self._closing:
            self._eof = True
            self._book()

    def get_write_buffer_size(self) -> int:
        """Bytes that the other end has not taken."""
        return self._size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Low and high mark."""
        return self._marks.low, self._marks.high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Where the protocol is told to pause and to resume."""
        self._marks.set(high, low)
        self._marks.changed(self._size, self._protocol)

    # ending

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._closing

    def close(self) -> None:
        """Read no more, send what waits, then be lost."""
        if not self._closing:
            self._closing = True
            self._book()
            self._other._book()  # noqa: SLF001 - what it still has nobody will read

    def abort(self) -> None:
        """Be lost now; what waits is lost too, and the other end is told of a reset."""
        self._end(None, reset=True)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who gets what comes."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who gets what comes."""
        return self._protocol

    def __repr__(self) -> str:
        state = "lost" if self._lost else "closing" if self._closing else "open"
        return f"<MemoryTransport {self.get_extra_info('sockname')} {state}>"

    def _start(self) -> None:
        try:
            self._protocol.connection_made(self)
        except Exception as error:  # noqa: BLE001 - the user's code; the loop is told
            report(self._protocol, self, error, "connection_made()")

    def _book(self) -> None:
        """See to it that `_move` runs in the next turn of the loop."""
        if not self._moving and not self._lost:
            self._moving = True
            self._loop.call_soon(self._move)

    def _move(self) -> None:
        """Give the other end one piece, or the end."""
        self._moving = False
        if self._lost:
            return
        if self._waiting and not self._hand_over():
            return
        if (self._eof or self._closing) and not self._eof_told:
            self._eof_told = True
            self._other._end_of_input()  # noqa: SLF001 - its other half
        if self._closing:
            self._end(None, reset=False)

    def _hand_over(self) -> bool:
        """Give one piece of what waits; whether nothing waits any more."""
        other = self._other
        if other._lost or other._closing:  # noqa: SLF001 - its other half, here and below
            self._waiting.clear()
            self._size = 0
            if other._lost and not self._closing:  # noqa: SLF001 - as a socket does that is written to after a reset
                self._end(ConnectionResetError("the other end is closed"), reset=False)
                return False
            self._marks.changed(0, self._protocol)
            return not self._waiting
        if other._paused:  # noqa: SLF001
            return False
        # The reader first: a writer that is resumed writes more, and the two take turns.
        other._take(self._piece())  # noqa: SLF001
        if self._lost:
            return False
        self._marks.changed(self._size, self._protocol)
        if self._waiting:
            self._book()
        return not self._waiting

    def _piece(self) -> bytes | memoryview:
        first = self._waiting.popleft()
        if len(first) > _PIECE:
            view = memoryview(first)
            self._waiting.appendleft(view[_PIECE:])
            first = view[:_PIECE]
        elif self._waiting:
            parts, size = [first], len(first)
            while self._waiting and size + len(self._waiting[0]) <= _PIECE:
                parts.append(self._waiting.popleft())
                size += len(parts[-1])
            first = b"".join(parts)
        self._size -= len(first)
        return first

    def _take(self, piece: bytes | memoryview) -> None:
        try:
            deliver(self._protocol, piece)
        except Exception as error:  # noqa: BLE001 - the user's code; the loop is told, and the connection ends
            report(self._protocol, self, error, "data_received()")
            self._end(error, reset=True)

    def _end_of_input(self) -> None:
        self._input_ended = True
        if self._paused or self._closing:  # it is told when it resumes
            return
        keep: bool | None = False
        try:
            keep = self._protocol.eof_received()  # type: ignore[attr-defined]  # both kinds of protocol have it
        except Exception as error:  # noqa: BLE001 - as above
            report(self._protocol, self, error, "eof_received()")
            self._end(error, reset=True)
        if not keep:
            self.close()

    def _end(self, error: Exception | None, *, reset: bool) -> None:
        if self._lost:
            return
        self._closing = self._lost = True
        self._waiting.clear()
        self._size = 0
        self._loop.call_soon(self._protocol_lost, error)
        if reset:
            self._loop.call_soon(self._other._reset)  # noqa: SLF001 - its other half
        else:
            self._other._book()  # noqa: SLF001 - nobody will take what it still has

    def _reset(self) -> None:
        self._end(ConnectionResetError("the other end was aborted"), reset=False)

    def _protocol_lost(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        except Exception as failure:  # noqa: BLE001 - as above
            report(self._protocol, self, failure, "connection_lost()")


def memory_pair(
    first: asyncio.BaseProtocol, second: asyncio.BaseProtocol, name: str = "memory"
) -> tuple[MemoryTransport, MemoryTransport]:
    """Two protocols, connected to each other; both are told in the next turn of the loop, the first one first."""
    loop = asyncio.get_running_loop()
    one = MemoryTransport(loop, first, f"{name}:client", f"{name}:server")
    two = MemoryTransport(loop, second, f"{name}:server", f"{name}:client")
    one._other, two._other = two, one  # noqa: SLF001 - they are made here
    for end in (two, one):
        loop.call_soon(end._start)  # noqa: SLF001
    return one, two


class MemoryListening:
    """A name that is listened on."""

    def __init__(self, names: dict[str, MemoryListening], endpoint: Endpoint, factory: Factory) -> None:
        self.endpoint, self.factory = endpoint, factory
        self._names = names
        names[endpoint.host] = self

    def close(self) -> None:
        """Give the name back."""
        if self._names.get(self.endpoint.host) is self:
            del self._names[self.endpoint.host]


class MemoryCarrier:
    """The carrier behind memory://."""

    async def listen(self, endpoint: Endpoint, factory: Factory) -> MemoryListening:
        """Take a name.

        Raises:
            AddressInUse: It is taken in this loop.
        """
        names = _names.setdefault(asyncio.get_running_loop(), {})
        if endpoint.host in names:
            raise AddressInUse(f"cannot listen on {endpoint.place}: somebody listens there already")
        return MemoryListening(names, endpoint, factory)

    async def connect(self, endpoint: Endpoint, factory: Factory) -> tuple[Any, asyncio.BaseProtocol]:
        """Connect to a name.

        Raises:
            ConnectionRefused: Nobody listens there in this loop.
            Overloaded: The listener's limits are reached.
        """
        listening = _names.get(asyncio.get_running_loop(), {}).get(endpoint.host)
        if listening is None:
            raise ConnectionRefused(
                f"cannot connect to {endpoint.place}: nobody listens there",
                hint="names belong to one event loop: listener and client must run in the same",
            )
        client = factory()  # first, since what the listener's factory made must be connected
        server = listening.factory()
        transport, _ = memory_pair(client, server, endpoint.host)
        told = asyncio.Event()
        asyncio.get_running_loop().call_soon(told.set)  # after both were, in whatever order tasks go on
        await told.wait()
        return transport, client
