"""Threads: blocking code beside an event loop, and event-driven code for programs that have no loop.

Flow: loop -> run, half_sync -> worker threads -> call -> loop; plain program -> portal, sync -> loop
Never: waits without a bound, or loses an error, a cancellation or the context on the way between threads.
"""

from __future__ import annotations

from ropewalk.threads.half_sync import HalfSync, HalfSyncStatistics, NotStarted, half_sync
from ropewalk.threads.jobs import Deadlock, LoopOver, NotAWorker, call, call_soon, check_cancelled
from ropewalk.threads.places import PoolFull
from ropewalk.threads.pool import DEFAULT, Late, NoSuchPool, Pool, declare, run
from ropewalk.threads.portal import Cancelled, Portal, PortalClosed, portal
from ropewalk.threads.sync import Sync, sync
from ropewalk.threads.watchdog import Watchdog

__all__ = [
    "DEFAULT",
    "Cancelled",
    "Deadlock",
    "HalfSync",
    "HalfSyncStatistics",
    "Late",
    "LoopOver",
    "NoSuchPool",
    "NotAWorker",
    "NotStarted",
    "Pool",
    "PoolFull",
    "Portal",
    "PortalClosed",
    "Sync",
    "Watchdog",
    "call",
    "call_soon",
    "check_cancelled",
    "declare",
    "half_sync",
    "portal",
    "run",
    "sync",
]
