"""Limits: how often a login may fail, for one address and for one name, before it is put off.

Flow: address, name -> wait_for -> seconds; a login -> attempted, and succeeded if it did
Never: remembers more than so many of them, or punishes a name everywhere for what one address does to it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FailureLimits", "Rate"]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many failures at once, and one more for every so many seconds."""

    burst: int
    seconds: float


class FailureLimits:
    """Counts failures in buckets that fill with time.

    A bucket is kept for each address, and for each name tried from it; one for each name from everywhere is wider, so
    that who knows a name can slow its owner down but not lock them out.

    Args:
        clock: Seconds, of a clock that does not jump.
        address: For one address.
        pair: For one name from one address.
        name: For one name from everywhere.
        most: Buckets that are remembered; the longest unused goes first.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        address: Rate = Rate(20, 6),
        pair: Rate = Rate(5, 30),
        name: Rate = Rate(50, 3),
        most: int = 10_000,
    ) -> None:
        self._clock = clock
        self._rates = {"address": address, "pair": pair, "name": name}
        self._most = most
        self._buckets: OrderedDict[tuple[str, str, str], tuple[float, float]] = OrderedDict()  # level, at

    def wait_for(self, address: str, name: str) -> float:
        """Seconds until a login may be tried again; 0: now."""
        return max((self._wait(key) for key in self._keys(address, name)), default=0.0)

    def attempted(self, address: str, name: str) -> None:
        """A login begins; it counts as failed until it succeeds, so that many at once are no way around."""
        for key in self._keys(address, name):
            self._buckets[key] = (self._level(key) + 1, self._clock())
            self._buckets.move_to_end(key)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """A login that was attempted did; what was tried for this name from here before was its owner's."""
        for key in self._keys(address, name):
            if key[0] == "pair":
                self._buckets.pop(key, None)
            elif key in self._buckets:
                self._buckets[key] = (max(0.0, self._level(key) - 1), self._clock())

    def _keys(self, address: str, name: str) -> list[tuple[str, str, str]]:
        keys = [("address", address, "")] if address else []
        return keys + ([("pair", address, name), ("name", "", name)] if name else [])

    def _level(self, key: tuple[str, str, str]) -> float:
        level, at = self._buckets.get(key, (0.0, 0.0))
        return max(0.0, level - (self._clock() - at) / self._rates[key[0]].seconds) if level else 0.0

    def _wait(self, key: tuple[str, str, str]) -> float:
        rate = self._rates[key[0]]
        return max(0.0, (self._level(key) + 1 - rate.burst) * rate.seconds)
