"""Placement: which store keeps which share of a pack, so that what fails as one never takes too much.

Flow: a space being made -> feasible -> k;  a pack being written or repaired -> place -> share by share, a store
Never: does I/O, looks at a clock, or draws a random number: equal input gives equal output everywhere.

A promise ``{kind: s}`` holds for a pack of n shares when the s most loaded values of that kind together hold at most
n-k of them.  A store that does not state a kind is not proven to be apart from the others that do not: together they
count as one value of that kind, apart from the stated ones.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from ropewalk.errors import Misuse, Refused

__all__ = ["KINDS", "Placement", "PromiseImpossible", "StoreDomains", "check_survive", "feasible", "place"]

KINDS = ("store", "disk", "machine", "site", "account", "credential", "admin", "build")
_KINDS_HINT = f"kinds are {', '.join(KINDS)}"

# Choosing stores under limits of several kinds that cross each other is NP-hard; nested kinds need next to no search.
PACK_STEPS = 64  # store decisions for one pack in its own order; about 3 ms with 40 stores
POOL_STEPS = 4000  # store decisions for the pool as a whole; at most a fraction of a second, and its answer is kept


class PromiseImpossible(Refused):
    """The stores of the pool cannot give what is asked, however shares are placed."""

    code = "promise.impossible"


@dataclass(frozen=True, slots=True)
class StoreDomains:
    """A store and what it can fail or betray together with: by kind, a value.  The kind ``store`` is its own name."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for kind, value in self.labels.items():
            if kind not in KINDS:
                raise Misuse(f"store {self.name}: unknown kind of domain {kind!r}", hint=_KINDS_HINT)
            if not value or (kind == "store" and value != self.name):
                raise Misuse(f"store {self.name}: {kind}={value!r} is not a value this kind can have")

    def value(self, kind: str) -> str | None:
        """What this store shares with others in this kind, or None where it is not stated."""
        return self.name if kind == "store" else self.labels.get(kind)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where each share of one pack should lie.

    Attributes:
        where: The store of each share; at most one share a store.
        owed: Shares for which there is no store now.
        violated: Kinds for which the promise does not hold with the shares in ``where``.
    """

    where: Mapping[int, str]
    owed: tuple[int, ...]
    violated: tuple[str, ...]


class _Limit(NamedTuple):
    """One kind asked for, with its values numbered."""

    s: int  # how many values may be lost
    values: tuple[int, ...]  # by store
    size: int  # how many values there are


def feasible(stores: Sequence[StoreDomains], n: int, survive: Mapping[str, int]) -> int:
    """The largest k with which packs of n shares, one a store, keep the promise on these stores.

    Where kinds cross each other so much that the search is cut short, k is what was found to work, and a larger one
    may exist.

    Raises:
        Misuse: An unknown kind, a negative number, a store named twice, or n below 1.
        PromiseImpossible: Not even k=1 does; the message says why, the hint what the pool can give.
    """
    check_survive(survive)
    _check_names([store.name for store in stores])
    if n < 1:
        raise Misuse(f"a pack has at least 1 share, got {n}")
    if n > len(stores):
        raise PromiseImpossible(
            f"{n} shares need {n} stores, the pool has {len(stores)}", hint="add stores, or ask for fewer shares"
        )
    stores = sorted(stores, key=lambda store: store.name)
    limits = _limits(stores, survive)
    least = max([min(survive.get("store", 0), n), *(_least_cap(limit, n) for limit in limits)])
    for cap in range(least, n):
        if _way(limits, len(stores), n, cap) is not None:
            return n - cap
    raise _impossible(stores, n, survive)


def place(
    pack_name: bytes,
    stores: Sequence[StoreDomains],
    room: Mapping[str, float],
    n: int,
    k: int,
    survive: Mapping[str, int],
    have: Mapping[int, str] | None = None,
) -> Placement:
    """Choose a store for each of the n shares of a pack.

    A share stays where it is unless the promise needs it elsewhere.  The others go by weighted rendezvous hashing on
    the pack's name, so stores with equal room fill evenly.  Durability comes first: where the promise cannot be kept,
    all shares that stores can be found for are placed all the same, and ``violated`` names the kinds.

    Args:
        pack_name: The name of the pack.
        stores: The stores that may hold a share; a lost store is left out.
        room: Free bytes by store name, the weight; none or 0 means that the store keeps what it has and takes no more.
        n, k: Shares in all, and shares that rebuild the pack; 1 <= k <= n.
        survive: The promise: by kind, how many values may be lost.
        have: Good shares and their stores; those on stores that are not in ``stores`` do not count.

    Raises:
        Misuse: k or n out of range, an unknown kind, or a store named twice.
    """
    check_survive(survive)
    if not 1 <= k <= n:
        raise Misuse(f"want 1 <= k <= n, got k={k} n={n}")
    stays: dict[str, int] = {}
    for share, name in sorted((have or {}).items()):
        if 0 <= share < n:
            stays.setdefault(name, share)
    usable = sorted(
        (store for store in stores if store.name in stays or room.get(store.name, 0) > 0), key=lambda store: store.name
    )
    names = [store.name for store in usable]
    _check_names(names)
    limits = _limits(usable, survive)
    kept = sorted((i for i, name in enumerate(names) if name in stays), key=lambda i: stays[names[i]])
    order = kept + _by_rendezvous(pack_name, names, [i for i, name in enumerate(names) if name not in stays], room)
    chosen = order if len(order) <= n else _choose(order, kept, n, limits, n - k)

    where = {stays[names[i]]: names[i] for i in chosen if names[i] in stays}
    free = [share for share in range(n) if share not in where]
    fresh = [names[i] for i in chosen if names[i] not in stays]
    where.update(zip(free, fresh, strict=False))
    violated = tuple(
        kind
        for kind in KINDS
        if survive.get(kind, 0) and len(chosen) - _heaviest([usable[i] for i in chosen], kind, survive[kind]) < k
    )
    return Placement(where, tuple(free[len(fresh) :]), violated)


def check_survive(survive: Mapping[str, int]) -> None:
    """Raise Misuse unless each key is a known kind and each number is 0 or more."""
    for kind, s in survive.items():
        if kind not in KINDS:
            raise Misuse(f"unknown kind of domain {kind!r}", hint=_KINDS_HINT)
        if s < 0:
            raise Misuse(f"want 0 or more losses of a {kind}, got {s}")


def _check_names(names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise Misuse(f"store {next(name for name in names if names.count(name) > 1)} is named twice")


def _limits(stores: Sequence[StoreDomains], survive: Mapping[str, int]) -> tuple[_Limit, ...]:
    """The kinds asked for that make a difference between stores: all but ``store``, of which each has one value."""
    limits = []
    for kind in KINDS[1:]:
        if s := survive.get(kind, 0):
            numbers: dict[str | None, int] = {}
            values = tuple(numbers.setdefault(store.labels.get(kind), len(numbers)) for store in stores)
            limits.append(_Limit(s, values, len(numbers)))
    return tuple(limits)


def _by_rendezvous(
    pack_name: bytes, names: Sequence[str], among: Collection[int], room: Mapping[str, float]
) -> list[int]:
    """An exponential race: each store runs at a rate of its room, so the first is drawn in proportion to room."""
    started = hashlib.blake2b(pack_name, digest_size=8, person=b"rw placement")
    finish: dict[int, float] = {}
    for i in among:
        lane = started.copy()
        lane.update(names[i].encode())
        finish[i] = -math.log((int.from_bytes(lane.digest(), "big") + 1) / 2**64) / room[names[i]]
    return sorted(among, key=lambda i: (finish[i], names[i]))


def _choose(order: Sequence[int], kept: Sequence[int], n: int, limits: Sequence[_Limit], cap: int) -> list[int]:
    """n of more than n stores: within the limits if that can be found, else as near to them as may be."""
    chosen = _in_turn(order, n, limits, cap)
    if len(chosen) == n:
        return chosen
    found = _search(order, n, limits, cap, PACK_STEPS)
    if found is not None:
        return found
    way = _way(tuple(limits), len(order), n, cap)
    if way is not None:
        return [i for i in order if i in way]
    # The promise cannot be kept, so nothing gains by moving: first all that is there, then what fits, then the rest.
    chosen = _in_turn(order, n, limits, cap, start=kept)
    return chosen + [i for i in order if i not in chosen][: n - len(chosen)]


def _in_turn(order: Sequence[int], n: int, limits: Sequence[_Limit], cap: int, start: Sequence[int] = ()) -> list[int]:
    """Take each store that fits beside those taken before it; for nested kinds with one loss each this finds all."""
    loads = [[0] * limit.size for limit in limits]
    chosen = list(start)
    for i in chosen:
        _add(loads, limits, i, 1)
    for i in order:
        if len(chosen) == n:
            break
        if i not in chosen and _fits(loads, limits, i, cap):
            _add(loads, limits, i, 1)
            chosen.append(i)
    return chosen


@lru_cache(maxsize=256)
def _way(limits: tuple[_Limit, ...], stores: int, n: int, cap: int) -> frozenset[int] | None:
    """n of the stores within the limits, the same for all packs: what ``feasible`` found, ``place`` finds again."""
    found = _search(range(stores), n, limits, cap, POOL_STEPS)
    return None if found is None else frozenset(found)


def _search(order: Sequence[int], n: int, limits: Sequence[_Limit], cap: int, steps: int) -> list[int] | None:
    """n stores within the limits, the earliest in ``order`` first, or None where there are none or steps run out."""
    loads = [[0] * limit.size for limit in limits]
    left = [[0] * limit.size for limit in limits]
    for i in order:
        _add(left, limits, i, 1)
    chosen: list[int] = []

    def can_still() -> bool:
        return all(_reaches(load, more, limit.s, cap, n) for load, more, limit in zip(loads, left, limits, strict=True))

    def decide(at: int) -> bool:
        nonlocal steps
        if len(chosen) == n:
            return True
        if steps == 0 or len(chosen) + len(order) - at < n:
            return False
        steps -= 1
        i = order[at]
        _add(left, limits, i, -1)
        if _fits(loads, limits, i, cap):
            _add(loads, limits, i, 1)
            chosen.append(i)
            if can_still() and decide(at + 1):
                return True
            chosen.pop()
            _add(loads, limits, i, -1)
        if can_still() and decide(at + 1):
            return True
        _add(left, limits, i, 1)
        return False

    return chosen if can_still() and decide(0) else None


def _add(loads: Sequence[list[int]], limits: Sequence[_Limit], i: int, by: int) -> None:
    for load, limit in zip(loads, limits, strict=True):
        load[limit.values[i]] += by


def _fits(loads: Sequence[list[int]], limits: Sequence[_Limit], i: int, cap: int) -> bool:
    for load, limit in zip(loads, limits, strict=True):
        value = limit.values[i]
        others = sorted(load[:value] + load[value + 1 :])[-(limit.s - 1) :] if limit.s > 1 else ()
        if load[value] + 1 + sum(others) > cap:
            return False
    return True


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


def _least_cap(limit: _Limit, n: int) -> int:
    """The fewest shares that the s heaviest values hold, when n are placed as well as this kind alone allows."""
    each = [limit.values.count(value) for value in range(limit.size)]
    return next(cap for cap in range(n + 1) if _reaches([0] * limit.size, each, limit.s, cap, n))


def _heaviest(stores: Collection[StoreDomains], kind: str, s: int) -> int:
    """How many of the stores the s heaviest values of the kind hold."""
    loads: dict[str | None, int] = {}
    for store in stores:
        loads[store.value(kind)] = loads.get(store.value(kind), 0) + 1
    return sum(sorted(loads.values())[-s:])


def _impossible(stores: Sequence[StoreDomains], n: int, survive: Mapping[str, int]) -> PromiseImpossible:
    asked = [kind for kind in KINDS if survive.get(kind, 0)]
    most = {kind: min(n, len({store.value(kind) for store in stores})) - 1 for kind in asked}
    gives = "this pool survives, each kind alone: " + ", ".join(f"{kind}={most[kind]}" for kind in asked)
    short = [kind for kind in asked if survive[kind] > most[kind]]
    if not short:
        together = ", ".join(f"{kind}={survive[kind]}" for kind in asked)
        return PromiseImpossible(f"no {n} of the {len(stores)} stores survive {together} together", hint=gives)
    reasons = [f"{kind}={survive[kind]} asked, but {_spread(stores, kind, n)}" for kind in short]
    others = " and ".join(kind for kind in short if kind != "store")
    unstated = any(store.value(kind) is None for store in stores for kind in short)
    add = f"ask for less, or add stores{f' with another {others}' if others else ''}"
    return PromiseImpossible(
        f"the pool cannot give this: {'; '.join(reasons)}",
        hint=f"{gives}; {add}{', or state it where it is not stated' if unstated else ''}",
    )


def _spread(stores: Sequence[StoreDomains], kind: str, n: int) -> str:
    if kind == "store":
        return f"a pack has only {n} shares"
    stated = sorted({store.labels[kind] for store in stores if kind in store.labels})
    unstated = [store.name for store in stores if kind not in store.labels]
    parts = [f"{len(stores) - len(unstated)} stores lie on {len(stated)} ({', '.join(stated)})"] if stated else []
    if unstated:
        parts.append(f"{kind} is not stated for {', '.join(unstated)}, counted as one")
    return " and ".join(parts) + (f", with {n} shares" if n < len(stores) else "")
