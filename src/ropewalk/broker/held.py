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
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from ropewalk.broker.about import About
from ropewalk.broker.errors import BadMessage, NoAnswer, NoSuchObject
from ropewalk.broker.footprint import size_of
from ropewalk.broker.limits import FREE, SLIGHT
from ropewalk.broker.objects import Shown
from ropewalk.broker.outbox import encode
from ropewalk.broker.packing import SIMPLE, plain
from ropewalk.broker.paths import LONGEST, walk
from ropewalk.broker.unpacking import Awaited, settle
from ropewalk.errors import RopewalkError

__all__ = ["FLAT", "NESTS", "Fault", "Held", "Kept", "Open", "Queue", "kept", "look", "part_of"]

NESTS: frozenset[Any] = frozenset({list, dict})
FLAT: frozenset[Any] = SIMPLE | {bytes}  # classes of values that take about what their bytes do
_decode = msgspec.msgpack.Decoder().decode


class Open:
    """An answer that is not there yet.

    Attributes:
        held: Its call, until that is begun.
        chain: How many answers wait for each other in a row, this one included.
        after: Calls that need it.
        finished: The caller needs it no more.
        timed: Where the time that it takes is counted, and when it began.
        weight: What the frame takes that it came in, the bytes of that, and how many answers share it.
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
        # What it came of has frames, and these have the arguments.
        error.__traceback__ = error.__context__ = error.__cause__ = None
        self.error = error


class Kept:
    """An answer that takes room until it is finished.

    What is arrays and maps of plain values is kept as it was sent, which takes less, and was counted already.

    Attributes:
        size: Bytes as it was sent.
        taken: Bytes of memory, where it is kept as it is.
    """

    __slots__ = ("_encoded", "_value", "size", "taken")

    def __init__(self, value: Any, size: int, *, encoded: bool, taken: int = 0) -> None:
        self._value, self._encoded = encode(value) if encoded else value, encoded
        self.size, self.taken = size, taken

    @property
    def value(self) -> Any:
        """The answer."""
        return _decode(self._value) if self._encoded else self._value


def kept(value: Any, size: int, depth: int) -> Any:
    """An answer of so many bytes as it is kept: itself, where it takes no more than a question does anyway."""
    if size < SLIGHT or (size < FREE and value.__class__ in FLAT):
        return value
    if value.__class__ in NESTS and plain((value,), depth):
        with suppress(OverflowError):  # an integer that is an extension
            return Kept(value, size, encoded=True)
    return Kept(value, size, encoded=False, taken=0 if value.__class__ in FLAT else size_of(value))


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


def look(held: Held, target: Any, shown: Mapping[int, Shown], answers: Mapping[int, Any], *, marked: bool) -> int:
    """Find out what a call is about, now that its numbers mean what its sender meant; what orders it."""
    if type(target) is int and 0 <= target < 2**31:
        key = target
        there = shown.get(target)
        if there is None:
            held.error = NoSuchObject(f"there is no object {target}")
        else:
            held.target = there.target
    elif type(target) is list and target and type(target[0]) is int and 0 < target[0] < 2**31:
        key = -target[0]
        if len(target) > LONGEST + 1 or any(type(step) not in (int, str) for step in target[1:]):
            raise BadMessage("a path is longer than 64, or has a step that is neither a number nor text")
        held.target = Awaited(target[0], tuple(target[1:]))
        _want(held, held.target, answers)
    else:
        raise BadMessage("the target of a call is neither a number nor a path")
    if marked:
        held.marked = True
        try:
            settle([held.arguments, held.named], lambda awaited: _want(held, awaited, answers))
        except RopewalkError as error:
            held.error = held.error or error
    if held.error is not None:
        held.lack_nothing()
    return key


def _want(held: Held, awaited: Awaited, answers: Mapping[int, Any]) -> None:
    answer = answers.get(awaited.question, answers)
    if answer is answers or (answer.__class__ is Open and answer.finished):
        held.error = held.error or NoAnswer(f"there is no answer {awaited.question}")
    elif answer.__class__ is Fault:
        held.error = held.error or answer.error
    elif answer.__class__ is not Open:
        held.given[awaited.question] = answer
    elif answer not in held.needs:
        held.needs.add(answer)
        answer.after.append(held)
        held.open.chain = max(held.open.chain, answer.chain + 1)


def part_of(held: Held, awaited: Awaited) -> Any:
    """What an answer that a call names, or a part of it, is."""
    answer = held.given[awaited.question]
    return walk(answer.value if answer.__class__ is Kept else answer, awaited.steps)
