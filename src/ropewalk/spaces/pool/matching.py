"""Matching: the best choice of stores under limits of two kinds with one loss each.

A store joins a value of the one kind with a value of the other, and no value may be joined more than cap times.  Stores
are taken one by one, each time by the path that gains the most: it may give up stores for others that go where these
were.  What that gives is the best of its size (Ford and Fulkerson's successive paths, by Bellman and Ford).

Flow: order of stores, their two values -> matched -> stores
Never: recurses, or takes more than some n times the values times the stores steps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

__all__ = ["matched"]

_Node = tuple[int, int]  # kind (0 or 1), value


def matched(
    order: Sequence[int], held: Collection[int], n: int, one: Sequence[int], other: Sequence[int], cap: int
) -> list[int] | None:
    """n stores with the most of ``held``, and of those the earliest in ``order``; or None where no n will do.

    Args:
        order: Numbers of stores, the most wanted first.
        held: Those that count before all others.
        n: How many.
        one: By store, its value of the one kind.
        other: By store, its value of the other kind; it may be the same kind.
        cap: How many stores of one value there may be.
    """
    size = len(order)
    # Each is worth more than all after it, and one that is held more than all that are not.
    worth = {store: (1 << size - at) + ((store in held) << size + 1) for at, store in enumerate(order)}
    chosen: set[int] = set()
    while len(chosen) < n:
        path = _best_path(worth, chosen, one, other, cap)
        if path is None:
            return None
        chosen ^= path
    return [store for store in order if store in chosen]


def _best_path(
    worth: Mapping[int, int], chosen: Collection[int], one: Sequence[int], other: Sequence[int], cap: int
) -> set[int] | None:
    """Stores to be taken, and others to be given up for them, one fewer; or None where no more fit."""
    taken = [(0, one[store]) for store in chosen] + [(1, other[store]) for store in chosen]
    full = {node for node in taken if taken.count(node) >= cap}
    gain: dict[_Node, int] = {(0, one[store]): 0 for store in worth if cap and (0, one[store]) not in full}
    by: dict[_Node, int] = {}  # the store on which the best way comes to a value
    changed = True
    while changed:
        changed = False
        for store, value in worth.items():
            begin, end, more = (0, one[store]), (1, other[store]), value
            if store in chosen:
                begin, end, more = end, begin, -value
            if begin in gain and (end not in gain or gain[begin] + more > gain[end]):
                gain[end] = gain[begin] + more
                by[end] = store
                changed = True
    ends = [node for node in gain if node[0] == 1 and node not in full]
    if not ends:
        return None
    at = max(ends, key=gain.__getitem__)
    path: set[int] = set()
    while at in by:
        store = by[at]
        path.add(store)
        at = (0, one[store]) if at[0] == 1 else (1, other[store])
    return path
