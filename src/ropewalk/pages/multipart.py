"""Multipart: a form with files in it, part by part, as its bytes come in.

Flow: pieces of a body -> Parts.next -> Part; Part.pieces -> its bytes, before the next part is asked for
Never: holds more than one piece and the head of one part, or takes a body that ends before its end for a whole one.
Source: RFC 7578; RFC 2046 section 5.1.1; the escapes of names are those of the HTML standard.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from ropewalk.errors import PeerFault

__all__ = ["BadForm", "Part", "Parts", "boundary_of"]

LARGEST_HEAD = 8 * 1024  # bytes of one part's headers: a name of a file, and little else
MOST_PARTS = 20_000  # of one form: a field and a file, for each file of a folder
LARGEST_FIELD = 16 * 1024  # bytes of a field that is no file
_BOUNDARY = re.compile(
    r'multipart/form-data\s*;\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;",]{1,70}))\s*\Z', re.IGNORECASE
)
_DISPOSITION = re.compile(rb"\r\ncontent-disposition:[ \t]*form-data([^\r\n]*)(?=\r\n)", re.IGNORECASE)
_FIELD = re.compile(rb';[ \t]*(name|filename)="([^"]*)"', re.IGNORECASE)
_ESCAPES = ((b"%0D", b"\r"), (b"%0A", b"\n"), (b"%22", b'"'))


class BadForm(PeerFault):
    """The body is not the form that its headers say it is."""

    code = "pages.bad-form"


def boundary_of(content_type: str) -> bytes | None:
    """What stands between the parts; None for any other type of body."""
    found = _BOUNDARY.match(content_type.strip())
    return (found[1] or found[2]).encode("latin-1") if found else None


@dataclass(frozen=True, slots=True)
class Part:
    """One part.

    Attributes:
        name: Of the field.
        file: The name that the browser gave a file, with folders where it sent some; None for a field.
    """

    name: str
    file: bytes | None
    _of: Parts

    async def pieces(self) -> AsyncIterator[bytes]:
        """Its bytes.

        Raises:
            BadForm: The body ends within it.
        """
        while piece := await self._of.piece(self):
            yield piece

    async def text(self) -> str:
        """Its bytes, where they are a short text.

        Raises:
            BadForm.
        """
        held = bytearray()
        async for piece in self.pieces():
            held += piece
            if len(held) > LARGEST_FIELD:
                raise BadForm(f"field {self.name!r} has over {LARGEST_FIELD} bytes")
        try:
            return held.decode()
        except UnicodeDecodeError:
            raise BadForm(f"field {self.name!r} is not UTF-8") from None


class Parts:
    """The parts of a form.

    Args:
        body: Its pieces, of any size.
        boundary: What stands between the parts.
    """

    def __init__(self, body: AsyncIterator[bytes], boundary: bytes) -> None:
        self.body = body  # may be replaced by another source of the same bytes
        self._mark = b"\r\n--" + boundary
        self._held = bytearray(b"\r\n")  # so that the first mark looks like the others
        self._part: Part | None = None
        self._count = 0
        self._at_mark = False  # what is held begins right behind a mark

    async def next(self) -> Part | None:
        """The next part; what was not read of the one before is passed over.  None at the end.

        Raises:
            BadForm.
        """
        if self._part is not None:
            part = self._part
            while await self.piece(part):
                pass
        elif not self._at_mark:
            await self._need(len(self._mark))
            if not self._held.startswith(self._mark):
                raise BadForm("form does not begin with its boundary")
            del self._held[: len(self._mark)]
        self._at_mark = True
        await self._need(2)
        if self._held.startswith(b"--"):
            return None  # what may follow says nothing
        self._count += 1
        if self._count > MOST_PARTS:
            raise BadForm(f"form has over {MOST_PARTS} parts")
        self._part = Part(*await self._head(), self)
        self._at_mark = False
        return self._part

    async def piece(self, part: Part) -> bytes:
        """Some bytes of the part that was given last; b"" at its end, and for any other part.

        Raises:
            BadForm: The body ends within it.
        """
        if part is not self._part:
            return b""
        held, mark = self._held, self._mark
        while True:
            at = held.find(mark)
            sure = at if at >= 0 else len(held) - len(mark) + 1
            if sure > 0:
                piece = bytes(held[:sure])
                del held[:sure]
                return piece
            if at == 0:
                del held[: len(mark)]
                self._part, self._at_mark = None, True
                return b""
            await self._more()

    async def _head(self) -> tuple[str, bytes | None]:
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if len(self._held) > LARGEST_HEAD:
                break
            await self._more()
        if not 0 <= end <= LARGEST_HEAD or not self._held.startswith(b"\r\n"):
            raise BadForm(f"a part of the form has no head of up to {LARGEST_HEAD} bytes")
        head = bytes(self._held[: end + 2])
        del self._held[: end + 4]
        found = _DISPOSITION.findall(head)
        fields = [(key.lower(), value) for key, value in _FIELD.findall(found[0])] if len(found) == 1 else []
        known = dict(fields)
        if len(known) < len(fields) or b"name" not in known:
            raise BadForm("a part of the form does not say its name")
        file = known.get(b"filename")
        return _plain(known[b"name"]).decode(errors="replace"), None if file is None else _plain(file)

    async def _need(self, size: int) -> None:
        while len(self._held) < size:
            await self._more()

    async def _more(self) -> None:
        try:
            self._held += await anext(self.body)
        except StopAsyncIteration:
            raise BadForm("form ends before its end") from None


def _plain(value: bytes) -> bytes:
    for escape, char in _ESCAPES:
        value = value.replace(escape, char)
    return value
