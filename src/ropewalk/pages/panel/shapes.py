"""Shapes: how a value of a type is put into an input of a form, and how it is read out of one.

Flow: type of a field -> shape_of -> Shape; value -> text -> input -> text -> value
Never: decides whether a value is right: what is typed and cannot be read is given on as text, for the type to refuse.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import inspect

__all__ = ["Shape", "lines_in", "same", "shape_of"]

_LONGEST_NUMBER = 40  # characters
_WHOLE = re.compile(r"[+-]?[0-9]{1,39}\Z", re.ASCII)
_RANGE = re.compile(r"[0-9A-Za-z]-[0-9A-Za-z]")
_PLAIN_PATTERN = re.compile(r"[\^$\[\]{}(),+*?| 0-9A-Za-z]*\Z", re.ASCII)  # means in a browser what it means here


@dataclass(frozen=True, slots=True)
class Shape:
    """How values are shown.

    Attributes:
        what: ``check``, ``number``, ``text``, ``lines`` (one value each), ``choice``, ``group`` (a struct), ``none``
            (no input can hold it).
        optional: It may be left out, and then is none.
        attributes: Of the input, in HTML.
        options: Of a choice: the value by its text.
        read: One value of what was typed; of ``lines``, of one line.
        single: Of ``lines``: one alone stands without a list.
        kind: Of ``group``: the struct.
        rule: The bounds in words.
    """

    what: str
    optional: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    read: Callable[[str], Any] = str
    single: bool = False
    kind: Any = None
    rule: str = ""

    def holds(self, value: Any) -> bool:
        """Whether an input of this shape gives this value back as it was."""
        match self.what:
            case "check":
                return isinstance(value, bool)
            case "number":
                return (
                    isinstance(value, int | float) and not isinstance(value, bool) and len(str(value)) < _LONGEST_NUMBER
                )
            case "text":
                return isinstance(value, str) and _typable(value, "\n")
            case "lines":
                items = [value] if self.single and isinstance(value, str) else value
                return isinstance(items, list | tuple) and all(_is_line(self.text(item)) for item in items)
            case "choice":
                return self.text(value) in self.options and same(self.options[self.text(value)], value)
            case "group":
                return isinstance(value, Mapping)
        return False

    def shown(self, value: Any) -> str:
        """What stands in the input."""
        if self.what == "lines" and not isinstance(value, str):
            return "\n".join(self.text(item) for item in value)
        return self.text(value)

    def text(self, value: Any) -> str:
        """One value."""
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value)

    def taken(self, text: str, before: Any) -> Any:
        """What was typed.

        Args:
            text: As `lines_in` and `str.strip` have not touched it.
            before: What it was.
        """
        if self.what == "lines":
            items = [self.read(line) for line in lines_in(text)]
            return items[0] if self.single and len(items) == 1 and not isinstance(before, list | tuple) else items
        if self.what == "choice":
            return self.options.get(text, text)
        return self.read(text)


def same(one: Any, other: Any) -> bool:
    """Whether TOML values mean the same."""
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    return bool(one == other)


def lines_in(text: str) -> list[str]:
    """The lines that say something."""
    return [line.strip() for line in text.split("\n") if line.strip()]


def shape_of(kind: inspect.Type) -> Shape:
    """How values of a type are shown."""
    optional = False
    while True:
        if isinstance(kind, inspect.Metadata):
            kind = kind.type
        elif isinstance(kind, inspect.UnionType):
            others = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
            optional = optional or len(others) < len(kind.types)
            if len(others) != 1:
                return _of_several(others, optional=optional)
            kind = others[0]
        else:
            return _of_one(kind, optional=optional)


def _of_one(kind: inspect.Type, *, optional: bool) -> Shape:
    match kind:
        case inspect.BoolType():
            if optional:  # three things cannot be told by a box
                return Shape("choice", optional, options={"true": True, "false": False})
            return Shape("check")
        case inspect.IntType() | inspect.FloatType():
            return _number(kind, optional=optional)
        case inspect.StrType():
            return _text(kind, optional=optional)
        case inspect.LiteralType(values):
            return _choice([one for one in values if one is not None], optional=optional or None in values)
        case inspect.EnumType(members):
            return _choice([one.value for one in members], optional=optional)
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            return _lines(kind, optional=optional)
        case inspect.StructType(array_like=False):
            return Shape("group", optional, kind=kind.cls)
    return Shape("none", optional)


def _of_several(kinds: Sequence[inspect.Type], *, optional: bool) -> Shape:
    shapes = [shape_of(kind) for kind in kinds]
    whats = {shape.what for shape in shapes}
    if whats == {"number"}:
        return Shape("number", optional, {"step": "any"}, read=_number_in)
    if whats == {"text", "lines"} and len(shapes) == 2:
        lines = next(shape for shape in shapes if shape.what == "lines")
        if lines.read is str:
            return Shape("lines", optional, single=True, rule=lines.rule)
    return Shape("none", optional)


def _number(kind: inspect.IntType | inspect.FloatType, *, optional: bool) -> Shape:
    whole = isinstance(kind, inspect.IntType)
    by = kind.multiple_of
    least = kind.ge if kind.ge is not None else kind.gt
    most = kind.le if kind.le is not None else kind.lt
    attributes = {"step": "1" if whole and (by is None or least is not None) else str(by) if by and whole else "any"}
    if least is not None:
        attributes["min"] = str(least + (whole and kind.ge is None))
    if most is not None:
        attributes["max"] = str(most - (whole and kind.le is None))
    words = [
        f"{said} {bound:,}"
        for said, bound in (("at least", kind.ge), ("more than", kind.gt), ("at most", kind.le), ("less than", kind.lt))
        if bound is not None
    ]
    words += [f"a multiple of {by:,}"] if by is not None else []
    rule = f"{'a whole number' if whole else 'a number'}{', ' if words else ''}{', '.join(words)}"
    return Shape("number", optional, attributes, read=_number_in, rule=rule)


def _number_in(text: str) -> Any:
    text = text.strip()
    if _WHOLE.match(text):
        return int(text)
    try:
        return float(text) if len(text) <= _LONGEST_NUMBER and text.isascii() and "_" not in text else text
    except ValueError:
        return text


def _text(kind: inspect.StrType, *, optional: bool) -> Shape:
    attributes = {}
    if kind.min_length is not None and not optional:
        attributes["minlength"] = str(kind.min_length)
    if kind.max_length is not None:
        attributes["maxlength"] = str(kind.max_length)
    if kind.pattern is not None and _PLAIN_PATTERN.match(_RANGE.sub("", kind.pattern)):
        attributes["pattern"] = f".*(?:{kind.pattern}).*"
    words = [f"at least {kind.min_length:,} characters"] if (kind.min_length or 0) > 1 else []
    words += [f"at most {kind.max_length:,} characters"] if kind.max_length is not None else []
    words += [f"as {kind.pattern}"] if kind.pattern is not None else []
    return Shape("text", optional, attributes, rule=", ".join(words))


def _choice(values: Sequence[Any], *, optional: bool) -> Shape:
    options = {str(value): value for value in values}
    if len(options) < len(values) or not all(_typable(text, "") and text == text.strip() for text in options):
        return Shape("none", optional)
    return Shape("choice", optional, options=options)


def _lines(kind: Any, *, optional: bool) -> Shape:
    item = shape_of(kind.item_type)
    if item.optional or item.what not in ("text", "number", "choice"):
        return Shape("none", optional)
    read = (lambda text: item.options.get(text, text)) if item.what == "choice" else item.read
    words = ["one a line"]
    words += [f"any of {', '.join(item.options)}"] if item.what == "choice" else [item.rule] if item.rule else []
    words += [f"at least {kind.min_length:,}"] if kind.min_length else []
    words += [f"at most {kind.max_length:,}"] if kind.max_length is not None else []
    return Shape("lines", optional, read=read, rule=", ".join(words))


def _is_line(text: str) -> bool:
    return bool(text) and text == text.strip() and _typable(text, "")


def _typable(text: str, also: str) -> bool:
    """Whether a browser gives a text back as it was."""
    return all(unicodedata.category(char) not in ("Cc", "Cs") or char in also for char in text)
