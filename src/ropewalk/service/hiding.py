"""Hiding: a configuration as it may be shown: its secrets are not.

Flow: a struct of a configuration -> builtins -> secrets by the name of their key, or within URLs, replaced
Never: shows a value that it cannot look into.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["HIDDEN", "is_secret", "shown_config", "shown_of", "shown_text"]

HIDDEN = "(hidden)"
_SECRET = re.compile(
    r"passw|passphrase|secret|token|credential|cookie|authori[sz]ation|bearer|private|(^|[_-])(api[_-]?key|pin|salt)s?$",
    re.IGNORECASE,
)
_PLACE = re.compile(r"[_-](file|path|folder)s?$", re.IGNORECASE)  # of a secret, which is none itself
_USER_INFO = re.compile(r"(?<=://)[^/?#\s@:]*:[^/?#\s]*@")
_QUERY = re.compile(r"([?&;])([^=&;#\s]+)=([^&;#\s]*)")
_DEEPEST = 32


def shown_config(config: msgspec.Struct) -> Any:
    """A configuration in JSON's values.

    What a field's name tells to be a secret is hidden, and a field may say so itself:
    ``Annotated[str, msgspec.Meta(extra={"secret": True})]``. Of the two, a field that says False is shown.
    """
    return _value(config, 0)


def is_secret(kind: type[msgspec.Struct], key: str) -> bool:
    """Whether a field, by its key in a configuration, is never shown, whatever it says."""
    name = next((field.name for field in msgspec.structs.fields(kind) if field.encode_name == key), key)
    told = _told(kind).get(name)
    return told if told is not None else _sounds_secret(key)


def shown_text(text: str) -> str:
    """A text as it may be shown: without what opens the URLs in it."""
    return _text(text)


def shown_of(text: str, said: str) -> str:
    """What is said of a TOML text, without the secrets in it that the names of their keys tell."""
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError):  # of which nothing but places is said
        tree = {}
    for secret in sorted(set(_secrets(tree, secret=False)), key=len, reverse=True):
        said = said.replace(secret, HIDDEN).replace(repr(secret)[1:-1], HIDDEN)
    return _text(said)


def _secrets(value: Any, *, secret: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _secrets(one, secret=secret or _sounds_secret(key))
    elif isinstance(value, list):
        for one in value:
            yield from _secrets(one, secret=secret)
    elif secret and isinstance(value, str | int | float) and not isinstance(value, bool) and str(value):
        yield str(value)


def _value(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return "..."
    if isinstance(value, msgspec.Struct):
        told = _told(type(value))
        fields = {field.name: field.encode_name for field in msgspec.structs.fields(type(value))}
        return {shown: _keyed(shown, getattr(value, name), depth, told.get(name)) for name, shown in fields.items()}
    if isinstance(value, Mapping):
        return {str(key): _keyed(str(key), one, depth, None) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(one, depth + 1) for one in value]
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return f"<{type(value).__name__}>"  # its own words may hold anything


def _keyed(key: str, value: Any, depth: int, told: bool | None) -> Any:
    secret = told if told is not None else _sounds_secret(key)
    if secret and value not in ("", None, (), [], {}, False, True):
        return HIDDEN
    return _value(value, depth + 1)


def _sounds_secret(key: str) -> bool:
    return bool(_SECRET.search(key) and not _PLACE.search(key))


def _told(kind: type[msgspec.Struct]) -> dict[str, bool]:
    """What fields say of themselves."""
    found = {}
    for field in msgspec.structs.fields(kind):
        for meta in getattr(field.type, "__metadata__", ()):
            extra = getattr(meta, "extra", None)
            if isinstance(extra, Mapping) and isinstance(extra.get("secret"), bool):
                found[field.name] = extra["secret"]
    return found


def _text(value: str) -> str:
    if "://" not in value:
        return value
    value = _USER_INFO.sub(lambda found: f"{found[0].partition(':')[0]}:{HIDDEN}@", value)
    return _QUERY.sub(
        lambda found: f"{found[1]}{found[2]}={HIDDEN}" if found[3] and _SECRET.search(found[2]) else found[0], value
    )
