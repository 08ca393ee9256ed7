"""Amounts: sizes and times as people write them in options.

Flow: 50G, 7d, 2026-12-31 -> parse_size, parse_span, parse_end -> bytes, seconds
Never: guesses what a number without its unit means where it could be two things.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from ropewalk.errors import Misuse

__all__ = ["parse_end", "parse_size", "parse_span", "span"]

_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,6})?) ?(?:([KMGTP])(?:i?B)?|B)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,6})?) ?([smhdw])")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_LEAST_PLAIN = 4096  # a smaller number without a unit is one whose unit was forgotten
_MOST = 1 << 60  # bytes; a disk of an exbibyte is some years away


def parse_size(text: str, what: str) -> int:
    """``50G`` as bytes: K, M, G, T, P are powers of 1,024; without one, bytes, where there are enough for that.

    Args:
        text: What was given.
        what: The option, for people.

    Raises:
        Misuse: It is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    amount = 0 if found is None else round(float(found[1]) * 1024 ** _POWERS[(found[2] or "").lower()])
    if found is None or amount > _MOST:
        raise Misuse(f"{what} is {text!r}, expected a size", hint="a number and K, M, G or T, as in 50G")
    if 0 < amount < _LEAST_PLAIN and not text.strip()[-1].isalpha():
        raise Misuse(f"{what} is {text!r}, without a unit", hint=f"as in {text.strip()}G; for bytes, {amount}B")
    return amount


def parse_span(text: str, what: str, least: float, most: float) -> float:
    """``7d`` as seconds.

    Args:
        text: What was given.
        what: The option, for people.
        least: Seconds.
        most: Seconds.

    Raises:
        Misuse: It is no time, or not within these bounds.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise Misuse(f"{what} is {text!r}, expected a time", hint="a number and s, m, h, d or w, as in 7d")
    seconds = float(found[1]) * _UNITS[found[2]]
    if not least <= seconds <= most:
        raise Misuse(f"{what} is {text!r}, expected {span(least)} to {span(most)}")
    return seconds


def parse_end(text: str, what: str, now: float) -> int:
    """``2026-12-31``, the end of that day here, or ``30d`` from now, as seconds since 1970.

    Raises:
        Misuse: It is neither, or past.
    """
    if _SPAN.fullmatch(text.strip()):
        return int(now + parse_span(text, what, 1, 100 * 365 * 86_400))
    try:
        day = date.fromisoformat(text.strip())
        end = int(datetime.combine(day + timedelta(days=1), time()).astimezone().timestamp())
    except (ValueError, OverflowError, OSError):
        raise Misuse(
            f"{what} is {text!r}, expected a day or a time from now", hint="as in 2026-12-31, or 30d"
        ) from None
    if end <= now:
        raise Misuse(f"{what} is {text!r}, which is past")
    return end


def span(seconds: float) -> str:
    """Seconds for people: ``7 days``, ``36 hours``, ``90 seconds``."""
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit and (seconds >= 2 * unit or seconds % unit == 0):
            amount = round(seconds / unit, 1)
            return f"{amount:g} {name}{'' if amount == 1 else 's'}"
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"
