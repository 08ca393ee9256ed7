"""Private: the names of asyncio that are not public and that we use all the same, in one place.

CPython has no public way to take one turn of a loop at a time, nor to choose among what is ready.
Each minor version of Python can change these names; the test of this module says so before a user finds out.

Flow: kinds, tests -> lacking -> what this Python does not have
Never: works around a missing name: a loop that half works is worse than one that says why it does not run.
"""

from __future__ import annotations

import asyncio
import inspect
from asyncio import events
from functools import cache

__all__ = ["GUEST", "SIMULATED", "get_running", "lacking", "set_running"]

# Which loop runs in this thread.
get_running = events._get_running_loop  # noqa: SLF001
set_running = events._set_running_loop  # noqa: SLF001

# Of a selector loop: what one turn is made of, and what says that the loop runs.
GUEST = ("_run_once", "_stopping", "_thread_id", "_csock", "_asyncgen_firstiter_hook", "_asyncgen_finalizer_hook")
# Of a selector loop: the queue of what is ready, and how close a timer must be to be due.
SIMULATED = ("_ready", "_clock_resolution")

_OF_HANDLES = ("_callback",)


@cache
def lacking(names: tuple[str, ...]) -> str | None:
    """Which of ``names`` asyncio lacks, in words, or None."""
    loop = asyncio.SelectorEventLoop()
    try:
        missing = [f"SelectorEventLoop.{name}" for name in names if not hasattr(loop, name)]
        # The turn must still look at both, or setting them would change nothing.
        source = inspect.getsource(asyncio.BaseEventLoop)
        missing += [f"the use of self.{name}" for name in names if f"self.{name}" not in source and name != "_csock"]
    finally:
        loop.close()
    missing += [f"Handle.{name}" for name in _OF_HANDLES if not hasattr(asyncio.Handle, name)]
    return f"asyncio of this Python lacks {', '.join(missing)}" if missing else None
