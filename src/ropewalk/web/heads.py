"""Heads: the head of an answer, from what an app says of it.

Flow: status and headers of `http.response.start` -> Framing, lines -> bytes
Never: lets an app end a line, or say two things of the length of a body.
Source: RFC 9112, section 6; RFC 9110, section 8.6.
"""

from __future__ import annotations

from collections.abc import Iterable

from ropewalk.web.errors import BrokenAnswer
from ropewalk.web.plain import BODILESS, FIRST_LINES, first_line

__all__ = ["AnswerHead", "head_of"]

_OURS = frozenset({b"connection", b"content-length", b"date", b"keep-alive", b"transfer-encoding", b"upgrade"})
_COMMON = frozenset({b"cache-control", b"content-length", b"content-type", b"server", b"vary"})
_FEW, _SHORT, _REMEMBERED = 4, 200, 64  # headers of a head that is remembered; bytes of each; heads

Headers = Iterable[tuple[bytes, bytes]]


class AnswerHead:
    """What an app says, taken apart.

    Attributes:
        length: Of the body as the app has it; None where it does not say.
        close: The app wants the connection closed.
        bodiless: The answer has no body by its status.
        common: It says nothing of a person, only what many answers say.
    """

    __slots__ = ("_dated", "_lines", "_text", "bodiless", "close", "common", "length", "status")

    def __init__(self, status: int, headers: Headers) -> None:
        """Take it apart.

        Raises:
            BrokenAnswer: A header has a line end in it, or the length is none.
        """
        if not 200 <= status <= 999:
            raise BrokenAnswer(f"status of an answer is {status}, expected 200 to 999")
        self.status = status
        self.bodiless = status in BODILESS
        self.length: int | None = None
        self.close = self._dated = False
        self.common = True
        self._text = b""
        lines = [FIRST_LINES.get(status) or first_line(status)]
        for name, value in headers:
            low = name.lower()
            if low not in _COMMON:
                self.common = False
            if low in _OURS:
                if low == b"content-length":
                    if self.length is not None or not value.isdigit():
                        raise BrokenAnswer("content-length of an answer is not one number")
                    self.length = int(value)
                elif low == b"date":
                    self._dated = True
                elif low == b"connection":
                    self.close = self.close or b"close" in value.lower()
                if low != b"date":
                    continue
            lines.append(low + b": " + value)
        self._lines = lines

    def encode(self, date: bytes, length: int | None, *, chunked: bool, keep: bytes) -> bytes:
        """The head as it is sent.

        Args:
            date: A header line with its end.
            length: Of the body; None to say nothing of it.
            chunked: The body comes in chunks.
            keep: A header line about the connection with its end, or b"".

        Raises:
            BrokenAnswer: A header has a line end or a zero byte in it.
        """
        text = self._text
        if not text:
            text = b"\r\n".join(self._lines)
            ends = len(self._lines) - 1
            if text.count(b"\n") != ends or text.count(b"\r") != ends or b"\0" in text:
                raise BrokenAnswer("a header of an answer has a line end or a zero byte in it")
            self._text = text
        if chunked:
            framing = b"transfer-encoding: chunked\r\n"
        else:
            framing = b"" if length is None else b"content-length: %d\r\n" % length
        return b"%b\r\n%b%b%b\r\n" % (text, b"" if self._dated else date, framing, keep)


_known: dict[tuple[object, ...], AnswerHead] = {}


def head_of(status: int, headers: Headers) -> AnswerHead:
    """What an app says, taken apart, or as it was when the same was said before: most answers say the same few things.

    Raises:
        BrokenAnswer: As `AnswerHead`.
    """
    if not isinstance(headers, list) or len(headers) > _FEW:
        return AnswerHead(status, headers)
    pairs = [(name, value) for name, value in headers]  # of things that can be gone through but once, too
    key = (status, *pairs)
    try:
        found = _known.get(key)
    except TypeError:  # what can be changed is not remembered
        return AnswerHead(status, pairs)
    if found is None:
        found = AnswerHead(status, pairs)
        if found.common and all(len(value) <= _SHORT for _, value in pairs):
            if len(_known) >= _REMEMBERED:
                _known.clear()
            _known[key] = found
    return found
