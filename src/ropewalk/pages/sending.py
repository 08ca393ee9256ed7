"""Sending: a file, or a range of it, as an answer of HTTP.

Flow: version, entry -> ranges asked for -> blocks, one read ahead -> StreamingResponse
Never: holds more than two blocks of a file, or goes on reading for somebody who left.
Source: RFC 9110 sections 13 and 14; RFC 6266 and 8187 for names.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ropewalk.pages.names import shown
from ropewalk.spaces.tree.entry import Entry
from ropewalk.spaces.version import Version

__all__ = ["Streamed", "attachment", "blocks", "file_answer"]

BLOCK = 4 * 1024 * 1024  # bytes read at a time: a few chunks, from stores side by side
FIRST = 256 * 1024  # bytes of the first block: who seeks in a film waits for this one alone
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))\Z")


class Streamed(StreamingResponse):
    """A response whose source is closed with it, however it ends; that somebody leaves is nothing to complain of."""

    source: AsyncGenerator[bytes, None] | None = None  # began before; it ends, too, where nothing of it is sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        try:
            with suppress(ClientDisconnect):
                await super().__call__(scope, receive, send)
        finally:
            if self.source is not None:
                await self.source.aclose()

    async def stream_response(self, send: Send) -> None:
        """Send all of it."""
        assert isinstance(self.body_iterator, AsyncGenerator)
        async with aclosing(self.body_iterator):
            await super().stream_response(send)


def attachment(name: str | bytes) -> str:
    """The header that has a browser keep a file, under its name as far as it takes it."""
    text = shown(name).replace("/", "_").replace("\\", "_")
    plain = "".join(char if " " <= char <= "~" and char not in '"%' else "_" for char in text)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(text, safe='')}"


async def file_answer(
    request: Request, version: Version, entry: Entry, media_type: str, headers: Mapping[str, str]
) -> Response:
    """The answer to a GET or HEAD for a file.

    Args:
        request: May ask for a range.
        version: Reads it.
        entry: The file's.
        media_type: Of the file.
        headers: To be sent along.

    Raises:
        ChunkUnreachable, ChunkLost: Its beginning cannot be read.
    """
    tag = _tag(entry)
    headers = {**headers, "accept-ranges": "bytes", "etag": tag}
    if tag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    start, stop, status = 0, entry.size, 200
    if (
        request.headers.get("if-range", tag) == tag
        and (given := request.headers.get("range")) is not None
        and (
            request.method == "GET"  # RFC 9110 section 14.2: for no other
        )
    ):
        wanted = _wanted(given, entry.size)
        if wanted is not None and wanted[0] >= wanted[1]:
            return Response(status_code=416, headers={**headers, "content-range": f"bytes */{entry.size}"})
        if wanted is not None:
            start, stop, status = *wanted, 206
            headers["content-range"] = f"bytes {start}-{stop - 1}/{entry.size}"
    headers["content-length"] = str(stop - start)
    if request.method == "HEAD" or start == stop:
        return Response(status_code=status, headers=headers, media_type=media_type)
    source = blocks(version, entry, start, stop)
    first = await anext(source)

    async def all_of_it() -> AsyncGenerator[bytes, None]:
        async with aclosing(source):
            yield first
            async for block in source:
                yield block

    answer = Streamed(all_of_it(), status, headers, media_type)
    answer.source = source
    return answer


async def blocks(version: Version, entry: Entry, start: int, stop: int) -> AsyncGenerator[bytes, None]:
    """The bytes of a file from ``start`` to ``stop``, while one block more is being read."""
    at = min(start + FIRST, stop)
    ahead = asyncio.ensure_future(version.content.read(entry, start, at - start))
    try:
        while True:
            block = await ahead
            if at >= stop:
                break
            end = min((at // BLOCK + 1) * BLOCK, stop)
            ahead = asyncio.ensure_future(version.content.read(entry, at, end - at))
            at = end
            yield block
        yield block
    finally:
        ahead.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await ahead


def _tag(entry: Entry) -> str:
    """The same for the same content; what the entry says of it stays in the space."""
    seen = hashlib.blake2b(repr((entry.size, entry.mtime, entry.content_id, entry.content)).encode(), digest_size=16)
    return f'"{seen.hexdigest()}"'


def _wanted(given: str, size: int) -> tuple[int, int] | None:
    """From where to where, an empty range for one that the file does not reach; None for all of it.

    Several ranges at once are answered by all of it, as is what is no range.
    """
    found = _RANGE.match(given.replace(" ", ""))
    if found is None:
        return None
    if found[3] is not None:
        return max(size - int(found[3]), 0), size
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return None
    return start, min(int(found[2]) + 1, size) if found[2] else size
