"""Placement is the best there is: found wherever it exists, with the fewest moves, by room, and able to say why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.pool import limits
from ropewalk.spaces.pool.placement import KINDS, Reason, StoreDomains, place

labels = st.dictionaries(st.sampled_from(KINDS[1:]), st.sampled_from("abc"), max_size=7)
pools = st.lists(labels, min_size=1, max_size=8).map(
    lambda each: [StoreDomains(f"s{i}", one) for i, one in enumerate(each)]
)
promises = st.dictionaries(st.sampled_from(KINDS), st.integers(0, 3), max_size=5)


def pack(i: int) -> bytes:
    return i.to_bytes(32, "big")


def even(stores: Sequence[StoreDomains]) -> dict[str, float]:
    return {store.name: 1e9 for store in stores}


def keeps(chosen: Collection[StoreDomains], k: int, survive: Mapping[str, int]) -> bool:
    """By enumeration: whether any promised loss leaves k of the chosen."""
    for kind, s in survive.items():
        values = {store.value(kind) for store in chosen}
        for lost in combinations(values, min(s, len(values))):
            if sum(store.value(kind) not in lost for store in chosen) < k:
                return False
    return True


def fewest_moves(
    stores: Sequence[StoreDomains], n: int, k: int, survive: Mapping[str, int], have: Collection[str]
) -> int | None:
    """By enumeration: how many of those who have a share must give it up, or None where no n stores will do."""
    moves = [
        len(set(have) - {store.name for store in chosen})
        for chosen in combinations(stores, n)
        if keeps(chosen, k, survive)
    ]
    return min(moves, default=None)


@given(pools, promises, st.data())
def test_a_placement_is_found_where_there_is_one_and_it_moves_the_fewest(
    stores: list[StoreDomains], survive: dict[str, int], data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, len(stores)))
    k = data.draw(st.integers(1, n))
    who = data.draw(st.lists(st.sampled_from([store.name for store in stores]), unique=True, max_size=n))
    have = dict(enumerate(who))
    placed = place(data.draw(st.binary(min_size=1, max_size=4)), stores, even(stores), n, k, survive, have)
    best = fewest_moves(stores, n, k, survive, who)
    moved = {share for share, name in have.items() if placed.where.get(share) != name}
    assert placed.sure
    if best is None:
        assert placed.violated
        assert not moved  # nothing would be gained
    else:
        assert not placed.violated
        assert len(moved) == best
        assert keeps([store for store in stores if store.name in placed.where.values()], k, survive)


def test_one_share_moves_where_dropping_the_first_that_does_not_fit_would_move_two() -> None:
    stores = [
        StoreDomains("a", {"machine": "x", "site": "p"}),
        StoreDomains("b", {"machine": "x", "site": "q"}),
        StoreDomains("c", {"machine": "y", "site": "p"}),
        StoreDomains("d", {"machine": "z", "site": "r"}),
    ]
    placed = place(b"p", stores, even(stores), 3, 2, {"machine": 1, "site": 1}, {0: "a", 1: "b", 2: "c"})
    assert placed.where == {0: "d", 1: "b", 2: "c"}


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_store_with_twice_the_room_gets_twice_the_shares(n: int) -> None:
    stores = [StoreDomains(f"s{i}") for i in range(12)]
    room = even(stores) | {"s3": 2e9, "s7": 2e9}
    packs = 6000
    held = Counter(name for i in range(packs) for name in place(pack(i), stores, room, n, 1, {}).where.values())
    one = n * packs / 14  # shares for each 1e9 of room
    for store in stores:
        fair = one * room[store.name] / 1e9
        assert abs(held[store.name] - fair) < 4 * fair**0.5 + 0.02 * fair


def test_room_counts_among_those_that_the_limits_leave() -> None:
    stores = [StoreDomains(f"s{i}", {"machine": f"m{i // 2}"}) for i in range(8)]
    room = {store.name: 2e9 if i % 2 else 1e9 for i, store in enumerate(stores)}  # one of each machine is larger
    packs = 4000
    held = Counter(
        name for i in range(packs) for name in place(pack(i), stores, room, 2, 1, {"machine": 1}).where.values()
    )
    assert 1.8 < sum(held[f"s{i}"] for i in (1, 3, 5, 7)) / sum(held[f"s{i}"] for i in (0, 2, 4, 6)) < 2.2


def test_data_columns_do_not_all_lie_on_the_largest_stores() -> None:
    stores = [StoreDomains(f"s{i}") for i in range(5)]
    room = even(stores) | {"s0": 9e9}
    first = Counter(place(pack(i), stores, room, 3, 2, {}).where[0] for i in range(900))
    assert 240 < first["s0"] < 360  # a third of the packs; it is drawn for all


@given(pools, promises, st.data())
def test_every_store_is_told_why(stores: list[StoreDomains], survive: dict[str, int], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(stores)))
    k = data.draw(st.integers(1, n))
    room = {store.name: data.draw(st.sampled_from([0.0, 1.0, 3.0])) for store in stores}
    have = dict(
        enumerate(data.draw(st.lists(st.sampled_from([store.name for store in stores]), unique=True, max_size=n)))
    )
    placed = place(b"p", stores, room, n, k, survive, have)
    assert placed.why.keys() == {store.name for store in stores}
    by_name = {store.name: store for store in stores}
    holds = set(placed.where.values())
    for name, why in placed.why.items():
        had = name in have.values()
        assert (name in holds) == (why.reason in (Reason.KEPT, Reason.DRAWN))
        assert had == (why.reason in (Reason.KEPT, Reason.MOVED))
        assert (why.reason is Reason.FULL) == (not had and room[name] == 0)
        if why.kind:
            assert by_name[name].value(why.kind) == why.value
            assert why.held >= n - k
            assert survive[why.kind] == why.others + 1
        assert why.words == why.words.strip() != ""


def test_the_reason_names_the_limit_that_is_full() -> None:
    stores = [StoreDomains(f"s{i}", {"machine": "left" if i < 3 else f"m{i}"}) for i in range(5)]
    placed = place(b"p", stores, even(stores), 3, 2, {"machine": 1}, {0: "s0", 1: "s1"})
    assert placed.where[0] == "s0"
    assert placed.why["s0"].words == "kept where it was"
    assert placed.why["s1"].words == "moves elsewhere: machine=left has 1 share, which is all that may be lost"
    assert placed.why["s2"].words == "machine=left has 1 share, which is all that may be lost"
    assert placed.why["s3"].words == "drawn by room"
    assert placed.slack == {"machine": 0}


def test_what_states_nothing_counts_as_one_and_is_told_so() -> None:
    stores = [StoreDomains("a", {"site": "x"}), StoreDomains("b", {"site": "y"}), StoreDomains("c"), StoreDomains("d")]
    placed = place(b"p", stores, even(stores), 3, 1, {"site": 2}, {0: "c"})
    assert placed.violated == ()
    assert placed.why["d"].words == (
        "what states no site together with the 1 heaviest other has 2 shares, which is all that may be lost"
    )


def test_a_search_that_was_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "POOL_STEPS", 1)
    stores = [
        StoreDomains("a", {"machine": "x", "site": "p", "admin": "k"}),
        StoreDomains("b", {"machine": "x", "site": "q", "admin": "l"}),
        StoreDomains("c", {"machine": "y", "site": "p", "admin": "m"}),
        StoreDomains("d", {"machine": "z", "site": "r", "admin": "n"}),
        StoreDomains("e", {"machine": "z", "site": "s", "admin": "o"}),
    ]
    have = {0: "a", 1: "b", 2: "c"}
    placed = place(b"p", stores, even(stores), 3, 2, {"machine": 1, "site": 1, "admin": 1}, have)
    assert not placed.sure
    assert not placed.violated or placed.where == have
