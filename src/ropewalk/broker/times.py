"""Times: what must happen in a session within some seconds, and what becomes of it where it does not.

Flow: connected, read, paused, logged in -> `Times.book`: one timer for the next time that is over -> fault, PING, end
Never: takes a silent end as lost before it was asked; ends a session as idle while something is open in it.
Source: docs/spec/broker.md section 7.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ropewalk.broker.errors import Lost
from ropewalk.errors import PeerFault

if TYPE_CHECKING:
    from ropewalk.broker.session import Session

__all__ = ["Times", "TooSlow"]

_EARLY = 0.001  # seconds by which a loop may be early
_LOOKS = 4  # how often it is looked whether a session is idle, in the time after which it ends


class TooSlow(PeerFault):
    """The other end did not do in time what it must."""

    code = "broker.late"


class Times:
    """The times of one session, from now on."""

    def __init__(self, session: Session) -> None:
        self._session, self._loop = session, session.loop
        self._began = self._looked = session.loop.time()
        self._asked: float | None = None  # when the other end was asked whether it is there
        self._paused: float | None = None  # since when it reads nothing
        self._said = self._same = 0  # messages when it was last looked, and how often nothing had been done
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def paused(self) -> None:
        """The other end reads no more."""
        self._paused = self._loop.time()
        self.book()

    def resumed(self) -> None:
        """It reads again."""
        self._paused = None

    def stop(self) -> None:
        """The session is over."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def book(self) -> None:
        """See to it that the next time is heeded: a nearer one may have come."""
        if self._over:
            return
        if self._timer is not None:
            self._timer.cancel()
        when = min(when for when, _ in self._times())
        self._timer = self._loop.call_at(max(when, self._loop.time() + _EARLY), self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.time() + _EARLY
        for when, over in self._times():
            if when <= now:
                over()
                if self._over:
                    return
        self.book()

    def _times(self) -> list[tuple[float, Callable[[], None]]]:
        """What is to be done, and when, as it looks now."""
        session, ours = self._session, self._session.broker.ours
        if self._asked is not None and session.heard >= self._asked:
            self._asked = None
        if self._asked is None:
            times = [(session.heard + ours.quiet, self._ask)]
        else:
            times = [(self._asked + ours.quiet, self._silent)]
        if session.broker.hello is None:
            times.append((self._began + ours.hello, self._no_hello))
        if not session.logged_in:
            times.append((self._began + ours.login, self._no_login))
        if self._paused is not None:
            times.append((self._paused + ours.unread, self._unread))
        if ours.idle:
            times.append((self._looked + ours.idle / _LOOKS, self._look))
        return times

    def _ask(self) -> None:
        self._asked = self._loop.time()
        self._session.broker.outbox.say((10, 1))

    def _silent(self) -> None:
        self._session.abort(Lost(f"nothing was heard of the other end for {2 * self._session.broker.ours.quiet:g} s"))

    def _no_hello(self) -> None:
        self._session.fault(TooSlow(f"no hello within {self._session.broker.ours.hello:g} s"))

    def _no_login(self) -> None:
        self._session.fault(TooSlow(f"no login within {self._session.broker.ours.login:g} s"))

    def _unread(self) -> None:
        self._session.abort(Lost(f"the other end has read nothing for {self._session.broker.ours.unread:g} s"))

    def _look(self) -> None:
        broker = self._session.broker
        said = broker.calls - broker.pings
        used = broker.asking.questions or broker.answering.busy or len(broker.streams) or len(broker.shares)
        self._same = 0 if used or said != self._said else self._same + 1
        self._said, self._looked = said, self._loop.time()
        if self._same >= _LOOKS:
            self._session.close(f"idle for {broker.ours.idle:g} s")
