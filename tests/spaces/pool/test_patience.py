"""Patience: those that will do are waited for, the others as long again, and none for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ropewalk.loops import Simulated, run
from ropewalk.spaces.pool.patience import GRACE, most_of


def _waited(
    times: Sequence[float],
    will_do: Callable[[int], bool] = lambda _: True,
    *,
    linger: float | None = None,
    deadline: float | None = None,
    slow: Sequence[int] = (),
    briefly: float = 0.0,
) -> tuple[float, list[int]]:
    """After how long calls that take so many seconds are not waited for any more, and which had not come back."""

    async def main() -> tuple[float, list[int]]:
        tasks = [asyncio.create_task(asyncio.sleep(seconds)) for seconds in times]
        late = await most_of(
            tasks, will_do, linger=linger, deadline=deadline, slow={tasks[at] for at in slow}, briefly=briefly
        )
        assert not any(task.cancelled() for task in tasks)
        took = round(asyncio.get_running_loop().time(), 6)
        for task in tasks:
            task.cancel()
        return took, [at for at, task in enumerate(tasks) if task in late]

    return run(main(), loop=Simulated(1))


def _after(count: int, of: int) -> Callable[[int], bool]:
    return lambda pending: of - pending >= count


def test_all_that_come_back_in_time_are_waited_for() -> None:
    assert _waited([0.01, 0.06, 0.2], _after(1, 3)) == (0.2, [])
    assert _waited([]) == (0.0, [])


def test_those_that_must_come_back_are_waited_for_however_long_it_takes() -> None:
    assert _waited([0.01, 50.0, 50.1], _after(2, 3)) == (50.1, [])


def test_once_the_others_will_do_a_slow_one_is_waited_for_as_long_again_and_a_short_while_at_least() -> None:
    assert _waited([0.01, 0.02, 9.0], _after(2, 3)) == (0.02 + GRACE, [2])
    assert _waited([1.0, 2.0, 9.0], _after(2, 3)) == (4.0, [2])
    assert _waited([0.01, 0.02, 9.0], _after(2, 3), linger=3.0) == (3.02, [2])


def test_what_is_known_to_be_slow_is_not_waited_for_and_does_not_shorten_the_wait_for_others() -> None:
    assert _waited([0.01, 0.02, 9.0], _after(2, 3), slow=[2]) == (0.02, [2])
    assert _waited([0.01, 0.1, 9.0], _after(1, 3), slow=[2]) == (0.1, [2])
    assert _waited([0.01, 9.0], _after(1, 2), slow=[1], briefly=0.05) == (0.06, [1])
    assert _waited([0.01, 0.02, 9.0], _after(3, 3), slow=[2]) == (9.0, []), "it is needed"


def test_a_deadline_ends_it_where_the_rest_will_not_do() -> None:
    assert _waited([0.01, 9.0], lambda pending: pending == 0, deadline=5.0) == (5.0, [1])
