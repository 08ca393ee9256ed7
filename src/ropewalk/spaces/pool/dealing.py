"""Dealing: what has become of the shares of a pack while they are being put, each into a store of its own.

Flow: Pool.put_shares -> outcomes of puts -> Dealing -> which shares go where next
Never: puts anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from ropewalk.errors import RopewalkError
from ropewalk.spaces.pack.packing import Share
from ropewalk.spaces.pool.calls import Call

__all__ = ["Dealing"]


class Dealing:
    """The shares of one pack.

    Args:
        shares: Those that are to be placed.
        have: The stores of those that lie somewhere already.
        enough: How many must be durable in all, or None where as many as can be.

    Attributes:
        kept: The stores of those that are durable now, without ``have``.
        failed: Why stores failed.
        todo: What is to be placed yet.
    """

    def __init__(self, shares: Sequence[Share], have: Mapping[int, str], enough: int | None) -> None:
        self._shares = {share.number: share for share in shares}
        self._have, self._enough = dict(have), enough
        self.kept: dict[int, str] = {}
        self.failed: dict[str, RopewalkError] = {}
        self.todo = dict(self._shares)
        self._late: dict[Call, tuple[int, str]] = {}  # puts that others were to do instead

    @property
    def placed(self) -> dict[int, str]:
        """The stores of all that are durable."""
        return {**self._have, **self.kept}

    @property
    def lacking(self) -> int:
        """How many more must be durable."""
        return 0 if self._enough is None else max(self._enough - len(self._have) - len(self.kept), 0)

    @property
    def late(self) -> bool:
        """Whether stores may bring shares yet that others were to take instead."""
        return bool(self._late)

    def note(
        self,
        numbers: Mapping[str, int],
        outcomes: Mapping[str, RopewalkError | None],
        left: Mapping[Call, str],
        behind: Callable[[str], bool],
    ) -> None:
        """Take in what became of some puts.

        Args:
            numbers: Which share each store was given.
            outcomes: What each said.
            left: Puts that go on, though others can do instead.
            behind: Whether a store is busy with a put that goes on.
        """
        for store, error in outcomes.items():
            if error is None:
                self.kept[numbers[store]] = store
            else:
                self.failed[store] = error
            if error is None or behind(store):  # it may bring it yet, and then there would be two
                del self.todo[numbers[store]]
        for task, store in left.items():
            number = numbers[store]
            self._late[task] = number, store
            if len(self.todo) < self.lacking:  # two of one share are better than none
                self.todo[number] = self._shares[number]

    async def wait_late(self) -> None:
        """Count what late stores brought after all, and wait for them as long as shares are lacking."""
        while self._late:
            done = {task for task in self._late if task.done()}
            if not done and not self.lacking:
                return
            for task in done or (await asyncio.wait(self._late, return_when=asyncio.FIRST_COMPLETED))[0]:
                number, store = self._late.pop(task)
                if not task.cancelled() and task.result() is None:
                    self.kept.setdefault(number, store)
                    self.failed.pop(store, None)
