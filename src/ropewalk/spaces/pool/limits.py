"""Limits: how many shares of a pack may lie on stores that fail as one, and which stores keep within that.

Choosing stores under limits of several kinds that cross each other is NP-hard.  Here it is a search that ends early in
all but contrived pools, and that says so where it was cut short: what it then gave is sound, and may not be the best.

Flow: stores, promise -> limits_of -> choose -> numbers of stores
Never: knows a store's name or its room: it is given an order, and takes the earliest that will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

__all__ = ["POOL_STEPS", "Choice", "Limit", "Loads", "choose", "least_cap", "way"]

PACK_STEPS = 64  # store decisions for one new pack in its own order; about 3 ms with 40 stores
POOL_STEPS = 4000  # store decisions for a pool as a whole, or for shares to be moved; at most a fraction of a second


class Limit(NamedTuple):
    """One kind asked for, with its values numbered."""

    kind: str
    s: int  # how many values may be lost
    values: tuple[int, ...]  # by store
    size: int  # how many values there are


class Choice(NamedTuple):
    """Stores for the shares of one pack.

    Attributes:
        stores: Their numbers.
        sure: Whether it is certain that no others keep the limits where these do not, or do it with fewer moves.
    """

    stores: list[int]
    sure: bool


class Loads:
    """How many of the chosen stores each value holds.

    Args:
        limits: The kinds that count.
        cap: Shares that the heaviest values of a kind may hold together.
    """

    def __init__(self, limits: Sequence[Limit], cap: int) -> None:
        self.limits, self.cap = limits, cap
        self.of = [[0] * limit.size for limit in limits]

    def add(self, store: int, by: int = 1) -> None:
        """Choose a store, or with -1 choose it no longer."""
        for load, limit in zip(self.of, self.limits, strict=True):
            load[limit.values[store]] += by

    def held(self, store: int, limit: Limit) -> int:
        """What the store's value holds, with the s-1 heaviest others."""
        return _held(self.of[self.limits.index(limit)], limit.values[store], limit.s)

    def bar(self, store: int) -> Limit | None:
        """The first limit that would be overstepped with this store, or None where it fits."""
        for load, limit in zip(self.of, self.limits, strict=True):
            if _held(load, limit.values[store], limit.s) >= self.cap:
                return limit
        return None


def choose(order: Sequence[int], kept: Sequence[int], n: int, limits: Sequence[Limit], cap: int) -> Choice:
    """n of the stores in ``order``: within the limits if that can be, with as many of ``kept`` as can be then.

    Where it cannot be, nothing gains by moving: first come all of ``kept``, then what fits, then the rest.

    Args:
        order: Numbers of stores, the most wanted first; ``kept`` stands at its beginning.
        kept: Those that hold a share already, ``n`` at most.
        n: How many.
        limits: The kinds that count.
        cap: Shares that the heaviest values of a kind may hold together.
    """
    if len(order) <= n:
        return Choice(list(order), sure=True)
    held = frozenset(kept)
    chosen = _in_turn(order, n, limits, cap)
    full = len(chosen) == n
    moves = len(held.difference(chosen)) if full else len(held) + 1
    search = _Search(order, held, n, limits, cap, POOL_STEPS if held else PACK_STEPS)
    for fewer in range(moves):
        if (found := search.run(fewer)) is not None:
            return Choice(found, sure=True)
        if search.cut:
            break
    if full:
        return Choice(chosen, sure=not search.cut)
    if search.cut and (some := way(tuple(limits), len(order), n, cap)) is not None:
        return Choice([i for i in order if i in some], sure=not held)
    chosen = _in_turn(order, n, limits, cap, start=kept)
    taken = set(chosen)
    return Choice(chosen + [i for i in order if i not in taken][: n - len(chosen)], sure=not search.cut)


@lru_cache(maxsize=256)
def way(limits: tuple[Limit, ...], stores: int, n: int, cap: int) -> frozenset[int] | None:
    """n of the stores within the limits, the same for all packs: what was found for the pool is found again."""
    found = _Search(range(stores), frozenset(), n, limits, cap, POOL_STEPS).run(0)
    return None if found is None else frozenset(found)


def least_cap(limit: Limit, n: int) -> int:
    """The fewest shares that the s heaviest values hold, when n are placed as well as this kind alone allows."""
    each = [limit.values.count(value) for value in range(limit.size)]
    return next(cap for cap in range(n + 1) if _reaches([0] * limit.size, each, limit.s, cap, n))


def _held(load: list[int], value: int, s: int) -> int:
    return load[value] + (sum(sorted(load[:value] + load[value + 1 :])[-(s - 1) :]) if s > 1 else 0)


def _in_turn(order: Sequence[int], n: int, limits: Sequence[Limit], cap: int, start: Sequence[int] = ()) -> list[int]:
    """Take each store that fits beside those taken before it; for nested kinds with one loss each this finds all."""
    loads = Loads(limits, cap)
    chosen = list(start)
    for i in chosen:
        loads.add(i)
    taken = set(chosen)
    for i in order:
        if len(chosen) == n:
            break
        if i not in taken and loads.bar(i) is None:
            loads.add(i)
            chosen.append(i)
    return chosen


class _Search:
    """Every choice of n stores, in the order of the stores, until one keeps within the limits."""

    def __init__(
        self, order: Sequence[int], kept: frozenset[int], n: int, limits: Sequence[Limit], cap: int, steps: int
    ) -> None:
        self._order, self._kept, self._n, self._limits, self._cap = order, kept, n, limits, cap
        self._steps = steps
        self.cut = False  # whether steps ran out, so that nothing follows from what was not found

    def run(self, moves: int) -> list[int] | None:
        """The earliest stores that will do with so many of the kept ones left out at most, or None."""
        self._loads = Loads(self._limits, self._cap)
        self._left = [[0] * limit.size for limit in self._limits]
        for i in self._order:
            self._leave(i, 1)
        self._chosen: list[int] = []
        self._vain: set[tuple[object, ...]] = set()  # from where there was no way on; no more than steps
        return self._chosen if self._can_still() and self._decide(0, moves) else None

    def _leave(self, store: int, by: int) -> None:
        for left, limit in zip(self._left, self._limits, strict=True):
            left[limit.values[store]] += by

    def _can_still(self) -> bool:
        return all(
            _reaches(load, more, limit.s, self._cap, self._n)
            for load, more, limit in zip(self._loads.of, self._left, self._limits, strict=True)
        )

    def _decide(self, at: int, moves: int) -> bool:
        if len(self._chosen) == self._n:
            return True
        if len(self._chosen) + len(self._order) - at < self._n:
            return False
        if self._steps == 0:
            self.cut = True
            return False
        # What lies behind decides nothing but this; the values of what was chosen may stand for many choices.
        here = (at, moves, *(tuple(load) for load in self._loads.of))
        if here in self._vain:
            return False
        self._steps -= 1
        if self._with(at, moves) or self._without(at, moves):
            return True
        if not self.cut:
            self._vain.add(here)
        return False

    def _with(self, at: int, moves: int) -> bool:
        store = self._order[at]
        if self._loads.bar(store) is not None:
            return False
        self._leave(store, -1)
        self._loads.add(store)
        self._chosen.append(store)
        if self._can_still() and self._decide(at + 1, moves):
            return True
        self._chosen.pop()
        self._loads.add(store, -1)
        self._leave(store, 1)
        return False

    def _without(self, at: int, moves: int) -> bool:
        store = self._order[at]
        moves -= store in self._kept
        if moves < 0:
            return False
        self._leave(store, -1)
        if self._can_still() and self._decide(at + 1, moves):
            return True
        self._leave(store, 1)
        return False


def _reaches(loads: Sequence[int], left: Sequence[int], s: int, cap: int, n: int) -> bool:
    """Whether one limit alone lets n shares fit; exactly so when ``loads`` is all zeros, else never wrongly False.

    With t the load of the s-th heaviest value, none after it exceeds t, and those before it exceed t by at most
    cap - s*t in all.
    """
    most = [load + more for load, more in zip(loads, left, strict=True)]
    if s == 1:
        return sum(min(load, cap) for load in most) >= n
    for t in range(cap // s, -1, -1):
        spare = cap - s * t
        over = [load - t for load in loads if load > t]
        if len(over) < s and sum(over) <= spare:
            beyond = sorted(load - t for load in most if load > t)[-(s - 1) :]
            if sum(min(load, t) for load in most) + min(spare, sum(beyond)) >= n:
                return True
    return False
