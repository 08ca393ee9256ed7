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
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    _late: int = 0  # times in a row that others were asked instead
    _late_until: float = float("-inf")

    def why_down(self, now: float) -> str | None:
        """Why it is not asked now, or None where it is."""
        return self._why if self.left or now < self._down_until else None

    def rest(self, now: float, why: str) -> None:
        """It did not answer: it is left alone for a while."""
        self._down_until, self._why = now + REST, why

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

    def read(self, now: float, seconds: float) -> None:
        """A read took so long."""
        self.hear(now)
        self._times.append(seconds)
        self._late, self._late_until = 0, float("-inf")

    def hedge(self) -> float:
        """Seconds after which a read is also tried elsewhere."""
        times = sorted(self._times)
        usual = times[int(len(times) * 0.95)] if times else 0.0
        return min(max(4 * usual, QUICKEST_HEDGE), SLOWEST_HEDGE)

    def was_late(self, now: float) -> None:
        """A read takes so long that others are asked instead."""
        self._late += 1
        if self._late >= LATE:
            self._late_until = now + REST

    def is_late(self, now: float) -> bool:
        """Whether reads had better go to other stores, where these can do."""
        return now < self._late_until
