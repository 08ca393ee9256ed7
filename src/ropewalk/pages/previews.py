"""Previews: files as a browser shows them, under a name of their own, where they can harm nobody.

What a file makes a browser do, it does as that name: there are no cookies, nothing but tickets, and what could hold
scripts is shown in a sandbox without them.

Flow: GET /t/WORD -> Tickets -> bytes as they are, or text made harmless -> headers that bind the browser
Never: looks at a cookie, runs a script, loads anything from elsewhere, changes anything.
Source: CSP level 3; the sandbox of HTML
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from markdown_it import MarkdownIt
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ropewalk.pages.answers import Failure, page
from ropewalk.pages.assets import Assets
from ropewalk.pages.sending import file_answer
from ropewalk.pages.tickets import NoTicket, Ticket, Tickets
from ropewalk.spaces.tree.entry import Entry
from ropewalk.spaces.version import Version

__all__ = ["LARGEST_TEXT", "Previews", "kind_by_name", "kind_of"]

LARGEST_TEXT = 1024 * 1024  # bytes of a text that are shown
_SNIFFED = 8 * 1024  # bytes looked at to tell a text from other things
_STYLE = "preview.css"

_TYPES = {
    "image": "png=image/png jpg=image/jpeg jpeg=image/jpeg gif=image/gif webp=image/webp avif=image/avif bmp=image/bmp "
    "ico=image/x-icon svg=image/svg+xml",
    "audio": "mp3=audio/mpeg ogg=audio/ogg oga=audio/ogg opus=audio/ogg wav=audio/wav flac=audio/flac m4a=audio/mp4 "
    "aac=audio/aac weba=audio/webm",
    "video": "mp4=video/mp4 m4v=video/mp4 webm=video/webm ogv=video/ogg mov=video/quicktime mkv=video/x-matroska",
    "pdf": "pdf=application/pdf",
    "page": "html=text/html;charset=utf-8 htm=text/html;charset=utf-8",
    "markdown": "md=text/html;charset=utf-8 markdown=text/html;charset=utf-8",
}
_KINDS = {
    extension: (kind, media_type)
    for kind, types in _TYPES.items()
    for extension, _, media_type in (pair.partition("=") for pair in types.split())
}


def kind_by_name(name: bytes) -> str:
    """How a file of such a name can be shown, by its ending alone; "" where that does not say."""
    return _KINDS.get(_extension(name), ("", ""))[0]


async def kind_of(version: Version, entry: Entry, name: bytes) -> str:
    """How a file can be shown: image, audio, video, pdf, page, markdown, text; "" for not at all.

    Raises:
        ChunkUnreachable, ChunkLost.
    """
    kind = kind_by_name(name)
    if kind or not entry.size:
        return kind or "text"
    start = await version.content.read(entry, 0, _SNIFFED)
    if b"\0" in start:
        return ""
    try:
        start[:-3].decode() if len(start) == _SNIFFED else start.decode()
    except UnicodeDecodeError as error:
        return "text" if error.end >= len(start) - 3 and error.reason == "unexpected end of data" else ""
    return "text"


class Previews:
    """The ASGI app of the name for previews; the gate lets GET and HEAD alone through to it.

    Args:
        tickets: Who may look at what.
        assets: Has the one style sheet.
    """

    def __init__(self, tickets: Tickets, assets: Assets) -> None:
        self._tickets, self._assets = tickets, assets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        request = Request(scope, receive)
        own = f"{scope['scheme']}://{request.headers['host']}"
        pages: Sequence[str] = scope["ropewalk.pages"]
        try:
            answer = await self._answer(request, own, pages)
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes words
            failure = Failure.of(error)
            answer = page("preview.html", {"body": None, "text": failure.message, "note": failure.hint}, failure.status)
            answer.headers.update(_bound(own, pages, "text"))
        await answer(scope, receive, send)

    async def _answer(self, request: Request, own: str, pages: Sequence[str]) -> Response:
        path = request.url.path
        if path == f"/{_STYLE}":
            return self._assets.answer(_STYLE, request)
        if not path.startswith("/t/"):
            raise NoTicket("there is nothing here but previews")
        ticket = self._tickets.find(path.removeprefix("/t/"))
        headers = _bound(own, pages, ticket.kind)
        if ticket.kind in ("text", "markdown"):
            return await _text(ticket, headers)
        _, media_type = _KINDS.get(_extension(ticket.name), ("", "application/octet-stream"))
        return await file_answer(request, ticket.version, ticket.entry, media_type, headers)


async def _text(ticket: Ticket, headers: Mapping[str, str]) -> Response:
    data = await ticket.version.content.read(ticket.entry, 0, LARGEST_TEXT)
    text = data.decode(errors="replace")
    note = "" if len(data) == ticket.entry.size else "Only the first MiB is shown."
    body = _markdown().render(text) if ticket.kind == "markdown" else None
    answer = page("preview.html", {"body": body, "text": text, "note": note})
    answer.headers.update(headers)
    return answer


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def _bound(own: str, pages: Sequence[str], kind: str) -> Mapping[str, str]:
    if kind == "pdf":
        policy = ""  # a browser's own viewer is no part of the document, and is kept out by any sandbox
    elif kind == "page":
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:; "
    elif kind in ("text", "markdown"):
        policy = f"default-src 'none'; style-src {own}; "
    else:
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    sandbox = "" if kind in ("pdf", "audio", "video") else "sandbox; "
    framed = f"form-action 'none'; base-uri 'none'; frame-ancestors {' '.join(pages)}"
    return {
        "content-security-policy": f"{policy}{sandbox}{framed}",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "cross-origin",
        "cache-control": "private, no-store",
    }


def _extension(name: bytes) -> str:
    return name.rpartition(b".")[2].decode("latin-1").lower() if b"." in name else ""
