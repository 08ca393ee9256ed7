"""Kill sets: as small as enumeration finds them, and honest bounds where the search is cut short."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.pool.placement import KINDS, StoreDomains, place
from ropewalk.spaces.promise import Domain, KeyHolder, PackGroup, compute, explain
from ropewalk.spaces.promise.kill_sets import Item, smallest_of_any

KEYS = [KeyHolder("this device", {"machine": "here", "admin": "me"}), KeyHolder("your paper key")]

labels = st.dictionaries(st.sampled_from(KINDS[1:4]), st.sampled_from("ab"), max_size=3)
pools = st.lists(labels, min_size=1, max_size=6).map(
    lambda drawn: [StoreDomains(f"s{i}", each) for i, each in enumerate(drawn)]
)


def by_enumeration(
    alive: set[str], groups: Sequence[tuple[frozenset[str], int]], domains: Sequence[set[str]]
) -> int | None:
    """The size of the smallest set of domains after whose loss some group has fewer than k; None if there is none."""
    for size in range(len(domains) + 1):
        for lost in combinations(domains, size):
            left = alive.difference(*lost)
            if any(len(group & left) < k for group, k in groups):
                return size
    return None


@given(pools, st.data())
def test_each_figure_is_what_enumeration_finds(stores: list[StoreDomains], data: st.DataObject) -> None:
    names = [store.name for store in stores]
    some = st.frozensets(st.sampled_from(names), min_size=1)
    packs = data.draw(st.lists(st.builds(PackGroup, some, st.integers(1, 4), st.just(1), st.just(1)), max_size=4))
    heads = data.draw(st.lists(some, max_size=2))
    some_keys = st.lists(st.tuples(st.dictionaries(st.just("disk"), st.sampled_from("ac")), st.booleans()), max_size=3)
    keys = [KeyHolder(f"key{i}", each, "", writes) for i, (each, writes) in enumerate(data.draw(some_keys))]
    away = data.draw(st.sets(st.sampled_from(names)))
    survive = data.draw(st.dictionaries(st.sampled_from(KINDS[:4]), st.integers(0, 2)))
    floor = data.draw(st.integers(1, 4))
    promise = compute(survive, floor, stores, packs, heads, keys, away)

    key_names = frozenset(key.name for key in keys)
    alive = {*names, *key_names} - away
    groups = [*((p.stores, p.k) for p in packs), *((h, 1) for h in heads), (key_names, 1)]
    writes = [(frozenset(names), floor), (frozenset(key.name for key in keys if key.writes), 1)]
    domains: dict[Domain, set[str]] = {}
    for store in stores:
        for kind in KINDS:
            if survive.get(kind) or any(other.value(kind) for other in stores):
                domains.setdefault(Domain(kind, store.value(kind)), set()).add(store.name)
    for key in keys:
        for kind, value in {**key.labels, "key": key.name}.items():
            domains.setdefault(Domain(kind, value), set()).add(key.name)

    for dimension, needs in ((promise.keeps, groups), (promise.writes, writes)):
        for standing in dimension.kinds:
            of_kind = [members for domain, members in domains.items() if domain.kind == standing.kind]
            size = by_enumeration(alive, needs, of_kind)
            assert standing.holds == (None if size is None else size - 1)
            for kill in standing.kills:
                assert len(kill.domains) == size
                left = alive.difference(*(domains[domain] for domain in kill.domains))
                assert any(len(group & left) < k for group, k in needs)
        counted = [members for domain, members in domains.items() if domain.value or survive.get(domain.kind)]
        assert dimension.mixed.exact
        assert dimension.mixed.at_most == by_enumeration(alive, needs, counted)
    for standing in promise.keeps.kinds:
        if standing.asked is not None:
            of_kind = [members for domain, members in domains.items() if domain.kind == standing.kind]
            assert standing.short == sum(
                (size := by_enumeration(alive, [(p.stores, p.k)], of_kind)) is not None and size <= standing.asked
                for p in packs
            )
    assert explain(promise)


@given(
    st.lists(st.integers(1, 2**9 - 1), min_size=1, max_size=9),
    st.lists(st.tuples(st.integers(1, 2**9 - 1), st.integers(1, 5)), min_size=1, max_size=4),
    st.integers(1, 60),
)
def test_with_little_work_the_bounds_still_hold(sets: list[int], needs: list[tuple[int, int]], work: int) -> None:
    masks = {Domain("any", str(i)): mask for i, mask in enumerate(sets)}
    items = [Item(holders, k, "packs") for holders, k in needs]
    exact, bounded = smallest_of_any(masks, items), smallest_of_any(masks, items, work)
    assert exact.exact
    if exact.at_most is None:
        assert bounded.at_most is None
        return
    assert bounded.at_most is not None
    assert bounded.at_least <= exact.at_most <= bounded.at_most
    assert bounded.kill is not None
    assert bounded.kill.what == ("packs",)
    assert len(bounded.kill.domains) == bounded.at_most


def crossing(seed: int) -> list[StoreDomains]:
    """40 stores with about 100 domain values that cross each other: the hard case."""
    draw = random.Random(seed)
    sizes = {"disk": 30, "machine": 25, "site": 10, "account": 12, "credential": 12, "admin": 6, "build": 5}
    return [
        StoreDomains(f"s{i:02}", {kind: str(draw.randrange(size)) for kind, size in sizes.items()}) for i in range(40)
    ]


def test_forty_stores_and_ten_thousand_packs_take_less_than_a_second() -> None:
    stores = crossing(1)
    room = {store.name: 1.0 for store in stores}
    packs = [
        PackGroup(frozenset(place(i.to_bytes(4, "big"), stores, room, 14, 8, {}).where.values()), 8, 1, 32 << 20)
        for i in range(300)
    ]
    packs = [packs[i % 300] for i in range(10_000)]
    start = time.process_time()
    promise = compute({"store": 6}, 9, stores, packs, [{"s00", "s11", "s22"}], KEYS)
    explain(promise)
    spent = time.process_time() - start
    assert promise.packs == 10_000
    assert promise.keeps.mixed.exact
    assert spent < 3  # seconds; a quarter of one on a quiet machine


def test_a_search_that_is_cut_short_says_at_least_and_at_most() -> None:
    kinds = ("disk", "machine")
    stores = [StoreDomains(store.name, {kind: store.labels[kind] for kind in kinds}) for store in crossing(3)]
    everywhere = frozenset(store.name for store in stores)
    keys = [KeyHolder(f"key {i}") for i in range(30)]
    promise = compute({}, 5, stores, [PackGroup(everywhere, 5, 1, 1)], [everywhere], keys, work=1_000)
    mixed = promise.keeps.mixed
    assert mixed.at_most is not None
    assert 0 < mixed.at_least < mixed.at_most
    assert any(f"the smallest has at least {mixed.at_least}" in line for line in explain(promise))
