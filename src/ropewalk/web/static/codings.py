"""Codings: which of a file's compressed forms a client would rather have.

Flow: Accept-Encoding -> our codings, best first
Never: compresses; chooses a form that the client did not name.
Source: RFC 9110 sections 12.4.2, 12.5.3.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["CODINGS", "IDENTITY", "preferred"]

IDENTITY = "identity"
CODINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}  # coding -> ending; the smallest first
_LONGEST = 1024  # bytes of a header that is looked at; a browser's has 30
_ITEM = re.compile(r"([!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?\Z")


def preferred(header: bytes) -> tuple[str, ...]:
    """Our codings that a client takes, the one it likes best first; `identity` is always among them.

    That is so even where a client says that it takes no plain file: it gets one sooner than nothing.  Where it likes
    several equally, the smallest is first.  A header that is not as the grammar has it counts for nothing.
    """
    return _preferred(header) if len(header) <= _LONGEST else (IDENTITY,)


@lru_cache(256)  # browsers are few; each entry is bounded by the length above
def _preferred(header: bytes) -> tuple[str, ...]:
    weights: dict[str, float] = {}
    for part in header.decode("latin-1").lower().split(","):
        if not (part := part.strip(" \t")):
            continue
        item = _ITEM.match(part)
        if not item:
            return (IDENTITY,)
        name = "gzip" if item[1] == "x-gzip" else item[1]
        weights.setdefault(name, float(item[2] or 1))
    others = weights.get("*", 0.0)
    known = [(weights.get(name, others), name) for name in CODINGS]
    least = weights.get(IDENTITY, 0.0)  # not named, it is what is taken if nothing better is there
    better = [name for weight, name in sorted(known, key=lambda pair: -pair[0]) if weight > 0 and weight >= least]
    return (*better, IDENTITY)
