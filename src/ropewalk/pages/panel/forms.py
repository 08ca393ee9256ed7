"""Forms: a table of settings as fields that people fill in, made from its type, and what they typed as a table again.

Flow: struct type, table -> Form: fields -> a page; what is posted -> Form.read -> table -> its type -> Form.faults
Never: puts a secret into a field, or changes what was not changed in the form: what no field can hold stays as it is.
"""

from __future__ import annotations

import inspect as python
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect

from ropewalk.errors import RopewalkError
from ropewalk.pages.panel.shapes import Shape, lines_in, same, shape_of
from ropewalk.service import BadConfig
from ropewalk.service.config import decoded
from ropewalk.service.hiding import HIDDEN, is_secret, shown_config, shown_text

__all__ = ["Field", "Form", "changed"]

PREFIX = "field."  # of the names of inputs, so that none is one of the page's own
_DEEPEST = 4  # groups in groups
_MISSING = re.compile(r"missing required field `(.+)`\Z")
_HELP = re.compile(r"^ {4}([\w, ]+): (.*(?:\n {5,}.*)*)", re.MULTILINE)
_NONE: Any = object()  # no value; there may be None

Path = tuple[str, ...]
Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One setting.

    Attributes:
        path: Keys from the top.
        name: Of the input.
        shape: How it is shown.
        value: What stands in the input; of a secret, always "".
        default: What counts where the file does not say anything, in words.
        help: What it is.
        secret: What it says is not shown, and an empty input leaves it.
        said: Of a secret, or of what no input can hold: what may be shown of it.
        required: It cannot be left out.
        several: A text of several lines.
        fault: What is wrong with what was typed.
        fields: Of a group.
    """

    path: Path
    name: str
    shape: Shape
    value: str
    default: str
    help: str
    secret: bool
    said: str
    required: bool
    several: bool
    fault: str
    fields: tuple[Field, ...]

    @property
    def key(self) -> str:
        """As the file has it."""
        return self.path[-1]

    @property
    def kind(self) -> str:
        """Of the ``input`` in HTML: ``number`` holds nothing but figures."""
        finite = self.shape.what == "number" and (not self.value or _is_finite(self.value))
        return "password" if self.secret else "number" if finite else "text"


@dataclass(frozen=True, slots=True)
class _Place:
    """A field of a type, with what a file says there."""

    path: Path
    field: inspect.Field
    shape: Shape
    raw: Any  # as the file has it; _NONE where it does not
    default: Any
    secret: bool

    @property
    def name(self) -> str:
        return PREFIX + ".".join(self.path)

    @property
    def value(self) -> Any:
        """What counts, where an input that is left as it is stands for it."""
        if self.raw is not _NONE:
            return self.raw
        shows = self.shape.what == "check" or (self.shape.what in ("text", "lines") and self.default is not None)
        if self.shape.what == "choice":
            shows = "" in self.shape.options
        return self.default if shows and self.default is not _NONE else _NONE

    @property
    def told(self) -> bool:
        """Whether there is an input for it."""
        return self.shape.what != "none" and (self.value is _NONE or self.shape.holds(self.value) or self.secret)

    @property
    def text(self) -> str:
        """What stands in the input."""
        return "" if self.value is _NONE or self.secret else self.shape.shown(self.value)


class Form:
    """The fields of a table.

    Args:
        kind: What the table is.
        table: What is in it: values of TOML; other keys than those of `kind` are left alone.
        without: Keys that have no field.
    """

    def __init__(self, kind: type[msgspec.Struct], table: Table, *, without: Iterable[str] = ()) -> None:
        self.kind, self.table = kind, table
        self._without = frozenset(without)
        self._shown = _shown(kind, table)

    def fields(self, typed: Mapping[str, str] | None = None, faults: Mapping[Path, str] | None = None) -> list[Field]:
        """What a page shows.

        Args:
            typed: What was posted, which is kept, but for secrets.
            faults: By path.
        """
        return list(self._fields(self.kind, self.table, (), typed or {}, faults or {}))

    def read(self, typed: Mapping[str, str]) -> dict[str, Any]:
        """The table as it was typed; what was not posted at all is as it was."""
        return self._read(self.kind, self.table, (), typed)

    def decode(self, table: Table) -> msgspec.Struct:
        """A table as its type has it.

        Raises:
            BadConfig, or what else its type finds wrong.
        """
        known = {field.encode_name for field in msgspec.structs.fields(self.kind)}
        return decoded({key: value for key, value in table.items() if key in known}, self.kind)

    def faults(self, table: Table, typed: Mapping[str, str]) -> dict[Path, str]:
        """What is wrong with a table, by path; with that of no field at (). Nothing that is secret is in it."""
        secrets = sorted(self._secrets(table), key=len, reverse=True)
        found: dict[Path, str] = {}
        trial: Any = table
        for _ in range(len(typed) + 1):  # each turn puts one field back to what it was
            try:
                self.decode(trial)
            except RopewalkError as error:
                path, said = self._blamed(error)
            except Exception as error:  # noqa: BLE001 - of a check that its author wrote
                path, said = (), f"{type(error).__name__}: {error}"
            else:
                break
            for secret in secrets:
                said = said.replace(secret, HIDDEN)
            if path in found or not path:
                if not found:
                    found[()] = shown_text(said)
                break
            found[path] = shown_text(said)
            trial = _with(trial, path, _at(self.table, path))
        return found

    # -- how -----------------------------------------------------------------------------------------------------

    def _places(self, kind: Any, table: Table, path: Path) -> Iterator[_Place]:
        told = inspect.type_info(kind)
        assert isinstance(told, inspect.StructType)
        for one in told.fields:
            if not path and one.encode_name in self._without:
                continue
            shape = shape_of(one.type)
            raw = table.get(one.encode_name, _NONE)
            secret = is_secret(kind, one.encode_name)
            if shape.what == "group" and (secret or len(path) >= _DEEPEST):
                shape = Shape("none", shape.optional)
            elif shape.what == "check" and secret:
                shape = Shape("choice", options={"true": True, "false": False})
            secret = secret or _opens(raw)
            yield _Place((*path, one.encode_name), one, shape, raw, _default(one), secret)

    def _fields(
        self, kind: Any, table: Table, path: Path, typed: Mapping[str, str], faults: Mapping[Path, str]
    ) -> Iterator[Field]:
        helps = _helps(kind)
        for one in self._places(kind, table, path):
            value, fault = typed.get(one.name, one.text).replace("\r\n", "\n"), faults.get(one.path, "")
            if one.secret:
                value = ""
            elif shown_text(value) != value:
                value, fault = one.text, fault or "what was typed has a secret in it, and is not shown: type it again"
            inside: tuple[Field, ...] = ()
            if one.shape.what == "group" and one.told:
                inside = tuple(self._fields(one.shape.kind, _inner(one), one.path, typed, faults))
            required = one.field.required and not one.secret and (one.raw is _NONE or one.text != "")
            yield Field(
                path=one.path,
                name=one.name,
                shape=one.shape if one.told else Shape("none", one.shape.optional),
                value=value,
                default="" if one.field.required else _in_words(one),
                help=helps.get(one.field.name, ""),
                secret=one.secret,
                said=self._said(one),
                required=required,
                several="\n" in one.text,
                fault=fault,
                fields=inside,
            )

    def _said(self, one: _Place) -> str:
        if one.raw is _NONE or (one.told and not one.secret):
            return ""
        found = _at(self._shown, one.path)
        return "" if found is _NONE else _as_text(found)

    def _read(self, kind: Any, table: Table, path: Path, typed: Mapping[str, str]) -> dict[str, Any]:
        found = dict(table)
        for one in self._places(kind, table, path):
            if not one.told:
                continue
            value = self._value(one, typed)
            if value is _NONE:
                found.pop(one.path[-1], None)
            else:
                found[one.path[-1]] = value
        return found

    def _value(self, one: _Place, typed: Mapping[str, str]) -> Any:
        if one.shape.what == "group":
            before = _inner(one)
            inside = self._read(one.shape.kind, before, one.path, typed)
            return one.raw if same(inside, before) else inside
        text = typed.get(one.name)
        if text is None:
            return one.raw
        text, what = text.replace("\r\n", "\n"), one.shape.what
        if what == "check":
            return one.raw if same(text != "", one.value) else text != ""
        if (lines_in(text) == lines_in(one.text)) if what == "lines" else text == one.text:
            return one.raw
        if text if what == "text" else text.strip():
            return one.shape.taken(text, one.raw)
        empty: Any = {"text": "", "lines": []}.get(what, _NONE)
        if empty is _NONE or one.default is None or same(one.default, empty) or (one.default is one.raw is _NONE):
            return _NONE  # and so what counts without it
        return empty

    def _blamed(self, error: RopewalkError) -> tuple[Path, str]:
        """The field that is to blame, and how."""
        path = error.keys if isinstance(error, BadConfig) else ()
        said = error.what if isinstance(error, BadConfig) and error.what else str(error)
        if lacks := _MISSING.match(said):
            path, said = (*path, lacks[1]), "it is needed"
        known = {one.path for one in self._all(self.kind, self.table, ())}
        while path and path not in known:
            path = path[:-1]
        return path, f"{said}; {error.hint}" if error.hint else said

    def _all(self, kind: Any, table: Table, path: Path) -> Iterator[_Place]:
        for one in self._places(kind, table, path):
            yield one
            if one.shape.what == "group" and one.told:
                yield from self._all(one.shape.kind, _inner(one), one.path)

    def _secrets(self, table: Table) -> set[str]:
        found = set()
        for one in self._all(self.kind, self.table, ()):
            for value in (one.raw, _at(table, one.path)):
                if one.secret and value is not _NONE:
                    found |= {str(part) for part in (value if isinstance(value, list | tuple) else [value])}
        return {secret for secret in found if secret}


def changed(before: Table, after: Table, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """What has to be done to a table to make another of it: values by path, None for what goes."""
    for key in {**before, **after}:
        one, other = before.get(key, _NONE), after.get(key, _NONE)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from changed(one, other, (*path, key))
        elif isinstance(other, Mapping) and other and one is _NONE:
            yield from changed({}, other, (*path, key))
        elif other is _NONE:
            yield (*path, key), None
        elif one is _NONE or not same(one, other):
            yield (*path, key), other


def _inner(one: _Place) -> Table:
    """What a group begins with: the file's, or where it says nothing, a default that is not its type's own."""
    if isinstance(one.raw, Mapping):
        return one.raw
    if isinstance(one.default, msgspec.Struct):
        try:
            plain = one.default == one.shape.kind()
        except TypeError:  # it has fields without a default
            plain = False
        if not plain:
            return dict(msgspec.to_builtins(one.default))
    return {}


def _default(one: inspect.Field) -> Any:
    if one.default is not msgspec.NODEFAULT:
        default = one.default
    elif one.default_factory in (list, tuple, dict, set, frozenset):
        default = one.default_factory()
    else:
        return _NONE
    if isinstance(default, msgspec.Struct):
        return default
    return msgspec.to_builtins(default)


def _in_words(one: _Place) -> str:
    if one.secret or one.default is _NONE or one.default is None or isinstance(one.default, msgspec.Struct):
        return ""
    if isinstance(one.default, bool):
        return "on" if one.default else "off"
    if isinstance(one.default, list | tuple | Mapping):
        return shown_text(", ".join(map(str, one.default))) or "none"
    return f"{one.default:,}" if isinstance(one.default, int) else shown_text(str(one.default)) or "none"


def _shown(kind: type[msgspec.Struct], table: Table) -> Any:
    """What may be shown of a table."""
    try:
        known = {field.encode_name for field in msgspec.structs.fields(kind)}
        return shown_config(msgspec.convert({key: one for key, one in table.items() if key in known}, kind))
    except Exception:  # noqa: BLE001 - of a check that its author wrote: then nothing is
        return {}


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _opens(value: Any) -> bool:
    """Whether there is a secret in a text, or in one of some."""
    if isinstance(value, str):
        return shown_text(value) != value
    return isinstance(value, list | tuple) and any(isinstance(one, str) and _opens(one) for one in value)


def _helps(kind: type) -> dict[str, str]:
    """What docstrings say of attributes."""
    found = {}
    for one in reversed(kind.__mro__):
        _, _, told = python.cleandoc(one.__doc__ or "").partition("Attributes:\n")
        for names, words in _HELP.findall(told.partition("\n\n")[0]):
            for name in names.split(","):
                found[name.strip()] = " ".join(words.replace("`", "").split())
    return found


def _at(table: Any, path: Path) -> Any:
    for key in path:
        if not isinstance(table, Mapping) or key not in table:
            return _NONE
        table = table[key]
    return table


def _with(table: Table, path: Path, value: Any) -> dict[str, Any]:
    """A table with another value at a path."""
    found = dict(table)
    if path[1:]:
        inner = found.get(path[0])
        found[path[0]] = _with(inner if isinstance(inner, Mapping) else {}, path[1:], value)
    elif value is _NONE:
        found.pop(path[0], None)
    else:
        found[path[0]] = value
    return found


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return True  # something else: the browser will say so
