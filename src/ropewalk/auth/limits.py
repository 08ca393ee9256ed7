"""Limits: how often a login may fail, for one address and for one name, before it is put off.

Flow: address, name -> wait_for -> seconds; a login -> attempted, and succeeded if it did
Never: remembers more than so many of them, or lets strangers lock somebody out where they have been in before.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from ropewalk.errors import Misuse

__all__ = ["FailureLimits", "Rate"]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many failures at once, and one more for every so many seconds."""

    burst: int
    seconds: float

    def __post_init__(self) -> None:
        if self.burst < 1 or not 0 < self.seconds < math.inf:
            raise Misuse(
                f"got {self.burst} and {self.seconds:g} s, expected a burst of 1 or more and seconds more than 0"
            )


class FailureLimits:
    """Counts failures in buckets that empty with time.

    A bucket is kept for each address, and for each name tried from it; one for each name from everywhere is wider.
    Where a name has been in before, only the bucket of the two holds it back: neither guesses from elsewhere nor what
    others do behind the same address lock its owner out.
    An IPv6 address counts by its /64, the least that a customer gets, and in a wider bucket by its /48.

    Args:
        clock: Seconds, of a clock that does not jump.
        address: For one address.
        pair: For one name from one address.
        name: For one name from everywhere.
        site: For the /48 of an IPv6 address.
        most: Buckets that are remembered, and as many places where a name has been in; the longest unused go first.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        address: Rate = Rate(20, 6),
        pair: Rate = Rate(5, 30),
        name: Rate = Rate(50, 3),
        site: Rate = Rate(200, 0.6),
        most: int = 10_000,
    ) -> None:
        self._clock = clock
        self._rates = {"address": address, "pair": pair, "name": name, "site": site}
        self._most = most
        self._buckets: OrderedDict[tuple[str, str, str], tuple[float, float]] = OrderedDict()  # level, at
        self._been_in: OrderedDict[tuple[str, str, str], None] = OrderedDict()  # keys of pairs

    @property
    def remembered(self) -> int:
        """Buckets and places, of which there are at most twice ``most``."""
        return len(self._buckets) + len(self._been_in)

    def wait_for(self, address: str, name: str) -> float:
        """Seconds until a login may be tried again; 0: now."""
        keys = self._keys(address, name)
        if keys and keys[0] in self._been_in:
            keys = keys[:1]
        return max((self._wait(key) for key in keys), default=0.0)

    def attempted(self, address: str, name: str) -> None:
        """A login begins; it counts as failed until it succeeds, so that many at once are no way around."""
        for key in self._keys(address, name):
            self._buckets[key] = (min(self._level(key) + 1, self._rates[key[0]].burst), self._clock())
            self._buckets.move_to_end(key)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """A login that was attempted did; what was tried for this name from here before was its owner's."""
        for key in self._keys(address, name):
            if key[0] == "pair":
                self._buckets.pop(key, None)
                self._been_in[key] = None
                self._been_in.move_to_end(key)
            elif key in self._buckets:
                self._buckets[key] = (max(0.0, self._level(key) - 1), self._clock())
        while len(self._been_in) > self._most:
            self._been_in.popitem(last=False)

    def _keys(self, address: str, name: str) -> list[tuple[str, str, str]]:
        """The pair first, where there is one."""
        network, site = _networks(address)
        keys = [("pair", network, name), ("name", "", name)] if name else []
        keys += [("address", network, "")] if network else []
        return keys + ([("site", site, "")] if site else [])

    def _level(self, key: tuple[str, str, str]) -> float:
        level, at = self._buckets.get(key, (0.0, 0.0))
        return max(0.0, level - (self._clock() - at) / self._rates[key[0]].seconds) if level else 0.0

    def _wait(self, key: tuple[str, str, str]) -> float:
        rate = self._rates[key[0]]
        return max(0.0, (self._level(key) + 1 - rate.burst) * rate.seconds)


def _networks(address: str) -> tuple[str, str]:
    """What counts as one address, and as one site if there are such; what is no address counts as it is."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:256], ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed), ""
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped), ""
    return parsed.packed[:8].hex(), parsed.packed[:6].hex()
