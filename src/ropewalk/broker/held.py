"""Held: calls that came and are not begun, since what they need is not there yet.

Each knows from its arrival what it is about: the object it is for, and the answers it names. So it means the same
however long it waits, whatever is released or finished in the meantime, and whoever has those numbers by then.

Flow: CALL -> Held, with what it lacks -> a queue for each target -> begun in order, when nothing is lacking
Never: holds up a call for another target.
Source: docs/spec/broker.md section 4.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from ropewalk.broker.about import About

__all__ = ["Fault", "Held", "Kept", "Open", "Queue"]


class Open:
    """An answer that is not there yet.

    Attributes:
        held: Its call, until that is begun.
        chain: How many answers wait for each other in a row, this one included.
        after: Calls that need it.
        finished: The caller needs it no more.
        timed: Where the time that it takes is counted, and when it began.
        weight: Of the frame it came in, and how many answers share that.
    """

    __slots__ = ("after", "chain", "finished", "held", "question", "task", "timed", "timer", "weight")

    def __init__(self, question: int) -> None:
        self.question = question
        self.chain = 1
        self.after: list[Held] = []
        self.finished = False
        self.held: Held | None = None
        self.task: asyncio.Task[Any] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.weight: list[int] | None = None
        self.timed: tuple[Any, float] | None = None


class Fault:
    """An answer that is an error."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Kept:
    """An answer that takes room until it is finished."""

    __slots__ = ("size", "value")

    def __init__(self, value: Any, size: int) -> None:
        self.value, self.size = value, size


class Queue:
    """The calls with one target that are not begun, in order."""

    __slots__ = ("calls", "key")

    def __init__(self, key: int) -> None:
        self.key = key
        self.calls: deque[Held] = deque()


class Held:
    """A call that is not begun.

    Attributes:
        target: What it is for: the object itself, or an `Awaited`.
        marked: Some argument is an `Awaited`.
        needs: Answers that are not there.
        given: Those that are, by question.
        error: Why it will not be made.
        queue: Where it waits.
    """

    __slots__ = (
        "about",
        "arguments",
        "error",
        "given",
        "marked",
        "method",
        "named",
        "needs",
        "open",
        "queue",
        "target",
    )

    def __init__(
        self, opened: Open, method: str, arguments: list[Any], named: dict[str, Any], about: About | None
    ) -> None:
        self.open, self.method, self.arguments, self.named, self.about = opened, method, arguments, named, about
        self.target: Any = None
        self.marked = False
        self.needs: set[Open] = set()
        self.given: dict[int, Any] = {}
        self.error: BaseException | None = None
        self.queue: Queue | None = None

    def lack_nothing(self) -> None:
        """What it needs is of no use any more."""
        for need in self.needs:
            need.after.remove(self)
        self.needs.clear()
