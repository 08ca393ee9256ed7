"""Hearing: the messages that a broker gets, but for calls and answers that are as most are.

Flow: message -> `Hearing.hear` -> the part that it is for; an answer that is not as most are -> `_returned`
Never: is slower for the others than one look into a table.
Source: docs/spec/broker.md section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from ropewalk.broker.drives import Drives
from ropewalk.broker.errors import BadFrame, BadMessage, BadValue, Ended, OverLimit, error_of
from ropewalk.broker.limits import granted
from ropewalk.broker.messages import (
    Abort,
    Call,
    Close,
    Credit,
    End,
    Error,
    Finish,
    Goaway,
    Item,
    LimitsTold,
    Message,
    Ping,
    Pong,
    Release,
    Update,
)
from ropewalk.broker.packing import SIMPLE
from ropewalk.broker.promise import Promise
from ropewalk.broker.shared import Shared
from ropewalk.broker.unpacking import settle
from ropewalk.broker.values import Values
from ropewalk.broker.weigh import too_deep
from ropewalk.errors import PeerFault, RopewalkError

__all__ = ["Hearing"]

_ENOUGH = 16  # questions that are finished, of which the other end is told together
_NESTED: frozenset[Any] = frozenset({list, dict, tuple, set})
_SMALL = SIMPLE | {list, dict, bytes}  # classes of answers that are kept as they are, and no queue can be for


class Hearing(Values):
    """The part of a broker that messages are told to.

    Attributes:
        pings: PING and PONG so far.
        pong: What the next PONG says.
        leaving: Why the other end wants to close.
    """

    pings = 0
    pong: int | None = None
    leaving: str | None = None
    _drives: Drives
    _enough = 1  # questions that are finished, to be told of at once

    def hear(self, told: Message) -> None:
        """A message.

        Raises:
            PeerFault: It cannot be.
            Ended: It is the end.
        """
        _HEARS[told.__class__](self, told)

    def _theirs(self, got: object) -> None:
        limits = granted(self.lanes.theirs, got)
        for part in (self.objects, self.lanes, self.streams):
            part.theirs = limits
        self.answering.replies.depth = limits.depth
        self.outbox.limit(limits)
        self._enough = min(_ENOUGH, limits.questions // 4)
        self.asking.raised(limits)

    def _returned(self, promise: Promise, value: Any) -> None:
        error: RopewalkError | None = None
        try:
            if self.unpacking.marks:
                try:
                    value = settle(value, _no_answer)
                except PeerFault:
                    raise
                except RopewalkError as broken:
                    error = broken
            if error is None and value.__class__ in _NESTED and too_deep((value,), self.ours.depth):
                raise OverLimit(f"an answer lies more than {self.ours.depth} deep inside itself")
        except PeerFault:
            self.asking.questions[promise._question] = promise  # it has no answer: the end of the session will be
            raise
        self.asking.answered(promise, value, error)

    def _error(self, told: Error) -> None:
        error = error_of(told.family, told.code, told.text, told.details)
        promise = self.asking.questions.pop(told.question, None)
        if promise is None:
            raise BadMessage(f"an error for question {told.question}, which is not open")
        self.asking.answered(promise, None, error)

    def _release(self, told: Release) -> None:
        if len(told.references) != len(told.counts):
            raise BadMessage("what is released is not two arrays of one length")
        for number, count in zip(told.references, told.counts, strict=True):
            released = self.objects.release(number, count)
            if released is None:
                continue
            self.answering.forget(number)
            if isinstance(released, Shared):
                self.shares.unwatch(number)

    def _finish(self, told: Finish) -> None:
        answers, finish = self.answering.answers, self.answering.finish
        careful = self.answering.careful
        for question in told.questions:
            if not careful and answers.get(question, self).__class__ in _SMALL:
                del answers[question]
            else:
                finish(question)

    def _end_stream(self, told: End) -> None:
        error = None
        if told.family is not UNSET:
            error = error_of(told.family, told.code, told.text, told.details)
        self.streams.end(told.stream, error)

    def _update(self, told: Update) -> None:
        changes: Any = told.changes
        if self.unpacking.marks:
            try:
                changes = settle(changes, _no_answer)
            except PeerFault:
                raise
            except RopewalkError as error:
                raise BadValue(f"a change cannot be made here: {error}") from None
        self.shares.update(told.reference, told.version, changes)

    def _ping(self, told: Ping) -> None:
        self.pings += 1
        self.pong = told.number
        self._drives.wake(False)

    def _pong(self, _told: Pong) -> None:
        self.pings += 1

    def _limits_told(self, told: LimitsTold) -> None:
        try:
            self._theirs(told.limits)
        except BadFrame as error:
            raise BadMessage(str(error)) from None

    def _goaway(self, told: Goaway) -> None:
        self.leaving = told.text[:4096]
        self.asking.leave(Ended(f"the other end is about to close the session: {self.leaving}"))
        self._drives.wake(False)

    def _abort(self, told: Abort) -> None:
        raise Ended(f"the other end ended the session: {told.text:.4096} ({told.code:.128})")


def _no_answer(_awaited: object) -> Any:
    raise BadMessage("an answer names what is not there yet")


_HEARS: dict[type[Message], Callable[[Any, Any], None]] = {
    Call: lambda self, told: self.answering.call(told),
    Error: Hearing._error,
    Release: Hearing._release,
    Finish: Hearing._finish,
    Credit: lambda self, told: self.streams.granted(told.stream, told.size),
    Item: lambda self, told: self.streams.item(told.stream, told.item),
    End: Hearing._end_stream,
    Close: lambda self, told: self.streams.close(told.stream),
    Update: Hearing._update,
    Ping: Hearing._ping,
    Pong: Hearing._pong,
    LimitsTold: Hearing._limits_told,
    Goaway: Hearing._goaway,
    Abort: Hearing._abort,
}
