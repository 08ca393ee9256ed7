"""Blocking functions in bounded pools, and the way back into the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from ropewalk.loops import Simulated
from ropewalk.loops import run as run_loop
from ropewalk.metrics import Registry, using
from ropewalk.threads import (
    Deadlock,
    Late,
    LoopOver,
    NoSuchPool,
    NotAWorker,
    Pool,
    PoolFull,
    call,
    call_soon,
    check_cancelled,
    declare,
    run,
)
from tests.threads.turns import PATIENCE, Brake, until

where: ContextVar[str] = ContextVar("where", default="nowhere")


@pytest.fixture(autouse=True)
def registry() -> Iterator[Registry]:
    with using(Registry()) as registry:
        yield registry


def reading(registry: Registry, name: str, pool: str) -> Any:
    return {family.name: family for family in registry.read()}[name].series[(pool,)]


async def test_gives_the_result_and_the_error_of_the_function() -> None:
    assert await run(threading.get_ident) != threading.get_ident()
    assert await run(int, "7") == 7
    with pytest.raises(ValueError, match="invalid literal"):
        await run(int, "x")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "simulated"])
def test_what_a_future_cannot_hold_is_told_as_another_error(loop: str) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(RuntimeError, match="the function raised StopIteration"):
                await run(next, iter(()))

    run_loop(main(), loop=loop)


def test_threads_of_a_loop_end_with_it() -> None:
    seen: list[threading.Thread] = []

    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            seen.append(await run(threading.current_thread))

    for loop in ("asyncio", "uvloop"):
        run_loop(main(), loop=loop)
        seen[-1].join(PATIENCE)
        assert not seen[-1].is_alive()


async def test_context_crosses_there_and_back_again() -> None:
    async def inside() -> str:
        await asyncio.sleep(0)
        return where.get() + ", " + str(threading.get_ident() == here)

    def worker() -> str:
        assert where.get() == "loop"
        where.set("worker")
        return call(inside)

    here = threading.get_ident()
    where.set("loop")
    assert await run(worker) == "worker, True"
    assert where.get() == "loop"


async def test_errors_cross_from_the_loop_to_the_worker() -> None:
    async def fails() -> None:
        raise TimeoutError("of the coroutine")

    def worker() -> str:
        with pytest.raises(TimeoutError, match="of the coroutine"):
            call(fails)
        return "seen"

    assert await run(worker) == "seen"


async def test_call_soon_does_not_wait() -> None:
    called = asyncio.Event()
    await run(call_soon, called.set)
    async with asyncio.timeout(PATIENCE):
        await called.wait()


async def test_only_workers_may_call() -> None:
    with pytest.raises(Deadlock, match="use await") as failure:
        call(asyncio.sleep, 0)
    assert failure.value.code == "threads.deadlock"
    with pytest.raises(NotAWorker):
        call_soon(print)
    with pytest.raises(NotAWorker):
        check_cancelled()

    def outside() -> None:
        try:
            call(asyncio.sleep, 0)
        except NotAWorker as error:
            seen.append(error.code)

    seen: list[str] = []
    thread = threading.Thread(target=outside)
    thread.start()
    thread.join()
    assert seen == ["threads.not-a-worker"]


async def test_no_more_run_than_the_pool_has_threads_and_no_more_wait_than_it_has_places(registry: Registry) -> None:
    pool, brake = Pool("small", size=2, max_waiting=3), Brake()
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(brake.hold, pool=pool)) for _ in range(5)]
        await until(lambda: brake.held == 2)
        await asyncio.sleep(0)
        assert reading(registry, "ropewalk_threads_running", "small") == 2
        assert reading(registry, "ropewalk_threads_waiting", "small") == 3
        with pytest.raises(PoolFull, match="pool small is full: 2 running, 3 waiting") as failure:
            await run(brake.hold, pool=pool)
        assert failure.value.code == "threads.full"
        brake.release()
    assert len(tasks) == 5
    assert brake.most == 2
    assert reading(registry, "ropewalk_threads_running", "small") == 0
    assert reading(registry, "ropewalk_threads_waiting", "small") == 0
    assert reading(registry, "ropewalk_threads_refused_total", "small") == 1
    assert sum(reading(registry, "ropewalk_threads_busy_seconds", "small").counts) == 5
    assert sum(reading(registry, "ropewalk_threads_wait_seconds", "small").counts) == 5


async def test_a_waiting_call_that_is_cancelled_gives_its_place_up() -> None:
    pool, brake = Pool("small", size=1, max_waiting=1), Brake()
    first = asyncio.create_task(run(brake.hold, pool=pool))
    await until(lambda: brake.held == 1)
    second = asyncio.create_task(run(brake.hold, pool=pool))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    third = asyncio.create_task(run(brake.hold, pool=pool))
    await asyncio.sleep(0)
    brake.release()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(first, third)
    assert brake.begun == 2


async def test_a_place_handed_to_one_who_is_cancelled_goes_on_to_the_next() -> None:
    pool, brake = Pool("small", size=1, max_waiting=2), Brake()
    tasks = [asyncio.create_task(run(brake.hold, pool=pool)) for _ in range(3)]
    await until(lambda: brake.held == 1)
    brake.release()
    tasks[0].add_done_callback(lambda _: tasks[1].cancel())  # its turn was given it, and it has not run yet
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait(tasks)
        assert await run(int, "7", pool=pool) == 7
    assert tasks[2].exception() is None


@pytest.mark.parametrize("scope", ["task", "anyio"])
async def test_cancelling_waits_for_the_thread(scope: str) -> None:
    pool, brake = Pool("small", size=1, max_waiting=1), Brake()
    ended = asyncio.Event()

    async def waits() -> None:
        try:
            await run(brake.hold, pool=pool)
        finally:
            ended.set()

    async with asyncio.timeout(PATIENCE):
        if scope == "task":
            task = asyncio.create_task(waits())
            await until(lambda: brake.held == 1)
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0)
            assert not ended.is_set()
            brake.release()
            await asyncio.wait([task])
            assert task.cancelled()
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(waits)
                await until(lambda: brake.held == 1)
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    for _ in range(5):
                        await asyncio.sleep(0)
                    assert not ended.is_set()
                    brake.release()
    assert ended.is_set()
    assert brake.ended == 1


async def test_abandoning_does_not_wait_and_the_thread_still_counts() -> None:
    pool, brake = Pool("small", size=1, max_waiting=0), Brake()
    task = asyncio.create_task(run(brake.hold, pool=pool, abandon=True))
    await until(lambda: brake.held == 1)
    task.cancel()
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait([task])
    assert task.cancelled()
    assert brake.ended == 0
    with pytest.raises(PoolFull):
        await run(int, "7", pool=pool)
    brake.release()
    await until(lambda: brake.ended == 1)
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                assert await run(int, "7", pool=pool) == 7
                break
            except PoolFull:
                await asyncio.sleep(0)


async def test_a_long_job_hears_that_nobody_waits() -> None:
    begun, heard = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        try:
            while True:
                check_cancelled()
        except asyncio.CancelledError:
            heard.set()
            raise

    task = asyncio.create_task(run(job))
    await until(begun.is_set)
    task.cancel()
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait([task])
    assert task.cancelled()
    assert heard.is_set()


async def test_cancelling_reaches_the_coroutine_that_the_worker_waits_for() -> None:
    seen: list[str] = []
    waiting = asyncio.Event()

    async def waits() -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("coroutine")

    def worker() -> None:
        try:
            call(waits)
        except asyncio.CancelledError:
            seen.append("worker")
            with pytest.raises(asyncio.CancelledError):
                call(asyncio.sleep, 0)
            raise

    task = asyncio.create_task(run(worker))
    async with asyncio.timeout(PATIENCE):
        await waiting.wait()
        task.cancel()
        await asyncio.wait([task])
    assert seen == ["coroutine", "worker"]


async def test_a_deadline_is_an_error_of_its_own() -> None:
    brake = Brake()
    with pytest.raises(Late, match=r"hold did not end within 0\.01 s") as failure:
        await run(brake.hold, abandon=True, deadline=0.01)
    assert failure.value.code == "threads.late"
    brake.release()

    def raises() -> None:
        raise TimeoutError("of the function")

    with pytest.raises(TimeoutError, match="of the function"):
        await run(raises, deadline=PATIENCE)
    assert await run(int, "7", deadline=PATIENCE) == 7


async def test_pools_go_by_name_once_they_are_declared() -> None:
    with pytest.raises(NoSuchPool, match="called 'db' on this loop; there are: default"):
        await run(int, "7", pool="db")
    declare(Pool("db", 1, 1))
    declare(Pool("db", 1, 1))
    assert await run(int, "7", pool="db") == 7
    with pytest.raises(NoSuchPool, match="already another"):
        declare(Pool("db", 2, 1))
    with pytest.raises(NoSuchPool):
        Pool("none", 0, 1)


def test_an_abandoned_worker_hears_that_the_loop_is_over() -> None:
    brake, seen = Brake(), list[str]()
    done = threading.Event()

    def worker() -> None:
        brake.hold()
        try:
            call_soon(print)
        except LoopOver:
            seen.append("over")
        try:
            call(asyncio.sleep, 0)
        except asyncio.CancelledError:
            seen.append("cancelled")
        done.set()

    async def main() -> None:
        task = asyncio.create_task(run(worker, abandon=True))
        await until(lambda: brake.held == 1)
        task.cancel()
        await asyncio.wait([task])

    run_loop(main(), loop="asyncio")
    brake.release()
    assert done.wait(PATIENCE)
    assert seen == ["over", "cancelled"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "qt"])
def test_works_on_each_loop(loop: str) -> None:
    async def main() -> int:
        async def double(number: int) -> int:
            await asyncio.sleep(0)
            return 2 * number

        return await run(call, double, 21)

    assert run_loop(main(), loop=loop) == 42


def test_in_a_simulated_loop_jobs_run_in_its_thread() -> None:
    async def main() -> list[int]:
        def worker(number: int) -> int:
            assert threading.get_ident() == here
            with pytest.raises(Deadlock):
                call(asyncio.sleep, 0)
            return number

        here = threading.get_ident()
        pool = Pool("small", 2, 10)
        return await asyncio.gather(*(run(worker, number, pool=pool) for number in range(8)))

    for seed in range(10):
        assert run_loop(main(), loop=Simulated(seed)) == list(range(8))


def test_loops_in_two_threads_have_pools_of_their_own() -> None:
    barrier = threading.Barrier(2)
    results: list[int] = []

    def one(number: int) -> Callable[[], None]:
        def program() -> None:
            async def main() -> int:
                await run(barrier.wait, PATIENCE, pool=Pool("one", 1, 0))
                return number

            results.append(run_loop(main()))

        return program

    threads = [threading.Thread(target=one(number)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(results) == [0, 1]
