"""Calls: one question to several stores at once, and what becomes of answers that nobody waits for any more.

Once enough have done what was asked, the others are waited for as long again as that took, and a short while at least.
A store that was too slow for that twice in a row, or that is still busy with an earlier call, is not waited for at all.
Its calls go on and what they do counts, up to a bound on how many there are and what they carry; it is waited for again
once it has answered one as quickly as the others.  One that does not answer at all is left alone until it does.

Flow: coroutines, one a store -> _each -> outcomes; later, what came after all -> Later
Never: cancels a call for being slow, or lets what hangs hold memory without a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from ropewalk.errors import RopewalkError
from ropewalk.spaces.pool.health import Health, Seen
from ropewalk.spaces.pool.patience import LINGER, limit_of, most_of
from ropewalk.spaces.store import StoreGone

__all__ = ["SLOWEST_RATE", "Call", "Calls", "Later"]

SLOWEST_RATE = 1024 * 1024  # bytes a second; a call that carries many has so much more time

Call = asyncio.Task[RopewalkError | None]  # to one store; None is that it did as it was told
Later = Callable[[str], Awaitable[None]]  # told of a store that did what it was asked, after nobody waited for it


class Calls:
    """Calls to the stores of one space.

    Args:
        names: Of the stores.
        clock: Seconds, monotonic.
    """

    def __init__(self, names: Iterable[str], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._health = {name: Health() for name in names}
        self._left: dict[Call, str] = {}  # calls that may come back yet, with their store
        self._telling: set[asyncio.Task[None]] = set()  # of those that did
        self._trials: set[asyncio.Task[None]] = set()  # reads from stores that were late, to see if they still are

    def behind(self, name: str) -> bool:
        """Whether a store is busy with calls that nobody waits for any more."""
        return self._health[name].behind

    def seen(self, name: str) -> Seen:
        """What can be told of a store's health without asking it."""
        return self._health[name].seen(self._clock())

    async def caught_up(self, seconds: float) -> None:
        """Wait so long for the calls that nobody waits for, where their stores have answered before and do not hang."""
        now = self._clock()
        answers = {name for name, one in self._health.items() if one.heard(now) and one.why_down(now) is None}
        left = [task for task, name in self._left.items() if name in answers]
        if left:
            await asyncio.wait(left, timeout=seconds)
        while self._telling:
            await asyncio.wait(set(self._telling))

    async def _each(
        self,
        calls: Mapping[str, Coroutine[None, None, RopewalkError | None]],
        enough: int,
        later: Later | None = None,
        *,
        linger: float | None = None,
        sizes: Mapping[str, int] | None = None,
        left: dict[Call, str] | None = None,
    ) -> dict[str, RopewalkError | None]:
        """Call some stores at once; what each said, or that it is late, once ``enough`` did as they were told.

        Args:
            calls: One for each store.
            enough: How many must do as they are told.
            later: Told of those that did after all.
            linger: Seconds that the others are waited for at least.
            sizes: Bytes that the calls carry.
            left: Given where other stores could do instead: once half have come back, the others are late then, though
                too few did.  What is not waited for is put in here.
        """
        now = asyncio.get_running_loop().time
        started, began, sent = now(), self._clock(), sizes or {}
        slow = {name for name in calls if self._health[name].slow}
        tasks = {name: asyncio.create_task(call) for name, call in calls.items()}
        came: dict[str, float] = {}  # after how many seconds
        for name, task in tasks.items():
            task.add_done_callback(partial(_note, came, name, started))

        def will_do(pending: int) -> bool:
            done = sum(task.done() and task.result() is None for task in tasks.values())
            return done >= enough or done + pending < enough or (left is not None and 2 * pending <= len(tasks))

        hang = None if left is None else LINGER + max(sent.values(), default=0) / SLOWEST_RATE
        try:
            await most_of(tasks.values(), will_do, linger=linger, deadline=hang, slow={tasks[name] for name in slow})
            waited = now() - started
            for name in [name for name, task in tasks.items() if task.done()]:
                came.setdefault(name, waited)  # its callback comes with the next turn of the loop
            limit = _limit([came[name] for name, task in tasks.items() if task.done() and not task.result()], enough)
            outcomes: dict[str, RopewalkError | None] = {}
            for name, task in tasks.items():
                if not task.done():
                    size = sent.get(name, 0)
                    outcomes[name] = error = StoreGone(f"store {name} was not done after {waited:.1f} s")
                    hangs = began + LINGER + size / SLOWEST_RATE
                    self._leave(name, task, error, hangs, later, size=size, due=started + limit)
                    if left is not None:
                        left[task] = name
                    continue
                outcomes[name] = task.result()
                if outcomes[name] is None and (len(calls) > 1 or not enough):  # one alone is as quick as itself
                    self._health[name].did(in_time=came[name] <= limit)
        except BaseException:
            for task in tasks.values():
                task.cancel()
                task.add_done_callback(_seen)
            raise
        return outcomes

    def _leave(
        self,
        name: str,
        task: Call,
        error: RopewalkError,
        hangs: float,
        later: Later | None = None,
        *,
        size: int = 0,
        due: float = 0.0,
    ) -> None:
        self._health[name].leave(task, str(error), hangs, size)
        self._left[task] = name
        task.add_done_callback(partial(self._came_back, name, later, due))

    def _came_back(self, name: str, later: Later | None, due: float, task: Call) -> None:
        self._left.pop(task, None)
        well = not task.cancelled() and task.exception() is None and task.result() is None
        self._health[name].come_back(task, in_time=well and task.get_loop().time() <= due)
        if later is not None and well:
            telling = asyncio.create_task(_told(later, name))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)


def _note(came: dict[str, float], name: str, started: float, task: Call) -> None:
    came[name] = task.get_loop().time() - started


def _limit(came: Sequence[float], enough: int) -> float:
    """Seconds within which a store is as quick as the others: by the half of them that were quickest."""
    return limit_of(sorted(came)[(len(came) - 1) // 2] if came and enough else 0.0)


def _seen(task: Call) -> None:
    """Look at what became of a call that nobody cares about, lest asyncio complain that nobody did."""
    if not task.cancelled():
        task.exception()


async def _told(later: Later, name: str) -> None:
    with suppress(RopewalkError):  # then it counts as owed, and is put once more
        await later(name)
