"""Values: what is counted, at the price of an addition.

Flow: a family's `of` -> Counter, Gauge or Histogram, kept by whoever counts -> `inc`, `set`, `observe`
Never: takes a lock where the interpreter already makes an addition whole, knows names or labels.

Why there is no lock: CPython with a GIL lets another thread (or a signal handler) in only where it checks its eval
breaker: on entry to a function, at a backward jump, and when a call returns.
`self.value += amount` is a load, an addition and a store; between them is none of these, as long as the addition
itself runs no Python code, which int and float do not, and as long as nothing is freed that has a finalizer, which
old numbers have not.  So the addition is whole for every thread.  `observe` calls bisect first, and then adds to its
bucket and to its sum in one such run.
Where that does not hold (a build without the GIL, another interpreter) the locked classes are used instead.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Sequence
from threading import Lock

from ropewalk.errors import Misuse

__all__ = [
    "BYTES",
    "COUNTER",
    "GAUGE",
    "HISTOGRAM",
    "SECONDS",
    "Counter",
    "Gauge",
    "Histogram",
    "LockedCounter",
    "LockedGauge",
    "LockedHistogram",
    "WrongValue",
]

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BYTES = (64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


class WrongValue(Misuse):
    """A number that cannot be counted."""

    code = "metrics.value"


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, amount: float = 1) -> None:
        """Add to it.

        Raises:
            WrongValue: The amount is negative or not a number.
        """
        if not amount >= 0:
            raise WrongValue(f"amount added to a counter is {amount}, expected 0 or more")
        self.value += amount


class Gauge:
    """A number that goes up and down."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def set(self, value: float) -> None:
        """This is the number now."""
        self.value = value

    def inc(self, amount: float = 1) -> None:
        """Add to it."""
        self.value += amount

    def dec(self, amount: float = 1) -> None:
        """Take from it."""
        self.value -= amount


class Histogram:
    """How many observations fell below each of some bounds, and their sum.

    Attributes:
        bounds: Upper bounds, themselves inside their bucket; what is above the last is counted too.
        counts: How many fell into each bucket, one more of them than bounds.
        sum: All observations added up.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum: float = 0

    @property
    def count(self) -> int:
        """How many were observed."""
        return sum(self.counts)

    def observe(self, value: float) -> None:
        """Count one observation.

        Raises:
            WrongValue: It is not a number; the sum would stay so for ever.
        """
        if value != value:  # the cheapest test for NaN
            raise WrongValue(f"observed value is {value}, expected a number")
        at = bisect_left(self.bounds, value)
        # No call and no jump from here on: see the top.
        self.counts[at] += 1
        self.sum += value

    def reading(self) -> tuple[list[int], float]:
        """The counts and the sum that belong together."""
        counts = self.counts[:]
        return counts, self.sum


class LockedCounter(Counter):
    """A counter for interpreters whose additions are not whole."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()

    def inc(self, amount: float = 1) -> None:
        with self._lock:
            super().inc(amount)


class LockedGauge(Gauge):
    """A gauge for interpreters whose additions are not whole."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()

    def set(self, value: float) -> None:
        with self._lock:  # not in the middle of an addition, which would undo it
            super().set(value)

    def inc(self, amount: float = 1) -> None:
        with self._lock:
            super().inc(amount)

    def dec(self, amount: float = 1) -> None:
        with self._lock:
            super().dec(amount)


class LockedHistogram(Histogram):
    """A histogram for interpreters whose additions are not whole."""

    __slots__ = ("_lock",)

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        super().__init__(bounds)
        self._lock = Lock()

    def observe(self, value: float) -> None:
        with self._lock:
            super().observe(value)

    def reading(self) -> tuple[list[int], float]:
        with self._lock:
            return super().reading()


# By the build and not by whether the GIL is on at the moment: an import may turn it on for as long as it lasts.
_WHOLE = sys.implementation.name == "cpython" and "free-threading" not in sys.version
COUNTER: type[Counter] = Counter if _WHOLE else LockedCounter
GAUGE: type[Gauge] = Gauge if _WHOLE else LockedGauge
HISTOGRAM: type[Histogram] = Histogram if _WHOLE else LockedHistogram
