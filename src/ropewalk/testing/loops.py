"""The contract of a loop kind, as a test that any kind can be put to.

Flow: a test -> check_loop -> a new loop of the kind for each feature
Never: takes a feature that is not claimed for a fault, or lets one pass that is claimed and does not work.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

from ropewalk.errors import RopewalkError
from ropewalk.loops import FEATURES, LoopKind, run
from ropewalk.testing.reaching import REACHING

__all__ = ["check_loop"]

_PATIENCE = 30.0  # seconds for one check; none needs more than a moment, on a busy machine too


def check_loop(kind: LoopKind, *features: str) -> None:
    """Put a kind of loop to the contract.  Called where no loop runs, in the main thread.

    Args:
        kind: Must be able to run here.
        features: Those to check; all by default.  One that the kind does not claim must be refused clearly: with
            NotImplementedError or an error of ours, before anything waits.

    Raises:
        AssertionError: The contract is broken; the message says by which feature.
    """
    reason = kind.why_not()
    assert reason is None, f"{kind.name} cannot run here: {reason}"
    assert kind.features <= FEATURES, f"{kind.name} claims features that nobody knows: {kind.features - FEATURES}"
    _ends_as_it_should(kind)
    for feature in sorted(features or FEATURES):
        claimed = feature in kind.features
        check = _CHECKS[feature] if claimed else _refuses(_CHECKS[feature])
        try:
            run(_in_time(check), loop=kind, debug=False)
            if claimed and feature == "signals":
                _interrupts(kind)
        except Exception as error:
            raise AssertionError(f"{kind.name}: {feature}: {type(error).__name__}: {error}") from error


async def _in_time(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.timeout(_PATIENCE):
        await check()


def _refuses(check: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def refused() -> None:
        try:
            await check()
        except (NotImplementedError, RopewalkError):
            return
        raise AssertionError("it works, and is not among the kind's features")

    return refused


# ---- what all kinds do ----


def _ends_as_it_should(kind: LoopKind) -> None:
    """Results, errors, tasks that are left and generators that are open, as `asyncio.run` has them."""
    seen: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            seen.append("generator closed")

    async def left() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("task cancelled")

    async def main() -> int:
        tasks.add(asyncio.create_task(left()))
        open_.append(numbers())
        await anext(open_[0])
        return 7

    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("meant")

    tasks: set[asyncio.Task[None]] = set()
    open_: list[AsyncIterator[int]] = []
    assert run(main(), loop=kind) == 7, f"{kind.name}: run gives another result than the coroutine"
    assert seen == ["task cancelled", "generator closed"], f"{kind.name}: shut down as {seen}"
    try:
        run(fails(), loop=kind)
    except LookupError:
        return
    raise AssertionError(f"{kind.name}: the coroutine's error was lost")


def _interrupts(kind: LoopKind) -> None:
    """Ctrl-C cancels the coroutine, and then is KeyboardInterrupt."""
    seen: list[str] = []

    async def main() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(_PATIENCE)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    try:
        run(main(), loop=kind)
    except KeyboardInterrupt:
        seen.append("interrupted")
    assert seen == ["cancelled", "interrupted"], f"{kind.name}: an interrupt gave {seen}"


# ---- timers, cancellation, threads, signals ----


async def _timers() -> None:
    loop = asyncio.get_running_loop()
    called: list[int] = []
    done = asyncio.Event()
    start = loop.time()
    loop.call_later(0.02, called.append, 2)
    loop.call_later(0.01, called.append, 1)
    loop.call_later(0.015, called.append, 9).cancel()
    loop.call_at(start + 0.03, done.set)
    loop.call_soon(called.append, 0)
    await done.wait()
    assert called == [0, 1, 2], f"timers came in the order {called}, expected [0, 1, 2]"
    assert loop.time() - start >= 0.0299, f"30 ms took {loop.time() - start} s"
    try:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    except TimeoutError:
        return
    raise AssertionError("a timeout did not come")


async def _cancellation() -> None:
    seen: list[str] = []
    begun = asyncio.Event()

    async def waits() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    task = asyncio.create_task(waits())
    await begun.wait()
    begun.clear()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled(), "a task that was cancelled ended otherwise"

    async def fails() -> None:
        await begun.wait()
        raise LookupError("meant")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits())
            group.create_task(fails())
    except* LookupError:
        seen.append("failed")
    assert seen == ["cleaned up", "cleaned up", "failed"], f"cancelling gave {seen}"


_where: ContextVar[str] = ContextVar("_where", default="nowhere")


async def _threads() -> None:
    loop = asyncio.get_running_loop()
    here = threading.get_ident()
    done: asyncio.Future[tuple[str, int]] = loop.create_future()

    def from_outside() -> None:
        try:
            loop.call_soon_threadsafe(lambda: done.set_result((_where.get(), threading.get_ident())))
        except BaseException as error:  # noqa: BLE001 - the check's to judge
            failed.append(error)

    failed: list[BaseException] = []
    thread = threading.Thread(target=from_outside)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    assert (await done)[1] == here, "call_soon_threadsafe called in another thread than the loop's"

    _where.set("loop")
    assert await asyncio.to_thread(_where.get) == "loop", "context did not cross into the thread"
    assert await loop.run_in_executor(None, threading.get_ident) != here, "an executor's job ran in the loop's thread"

    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    def back() -> int:
        return asyncio.run_coroutine_threadsafe(double(21), loop).result(_PATIENCE)

    assert await asyncio.to_thread(back) == 42

    def fails() -> None:
        raise LookupError("meant")

    try:
        await asyncio.to_thread(fails)
    except LookupError:
        return
    raise AssertionError("a thread's error was lost")


async def _signals() -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, came.set)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        await came.wait()
    finally:
        assert loop.remove_signal_handler(signal.SIGUSR1), "a handler that was set was not there"


_CHECKS: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    "cancellation": _cancellation,
    "signals": _signals,
    "threads": _threads,
    "timers": _timers,
    **REACHING,
}
