"""A loop in a thread for plain programs: none of these tests is a coroutine."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest

from ropewalk.errors import Misuse
from ropewalk.threads import Cancelled, Deadlock, Late, Portal, PortalClosed, portal
from tests.threads.turns import PATIENCE

where: ContextVar[str] = ContextVar("where", default="nowhere")


@pytest.fixture(params=["asyncio", "uvloop"])
def door(request: pytest.FixtureRequest) -> Iterator[Portal]:
    with portal(request.param) as opened:
        yield opened


async def _double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def test_calls_give_results_errors_and_context(door: Portal) -> None:
    async def fails() -> None:
        raise TimeoutError("of the coroutine")

    async def look() -> str:
        return where.get()

    assert door.call(_double, 21) == 42
    with pytest.raises(TimeoutError, match="of the coroutine"):
        door.call(fails, deadline=PATIENCE)
    where.set("program")
    assert door.call(look) == "program"


def test_a_deadline_cancels(door: Portal) -> None:
    seen: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    with pytest.raises(Late, match=r"waits did not end within 0\.01 s"):
        door.call(waits, deadline=0.01)
    assert seen == ["cancelled"]


def test_a_coroutine_that_cancels_itself_is_told(door: Portal) -> None:
    async def cancels() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(Cancelled, match="cancels was cancelled"):
        door.call(cancels)


def test_many_threads_may_call(door: Portal) -> None:
    results: list[int] = []
    threads = [threading.Thread(target=lambda n=n: results.append(door.call(_double, n))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(results) == [2 * number for number in range(20)]


def test_its_own_thread_may_not_wait_for_itself(door: Portal) -> None:
    async def asks() -> None:
        door.call(_double, 1)

    with pytest.raises(Deadlock, match="use await"):
        door.call(asks)


def test_closed_it_refuses_and_what_ran_is_cancelled() -> None:
    seen: list[object] = []
    begun = threading.Event()

    async def waits() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("coroutine")

    def other() -> None:
        try:
            opened.call(waits)
        except Cancelled:
            seen.append("caller")

    never = portal()
    with pytest.raises(PortalClosed):
        never.call(_double, 1)
    with portal() as opened:
        thread = threading.Thread(target=other)
        thread.start()
        assert begun.wait(PATIENCE)
    thread.join(PATIENCE)
    assert seen == ["coroutine", "caller"]
    with pytest.raises(PortalClosed) as failure:
        opened.call(_double, 1)
    assert failure.value.code == "threads.portal-closed"


def test_loops_that_do_not_fit_are_refused() -> None:
    for name in ("qt", "simulated"):
        with pytest.raises(Misuse, match=f"loop {name} does not run in a thread"):
            portal(name)


@pytest.mark.system
@pytest.mark.parametrize("place", ["call", "stream", "enter"])
def test_an_interrupt_cancels_what_is_waited_for(door: Portal, place: str) -> None:
    seen: list[str] = []

    async def waits() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    async def items() -> AsyncIterator[int]:
        yield 1
        await waits()

    @asynccontextmanager
    async def manager() -> AsyncIterator[int]:
        await waits()
        yield 1

    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - one of three
        if place == "call":
            door.call(waits)
        elif place == "stream":
            list(door.stream(items()))
        else:
            with door.enter(manager()):
                pass
    assert seen == ["cleaned up"]
    assert door.call(_double, 1) == 2


def test_a_stream_gives_items_as_they_are_wanted(door: Portal) -> None:
    made: list[int] = []
    tasks: set[object] = set()

    async def numbers(to: int) -> AsyncIterator[int]:
        try:
            for number in range(to):
                tasks.add(asyncio.current_task())
                made.append(number)
                yield number
        finally:
            made.append(-1)

    assert list(door.stream(numbers(3))) == [0, 1, 2]
    assert made == [0, 1, 2, -1]
    assert len(tasks) == 1
    made.clear()
    for number in door.stream(numbers(100)):
        if number == 1:
            break
    assert made == [0, 1, -1]  # no item was made ahead, and the generator is closed


def test_a_streams_error_is_the_callers(door: Portal) -> None:
    async def fails() -> AsyncIterator[int]:
        yield 1
        raise LookupError("meant")

    stream = door.stream(fails())
    assert next(stream) == 1
    with pytest.raises(LookupError, match="meant"):
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)


def test_a_stream_ends_with_the_portal() -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(10):
            yield number

    with portal() as opened:
        stream = opened.stream(numbers())
        assert next(stream) == 0
    with pytest.raises(Cancelled):
        next(stream)


def test_a_context_manager_is_entered_and_left_in_one_task(door: Portal) -> None:
    tasks: list[object] = []

    @asynccontextmanager
    async def manager() -> AsyncIterator[str]:
        tasks.append(asyncio.current_task())
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup():
            yield "inside"
        tasks.append(asyncio.current_task())

    with door.enter(manager()) as value:
        assert value == "inside"
        assert door.call(_double, 1) == 2
    assert tasks[0] is tasks[1]


def test_a_context_managers_errors_both_ways(door: Portal) -> None:
    seen: list[BaseException] = []

    @asynccontextmanager
    async def holds_back() -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - what comes is what is tested
            seen.append(error)

    @asynccontextmanager
    async def fails(when: str) -> AsyncIterator[None]:
        if when == "entering":
            raise LookupError(when)
        try:
            yield
        finally:
            if when == "leaving":
                raise LookupError(when)

    def body() -> None:
        raise LookupError("body")

    with door.enter(holds_back()):
        body()
    with pytest.raises(KeyboardInterrupt), door.enter(holds_back()):
        raise KeyboardInterrupt
    assert [type(error) for error in seen] == [LookupError, asyncio.CancelledError]
    for when in ("entering", "leaving"):
        with pytest.raises(LookupError, match=when), door.enter(fails(when)):
            pass
    with pytest.raises(ValueError, match="body"), door.enter(fails("never")):
        raise ValueError("body")


def test_a_task_group_that_fails_behind_a_context_is_told_at_its_end(door: Portal) -> None:
    failed = threading.Event()

    @asynccontextmanager
    async def group() -> AsyncIterator[None]:
        async def fails() -> None:
            failed.set()
            raise LookupError("in the background")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails())
            yield

    with pytest.raises(ExceptionGroup) as failure, door.enter(group()):
        assert failed.wait(PATIENCE)
    assert failure.group_contains(LookupError, match="in the background")


@pytest.mark.parametrize("leaves", [SystemExit, KeyboardInterrupt])
def test_a_coroutine_that_ends_its_caller_does_not_end_the_loop(door: Portal, leaves: type[BaseException]) -> None:
    """Other threads have calls in it."""

    async def leave() -> None:
        await asyncio.sleep(0)
        raise leaves("bye")

    with pytest.raises(leaves, match="bye"):
        door.call(leave, deadline=PATIENCE)
    assert door.call(_double, 21, deadline=PATIENCE) == 42
