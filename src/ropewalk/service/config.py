"""Config: an application in TOML, checked to its last key before anything starts.

Flow: file -> tomllib -> msgspec -> Settings and a Plan for each service; what is wrong -> file, line, key
Never: starts a service, or passes over a key that it does not know.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

import msgspec
import msgspec.structs

from ropewalk import loops
from ropewalk.errors import Missing, Misuse
from ropewalk.service.kinds import UnknownKind, kind_of
from ropewalk.service.lines import line_of
from ropewalk.service.plan import BadPlan, Plan, Restart, checked_order

__all__ = ["BadConfig", "Configuration", "LogSettings", "Settings", "decoded", "load", "parse"]

T = TypeVar("T")

_MOST = 1024 * 1024  # bytes of a file
_NAME = re.compile(r"[\w.-]{1,64}")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+?)`")
_PLACE = re.compile(r" - at (?:`key` in )?`\$(.*?)`$")
_AT_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_DOTTED = re.compile(r"\(((?:'[^']*',? ?)+)\)")  # keys, as tomllib puts them
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class BadConfig(Misuse):
    """The configuration says something that it cannot mean.

    Attributes:
        keys: Where, from the top, as far as it is known.
        what: The message without the place.
    """

    code = "service.bad-config"
    keys: tuple[str, ...] = ()
    what: str = ""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[application]``.

    Attributes:
        name: For people, logs and metrics.
        loop: The event loop's kind.
        deadline: Seconds in which all services must be down once they are to stop.
        keep_freed: Bytes of freed memory that the process keeps for what it needs next.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "ropewalk"
    loop: str = "auto"
    deadline: Seconds = 10.0
    keep_freed: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 64 << 20


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[log]``: ``auto`` is for people at a terminal, and JSON elsewhere."""

    format: Literal["auto", "text", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class _Supervision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys that every service has, beside those of its kind."""

    kind: str
    needs: tuple[str, ...] = ()
    restart: Restart = Restart.ON_FAILURE
    critical: bool = False
    start_within: Seconds = 30.0


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    application: Settings = Settings()
    log: LogSettings = LogSettings()
    services: dict[str, object] = {}


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole file: the application, its log, and its services, each after those it needs."""

    application: Settings
    log: LogSettings
    plans: tuple[Plan, ...]
    folder: Path


def load(path: Path) -> Configuration:
    """The configuration in a file.

    Raises:
        Missing: There is no such file.
        BadConfig: It cannot be read, is not TOML, or says something wrong; with file, line and key.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
    except FileNotFoundError:
        raise Missing(f"no file {path}", hint="`ropewalk new service NAME` writes one to begin with") from None
    except OSError as error:
        raise BadConfig(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if len(data) > _MOST:
        raise BadConfig(f"{path} has more than {_MOST:,} bytes")
    try:
        text = data.decode("utf-8-sig")  # some editors put a mark before it
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path} is not UTF-8 at byte {error.start}") from None
    return parse(text, str(path), path.parent)


def parse(text: str, name: str = "configuration", folder: Path | None = None) -> Configuration:
    """The configuration in a text.

    Args:
        text: TOML.
        name: What errors call it.
        folder: Where relative paths in it begin.

    Raises:
        BadConfig.
    """
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        raise BadConfig(f"{name}: not TOML that can be read: it is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(_not_toml(name, str(error))) from None
    except ValueError:  # of int()
        raise BadConfig(f"{name}: a number in it has thousands of digits") from None
    source = _Source(text, name)
    file = source.convert(tree, _File, ())
    try:
        loops.kind(file.application.loop)
    except Misuse as error:
        raise BadConfig(source.at(("application", "loop"), str(error)), hint=error.hint) from None
    plans = [_plan(source, key, table) for key, table in file.services.items()]
    try:
        ordered = checked_order(plans)
    except BadPlan as error:
        named = next((plan.name for plan in plans if f"{plan.name!r}" in str(error)), "")
        raise BadConfig(source.at(("services", named, "needs"), str(error)), hint=error.hint) from None
    return Configuration(file.application, file.log, tuple(ordered.values()), folder or Path())


def decoded(table: object, into: type[T]) -> T:
    """A table as a struct, checked as one of a file is.

    Raises:
        BadConfig: With ``keys`` and ``what``.
    """
    return _Source("", "configuration").convert(table, into, ())


def _not_toml(name: str, said: str) -> str:
    place = _AT_LINE.search(said)
    what = _lowered(said[: place.start()] if place else said)
    what = _DOTTED.sub(lambda keys: ".".join(key.strip(" ',") for key in keys[1].split("',")), what)
    return f"{name}:{place[1]}: not TOML: {what}, in column {place[2]}" if place else f"{name}: not TOML: {what}"


def _plan(source: _Source, name: str, table: object) -> Plan:
    path = ("services", name)
    if not isinstance(table, dict):
        got = "array" if isinstance(table, list) else type(table).__name__
        hint = f"a service begins with [services.{name}], in single brackets"
        raise BadConfig(source.at(path, f"expected `table`, got `{got}`"), hint=hint)
    if not _NAME.fullmatch(name):
        raise BadConfig(source.at(path, "a service's name has 1 to 64 letters, digits, or any of _ . -"))
    common = set(_Supervision.__struct_fields__)
    ours = source.convert({key: value for key, value in table.items() if key in common}, _Supervision, path)
    try:
        kind = kind_of(ours.kind)
    except UnknownKind as error:
        raise BadConfig(source.at((*path, "kind"), str(error)), hint=error.hint) from error
    known = set(_fields(kind.Config, []))
    if clash := common & known:
        keys = ", ".join(sorted(clash))
        raise BadConfig(source.at((*path, "kind"), f"{ours.kind!r} has keys of its own that every service has: {keys}"))
    theirs = {key: value for key, value in table.items() if key not in common}
    if unknown := [key for key in theirs if key not in known]:  # which its class may have forgotten to forbid
        raise source.unknown((*path, unknown[0]), known | common)
    config = source.convert(theirs, kind.Config, path)
    return Plan(name, kind, config, ours.needs, ours.restart, ours.critical, ours.start_within)


@dataclass(frozen=True, slots=True)
class _Source:
    text: str
    name: str

    def at(self, path: tuple[str, ...], what: str) -> str:
        """``app.toml:12: services.echo.listen: what``."""
        key = f"{'.'.join(path)}: " if path else ""
        return f"{self.name}:{line_of(self.text, path)}: {key}{what}"

    def unknown(self, path: tuple[str, ...], known: set[str]) -> BadConfig:
        """What to raise of a key that nobody knows."""
        near = difflib.get_close_matches(path[-1], known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(sorted(known))}" if known else ""
        return BadConfig(self.at(path, "unknown key"), hint=hint)

    def convert(self, value: object, into: type[T], path: tuple[str, ...]) -> T:
        """``value`` as a struct.

        Raises:
            BadConfig.
        """
        try:
            return msgspec.convert(value, into)
        except msgspec.ValidationError as error:
            said, hint = str(error), ""
        except Misuse as error:  # of a `__post_init__`
            said, hint = str(error), error.hint
        place = _PLACE.search(said)
        # Of a table that may have any keys, msgspec does not say which one it was.
        below = [step[1] or step[2] for step in _STEP.finditer(place[1]) if step[2] != "..."] if place else []
        message = said[: place.start()] if place else said
        known = _fields(into, below)
        if unknown := _UNKNOWN.match(message):
            raise self.unknown((*path, *below, unknown[1]), set(known))
        key, colon, rest = message.partition(": ")
        if colon and key in known:
            below, message = [*below, key], rest
        for old, new in (("Object ", ""), ("`object", "`table"), (" | null`", "`")):
            message = message.replace(old, new)
        found = BadConfig(self.at((*path, *below), _lowered(message)), hint=hint)
        found.keys, found.what = (*path, *below), _lowered(message)
        raise found


def _fields(struct: object, steps: list[str]) -> list[str]:
    """The keys of the struct that these steps lead to; none where that is no struct."""
    for step in steps:
        if step.isdigit():  # a place in a list of them
            struct = next(iter(get_args(struct)), None)
        else:
            struct = next((field.type for field in _fields_of(struct) if field.encode_name == step), None)
    return [field.encode_name for field in _fields_of(struct)]


def _fields_of(kind: object) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else ()


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
