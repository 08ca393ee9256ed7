"""Work: something that a talk does, and that its visitor can stop.

Flow: Work.run -> a task of who waits for it -> its result, or why it was stopped
Never: returns before the task has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ropewalk.terminal.interface import Ended, Interrupted

__all__ = ["Work"]

T = TypeVar("T")


class Work:
    """What a terminal's talk is busy with, if anything."""

    def __init__(self) -> None:
        self._stopped: asyncio.Future[Ended | Interrupted] | None = None

    async def run(self, work: Coroutine[Any, Any, T], over: Ended | None) -> T:
        """Do it.

        Args:
            over: Why it is to be stopped at once; None where it is not.

        Raises:
            Interrupted, Ended: It was stopped.
        """
        loop = asyncio.get_running_loop()
        task = loop.create_task(work)
        stopped = self._stopped = loop.create_future()
        if over is not None:
            self.stop(over)
        try:
            await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopped = None
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
        if task.cancelled() and stopped.done():
            raise stopped.result()
        return task.result()

    def stop(self, why: Ended | Interrupted) -> bool:
        """Stop it; False where there is nothing to stop."""
        if self._stopped is None:
            return False
        if not self._stopped.done():
            self._stopped.set_result(why)
        return True
