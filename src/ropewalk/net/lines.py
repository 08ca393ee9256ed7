"""Lines: for protocols that speak one line at a time, however the bytes come in.

Flow: bytes -> LineReader.feed, next -> lines; LineProtocol.line_received, one after the other, while the peer reads
Never: keeps more than one line that has no end and what one read brought; waits for a peer to end its line.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

from ropewalk.errors import PeerFault
from ropewalk.net.connection import fault

__all__ = ["LONGEST_LINE", "LineProtocol", "LineReader", "LineTooLong"]

LONGEST_LINE = 64 * 1024  # bytes; room for a page that was pasted


class LineTooLong(PeerFault):
    """The peer sent more than `longest` bytes without ending the line."""

    code = "net.line-too-long"

    def __init__(self, longest: int) -> None:
        super().__init__(f"line is longer than {longest} bytes")
        self.longest = longest


class LineReader:
    """Bytes to lines, which end with LF or CR LF.

    Args:
        longest: Bytes of a line without its end.
    """

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._lines: deque[bytes] = deque()
        self._begun = b""  # a line whose end has not come
        self._broken = False

    def feed(self, data: bytes) -> None:
        """Take what came; nothing more once a line was too long."""
        if self._broken:
            return
        *lines, begun = (self._begun + data).split(b"\n")
        for line in lines:
            self._lines.append(line)
            if self._is_long(line):  # told in its turn
                self._broken, begun = True, b""
                break
        self._begun = begun
        if self._is_long(begun):
            self._broken, self._begun = True, b""
            self._lines.append(begun)

    def next(self) -> bytes | None:
        """The next line without its end, or None until more comes.

        Raises:
            LineTooLong: Each time, once all lines before that one were given.
        """
        if not self._lines:
            return None
        if self._broken and len(self._lines) == 1:
            raise LineTooLong(self._longest)
        return self._lines.popleft().removesuffix(b"\r")

    def _is_long(self, line: bytes) -> bool:
        return len(line) > self._longest and len(line.removesuffix(b"\r")) > self._longest


class LineProtocol(asyncio.Protocol):
    """A protocol of lines: subclasses say what becomes of one.

    While the peer does not read what is written, it is given no more lines and nothing is read from it.  What comes
    before the end of the stream and after the last line's end is dropped.

    Attributes:
        longest: Bytes of a line without its end; a subclass may have another.
    """

    longest = LONGEST_LINE
    transport: asyncio.Transport

    def __init__(self) -> None:
        self._reader = LineReader(self.longest)
        self._paused = False

    def line_received(self, line: bytes) -> None:
        """One line, without its end."""
        raise NotImplementedError

    def line_too_long(self, error: LineTooLong) -> None:
        """A line has no end in time: the connection is closed, and the listener tells why in log and metric."""
        fault(self.transport, error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._give()

    def pause_writing(self) -> None:
        self._paused = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._give()
        if not self._paused:
            self.transport.resume_reading()

    def _give(self) -> None:
        try:
            while not self._paused and not self.transport.is_closing() and (line := self._reader.next()) is not None:
                self.line_received(line)
        except LineTooLong as error:
            self.line_too_long(error)
