"""asyncio as a guest: of a plain queue of calls, and of Qt."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import Any

import pytest

from ropewalk.loops import GuestLoop, NotAGuest, call_in_host, kind, run
from tests.loops.hosts import QueueHost, ThreadKind

PATIENCE = 20.0  # seconds


class Kind(ThreadKind):
    """A guest of one host that the test knows."""

    def __init__(self, host: QueueHost) -> None:
        self._host = host

    def host(self) -> QueueHost:
        return self._host


def test_callbacks_of_the_host_make_tasks_and_timers() -> None:
    host, seen = QueueHost(), list[str]()

    async def main() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        async def task() -> None:
            await asyncio.sleep(0)
            seen.append("task")
            loop.host.post(button_2)  # type: ignore[attr-defined]

        def button() -> None:
            tasks.append(asyncio.create_task(task()))

        def button_2() -> None:
            loop.call_later(0.001, seen.append, "timer")
            loop.call_later(0.002, loop.host.post, button_3)  # type: ignore[attr-defined]

        def button_3() -> None:
            loop.call_soon(seen.append, "soon")
            loop.call_soon(done.set)

        tasks: list[asyncio.Task[None]] = []
        host.post(button)
        async with asyncio.timeout(PATIENCE):
            await done.wait()

    run(main(), loop=Kind(host))
    assert seen == ["task", "timer", "soon"]


def test_a_reader_added_by_the_host_is_heard() -> None:
    host = QueueHost()

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        down, up = os.pipe()
        came: asyncio.Future[bytes] = loop.create_future()

        def hear() -> None:
            came.set_result(os.read(down, 9))
            loop.remove_reader(down)

        def button() -> None:
            loop.add_reader(down, hear)
            threading.Timer(0.01, os.write, (up, b"word")).start()

        host.post(button)
        try:
            async with asyncio.timeout(PATIENCE):
                return await came
        finally:
            os.close(down)
            os.close(up)

    assert run(main(), loop=Kind(host)) == b"word"


def test_stop_from_the_host_ends_run_forever() -> None:
    host = QueueHost()
    with closing(GuestLoop(host)) as loop:
        host.post(lambda: host.post(loop.stop))
        loop.run_forever()
        assert not loop.is_running()
        assert loop.run_until_complete(asyncio.sleep(0, "again")) == "again"


def test_a_busy_loop_gives_the_host_its_thread_back() -> None:
    host = QueueHost()
    beats = 0

    async def main() -> int:
        rounds = 0

        def beat() -> None:
            nonlocal beats
            beats += 1
            host.post(beat)  # the host is as busy

        host.post(beat)
        async with asyncio.timeout(PATIENCE):
            while beats < 50:
                rounds += 1
                await asyncio.sleep(0)
        return rounds

    assert run(main(), loop=Kind(host)) > 50


def test_asyncio_goes_on_under_a_modal_loop_of_the_host() -> None:
    host = QueueHost()

    def modal() -> str:
        host.run()  # as a dialog does: until somebody closes it
        return "closed"

    async def main() -> tuple[str, int]:
        ticks = 0

        async def close_later() -> None:
            nonlocal ticks
            for _ in range(5):
                await asyncio.sleep(0.001)
                ticks += 1
            host.quit()

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(close_later())
            return await call_in_host(modal), ticks

    assert run(main(), loop=Kind(host)) == ("closed", 5)


async def test_call_in_host_needs_a_host() -> None:
    with pytest.raises(NotAGuest, match="stands alone"):
        await call_in_host(list)


def test_call_in_host_gives_errors_back() -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            await call_in_host(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        run(main(), loop=ThreadKind())


def test_a_host_that_ends_by_itself_cancels_what_runs() -> None:
    host, seen = QueueHost(), list[str]()

    async def main() -> str:
        asyncio.get_running_loop().call_soon(host.quit)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            seen.append(str(error))
            await asyncio.sleep(0.001)  # what is left to do goes on without the host
        return "saved"

    assert run(main(), loop=Kind(host)) == "saved"
    assert seen == ["the host's loop ended"]

    async def lets_go() -> None:
        asyncio.get_running_loop().call_soon(host.quit)
        await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        run(lets_go(), loop=Kind(host))


def test_a_host_that_ends_just_as_the_coroutine_does() -> None:
    host = QueueHost()

    async def main() -> str:
        host.quit()
        return "done"

    assert run(main(), loop=Kind(host)) == "done"


def test_a_host_that_fails_is_heard_of() -> None:
    class Fails(QueueHost):
        def run(self) -> None:
            raise OSError("no display")

    async def main() -> None:
        pass

    with pytest.raises(OSError, match="no display"):
        run(main(), loop=Kind(Fails()))


@pytest.mark.parametrize("stop", [SystemExit(3), KeyboardInterrupt()])
def test_what_ends_the_program_gets_out_of_the_host(stop: BaseException) -> None:
    async def main() -> None:
        raise stop

    with pytest.raises(type(stop)):
        run(main(), loop=ThreadKind())


@pytest.mark.system
def test_a_signal_gets_through_after_the_last_handler_was_taken_back() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, lambda: None)
        loop.remove_signal_handler(signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(PATIENCE)

    for chosen in (ThreadKind(), kind("qt")):
        with pytest.raises(KeyboardInterrupt):
            run(main(), loop=chosen)


def test_runs_in_a_thread_other_than_the_main_one() -> None:
    results: list[int] = []

    async def main() -> int:
        await asyncio.sleep(0.001)
        return threading.get_ident()

    thread = threading.Thread(target=lambda: results.append(run(main(), loop=ThreadKind())))
    thread.start()
    thread.join(PATIENCE)
    assert results == [thread.ident]


def test_loops_do_not_run_inside_others() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="already running"):
            asyncio.get_running_loop().run_until_complete(asyncio.get_running_loop().create_future())
        with pytest.raises(RuntimeError, match="already running"):
            asyncio.get_running_loop().run_forever()

    run(main(), loop=ThreadKind())


def test_generators_are_closed_when_they_are_dropped() -> None:
    seen: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    async def main() -> None:
        async for _ in numbers():
            break
        for _ in range(5):
            await asyncio.sleep(0)
        assert seen == ["closed"]

    run(main(), loop=ThreadKind())
    assert sys.get_asyncgen_hooks() == (None, None)


# ---- Qt ----


@pytest.mark.system
def test_a_qt_timer_beats_beside_coroutines_and_a_button_makes_a_task(application: object) -> None:
    widgets = pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
    from PySide6.QtCore import QTimer

    beats, seen = 0, list[Any]()

    async def main() -> None:
        done = asyncio.Event()
        button = widgets.QPushButton("press")
        timer = QTimer()

        async def pressed() -> None:
            await asyncio.sleep(0.001)
            seen.append(threading.current_thread() is threading.main_thread())
            done.set()

        def beat() -> None:
            nonlocal beats
            beats += 1
            if beats == 5:
                button.click()

        button.clicked.connect(lambda: seen.append(asyncio.create_task(pressed())))
        timer.timeout.connect(beat)
        timer.start(1)
        async with asyncio.timeout(PATIENCE):
            await done.wait()
            while beats < 20:  # noqa: ASYNC110 - a coroutine that never rests does not stop it
                await asyncio.sleep(0)
        timer.stop()

    run(main(), loop="qt")
    assert seen[1] is True
    assert widgets.QApplication.instance() is application


@pytest.mark.system
def test_asyncio_goes_on_under_a_qt_dialog() -> None:
    widgets = pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

    async def main() -> tuple[int, int]:
        window = widgets.QWidget()
        window.show()  # or closing the dialog would close the last window, which ends Qt's loop
        dialog = widgets.QDialog()
        ticks = 0

        async def close_later() -> None:
            nonlocal ticks
            while not dialog.isVisible():  # noqa: ASYNC110 - Qt has no event of asyncio's for it
                await asyncio.sleep(0.001)
            for _ in range(5):
                await asyncio.sleep(0.001)
                ticks += 1
            dialog.done(7)

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(close_later())
            return await call_in_host(dialog.exec), ticks

    assert run(main(), loop="qt") == (7, 5)


@pytest.mark.system
def test_closing_the_last_window_cancels_what_runs() -> None:
    widgets = pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

    async def main() -> None:
        window = widgets.QWidget()
        window.show()
        asyncio.get_running_loop().call_soon(window.close)
        async with asyncio.timeout(PATIENCE):
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError, match="the host's loop ended"):
        run(main(), loop="qt")


@pytest.mark.system
@pytest.mark.parametrize("make", [kind("qt").new_loop, ThreadKind().new_loop])
def test_an_idle_guest_takes_no_turns(make: Callable[[], GuestLoop]) -> None:
    """What it costs is measured by bench/loops.py; here a poll every few milliseconds would show."""
    guest, turns = make(), 0
    post = guest.host.post

    def counted(call: Callable[[], object]) -> None:
        nonlocal turns
        turns += 1
        post(call)

    async def main() -> int:
        await asyncio.sleep(0)
        before = turns
        await asyncio.sleep(0.2)
        return turns - before

    guest.host.post = counted  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=lambda: guest) as runner:
        assert 1 <= runner.run(main()) <= 5  # the timer's, and what begins the sleep
