"""Sample: answers each line with the same line in capitals.

Flow: bytes -> lines -> answers, in order
Never: keeps more of a line than LONGEST bytes, or reads on while the peer does not take its answers.
"""

from __future__ import annotations

import asyncio
from typing import cast

LONGEST = 1000  # bytes of a line


class Sample(asyncio.Protocol):
    """One connection. It never knows what carries it: TCP, TLS, a Unix socket, WebSocket or memory."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._begun = b""  # of a line whose end has not come yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody is there."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Some bytes came: a part of a line, or several lines."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        if any(len(line) > LONGEST for line in (*lines, self._begun)):
            self.transport.write(b"error: line too long\n")
            self.transport.close()
            return
        if lines:  # all answers at once: one write for each read
            self.transport.write(b"".join(self.answer(line.rstrip(b"\r")) + b"\n" for line in lines))

    def answer(self, line: bytes) -> bytes:
        """What is said to a line. Begin here to make it yours."""
        return line.upper()

    def pause_writing(self) -> None:
        """The peer does not read: take nothing more from it either."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self.transport.resume_reading()
