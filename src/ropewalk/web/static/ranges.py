"""Ranges: which bytes of a file a Range header asks for.

Flow: header, length -> spans to send, or that none can be had; None where the header counts for nothing
Never: sends a byte twice: spans that overlap or touch become one, so an answer is no longer than its file and frames.
Source: RFC 9110 sections 14.1, 14.2, 15.3.7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["MOST_SPANS", "Span", "spans"]

MOST_SPANS = 16  # specifiers of one header; a reader that wants more gets the whole
_LONGEST = 1024  # bytes of a header that is looked at: room for all those
_UNIT = re.compile(rb"bytes=", re.IGNORECASE)
_SPEC = re.compile(rb"(?:([0-9]+)-([0-9]*)|-([0-9]+))\Z")
_DIGITS = 18  # of a number; a larger one is past the end of any file, and Python takes long for very long ones


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from ``first`` up to and without ``end``; at least one."""

    first: int
    end: int

    @property
    def size(self) -> int:
        """How many bytes."""
        return self.end - self.first


def spans(header: bytes, length: int) -> list[Span] | None:
    """What to send: spans in the order they were asked for; an empty list where none of them can be had (416).

    None where the header is to be ignored: it is of another unit, is not as the grammar has it, has too many
    specifiers, or asks for the last bytes of nothing.

    Args:
        header: All of its value.
        length: Bytes of what is asked for; 0 or more.
    """
    unit = _UNIT.match(header)
    if not unit or len(header) > _LONGEST:
        return None
    found: list[Span] = []
    specs = [spec for part in header[unit.end() :].split(b",") if (spec := part.strip(b" \t"))]
    if not 0 < len(specs) <= MOST_SPANS:
        return None
    for spec in specs:
        parts = _SPEC.match(spec)
        if not parts:
            return None
        first, last, suffix = parts.groups()
        if suffix is not None:
            size = min(_number(suffix), length)
            if not length and _number(suffix):
                return None  # it can be had, and no Content-Range can say so
            span = Span(length - size, length)
        else:
            if last and _number(last) < _number(first):
                return None
            span = Span(_number(first), min(_number(last) + 1, length) if last else length)
        if span.size > 0:
            _add(found, span)
    return found


def _add(found: list[Span], span: Span) -> None:
    """Put a span behind the others, or into the place of the first that it meets, together with all that it meets."""
    meets = [other for other in found if span.first <= other.end and other.first <= span.end]
    if not meets:
        found.append(span)
        return
    at = found.index(meets[0])
    for other in meets:
        found.remove(other)
    found.insert(at, Span(min(span.first, *(one.first for one in meets)), max(span.end, *(one.end for one in meets))))


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= _DIGITS else 10**_DIGITS
