"""Serving: an application as the work of a process: signals, logs, systemd, the event loop it asks for.

Flow: Configuration -> logs, loop -> Application.run; signals -> stop, reload
Never: is needed by who runs an Application inside a program of their own.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ropewalk import loops
from ropewalk.errors import RopewalkError
from ropewalk.metrics import using
from ropewalk.service.application import Application
from ropewalk.service.config import Configuration, load
from ropewalk.service.logs import logging_to
from ropewalk.service.notify import Notifier
from ropewalk.threads import Watchdog

__all__ = ["application_of", "serve", "serve_file"]

_log = logging.getLogger("ropewalk.service")


def application_of(configuration: Configuration, path: Path | None = None) -> Application:
    """The application that a configuration describes.

    Args:
        configuration: What was read.
        path: Where it was read, for reloading it.
    """
    return Application(
        configuration.application.name,
        configuration.plans,
        deadline=configuration.application.deadline,
        again=(lambda: load(path).plans) if path is not None else None,
        folder=configuration.folder,
    )


def serve_file(path: Path) -> None:
    """Run the application of a file until a signal ends it.

    Raises:
        BadConfig, Missing: The file.
        ServiceFailed, or the error of a critical service.
    """
    configuration = load(path)
    with logging_to(settings=configuration.log):
        application = application_of(configuration, path)
        loops.run(serve(application), loop=configuration.application.loop)


async def serve(application: Application, notifier: Notifier | None = None) -> None:
    """Run an application as the work of this process: in the main thread, with signals.

    Raises:
        ServiceFailed, or the error of a critical service.
    """
    notifier = notifier or Notifier()

    def up() -> None:
        services = ", ".join(standing.name for standing in application.standings)
        _log.info("%s is up: %s", application.name, services, extra={"application": application.name})
        notifier.ready(f"up: {services}")

    failure: RopewalkError | None = None
    async with asyncio.TaskGroup() as tasks:

        def stop(name: str) -> None:
            _log.info("%s stops on %s", application.name, name, extra={"application": application.name})
            notifier.stopping()
            application.stop()

        async def reload() -> None:
            notifier.reloading()
            sound = await application.reload()
            notifier.ready("reloaded" if sound else "not reloaded: see the log")

        def on_reload() -> None:
            tasks.create_task(reload(), name="reload")

        with _signals(stop, on_reload), using(application.registry), Watchdog():
            beat = tasks.create_task(_beat(notifier), name="watchdog")
            try:
                await application.run(up)
            except RopewalkError as error:
                failure = error  # raised outside of the group, which would wrap it
                _log.error("%s ends: %s", application.name, error, extra={"code": error.code})
            finally:
                beat.cancel()
                _log.info("%s is down", application.name, extra={"application": application.name})
    if failure is not None:
        raise failure


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
