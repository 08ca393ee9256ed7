"""State: what a device remembers of one space, in one SQLite file.

In the order to read them: ``known`` (values), ``faults``, ``journal`` (heads), ``index`` (packs and chunks),
``folders``, ``records``, ``sparse``, ``file``.
"""

from __future__ import annotations

from ropewalk.spaces.state.faults import StateDamaged, StateTooNew, StateUnavailable, explained
from ropewalk.spaces.state.file import SUSPECT, State
from ropewalk.spaces.state.known import (
    ACKED,
    BROKEN,
    PENDING,
    QUARANTINED,
    REFUSED,
    WITHDRAWN,
    KnownHead,
    KnownPack,
    Located,
    SharePlace,
    spread,
)

__all__ = [
    "ACKED",
    "BROKEN",
    "PENDING",
    "QUARANTINED",
    "REFUSED",
    "SUSPECT",
    "WITHDRAWN",
    "KnownHead",
    "KnownPack",
    "Located",
    "SharePlace",
    "State",
    "StateDamaged",
    "StateTooNew",
    "StateUnavailable",
    "explained",
    "spread",
]
