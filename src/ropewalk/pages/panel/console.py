"""Console: the page of the console and the WebSocket behind it; what is said there is the console's own.

The console is no part of the pages, so who puts an application together gives them a desk: a host of conversations.

Flow: GET -> the page; WebSocket, behind the gate -> Carrying -> the desk's host, until either side or the session ends
Never: goes on for a session that has ended, or opens more than so many at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from ropewalk.auth import Channel, Identity
from ropewalk.pages.asking import Asker
from ropewalk.pages.hosts import is_loopback
from ropewalk.pages.panel.carrying import Carrying
from ropewalk.pages.sessions import Session, Sessions
from ropewalk.terminal import Host

__all__ = ["MOST", "PATH", "Consoles", "Desk"]

PATH = "/process/console/talk"
MOST = 16  # WebSockets of the console at once: 64 may be in, and few of them type
SESSION_ENDED, NO_CONSOLE, FULL = 4401, 4404, 1013


@dataclass(frozen=True, slots=True)
class Desk:
    """Where conversations are had.

    Attributes:
        host: Has them; it asks for no login.
        perspective: What a visitor may do, in a way that the host's talk knows.
    """

    host: Host
    perspective: object


class Consoles:
    """The WebSockets.

    Args:
        desk: Gives the desk of now; None while there is none.
    """

    def __init__(self, desk: Callable[[], Desk | None]) -> None:
        self._desk, self._open = desk, 0

    @property
    def there(self) -> bool:
        """Whether there is a console now."""
        return self._desk() is not None

    async def talk(self, scope: Scope, receive: Receive, send: Send, sessions: Sessions) -> None:
        """One WebSocket, which the gate has let by; a browser is told why it is closed only once it is open."""
        asker: Asker = scope["ropewalk.asker"]
        await receive()
        await send({"type": "websocket.accept"})
        desk = self._desk()
        if desk is None or self._open >= MOST:
            code, reason = (NO_CONSOLE, "the console is not up") if desk is None else (FULL, "too many consoles now")
            await send({"type": "websocket.close", "code": code, "reason": reason})
            return
        self._open += 1
        try:
            session = asker.session
            carrying = Carrying(
                receive, send, _channel(asker, scope), desk.host.limits, lambda: sessions.heard(session)
            )
            carrying.terminal.identity = Identity(session.who or "the owner", how="web")
            carrying.terminal.perspective = desk.perspective
            await _carried(carrying, desk, session, sessions)
        finally:
            self._open -= 1


async def _carried(carrying: Carrying, desk: Desk, session: Session, sessions: Sessions) -> None:
    def ended() -> None:
        carrying.finish(SESSION_ENDED, "the session has ended")

    session.told.append(ended)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(desk.host.visit(carrying.terminal, known=True))
            moving = [tasks.create_task(carrying.hear()), tasks.create_task(carrying.tell())]
            while not carrying.over.is_set():
                if (left := await sessions.left(session)) <= 0:
                    ended()
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await carrying.over.wait()
            for one in moving:
                one.cancel()
            await carrying.hang_up()
    finally:
        session.told.remove(ended)


def _channel(asker: Asker, scope: Scope) -> Channel:
    """Nobody reads along within this machine, or over TLS, which ends here."""
    client = scope.get("client")
    private = scope["scheme"] == "wss" or (asker.asked.local and is_loopback(scope))
    return Channel(private, str(client[0]) if client else "")
