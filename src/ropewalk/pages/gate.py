"""Gate: who may come in, and what a request must show before anything else looks at it.

Flow: request -> whose name it asks for -> previews; or the session of its cookie, where it comes from, the mark of its
      form -> the pages, all answers with headers that bind the browser
Never: lets a request by that it has not understood whole, or says to a stranger what there is behind it.
Source: RFC 6265bis; Fetch, section 3.7 (Sec-Fetch-Site); CSP level 3.  Reasons: docs/design/web-pages.md
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ropewalk.auth import Channel, Password, Portal
from ropewalk.errors import Refused, RopewalkError
from ropewalk.pages.answers import failed, page
from ropewalk.pages.asking import Asker, body_of, form_of
from ropewalk.pages.entrance import Entrance
from ropewalk.pages.hosts import Asked, Hosts, is_loopback, one_header
from ropewalk.pages.multipart import BadForm, Parts, boundary_of
from ropewalk.pages.sessions import Session, Sessions

__all__ = ["CSRF_HEADER", "ForeignOrigin", "FormNotOurs", "Gate", "NotIn", "Visitor", "channel_by_scheme"]

_log = logging.getLogger("ropewalk.pages")

CSRF_HEADER = b"x-ropewalk-csrf"
CSRF_FIELD = "csrf"
SMALL_FORM = 8 * 1024  # bytes of what a stranger may post: a word, or a name and a password
LARGEST_BODY = 2**50  # bytes that our web server is to let through: files are bounded by their stores' room alone
_SAFE = ("GET", "HEAD")
_KNOWN = ("GET", "HEAD", "POST", "PUT")
_OPEN = "/static/"  # needed by the page that asks who is there; holds nothing of anybody


class NotIn(Refused):
    """Nobody knows this browser, or not any more."""

    code = "pages.not-in"


class ForeignOrigin(Refused):
    """The request was made by a page that is not ours."""

    code = "pages.foreign-origin"


class FormNotOurs(Refused):
    """The form does not carry the mark of this session."""

    code = "pages.form-not-ours"


class Visitor:
    """What a portal's realm gives to who may use the pages; it may do all that they show."""


def channel_by_scheme(scope: Mapping[str, Any]) -> Channel:
    """The channel of a request, as far as ASGI knows it: believed for its TLS, which must end in this process."""
    client = scope.get("client")
    return Channel(scope["scheme"] in ("https", "wss"), str(client[0]) if client else "")


class Gate:
    """An ASGI app in front of two others.

    Args:
        pages: Behind it.
        previews: What answers under the name for previews: to anybody who has a ticket, and without cookies.
        hosts: Our names.
        sessions: Who is in.
        entrance: Lets the owner in, from this machine.
        portal: Lets others in by password, over TLS; nobody where there is none.
        channel_of: How a request came.
    """

    def __init__(
        self,
        pages: ASGIApp,
        previews: ASGIApp,
        hosts: Hosts,
        sessions: Sessions,
        entrance: Entrance,
        portal: Portal | None = None,
        channel_of: Callable[[Mapping[str, Any]], Channel] = channel_by_scheme,
    ) -> None:
        self._pages, self._previews, self._hosts, self._sessions = pages, previews, hosts, sessions
        self._entrance, self._portal, self._channel_of = entrance, portal, channel_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await self._pages(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            return
        try:
            asked = self._hosts.ask(scope)
        except RopewalkError as error:
            await self._refuse(scope, receive, send, error)
            return
        if asked.preview:
            await self._preview(asked, scope, receive, send)
            return
        guarded = _with_headers(send, _headers(asked))
        try:
            answer = await self._judge(asked, scope, receive)
        except RopewalkError as error:
            _log.info("request refused", extra={"code": error.code})
            await self._refuse(scope, receive, guarded, error, asked)
            return
        await (answer or self._pages)(scope, receive, guarded)

    async def _judge(self, asked: Asked, scope: Scope, receive: Receive) -> Response | None:
        """The gate's own answer, or None where the pages are to answer."""
        path = scope["path"]
        if scope["type"] == "http" and scope["method"] not in _KNOWN:
            return Response("method not allowed\n", 405, {"allow": ", ".join(_KNOWN)}, "text/plain")
        if scope["type"] == "http" and scope["method"] in _SAFE and path.startswith(_OPEN):
            return None
        if scope["type"] == "http" and scope["method"] == "POST" and path == "/enter":
            return await self._enter(asked, scope, receive)
        if scope["type"] == "http" and scope["method"] == "POST" and path == "/login":
            return await self._login(asked, scope, receive)
        word = _cookie(scope)
        session = await self._sessions.find(word) if word else None
        if session is None:
            raise NotIn("this browser is not in, or not any more", hint="come in as this page says")
        asker = Asker(asked, session)
        asker.keep(scope)
        _check_source(asked, scope)
        if scope["type"] == "http" and scope["method"] not in _SAFE:
            if (bound := scope.get("extensions", {}).get("ropewalk.body")) is not None:
                bound["most"] = LARGEST_BODY
            (await self._marked(asked, session, scope, receive)).keep(scope)
            if path == "/leave":
                await self._sessions.end(session)
                return _without_cookie(scope, page("left.html"))
        return None

    async def _marked(self, asked: Asked, session: Session, scope: Scope, receive: Receive) -> Asker:
        """What changes something carries the session's mark: in a header, or as the first field of its form."""
        if (given := one_header(scope, CSRF_HEADER)) is not None:
            _check_mark(session, given.decode("latin-1"))
            marked = True
        else:
            marked = False
        kind = (one_header(scope, b"content-type") or b"").decode("latin-1")
        if kind.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
            asker = Asker(asked, session, form=await form_of(receive))
            if not marked:
                _check_mark(session, asker.fields.get(CSRF_FIELD, ""))
            return asker
        if (boundary := boundary_of(kind)) is not None:
            parts = Parts(body_of(receive), boundary)
            if not marked:
                first = await parts.next()
                _check_mark(session, await first.text() if first is not None and first.name == CSRF_FIELD else "")
            return Asker(asked, session, parts=parts)
        if not marked:
            raise FormNotOurs("the request does not carry the mark of this session", hint="load the page again")
        return Asker(asked, session)

    # -- coming in -------------------------------------------------------------------------------------------------

    async def _enter(self, asked: Asked, scope: Scope, receive: Receive) -> Response:
        if not asked.local or not is_loopback(scope):
            raise NotIn("words are taken from this machine alone", hint="log in with a password")
        origin = one_header(scope, b"origin")
        if origin not in (b"null", asked.origin.encode()):  # a file of this machine has none
            raise ForeignOrigin("a page of another site tried to come in")
        fields = await _small_form(scope, receive)
        if not self._entrance.take(fields.get("word", "").strip()):
            raise NotIn("this word was used, or is too old", hint="open the file again: there is a new one in it")
        return _with_cookie(scope, page("entered.html"), await self._sessions.begin())

    async def _login(self, asked: Asked, scope: Scope, receive: Receive) -> Response:
        if self._portal is None or Password not in self._portal.takes:
            raise NotIn("nobody is let in by a password here")
        _check_source(asked, scope)
        fields = await _small_form(scope, receive)
        credentials = Password(fields.get("name", ""), fields.get("password", ""))
        login = await self._portal.login(credentials, Visitor, self._channel_of(scope))
        word = await self._sessions.begin(login.identity.name, login.logout)
        return _with_cookie(scope, RedirectResponse("/", 303), word)

    # -- answers ---------------------------------------------------------------------------------------------------

    async def _preview(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in _SAFE:
            scope["ropewalk.pages"] = asked.pages
            await self._previews(scope, receive, send)
        else:
            await self._refuse(scope, receive, send, ForeignOrigin("previews are only looked at"))

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, error: RopewalkError, asked: Asked | None = None
    ) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403, "reason": ""})
            return
        guarded = send if asked is not None else _with_headers(send, _headers(None))
        request = Request(scope, receive)
        if asked is None:
            answer = failed(request, error)
        else:
            by_password = self._portal is not None and Password in self._portal.takes and scope["scheme"] == "https"
            by_word = asked.local and is_loopback(scope)
            file = str(self._entrance.file) if by_word else ""
            door = {"door": isinstance(error, NotIn), "file": file, "by_password": by_password}
            answer = failed(request, error, door)
        await answer(scope, receive, guarded)


# ---- what a request shows --------------------------------------------------------------------------------------------


def _cookie_name(scope: Scope) -> str:
    """Browsers send a cookie to all ports of a host; so the name has the port, and two nodes get along."""
    server = scope.get("server") or (None, None)
    return "__Host-ropewalk" if scope["scheme"] in ("https", "wss") else f"ropewalk-{server[1]}"


def _cookie(scope: Scope) -> str | None:
    """The session's word; None where there are several, one of which somebody else has slipped in."""
    name = _cookie_name(scope)
    pairs = [
        pair.strip().partition("=")
        for key, value in scope["headers"]
        if key == b"cookie"
        for pair in value.decode("latin-1").split(";")
    ]
    found = [value for key, _, value in pairs if key == name]
    return found[0] if len(found) == 1 else None


def _check_source(asked: Asked, scope: Scope) -> None:
    """See that the request was made by one of these pages, or by a person; what changes something, by these pages."""
    site = one_header(scope, b"sec-fetch-site")
    origin = one_header(scope, b"origin")
    if origin is not None and origin != asked.origin.encode():
        raise ForeignOrigin("a page of another site asked for this", hint="open the address by hand")
    if scope["type"] == "http" and scope["method"] in _SAFE:
        person = (one_header(scope, b"sec-fetch-mode"), one_header(scope, b"sec-fetch-dest")) == (
            b"navigate",
            b"document",
        )
        if site not in (None, b"none", b"same-origin") and not person:
            raise ForeignOrigin("a page of another site asked for this", hint="open the address by hand")
    elif site not in (None, b"same-origin") or (origin is None and site is None):
        raise ForeignOrigin("it does not say which page asked for this, or that was not ours")
    elif scope["type"] == "websocket" and origin is None:
        raise ForeignOrigin("it does not say which page asked for this")


def _check_mark(session: Session, given: str) -> None:
    if not hmac.compare_digest(session.csrf.encode(), given.encode(errors="replace")):
        raise FormNotOurs("the form does not carry the mark of this session", hint="load the page again, then repeat")


async def _small_form(scope: Scope, receive: Receive) -> dict[str, str]:
    kind = (one_header(scope, b"content-type") or b"").partition(b";")[0].strip().lower()
    if kind != b"application/x-www-form-urlencoded":
        raise BadForm("expected the fields of a form")
    return dict(await form_of(receive, SMALL_FORM))


# ---- what an answer carries ------------------------------------------------------------------------------------------


def _headers(asked: Asked | None) -> Mapping[str, str]:
    frames = (asked.previews if asked is not None else "") or "'none'"
    images = "" if frames == "'none'" else f" {frames}"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
        f"img-src 'self'{images}; media-src {frames}; frame-src {frames}; "
        "frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return {
        "content-security-policy": policy,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",  # with no-referrer, browsers would hide the origin of our own forms, too
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "cache-control": "no-store",
    }


def _with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            held = MutableHeaders(raw=(raw := list(message["headers"])))
            for name, value in headers.items():
                held.setdefault(name, value)
            message = {**message, "headers": raw}
        await send(message)

    return guarded


def _with_cookie(scope: Scope, answer: HTMLResponse | RedirectResponse, word: str) -> Response:
    secure = scope["scheme"] == "https"
    answer.set_cookie(_cookie_name(scope), word, path="/", httponly=True, secure=secure, samesite="strict")
    return answer


def _without_cookie(scope: Scope, answer: HTMLResponse) -> Response:
    secure = scope["scheme"] == "https"
    answer.delete_cookie(_cookie_name(scope), path="/", httponly=True, secure=secure, samesite="strict")
    return answer
