"""Patience: all are waited for, and none for ever."""

from __future__ import annotations

import asyncio

import pytest

from ropewalk.spaces.pool import patience
from ropewalk.spaces.pool.patience import most_of


async def _never() -> None:
    await asyncio.Event().wait()


async def _at_once() -> None:
    return None


def _tasks(quick: int, hung: int) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(_at_once()) for _ in range(quick)] + [
        asyncio.create_task(_never()) for _ in range(hung)
    ]


async def test_all_that_come_back_are_waited_for() -> None:
    assert await most_of(_tasks(5, 0), lambda pending: False) == set()
    assert await most_of([], lambda pending: False) == set()


async def test_those_that_hang_are_left_once_the_rest_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LINGER", 0.001)
    tasks = _tasks(3, 2)
    asked: list[int] = []

    def will_do(pending: int) -> bool:
        asked.append(pending)
        return len(asked) == 3

    left = await most_of(tasks, will_do)
    assert left == set(tasks[3:])
    assert asked == [2, 2, 2]
    assert not any(task.cancelled() for task in tasks)


async def test_a_deadline_ends_it_where_the_rest_will_not_do() -> None:
    left = await most_of(_tasks(1, 1), lambda pending: False, linger=0.001, deadline=0.005)
    assert len(left) == 1


async def test_each_wait_is_as_long_as_all_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    clock, waits = 0.0, []

    async def wait(
        pending: set[asyncio.Task[None]],
        *,
        timeout: float,  # noqa: ASYNC109 - it stands for asyncio's own
    ) -> tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]]:
        nonlocal clock
        waits.append(timeout)
        clock += timeout
        return set(), pending

    tasks = _tasks(0, 1)
    monkeypatch.setattr(loop, "time", lambda: clock)
    monkeypatch.setattr(asyncio, "wait", wait)
    await most_of(tasks, lambda pending: len(waits) == 4)
    monkeypatch.undo()
    assert waits == [2.0, 2.0, 4.0, 8.0]
