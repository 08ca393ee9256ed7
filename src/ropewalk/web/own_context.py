"""Own context: a coroutine that is awaited in a task of others, with context variables of its own.

Flow: the connection's one task -> await OwnContext(coroutine, context) -> each of its steps runs in that context
Never: makes a task: what the coroutine takes for the current task is the one that awaits it.

So requests of one connection, which may be of different people behind a proxy, see nothing of each other's variables,
and a task for each of them need not be made: that would be a fifth of what a small answer costs.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any

__all__ = ["OwnContext"]


class OwnContext:
    """Awaitable once."""

    __slots__ = ("_context", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, None], context: Context) -> None:
        self._coroutine, self._context = coroutine, context

    def __await__(self) -> Generator[Any, Any, None]:
        """Step by step, each inside the context."""
        run, coroutine = self._context.run, self._coroutine
        step: Callable[[Any], Any] = coroutine.send
        given: Any = None
        while True:
            try:
                waits_for = run(step, given)
            except StopIteration:
                return
            try:
                given = yield waits_for
                step = coroutine.send
            except GeneratorExit:
                run(coroutine.close)
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it is, the coroutine gets it
                step, given = coroutine.throw, error
