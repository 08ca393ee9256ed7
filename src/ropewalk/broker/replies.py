"""Replies: RETURN and ERROR on their way out.

Flow: question, value -> `say` -> outbox, or a lane while blobs go ahead of it; question, error -> `fail` -> outbox
Never: leaves a question without an answer since its answer cannot be sent.
Source: docs/spec/broker.md sections 3 and 5.3.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from ropewalk.broker.errors import CannotSend, Failed, wire_form
from ropewalk.broker.lanes import Job, Lanes
from ropewalk.broker.outbox import Outbox, encode
from ropewalk.broker.packing import Packing, Shows

__all__ = ["Replies"]

_log = logging.getLogger("ropewalk.broker")
_SHORT = 200  # characters of an error's text that always fit


class Replies:
    """The answers of a session that are being sent.

    Attributes:
        depth: How deep the other end takes values.
        failed: Errors so far.
    """

    def __init__(self, outbox: Outbox, lanes: Lanes, shows: Shows, depth: int) -> None:
        self.depth = depth
        self.failed = 0
        self._outbox, self._lanes, self._shows = outbox, lanes, shows
        self._underway: dict[int, tuple[Job, Packing]] = {}  # answers whose blobs are

    def say(self, question: int, value: Any) -> int:
        """RETURN of any value; how much room it takes until it is finished.

        Raises:
            CannotSend: It cannot cross.
        """
        packing = Packing(self._shows, self.depth)
        try:
            message = encode((1, question, packing.swap(value)))
            self._outbox.check(message, packing.segments)
            if packing.blobs:
                self._lanes.check(packing.blobs)
                job = Job(packing.blobs, partial(self._out, question, message, packing))
                self._underway[question] = job, packing
                self._lanes.put(("answer", question), job)
            else:
                self._out(question, message, packing)
        except BaseException:
            packing.undo()
            raise
        return len(message) + sum(map(len, packing.segments)) + sum(map(len, packing.blobs.values()))

    def _out(self, question: int, message: bytes, packing: Packing) -> None:
        self._underway.pop(question, None)
        self._outbox.add(message, packing.segments)
        packing.sent()

    def drop(self, question: int) -> bool:
        """Do not send an answer whose blobs are underway; False where it is not one."""
        if question not in self._underway:
            return False
        job, packing = self._underway.pop(question)
        self._lanes.drop(("answer", question), job)
        packing.undo()
        return True

    def fail(self, question: int, error: BaseException, *, traces: bool, told: bool = False) -> None:
        """ERROR of any kind; ``told``: it is in the log already."""
        self.failed += 1
        family, code, text, details = wire_form(error, traces=traces)
        if family == "failed" and not told and not isinstance(error, Failed):
            _log.error("a remote call failed: %s", error, exc_info=error, extra={"code": code})
        message: list[Any] = [2, question, family, code, text]
        try:
            self._outbox.say([*message, details] if details else message)
        except CannotSend:  # longer than the other end takes
            self._outbox.say([2, question, family, code, text[:_SHORT]])

    def end(self) -> None:
        """The session is over."""
        for _, packing in self._underway.values():
            packing.undo()
        self._underway.clear()
