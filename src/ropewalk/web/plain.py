"""Plain pages: what the host itself answers, and the lines that begin any answer.

Flow: status, text -> bytes of a whole answer; status -> its first line
Never: shows what an app raised, or what a peer sent.
"""

from __future__ import annotations

from http import HTTPStatus

__all__ = ["BODILESS", "FIRST_LINES", "first_line", "phrase", "plain"]

BODILESS = frozenset({204, 304})  # RFC 9110, 6.4.1: these answers have no body, whatever they say
FIRST_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus}


def first_line(status: int) -> bytes:
    """The first line of an answer, without its end."""
    return FIRST_LINES.get(status) or b"HTTP/1.1 %d " % status


def phrase(status: int) -> str:
    """What a status means, in lower case."""
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return f"status {status}"


def plain(status: int, text: str, date: bytes, *, lines: bytes = b"", close: bool, only_head: bool = False) -> bytes:
    """A whole answer of one line of text.

    Args:
        date: A header line with its end.
        lines: More of them.
        only_head: Leave the body out.
    """
    body = f"{text}\n".encode()
    head = b"%b\r\n%bcontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\ncache-control: no-store\r\n" % (
        first_line(status),
        date,
        len(body),
    )
    end = b"x-content-type-options: nosniff\r\n%b%b\r\n" % (lines, b"connection: close\r\n" if close else b"")
    return head + end + (b"" if only_head else body)
