"""Kinds: all outages, in the order of the table.

Flow: modules of outages -> OUTAGES -> the page, the tests
Never: holds one that the page lacks.
"""

from __future__ import annotations

from collections.abc import Sequence

from ropewalk.testing.outages.offline import Offline
from ropewalk.testing.outages.outage import (
    FullDisk,
    Killed,
    KilledClient,
    MissingLists,
    OldBackup,
    OldHeads,
    Outage,
    WrongBytes,
    WrongClock,
)
from ropewalk.testing.outages.ways import (
    BlackHole,
    Cuts,
    Flips,
    HalfOpen,
    Narrow,
    Parted,
    Refuses,
    Slow,
    TwoBlackHoles,
    TwoParted,
)

__all__ = ["OUTAGES"]

OUTAGES: Sequence[type[Outage]] = (
    Killed,
    Refuses,
    BlackHole,
    TwoBlackHoles,
    HalfOpen,
    Cuts,
    Slow,
    Narrow,
    Flips,
    Parted,
    TwoParted,
    OldBackup,
    FullDisk,
    WrongClock,
    OldHeads,
    WrongBytes,
    MissingLists,
    KilledClient,
    Offline,
)
