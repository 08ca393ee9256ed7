"""Tasks: what the tasks of a loop wait for, by their stacks.

Flow: asyncio.all_tasks -> the chain of what each awaits -> TaskShown
Never: reads arguments or variables of what it finds.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

__all__ = ["TaskShown", "tasks_now"]

_DEEPEST = 40  # frames of a task, the outermost: what is below them is the loop's own
_LONGEST = 200  # characters of a name


@dataclass(frozen=True, slots=True)
class TaskShown:
    """One task.

    Attributes:
        name: As it was named.
        work: The function that it runs.
        running: Whether it is the one that asks.
        stack: ``file:line function``, outermost first.
    """

    name: str
    work: str
    running: bool
    stack: tuple[str, ...]


def tasks_now(most: int) -> tuple[list[TaskShown], int]:
    """Tasks of the running loop by name, so many of them; and how many there are."""
    current = asyncio.current_task()
    found = [task for task in asyncio.all_tasks() if not task.done()]
    first = heapq.nsmallest(most, found, key=lambda task: task.get_name())
    return [_shown(task, running=task is current) for task in first], len(found)


def _shown(task: asyncio.Task[Any], *, running: bool) -> TaskShown:
    work: Any = task.get_coro()
    name = str(getattr(work, "__qualname__", type(work).__name__))
    return TaskShown(task.get_name()[:_LONGEST], name[:_LONGEST], running, tuple(_stack(work)))


def _stack(work: Any) -> list[str]:
    """The places of a coroutine and of what it awaits, as far down as there are frames of Python."""
    places: list[str] = []
    while work is not None and len(places) < _DEEPEST:
        frame = _first(work, "cr_frame", "gi_frame", "ag_frame")
        if isinstance(frame, FrameType):
            places.append(_place(frame.f_code, frame.f_lineno))
        work = _first(work, "cr_await", "gi_yieldfrom", "ag_await")
    return places


def _first(work: Any, *names: str) -> Any:
    return next((found for name in names if (found := getattr(work, name, None)) is not None), None)


def _place(code: CodeType, line: int) -> str:
    return f"{code.co_filename}:{line} {code.co_qualname}"
