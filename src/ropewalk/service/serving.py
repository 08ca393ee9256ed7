"""Serving: an application as the work of a process: signals, logs, systemd, the event loop it asks for.

Flow: Configuration -> logs, loop -> Application.run; signals -> stop, reload
Never: is needed by who runs an Application inside a program of their own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Self

from ropewalk import loops
from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.freed import keep_freed
from ropewalk.metrics import using
from ropewalk.service.application import Application
from ropewalk.service.config import Configuration, LogSettings, Settings, load
from ropewalk.service.logs import logging_to
from ropewalk.service.notify import Notifier
from ropewalk.service.plan import Plan
from ropewalk.service.standing import State
from ropewalk.threads import Watchdog

__all__ = ["application_of", "serve", "serve_file", "serve_made"]

_log = logging.getLogger("ropewalk.service")
_SPARE = 3.0  # seconds beyond the deadline, in which services that do not heed it are cancelled and left behind


def application_of(configuration: Configuration, path: Path | None = None) -> Application:
    """The application that a configuration describes.

    Args:
        configuration: What was read.
        path: Where it was read, for reloading it.
    """

    def again() -> tuple[Plan, ...]:
        read = load(path) if path is not None else configuration
        for table, now, then in (
            ("application", read.application, configuration.application),
            ("log", read.log, configuration.log),
        ):
            if now != then:
                _log.warning("[%s] has changed, which takes effect only when the process is started again", table)
        return read.plans

    return Application(
        configuration.application.name,
        configuration.plans,
        deadline=configuration.application.deadline,
        again=again if path is not None else None,
        folder=configuration.folder,
        file=path,
    )


def serve_file(path: Path) -> None:
    """Run the application of a file until a signal ends it.

    The process ends in time even where a service blocks the loop, or leaves behind what does not heed cancellation.

    Raises:
        BadConfig, Missing: The file.
        ServiceFailed, or the error of a critical service.
    """
    configuration = load(path)
    serve_made(lambda: application_of(configuration, path), configuration.application, configuration.log)


def serve_made(
    make: Callable[[], Application],
    settings: Settings,
    log: LogSettings,
    beside: Callable[[Application], Awaitable[None]] | None = None,
) -> None:
    """Run an application until a signal ends it, as `serve_file` does.

    Args:
        make: Makes it.
        settings: Of the process; the name and the deadline are the application's own.
        log: How to log.
        beside: What runs beside it; cancelled once it is down, and its end or failure ends nothing.

    Raises:
        ServiceFailed, or the error of a critical service.
    """
    keep_freed(settings.keep_freed)
    with logging_to(settings=log), _Overdue(settings.deadline) as overdue:
        application = make()

        async def run() -> None:
            task = asyncio.ensure_future(beside(application)) if beside is not None else None
            try:
                await serve(application, stopping=overdue.count)
            finally:
                if task is not None:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)

        loops.run(run(), loop=settings.loop)


async def serve(
    application: Application, notifier: Notifier | None = None, *, stopping: Callable[[], None] = lambda: None
) -> None:
    """Run an application as the work of this process: in the main thread, with signals.

    Args:
        application: One that has not run.
        notifier: Who is told how it is; systemd, where it started the process, by default.
        stopping: Called once, when it begins to stop.

    Raises:
        ServiceFailed, or the error of a critical service.
    """
    notifier = notifier or Notifier()
    fields = {"application": application.name}
    wanted = asyncio.Event()  # a reload: signals that come during one make one more
    ready = False

    def up() -> None:
        nonlocal ready
        ready = True
        names = {True: list[str](), False: list[str]()}
        for standing in application.standings:
            names[standing.state == State.UP].append(standing.name)
        services = ", ".join(names[True]) or "no services"
        without = f"; without: {', '.join(names[False])}" if names[False] else ""
        _log.info("%s is up: %s%s", application.name, services, without, extra=fields)
        notifier.ready(f"up: {services}{without}")

    def goes_down() -> None:
        notifier.stopping()
        stopping()

    def stop(name: str) -> None:
        _log.info("%s stops on %s", application.name, name, extra=fields)
        application.stop()

    async def reloads() -> None:
        while await wanted.wait():
            wanted.clear()
            if ready:
                notifier.reloading()  # before that, it is starting, and says so when it is ready
            sound = await application.reload()
            if ready and not application.stopping:
                notifier.ready("reloaded" if sound else "not reloaded: see the log")

    failure: RopewalkError | None = None
    async with asyncio.TaskGroup() as tasks:
        with _signals(stop, wanted.set), using(application.registry), Watchdog():
            beside = [tasks.create_task(_beat(notifier), name="watchdog"), tasks.create_task(reloads(), name="reload")]
            try:
                await application.run(up, goes_down)
            except RopewalkError as error:
                failure = error  # raised outside of the group, which would wrap it
                _log.error("%s ends: %s", application.name, error, extra={"code": error.code})
            finally:
                for task in beside:
                    task.cancel()
                _log.info("%s is down", application.name, extra=fields)
    if failure is not None:
        raise failure


class _Overdue:
    """Ends the process when it is not down in time: no task can, where one of them blocks the loop.

    Args:
        deadline: Seconds in which the services must be down.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._timer = threading.Timer(deadline + _SPARE, self._end, [threading.get_ident()])
        self._timer.daemon = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def count(self) -> None:
        """From now on."""
        self._timer.start()

    def _end(self, thread: int) -> None:
        frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented, and the only way
        where = "".join(traceback.format_stack(frame)).rstrip() if frame else ""
        extra = {"code": "service.overdue"}
        seconds = self._deadline + _SPARE
        _log.critical("the process is not down after %g s, and is ended; it was at\n%s", seconds, where, extra=extra)
        logging.shutdown()  # writes what is left, within its own bound
        os._exit(Unavailable.status)


async def _beat(notifier: Notifier) -> None:
    """Tell systemd that the loop turns, twice as often as it wants to know."""
    while (within := notifier.watchdog) is not None:
        notifier.alive()
        await asyncio.sleep(within / 2)


@contextmanager
def _signals(stop: Callable[[str], None], reload: Callable[[], None]) -> Iterator[None]:
    """The first SIGTERM or SIGINT stops; a second one ends the process at once, as if nobody caught it."""
    loop = asyncio.get_running_loop()
    ours: list[signal.Signals] = []
    before: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def ending(which: signal.Signals) -> None:
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(one)
            signal.signal(one, signal.SIG_DFL)
        stop(which.name)

    for which, call in ((signal.SIGTERM, ending), (signal.SIGINT, ending), (signal.SIGHUP, lambda _: reload())):
        before[which] = signal.getsignal(which)
        loop.add_signal_handler(which, call, which)
        ours.append(which)
    try:
        yield
    finally:
        for which in ours:
            loop.remove_signal_handler(which)
            signal.signal(which, before[which])
