"""A blocking function behind a bounded queue with workers of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from ropewalk.errors import Misuse
from ropewalk.loops import Simulated
from ropewalk.loops import run as run_loop
from ropewalk.metrics import Registry, using
from ropewalk.threads import HalfSyncStatistics, NotStarted, PoolFull, call, half_sync
from tests.threads.turns import PATIENCE, Brake, until

where: ContextVar[str] = ContextVar("where", default="nowhere")


@pytest.fixture(autouse=True)
def registry() -> Iterator[Registry]:
    with using(Registry()) as registry:
        yield registry


@half_sync(max_queue=4, workers=2)
def double(number: int, *, plus: int = 0) -> int:
    """Twice."""
    return 2 * number + plus


async def test_is_called_like_a_coroutine_function() -> None:
    assert (double.name, double.__doc__) == ("double", "Twice.")
    async with double:
        assert await double(21) == 42
        assert await double(21, plus=1) == 43
        assert await asyncio.gather(*(double(number) for number in range(100))) == [2 * n for n in range(100)]
        assert double.statistics() == HalfSyncStatistics(0, 0, 102, 0, 0, 0)
        with pytest.raises(TypeError):
            await double("a", "b")  # type: ignore[call-arg,arg-type]
        assert double.statistics().failed == 1
    with pytest.raises(NotStarted, match="double has no workers in this loop: call it inside `async with`"):
        await double(1)


async def test_is_started_once_for_a_loop() -> None:
    async with double:
        with pytest.raises(Misuse, match="started already"):
            await double.start()
    await double.stop()
    async with double:  # and again
        assert await double(1) == 2
    for max_queue, workers in ((-1, 1), (1, 0)):
        with pytest.raises(Misuse):
            half_sync(max_queue=max_queue, workers=workers)(print)


async def test_context_and_errors_cross_and_calls_come_back() -> None:
    @half_sync(max_queue=1)
    def worker() -> str:
        if where.get() == "fail":
            raise StopIteration
        return where.get() + call(inside)

    async def inside() -> str:
        await asyncio.sleep(0)
        return " and back"

    async with worker:
        where.set("there")
        assert await worker() == "there and back"
        where.set("fail")
        with pytest.raises(RuntimeError, match="StopIteration"):
            await worker()


@pytest.mark.parametrize("max_queue", [0, 1, 3])
async def test_a_full_queue_makes_wait(max_queue: int) -> None:
    brake = Brake()
    slow = half_sync(max_queue=max_queue, workers=2)(brake.hold)
    async with asyncio.timeout(PATIENCE), slow:
        tasks = [asyncio.create_task(slow(number)) for number in range(10)]
        await until(lambda: brake.held == 2)
        statistics = slow.statistics()
        assert (statistics.running, statistics.waiting, statistics.refused) == (2, 8, 0)
        brake.release()
        assert await asyncio.gather(*tasks) == list(range(10))
    assert brake.most == 2


async def test_a_full_queue_refuses_where_it_is_told_to(registry: Registry) -> None:
    brake = Brake()
    slow = half_sync(max_queue=3, workers=1, when_full="refuse", name="slow")(brake.hold)
    async with asyncio.timeout(PATIENCE), slow:
        tasks = [asyncio.create_task(slow(number)) for number in range(4)]
        await until(lambda: brake.held == 1)
        with pytest.raises(PoolFull, match="slow is full: 1 running, 3 waiting") as failure:
            await slow(5)
        assert failure.value.code == "threads.full"
        assert slow.statistics().refused == 1
        brake.release()
        assert await asyncio.gather(*tasks) == list(range(4))
        assert await slow(6) == 6
    families = {family.name: family for family in registry.read()}
    assert families["ropewalk_threads_refused_total"].series[("slow",)] == 1
    assert families["ropewalk_threads_running"].series[("slow",)] == 0
    assert families["ropewalk_threads_waiting"].series[("slow",)] == 0


async def test_a_cancelled_call_leaves_the_queue_and_one_that_runs_is_waited_for() -> None:
    brake = Brake()
    slow = half_sync(max_queue=1)(brake.hold)
    async with asyncio.timeout(PATIENCE), slow:
        running, queued, waiting = (asyncio.create_task(slow(number)) for number in range(3))
        await until(lambda: brake.held == 1)
        queued.cancel()
        await asyncio.wait([queued])
        running.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not running.done()
        brake.release()
        assert await waiting == 2
        await asyncio.wait([running])
        assert running.cancelled()
        assert slow.statistics().cancelled == 2
    assert brake.begun == 2


async def test_stopping_does_what_is_in_the_queue() -> None:
    brake = Brake()
    slow = half_sync(max_queue=5)(brake.hold)
    async with asyncio.timeout(PATIENCE):
        await slow.start()
        tasks = [asyncio.create_task(slow(number)) for number in range(8)]
        await until(lambda: brake.held == 1)
        stopping = asyncio.create_task(slow.stop())
        await asyncio.wait(tasks[6:])  # those that had no place in the queue
        with pytest.raises(NotStarted):
            await slow(9)
        brake.release()
        await stopping
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[:6] == list(range(6))
    assert all(isinstance(result, NotStarted) for result in results[6:])


async def test_stopping_without_draining_fails_what_is_in_the_queue() -> None:
    brake = Brake()
    slow = half_sync(max_queue=5)(brake.hold)
    async with asyncio.timeout(PATIENCE):
        await slow.start()
        tasks = [asyncio.create_task(slow(number)) for number in range(3)]
        await until(lambda: brake.held == 1)
        stopping = asyncio.create_task(slow.stop(drain=False))
        await asyncio.wait(tasks[1:])
        brake.release()
        await stopping
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] == 0
    assert [type(result) for result in results[1:]] == [NotStarted, NotStarted]


async def test_a_deadline_leaves_behind_what_still_runs(caplog: pytest.LogCaptureFixture) -> None:
    brake = Brake()
    slow = half_sync(max_queue=5, name="slow")(brake.hold)
    async with asyncio.timeout(PATIENCE):
        await slow.start()
        tasks = [asyncio.create_task(slow(number)) for number in range(2)]
        await until(lambda: brake.held == 1)
        with caplog.at_level(logging.WARNING, "ropewalk.threads"):
            await slow.stop(deadline=0.01)
        assert caplog.records[0].code == "threads.left-behind"  # type: ignore[attr-defined]
        brake.release()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] == 0
    assert isinstance(results[1], NotStarted)


def test_each_loop_has_its_own_workers() -> None:
    barrier = threading.Barrier(2)
    meet = half_sync(max_queue=0)(lambda: barrier.wait(PATIENCE))

    def program() -> None:
        async def main() -> None:
            async with meet:
                await meet()

        run_loop(main())

    threads = [threading.Thread(target=program) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not barrier.broken
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("seed", range(5))
def test_in_a_simulated_loop_its_thread_does_the_work(seed: int) -> None:
    async def main() -> list[int]:
        async with double:
            return await asyncio.gather(*(double(number) for number in range(20)))

    assert run_loop(main(), loop=Simulated(seed)) == [2 * number for number in range(20)]
