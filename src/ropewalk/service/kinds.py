"""Kinds: what a configuration may call a service, and the class behind the word.

Flow: kind -> entry point `ropewalk.services`, or `module:Class` of the user's own -> a class of Service
Never: imports a kind that no service of the configuration has.
"""

from __future__ import annotations

import importlib
import importlib.metadata

from ropewalk.errors import Misuse
from ropewalk.service.interface import Service

__all__ = ["GROUP", "UnknownKind", "kind_of", "known_kinds"]

GROUP = "ropewalk.services"


class UnknownKind(Misuse):
    """There is no service kind of this name, or what it names is none."""

    code = "service.unknown-kind"


def known_kinds() -> list[str]:
    """The names that installed packages give."""
    return sorted({point.name for point in importlib.metadata.entry_points(group=GROUP)})


def kind_of(name: str) -> type[Service]:
    """The class of a kind.

    Args:
        name: Of an entry point, or ``package.module:Class``.

    Raises:
        UnknownKind.
    """
    found = sorted(importlib.metadata.entry_points(group=GROUP, name=name), key=lambda point: point.value)
    if len({point.value for point in found}) > 1:
        who = " and ".join(point.value for point in found)
        raise UnknownKind(f"{who} are both called {name!r}", hint="name the one you mean as module:Class")
    where = found[0].value if found else name
    module, colon, attribute = where.partition(":")
    if not colon:
        raise UnknownKind(
            f"no service kind {name!r}, known are: {', '.join(known_kinds())}",
            hint="a class of your own is named as package.module:Class",
        )
    try:
        loaded = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownKind(
            f"service kind {name!r} cannot be imported: {error}",
            hint="is its package installed, or its folder in PYTHONPATH?",
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Service)):
        raise UnknownKind(f"{where} is not a class of Service", hint="derive it from ropewalk.service.Service")
    return loaded
