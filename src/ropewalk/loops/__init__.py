"""Loops: which event loop a program runs on: asyncio's, uvloop's, a guest of Qt's, or a simulated one.

Flow: run(main(), loop=...) -> LoopKind -> a loop -> asyncio.Runner
Never: sets an event loop policy, or imports uvloop or Qt before one of their loops is asked for.
"""

from __future__ import annotations

from ropewalk.loops.guest import GuestLoop, NotAGuest, call_in_host
from ropewalk.loops.interface import FEATURES, Host, LoopInLoop, LoopKind, LoopUnavailable, NoSuchLoop
from ropewalk.loops.kinds import kind, kinds, run
from ropewalk.loops.simulated import Deadlock, NotSimulated, Simulated, SimulatedLoop, explore

__all__ = [
    "FEATURES",
    "Deadlock",
    "GuestLoop",
    "Host",
    "LoopInLoop",
    "LoopKind",
    "LoopUnavailable",
    "NoSuchLoop",
    "NotAGuest",
    "NotSimulated",
    "Simulated",
    "SimulatedLoop",
    "call_in_host",
    "explore",
    "kind",
    "kinds",
    "run",
]
