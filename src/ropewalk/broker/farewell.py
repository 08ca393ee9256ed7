"""Farewell: the orderly end of a session, in which nothing that was asked is lost.

Flow: close -> GOAWAY -> the other end asks no more, has its answers -> it closes; or this end, once it has waited
Never: closes while something is open that the other end is about to hear; waits for an end that does not come.
Source: docs/spec/broker.md section 9.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ropewalk.broker.errors import Ended

if TYPE_CHECKING:
    from ropewalk.broker.session import Session

__all__ = ["GOING", "Farewell"]

_log = logging.getLogger("ropewalk.broker")

GOING = 5.0  # seconds for the last words to be read, and for the other end to close
_PATIENCE = 5.0  # seconds from when nothing is open here, for the other end to close
_LONGEST = 4096


class Farewell:
    """Of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._why: str | None = None  # this end closes
        self._told = False  # and has said so
        self._timer: asyncio.TimerHandle | None = None

    @property
    def begun(self) -> bool:
        """Whether one of the ends is about to close."""
        return self._why is not None or self._session.broker.leaving is not None

    def over(self) -> Ended:
        """What is told to who still waits."""
        return Ended(f"the session was closed: {self._why or self._session.broker.leaving}")

    def begin(self, why: str) -> None:
        """This end closes."""
        if self._why is None and self._session.error is None:
            self._why = why[:_LONGEST]
            self.go_on()

    def go_on(self) -> None:
        """Something was said or heard: is nothing open any more?"""
        session, broker = self._session, self._session.broker
        if session.error is not None:
            return
        asking = broker.asking
        if self._why is not None and not self._told and not asking.held:
            self._told = True
            broker.outbox.say((13, self._why))
        if broker.outbox.waiting:
            session.wake(False)  # which leads here again
        elif asking.questions or asking.held or broker.answering.busy or broker.lanes:
            return
        elif broker.leaving is not None:
            if not broker.streams.coming_in:
                session.end(self.over())
        elif not broker.streams.going_out and self._timer is None:
            # Calls of the other end may be on their way: it closes when it waits for nothing.
            self._timer = session.loop.call_later(_PATIENCE, session.end, self.over())

    async def wait(self, deadline: float) -> None:
        """Wait for the end, and cut the connection where it does not come within so many seconds."""
        session = self._session
        try:
            async with asyncio.timeout(deadline):
                await session.wait_closed()
        except BaseException as error:
            session.abort(Ended("this end has cut the session"))
            try:
                async with asyncio.timeout(GOING):
                    await session.wait_closed()
            except TimeoutError:
                names = ", ".join(sorted(task.get_name() for task in session.tasks))
                _log.error(
                    "calls of a session that is over do not end: %s", names, extra={"code": "broker.left-behind"}
                )
            if not isinstance(error, TimeoutError):
                raise

    def stop(self) -> None:
        """The session is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
