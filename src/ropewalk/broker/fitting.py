"""Fitting: values that have crossed, checked against annotations and made into what they ask for.

`msgspec` checks; it knows nothing of references, and takes few unions of classes. For these, classes of our own stand
in the annotations, and look at the value themselves.

Flow: annotation -> `fitting` -> what msgspec can check by -> `fit` with a value -> the value, or why not
Never: calls an attribute of a value; takes text for bytes.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
import types
import typing
from collections.abc import AsyncIterable, Callable, Mapping
from typing import Any, ClassVar

import msgspec

__all__ = ["Reference", "fields_of", "fit", "fitting", "record", "required_of", "unfit"]

_AT = re.compile(r" - at `\$([^`]*)`")
_KEPT = 1024  # annotations; each is made again where more are in use


class Reference:
    """What crosses as a reference: an `Object` of this end, or what stands here for one of the other end."""

    __slots__ = ()
    __far__: ClassVar[bool] = False  # it is of the other end


class _Standing(type):
    def __instancecheck__(cls, value: object) -> bool:
        return True  # `look` has looked


def _standing(name: str, look: Callable[[Any], Any]) -> Any:
    """A class that stands in an annotation; ``look`` gives the value, or raises TypeError."""
    return _Standing(name, (), {"look": staticmethod(look)})


def _look(kind: type[Any], value: Any) -> Any:
    return kind.look(value) if isinstance(kind, _Standing) else value


def fit(value: Any, wanted: Any) -> Any:
    """A value as an annotation asks, which `fitting` gave.

    Raises:
        msgspec.ValidationError: It does not fit.
        TypeError: Nothing can be checked by this annotation.
    """
    return msgspec.convert(value, wanted, dec_hook=_look, builtin_types=(bytes,))


def unfit(error: msgspec.ValidationError) -> tuple[str, str]:
    """Where a value does not fit, as in ``[0].name``, and why."""
    text = str(error)
    return "".join(reversed(_AT.findall(text))), text.partition(" - at `$")[0].replace("Expected", "expected", 1)


@functools.lru_cache(_KEPT, typed=True)
def fitting(hint: Any) -> Any:
    """An annotation as `fit` takes it."""
    if isinstance(hint, type) and typing.get_origin(hint) is None:
        return _class(hint)
    if isinstance(hint, typing.NewType):
        return fitting(hint.__supertype__)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is None or not arguments or origin is typing.Literal:
        return hint
    if origin is typing.Annotated:
        return typing.Annotated[(fitting(arguments[0]), *arguments[1:])]
    if isinstance(origin, type) and issubclass(origin, AsyncIterable):
        return _stream
    if not all(map(_hashable, arguments)):
        return hint
    fitted = tuple(fitting(one) for one in arguments)
    if fitted == arguments:
        return hint
    if origin in (typing.Union, types.UnionType):
        return _union(hint, fitted)
    return origin[fitted]


def _hashable(hint: object) -> bool:
    return not isinstance(hint, list)  # the arguments of a Callable


def _class(kind: type[Any]) -> Any:
    if issubclass(kind, Reference):
        return _reference(kind)
    if issubclass(kind, AsyncIterable):
        return _stream
    if issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind):
        return _standing(kind.__name__, lambda value: value if isinstance(value, kind) else _made(kind, value))
    return kind


def _reference(kind: type[Reference]) -> Any:
    """Ours must be of the class; what class theirs is of, only they know."""

    def look(value: Any) -> Any:
        if isinstance(value, kind) or (isinstance(value, Reference) and value.__far__ and not kind.__far__):
            return value
        raise TypeError(f"expected a reference to {kind.__name__}, got {_kind(value)}")

    return _standing(kind.__name__, look)


def _look_at_stream(value: Any) -> Any:
    if isinstance(value, AsyncIterable):
        return value
    raise TypeError(f"expected a stream, got {_kind(value)}")


_stream = _standing("stream", _look_at_stream)


def _union(hint: Any, fitted: tuple[Any, ...]) -> Any:
    ours = [one for one in fitted if isinstance(one, _Standing)]
    others = [one for one in fitted if not isinstance(one, _Standing)]
    rest = functools.reduce(operator.or_, others) if others else None

    def look(value: Any) -> Any:
        if others:
            try:
                return fit(value, rest)
            except msgspec.ValidationError:
                pass
        why = ""
        for one in ours:
            try:
                return one.look(value)  # type: ignore[attr-defined]
            except (TypeError, ValueError) as error:
                why = str(error)
        if len(ours) == 1 and not others:
            raise TypeError(why)
        names = " | ".join(getattr(one, "__name__", str(one)) for one in typing.get_args(hint))
        raise TypeError(f"expected {names.replace('NoneType', 'null')}, got {_kind(value)}")

    return _standing("union", look)


def _made(kind: type[Any], value: Any) -> Any:
    if type(value) is not dict:
        raise TypeError(f"expected {kind.__name__}, got {_kind(value)}")
    try:
        return record(kind, value)
    except msgspec.ValidationError as error:
        raise TypeError(str(error)) from None


def _kind(value: object) -> str:
    return "null" if value is None else f"`{type(value).__name__}`"


# Records.


def fields_of(kind: type[Any]) -> dict[str, str]:
    """The fields of a `msgspec.Struct` or a dataclass, by the names that they have outside."""
    if issubclass(kind, msgspec.Struct):
        return dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
    return {field.name: field.name for field in dataclasses.fields(kind) if field.init}


def required_of(kind: type[Any]) -> list[str]:
    """Those of `fields_of` that have no default."""
    if issubclass(kind, msgspec.Struct):
        return [field.encode_name for field in msgspec.structs.fields(kind) if field.required]
    nothing = dataclasses.MISSING
    return [
        field.name
        for field in dataclasses.fields(kind)
        if field.init and field.default is nothing and field.default_factory is nothing
    ]


@functools.lru_cache(_KEPT)
def _hints(kind: Any) -> dict[str, tuple[str, Any]] | None:
    """Of each field its name in the class and what it has to fit; None where msgspec can do it all."""
    hints = typing.get_type_hints(kind, include_extras=True)
    fitted = {name: (field, fitting(hints[field])) for name, field in fields_of(kind).items()}
    config = getattr(kind, "__struct_config__", None)
    if (config is None or not config.array_like) and all(wanted is hints[field] for field, wanted in fitted.values()):
        return None
    return fitted


def record(kind: type[Any], fields: Mapping[str, Any]) -> Any:
    """A record of these fields.

    Raises:
        msgspec.ValidationError, TypeError, ValueError: They do not fit.
    """
    key: Any = kind  # a class has a hash, which its type does not say
    hints = _hints(key)
    if hints is None:
        return fit(fields, kind)
    config = getattr(kind, "__struct_config__", None)
    if config is not None and config.forbid_unknown_fields and not fields.keys() <= hints.keys():
        raise TypeError(f"expected no fields but {', '.join(hints)}")
    values = {}
    for name, (field, wanted) in hints.items():
        if name in fields:
            try:
                values[field] = fit(fields[name], wanted)
            except msgspec.ValidationError as error:
                raise TypeError(f"{error} - at `$.{name}`") from None
    return kind(**values)
