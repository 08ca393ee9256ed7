"""Lifespan: an app is told that its server starts and stops, and keeps what it makes meanwhile in a state.

Flow: start -> lifespan.startup -> the app is ready, or says why not, or knows no lifespan -> stop -> lifespan.shutdown
Never: serves an app whose start failed.
Source: ASGI 3.0, lifespan 2.0.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

from ropewalk.web.errors import NotStarted
from ropewalk.web.quick import App, Message, Receive, Scope, Send

__all__ = ["Lifespan", "live_all"]

_log = logging.getLogger("ropewalk.web")

Begin = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Lifespan:
    """The life of one app.

    Attributes:
        state: What the app keeps; a copy of it is shown with each request.
    """

    def __init__(self, app: App, asgi: dict[str, str]) -> None:
        self._app, self._asgi = app, asgi
        self.state: dict[str, Any] = {}
        self._told: asyncio.Queue[Message] = asyncio.Queue(2)
        self._asked = False  # the app has asked what it is to do
        self._failure = ""  # what it said
        self._raised: BaseException | None = None
        self._started, self._stopped, self._failed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, begin: Begin) -> None:
        """Tell the app to start, and wait until it has.

        Args:
            begin: Makes a task.

        Raises:
            NotStarted: It failed; an app that raises without having asked what it is to do knows no lifespan.
        """
        self._told.put_nowait({"type": "lifespan.startup"})
        self._task = begin(self._run())
        await self._started.wait()
        if self._failed.is_set():
            why = self._failure.strip().rsplit("\n", 1)[-1] or repr(self._raised)
            raise NotStarted(f"the app did not start: {why}") from self._raised

    async def stop(self) -> None:
        """Tell the app to stop, and wait until it has."""
        if self._task is None or self._task.done():
            return
        self._told.put_nowait({"type": "lifespan.shutdown"})
        await self._stopped.wait()

    def cancel(self) -> None:
        """Wait for it no longer."""
        if self._task is not None:
            self._task.cancel()

    async def broken(self) -> None:
        """Wait until the app's life ends with an error, while it should serve.

        Raises:
            NotStarted.
        """
        await self._failed.wait()
        raise NotStarted("the app's life ended while it was to serve") from self._raised

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": self._asgi, "state": self.state}
        try:
            await self._app(scope, self._receive, self._send)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - user code: it is told to who started it
            self._raised = error
            if self._asked and not self._stopped.is_set():
                self._failed.set()
                if self._started.is_set():
                    _log.error("app's life failed", exc_info=error, extra={"code": "web.lifespan"})
        finally:
            self._started.set()
            self._stopped.set()

    async def _receive(self) -> Message:
        self._asked = True
        return await self._told.get()

    async def _send(self, message: Message) -> None:
        match message["type"]:
            case "lifespan.startup.complete":
                self._started.set()
            case "lifespan.startup.failed":
                self._failure = message.get("message", "")
                self._failed.set()
                self._started.set()
            case "lifespan.shutdown.complete":
                self._stopped.set()
            case "lifespan.shutdown.failed":
                _log.error(
                    "app did not stop well: %s", message.get("message", "")[-500:], extra={"code": "web.lifespan"}
                )
                self._stopped.set()


async def live_all(
    apps: Mapping[str, App], states: dict[str, dict[str, Any]], scope: Scope, receive: Receive, send: Send
) -> None:
    """Be one app that is several: start all, one after the other, and stop them in reverse.

    Args:
        apps: By what the failure of one is told with.
        states: Filled with theirs.
    """
    await receive()
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as lives:
        for name, app in apps.items():
            life = Lifespan(app, scope["asgi"])
            try:
                await life.start(tasks.create_task)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are stopped and it is told
                await send({"type": "lifespan.startup.failed", "message": f"{name or '/'}: {error}"})
                return
            states[name] = life.state
            watch = tasks.create_task(life.broken())
            lives.push_async_callback(life.stop)
            lives.callback(watch.cancel)
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})
