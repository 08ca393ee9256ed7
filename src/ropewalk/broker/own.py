"""Own: calls of objects of this end that came back as an answer.

While such an answer is underway, calls on it go to the other end and come back from there. Once it is here there is
nobody to send them to: they are made here, with the same outcome.

Flow: object, method, arguments -> a task -> a promise like any other
Never: begins calls of one object in another order than they were made.
Source: docs/spec/broker.md section 4.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any

from ropewalk.broker.about import CURRENT
from ropewalk.broker.calling import invoke
from ropewalk.broker.copyables import entry_of
from ropewalk.broker.drives import Loop
from ropewalk.broker.errors import error_of, wire_form
from ropewalk.broker.offers import Object
from ropewalk.broker.promise import Path, Promise

__all__ = ["Own", "holds_own"]

Begun = asyncio.Future[None]


class Own:
    """The calls of one session's that are made at this end, in a line for each object."""

    __slots__ = ("_last", "_loop")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._last: dict[int, Begun] = {}  # by object, whose task holds it: the last call has begun, or is gone

    def call(
        self, promise: Promise, target: Object, method: str, arguments: Sequence[Any], named: Mapping[str, Any]
    ) -> None:
        """Call a method of an object of this end, for a promise."""
        before, begun = self._last.get(id(target)), self._loop.create_future()
        self._last[id(target)] = begun
        passed = partial(self._passed, id(target), before, begun)

        async def called() -> Any:
            about = CURRENT.get()
            async with asyncio.timeout_at(None if about is None else about.until):
                given = [await _there(one) for one in arguments]
                rest = {name: await _there(one) for name, one in named.items()}
                if before is not None:
                    await asyncio.shield(before)
                try:
                    value = invoke(target, type(target).__offers__, method, given, rest)
                finally:
                    passed()
                return await value if inspect.isawaitable(value) else value

        promise._over = True
        promise._task = self._loop.spawn(called(), copy_context())
        promise._task.add_done_callback(partial(_done, promise))
        promise._task.add_done_callback(passed)  # it may have ended before it had begun

    def _passed(self, key: int, before: Begun | None, begun: Begun, _task: object = None) -> None:
        """A call holds back nothing any more; what was ahead of it still does."""
        if begun.done():
            return
        if before is not None and not before.done():
            before.add_done_callback(partial(self._passed, key, None, begun))
            return
        begun.set_result(None)
        if self._last.get(key) is begun:
            del self._last[key]


async def _there(value: Any) -> Any:
    """An argument with what it names in place of its promises."""
    if isinstance(value, Promise | Path):
        return await value
    if type(value) is list or type(value) is tuple:
        return type(value)([await _there(one) for one in value])
    if type(value) is dict:
        return {key: await _there(one) for key, one in value.items()}
    return value


def _done(promise: Promise, task: asyncio.Task[Any]) -> None:
    if promise.done():
        if not task.cancelled():
            task.exception()
        return
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if error is None:
        promise._resolve(task.result())
    else:
        promise._fail(error_of(*wire_form(error)))


def holds_own(value: Any) -> bool:
    """Whether an object of this end is in an answer."""
    if isinstance(value, Object):
        return True
    if isinstance(value, list | tuple | set):
        return any(map(holds_own, value))
    if isinstance(value, dict):
        return any(map(holds_own, value.values()))
    entry = entry_of(type(value))
    return entry is not None and any(map(holds_own, entry.take(value).values()))
