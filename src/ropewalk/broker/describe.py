"""Describe: what a class offers, in a form that programs and people of any language can read.

Flow: class -> its table of remote methods -> names, arguments and results as JSON Schema
Never: tells of anything that cannot be called; fails because an annotation cannot be read.
Source: docs/spec/broker.md section 10; JSON Schema draft 2020-12.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import AsyncIterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from ropewalk.broker.copyables import entry_of
from ropewalk.broker.fitting import Reference, required_of
from ropewalk.broker.offers import STREAM, Object, Offer, hint_of

__all__ = ["described"]

_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.VAR_POSITIONAL: "rest",
    inspect.Parameter.KEYWORD_ONLY: "named",
    inspect.Parameter.VAR_KEYWORD: "others",
}


def described(kind: type[Object]) -> dict[str, Any]:
    """What the holder of a reference to an object of this class may call; not to be changed."""
    key: Any = kind  # a class has a hash, which its type does not say
    told: dict[str, Any] = _described(key)
    return told


@functools.lru_cache(1024)
def _described(kind: Any) -> dict[str, Any]:
    return {
        "name": kind.__name__,
        "about": inspect.cleandoc(kind.__doc__ or ""),  # its own: what a base says is of the base
        "methods": {name: _method(offer) for name, offer in sorted(kind.__offers__.items())},
    }


def _method(offer: Offer) -> dict[str, Any]:
    returns = _hint(offer, offer.signature.return_annotation)
    if offer.how == STREAM:
        returns = (*typing.get_args(returns), Any)[0]
    return {
        "about": inspect.getdoc(offer.call) or "",
        "arguments": [_argument(offer, one) for one in offer.signature.parameters.values()],
        "returns": _schema(returns),
        "yields": offer.how == STREAM,
    }


def _argument(offer: Offer, one: inspect.Parameter) -> dict[str, Any]:
    told = {
        "name": one.name,
        "type": _schema(_hint(offer, one.annotation)),
        "optional": one.default is not one.empty or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD),
    }
    if one.kind in _KINDS:
        told["kind"] = _KINDS[one.kind]
    return told


def _hint(offer: Offer, annotation: Any) -> Any:
    try:
        return hint_of(offer.call, annotation)
    except Exception:
        return Any


def _schema(hint: Any, within: tuple[Any, ...] = ()) -> dict[str, Any]:
    """The JSON Schema of an annotation; ``within``: the records that it is part of."""
    if hint is Any or hint is object or isinstance(hint, typing.TypeVar):
        return {}
    if isinstance(hint, typing.NewType):
        return _schema(hint.__supertype__, within)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    kind = hint if origin is None else origin
    if isinstance(kind, type) and issubclass(kind, AsyncIterable):
        return {"ropewalk": "stream", "of": _schema((*arguments, Any)[0], within)}
    if isinstance(hint, type) and issubclass(hint, Reference):
        return {"ropewalk": "reference", "name": hint.__name__ if issubclass(hint, Object) else ""}
    if isinstance(hint, type) and entry_of(hint) is not None:
        return _record(hint, within)
    if arguments and origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(one, within) for one in arguments]}
    nested = _nested(origin, arguments, within) if arguments and isinstance(origin, type) else None
    if nested is not None:
        return nested
    try:
        return msgspec.json.schema(hint, schema_hook=lambda _kind: {})
    except (TypeError, NameError, RuntimeError):
        return {}


def _nested(origin: type[Any], arguments: tuple[Any, ...], within: tuple[Any, ...]) -> dict[str, Any] | None:
    """Of a container, so that references and copyables are seen in it too."""
    if issubclass(origin, tuple):
        if len(arguments) == 2 and arguments[1] is ...:
            return {"type": "array", "items": _schema(arguments[0], within)}
        items = [_schema(one, within) for one in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items), "maxItems": len(items)}
    if issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(arguments[1], within)}
    if issubclass(origin, AbstractSet):
        return {"type": "array", "items": _schema(arguments[0], within), "uniqueItems": True}
    if issubclass(origin, Sequence):
        return {"type": "array", "items": _schema(arguments[0], within)}
    return None


def _record(kind: type[Any], within: tuple[Any, ...]) -> dict[str, Any]:
    entry = entry_of(kind)
    assert entry is not None
    told: dict[str, Any] = {"ropewalk": "copyable", "name": entry.name}
    if kind in within:  # it is being told of already
        return told
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception:
        hints = {}
    fields = {name: _schema(hints.get(field, Any), (*within, kind)) for name, field in entry.fields.items()}
    return {**told, "type": "object", "properties": fields, "required": required_of(kind)}
