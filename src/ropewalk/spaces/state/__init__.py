"""State: what a device remembers of one space, in one SQLite file.

In the order to read them: ``known`` (values), ``faults``, ``inserting``, ``heads``, ``journal`` (our own),
``forks``, ``index`` (packs and chunks), ``folders``, ``records``, ``sparse``, ``proofs``, ``aside``, ``queue``,
``file``.
"""

from __future__ import annotations

from ropewalk.spaces.state.aside import CLOSED, JUNK, NEVER, RECORDS, AsideRow, Came
from ropewalk.spaces.state.faults import StateDamaged, StateFull, StateTooNew, StateUnavailable, explained
from ropewalk.spaces.state.file import SUSPECT, State
from ropewalk.spaces.state.index import EmbeddedPack
from ropewalk.spaces.state.known import (
    ACKED,
    BROKEN,
    PENDING,
    QUARANTINED,
    QUEUED,
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
    "CLOSED",
    "JUNK",
    "NEVER",
    "PENDING",
    "QUARANTINED",
    "QUEUED",
    "RECORDS",
    "REFUSED",
    "SUSPECT",
    "WITHDRAWN",
    "AsideRow",
    "Came",
    "EmbeddedPack",
    "KnownHead",
    "KnownPack",
    "Located",
    "SharePlace",
    "State",
    "StateDamaged",
    "StateFull",
    "StateTooNew",
    "StateUnavailable",
    "explained",
    "spread",
]
