"""App: the pages of spaces as one ASGI app, its parts put together.

Flow: ASGI -> Gate -> routes -> endpoints; what they raise -> a page that says so
Never: listens, opens a space, or answers anybody round the gate.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ropewalk.auth import Portal
from ropewalk.errors import Missing
from ropewalk.pages.answers import failed
from ropewalk.pages.asking import Asker
from ropewalk.pages.assets import Assets
from ropewalk.pages.browsing import Browsing
from ropewalk.pages.changing import Changing
from ropewalk.pages.entrance import Entrance
from ropewalk.pages.fetching import Fetching
from ropewalk.pages.gate import Gate
from ropewalk.pages.history import History
from ropewalk.pages.hosts import Hosts
from ropewalk.pages.names import BadAddress, quoted, unquoted
from ropewalk.pages.notices import Notices
from ropewalk.pages.opened import Spaces
from ropewalk.pages.panel import Panel
from ropewalk.pages.panel.console import PATH
from ropewalk.pages.previews import Previews
from ropewalk.pages.sections import sections
from ropewalk.pages.sessions import Session, Sessions
from ropewalk.pages.space.invitations import Invitations, Inviting
from ropewalk.pages.tickets import Tickets

__all__ = ["NoSuchPage", "SpacePages"]

Endpoint = Callable[[Request], Awaitable[Response]]


class NoSuchPage(Missing):
    """There is no page at this address."""

    code = "pages.no-such-page"


class SpacePages:
    """An ASGI 3 app, for the top of its own host and port.

    Args:
        spaces: What it shows.
        folder: For the file that lets the owner in; made, for this user alone.
        hosts: The names by which it may be called; those of this machine by default.
        portal: Lets in others by password, where the pages are reached over TLS.
        panel: Shows the process, too.
        inviting: What it takes to invite; None where nobody is invited from here.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        spaces: Spaces,
        folder: Path,
        *,
        hosts: Hosts | None = None,
        portal: Portal | None = None,
        panel: Panel | None = None,
        inviting: Inviting | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.entrance = Entrance(folder, clock)
        self.sessions = Sessions(clock, on_end=self._ended)
        self._tickets, self._notices, self._assets = Tickets(clock), Notices(), Assets()
        browsing = Browsing(spaces, self._tickets, self._notices)
        self.changing = changing = Changing(spaces, self._notices)
        fetching = Fetching(spaces)
        history = History(spaces, browsing)
        pages: _Table = {
            "/": {"GET": browsing.index},
        }
        places: _Table = {
            "files": {"GET": browsing.files},
            "rows": {"GET": browsing.rows},
            "search": {"GET": browsing.search},
            "versions": {"GET": history.versions},
            "get": {"GET": fetching.get, "PUT": changing.put},
            "zip": {"GET": fetching.zip},
            "upload": {"POST": changing.upload},
            "folder": {"POST": changing.folder},
            "move": {"POST": changing.move},
            "remove": {"POST": changing.remove},
            "restore": {"POST": changing.restore},
            "undo": {"POST": changing.undo},
        }
        self.invitations = Invitations(spaces, inviting)
        for section in sections(spaces, browsing, self.invitations):
            places = {**places, **section.table()}
        router = _Router(self._assets, pages, places, panel, self.sessions)
        previews = Previews(self._tickets, self._assets)
        self._gate = Gate(router, previews, hosts or Hosts(), self.sessions, self.entrance, portal)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        await self._gate(scope, receive, send)

    async def work(self, url: str | None) -> None:
        """Let the owner in, and invites wait, until cancelled; then everybody is out, and invites are void.

        Args:
            url: The address at which the app is served, ``http://127.0.0.1:8990``; None where the owner is let in by
                no file.

        Raises:
            FolderOpen, OSError.
        """
        inviting = asyncio.create_task(self.invitations.work())
        try:
            await asyncio.sleep(0)  # it begins, before anybody can come in and ask for one
            await (inviting if url is None else self.entrance.work(url))
        finally:
            inviting.cancel()
            await asyncio.wait([inviting])
            await self.sessions.aclose()

    def _ended(self, session: Session) -> None:
        self._tickets.forget(session)
        self._notices.forget(session)
        self.invitations.forget(session)


_Table = Mapping[str, Mapping[str, Endpoint]]  # by page, by method


class _Router:
    """Finds who answers: ``/static/NAME``, a page, or ``/spaces/NAME/WHAT/PATH``, where the path may be any bytes."""

    def __init__(self, assets: Assets, pages: _Table, places: _Table, panel: Panel | None, sessions: Sessions) -> None:
        self._assets, self._pages, self._places, self._panel = assets, pages, places, panel
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket" and scope["path"] == PATH and self._panel is not None:
            await self._panel.consoles.talk(scope, receive, send, self._sessions)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4404, "reason": ""})
        else:
            request = Request(scope, receive)
            await (await self._answer(request))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            path = request.scope["path"]
            if path.startswith("/static/"):
                return self._assets.answer(path.removeprefix("/static/"), request)
            request.scope["ropewalk.panel"] = self._panel is not None
            methods = self._methods(request, path)
            endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
            if endpoint is None:
                return Response("method not allowed\n", 405, {"allow": ", ".join(methods)}, "text/plain")
            return await endpoint(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a page
            return failed(request, error, _frame(request))

    def _methods(self, request: Request, path: str) -> Mapping[str, Endpoint]:
        methods = self._pages.get(path)
        if methods is None and self._panel is not None:
            methods = self._panel.find(request)
        if methods is None and path.startswith("/spaces/"):
            methods = self._places.get("".join(path.split("/", 4)[3:4]))
        if methods is None:
            raise NoSuchPage("there is no page at this address")
        return methods


async def _live(receive: Receive, send: Send) -> None:
    """Nothing is to be started or stopped by a server: that is the part of `SpacePages.work`."""
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def _frame(request: Request) -> dict[str, object]:
    asker = request.scope.get("ropewalk.asker")
    if not isinstance(asker, Asker):
        return {}
    said = {"csrf": asker.session.csrf, "who": asker.session.who}
    said |= {"back": _back_of(request), "stores": _stores_of(request)}
    return {**said, "has_panel": request.scope.get("ropewalk.panel", False)}


def _stores_of(request: Request) -> str:
    """Where the stores are shown of the space that was asked for, if it was one."""
    pieces = (request.scope.get("raw_path") or b"").split(b"/", 4)
    try:
        return f"/spaces/{quoted(unquoted(pieces[2]))}/pool/" if pieces[1:2] == [b"spaces"] and pieces[3:] else ""
    except BadAddress:
        return ""


def _back_of(request: Request) -> str:
    """Where the page is that a request came from, as far as its address says it."""
    pieces = (request.scope.get("raw_path") or b"").split(b"/", 4)
    if pieces[1:2] == [b"process"]:
        return "/process"
    try:
        if pieces[1:2] != [b"spaces"] or not pieces[3:]:
            return ""
        if pieces[3].startswith((b"invite", b"member", b"device-")):
            return f"/spaces/{quoted(unquoted(pieces[2]))}/members/"
        below = quoted(unquoted(pieces[4])) if pieces[4:] and pieces[3] != b"files" else ""
        return f"/spaces/{quoted(unquoted(pieces[2]))}/files/{below}"
    except BadAddress:
        return ""
