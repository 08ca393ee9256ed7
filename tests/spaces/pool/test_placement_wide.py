"""Placement in wide pools: what there is is found among many stores, in bounded work, and never by going too deep."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.pool import limits
from ropewalk.spaces.pool.limits import Limit, choose, way
from ropewalk.spaces.pool.matching import matched
from ropewalk.spaces.pool.placement import StoreDomains, feasible, place

KINDS = ("machine", "site", "account", "admin")
CASES = 60


def planted(rng: random.Random, count: int, n: int, kinds: Sequence[str]) -> list[StoreDomains]:
    """n stores that are apart in each kind, hidden among others that share their values."""
    labels = [{kind: f"{kind}{at}" for kind in kinds} for at in range(n)]
    labels += [{kind: f"{kind}{rng.randrange(n)}" for kind in kinds} for _ in range(count - n)]
    rng.shuffle(labels)
    return [StoreDomains(f"s{at:02}", one) for at, one in enumerate(labels)]


@pytest.mark.parametrize("count", [40, 64])
@pytest.mark.parametrize("kinds", [2, 3, 4])
def test_a_placement_that_exists_is_found_among_many_stores(kinds: int, count: int) -> None:
    for case in range(CASES):
        rng = random.Random(case * 1000 + count * 10 + kinds)
        n = rng.choice([5, 6, 8, 10])
        stores = planted(rng, count, n, KINDS[:kinds])
        survive = dict.fromkeys(KINDS[:kinds], 1)
        assert feasible(stores, n, survive) == n - 1
        room = {store.name: 1.0 for store in stores}
        placed = place(rng.randbytes(32), stores, room, n, n - 1, survive)
        assert (placed.violated, placed.sure) == ((), True)
        have = dict(enumerate(rng.sample([store.name for store in stores], n)))
        again = place(rng.randbytes(32), stores, room, n, n - 1, survive, have)
        assert again.violated == ()
        assert again.sure or kinds > 2


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8),
    st.integers(1, 3),
    st.data(),
)
def test_two_kinds_with_one_loss_each_are_matched_as_enumeration_does(
    pairs: list[tuple[int, int]], cap: int, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(pairs))))
    n = data.draw(st.integers(1, len(pairs)))
    held = data.draw(st.sets(st.sampled_from(order), max_size=n))

    def fits(chosen: Sequence[int]) -> bool:
        return all(sum(pairs[store][kind] == value for store in chosen) <= cap for kind in (0, 1) for value in range(4))

    # In the order of the stores, so the first of those that keep the most is the earliest.
    best = max(
        filter(fits, map(list, combinations(order, n))), key=lambda chosen: len(held.intersection(chosen)), default=None
    )
    assert matched(order, held, n, [one for one, _ in pairs], [other for _, other in pairs], cap) == best


@pytest.mark.parametrize("survive", [{"machine": 1}, {"machine": 2}, {"machine": 2, "site": 1, "admin": 1}])
@pytest.mark.parametrize("count", [600, 3000])
def test_more_stores_than_a_call_stack_is_deep_are_placed(count: int, survive: dict[str, int]) -> None:
    """All but eight are one machine and one site."""
    stores = [
        StoreDomains(
            f"s{at:04}",
            {
                "machine": "same" if at < count - 8 else f"m{at}",
                "site": "same" if at < count - 8 else f"t{at}",
                "admin": f"a{at % 12}",
            },
        )
        for at in range(count)
    ]
    k = feasible(stores, 8, survive)
    assert k == 8 - max(survive.values())
    placed = place(b"p", stores, {store.name: 1.0 for store in stores}, 8, k, survive)
    assert (placed.violated, placed.owed) == ((), ())


def test_a_search_looks_at_no_more_stores_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three kinds of which no choice keeps all, and no kind alone says so."""
    rng = random.Random(1)
    count, n = 64, 16
    kinds = [
        Limit(kind, 2, tuple(rng.randrange(n) for _ in range(count)), n) for kind in ("machine", "site", "account")
    ]
    looks = 0
    fitting = limits.Loads.fitting

    def counted(self: limits.Loads, stores: Sequence[int]) -> list[int]:
        nonlocal looks
        looks += len(stores)
        return fitting(self, stores)

    monkeypatch.setattr(limits.Loads, "fitting", counted)
    monkeypatch.setattr(limits, "POOL_STEPS", 3000)
    choice = choose(range(count), range(n), n, kinds, 2)
    assert (len(choice.stores), choice.sure) == (n, False)
    assert 0 < looks <= 2 * 3000
    looks = 0
    way.cache_clear()
    assert way(tuple(kinds), count, n, 2) is None
    assert 0 < looks <= 3000
