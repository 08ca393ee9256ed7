"""Wire: what stands between a transport of net's and the library's connection: deadlines, amounts, back-pressure.

Flow: net -> data_received, in slices -> Connection; Connection -> Facing -> the transport
      the transport is full -> nothing is read from the peer, and sessions wait -> resumed
Never: lets a peer hold more than its limits say, keep the loop from others, or stay without taking what is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, cast

import asyncssh

from ropewalk.auth import Channel
from ropewalk.errors import PeerFault
from ropewalk.net import fault
from ropewalk.ssh.errors import TooMuch, TooSlow, of_library
from ropewalk.ssh.limits import SshLimits

__all__ = ["Engine", "Held", "Wire"]

_SLICE = 16 * 1024  # bytes given to the library in one turn of the loop: full of small packets that is 10 ms
# What may wait for the end of an exchange of keys: more than terminals write without waiting, and than a peer asks in
# the time of a round trip.
_HELD_PACKETS, _HELD_BYTES = 4096, 8 * 1024 * 1024


class Engine(Protocol):
    """The library's connection, as a wire sees it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is connected."""

    def data_received(self, data: bytes) -> None:
        """Bytes came."""

    def connection_lost(self, exc: Exception | None = None) -> None:
        """It is lost."""

    def disconnect(self, code: int, reason: str, lang: str = ...) -> None:
        """Say why, and end."""


class Held(Protocol):
    """What waits while nothing can be sent: a session."""

    def hold(self, on: bool) -> None:
        """Whether it is to wait."""


class Wire(asyncio.Protocol):
    """The protocol of one connection.

    Args:
        limits: What it may take.
        engine: Makes the library's connection.
        came, gone: Told of its beginning and its end.

    Attributes:
        channel: How the peer is connected, for the portal.
        over: The connection is lost.
        sessions: Its channels that are open.
        unsent: Bytes that the library has sent while keys were exchanged.
    """

    transport: asyncio.Transport
    channel: Channel

    def __init__(
        self,
        limits: SshLimits,
        engine: Callable[[Wire], Engine],
        came: Callable[[Wire], None],
        gone: Callable[[Wire], None],
    ) -> None:
        self.limits = limits
        self.over = self.logged_in = False
        self.lost = asyncio.Event()
        self.sessions: set[Held] = set()
        self._engine, self._came, self._gone = engine, came, gone
        self._connection: Engine | None = None
        self._fault: PeerFault | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._rest = memoryview(b"")  # came, and not yet given to the library
        self._early = 0  # bytes before the login
        self._full = self._exchanging = False
        self._held_packets = self._held_bytes = self._full_of = 0

    # ---- from net ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the library says its version, and the clocks run."""
        self.transport = cast(asyncio.Transport, transport)
        # A proxy in front passes SSH through: it ends here, whoever carried it.
        self.channel = replace(Channel.of(transport), verified=True, at_proxy=False)
        self._came(self)
        self._within("exchange", self.limits.handshake, lambda: self._late("exchange of keys", self.limits.handshake))
        self._within("login", self.limits.login_within, lambda: self._late("login", self.limits.login_within))
        self._connection = self._engine(self)
        self._connection.connection_made(_Facing(self))

    def data_received(self, data: bytes) -> None:
        """Pass on what came, a slice in each turn of the loop."""
        if not self.logged_in:
            self._early += len(data)
            if self._early > self.limits.login_bytes:
                self.fail(TooMuch(f"more than {self.limits.login_bytes:,} bytes before the login"))
                return
        if self._rest:  # a transport may give what it had read before it was paused
            self._rest = memoryview(bytes(self._rest) + data)
            return
        self._rest = memoryview(data)
        self._pass_on()

    def pause_writing(self) -> None:
        """The peer does not take what is sent: its next requests wait, since each has an answer."""
        self._full = True
        self.transport.pause_reading()
        self._hold()
        self._watch()

    def resume_writing(self) -> None:
        """It does again."""
        self._full = False
        self._stop("unread")
        self._hold()
        self._book()
        self._resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end: the library tells its channels."""
        self.over = True
        for name in list(self._timers):
            self._stop(name)
        self._rest = memoryview(b"")
        if self._connection is not None:
            self._connection.connection_lost(exc)
        self.lost.set()
        self._gone(self)

    # ---- from the library, and what is built on it ----

    def fail(self, error: PeerFault, code: int = asyncssh.DISC_BY_APPLICATION) -> None:
        """End the connection of a peer that broke a rule, and tell it which."""
        if self._fault is None and not self.over:
            self._fault = error
            self.close(str(error), code)

    def close(self, why: str, code: int = asyncssh.DISC_BY_APPLICATION) -> None:
        """End the connection once all that was written is sent."""
        self._rest = memoryview(b"")
        if self._connection is not None:
            self._connection.disconnect(code, why)

    def ended(self, error: Exception | None) -> None:
        """The library's connection is over, for whatever reason."""
        told = of_library(error)
        if isinstance(told, PeerFault) and self._fault is None:
            self._fault = told
        self.finish()

    def finish(self) -> None:
        """Send what is written, and be lost; who takes nothing of it is cut off by the listener."""
        self._rest = memoryview(b"")
        if self.over:
            return
        if self._fault is not None:
            fault(self.transport, self._fault)
        else:
            self.transport.close()

    def entered(self) -> None:
        """Somebody is logged in."""
        self.logged_in = True
        self._stop("login")
        self._count_channels()

    def opened(self, session: Held) -> None:
        """A channel is open."""
        self.sessions.add(session)
        session.hold(self._full or self._exchanging)
        self._count_channels()

    def closed(self, session: Held) -> None:
        """A channel is closed."""
        self.sessions.discard(session)
        self._count_channels()

    def exchange(self, on: bool) -> None:
        """Keys are being exchanged, or no longer; what is sent meanwhile waits for the end of it."""
        self._exchanging = on
        self._held_packets = self._held_bytes = 0
        if not on:
            self._stop("exchange")
        elif "exchange" not in self._timers:
            wait = self.limits.handshake
            self._within("exchange", wait, lambda: self._late("exchange of keys", wait))
        self._hold()

    def sent(self, size: int) -> None:
        """The library has sent a packet that is not of the exchange."""
        if not self._exchanging:
            return
        self._held_packets += 1
        self._held_bytes += size
        if self._held_packets > _HELD_PACKETS or self._held_bytes > _HELD_BYTES:
            self.fail(TooMuch("too much to be sent while keys are exchanged"))

    @property
    def unsent(self) -> int:
        """Bytes that were given to be sent and have not left."""
        return self._held_bytes + (0 if self.over else self.transport.get_write_buffer_size())

    # ---- inside ----

    def _pass_on(self) -> None:
        if self.over or self._connection is None:
            return
        piece, self._rest = self._rest[:_SLICE], self._rest[_SLICE:]
        if self._rest:
            self.transport.pause_reading()
        self._connection.data_received(bytes(piece))
        self._book()

    def _book(self) -> None:
        if self._rest:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._rest or self._full:  # the end has dropped it; or it waits
            return
        self._pass_on()
        self._resume()

    def _resume(self) -> None:
        if not self._rest and not self._full and not self.over:
            self.transport.resume_reading()

    def _hold(self) -> None:
        for session in list(self.sessions):
            session.hold(self._full or self._exchanging)

    def _within(self, name: str, seconds: float, late: Callable[[], None]) -> None:
        self._stop(name)
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, late)

    def _stop(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    def _late(self, what: str, seconds: float) -> None:
        self.fail(TooSlow(f"{what} took longer than {seconds:g} s"))

    def _count_channels(self) -> None:
        self._stop("unused")
        if self.logged_in and not self.sessions and not self.over:
            wait = self.limits.unused
            self._within("unused", wait, lambda: self.close(f"no channel for {wait:g} s"))

    def _watch(self) -> None:
        """While it is full, some must leave in each span; the last of it may take as long as it likes."""
        self._full_of = self.transport.get_write_buffer_size()
        self._within("unread", self.limits.unread, self._look)

    def _look(self) -> None:
        if self.transport.get_write_buffer_size() >= self._full_of:
            self.fail(TooSlow(f"took nothing of what was sent for {self.limits.unread:g} s"))
            self.finish()
        else:
            self._watch()


class _Facing(asyncio.Transport):
    """The transport that the library sees: addresses are pairs or none, and an abort sends what is written."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self.write = wire.transport.write  # type: ignore[method-assign]  # bound, as net's own are

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the transport beneath; its socket is not the library's to tune."""
        if name == "socket":
            return default
        found = self._wire.transport.get_extra_info(name, default)
        if name in {"peername", "sockname"}:
            return found if isinstance(found, tuple) and len(found) >= 2 else default
        return found

    def abort(self) -> None:
        """The library ends the connection; it has just written why."""
        self._wire.finish()

    close = abort

    def is_closing(self) -> bool:
        """Whether it ends."""
        return self._wire.over or self._wire.transport.is_closing()
