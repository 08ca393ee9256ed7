"""Limits: how many shares of a pack may lie on stores that fail as one, and which stores keep within that.

One kind or two, of which one value each may be lost, are a matching: the best there is is found.  With more kinds that
cross each other, or more losses, choosing stores is NP-hard.  There it is a search that ends early in all but contrived
pools, and that says so where it was cut short: what it then gave is sound, and may not be the best.

Flow: limits, order of stores -> choose -> numbers of stores
Never: knows a store's name or its room: it is given an order, and takes the earliest where it can choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ropewalk.spaces.pool.matching import matched

__all__ = ["POOL_STEPS", "Choice", "Limit", "Loads", "choose", "least_cap", "way"]

PACK_STEPS = 4_000  # looks at a store for one new pack in its own order; some 8 ms
POOL_STEPS = 200_000  # looks at a store for a pool as a whole, or for shares to be moved; a fraction of a second


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
        chosen: Stores that are chosen already.
    """

    def __init__(self, limits: Sequence[Limit], cap: int, chosen: Sequence[int] = ()) -> None:
        self.limits, self.cap = limits, cap
        self.of = [[0] * limit.size for limit in limits]
        for store in chosen:
            self.add(store)

    def add(self, store: int) -> None:
        """Choose a store."""
        for load, limit in zip(self.of, self.limits, strict=True):
            load[limit.values[store]] += 1

    def held(self, store: int, limit: Limit) -> int:
        """What the store's value holds, with the s-1 heaviest others."""
        load, value = self.of[self.limits.index(limit)], limit.values[store]
        return load[value] + sum(sorted(load[:value] + load[value + 1 :], reverse=True)[: limit.s - 1])

    def bar(self, store: int) -> Limit | None:
        """The first limit that would be overstepped with this store, or None where it fits."""
        for load, limit in zip(self.of, self.limits, strict=True):
            if load[limit.values[store]] >= _full_from(load, limit.s, self.cap):
                return limit
        return None

    def fitting(self, stores: Sequence[int]) -> list[int]:
        """Those of the stores that fit, each alone."""
        for load, limit in zip(self.of, self.limits, strict=True):
            full = _full_from(load, limit.s, self.cap)
            stores = [store for store in stores if load[limit.values[store]] < full]
        return list(stores)


def _full_from(load: Sequence[int], s: int, cap: int) -> int:
    """The load from which on a value takes no more; a lighter one would not come among the s heaviest, or has room."""
    if s == 1:
        return cap
    heaviest = [*sorted(load, reverse=True)[:s], *[0] * s][:s]
    left = cap - sum(heaviest[:-1])
    return left if heaviest[-1] >= left else cap


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
    greedy = _in_turn(order, n, limits, cap)
    if len(greedy) == n and held.issubset(greedy):
        return Choice(greedy, sure=True)
    sure = True
    if _match(limits):
        found = matched(order, held, n, limits[0].values, limits[-1].values, cap)
    else:
        found, sure = _searched(order, held, n, limits, cap, greedy)
    if found is None:
        found = _in_turn(order, n, limits, cap, start=kept)
        found += [i for i in order if i not in found][: n - len(found)]
    return Choice(found, sure)


@lru_cache(maxsize=256)
def way(limits: tuple[Limit, ...], stores: int, n: int, cap: int) -> frozenset[int] | None:
    """n of the stores within the limits, the same for all packs: what was found for the pool is found again."""
    order = range(stores)
    found: list[int] | None = _in_turn(order, n, limits, cap)
    if found is not None and len(found) == n:
        return frozenset(found)
    if _match(limits):
        found = matched(order, frozenset(), n, limits[0].values, limits[-1].values, cap)
    else:
        found = _Search(order, frozenset(), n, limits, cap, POOL_STEPS).run(0)
    return None if found is None else frozenset(found)


def _match(limits: Sequence[Limit]) -> bool:
    """Whether to choose stores is to match values of one kind with values of another, or of one kind with itself."""
    return 1 <= len(limits) <= 2 and all(limit.s == 1 for limit in limits)


def _searched(
    order: Sequence[int], held: frozenset[int], n: int, limits: Sequence[Limit], cap: int, greedy: list[int]
) -> tuple[list[int] | None, bool]:
    """What a search finds, with the fewest moves that it can; and whether it is certain that nothing is better."""
    full = len(greedy) == n
    search = _Search(order, held, n, limits, cap, POOL_STEPS if held else PACK_STEPS)
    for moves in range(len(held.difference(greedy)) if full else len(held) + 1):
        if (found := search.run(moves)) is not None:
            return found, True
        if search.cut:
            break
    if full or not search.cut:
        return greedy if full else None, not search.cut
    if held:  # any way will do now, be it with more moves
        return _Search(order, held, n, limits, cap, POOL_STEPS).run(len(held)), False
    some = way(tuple(limits), len(order), n, cap)
    return (None, False) if some is None else ([i for i in order if i in some], True)


def least_cap(limit: Limit, n: int) -> int:
    """The fewest shares that the s heaviest values hold, when n are placed as well as this kind alone allows."""
    each = [limit.values.count(value) for value in range(limit.size)]
    return next(cap for cap in range(n + 1) if _most([0] * limit.size, each, limit.s, cap) >= n)


def _in_turn(order: Sequence[int], n: int, limits: Sequence[Limit], cap: int, start: Sequence[int] = ()) -> list[int]:
    """Take each store that fits beside those taken before it; for nested kinds with one loss each this finds all."""
    loads = Loads(limits, cap, start)
    chosen = list(start)
    taken = set(chosen)
    for i in order:
        if len(chosen) == n:
            break
        if i not in taken and loads.bar(i) is None:
            loads.add(i)
            chosen.append(i)
    return chosen


class _Search:
    """Every choice of n stores, until one keeps within the limits.

    Those that are held are decided on first.  Of the others it is the kind with the least to spare that comes first,
    and of that the value for which the fewest stores are left.
    """

    def __init__(
        self, order: Sequence[int], held: frozenset[int], n: int, limits: Sequence[Limit], cap: int, steps: int
    ) -> None:
        self._order, self._held, self._n, self._limits, self._cap = order, held, n, limits, cap
        self._like = {i: (i in held, *(limit.values[i] for limit in limits)) for i in order}
        self._steps = steps
        self.cut = False  # whether steps ran out, so that nothing follows from what was not found

    def run(self, moves: int) -> list[int] | None:
        """Stores that will do with so many of the held ones left out at most, or None."""
        todo: list[tuple[list[int], list[int]]] = [([], list(self._order))]  # chosen stores, and those still open
        while todo:
            chosen, left = todo.pop()
            self._steps -= len(left) + 1
            if self._steps < 0:
                self.cut = True
                return None
            loads = Loads(self._limits, self._cap, chosen)
            left = loads.fitting(left) if len(chosen) < self._n else []
            if len(self._held.difference(chosen, left)) > moves:
                continue
            if len(chosen) == self._n:
                return [i for i in self._order if i in chosen]
            store = self._next(loads, left)
            if store is not None:
                like = self._like[store]  # what cannot be done with this one cannot be done with one like it
                todo.append((chosen, [i for i in left if self._like[i] != like]))
                todo.append(([*chosen, store], [i for i in left if i != store]))
        return None

    def _next(self, loads: Loads, left: Sequence[int]) -> int | None:
        """The store to decide on, or None where too few can still be chosen."""
        least, fewest, tightest = len(self._order), [0], self._limits[0]
        for load, limit in zip(loads.of, self._limits, strict=True):
            more = [0] * limit.size
            for i in left:
                more[limit.values[i]] += 1
            spare = _most(load, more, limit.s, self._cap) - self._n
            if spare < least:
                least, fewest, tightest = spare, more, limit
        if least < 0:
            return None
        first = [i for i in left if i in self._held] or left
        return min(first, key=lambda i: fewest[tightest.values[i]])


def _most(loads: Sequence[int], left: Sequence[int], s: int, cap: int) -> int:
    """How many shares one limit alone lets fit; exactly so when ``loads`` is all zeros, else never too few.

    With t the load of the s-th heaviest value, none after it exceeds t, and those before it exceed t by at most
    cap - s*t in all.
    """
    most = [load + more for load, more in zip(loads, left, strict=True)]
    if s == 1:
        return sum(min(load, cap) for load in most)
    found = -1
    for t in range(cap // s, -1, -1):
        spare = cap - s * t
        over = [load - t for load in loads if load > t]
        if len(over) < s and sum(over) <= spare:
            beyond = sorted(load - t for load in most if load > t)[-(s - 1) :]
            found = max(found, sum(min(load, t) for load in most) + min(spare, sum(beyond)))
    return found
