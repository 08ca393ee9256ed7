"""Keeping: the part of a space that keeps its promise: mending what is there, and moving what must go elsewhere.

Flow: Space -> repair, evacuate -> reports
Never: runs beside another change of this device; an evacuation lets others have their turn every now and then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ropewalk.spaces.core import Core
from ropewalk.spaces.current import Current
from ropewalk.spaces.evacuate import Evacuated, evacuate
from ropewalk.spaces.following import Following
from ropewalk.spaces.repair import RepairReport, repair
from ropewalk.spaces.survey import Progress, silent
from ropewalk.spaces.turns import Turns

__all__ = ["Keeping"]


class Keeping:
    """What a space does for its promise."""

    core: Core
    _turns: Turns
    _following: Following
    _current: Current | None
    _moves: int = 0

    def _look_anew(self) -> None:
        """The space may stand elsewhere: what is shown is old, and so is what a look that is under way comes to."""
        self._current, self._moves = None, self._moves + 1

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        async with self._turns.take():
            try:
                yield
            finally:
                self._look_anew()

    async def repair(self, progress: Progress = silent) -> RepairReport:
        """Mend all that can be mended now; it may be stopped at any point and run again.

        Args:
            progress: Told how many packs are done, and how many there are to mend.
        """
        async with self._turn():
            return await repair(self.core, progress)

    async def evacuate(self, store: str, progress: Progress = silent, *, delete: bool = True) -> Evacuated:
        """Bring what a draining store has to others; it may be stopped at any point and run again.

        Args:
            store: One that the settings say is draining.
            progress: Told how many packs are done, and how many there are to move.
            delete: Whether what was brought elsewhere is deleted there.

        Raises:
            Misuse: It is not draining, or not of this space.
            StoreNeeded: The promise could not be kept without it.
            DrainEnded: It drains no more; what was moved is elsewhere, the rest stays.
        """
        await self._following.look()
        return await evacuate(self.core, store, self._turn, progress, delete=delete)
