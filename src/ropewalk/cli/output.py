"""Output: how things are said: to people in lines, to programs in JSON.

Flow: a command -> Voice -> stdout (what was asked for), stderr (errors, warnings, what was left out)
Never: lets bytes of a name reach a terminal that could take them for its own commands, or fails for a name.
"""

from __future__ import annotations

import json
import os
import sys
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from ropewalk.counting import count

__all__ = ["Voice", "count", "date", "iso", "path_fields", "shown", "size"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_RED, _YELLOW, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"


def shown(text: str) -> str:
    r"""A name as a line can hold it: what is not UTF-8, or no printable character, as ``\xff`` or ``\u2028``."""
    if text.isprintable():
        return text
    clean = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(char if char.isprintable() else _escaped(char) for char in clean)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def size(amount: float) -> str:
    """Bytes for people: ``4.2 MiB``."""
    for unit in _UNITS:
        if amount < 1024 or unit == _UNITS[-1]:
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def date(nanoseconds: int) -> str:
    """A time since 1970 as local date and time; seconds where no calendar has it."""
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return f"@{nanoseconds // 10**9}"


def iso(nanoseconds: int) -> str | None:
    """A time since 1970 for programs, in UTC; None where no calendar has it."""
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def path_fields(path: str) -> dict[str, object]:
    """A path for JSON: where it is not UTF-8, its bytes stand beside what can be shown of it."""
    raw = os.fsencode(path)
    try:
        return {"path": raw.decode()}
    except UnicodeDecodeError:
        return {"path": shown(path), "path_base64": b64encode(raw).decode()}


class Voice:
    """Says things.

    Args:
        json: To programs.
        quiet: Only what was asked for, warnings and errors.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json, self._quiet = json, quiet
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 gets all names, too

    @property
    def for_people(self) -> bool:
        """Whether to say what is not strictly needed."""
        return not (self.json or self._quiet)

    # -- what was asked for --------------------------------------------------------------------------------------

    def line(self, text: str, fields: Mapping[str, object] | None = None) -> None:
        """One item of a listing, or one line of an answer; ``fields`` is what a program gets instead."""
        print(json.dumps(fields) if self.json else shown(text))

    def answer(self, lines: list[str], fields: Mapping[str, object]) -> None:
        """The whole answer to what was asked."""
        if self.json:
            print(json.dumps(fields))
            return
        for line in lines:
            print(shown(line))

    def done(self, text: str, fields: Mapping[str, object]) -> None:
        """What was done; people who want it quiet are not told."""
        if self.json:
            print(json.dumps(fields))
        elif not self._quiet:
            print(shown(text))

    # -- what else must be known ---------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Something worth knowing that is no cause for worry."""
        if self.for_people:
            _say(sys.stderr, "note", text)

    def warning(self, text: str) -> None:
        """Something that may need care."""
        if self.json:
            print(json.dumps({"warning": shown(text)}), file=sys.stderr)
        else:
            _say(sys.stderr, "warning", text, _YELLOW)

    def error(self, message: str, *, code: str, hint: str = "") -> None:
        """What ended the command."""
        if self.json:
            error = {"code": code, "message": shown(message), "hint": shown(hint)}
            print(json.dumps({"error": error}), file=sys.stderr)
            return
        _say(sys.stderr, "error", message, _RED)
        if hint:
            _say(sys.stderr, "hint", hint)


def _say(stream: TextIO, label: str, text: str, colour: str = "") -> None:
    coloured = colour and stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    print(f"{colour}{label}:{_PLAIN} {shown(text)}" if coloured else f"{label}: {shown(text)}", file=stream)
