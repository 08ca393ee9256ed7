"""Threads: calls come back to the event loop, and one that does not keeps nothing from ending."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from functools import partial

import pytest

from ropewalk.spaces.store.threads import Threads, ThreadsClosed

DEADLINE = 20.0  # seconds; what a test waits for takes a few thousandths of one

HUNG = """
import asyncio, threading
from ropewalk.spaces.store.threads import Threads

async def main():
    threads = Threads(1, "hung")
    reached = threading.Event()
    def hang():
        reached.set()
        threading.Event().wait()
    call = asyncio.create_task(threads.run(hang))
    while not reached.is_set():
        await asyncio.sleep(0)
    call.cancel()
    print("over", flush=True)

asyncio.run(main())
"""


async def _closed(threads: Threads) -> None:
    async with asyncio.timeout(DEADLINE):
        await threads.close(lambda: None)


async def test_a_call_gives_what_it_returns_and_raises_what_it_raises() -> None:
    threads = Threads(2, "some")

    def fail() -> None:
        raise KeyError("told so")

    assert await asyncio.gather(*(threads.run(partial(int, at)) for at in range(20))) == list(range(20))
    with pytest.raises(KeyError):
        await threads.run(fail)
    assert await threads.run(threading.current_thread) is not threading.current_thread()
    await _closed(threads)


async def test_as_many_run_at_once_as_there_are_threads() -> None:
    threads = Threads(3, "some")
    together = threading.Barrier(3)
    await asyncio.gather(*(threads.run(lambda: together.wait(DEADLINE)) for _ in range(6)))
    await _closed(threads)


async def test_a_cancelled_call_that_waits_for_its_turn_is_not_begun_and_is_forgotten() -> None:
    class Large:
        def touch(self) -> None:
            raise AssertionError("it was begun")

    threads = Threads(1, "some")
    go = threading.Event()
    first = asyncio.create_task(threads.run(lambda: go.wait(DEADLINE)))
    large = Large()
    seen = weakref.ref(large)
    second = asyncio.create_task(threads.run(large.touch))
    await asyncio.sleep(0)
    second.cancel()
    del large
    await asyncio.wait([second])
    assert second.cancelled()
    del second
    gc.collect()
    assert seen() is None
    go.set()
    assert await first
    await _closed(threads)


async def test_what_is_under_way_ends_before_the_last_call_and_nothing_begins_after() -> None:
    threads = Threads(2, "some")
    go = threading.Event()
    done: list[str] = []

    def work() -> None:
        go.wait(DEADLINE)
        done.append("work")

    under_way = [asyncio.create_task(threads.run(work)) for _ in range(4)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(threads.close(lambda: done.append("last")))
    await asyncio.sleep(0)
    with pytest.raises(ThreadsClosed):
        await threads.run(lambda: None)
    with pytest.raises(ThreadsClosed):
        threads.submit(lambda: None)
    go.set()
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(closing, *under_way)
    assert done == ["work"] * 4 + ["last"]
    await _closed(threads)  # twice is harmless


async def test_another_thread_can_wait_for_a_call_or_take_it_back() -> None:
    threads = Threads(1, "some")
    go = threading.Event()
    done: list[bool] = []
    first = threads.submit(lambda: done.append(go.wait(DEADLINE)))
    second = threads.submit(lambda: pytest.fail("it was begun"))
    assert second.cancel()
    go.set()
    await asyncio.to_thread(first.result, DEADLINE)
    assert done == [True]

    def fail() -> None:
        raise KeyError("told so")

    assert isinstance(await asyncio.to_thread(threads.submit(fail).exception, DEADLINE), KeyError)
    await _closed(threads)


def test_a_call_that_never_ends_does_not_keep_the_process_from_ending() -> None:
    done = subprocess.run([sys.executable, "-c", HUNG], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert done.stdout == "over\n"
    assert done.stderr == ""
