"""Placement: what a pool can promise, and where the shares of a pack go."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Misuse, Refused
from ropewalk.spaces.pool.placement import KINDS, PromiseImpossible, StoreDomains, feasible, place

FIVE = [StoreDomains(f"disk{i}", {"machine": "left" if i <= 3 else "right", "disk": "a"}) for i in range(1, 6)]
EIGHT = [StoreDomains(f"s{i}", {"machine": f"m{i // 2}"}) for i in range(8)]


def pack(i: int) -> bytes:
    return i.to_bytes(32, "big")


def even(stores: Sequence[StoreDomains]) -> dict[str, float]:
    return {store.name: 1e9 for store in stores}


def left_over(names: Sequence[str], stores: Sequence[StoreDomains], survive: Mapping[str, int]) -> int:
    """By enumeration: the fewest of the named stores that are left when one promised loss comes true."""
    by_name = {store.name: store for store in stores}
    least = len(names)
    for kind, s in survive.items():
        loads = Counter(by_name[name].value(kind) for name in names)
        least = min(
            least, len(names) - max(sum(loads[v] for v in lost) for lost in combinations(loads, min(s, len(loads))))
        )
    return least


def best_k(stores: Sequence[StoreDomains], n: int, survive: Mapping[str, int]) -> int:
    return max(left_over([s.name for s in chosen], stores, survive) for chosen in combinations(stores, n))


kinds = st.dictionaries(st.sampled_from(KINDS[1:5]), st.sampled_from("abc"), max_size=4)
pools = st.lists(kinds, min_size=1, max_size=7).map(
    lambda labels: [StoreDomains(f"s{i}", each) for i, each in enumerate(labels)]
)
promises = st.dictionaries(st.sampled_from(KINDS[:5]), st.integers(0, 3), max_size=4)


def test_two_of_five_stores_may_be_lost_with_three_needed() -> None:
    assert feasible(FIVE, 5, {"store": 2}) == 3


def test_a_machine_with_three_of_five_stores_leaves_two() -> None:
    assert feasible(FIVE, 5, {"machine": 1}) == 2
    assert feasible(FIVE, 4, {"machine": 1}) == 2


def test_nothing_asked_needs_no_redundancy() -> None:
    assert feasible(FIVE, 5, {}) == feasible(FIVE, 5, {"store": 0, "disk": 0}) == 5


def test_one_disk_cannot_promise_to_survive_a_disk() -> None:
    with pytest.raises(PromiseImpossible, match=r"disk=1 asked, but 5 stores lie on 1 \(a\)") as caught:
        feasible(FIVE, 5, {"store": 2, "disk": 1})
    assert caught.value.code == "promise.impossible"
    assert isinstance(caught.value, Refused)
    assert "store=4, disk=0" in caught.value.hint
    assert "another disk" in caught.value.hint


def test_stores_that_do_not_state_a_kind_count_as_one() -> None:
    stores = [StoreDomains("a", {"disk": "x"}), StoreDomains("b"), StoreDomains("c")]
    assert feasible(stores, 3, {"disk": 1}) == 1
    with pytest.raises(PromiseImpossible, match="site is not stated for a, b, c, counted as one") as caught:
        feasible(stores, 3, {"site": 1})
    assert "state it" in caught.value.hint


def test_more_losses_than_shares_are_refused() -> None:
    with pytest.raises(PromiseImpossible, match="a pack has only 5 shares"):
        feasible(FIVE, 5, {"store": 5})


def test_more_shares_than_stores_are_refused() -> None:
    with pytest.raises(PromiseImpossible, match="6 shares need 6 stores, the pool has 5"):
        feasible(FIVE, 6, {"store": 1})


def test_kinds_that_can_each_be_survived_but_not_together_are_refused_as_such() -> None:
    stores = [
        StoreDomains("a", {"disk": "x", "site": "p", "admin": "u"}),
        StoreDomains("b", {"disk": "x", "site": "q", "admin": "v"}),
        StoreDomains("c", {"disk": "y", "site": "p", "admin": "v"}),
    ]
    with pytest.raises(PromiseImpossible, match="no 2 of the 3 stores survive disk=1, site=1, admin=1 together"):
        feasible(stores, 2, {"disk": 1, "site": 1, "admin": 1})


@pytest.mark.parametrize(
    ("stores", "n", "survive", "message"),
    [
        (FIVE, 0, {}, "at least 1 share"),
        (FIVE, 5, {"planet": 1}, "unknown kind of domain 'planet'"),
        (FIVE, 5, {"disk": -1}, "0 or more"),
        ([*FIVE, FIVE[0]], 5, {}, "disk1 is named twice"),
    ],
)
def test_a_wrong_question_is_misuse(stores: list[StoreDomains], n: int, survive: dict[str, int], message: str) -> None:
    with pytest.raises(Misuse, match=message):
        feasible(stores, n, survive)


@pytest.mark.parametrize("labels", [{"planet": "earth"}, {"disk": ""}, {"store": "other"}])
def test_domains_that_cannot_be_are_misuse(labels: dict[str, str]) -> None:
    with pytest.raises(Misuse, match="store x"):
        StoreDomains("x", labels)


@given(pools, st.integers(1, 7), promises)
def test_feasible_is_what_enumeration_finds(stores: list[StoreDomains], n: int, survive: dict[str, int]) -> None:
    n = min(n, len(stores))
    best = best_k(stores, n, survive)
    if best < 1:
        with pytest.raises(PromiseImpossible):
            feasible(stores, n, survive)
    else:
        assert feasible(stores, n, survive) == best


@given(pools, st.integers(1, 7), promises, st.data())
def test_what_is_feasible_is_placed_whatever_is_there_already(
    stores: list[StoreDomains], n: int, survive: dict[str, int], data: st.DataObject
) -> None:
    n = min(n, len(stores))
    k = best_k(stores, n, survive)
    if k < 1:
        return
    have = data.draw(st.dictionaries(st.integers(0, n - 1), st.sampled_from([s.name for s in stores])))
    placed = place(data.draw(st.binary(min_size=1, max_size=8)), stores, even(stores), n, k, survive, have)
    assert sorted(placed.where) == list(range(n))
    assert len(set(placed.where.values())) == n
    assert (placed.owed, placed.violated) == ((), ())
    assert left_over(list(placed.where.values()), stores, survive) >= k


@given(pools, st.integers(1, 9), st.integers(1, 9), promises)
def test_where_the_promise_cannot_be_kept_all_that_can_be_placed_is_and_the_kinds_are_named(
    stores: list[StoreDomains], n: int, k: int, survive: dict[str, int]
) -> None:
    n, k = max(n, k), min(n, k)
    placed = place(b"p", stores, even(stores), n, k, survive)
    names = list(placed.where.values())
    assert len(names) == min(n, len(stores))
    assert sorted([*placed.where, *placed.owed]) == list(range(n))
    assert placed.violated == tuple(
        kind for kind in KINDS if survive.get(kind) and left_over(names, stores, {kind: survive[kind]}) < k
    )


@given(pools, promises, st.integers(0, 99), st.data())
def test_placing_again_moves_nothing(
    stores: list[StoreDomains], survive: dict[str, int], name: int, data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, len(stores)))
    k = data.draw(st.integers(1, n))
    room = {store.name: data.draw(st.sampled_from([0, 1, 5])) for store in stores}
    first = place(pack(name), stores, room, n, k, survive)
    again = place(pack(name), stores, {}, n, k, survive, first.where)
    assert again.where == first.where


def test_a_lost_store_moves_only_its_own_share() -> None:
    for i in range(50):
        before = place(pack(i), EIGHT, even(EIGHT), 5, 3, {"store": 2, "machine": 1}).where
        lost = before[2]
        rest = [store for store in EIGHT if store.name != lost]
        after = place(pack(i), rest, even(rest), 5, 3, {"store": 2, "machine": 1}, before)
        assert {share: name for share, name in after.where.items() if share != 2} == {
            share: name for share, name in before.items() if share != 2
        }
        assert after.where[2] != lost
        assert after.violated == ()


def test_a_share_moves_where_the_promise_needs_it_elsewhere() -> None:
    crowded = {0: "s0", 1: "s1", 2: "s2", 3: "s3"}
    placed = place(b"p", EIGHT, even(EIGHT), 4, 3, {"machine": 1}, crowded)
    assert placed.violated == ()
    assert placed.where[0] == "s0"
    assert placed.where[2] == "s2"
    assert {placed.where[1], placed.where[3]}.isdisjoint({"s0", "s1", "s2", "s3"})


def test_nothing_moves_where_moving_cannot_keep_the_promise() -> None:
    crowded = {0: "s0", 1: "s1", 2: "s2", 3: "s3"}
    placed = place(b"p", EIGHT, {"s4": 1, "s5": 1}, 5, 4, {"machine": 1}, crowded)
    assert crowded.items() <= placed.where.items()
    assert placed.violated == ("machine",)
    assert placed.owed == ()


def test_two_shares_of_a_pack_in_one_store_count_once() -> None:
    placed = place(b"p", EIGHT, even(EIGHT), 3, 2, {"store": 1}, {0: "s1", 1: "s1", 7: "s2"})
    assert placed.where[0] == "s1"
    assert placed.where[1] != "s1"


def test_a_store_without_room_keeps_its_share_and_takes_no_other() -> None:
    room = {"s0": 0.0, "s1": 1.0, "s2": 1.0}
    assert place(b"p", EIGHT, room, 5, 2, {}, {4: "s0"}).where.keys() >= {4}
    placed = place(b"p", EIGHT, room, 5, 2, {"store": 2})
    assert sorted(placed.where.values()) == ["s1", "s2"]
    assert placed.owed == (2, 3, 4)
    assert placed.violated == ("store",)


def test_equal_stores_fill_evenly_and_a_larger_one_fills_more() -> None:
    fill = Counter(name for i in range(2000) for name in place(pack(i), EIGHT, even(EIGHT), 4, 2, {}).where.values())
    assert all(900 < count < 1100 for count in fill.values())
    first = Counter(place(pack(i), EIGHT, even(EIGHT), 4, 2, {}).where[0] for i in range(2000))
    assert all(190 < count < 310 for count in first.values())
    room = even(EIGHT) | {"s3": 3e9}
    drawn = Counter(place(pack(i), EIGHT, room, 1, 1, {}).where[0] for i in range(2000))
    assert 500 < drawn["s3"] < 700  # 3 of 10


@pytest.mark.parametrize(("n", "k"), [(3, 4), (3, 0)])
def test_k_out_of_range_is_misuse(n: int, k: int) -> None:
    with pytest.raises(Misuse, match="1 <= k <= n"):
        place(b"p", FIVE, even(FIVE), n, k, {})


def test_forty_stores_with_a_hundred_domain_values_are_placed_in_milliseconds() -> None:
    draw = random.Random(1)
    sizes = {"disk": 30, "machine": 25, "site": 8, "account": 12, "credential": 15, "admin": 6, "build": 4}
    stores = [
        StoreDomains(f"s{i:02}", {kind: str(draw.randrange(size)) for kind, size in sizes.items()}) for i in range(40)
    ]
    survive = {"store": 3, "machine": 2, "site": 1, "account": 2, "admin": 1}
    k = feasible(stores, 20, survive)
    spent = []
    for i in range(60):
        start = time.process_time()
        placed = place(pack(i), stores, even(stores), 20, k, survive)
        spent.append(time.process_time() - start)
        assert (placed.owed, placed.violated) == ((), ())
    assert sorted(spent)[30] < 0.02  # seconds; 0.002 on a quiet machine
