"""The roll: which connections of a listener are open, what they moved, and which of them do not move.

Flow: connection opened and gone -> Roll -> metrics; a timer -> sweep -> who sent and received nothing is asked to go
      closed, by either side -> leaving; a timer -> who does not take the rest of what is written is cut off
Never: looks at a connection between its beginning and its end, but in the sweep and when metrics are read.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from itertools import count, islice

from ropewalk.net.connection import Connection
from ropewalk.net.counting import Counts

__all__ = ["Roll"]

_SWEEPS = 4  # in one span of the idle limit; a connection sleeps at most a quarter longer than it may
_READ_AT_ONCE = 1_000  # connections whose bytes are asked for when metrics are read: about 2 ms
_numbers = count(1)


class Roll:
    """The open connections of one listener."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        counts: Counts,
        idle: float | None,
        close: float,
        ended: Callable[[str, Connection, str], None],
    ) -> None:
        self._loop, self._counts, self._idle, self._close, self._ended = loop, counts, idle, close, ended
        self._open: dict[Connection, None] = {}
        self._leaving: dict[Connection, tuple[int, int]] = {}  # with what was moved and what waited at the last look
        self._timer: asyncio.TimerHandle | None = None
        self._farewell: asyncio.TimerHandle | None = None
        self._thread = threading.get_ident()
        self._forget: Callable[[], None] = counts.before_collect(self._collect)

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._open))

    def opened(self, connection: Connection) -> None:
        """One more."""
        connection.number = next(_numbers)
        connection.began = connection.since = self._loop.time()
        self._open[connection] = None
        self._counts.accepted.inc()
        self._counts.open.inc()
        if self._idle is not None and self._timer is None:
            self._timer = self._loop.call_later(self._idle / _SWEEPS, self._sweep)

    def leaving(self, connection: Connection) -> None:
        """It closes once its peer has taken what is written, for which the peer has only so long."""
        if connection in self._open:
            self._leaving.setdefault(connection, (-1, -1))
            if self._farewell is None:
                self._farewell = self._loop.call_later(self._close, self._look_after)

    def gone(self, connection: Connection) -> bool:
        """One less; whether it was ever open."""
        if connection not in self._open:
            return False
        del self._open[connection]
        self._leaving.pop(connection, None)
        self._counts.open.dec()
        self._counts.seconds.observe(max(0.0, self._loop.time() - connection.began))
        self._report(connection)
        return True

    def close(self) -> None:
        """Stop the sweeps, and answer no more when metrics are read."""
        for timer in (self._timer, self._farewell):
            if timer is not None:
                timer.cancel()
        self._timer = self._farewell = None
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
            self._ended("idle", connection, f"no byte moved for {self._idle:g} seconds")
            top.close()
            connection.marked = sum(connection.moved())  # what the farewell itself moved is no sign of life
        return asleep

    def _look_after(self) -> None:
        """Cut off those that close and whose peer took nothing since the last look."""
        for connection, before in list(self._leaving.items()):
            if connection.link is None:
                continue
            now = sum(connection.moved()), connection.link.get_write_buffer_size()
            if now == before:
                self._ended("unread", connection, f"its peer did not take the rest within {self._close:g} seconds")
                connection.link.abort()
            self._leaving[connection] = now
        again = self._leaving and self._loop.call_later(self._close, self._look_after)
        self._farewell = again or None

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
