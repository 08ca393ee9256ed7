"""Flow control of transports that we write ourselves: when the protocol is told to write no more, and to go on.

Flow: bytes waiting to go -> Watermarks.changed -> pause_writing, resume_writing
Never: counts bytes itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["HIGH", "Watermarks"]

HIGH = 64 * 1024  # bytes; asyncio's own default


class Watermarks:
    """Above `high` the protocol is told to pause, at `low` to resume; each once."""

    def __init__(self, failed: Callable[[BaseException, str], None]) -> None:
        self.high, self.low = HIGH, HIGH // 4
        self.paused = False
        self._failed = failed

    def set(self, high: int | None, low: int | None) -> None:
        """Other marks, with asyncio's defaults.

        Raises:
            ValueError: They cross.
        """
        if high is None:
            high = HIGH if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be >= low ({low}) must be >= 0")
        self.high, self.low = high, low

    def changed(self, size: int, protocol: asyncio.BaseProtocol) -> None:
        """So many bytes wait now."""
        if not self.paused and size > self.high:
            self.paused = True
            self._call(protocol.pause_writing, "pause_writing()")
        elif self.paused and size <= self.low:
            self.paused = False
            self._call(protocol.resume_writing, "resume_writing()")

    def _call(self, method: Callable[[], None], name: str) -> None:
        try:
            method()
        except Exception as error:  # noqa: BLE001 - the user's code; the loop is told, the connection lives
            self._failed(error, name)
