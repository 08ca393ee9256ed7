"""Scalars: values of the extensions that have text, binary or an integer as their content.

Flow: content -> the value
Never: takes a form that the spec does not have.
Source: docs/spec/broker.md section 5.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
import uuid

__all__ = ["date", "decimal_number", "duration", "integer", "moment", "unique"]

_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?(E[+-][0-9]+)?|NaN|-?Infinity")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?")
_LONGEST_INTEGER, _LONGEST_DECIMAL = 1024, 4096


def integer(data: bytes) -> int:
    """An integer of any size.

    Raises:
        ValueError: It is none.
    """
    if type(data) is not bytes or not 1 <= len(data) <= _LONGEST_INTEGER:
        raise ValueError
    return int.from_bytes(data, "big", signed=True)


def decimal_number(text: str) -> decimal.Decimal:
    """A decimal number.

    Raises:
        ValueError: It is none.
    """
    if type(text) is not str or len(text) > _LONGEST_DECIMAL or not _DECIMAL.fullmatch(text):
        raise ValueError
    return decimal.Decimal(text)


def unique(data: bytes) -> uuid.UUID:
    """A UUID.

    Raises:
        ValueError: It is none.
    """
    if type(data) is not bytes:
        raise ValueError
    return uuid.UUID(bytes=data)


def date(text: str) -> dt.date:
    """A date.

    Raises:
        ValueError: It is none.
    """
    if not _DATE.fullmatch(text):
        raise ValueError
    return dt.date.fromisoformat(text)


def moment(text: str) -> dt.datetime:
    """A date and time without a zone.

    Raises:
        ValueError: It is none.
    """
    if not _MOMENT.fullmatch(text):
        raise ValueError
    return dt.datetime.fromisoformat(text)


def duration(count: int) -> dt.timedelta:
    """A length of time.

    Raises:
        ValueError: It is none.
    """
    if type(count) is not int:
        raise ValueError
    return dt.timedelta(microseconds=count)
