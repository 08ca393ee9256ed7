"""Logs: what the process says, as text for people or as JSON for programs, written by a thread of its own.

Flow: logging -> a bounded queue -> a thread -> one line each on standard error
      logging -> RECENT -> who asks for the last lines
Never: lets a slow reader of the log hold up the loop: past the queue's bound, lines are dropped and counted.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import msgspec

from ropewalk.metrics import current_registry
from ropewalk.service.config import LogSettings
from ropewalk.service.recent import RECENT, LogLine, Recent

__all__ = ["RECENT", "JsonLines", "LogLine", "Recent", "Said", "TextLines", "logging_to"]

_WAITING = 10_000  # lines
_PATIENCE = 2.0  # seconds, with a reader, once all is to be written
_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _PLAIN}


def _one_line(text: str) -> str:
    """What peers sent may stand in it: control characters must not reach a terminal."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _encodable(value: object) -> str:
    return str(value).encode(errors="backslashreplace").decode()


class Said(logging.Formatter):
    """``connection refused ... listener=web``: what is said, and below it what of it has several lines."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_one_line(str(value))}" for name, value in _fields(record).items())
        first, *rest = record.getMessage().split("\n")
        if record.exc_info:
            rest += self.formatException(record.exc_info).split("\n")
        return "\n".join([f"{_one_line(first)}{fields}", *(f"  | {_one_line(more)}" for more in rest)])


class TextLines(Said):
    """``12:04:55 warning ropewalk.net: connection refused ... listener=web``.

    What has several lines, such as a stack, follows below it, set off so that nothing in it looks like another event.
    """

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%H:%M:%S", time.localtime(record.created))
        return f"{when} {record.levelname.lower()} {record.name}: {super().format(record)}"


class JsonLines(logging.Formatter):
    """One object a line: time, level, logger, message, the fields, and the stack where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        seconds, fraction = divmod(record.created, 1)
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        entry: dict[str, object] = {
            "time": f"{when}.{int(fraction * 1000):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            entry["stack"] = self.formatException(record.exc_info)
        try:
            return msgspec.json.encode(entry, enc_hook=str).decode()
        except (TypeError, ValueError):  # half a character, a key that is no string: a line that is less exact
            plain = {_encodable(name): _encodable(value) for name, value in entry.items()}
            return msgspec.json.encode(plain).decode()


class _Queued(logging.Handler):
    """Formats in the thread that logs, since what a record refers to may change, and leaves writing to another."""

    def __init__(self, lines: queue.Queue[str | threading.Event]) -> None:
        super().__init__()
        self._lines = lines
        self._dropped = current_registry().counter(
            "ropewalk_log_dropped_total", "lines that nobody read fast enough", ()
        )

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped.of().inc()
        except Exception:  # noqa: BLE001 - as logging has it: a line that cannot be formatted stops nobody
            self.handleError(record)

    def flush(self) -> None:
        """Until all is written, but no longer than a reader may take."""
        written = threading.Event()
        with suppress(queue.Full):
            self._lines.put(written, timeout=_PATIENCE)
            written.wait(_PATIENCE)


@contextmanager
def logging_to(stream: TextIO | None = None, settings: LogSettings | None = None) -> Iterator[None]:
    """Everything that is logged goes to ``stream``, standard error by default, for as long as the context lasts."""
    stream = stream or sys.stderr
    settings = settings or LogSettings()
    text = settings.format == "text" or (settings.format == "auto" and stream.isatty())
    lines: queue.Queue[str | threading.Event] = queue.Queue(_WAITING)
    ended = threading.Event()
    handler = _Queued(lines)
    handler.setFormatter(TextLines() if text else JsonLines())
    root = logging.getLogger()
    level = root.level
    writer = threading.Thread(target=_write, args=(lines, stream, ended), name="ropewalk log", daemon=True)
    writer.start()
    RECENT.setFormatter(Said())
    root.addHandler(handler)
    root.addHandler(RECENT)
    root.setLevel(settings.level.upper())
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.removeHandler(RECENT)
        root.setLevel(level)
        with suppress(queue.Full):  # a reader that hangs must not keep the process
            lines.put(ended, timeout=_PATIENCE)
            writer.join(timeout=_PATIENCE)


def _write(lines: queue.Queue[str | threading.Event], stream: TextIO, ended: threading.Event) -> None:
    reading = True
    while not ended.is_set():
        line = lines.get()
        try:
            if reading and isinstance(line, str):
                stream.write(line + "\n")
            if reading and lines.empty():
                stream.flush()
        except (OSError, ValueError):
            reading = False  # nobody reads any more: what comes is thrown away, and whoever waits for it is told
        if isinstance(line, threading.Event):
            line.set()
