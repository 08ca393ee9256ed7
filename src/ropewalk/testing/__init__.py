"""Testing: what a store must do, stores that fail as they are told, and disks that lose what was not synced.

Public: a new kind of store, or software on top of spaces, is tested with these.
"""

from __future__ import annotations

from ropewalk.testing.faults import Fault, FaultStore, Rule, Stop, StopAfter
from ropewalk.testing.powerloss import PowerCut, PowerLossFileSystem
from ropewalk.testing.stores import check_store

__all__ = ["Fault", "FaultStore", "PowerCut", "PowerLossFileSystem", "Rule", "Stop", "StopAfter", "check_store"]
