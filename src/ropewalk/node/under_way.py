"""Under way: so many calls of a kind at a time, shared among the keys that ask, however slow the other ends are.

Flow: a call -> UnderWay.of -> Slot; while it waits for its other end, somebody else may get its place
Never: lets one key have more than its share, or calls that are not taken up keep out those of others.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar

from ropewalk.node.notices import NodeBusy
from ropewalk.node.pieces import LONGEST_PAUSE

__all__ = ["Slot", "Take", "UnderWay"]

HELD_UP = 1.0  # seconds for which a call has waited for its other end before another key may have its place


class Slot:
    """The place of one call."""

    def __init__(self, key: bytes, kind: str, clock: Callable[[], float]) -> None:
        self.key, self.kind, self._clock = key, kind, clock
        self.since: float | None = None  # it waits for its other end
        self._task: asyncio.Task[object] | None = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """In the block the call waits for its other end, `LONGEST_PAUSE` at most: then it is cancelled."""
        self._task, self.since = asyncio.current_task(), self._clock()
        timer = asyncio.get_running_loop().call_later(LONGEST_PAUSE, self.end)
        try:
            yield
        finally:
            timer.cancel()
            self.since = None

    async def taken(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces, for each of which the other end is waited for."""
        while True:
            with self.waiting():
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece

    def end(self) -> None:
        """Cancel the call that waits."""
        if self._task is not None and self.since is not None:
            self._task.cancel()


Take = Callable[[str], AbstractContextManager[Slot]]  # room for one more call of a kind, while the block lasts


class UnderWay:
    """What is under way at a node: so many of a kind in all, and so many of one key, in however many sessions.

    Args:
        most: By kind, in all and for one key.
        clock: Seconds, monotonic.
    """

    MOST: ClassVar[Mapping[str, tuple[int, int]]] = {"put": (64, 24), "read": (64, 24), "wait": (1024, 128)}

    def __init__(
        self, most: Mapping[str, tuple[int, int]] = MOST, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._clock = most, clock
        self._slots: dict[str, dict[Slot, None]] = {kind: {} for kind in most}
        self._own: Counter[tuple[bytes, str]] = Counter()

    def now(self) -> Mapping[str, int]:
        """How many of each kind there are."""
        return {kind: len(slots) for kind, slots in self._slots.items()}

    def of(self, key: bytes) -> Take:
        """For sessions of a key: a context for each kind of call."""

        @contextmanager
        def one(kind: str) -> Iterator[Slot]:
            slot = self._entered(key, kind)
            try:
                yield slot
            finally:
                self._leave(slot)

        return one

    def _entered(self, key: bytes, kind: str) -> Slot:
        most, each = self._most[kind]
        own = self._own[key, kind]
        if own >= each or (len(self._slots[kind]) >= most and not self._made_room(kind, own + 1)):
            raise NodeBusy(f"too many calls of kind {kind} are under way here, {own} of them ours")
        slot = Slot(key, kind, self._clock)
        self._slots[kind][slot] = None
        self._own[key, kind] += 1
        return slot

    def _made_room(self, kind: str, own: int) -> bool:
        """End the call that has waited longest for its other end, of a key that has more than ``own``."""
        before = self._clock() - HELD_UP
        stuck = [
            (slot.since, number, slot)
            for number, slot in enumerate(self._slots[kind])
            if slot.since is not None and slot.since <= before and self._own[slot.key, kind] > own
        ]
        if not stuck:
            return False
        slot = min(stuck)[2]
        slot.end()
        self._leave(slot)
        return True

    def _leave(self, slot: Slot) -> None:
        if slot in self._slots[slot.kind]:
            del self._slots[slot.kind][slot]
            self._own[slot.key, slot.kind] -= 1
            if not self._own[slot.key, slot.kind]:
                del self._own[slot.key, slot.kind]
