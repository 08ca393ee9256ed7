"""Testing: what a store, a kind of loop and a transport must do, stores that fail, disks that lose the unsynced.

Public: a new kind of store, or software on top of spaces, is tested with these.
"""

from __future__ import annotations

from ropewalk.testing.faults import Fault, FaultStore, Rule, Stop, StopAfter
from ropewalk.testing.loops import check_loop
from ropewalk.testing.powerloss import PowerCut, PowerLossFileSystem
from ropewalk.testing.recorder import BufferedRecorder, Recorder
from ropewalk.testing.stores import check_store
from ropewalk.testing.transports import check_transport, pair_of

__all__ = [
    "BufferedRecorder",
    "Fault",
    "FaultStore",
    "PowerCut",
    "PowerLossFileSystem",
    "Recorder",
    "Rule",
    "Stop",
    "StopAfter",
    "check_loop",
    "check_store",
    "check_transport",
    "pair_of",
]
