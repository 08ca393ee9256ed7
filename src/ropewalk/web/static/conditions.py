"""Conditions: whether what a client has, or wants to have unchanged, is what is here.

Flow: headers of a request, etag and time of a file -> 200, 304 or 412; and whether a range may be sent
Never: takes a date or a tag for one that is not as the grammar has it.
Source: RFC 9110 sections 5.6.7, 8.8, 13.1, 13.2.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

__all__ = ["CONDITIONS", "parse_date", "range_wanted", "status_of"]

CONDITIONS = frozenset({b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range"})
_TAG = re.compile(rb'[ \t,]*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|\Z)')
_WEAK = b"W/"
_EMPTY = re.compile(rb"[ \t,]*\Z")
_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {month: at for at, month in enumerate(_NAMES, 1)}
_MONTH, _TIME = f"(?P<month>{'|'.join(_MONTHS)})", r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DAY, _LONG_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)", "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_DATES = [
    re.compile(form + r"\Z", re.ASCII)
    for form in (
        rf"{_DAY}, (?P<day>\d\d) {_MONTH} (?P<year>\d\d\d\d) {_TIME} GMT",
        rf"{_LONG_DAY}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",
        rf"{_DAY} {_MONTH} (?P<day>\d\d| \d) {_TIME} (?P<year>\d\d\d\d)",
    )
]
_LONGEST_LIST = 8192  # bytes of a list of tags that is looked at; a browser sends one tag
_AHEAD = 50  # years; a date of two digits that is further ahead is of the century before


def status_of(asked: Mapping[bytes, bytes], etag: bytes, modified: int, now: float) -> int:
    """200, 304 or 412, for GET and HEAD of what is here.

    Args:
        asked: The request's headers by their lower names; those of one name joined by commas.
        etag: Of what would be sent, in its quotes; may be weak.
        modified: When it was changed, in whole seconds since 1970.
        now: In such seconds.
    """
    if (tags := asked.get(b"if-match")) is not None:
        if not _has(tags, etag, weak=False):
            return 412
    elif (date := _date(asked, b"if-unmodified-since", now)) is not None and modified > date:
        return 412
    if (tags := asked.get(b"if-none-match")) is not None:
        return 304 if _has(tags, etag, weak=True) else 200
    date = _date(asked, b"if-modified-since", now)
    return 304 if date is not None and modified <= date else 200


def range_wanted(header: bytes | None, etag: bytes, modified: int, now: float) -> bool:
    """Whether a range may be sent, by If-Range: it has the very same in mind.

    A date is good only for what was not changed within the last second: it could be changed in it once more.
    """
    if header is None or (header == etag and not etag.startswith(_WEAK)):
        return True
    return parse_date(header, now) == modified and modified < int(now) - 1


def parse_date(value: bytes, now: float) -> int | None:
    """Seconds since 1970 of a date in one of the three forms, or None where it is none.

    Args:
        value: Of the header.
        now: In such seconds; says of which century a year of two digits is.
    """
    text = value.decode("latin-1")
    parts = next((found for form in _DATES if (found := form.match(text))), None)
    if not parts:
        return None
    year = int(parts["year"])
    if len(parts["year"]) == 2:
        today = datetime.fromtimestamp(now, UTC).year
        year += today - today % 100
        year -= 100 if year > today + _AHEAD else 0
    second = int(parts["second"])
    if second > 60:
        return None
    try:
        moment = datetime(  # a leap second is the last one of its minute
            year, _MONTHS[parts["month"]], int(parts["day"]), int(parts["hour"]), int(parts["minute"]), min(second, 59),
            tzinfo=UTC,
        )  # fmt: skip
    except ValueError:
        return None
    return int(moment.timestamp())


def _date(asked: Mapping[bytes, bytes], name: bytes, now: float) -> int | None:
    value = asked.get(name)
    return None if value is None else parse_date(value, now)


def _has(header: bytes, etag: bytes, *, weak: bool) -> bool:
    """Whether a list of tags has ours; `*` has any, a list that is not as the grammar has it none."""
    if header.strip(b" \t") == b"*":
        return True
    if len(header) > _LONGEST_LIST:
        return False
    ours = etag.removeprefix(_WEAK) if weak else etag
    if ours.startswith(_WEAK):
        return False  # two weak ones may be equal and the files not
    at, there = 0, False
    while tag := _TAG.match(header, at):
        at = tag.end()
        there |= (tag[1].removeprefix(_WEAK) if weak else tag[1]) == ours
    return there and bool(_EMPTY.match(header, at))
