"""Health: what is known of one store: whether it answers, how quickly, and whether it takes anything.

Flow: Pool, after each call -> Health -> Pool, before the next
Never: asks the store; what is known of it comes from the calls that had to be made anyway.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

__all__ = ["LATE", "QUICKEST_HEDGE", "REST", "SLOWEST_HEDGE", "Health"]

REST = 5.0  # seconds that a store which did not answer is left alone; a disk that comes back is used within this time
LATE = 2  # late reads in a row after which a store is left alone for as long, where others can do
SLOWEST_HEDGE = 0.5  # seconds; a hung store adds no more than this to a read
QUICKEST_HEDGE = 0.15  # seconds; below this a busy machine would make us read twice what is merely queued
LARGE = 256 * 1024  # bytes of a read from which on its time says more of the way than of the store
QUICKEST_PACE, SLOWEST_PACE = 32 << 20, 8 << 20  # bytes a second that a large read may take beyond a hedge
_SAMPLES = 32


@dataclass(slots=True)
class Health:
    """One store's.  Times are a monotonic clock's, in seconds.

    Attributes:
        refusal: How it stands where it took nothing when last asked to, or "" where it did, or was not asked since.
        left: Calls that have not come back and that nobody waits for; it is not asked again before they do.
    """

    refusal: str = ""
    left: int = 0
    _why: str = ""
    _down_until: float = float("-inf")
    _heard: float = float("-inf")
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))  # of small reads
    _paces: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))  # seconds a byte, of large ones
    _late: int = 0  # times in a row that others were asked instead
    _late_until: float = float("-inf")

    def why_down(self, now: float) -> str | None:
        """Why it is not asked now, or None where it is."""
        return self._why if self.left or now < self._down_until else None

    def rest(self, now: float, why: str) -> None:
        """It did not answer: it is left alone for a while."""
        self._down_until, self._why = now + REST, why

    def wake(self, now: float) -> None:
        """It answered while it was left alone: it is asked again."""
        self._down_until = now
        self.hear(now)

    def leave(self, why: str) -> None:
        """A call does not come back: it is left alone until one that was `left` does."""
        self.left += 1
        self._why = why

    def hear(self, now: float) -> None:
        """It did something for us."""
        self._heard = now

    def heard(self, now: float, within: float) -> bool:
        """Whether it did something for us so shortly before."""
        return now - self._heard < within

    def read(self, now: float, seconds: float, size: int = 0) -> None:
        """A read of so many bytes took so long."""
        self.hear(now)
        if size < LARGE:
            self._times.append(seconds)
        else:
            self._paces.append(seconds / size)
        self._late, self._late_until = 0, float("-inf")

    def hedge(self, size: int = 0) -> float:
        """Seconds after which a read is also tried elsewhere.

        Args:
            size: Bytes of all that is read at the same time: these share one way.
        """
        waits = min(max(4 * _usual(self._times), QUICKEST_HEDGE), SLOWEST_HEDGE)
        pace = min(max(2 * _usual(self._paces), 1 / QUICKEST_PACE), 1 / SLOWEST_PACE)
        return waits + (size * pace if size >= LARGE else 0.0)

    def was_late(self, now: float) -> None:
        """A read takes so long that others are asked instead."""
        self._late += 1
        if self._late >= LATE:
            self._late_until = now + REST

    def is_late(self, now: float) -> bool:
        """Whether reads had better go to other stores, where these can do."""
        return now < self._late_until


def _usual(samples: deque[float]) -> float:
    """What most of them do not exceed."""
    return sorted(samples)[int(len(samples) * 0.95)] if samples else 0.0
