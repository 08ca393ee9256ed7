"""Promises: what a call gives at once, and on which more calls can be made before its answer is there.

Flow: call -> Promise -> await, or `promise.part[0].method(..)` -> calls that go to the other end at once
Never: makes a future, a task or a message that nobody asked for.
Source: docs/spec/broker.md section 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ropewalk.broker.errors import NoReference
from ropewalk.broker.fitting import Reference
from ropewalk.broker.paths import walk
from ropewalk.errors import Misuse

if TYPE_CHECKING:
    from ropewalk.broker.asking import Asking

__all__ = ["NotThere", "Path", "Promise", "describe", "gather"]

_WAITING: Any = object()


class NotThere(Misuse):
    """An answer was taken that has not come."""

    code = "broker.not-there"


class Promise:
    """The answer to one call, there or not.

    ``await`` it, or call a method of what it will be; or take a part by attribute or index, and do the same with that.
    A part or method whose name is one of this class's own is taken by index: ``promise["done"]``.
    It can be awaited as often as one likes. When a task that awaits it is cancelled, so is the call, unless somebody
    else waits for it too; dropping it cancels nothing.
    """

    _value: Any = _WAITING
    _error: BaseException | None = None
    _future: asyncio.Future[Any] | None = None
    _others: tuple[asyncio.Future[Any], ...] = ()  # of those who wait beside the first one
    # Of the side that asks:
    _odd = False  # one of these says something
    _named = 0  # calls that name it and are held back
    _needed = 0  # calls that name it and are underway
    _via: Promise | None = None  # the one through which its call goes
    _task: asyncio.Task[Any] | None = None  # its call, which is made at this end
    _over = False  # the other end was, or will be, told that the answer is needed no more
    _cost = 0  # of the window
    _quiet = False  # nobody waits for it

    def __init__(self, asking: Asking, question: int) -> None:
        self._asking = asking
        self._question = question

    def __await__(self) -> Generator[Any, None, Any]:
        value = self._value
        if value is not _WAITING:
            return value
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._future is None:
            self._future = future = self._asking.loop.create_future()
        else:
            future = self._wait()
        try:
            return (yield from future)
        except asyncio.CancelledError:
            if future.cancelled():
                self._unwait(future)
            raise

    # Else Python would take items 0, 1, 2 .. and never come to an end: each is a part, whatever the answer will be.
    __iter__ = None
    __contains__ = None

    def __getattr__(self, name: str) -> Path:
        if name.startswith("_"):
            raise AttributeError(name)
        return Path(self, (name,))

    def __getitem__(self, step: int | str) -> Path:
        return Path(self, (step,))

    def done(self) -> bool:
        """Whether the answer is there."""
        return self._value is not _WAITING or self._error is not None

    def value(self) -> Any:
        """The answer, which is there.

        Raises:
            NotThere: It is not.
            RopewalkError: What the answer is.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._value is _WAITING:
            raise NotThere("the answer is not there yet", hint='await it; a method of this name is promise["value"]')
        return self._value

    def future(self) -> asyncio.Future[Any]:
        """A future of its answer, for what wants one; cancelling it does not cancel the call."""
        future = self._wait()
        if self._error is not None:
            future.set_exception(self._error)
        elif self._value is not _WAITING:
            future.set_result(self._value)
        return future

    def _wait(self) -> asyncio.Future[Any]:
        """One more future: a task that is cancelled cancels the one it waits for."""
        future = self._asking.loop.create_future()
        self._odd = True  # so that more than the first one is told
        self._others = (*(other for other in self._others if not other.done()), future)
        return future

    def _unwait(self, future: asyncio.Future[Any]) -> None:
        """The task that waited for it was cancelled."""
        if future is self._future:
            self._future = None
        self._others = tuple(other for other in self._others if not other.done())
        if self._future is None and not self._others:
            self._asking.cancel(self)

    def _is_here(self) -> bool:
        """Whether what is meant by it is its answer as this end has it; else it is what the other end has."""
        return self.done() and (self._over or not (self._needed or self._named))

    def _resolve(self, value: Any) -> None:
        self._value = value
        for future in (self._future, *self._others):
            if future is not None and not future.done():
                future.set_result(value)

    def _fail(self, error: BaseException) -> None:
        self._error = error
        for future in (self._future, *self._others):
            if future is not None and not future.done():
                future.set_exception(error)

    def __repr__(self) -> str:
        if self._error is not None:
            return f"<promise failed: {self._error}>"
        return f"<promise of {self._value!r:.60}>" if self._value is not _WAITING else "<promise>"


class Path:
    """A part of what a promise will be: its last step is a method when it is called."""

    __slots__ = ("_promise", "_steps")

    def __init__(self, promise: Promise, steps: tuple[int | str, ...]) -> None:
        self._promise, self._steps = promise, steps

    __iter__ = None  # as of a promise
    __contains__ = None

    def __getattr__(self, name: str) -> Path:
        if name.startswith("_"):
            raise AttributeError(name)
        return Path(self._promise, (*self._steps, name))

    def __getitem__(self, step: int | str) -> Path:
        return Path(self._promise, (*self._steps, step))

    def __call__(self, *arguments: Any, **named: Any) -> Promise:
        *steps, method = self._steps
        if not isinstance(method, str):
            raise NoReference(f"got a call of part {method!r}, expected the name of a method")
        return self._promise._asking.call_path(self._promise, tuple(steps), method, arguments, named)

    def tell(self, *arguments: Any, **named: Any) -> None:
        """Call it, and want no answer; that it failed is logged."""
        promise = self(*arguments, **named)
        promise._odd = promise._quiet = True

    def __await__(self) -> Generator[Any, None, Any]:
        value = yield from self._promise.__await__()
        return walk(value, self._steps)

    def __repr__(self) -> str:
        return f"<part {'.'.join(map(str, self._steps))} of {self._promise!r}>"


async def describe(reference: Any) -> dict[str, Any]:
    """What can be called of a reference, or of what a promise will be: docs/spec/broker.md section 10 has the form.

    Raises:
        NoReference: It is none.
        RopewalkError: The other end does not answer.
    """
    call = getattr(reference, "@describe", None) if isinstance(reference, Reference) else None
    if isinstance(reference, Promise | Path):
        call = reference["@describe"]
    if call is None:
        raise NoReference(f"got a {type(reference).__name__}, expected a reference to an object of the other end")
    told: dict[str, Any] = await call()
    return told


async def gather(*promises: Promise | Path) -> list[Any]:
    """Wait for all; what they gave, in their order. No task is made. When it is cancelled, so are those not done.

    Raises:
        RopewalkError: The first one of them that failed, once all are done.
    """
    first: Exception | None = None
    answers: list[Any] = []
    for index, promise in enumerate(promises):
        try:
            answers.append(await promise)
        except asyncio.CancelledError:
            for rest in promises[index + 1 :]:
                left = rest._promise if isinstance(rest, Path) else rest
                if left._future is None and not left._others:  # nobody else waits for it
                    left._asking.cancel(left)
            raise
        except Exception as error:
            first = first or error
    if first is not None:
        raise first
    return answers
