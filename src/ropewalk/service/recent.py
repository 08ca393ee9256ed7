"""Recent: the last lines of the log, kept for who asks a process what it has said.

Flow: logging -> Recent, bounded in lines and in the length of each -> `lines`
Never: grows past its bounds, or keeps what a record refers to.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

__all__ = ["RECENT", "LogLine", "Recent"]

_LINES = 2_000
_LONGEST = 2_000  # characters of one: 2,000 such are 4 to 16 MB, and most are a twentieth of it


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event.

    Attributes:
        time: Seconds since 1970.
        level: In lower case.
        text: Message, fields and stack, as the log's text form has them after the logger's name.
    """

    time: float
    level: str
    logger: str
    text: str


class Recent(logging.Handler):
    """Keeps the last lines.

    Args:
        most: Lines.
    """

    def __init__(self, most: int = _LINES) -> None:
        super().__init__()
        self._lines: deque[LogLine] = deque(maxlen=most)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one more, and forget the first."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - as logging has it: a line that cannot be formatted stops nobody
            return  # the log's own handler has told of it
        if len(text) > _LONGEST:
            text = text[:_LONGEST] + "..."
        self._lines.append(LogLine(record.created, record.levelname.lower(), record.name, text))

    def lines(self, most: int, *, least: int = logging.NOTSET, logger: str = "") -> list[LogLine]:
        """The last ones, oldest first.

        Args:
            most: How many.
            least: The level from which on they count.
            logger: Only of this one and those below it.
        """
        levels = logging.getLevelNamesMapping()
        found: list[LogLine] = []
        for line in reversed(self._lines.copy()):  # other threads log meanwhile
            if len(found) >= most:
                break
            if levels.get(line.level.upper(), least) < least:
                continue
            if logger and line.logger != logger and not line.logger.startswith(f"{logger}."):
                continue
            found.append(line)
        return found[::-1]


RECENT = Recent()  # of the process, as logging is; `logging_to` fills it
