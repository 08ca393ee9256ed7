"""Replies: what is answered for a file, by what is asked of it.

Flow: a form and its headers (Shown), request's headers -> 200, 206, 304, 412 or 416, with bytes or with spans to send
Never: touches the disk; makes a range of what a client does not have in mind; promises another length than it sends.
Source: RFC 9110 sections 8.8.2.1, 13.2.2, 14, 15.3.7, 15.5.17.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate

from ropewalk.web.quick import Answer
from ropewalk.web.static.codings import IDENTITY
from ropewalk.web.static.conditions import CONDITIONS, range_wanted, status_of
from ropewalk.web.static.files import GRAIN, Form
from ropewalk.web.static.ranges import Span, spans

__all__ = ["MATTERS", "Reply", "Shown", "page", "plain"]

Headers = tuple[tuple[bytes, bytes], ...]
MATTERS = CONDITIONS | {b"range", b"accept-encoding"}  # the headers that change what is answered
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_SECOND = 1_000_000_000  # ns


class Reply:
    """An answer.

    Attributes:
        status: Of HTTP.
        headers: Names in lower case; with content-length, but for 304.
        pieces: Bytes, and spans of the file that was asked for, one after the other.
    """

    __slots__ = ("_answer", "headers", "pieces", "status")

    def __init__(self, status: int, headers: Headers, pieces: Sequence[bytes | Span] = ()) -> None:
        self.status, self.headers, self.pieces = status, headers, pieces
        self._answer: Answer | None = None

    @property
    def body(self) -> bytes | None:
        """All that is sent, or None where it has to be read from the file first."""
        pieces = [piece for piece in self.pieces if isinstance(piece, bytes)]
        if len(pieces) < len(self.pieces):
            return None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def answer(self) -> Answer | None:
        """The same as a server's quick way wants it, made once; None where it has to be read from the file first."""
        if self._answer is None and (body := self.body) is not None:
            self._answer = Answer(self.status, b"".join(b"%b: %b\r\n" % pair for pair in self.headers), body)
        return self._answer


def plain(status: int, text: str, *headers: tuple[bytes, bytes]) -> Reply:
    """A short answer that has no file."""
    body = text.encode()
    length = (b"content-length", b"%d" % len(body))
    kind = (b"content-type", b"text/plain; charset=utf-8")
    return Reply(status, (kind, length, (b"cache-control", b"no-cache"), _NOSNIFF, *headers), (body,))


def page(body: bytes, headers: Headers) -> Reply:
    """A page that was made a moment ago."""
    length = (b"content-length", b"%d" % len(body))
    kind = (b"content-type", b"text/html; charset=utf-8")
    return Reply(200, (kind, length, (b"cache-control", b"no-cache"), _NOSNIFF, *headers), (body,))


class Shown:
    """One form of a file with all that is said of it.

    Args:
        form: The file or its compressed sibling.
        coding: Which of them.
        kind: Of the plain file.
        cached: How long others may keep it: the value of Cache-Control.
        varies: There are other forms.
        now: In seconds since 1970: no file is said to be of later.
    """

    __slots__ = ("_kind", "_lasting", "_modified", "_rest", "etag", "form", "head", "same", "whole")

    def __init__(self, form: Form, coding: str, kind: bytes, cached: bytes, *, varies: bool, now: float) -> None:
        self.form, self._kind = form, kind
        self.etag, self._modified = form.version.etag, form.version.modified // _SECOND
        if form.version.modified > now * _SECOND - GRAIN:
            self.etag = b"W/" + self.etag  # its bytes may change once more, and nothing else of it
        lasting: list[tuple[bytes, bytes]] = [(b"etag", self.etag), (b"cache-control", cached)]
        if 0 <= self._modified <= now:
            lasting.append((b"last-modified", formatdate(self._modified, usegmt=True).encode()))
        if varies:
            lasting.append((b"vary", b"accept-encoding"))
        self._lasting: Headers = tuple(lasting)
        coded = () if coding == IDENTITY else ((b"content-encoding", coding.encode()),)
        self._rest: Headers = (*coded, *self._lasting, (b"accept-ranges", b"bytes"), _NOSNIFF)
        size = form.version.size
        headers = ((b"content-type", kind), (b"content-length", b"%d" % size), *self._rest)
        self.whole = Reply(200, headers, self._cut(Span(0, size)) if size else (b"",))
        self.head = Reply(200, headers, (b"",))
        self.same = Reply(304, self._lasting, (b"",))

    def reply(self, method: str, asked: Mapping[bytes, bytes], now: float, boundary: Callable[[], bytes]) -> Reply:
        """What to answer.

        Args:
            method: GET or HEAD.
            asked: The headers that matter, by their lower names; those of one name joined by commas.
            now: In seconds since 1970.
            boundary: Gives what parts several ranges; nobody who can write a file may foresee it.
        """
        if not asked:
            return self.whole if method == "GET" else self.head
        match status_of(asked, self.etag, self._modified, now):
            case 304:
                return self.same
            case 412:
                return plain(412, "the file is another one by now\n")
        if method == "HEAD":
            return self.head
        wanted = asked.get(b"range")
        if wanted is None or not range_wanted(asked.get(b"if-range"), self.etag, self._modified, now):
            return self.whole
        found = spans(wanted, self.form.version.size)
        if found is None:
            return self.whole
        if not found:
            return plain(416, "no such bytes\n", (b"content-range", b"bytes */%d" % self.form.version.size))
        return self._part(found[0]) if len(found) == 1 else self._parts(found, boundary())

    def _part(self, span: Span) -> Reply:
        own = ((b"content-type", self._kind), (b"content-range", self._range(span)))
        return Reply(206, (*own, (b"content-length", b"%d" % span.size), *self._rest), self._cut(span))

    def _parts(self, found: Sequence[Span], boundary: bytes) -> Reply:
        pieces: list[bytes | Span] = []
        end = b"\r\n--%b--\r\n" % boundary
        size = len(end)
        for at, span in enumerate(found):
            told = (b"\r\n" if at else b"", boundary, self._kind, self._range(span))
            frame = b"%b--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n" % told
            pieces += [frame, *self._cut(span)]
            size += len(frame) + span.size
        pieces.append(end)
        kind = (b"content-type", b"multipart/byteranges; boundary=" + boundary)
        return Reply(206, (kind, (b"content-length", b"%d" % size), *self._rest), pieces)

    def _range(self, span: Span) -> bytes:
        return b"bytes %d-%d/%d" % (span.first, span.end - 1, self.form.version.size)

    def _cut(self, span: Span) -> tuple[bytes | Span]:
        """A span as bytes, where they are at hand."""
        body = self.form.body
        if body is None:
            return (span,)
        return (body if span.size == len(body) else body[span.first : span.end],)
