"""Paths: a part of a value, by index and by name.

Flow: value, steps -> what is there
Never: reads an attribute that is not a field of a registered copyable; looks into a reference.
Source: docs/spec/broker.md section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ropewalk.broker.copyables import entry_of
from ropewalk.broker.errors import CannotSend, NoMethod, NoPath

__all__ = ["LONGEST", "check_method", "check_path", "walk"]

LONGEST = 64  # steps of a path
_LONGEST_NAME = 128


def check_path(steps: Sequence[int | str]) -> None:
    """Return if these make a path that can be sent.

    Raises:
        CannotSend: They do not.
    """
    if len(steps) > LONGEST:
        raise CannotSend(f"a path has {len(steps)} steps, the longest has {LONGEST}")
    for step in steps:
        if type(step) is not str and not (type(step) is int and 0 <= step < 2**31):
            raise CannotSend(f"got {step!r:.40} as a step of a path, expected text or an index from 0")


def check_method(name: str) -> None:
    """Return if this can be sent as the name of a method.

    Raises:
        NoMethod: It cannot.
    """
    if not 0 < len(name) <= _LONGEST_NAME:
        raise NoMethod(f"a method's name has {len(name)} characters, expected 1 to {_LONGEST_NAME}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise NoMethod(f"got {name!r} as a method's name, expected text that has UTF-8") from None


def walk(value: Any, steps: Sequence[int | str]) -> Any:
    """What lies at the end of a path.

    Raises:
        NoPath: Nothing.
    """
    for step in steps:
        kind = value.__class__
        entry = entry_of(kind)
        if entry is not None and step in entry.fields:
            value = getattr(value, entry.fields[str(step)])  # a field, by the list that was registered
        elif _has(value, kind, step):
            value = value[step]
        else:
            raise NoPath(f"{kind.__name__} has no part {step!r:.60}")
    return value


def _has(value: Any, kind: type[Any], step: object) -> bool:
    if kind is list or kind is tuple:
        return type(step) is int and 0 <= step < len(value)
    return kind is dict and type(step) is str and step in value
