"""Stores: places that keep opaque objects under names, each one by the same contract.

Flow: pool -> Store -> a folder or memory, through the abilities wrapped around it
Never: looks inside an object, or is trusted for secrecy, integrity or freshness.
"""

from __future__ import annotations

from ropewalk.spaces.store.disk import DiskStore
from ropewalk.spaces.store.examined import Examined, Examines, examine
from ropewalk.spaces.store.filesystem import Facts, FileSystem, OsFileSystem
from ropewalk.spaces.store.interface import (
    LARGEST_HINT,
    LARGEST_OBJECT,
    GivesMany,
    Listed,
    NameTaken,
    NoSuchObject,
    ObjectName,
    Parts,
    Room,
    Store,
    StoreDamaged,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    Tells,
    TellsNothing,
    hint_name,
    object_name,
    wait_changed,
)
from ropewalk.spaces.store.marker import UnknownStoreFormat
from ropewalk.spaces.store.memory import MemoryStore
from ropewalk.spaces.store.parts import size_of
from ropewalk.spaces.store.terms import Terms
from ropewalk.spaces.store.wrappers import Count, Counts, Limit, Retry

__all__ = [
    "LARGEST_HINT",
    "LARGEST_OBJECT",
    "Count",
    "Counts",
    "DiskStore",
    "Examined",
    "Examines",
    "Facts",
    "FileSystem",
    "GivesMany",
    "Limit",
    "Listed",
    "MemoryStore",
    "NameTaken",
    "NoSuchObject",
    "ObjectName",
    "OsFileSystem",
    "Parts",
    "Retry",
    "Room",
    "Store",
    "StoreDamaged",
    "StoreFull",
    "StoreGone",
    "StoreReadOnly",
    "Tells",
    "TellsNothing",
    "Terms",
    "UnknownStoreFormat",
    "examine",
    "hint_name",
    "object_name",
    "size_of",
    "wait_changed",
]
