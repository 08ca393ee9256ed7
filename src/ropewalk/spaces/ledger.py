"""Ledger: the local state, reached from the event loop without blocking it.

Flow: coroutine -> Ledger.do -> one thread -> State; make_room, where the disk is full
Never: lets two threads into the state at once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from ropewalk.spaces.state import SUSPECT, State, StateDamaged, StateFull, explained

__all__ = ["Ledger"]

P = ParamSpec("P")
T = TypeVar("T")


class Ledger:
    """A `State` and the one thread that may use it.

    Args:
        path: The file.
        make_room: Called before the state is used, with False, and after it failed on a full disk, with True; whatever
            can be had again should make room for it then.
    """

    def __init__(self, path: Path, make_room: Callable[[bool], None] = lambda _: None) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ropewalk-state")
        self._path, self._make_room = path, make_room
        self._state: State | None = None

    async def open(self) -> None:
        """Open or make the file.

        Raises:
            StateDamaged: It does not open.
            StateTooNew: A later version of the software wrote it.
            StateUnavailable: It cannot be used now.
        """
        loop = asyncio.get_running_loop()
        self._state = await loop.run_in_executor(self._thread, self._open)

    def _open(self) -> State:
        self._make_room(False)
        try:
            return State(self._path)
        except StateFull:
            self._make_room(True)
            return State(self._path)

    async def do(self, work: Callable[Concatenate[State, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work(state, ...)`` in the thread of the state; it is not interrupted once it has begun.

        What is found damaged is marked, so that the next opening puts it aside.

        Raises:
            StateDamaged, StateUnavailable.
        """
        state = self._state
        assert state is not None
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._run, lambda: work(state, *args, **kwargs))
        except (sqlite3.Error, StateDamaged) as error:
            found = explained(error, f"local state {self._path.name}") if isinstance(error, sqlite3.Error) else error
            if isinstance(found, StateDamaged):
                self._path.with_name(self._path.name + SUSPECT).touch()
            raise found from None

    def _run(self, work: Callable[[], T]) -> T:
        self._make_room(False)
        try:
            return work()
        except sqlite3.Error as error:  # it is not done again: some of it may have been done
            if isinstance(explained(error, ""), StateFull):
                self._make_room(True)
            raise

    async def aclose(self) -> None:
        """Close the file, after what is under way."""
        if self._state is not None:
            await self.do(State.close)
            self._state = None
        self._thread.shutdown(wait=False)
