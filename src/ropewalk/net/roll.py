"""The roll: which connections of a listener are open, what they moved, and which of them sleep.

Flow: connection opened and gone -> Roll -> metrics; a timer -> sweep -> who sent and received nothing is asked to go
Never: looks at a connection between its beginning and its end, but in the sweep and when metrics are read.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from itertools import islice

from ropewalk.net.connection import Connection
from ropewalk.net.counting import Counts

__all__ = ["Roll"]

_SWEEPS = 4  # in one span of the idle limit; a connection sleeps at most a quarter longer than it may
_READ_AT_ONCE = 1_000  # connections whose bytes are asked for when metrics are read: about 2 ms


class Roll:
    """The open connections of one listener."""

    def __init__(self, loop: asyncio.AbstractEventLoop, counts: Counts, idle: float | None) -> None:
        self._loop, self._counts, self._idle = loop, counts, idle
        self._open: dict[Connection, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.get_ident()
        self._forget: Callable[[], None] = counts.before_collect(self._collect)

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._open))

    def opened(self, connection: Connection) -> None:
        """One more."""
        connection.began = connection.since = self._loop.time()
        self._open[connection] = None
        self._counts.accepted.inc()
        self._counts.open.inc()
        if self._idle is not None and self._timer is None:
            self._timer = self._loop.call_later(self._idle / _SWEEPS, self._sweep)

    def gone(self, connection: Connection) -> None:
        """One less, if it was ever open."""
        if connection not in self._open:
            return
        del self._open[connection]
        self._counts.open.dec()
        self._counts.seconds.observe(max(0.0, self._loop.time() - connection.began))
        self._report(connection)

    def close(self) -> None:
        """Stop the sweep, and answer no more when metrics are read."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._forget()

    def sweep(self, now: float) -> int:
        """Ask those to go that moved no byte for too long; cut off those that were asked and are still there.

        Returns:
            How many were asked or cut off.
        """
        asleep = 0
        for connection in list(self._open):
            moved = sum(connection.moved())
            if moved != connection.marked:
                connection.marked, connection.since = moved, now
                continue
            if self._idle is None or now - connection.since < self._idle:
                continue
            asleep += 1
            top = connection.top
            if top is None or connection.asked:
                if connection.link is not None:
                    connection.link.abort()
                continue
            connection.asked = True
            self._counts.ended("idle").inc()
            top.close()
            connection.marked = sum(connection.moved())  # what the farewell itself moved is no sign of life
        return asleep

    def _sweep(self) -> None:
        assert self._idle is not None
        self.sweep(self._loop.time())
        # No timer for an empty room: the next one who comes sets it.
        self._timer = self._loop.call_later(self._idle / _SWEEPS, self._sweep) if self._open else None

    def _collect(self) -> None:
        # Metrics may be read in another thread, where a socket could be closed and its number taken while it is asked.
        if threading.get_ident() != self._thread:
            return
        for connection in list(islice(self._open, _READ_AT_ONCE)):
            self._report(connection)
            # To the end of the line, so that all have their turn where there are more than are read at once.
            del self._open[connection]
            self._open[connection] = None

    def _report(self, connection: Connection) -> None:
        received, sent = connection.moved()
        before = connection.reported
        connection.reported = (received, sent)
        self._counts.received.inc(max(0, received - before[0]))
        self._counts.sent.inc(max(0, sent - before[1]))
