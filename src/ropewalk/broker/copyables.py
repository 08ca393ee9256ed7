"""Copyables: records that cross by value, under names that both ends have registered.

Flow: class -> `copyable` -> its entry; record -> fields -> wire -> `Entry.make`, checked -> record
Never: imports or looks up anything by a name from the wire but in the table of what was registered.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from ropewalk.broker.errors import UnknownType
from ropewalk.broker.fitting import fields_of, record
from ropewalk.errors import Misuse

__all__ = ["BadCopyable", "Entry", "copied", "copyable", "entry_named", "entry_of"]

T = TypeVar("T")
_LONGEST_NAME = 128


class BadCopyable(Misuse):
    """This class cannot be registered under this name."""

    code = "broker.bad-copyable"


class Entry(NamedTuple):
    """A registered kind of record.

    Attributes:
        fields: By the names that they have outside, those in the class.
    """

    name: str
    kind: type[Any]
    fields: Mapping[str, str]

    def take(self, record: Any) -> dict[str, Any]:
        """The fields of a record."""
        return {name: getattr(record, field) for name, field in self.fields.items()}

    def make(self, fields: Mapping[str, Any]) -> Any:
        """A record of these fields.

        Raises:
            UnknownType: They are not the fields of this kind.
        """
        try:
            return record(self.kind, fields)
        except Exception as error:  # also what the class itself raises when it is made
            raise UnknownType(f"a {self.name} does not fit: {error}") from None


_by_name: dict[str, Entry] = {}
_by_kind: dict[type[Any], Entry] = {}


def copyable(name: str) -> Callable[[type[T]], type[T]]:
    """Register a `msgspec.Struct` or a dataclass, so that it crosses by value.

    Args:
        name: What both ends call it, as in ``bank.receipt``: 1 to 128 characters.

    Raises:
        BadCopyable: Neither of the two, or another class has this name.
    """

    def register(kind: type[T]) -> type[T]:
        if not (issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind)):
            raise BadCopyable(f"got {kind.__qualname__}, expected a msgspec.Struct or a dataclass")
        if not 1 <= len(name) <= _LONGEST_NAME:
            raise BadCopyable(f"got a name of {len(name)} characters, expected 1 to {_LONGEST_NAME}")
        there = _by_name.get(name)
        if there is not None and (there.kind.__module__, there.kind.__qualname__) != (
            kind.__module__,
            kind.__qualname__,
        ):
            raise BadCopyable(f"{name} is already {there.kind.__module__}.{there.kind.__qualname__}")
        _by_name[name] = _by_kind[kind] = Entry(name, kind, fields_of(kind))
        return kind

    return register


def entry_of(kind: type[Any]) -> Entry | None:
    """How a class was registered."""
    return _by_kind.get(kind)


def entry_named(name: object) -> Entry:
    """What was registered under a name.

    Raises:
        UnknownType: Nothing.
    """
    entry = _by_name.get(name) if isinstance(name, str) else None
    if entry is None:
        raise UnknownType(f"no copyable is registered as {name!r:.140}", hint="import the module that defines it")
    return entry


def copied(value: Any) -> Any:
    """A value that no change of the first one changes; objects and references in it are the same."""
    kind = value.__class__
    if kind is dict:
        return {key: copied(one) for key, one in value.items()}
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        return kind(map(copied, value))
    if kind is bytearray or kind is memoryview:
        return bytes(value)
    entry = _by_kind.get(kind)
    if entry is not None:
        made = copy.copy(value)
        for field in entry.fields.values():
            before = getattr(value, field)
            after = copied(before)
            if after is not before:
                object.__setattr__(made, field, after)
        return made
    return value
