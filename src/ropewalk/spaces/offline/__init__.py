"""Offline: what a device keeps at home of changes that too few stores could take (docs/spec/offline.md).

In the order to read them: ``files`` (a folder), ``packs`` (what a pack's file holds).
"""

from ropewalk.spaces.offline.files import LET_WAIT, MOST_HEADS, QUEUE_FOLDER, DiskFull, QueueFiles, QueueFull, Waiting
from ropewalk.spaces.offline.packs import QueuedDamaged, QueuedPack

__all__ = [
    "LET_WAIT",
    "MOST_HEADS",
    "QUEUE_FOLDER",
    "DiskFull",
    "QueueFiles",
    "QueueFull",
    "QueuedDamaged",
    "QueuedPack",
    "Waiting",
]
