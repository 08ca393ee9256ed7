"""Called: what people are told that makes a service.

Flow: a plan's `make` -> ``module:name``
Never: says where inside a function it was written; that helps nobody.
"""

from __future__ import annotations

from typing import Any

__all__ = ["kind_of"]


def kind_of(make: object) -> str:
    """What makes a service; of a function that stands in another one, what it says that it gives."""
    if "<locals>" in getattr(make, "__qualname__", ""):
        made = getattr(make, "__annotations__", {}).get("return")
        made = getattr(make, "__globals__", {}).get(made) if isinstance(made, str) else made
        make = made if isinstance(made, type) and made is not Any else make
    name = getattr(make, "__qualname__", "?").rpartition("<locals>.")[2]
    return f"{getattr(make, '__module__', '?')}:{name}"
