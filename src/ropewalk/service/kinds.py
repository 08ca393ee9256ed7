"""Kinds: what a configuration may call a service, and the class behind the word.

Flow: kind -> entry point `ropewalk.services`, or `module:Class` of the user's own -> a class of Service
Never: imports a kind that no service of the configuration has.
"""

from __future__ import annotations

import importlib
import importlib.metadata

import msgspec

from ropewalk.errors import Misuse
from ropewalk.service.interface import Service

__all__ = ["GROUP", "UnknownKind", "imported", "kind_of", "known_kinds"]

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
    if ":" not in where:
        raise UnknownKind(
            f"no service kind {name!r}, known are: {', '.join(known_kinds())}",
            hint="a class of your own is named as package.module:Class",
        )
    loaded = imported(where, UnknownKind)
    if not (isinstance(loaded, type) and issubclass(loaded, Service)):
        raise UnknownKind(f"{where} is not a class of Service", hint="derive it from ropewalk.service.Service")
    config: object = loaded.Config
    if not (isinstance(config, type) and issubclass(config, msgspec.Struct)):
        raise UnknownKind(f"{where}.Config is not a class of msgspec.Struct", hint="its fields are the kind's keys")
    return loaded


def imported(where: str, wrong: type[Misuse]) -> object:
    """What ``package.module:name`` names.

    Raises:
        wrong: It is not written so, or cannot be imported, whatever its module does when it is.
    """
    module, colon, name = where.partition(":")
    if not (colon and name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise wrong(f"got {where!r}, expected package.module:name")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        hint = "is its package installed, or its folder in PYTHONPATH?"
        raise wrong(f"{where} cannot be imported: {error}", hint=hint) from error
    except (Exception, SystemExit) as error:
        hint = f"the fault is in {module}, or in what it imports"
        raise wrong(f"{where} cannot be imported: {type(error).__name__}: {error}", hint=hint) from error
