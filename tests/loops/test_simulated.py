"""The simulated loop: time that jumps, luck that comes from a seed, and nothing from outside."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, lists

from ropewalk.loops import Deadlock, NotSimulated, Simulated, explore, run

SEEDS = range(30)


async def _trace(pause: float = 0.5, tasks: int = 4, steps: int = 3) -> list[str]:
    trace: list[str] = []

    async def one(name: str) -> None:
        for step in range(steps):
            trace.append(f"{name}{step}")
            await asyncio.sleep(0 if step % 2 else pause)

    async with asyncio.TaskGroup() as group:
        for number in range(tasks):
            group.create_task(one("abcdefgh"[number]))
    return trace


def test_the_same_seed_gives_the_same_order_and_others_give_others() -> None:
    orders = {seed: run(_trace(), loop=Simulated(seed)) for seed in SEEDS}
    assert all(run(_trace(), loop=Simulated(seed)) == order for seed, order in orders.items())
    assert len({tuple(order) for order in orders.values()}) > 20


def test_without_a_seed_the_order_is_the_standard_loops() -> None:
    assert run(_trace(0), loop=Simulated(None)) == [f"{name}{step}" for step in range(3) for name in "abcd"]


@given(integers())
def test_callbacks_keep_the_order_that_asyncio_promises(seed: int) -> None:
    async def main() -> list[int]:
        loop, seen = asyncio.get_running_loop(), list[int]()
        for number in range(5):
            loop.call_soon(seen.append, number)
        while len(seen) < 5:  # noqa: ASYNC110 - what is tested is the order of turns
            await asyncio.sleep(0)
        return seen

    assert run(main(), loop=Simulated(seed)) == [0, 1, 2, 3, 4]


@given(integers(), floats(0, 1e12), lists(floats(0, 1e9), min_size=1, max_size=20))
def test_timers_come_at_their_time_and_in_its_order(seed: int, start: float, delays: list[float]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert loop.time() == start
        seen: list[float] = []
        whens = [start + delay for delay in delays]
        done = asyncio.Event()

        def come(when: float) -> None:
            assert loop.time() == pytest.approx(when, rel=1e-12, abs=1e-8)
            seen.append(when)
            if len(seen) == len(whens):
                done.set()

        for when in whens:
            loop.call_at(when, come, when)
        await done.wait()
        assert seen == pytest.approx(sorted(whens), rel=1e-12, abs=1e-8)

    run(main(), loop=Simulated(seed, start=start))


def test_no_real_time_passes() -> None:
    before = time.monotonic()

    async def main() -> float:
        async with asyncio.timeout(1e6):
            await asyncio.sleep(9e5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1e6):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(main(), loop="simulated") == 1.9e6
    assert time.monotonic() - before < 60


def test_some_seed_finds_a_race() -> None:
    async def main() -> None:
        balance = 0

        async def pay_in() -> None:
            nonlocal balance
            seen = balance
            await asyncio.sleep(0)  # here another may come between
            balance = seen + 1

        async with asyncio.TaskGroup() as group:
            group.create_task(pay_in())
            for _ in range(2):  # by the standard loop's order, the first is done by now
                await asyncio.sleep(0)
            group.create_task(pay_in())
        assert balance == 2, f"balance is {balance}"

    run(main(), loop=Simulated(None))
    with pytest.raises(AssertionError, match="balance is 1") as failure:
        explore(main, SEEDS)
    seed = int(failure.value.__notes__[0].rpartition(" ")[2])
    with pytest.raises(AssertionError, match="balance is 1"):
        run(main(), loop=Simulated(seed))


def test_order_that_only_luck_keeps_is_found() -> None:
    async def main() -> None:
        seen: list[int] = []

        async def one(number: int) -> None:
            seen.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(2):
                group.create_task(one(number))
        assert seen == [0, 1]

    with pytest.raises(AssertionError):
        explore(main, SEEDS)
    explore(main, ())
    run(main(), loop=Simulated(None))


def test_a_deadlock_is_told_with_the_places_where_all_wait() -> None:
    async def main() -> None:
        here, there = asyncio.Event(), asyncio.Event()

        async def one() -> None:
            await here.wait()
            there.set()

        async def two() -> None:
            await there.wait()
            here.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(one(), name="one")
            group.create_task(two(), name="two")

    with pytest.raises(Deadlock, match=r"seed 5.*one at locks.py:\d+ \(wait\), two at locks.py") as failure:
        run(main(), loop=Simulated(5))
    assert failure.value.code == "loops.deadlock"
    assert failure.value.__notes__ == ["in a simulated loop with seed 5"]


def test_a_deadlock_without_tasks_is_told_too() -> None:
    loop = Simulated().new_loop()
    try:
        with pytest.raises(Deadlock, match="nobody"):
            loop.run_forever()
    finally:
        loop.close()


def test_jobs_of_executors_end_before_the_clock_moves() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        assert await asyncio.to_thread(threading.get_ident) == threading.get_ident()
        with ThreadPoolExecutor(1) as executor:
            assert await loop.run_in_executor(executor, threading.get_ident) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 // 0)
        assert loop.time() == start

    for seed in (None, *SEEDS):
        run(main(), loop=Simulated(seed))


def test_other_threads_are_refused() -> None:
    async def main() -> None:
        loop, errors = asyncio.get_running_loop(), list[BaseException]()

        def outside() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except NotSimulated as error:
                errors.append(error)

        thread = threading.Thread(target=outside)
        thread.start()
        thread.join()
        assert "other threads" in str(errors[0])

    run(main(), loop="simulated")


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda loop: loop.create_connection(asyncio.Protocol, "localhost", 1), "create_connection"),
        (lambda loop: loop.subprocess_shell(asyncio.SubprocessProtocol, "true"), "subprocess_shell"),
        (lambda loop: loop.add_signal_handler(10, print), "add_signal_handler"),
        (lambda loop: loop.add_reader(0, print), "add_reader"),
        (lambda loop: loop.getaddrinfo("localhost", 1), "getaddrinfo"),
    ],
)
def test_the_world_outside_is_refused(call: Any, what: str) -> None:
    async def main() -> None:
        call(asyncio.get_running_loop())

    with pytest.raises(NotSimulated, match=what) as failure:
        run(main(), loop="simulated")
    assert failure.value.code == "loops.not-simulated"
    assert failure.value.hint


def test_cancelled_jobs_do_not_run() -> None:
    async def main() -> list[int]:
        ran: list[int] = []
        future = asyncio.get_running_loop().run_in_executor(None, ran.append, 1)
        future.cancel()
        await asyncio.wait([future])
        return ran

    assert run(main(), loop=Simulated(None)) == []


def test_loops_are_closed_after_a_failure() -> None:
    async def fails() -> None:
        raise LookupError("meant")

    def again(main: Coroutine[Any, Any, None]) -> list[str]:
        with pytest.raises(LookupError) as failure:
            run(main, loop=Simulated(3))
        return failure.value.__notes__

    assert again(fails()) == again(fails()) == ["in a simulated loop with seed 3"]
