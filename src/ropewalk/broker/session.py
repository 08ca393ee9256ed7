"""Session: a broker over a transport of asyncio's.

Flow: transport -> `buffer_updated` -> Broker -> `wake` -> at the end of the read, or of the loop's turn -> `_flush`
Never: leaves a task, a timer or a promise behind when the connection is gone; lets one blob hold up a call.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any, cast

from ropewalk.broker.broker import Broker
from ropewalk.broker.counts import Counts
from ropewalk.broker.errors import BadFrame, Busy, Ended, Lost
from ropewalk.broker.farewell import GOING, Farewell
from ropewalk.broker.frames import Reader, size_of
from ropewalk.broker.greeting import HELLO
from ropewalk.broker.limits import Limits, framed, widest
from ropewalk.broker.logins import Hellos, hellos_of
from ropewalk.broker.objects import Handle, Remote
from ropewalk.broker.offers import Object, Offer
from ropewalk.broker.times import Times
from ropewalk.broker.wires import Wire, wire_of
from ropewalk.errors import PeerFault, RopewalkError
from ropewalk.net import fault
from ropewalk.net.buffered import deliver
from ropewalk.net.layers import LARGEST_MESSAGE

__all__ = ["Session"]

_log = logging.getLogger("ropewalk.broker")

_HIGH = 512 * 1024  # bytes that wait in the transport: above, no more pieces of blobs are added
_LOW = 128 * 1024
_TOGETHER = 4  # pieces of blobs that are written at once
_TURNS = 4  # such writes in one turn of the loop, where the transport takes all at once
_LATER = 0.05  # seconds that what is in no hurry waits for company
_LOGINS = 16  # of one session: each is kept as long as it lasts


class Session(Reader, asyncio.BufferedProtocol):
    """One end of a session, as a protocol.

    Args:
        door: Makes what the other end can call before anything else.
        ours: What this end accepts.
        server: This end was connected to.
        node: Public key of this end, where it has one.
        nonce: 32 random bytes.
        came: Called when it is connected.
        gone: Called when it is over, with all work for it.

    Attributes:
        door: The other end's.
        broker: The engine, once connected.
        error: Why it is over; None before.
        meant: The key of the server that is meant, where this end has connected by an address that names it.
        heard: When the last bytes came, by the loop's clock.
        opened: Done when the other end's hello is there.
        tasks: What runs for it.
        time, at, create_future: The loop's.
    """

    broker: Broker
    door: Remote
    meant: bytes | None = None
    time: Callable[[], float]
    at: Callable[[float, Callable[[], None]], asyncio.TimerHandle]
    create_future: Callable[[], asyncio.Future[Any]]

    def __init__(
        self,
        door: Callable[[Session], Object],
        *,
        ours: Limits,
        server: bool,
        nonce: bytes,
        node: bytes | None = None,
        came: Callable[[Session], None] = lambda _session: None,
        gone: Callable[[Session], None] = lambda _session: None,
        counts: Counts | None = None,
    ) -> None:
        super().__init__(HELLO)
        self._door, self._ours, self._server, self._nonce, self._node = door, ours, server, nonce, node
        self._came, self._gone, self.counts = came, gone, counts or Counts.current()
        self.transport: asyncio.Transport | None = None
        self.error: RopewalkError | None = None
        self.logged_in = not server
        self._granted: Limits | None = None  # by logins
        self.tasks: set[asyncio.Task[Any]] = set()
        self._leaves: list[Callable[[], Coroutine[Any, Any, None]]] = []  # by logins
        self._later: asyncio.Handle | None = None
        self._reading = self._scheduled = self._paused = False
        self._more = True  # there is, or may be, more to do than to send the body that the outbox has
        self._going: asyncio.TimerHandle | None = None  # runs once it is over
        self._longest: int | None = None  # message of a WebSocket

    # As a protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type
        self.loop = loop = asyncio.get_running_loop()
        self.time, self.at, self.create_future = loop.time, loop.call_at, loop.create_future
        self._thread = threading.get_ident()
        endpoint = transport.get_extra_info("endpoint")
        self._messages = "ws" in getattr(endpoint, "layers", ())
        if self._messages:
            self._longest = int(endpoint.option("max_message", str(LARGEST_MESSAGE)))
            self._ours = framed(self._ours, self._longest)
        self.transport.set_write_buffer_limits(high=_HIGH, low=_LOW)
        broker = self.broker = Broker(
            self._door(self),
            self,
            ours=self._ours,
            server=self._server,
            nonce=self._nonce,
            node=self._node,
            reader=self,
        )
        self._outbox, self._asking, self._settled = broker.outbox, broker.asking, broker.asking.finished
        self._out = self.transport.write
        self.heard = self.time()
        self.door = Remote(Handle(broker.objects, 0, "door"))
        self._times, self._farewell = Times(self), Farewell(self)
        self.opened = self.loop.create_future()
        self._broken, self._over = self.loop.create_future(), self.loop.create_future()
        self.counts.opened(self)
        self._came(self)
        self._times.book()
        self._flush()

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`; with no bytes, what was left of those before is taken."""
        if self.error is not None:
            return  # what a layer below still had; nobody takes it any more
        self.heard = self.time()
        self._reading = True
        try:
            if nbytes:
                self.read(nbytes)
            elif self.broker.rest:
                self.broker.go_on()
        except Ended as error:
            self.end(error)
            return
        except PeerFault as error:
            self.fault(error)
            return
        finally:
            self._reading = False
        if self._more:
            self._look()
        elif self._outbox.count:
            self._send()
        if self._settled and self._later is None:
            self._start_late()

    def message_received(self, data: bytes) -> None:
        """A message of a WebSocket, which is one frame."""
        if self.error is None and size_of(data) != len(data):
            self.fault(BadFrame(f"a message of {len(data):,} bytes is not one frame"))
        if self.error is None:
            deliver(self, data)

    def _look(self) -> None:
        """More may have come than calls and answers, or there may be more to do."""
        if self.broker.hello is not None and not self.opened.done():
            self.opened.set_result(None)
        self._flush()

    def eof_received(self) -> bool:
        """See `asyncio.BaseProtocol`."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        while self.error is None and self.broker.rest:
            self.buffer_updated(0)
        if exc is None and self._farewell.begun:
            self.end(self._farewell.over())
        else:
            self.end(Lost(f"the connection was lost: {exc}" if exc else "the other end has gone"))
        self.transport = None
        for timer in (self._going, self._later):
            if timer is not None:
                timer.cancel()
        if not self.tasks:
            self._finished()

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._more = self._paused = self.broker.shares.slow = True
        self._times.paused()

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._paused = self.broker.shares.slow = False
        self._times.resumed()
        self._flush()

    # What the engine asks.

    def wake(self, alone: bool) -> None:
        """There is something to send."""
        if self._reading or self._scheduled:
            self._more = self._more or not alone
        elif alone and not self._more:
            self._send()
        else:
            self._more = self._scheduled = True
            self.loop.call_soon(self._flush)

    def soon(self) -> None:
        """Something is left of a frame that was read."""
        self.loop.call_soon(self.buffer_updated, 0)

    def late(self) -> None:
        """There is something to send, in no hurry. This may be called in any thread, and inside of anything."""
        if threading.get_ident() != self._thread:
            with suppress(RuntimeError):  # the loop is closed, and the session with it
                self.loop.call_soon_threadsafe(self._start_late)
        elif self._later is None and self.transport is not None:
            # Not a timer: an object may be collected while the loop has its heap of timers half sorted.
            with suppress(RuntimeError):  # as above
                self._later = self.loop.call_soon(self._start_late)

    def _start_late(self) -> None:
        if self.transport is not None and not isinstance(self._later, asyncio.TimerHandle):
            self._later = self.loop.call_later(_LATER, self._late)

    def _late(self) -> None:
        self._later = None
        self._flush(late=True)

    def spawn(self, work: Coroutine[Any, Any, Any], context: Context) -> asyncio.Task[Any]:
        """Run something as long as the session lasts."""
        task = self.loop.create_task(work, context=context)
        self.tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something of the session's own."""
        return self.spawn(work, Context())

    def table(self, kind: type[Object]) -> dict[str, Offer]:
        """The remote methods of a class, with where their time is counted."""
        return self.counts.offers(kind)

    def fault(self, error: RopewalkError) -> None:
        """The other end broke a rule: tell it, and end."""
        if self.error is not None:
            return
        self.counts.faults(error.code)
        if self.transport is not None and not self.transport.is_closing():
            self.broker.outbox.say((14, error.code, str(error)[:4096]))
            self._write(self.transport, self.broker.outbox.take())
        self.end(error)

    # Sending.

    def _send(self) -> None:
        """Send the body that the outbox has, which is most often all that there is."""
        if self._more or self._asking.urgent:
            self._flush()
        else:
            self._out(self._outbox.take_body())

    def _flush(self, *, late: bool = False) -> None:
        """Send all that may be sent now."""
        transport, broker = self.transport, self.broker
        if transport is None or self.error is not None:
            return
        self._scheduled = True  # what is said from here on is sent below
        lanes = broker.lanes
        self._write(transport, broker.take(late=late))
        turns = 0
        while lanes and not self._paused:
            pieces = _TOGETHER
            while pieces and lanes.pump():
                pieces -= 1
            self._write(transport, broker.take())
            turns += 1
            if pieces:
                break
            if turns == _TURNS:
                self.loop.call_soon(self._flush)
                return
        self._scheduled = False
        self._more = bool(self._paused or lanes or broker.asking.careful or self._farewell.begun)
        if self._paused and transport.get_write_buffer_size() > 2 * broker.ours.window:
            # Answers are never held back; a peer that asks, and does not read them, would have us keep them all.
            self.abort(Lost(f"the other end has left {transport.get_write_buffer_size():,} bytes unread"))
        elif self._farewell.begun:
            self._farewell.go_on()

    def _write(self, transport: asyncio.Transport, frames: list[list[Any]]) -> None:
        if len(frames) == 1 and len(frames[0]) == 1:
            transport.write(frames[0][0])
        elif self._messages:
            for frame in frames:
                transport.writelines(frame)
        elif frames:
            transport.writelines([piece for frame in frames for piece in frame])

    # The end.

    def end(self, error: RopewalkError) -> None:
        """Nothing more is taken or asked."""
        if self.error is not None:
            return
        self.error, self._more = error, True
        for leave in self._leaves:
            self.run(leave())
        self.broker.end(error)
        self._times.stop()
        self._farewell.stop()
        self._broken.set_result(None)
        self.counts.closed(self)
        if not self.opened.done():
            self.opened.set_exception(error)
            self.opened.exception()  # fetched: nobody may be waiting
        transport = self.transport
        if transport is not None:
            self._going = self.loop.call_later(GOING, transport.abort)
            if isinstance(error, PeerFault):
                fault(transport, error)
            else:
                transport.close()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if self.error is not None and self.transport is None and not self.tasks:
            self._finished()

    def _finished(self) -> None:
        if not self._over.done():
            self._over.set_result(None)
            self._gone(self)

    @property
    def leaving(self) -> bool:
        """Whether it is over, or one of the ends is about to close it: nothing new should be begun."""
        return self.error is not None or self._farewell.begun

    def close(self, why: str = "closed") -> None:
        """Say that this end leaves; what was asked before is answered first, and then the other end closes."""
        self._farewell.begin(why)

    def abort(self, error: RopewalkError) -> None:
        """End at once, and say nothing."""
        self.end(error)
        if self.transport is not None:
            self.transport.abort()

    async def broken(self) -> None:
        """Wait until nothing more can be asked or answered."""
        await asyncio.shield(self._broken)

    async def wait_closed(self) -> None:
        """Wait until the connection and all work for it have ended."""
        await asyncio.shield(self._over)

    async def ended(self, deadline: float) -> None:
        """Wait for the end, and cut the connection where it does not come within so many seconds."""
        await self._farewell.wait(deadline)

    # Logins.

    def entered(self, limits: Limits | None, leave: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Somebody has logged in.

        Args:
            limits: That they have; None for those of everybody.
            leave: What is to be done once when the session is over.
        """
        if self.error is not None or len(self._leaves) >= _LOGINS:
            self.run(leave())
            raise self.error or Busy(f"{_LOGINS} have logged in, the most of a session")
        self.logged_in = True
        self._leaves.append(leave)
        granted = limits or self._ours
        self._granted = granted if self._granted is None else widest(self._granted, granted)
        self.broker.accept(framed(self._granted, self._longest))
        self._times.book()

    @property
    def hellos(self) -> Hellos:
        """What both ends have said of themselves."""
        return hellos_of(self.broker)

    @property
    def wire(self) -> Wire:
        """What is known of the connection."""
        assert self.transport is not None
        return wire_of(self.transport)
