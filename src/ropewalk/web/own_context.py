"""Own context: a coroutine in a task of others, with context variables of its own, whose first step needs no turn.

Flow: begin -> the first step, from within a read, in the name of a task that waits -> most coroutines are done by then
      await, in that task -> all steps that are left
Never: makes a task: what the coroutine takes for the current task is the one that awaits it.

So requests of one connection, which may be of different people behind a proxy, see nothing of each other's variables,
and a task for each of them need not be made: that would be a fifth of what a small answer costs.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any

__all__ = ["OwnContext"]


class OwnContext:
    """Awaitable once."""

    __slots__ = ("_begun", "_context", "_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None], context: Context) -> None:
        self._coroutine, self._context = coroutine, context
        self._begun, self._waits_for = False, None

    def begin(self, task: asyncio.Task[None], loop: asyncio.AbstractEventLoop) -> bool:
        """Take the first step, outside of any task, as if in this one; whether more are left, which that awaits then.

        Source: asyncio's "Extending" names what enters and leaves a task.
        """
        _enter_task(loop, task)
        try:
            self._waits_for = self._context.run(self._coroutine.send, None)
        except StopIteration:
            return False
        finally:
            _leave_task(loop, task)
        self._begun = True
        return True

    def __await__(self) -> Generator[Any, Any, None]:
        """Step by step, each inside the context."""
        run, coroutine = self._context.run, self._coroutine
        step: Callable[[Any], Any] = coroutine.send
        given: Any = None
        begun, waits_for = self._begun, self._waits_for
        while True:
            if not begun:
                try:
                    waits_for = run(step, given)
                except StopIteration:
                    return
            begun = False
            try:
                given = yield waits_for
                step = coroutine.send
            except GeneratorExit:
                run(coroutine.close)
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it is, the coroutine gets it
                step, given = coroutine.throw, error
