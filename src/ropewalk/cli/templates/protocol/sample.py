"""Sample: answers each line with the same line in capitals.

Flow: bytes -> lines -> answers, in order
Never: keeps more of a line than LONGEST bytes, or reads on while the peer does not take its answers.
"""

from __future__ import annotations

from ropewalk import net

LONGEST = 1000  # bytes of a line


class Sample(net.LineProtocol):
    """One connection. It never knows what carries it: TCP, TLS, a Unix socket, WebSocket or memory."""

    longest = LONGEST

    def line_received(self, line: bytes) -> None:
        """A whole line came, without its end."""
        self.transport.write(self.answer(line) + b"\n")

    def answer(self, line: bytes) -> bytes:
        """What is said to a line. Begin here to make it yours."""
        return line.upper()

    def line_too_long(self, error: net.LineTooLong) -> None:
        """Say so, and hang up; the listener's log and metrics say it too."""
        self.transport.write(b"error: line too long\n")
        super().line_too_long(error)
