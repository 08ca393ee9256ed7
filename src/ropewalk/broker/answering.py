"""Answering: the calls that the other end makes.

Most calls are of a plain method with what it takes, and are done and answered where they are read (`Broker.taken`);
here is all else: what waits for other answers, what runs for a while, what is cancelled, what fails.

Flow: CALL -> `call`: held back until what it needs is there -> `_begin` -> the method -> RETURN or ERROR -> FINISH
Never: begins calls to one target in another order than they came; answers twice; lets an error of a method out.
Source: docs/spec/broker.md section 4.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from functools import partial
from time import perf_counter
from typing import Any

from ropewalk.broker.about import CURRENT, About, about_of
from ropewalk.broker.burden import Burden
from ropewalk.broker.calling import invoke
from ropewalk.broker.drives import Runs
from ropewalk.broker.errors import BadMessage, Busy, Cancelled, Late, OverLimit
from ropewalk.broker.held import NESTS, Fault, Held, Kept, Open, Queue, kept, look, part_of
from ropewalk.broker.lanes import Lanes
from ropewalk.broker.limits import Limits
from ropewalk.broker.messages import Call
from ropewalk.broker.objects import Objects
from ropewalk.broker.outbox import Outbox
from ropewalk.broker.packing import Shows
from ropewalk.broker.promise import Path, Promise
from ropewalk.broker.replies import Replies
from ropewalk.broker.unpacking import Awaited, settle
from ropewalk.broker.weigh import too_deep
from ropewalk.errors import RopewalkError

__all__ = ["Answering"]

_AWAITABLE = frozenset({Promise, Path})


class Answering:
    """The answers of one end of a session.

    Attributes:
        answers: By question: `Open`, `Fault`, `Kept`, or a small value as it is.
        careful: No call may be done by the short way: some are held back, or all are, or the session is over.
        marked: Some value of the frame that is taken may have to be put in its place.
        kept: Bytes of answers that were not finished.
        opened: By the frame that is being taken.
        replies: What is said.
        burden: What is held for the other end.
        streamed: See `burden.Owner`.
    """

    def __init__(
        self, outbox: Outbox, lanes: Lanes, objects: Objects, shows: Shows, runs: Runs, ours: Limits, depth: int
    ) -> None:
        self.ours = ours
        self.replies = Replies(outbox, lanes, shows, depth)
        self.answers: dict[int, Any] = {}
        self.careful = self.marked = self.over = False
        self.kept = 0
        self.burden = Burden(self)
        self.streamed: Callable[[], tuple[int, int]] = _nothing
        self.opened: list[Open] = []
        self._objects, self._runs = objects, runs
        self._queues: dict[int, Queue] = {}  # by what is called: a number, or that of a question made negative
        self._live: dict[Queue, None] = {}  # those with calls in them
        self._queued = 0  # calls held back since they need an answer, or are behind one that does
        self._ready: list[Queue] = []  # to be drained

    @property
    def busy(self) -> bool:
        """Whether something is not answered yet."""
        return any(answer.__class__ is Open for answer in self.answers.values())

    @property
    def _stalls(self) -> bool:
        """Whether nothing is begun, since too much of what was answered is not finished."""
        return self.kept > self.ours.window

    # Calls.

    def call(self, message: Call) -> None:
        """A CALL of any kind.

        Raises:
            BadMessage: It is none.
            OverLimit: It is one too many, or too deep.
        """
        if self.over:
            return
        question, target, arguments, named = message.question, message.target, message.arguments, message.named or {}
        self._check(question)
        if too_deep((arguments, named), self.ours.depth):
            raise OverLimit(f"arguments lie more than {self.ours.depth} deep inside each other")
        opened = Open(question)
        held = opened.held = Held(opened, message.method, arguments, named, about_of(message.about, self._runs.time()))
        key = look(held, target, self._objects.shown, self.answers, marked=self.marked)
        self.answers[question] = opened
        self._book(opened, held.about)
        self.opened.append(opened)
        if self.burden.busy is not None:
            self.burden.look()  # what nobody holds any more may have been dropped meanwhile
        if self.burden.busy is not None:
            self._withdraw(held, self.burden.busy)
        else:
            self._queue(held, key)

    def _check(self, question: int) -> None:
        if question in self.answers:
            raise BadMessage(f"question {question} is in use")
        if len(self.answers) >= self.ours.questions:
            raise OverLimit(f"more than {self.ours.questions:,} questions are open")

    def _book(self, opened: Open, about: About | None) -> None:
        """See to it that its deadline is heeded."""
        if about is not None and about.until is not None:
            opened.timer = self._runs.at(about.until, partial(self._late, opened))

    def _queue(self, held: Held, key: int) -> None:
        queue = self._queues.get(key)
        if not (held.needs or (queue is not None and queue.calls) or self._stalls):
            self._begin(held)
            return
        if held.open.chain > self.ours.chain:
            self._withdraw(held, Busy(f"more than {self.ours.chain} answers wait for each other in a row"))
            return
        if self._queued >= self.ours.queued and not self._stalls:
            self._withdraw(held, Busy(f"{self.ours.queued:,} calls wait for other answers, which is the most"))
            return
        if queue is None:
            queue = self._queues[key] = Queue(key)
        held.queue = queue
        queue.calls.append(held)
        self._queued += 1
        self._live[queue] = None
        self.careful = True

    def _drain(self, queues: Iterable[Queue]) -> None:
        """Begin the calls of these targets that nothing holds back any more."""
        draining = bool(self._ready)
        self._ready.extend(queues)
        if draining:
            return
        try:
            for queue in self._ready:  # what is begun may make others ready, which are then at its end
                calls = queue.calls
                while calls and not calls[0].needs and not self._stalls:
                    held = calls.popleft()
                    self._queued -= 1
                    held.queue = None
                    self._begin(held)
                if not calls:
                    self._live.pop(queue, None)
                    if self._queues.get(queue.key) is queue:
                        del self._queues[queue.key]
        finally:
            self._ready.clear()
            self.relax()

    def _withdraw(self, held: Held, error: RopewalkError) -> None:
        """A call that waits will not be made."""
        held.lack_nothing()
        queue, held.queue = held.queue, None
        if queue is not None:
            queue.calls.remove(held)
            self._queued -= 1
        self._fail(held.open, error)
        if queue is not None:
            self._drain((queue,))

    def relax(self) -> None:
        """See whether calls may go the short way."""
        self.careful = bool(self._live or self.burden.busy or self.over or self._stalls)

    def forget(self, key: int) -> None:
        """A number is free: who has it next waits for nobody who waits for who had it before."""
        self._queues.pop(key, None)

    def _begin(self, held: Held) -> None:
        """Do a call, all of whose needs are there."""
        held.open.held = None
        if held.error is not None:
            self._fail(held.open, held.error, told=True)
            return
        context = copy_context()
        try:
            target, arguments, named = held.target, held.arguments, held.named
            if target.__class__ is Awaited:
                target = part_of(held, target)
            if held.marked:
                arguments, named = settle([arguments, named], partial(part_of, held))
            if held.about is not None or CURRENT.get() is not None:
                context.run(CURRENT.set, held.about)
            offers = self._objects.offers(target)
            offer = offers.get(held.method)
            if offer is not None and offer.seconds is not None:
                held.open.timed = (offer.seconds, perf_counter())
            value = context.run(invoke, target, offers, held.method, arguments, named)
        except (Exception, asyncio.CancelledError) as error:
            self._fail(held.open, error)
        else:
            if value.__class__ in _AWAITABLE or inspect.isawaitable(value):
                self._start(held.open, value, context)
            else:
                self._give(held.open, value, context)

    # Work that takes its time.

    def _start(self, opened: Open, value: Any, context: Context) -> None:
        # A coroutine is run as it is: another one around it would leave it unawaited where it is cancelled at once.
        work = value if inspect.iscoroutine(value) else _awaited(value)
        if self.over:
            work.close()
            return
        opened.task = self._runs.spawn(work, context)
        opened.task.add_done_callback(partial(self._done, opened, context))

    def _done(self, opened: Open, context: Context, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._fail(opened, Cancelled("the call was stopped"))
        elif (error := task.exception()) is not None:
            self._fail(opened, error)
        elif self._is_open(opened):
            self._give(opened, task.result(), context)

    def _late(self, opened: Open) -> None:
        opened.timer = None
        if not self._is_open(opened):
            return
        late = Late("the deadline is over")
        if opened.held is not None:
            self._withdraw(opened.held, late)
            return
        self._fail(opened, late)
        if opened.task is not None:
            opened.task.cancel()

    # Answers.

    def _is_open(self, opened: Open) -> bool:
        return not self.over and self.answers.get(opened.question) is opened

    def _give(self, opened: Open, value: Any, context: Context) -> None:
        if self.over:
            return
        try:
            size = context.run(self.replies.say, opened.question, value)  # a stream in it goes on in there
        except Exception as error:
            self._fail(opened, error)
            return
        self._close(opened, kept(value, size, self.replies.depth))

    def give(self, question: int, value: Any, about: About | None, timed: tuple[Any, float]) -> bool:
        """What a plain method gave, where it cannot be sent as it is; whether it is something that takes its time."""
        opened = Open(question)
        if not self.over:
            self.answers[question] = opened
            self.opened.append(opened)
            self._book(opened, about)
        if value.__class__ in _AWAITABLE or inspect.isawaitable(value):
            opened.timed = timed if timed[0] is not None else None
            self._start(opened, value, copy_context())
            return True
        self._give(opened, value, copy_context())
        return False

    def keep(self, question: int, value: Any, size: int) -> None:
        """An answer was said by the short way, and takes room."""
        self.answers[question] = Kept(value, size, encoded=value.__class__ in NESTS)
        self.kept += size
        self.relax()

    def fail(self, question: int, error: BaseException, *, told: bool = False) -> None:
        """ERROR of any kind; ``told``: it is in the log already."""
        self.replies.fail(question, error, traces=self.ours.traces, told=told)

    def _fail(self, opened: Open, error: BaseException, *, told: bool = False) -> None:
        if self._is_open(opened):
            self.fail(opened.question, error, told=told)
            self._close(opened, Fault(error.with_traceback(None)))

    def _close(self, opened: Open, answer: Any) -> None:
        """An answer is there: go on with the calls that need it."""
        question = opened.question
        opened.held = None
        if opened.timed is not None:
            seconds, began = opened.timed
            seconds.observe(perf_counter() - began)
        if opened.timer is not None:
            opened.timer.cancel()
            opened.timer = None
        if opened.weight is not None:
            self.burden.remove(opened)
            self.relax()
        if opened.finished:
            del self.answers[question]
            self.forget(-question)
        else:
            self.answers[question] = answer
            if answer.__class__ is Kept:
                self.kept += answer.size
                self.burden.take(answer.taken)
                self.relax()
        if opened.after:
            after, opened.after = opened.after, []
            for held in after:
                held.needs.discard(opened)
                if answer.__class__ is Fault:
                    held.error = answer.error
                    held.lack_nothing()
                else:
                    held.given[question] = answer
            self._drain([held.queue for held in after if held.queue is not None])

    def finish(self, question: object) -> None:
        """FINISH of one question.

        Raises:
            BadMessage: It is not in use, or was finished before.
        """
        answer = self.answers.get(question, self) if type(question) is int else self
        if answer is self or type(question) is not int:
            raise BadMessage(f"answer {question!r:.40} is finished and is not in use")
        if answer.__class__ is Open:
            self._cancel(answer)
            return
        del self.answers[question]
        self.forget(-question)
        if self.replies.drop(question):
            self.fail(question, Cancelled("the caller wanted it no more"))
        if answer.__class__ is Kept:
            stalled = self._stalls
            self.kept -= answer.size
            self.burden.drop(answer.taken)
            if stalled and not self._stalls:
                self._drain(list(self._live))

    def _cancel(self, opened: Open) -> None:
        if opened.finished:
            raise BadMessage(f"answer {opened.question} is finished twice")
        opened.finished = True
        if opened.task is not None:
            opened.task.cancel()
        elif opened.held is not None:
            self._withdraw(opened.held, Cancelled("the caller wanted it no more"))

    # Memory.

    def weigh(self, body: bytes | memoryview, beside: int) -> None:
        """What was taken last, with so many bytes beside it, is held as long as any of the calls in it is open."""
        opened = [one for one in self.opened if self.answers.get(one.question) is one]
        self.opened = []
        self.burden.add(opened, body, beside)
        self.relax()

    def refuse(self, question: int) -> None:
        """A CALL that is not looked into, since there is no room for it.

        Raises:
            BadMessage: The question is in use.
            OverLimit: It is one too many.
        """
        self._check(question)
        if not self.over:
            busy = Busy("what this call brings takes more memory than is left", hint="wait for others, or send less")
            self.fail(question, busy)
            self.answers[question] = Fault(busy)

    def end(self) -> None:
        """The session is over: stop all work for it."""
        self.over = self.careful = True
        for answer in self.answers.values():
            if answer.__class__ is Open:
                if answer.timer is not None:
                    answer.timer.cancel()
                if answer.task is not None:
                    answer.task.cancel()
        self.replies.end()
        for table in (self.answers, self._queues, self._live):
            table.clear()


def _nothing() -> tuple[int, int]:
    return 0, 0


async def _awaited(value: Any) -> Any:
    return await value
