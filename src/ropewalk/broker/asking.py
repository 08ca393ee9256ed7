"""Asking: the calls that this end makes, from the caller to the wire and back to their promises.

Flow: `method` or `call_path` -> a number, a promise, a message -> `Sending` -> outbox;
      RETURN, ERROR -> `answered` -> the promise
Never: sends more than the other end takes; sends calls to one target in another order than they were made.
Source: docs/spec/broker.md sections 4 and 7.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ropewalk.broker.about import CURRENT
from ropewalk.broker.caller import caller
from ropewalk.broker.drives import Loop
from ropewalk.broker.errors import Cancelled, Ended, Lost
from ropewalk.broker.lanes import Lanes
from ropewalk.broker.limits import Limits
from ropewalk.broker.objects import Handle, pass_on
from ropewalk.broker.offers import Object
from ropewalk.broker.outbox import Outbox, encode
from ropewalk.broker.own import Own, holds_own
from ropewalk.broker.packing import PLAIN, NeedFailed, Packing, Shows, plain
from ropewalk.broker.paths import check_method, check_path, walk
from ropewalk.broker.promise import Promise
from ropewalk.broker.sending import Ask, Sending, encoded
from ropewalk.broker.settling import reference, settle
from ropewalk.errors import RopewalkError

__all__ = ["Asking"]

_log = logging.getLogger("ropewalk.broker")


class Asking:
    """The questions of one end of a session.

    Attributes:
        questions: Those that have no answer yet.
        finished: Those that the other end is to be told we need no more.
        urgent: It is to be told of them with what is sent next; else when they are more, or time has passed.
        careful: No call may go out by the short way: something is held back, or nothing may be asked at all.
        ended: Why nothing can be asked any more.
        leaving: Why nothing should be asked any more.
    """

    def __init__(
        self, loop: Loop, outbox: Outbox, lanes: Lanes, shows: Shows, theirs: Limits, late: Callable[[], None]
    ) -> None:
        self.loop, self.theirs = loop, theirs
        self.questions: dict[int, Promise] = {}
        self.finished: list[int] = []
        self.careful = self.urgent = False
        self.ended: RopewalkError | None = None
        self.leaving: RopewalkError | None = None
        self._outbox, self._lanes, self._shows, self._late = outbox, lanes, shows, late
        self._sending = Sending(outbox, lanes, self, loop.time)
        self._own = Own(loop)
        # Numbers that are free: those that the short way may take, so that it need not count what is open; and those
        # that are larger than the other end takes questions, which calls had that were held back.
        self._free: list[int] = []
        self._spare: list[int] = []
        self._next = 1
        self._done = 0

    @property
    def open(self) -> int:
        """Questions in use, as the other end sees it, or soon will."""
        return self._next - 1 - len(self._free) - len(self._spare) - self._sending.waiting

    @property
    def called(self) -> int:
        """Calls sent so far."""
        return self._done + self.open

    @property
    def held(self) -> bool:
        """Whether calls are held back."""
        return bool(self._sending)

    @property
    def used(self) -> int:
        """Bytes of the window."""
        return self._sending.used

    def method(self, handle: Handle, name: str) -> Callable[..., Promise]:
        """A function that calls a method of an object of the other end."""
        check_method(name)
        return caller(self, handle, name)

    def call_path(
        self,
        promise: Promise,
        steps: tuple[int | str, ...],
        method: str,
        arguments: Sequence[Any],
        named: Mapping[str, Any],
    ) -> Promise:
        """Call a method of what is, or will be, a part of the answer of a promise."""
        check_method(method)
        check_path(steps)
        if not promise._is_here():
            question = promise._question
            return self.ask([question, *steps], promise, -question, method, arguments, named)
        try:
            target = walk(promise.value(), steps)
            if isinstance(target, Object):
                own = Promise(self, 0)
                self._own.call(own, target, method, arguments, named)
                return own
            return pass_on(reference(target, method), method, arguments, named)
        except RopewalkError as error:
            return self._failed(error)

    def step(self, promise: Promise) -> None:
        """See `Sends`; the answer is kept at the other end until `_unstep`."""
        promise._named -= 1
        promise._needed += 1

    def _unstep(self, promise: Promise) -> None:
        """A call that named it has been sent, if that was as an argument; or answered, if that was its target.

        So a promise comes to mean what its answer is when that cannot change the order of calls any more, and the other
        end need not keep it.
        """
        promise._needed -= 1
        if promise.done():
            self._settle(promise)

    def _settle(self, promise: Promise) -> None:
        """An answer is there: tell the other end, unless it is named by calls that are underway.

        Calls that are held back do not count, or they might wait for ever; but that they go through the other end to
        objects of this one, of which it has no number to send them to.
        """
        if promise._over or promise._needed:
            return
        if promise._named and promise._error is None and holds_own(promise._value):
            return
        promise._over = self.urgent = True
        if self.ended is None:
            self.finished.append(promise._question)
            self._late()

    def ask(
        self,
        number: object,
        target: object,
        key: int,
        method: str,
        arguments: Sequence[Any],
        named: Mapping[str, Any],
    ) -> Promise:
        """A call of any kind.

        Args:
            number: The target as it is sent.
            target: What must not be released before it is sent, or the promise through which the call goes.
            key: One for each target: calls with the same keep their order.

        Raises:
            CannotSend: An argument cannot cross.
            Late: The deadline is over.
            Ended: The session is over, or about to be.
        """
        error = self.ended or self.leaving
        if error is not None:
            raise error.with_traceback(None)  # the same one each time
        if self._free:
            question = self._free.pop()
        elif self._spare:
            question = self._spare.pop()
        else:
            question = self._next
            self._next += 1
        promise = Promise(self, question)
        try:
            ask = self._ask(promise, number, target, key, method, arguments, named)
        except NeedFailed as need:
            self._put_back(question)
            return self._failed(need.error)
        except BaseException:
            self._put_back(question)
            raise
        promise._odd = bool(ask.cost) or key < 0
        for one in ask.names:
            one._odd = True
            one._named += 1
        self._sending.put(ask)
        self._relax()
        return promise

    def tell(
        self, number: object, target: object, key: int, method: str, arguments: Sequence[Any], named: Mapping[str, Any]
    ) -> None:
        """A call whose answer nobody wants; that it failed is logged.

        Raises:
            CannotSend: An argument cannot cross.
            Ended: The session is over, or about to be.
        """
        promise = self.ask(number, target, key, method, arguments, named)
        promise._odd = promise._quiet = True
        if promise._error is not None:
            _log.warning("a call that wanted no answer was not made: %s", promise._error)

    def _failed(self, error: RopewalkError) -> Promise:
        """What a call is that needs a failed one: the same as if that had failed a little later."""
        promise = Promise(self, 0)
        promise._over = True
        promise._fail(error)
        return promise

    def _ask(
        self,
        promise: Promise,
        number: object,
        target: object,
        key: int,
        method: str,
        arguments: Sequence[Any],
        named: Mapping[str, Any],
    ) -> Ask:
        current = CURRENT.get()
        about = None if current is None else current.wire(self.loop.time())
        until = None if current is None else current.until
        if key >= 0 and not named and plain(arguments, self.theirs.depth - 1):  # it was held back, and is as most are
            with suppress(OverflowError, UnicodeEncodeError):  # a long integer; what is told of below
                more = (None, about) if about else ()
                ask = Ask(
                    promise, key, encode((0, promise._question, number, method, arguments, *more)), PLAIN, target, until
                )
                self._check(ask)
                return ask
        packing = Packing(self._shows, self.theirs.depth, promises=True)
        try:
            message: list[Any] = [0, promise._question, number, method, [packing.swap(one, 2) for one in arguments]]
            if named or about:
                message.append({name: packing.swap(one, 2) for name, one in named.items()} or None)
            if about:
                message.append(about)
            ask = Ask(promise, key, encoded(message), packing, target, until)
            self._check(ask)
        except BaseException:
            packing.undo()
            raise
        return ask

    def _check(self, ask: Ask) -> None:
        self._outbox.check(ask.message, ask.packing.segments)
        if ask.packing.blobs:
            self._lanes.check(ask.packing.blobs)

    # What `Sending` asks.

    def settle(self, ask: Ask) -> None:
        """See `Sends`."""
        if settle(ask):
            self._check(ask)

    def room(self, cost: int) -> bool:
        """See `Sends`."""
        used = self._sending.used
        return self.open < self.theirs.questions and (not cost or not used or used + cost <= self.theirs.window)

    def out(self, ask: Ask) -> None:
        """See `Sends`."""
        promise = ask.promise
        self.questions[promise._question] = promise
        promise._odd = promise._odd or bool(ask.cost)
        if isinstance(ask.target, Promise):
            promise._via = ask.target
        for named in ask.packing.promises:
            self._unstep(named)

    def unasked(self, ask: Ask, error: RopewalkError) -> None:
        """See `Sends`: nobody has heard of it."""
        promise = ask.promise
        promise._over = True
        self._put_back(promise._question)
        promise._fail(error)
        for named in ask.needs:
            self._unstep(named)
        for named in ask.names if not ask.needs else ():
            named._named -= 1
            if named.done():
                self._settle(named)

    def pump(self) -> None:
        """Send what was held back and may go now."""
        self._sending.pump()
        self._relax()

    def raised(self, theirs: Limits) -> None:
        """The other end accepts so much from now on."""
        self.theirs = theirs
        spare, self._spare = self._spare, []
        for number in spare:
            self._put_back(number)
        self.pump()

    def _put_back(self, question: int) -> None:
        (self._free if question <= self.theirs.questions else self._spare).append(question)

    def _relax(self) -> None:
        beyond = max(0, self._next - 1 - self.theirs.questions) - len(self._spare)
        careful, self.careful = self.careful, bool(self._sending or self.ended or self.leaving or beyond)
        if self.careful and not careful:
            self._outbox.wake(False)  # from now on it must be looked for what may be sent

    # Answers.

    def answered(self, promise: Promise, value: Any, error: RopewalkError | None = None) -> None:
        """A question has its answer; for those that are not as most are, and for errors."""
        question = promise._question
        self._sending.used -= promise._cost
        if promise._over:  # it was cancelled: what came is dropped
            self._put_back(question)
            self._done += 1
        else:
            if error is None:
                promise._resolve(value)
            else:
                promise._fail(error)
                if promise._quiet:
                    _log.warning("a call that wanted no answer failed: %s", error, extra={"code": error.code})
            self._settle(promise)
        via, promise._via = promise._via, None
        if via is not None:
            self._unstep(via)
        if self.careful:
            self.pump()

    def cancel(self, promise: Promise) -> None:
        """The answer is not wanted any more."""
        if promise._task is not None:
            promise._task.cancel()
        if self.ended is not None or promise._over or promise.done():
            return
        if self._sending and self._sending.drop(promise, Cancelled("the call was cancelled before it was sent")):
            self.pump()
            return
        promise._odd = promise._over = True
        promise._fail(Cancelled("the call was cancelled"))
        self._outbox.say((4, (promise._question,)))

    def leave(self, error: RopewalkError) -> None:
        """Begin nothing new."""
        self.leaving, self.careful = error, True

    def take_finished(self) -> list[int]:
        """Questions to be told of as finished; their numbers are free from now on."""
        finished = self.finished[:]
        # The same list, which `Broker.taken` may be about to add to; and what was added while this ran stays.
        del self.finished[: len(finished)]
        self.urgent = False
        self._done += len(finished)
        if self._next - 1 <= self.theirs.questions:
            self._free += finished
        else:
            for question in finished:
                self._put_back(question)
        return finished

    def end(self, error: RopewalkError) -> None:
        """Nothing will be answered any more."""
        # What is asked from now on is not sent: that is known, whatever ended the session.
        self.ended = error if isinstance(error, Ended) else Ended(f"{error}; the call was not sent", hint=error.hint)
        self.careful = True
        self._sending.end(error)
        promises = [promise for promise in self.questions.values() if not promise.done()]
        self.questions.clear()
        for promise in promises:
            promise._over = True
            promise._fail(Lost(f"{error}; whether the call was done is not known", hint=error.hint))
