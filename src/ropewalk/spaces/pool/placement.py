"""Placement: which store keeps which share of a pack, so that what fails as one never takes too much.

Flow: a space being made -> feasible -> k;  a pack being written or repaired -> place -> share by share, a store
Never: does I/O, looks at a clock, or draws a random number: equal input gives equal output everywhere.

A promise ``{kind: s}`` holds for a pack of n shares when the s most loaded values of that kind together hold at most
n-k of them.  A store that does not state a kind is not proven to be apart from the others that do not: together they
count as one value of that kind, apart from the stated ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ropewalk.errors import Misuse, Refused
from ropewalk.spaces.pool.draw import drawn
from ropewalk.spaces.pool.limits import Limit, Loads, choose, least_cap, way

__all__ = [
    "KINDS",
    "Placement",
    "PromiseImpossible",
    "Reason",
    "StoreDomains",
    "Why",
    "check_survive",
    "feasible",
    "place",
    "slack",
]

KINDS = ("store", "disk", "machine", "site", "account", "credential", "admin", "build")
_KINDS_HINT = f"kinds are {', '.join(KINDS)}"


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


class Reason(Enum):
    """Why a store has a share of a pack, or none."""

    KEPT = "kept"  # it had one
    DRAWN = "drawn"  # by its room
    MOVED = "moved"  # it had one, and the promise needs it elsewhere
    LIMIT = "limit"  # with it, too much would fail as one
    OTHERS = "others"  # as many as there are shares were drawn before it
    FULL = "full"  # no room is left in it


@dataclass(frozen=True, slots=True)
class Why:
    """A reason, and of a limit the kind and the value that has all it may have; a value of None is not stated."""

    reason: Reason
    kind: str = ""
    value: str | None = None
    held: int = 0  # shares that the value has, with the heaviest others where several may be lost
    others: int = 0  # how many of those others there may be

    @property
    def words(self) -> str:
        """For people."""
        match self.reason:
            case Reason.KEPT:
                return "kept where it was"
            case Reason.DRAWN:
                return "drawn by room"
            case Reason.OTHERS:
                return "others were drawn before it"
            case Reason.FULL:
                return "no room is left in it"
            case _:
                return f"{'moves elsewhere: ' if self.reason is Reason.MOVED else ''}{self._full}"

    @property
    def _full(self) -> str:
        if not self.kind:
            return "with it, not all kinds of the promise could be kept"
        what = f"{self.kind}={self.value}" if self.value is not None else f"what states no {self.kind}"
        also = f" together with the {self.others} heaviest other{'s' if self.others > 1 else ''}" if self.others else ""
        return f"{what}{also} has {self.held} share{'' if self.held == 1 else 's'}, which is all that may be lost"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where each share of one pack should lie.

    Attributes:
        where: The store of each share; at most one share a store.
        owed: Shares for which there is no store now.
        slack: By kind asked for, how many more shares could be lost with the heaviest values; 0 where the kind binds,
            below 0 where the promise does not hold with the shares in ``where``.
        why: Of each store, why it has a share, or none.
        sure: Whether it is certain that the promise cannot be kept where it is not, and that no fewer moves would do.
    """

    where: Mapping[int, str]
    owed: tuple[int, ...]
    slack: Mapping[str, int]
    why: Mapping[str, Why]
    sure: bool

    @property
    def violated(self) -> tuple[str, ...]:
        """Kinds for which the promise does not hold."""
        return tuple(kind for kind, left in self.slack.items() if left < 0)


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
    least = max([min(survive.get("store", 0), n), *(least_cap(limit, n) for limit in limits)])
    for cap in range(least, n):
        if way(limits, len(stores), n, cap) is not None:
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

    Where some choice of stores keeps the promise, one is found, and of all those one that moves the fewest shares of
    ``have``, unless it is not ``sure``.  Stores for the others are drawn by the pack's name, in proportion to their
    room.  Durability comes first: where the promise cannot be kept, nothing is moved, all shares that stores can be
    found for are placed all the same, and ``violated`` names the kinds.

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
    others = [i for i, name in enumerate(names) if name not in stays]
    draw = drawn(pack_name, {names[i]: room[names[i]] for i in others}, max(n - len(kept), 1))
    order = kept + sorted(others, key=lambda i: draw[names[i]].turn)
    choice = choose(order, kept, n, limits, n - k)

    where = {stays[names[i]]: names[i] for i in choice.stores if names[i] in stays}
    free = [share for share in range(n) if share not in where]
    fresh = sorted((names[i] for i in choice.stores if names[i] not in stays), key=lambda name: draw[name].share)
    where.update(zip(free, fresh, strict=False))
    chosen = [usable[i] for i in choice.stores]
    why = {store.name: Why(Reason.FULL) for store in stores}
    why |= {names[i]: reason for i, reason in _reasons(order, set(kept), choice.stores, limits, usable, n, n - k)}
    return Placement(where, tuple(free[len(fresh) :]), slack(chosen, k, survive), why, choice.sure)


def slack(stores: Collection[StoreDomains], k: int, survive: Mapping[str, int]) -> dict[str, int]:
    """By kind asked for: of shares on these stores, how many more than k are left when the heaviest values are lost."""
    return {kind: len(stores) - _heaviest(stores, kind, survive[kind]) - k for kind in KINDS if survive.get(kind, 0)}


def _reasons(
    order: Sequence[int],
    kept: Collection[int],
    chosen: Sequence[int],
    limits: Sequence[Limit],
    stores: Sequence[StoreDomains],
    n: int,
    cap: int,
) -> Iterator[tuple[int, Why]]:
    """Why each was chosen or not: of one that was not, what it would overstep beside those before it, or beside all."""
    before, all_of_them, taken = Loads(limits, cap), Loads(limits, cap), set(chosen)
    for i in chosen:
        all_of_them.add(i)
    count = 0
    for i in order:
        if i in taken:
            before.add(i)
            count += 1
            yield i, Why(Reason.KEPT if i in kept else Reason.DRAWN)
            continue
        reason = Reason.MOVED if i in kept else Reason.LIMIT
        loads = before if before.bar(i) is not None else all_of_them
        if (limit := loads.bar(i)) is not None:
            value = stores[i].value(limit.kind)
            yield i, Why(reason, limit.kind, value, loads.held(i, limit), limit.s - 1)
        else:
            yield i, Why(Reason.OTHERS if count == n and i not in kept else reason)


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


def _limits(stores: Sequence[StoreDomains], survive: Mapping[str, int]) -> tuple[Limit, ...]:
    """The kinds asked for that make a difference between stores: all but ``store``, of which each has one value."""
    limits = []
    for kind in KINDS[1:]:
        if s := survive.get(kind, 0):
            numbers: dict[str | None, int] = {}
            values = tuple(numbers.setdefault(store.labels.get(kind), len(numbers)) for store in stores)
            limits.append(Limit(kind, s, values, len(numbers)))
    return tuple(limits)


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
