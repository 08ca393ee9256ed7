"""Health: what is known of one store: whether it answers, how quickly, and whether it takes anything.

Flow: Pool, after each call -> Health -> Pool, before the next
Never: asks the store; what is known of it comes from the calls that had to be made anyway.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

__all__ = ["FORGIVEN", "LATE", "MOST_BEHIND", "QUICKEST_HEDGE", "REST", "SLOWEST_HEDGE", "Health", "Seen", "hedge_of"]

REST = 5.0  # seconds that a store which did not answer is left alone; a disk that comes back is used within this time
LATE = 2  # calls in a row that were slower than those of others, from which on no write waits for a store
SOON = 0.5  # seconds after a late read in which a store may show that it was a hiccup; after more of them, `REST`
FORGIVEN = 60.0  # seconds after which reads go to a slow store again though none has shown that it is quicker now
SLOWEST_HEDGE = 0.5  # seconds; a hung store adds no more than this to a read
QUICKEST_HEDGE = 0.15  # seconds; below this a busy machine would make us read twice what is merely queued
LARGE = 256 * 1024  # bytes of a read from which on its time says more of the way than of the store
QUICKEST_PACE, SLOWEST_PACE = 32 << 20, 8 << 20  # bytes a second that a large read may take beyond a hedge
MOST_BEHIND = 8  # calls to one store that go on though nobody waits for them; beyond, what it lacks is owed
MOST_BEHIND_BYTES = 32 << 20  # that these may carry together, for as long as they last
_SAMPLES = 32


@dataclass(frozen=True, slots=True)
class Seen:
    """What can be told of a store without asking it; times in seconds.

    Attributes:
        ago: Since it last did something for us; None where it never did.
        usual: What most small reads do not exceed, 0 before the first.
        pace: The same, a byte of large ones.
        reads: How long the last small reads took, oldest first.
        slow: Whether others are not held up for it, or reads had better go elsewhere.
        under_way: Calls that nobody waits for any more.
    """

    ago: float | None
    usual: float
    pace: float
    reads: tuple[float, ...]
    slow: bool
    under_way: int


@dataclass(slots=True)
class Health:
    """One store's.  Times are a monotonic clock's, in seconds.

    Attributes:
        refusal: How it stands where it took nothing when last asked to, or "" where it did, or was not asked since.
        usual: Seconds that most small reads do not exceed, 0 before the first.
        pace: Seconds a byte that most large reads do not exceed, 0 before the first.
    """

    refusal: str = ""
    usual: float = 0.0
    pace: float = 0.0
    _why: str = ""
    _down_until: float = float("-inf")
    _heard: float = float("-inf")
    _left: dict[object, tuple[float, int]] = field(default_factory=dict)  # by call: when it hangs, bytes it carries
    _slow: int = 0  # calls in a row that took longer than those of others
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))  # of small reads
    _paces: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))  # seconds a byte, of large ones
    _late: int = 0  # reads in a row that others were asked for instead
    _late_until: float = float("-inf")
    _trial: float = float("-inf")  # when a read may show again how quick it is

    def why_down(self, now: float) -> str | None:
        """Why it is not asked now, or None where it is."""
        hangs = any(now >= until for until, _ in self._left.values())
        return self._why if hangs or now < self._down_until else None

    def rest(self, now: float, why: str) -> None:
        """It did not answer: it is left alone for a while."""
        self._down_until, self._why = now + REST, why

    def wake(self, now: float) -> None:
        """It answered while it was left alone: it is asked again."""
        self._down_until = now
        self.hear(now)

    def hear(self, now: float) -> None:
        """It did something for us."""
        self._heard = now

    def heard(self, now: float, within: float = math.inf) -> bool:
        """Whether it did something for us so shortly before, or ever."""
        return now - self._heard < within

    def seen(self, now: float) -> Seen:
        """What can be told of it."""
        ago = None if self._heard == -math.inf else max(now - self._heard, 0.0)
        slow = self.slow or self.is_late(now)
        return Seen(ago, self.usual, self.pace, tuple(self._times), slow, len(self._left))

    # -- calls that nobody waits for -------------------------------------------------------------------------------

    @property
    def behind(self) -> bool:
        """Whether calls are under way that nobody waits for."""
        return bool(self._left)

    @property
    def slow(self) -> bool:
        """Whether others that will do are not held up for it."""
        return bool(self._left) or self._slow >= LATE

    def crowded(self, size: int) -> bool:
        """Whether so much is under way already that a call with so many bytes had better not be made."""
        under_way = sum(carried for _, carried in self._left.values())
        return len(self._left) >= MOST_BEHIND or (self.behind and under_way + size > MOST_BEHIND_BYTES)

    def leave(self, call: object, why: str, hangs: float, size: int = 0) -> None:
        """A call is not waited for any longer; from ``hangs`` on the store is left alone until it comes back."""
        self._left[call] = hangs, size
        self._slow += 1
        self._why = why

    def come_back(self, call: object, *, in_time: bool) -> None:
        """A call that was left has come back, ``in_time`` if it was as quick as those of others."""
        self._left.pop(call, None)
        if in_time:
            self._slow = 0

    def did(self, *, in_time: bool) -> None:
        """A call came back while it was waited for."""
        self._slow = 0 if in_time else self._slow + 1

    def slow_before(self, now: float) -> None:
        """It was slow when it was last used: it is taken for slow until it shows otherwise."""
        self._slow, self._late = LATE, 1
        self._late_until, self._trial = now + FORGIVEN, now

    def welcome(self) -> None:
        """It opened in good time: it is a store like any."""
        self._slow = self._late = 0

    # -- reads -----------------------------------------------------------------------------------------------------

    def read(self, now: float, seconds: float, size: int, limit: float) -> None:
        """A read of so many bytes took so long; beyond the limit, others would have been asked."""
        self.hear(now)
        if size < LARGE:
            self._times.append(seconds)
            self.usual = _usual(self._times)
        else:
            self._paces.append(seconds / size)
            self.pace = _usual(self._paces)
        if seconds > limit:
            self.was_late(now)
        else:
            self._late = 0

    def was_late(self, now: float) -> None:
        """A read takes so long that others are asked instead."""
        self._late += 1
        self._late_until, self._trial = now + FORGIVEN, now + (SOON if self._late == 1 else REST)

    def is_late(self, now: float) -> bool:
        """Whether reads had better go to other stores, where these can do."""
        return self._late > 0 and now < self._late_until

    def is_on_trial(self, now: float) -> bool:
        """Whether it is time for a read that nobody waits for, to see if it is still late; asked once for each."""
        if not self.is_late(now) or now < self._trial:
            return False
        self._trial = now + REST
        return True


def hedge_of(stores: Iterable[Health], size: int = 0) -> float:
    """Seconds after which a read is also tried elsewhere: what half of these stores would have done by then, and more.

    Args:
        stores: Those that could be asked.
        size: Bytes of all that is read at the same time: these share one way.
    """
    known = list(stores)
    waits = min(max(4 * _middle(one.usual for one in known), QUICKEST_HEDGE), SLOWEST_HEDGE)
    if size < LARGE:
        return waits
    return waits + size * min(max(2 * _middle(one.pace for one in known), 1 / QUICKEST_PACE), 1 / SLOWEST_PACE)


def _middle(times: Iterable[float]) -> float:
    return median([one for one in times if one] or [0.0])


def _usual(samples: deque[float]) -> float:
    """What most of them do not exceed."""
    return sorted(samples)[int(len(samples) * 0.95)]
