"""Sending: calls on their way out, which may have to wait.

A call waits until the other end takes one more (`_waiting`, in order), and then, if it has blobs, until those are sent
(`_laned`): later calls with its target and those that name its answer stay behind it, and no others.

Flow: Ask -> `put` -> waiting, while too much is open -> a lane, while bytes go ahead of it -> outbox
Never: sends calls to one target in another order than they were made, nor more than the other end takes.
Source: docs/spec/broker.md sections 4, 5.3 and 7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from functools import partial
from typing import Any, Protocol

import msgspec

from ropewalk.broker.errors import CannotSend, Ended, Late
from ropewalk.broker.lanes import Job, Lanes
from ropewalk.broker.limits import FREE
from ropewalk.broker.outbox import Outbox, encode
from ropewalk.broker.packing import Packing
from ropewalk.broker.promise import Promise
from ropewalk.errors import RopewalkError

__all__ = ["Ask", "Sending", "encoded"]

_LONGEST_WAIT = 2**31 - 1  # milliseconds
_NOBODY: deque[Ask] = deque()  # never added to: an empty one has 700 bytes, and most sessions need none
decode = msgspec.msgpack.Decoder().decode


class Ask:
    """A call that is to be sent.

    Attributes:
        key: One for each target.
        message: As it is encoded.
        target: What it is for: a reference, or a promise through which it goes.
        until: The time after which its answer is of no use.
        cost: Of the window.
        job: Of the blobs that go ahead of it.
        needs: Promises that it names, from when it is on its way.
    """

    __slots__ = ("cost", "job", "key", "message", "needs", "packing", "promise", "target", "until")

    def __init__(
        self, promise: Promise, key: int, message: bytes, packing: Packing, target: object, until: float | None
    ) -> None:
        self.promise, self.key, self.packing, self.target, self.until = promise, key, packing, target, until
        self.needs: list[Promise] = []
        self.job: Job | None = None
        self.is_now(message)

    def is_now(self, message: bytes) -> None:
        """It is to be sent so."""
        self.message = message
        packing = self.packing
        beside = sum(map(len, packing.segments)) + sum(map(len, packing.blobs.values()))
        self.cost = len(message) + beside if beside or len(message) >= FREE else 0

    @property
    def names(self) -> list[Promise]:
        """Promises that it names, its target first."""
        via = [self.target] if isinstance(self.target, Promise) else []
        return [*via, *self.packing.promises]


class Sends(Protocol):
    """What sending asks of who asks."""

    def room(self, cost: int) -> bool:
        """Whether the other end takes one more question, of so many bytes."""

    def step(self, promise: Promise) -> None:
        """A promise is named by a call on its way."""

    def settle(self, ask: Ask) -> None:
        """What it names and is there takes its place in it.

        Raises:
            RopewalkError: It cannot be made.
        """

    def out(self, ask: Ask) -> None:
        """It is sent now: its answer may come."""

    def unasked(self, ask: Ask, error: RopewalkError) -> None:
        """It will not be sent."""


class Sending:
    """The calls of a session that are not sent yet.

    Attributes:
        used: Bytes of the window.
    """

    def __init__(self, outbox: Outbox, lanes: Lanes, sends: Sends, time: Callable[[], float]) -> None:
        self.used = 0
        self._outbox, self._lanes, self._sends, self._time = outbox, lanes, sends, time
        self._waiting = _NOBODY
        self._laned: dict[int, Ask] = {}  # by question
        self._keys: dict[int, int] = {}  # their targets, and how many for each

    def __bool__(self) -> bool:
        return bool(self._waiting or self._laned)

    @property
    def waiting(self) -> int:
        """Calls that the other end does not take yet."""
        return len(self._waiting)

    def put(self, ask: Ask) -> None:
        """Send a call as soon as that may be."""
        if self._waiting:
            self._waiting.append(ask)
        else:
            self._waiting = deque((ask,))
            self.pump()

    def pump(self) -> None:
        """Send what waits and may go."""
        waiting = self._waiting
        while waiting:
            ask = waiting[0]
            try:
                self._sends.settle(ask)
            except RopewalkError as error:
                self._lost(ask, error)
                continue
            if not self._sends.room(ask.cost):
                return
            waiting.popleft()
            self._go(ask)
        self._waiting = _NOBODY

    def _go(self, ask: Ask) -> None:
        self.used += ask.cost
        ask.promise._cost = ask.cost
        ask.needs = ask.names
        for promise in ask.needs:
            self._sends.step(promise)
        if ask.packing.blobs or (self._laned and self._is_behind(ask, self._keys, self._laned)):
            self._laned[ask.promise._question] = ask
            self._keys[ask.key] = self._keys.get(ask.key, 0) + 1
            self._advance()
        else:
            self._out(ask)

    @staticmethod
    def _is_behind(ask: Ask, keys: Container[int], questions: Container[int]) -> bool:
        return ask.key in keys or any(need._question in questions for need in ask.needs)

    def _advance(self) -> None:
        """Send what has nothing ahead of it; begin with the blobs of those that have some."""
        keys: set[int] = set()
        questions: set[int] = set()
        for question, ask in list(self._laned.items()):
            if question not in self._laned:  # it was lost with one before it
                continue
            if ask.job is None and not self._is_behind(ask, keys, questions):
                if not ask.packing.blobs:
                    self._unlane(ask)
                    self._out(ask)
                    continue
                ask.job = Job(ask.packing.blobs, partial(self._leave, ask))
                self._lanes.put(("call", question), ask.job)
            keys.add(ask.key)
            questions.add(question)

    def _leave(self, ask: Ask) -> None:
        """Its bytes are sent, and now it is, and then what stayed behind it."""
        self._unlane(ask)
        self._out(ask)
        self._advance()

    def _unlane(self, ask: Ask) -> None:
        del self._laned[ask.promise._question]
        self._keys[ask.key] -= 1
        if not self._keys[ask.key]:
            del self._keys[ask.key]

    def _out(self, ask: Ask) -> None:
        if ask.until is not None:
            # It may have waited: less time is left than when it was made.
            left = int((ask.until - self._time()) * 1000)
            if left < 1:
                self._lost(ask, Late("the deadline was over before the call could be sent"))
                return
            parts = decode(ask.message)
            parts[6]["deadline"] = min(left, _LONGEST_WAIT)
            ask.message = encode(parts)
        self._sends.out(ask)
        self._outbox.add(ask.message, ask.packing.segments)
        ask.packing.sent()

    # Calls that are not sent at all.

    def drop(self, promise: Promise, error: RopewalkError) -> bool:
        """Do not send the call of a promise, nor those that need its answer; False where it is sent already."""
        ask = self._laned.get(promise._question)
        if ask is None or ask.promise is not promise:
            ask = next((one for one in self._waiting if one.promise is promise), None)
        if ask is None:
            return False
        self._lost(ask, error)
        self._advance()
        return True

    def _lost(self, first: Ask, error: RopewalkError) -> None:
        gone, numbers = [first], {first.promise._question}
        for ask in (*self._laned.values(), *self._waiting):  # in the order in which they were made
            if ask is not first and any(named._question in numbers for named in ask.names):
                gone.append(ask)
                numbers.add(ask.promise._question)
        for ask in gone:
            if ask in self._waiting:
                self._waiting.remove(ask)
            else:
                self.used -= ask.cost
                if self._laned.get(ask.promise._question) is ask:
                    self._unlane(ask)
            if ask.job is not None:
                self._lanes.drop(("call", ask.promise._question), ask.job)
            ask.packing.undo()
        for ask in gone:
            self._sends.unasked(ask, error)

    def end(self, error: RopewalkError) -> None:
        """The session is over."""
        held = [*self._laned.values(), *self._waiting]
        self._laned.clear()
        self._keys.clear()
        self._waiting = _NOBODY
        for ask in held:
            ask.packing.undo()
            self._sends.unasked(ask, Ended(f"{error}; the call was not sent", hint=error.hint))


def encoded(message: list[Any]) -> bytes:
    """A message of values that were packed.

    Raises:
        CannotSend: There is something in it that no encoder takes.
    """
    try:
        return encode(message)
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError) as error:
        raise CannotSend(f"a value cannot be sent: {error}") from None
