"""Sending: a reply by the messages of ASGI, with the server's own sending of files where it has one.

Flow: reply, open file -> http.response.start -> body, zerocopysend, pathsend, or pieces read in threads
Never: ends an answer that is not whole: that is an error, at which the server cuts the connection.
Source: ASGI 3, HTTP; its extensions zero copy send and path send.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ropewalk import threads
from ropewalk.web.quick import Receive, Scope, Send
from ropewalk.web.static.files import OpenFile
from ropewalk.web.static.ranges import Span
from ropewalk.web.static.replies import Reply

__all__ = ["FILES", "send_reply"]

FILES = threads.Pool("web.files", size=8, max_waiting=10_000)
_PIECE = 256 * 1024  # bytes of a file that are read at once
_LAST = 64 * 1024  # bytes sent only after one more look whether the file was changed
_OPEN = "/proc/self/fd"  # where the system has names for open files, if it does
_NAMES_OPEN = Path(_OPEN).is_dir()
_ZERO_COPY, _BY_PATH = "http.response.zerocopysend", "http.response.pathsend"


async def send_reply(reply: Reply, opened: OpenFile | None, scope: Scope, receive: Receive, send: Send) -> None:
    """Send all of a reply.

    Args:
        reply: What to answer.
        opened: The file that its spans are of.
        scope: Of the request.
        receive: Of the request; it says when the client has gone.
        send: Of the request.

    Raises:
        FileChanged: After the answer has begun: the rest cannot be sent as promised.
    """
    await send({"type": "http.response.start", "status": reply.status, "headers": list(reply.headers)})
    body = b"" if scope["method"] == "HEAD" else reply.body
    if body is not None or opened is None:
        await send({"type": "http.response.body", "body": body or b"", "more_body": False})
        return
    extensions = scope.get("extensions") or {}
    if _ZERO_COPY in extensions:
        await _send_copied(reply, opened, send)
    elif _BY_PATH in extensions and reply.pieces == (Span(0, opened.version.size),) and _NAMES_OPEN:
        # By the name of what is open: by its own name, something else may lie there now.
        await send({"type": _BY_PATH, "path": f"{_OPEN}/{opened.descriptor}"})
        await _gone(receive)  # some servers open it only later
    else:
        await _send_read(reply, opened, receive, send)


async def _send_copied(reply: Reply, opened: OpenFile, send: Send) -> None:
    """Let the server copy it from file to socket."""
    for piece, more in _pieces(reply, None):
        if isinstance(piece, bytes):
            await send({"type": "http.response.body", "body": piece, "more_body": more})
            continue
        opened.check()
        place = {"file": opened.file, "offset": piece.first, "count": piece.size}
        await send({"type": _ZERO_COPY, **place, "more_body": more})


async def _send_read(reply: Reply, opened: OpenFile, receive: Receive, send: Send) -> None:
    """Read it in threads, for as long as somebody is there."""
    gone = asyncio.create_task(_gone(receive))
    try:
        for piece, more in _pieces(reply, _PIECE):
            data = piece
            if isinstance(data, Span):
                data = await threads.run(opened.read, data.first, data.size, pool=FILES)
            if gone.done():
                return
            await send({"type": "http.response.body", "body": data, "more_body": more})
    finally:
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone


def _pieces(reply: Reply, most: int | None) -> Iterator[tuple[bytes | Span, bool]]:
    """The pieces in parts of so many bytes at most, the last of a span apart; and whether more comes."""
    for at, piece in enumerate(reply.pieces):
        last = at == len(reply.pieces) - 1
        if isinstance(piece, bytes):
            yield piece, not last
            continue
        first, end = piece.first, max(piece.first, piece.end - _LAST)
        while first < end:
            upto = min(first + (most or end), end)
            yield Span(first, upto), True
            first = upto
        yield Span(end, piece.end), not last


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
