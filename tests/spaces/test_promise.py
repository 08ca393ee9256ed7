"""The computed promise: exact kill sets, honest bounds, and the words for them."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Misuse
from ropewalk.spaces.pool.placement import KINDS, StoreDomains, place
from ropewalk.spaces.promise import Computed, Domain, KeyHolder, PackGroup, as_dict, compute, explain
from ropewalk.spaces.promise.kill_sets import Item, smallest_of_any

ONE_DISK = [StoreDomains(f"disk{i}", {"disk": "a", "machine": "here"}) for i in range(1, 6)]
APART = [StoreDomains(f"disk{i}", {"disk": f"d{i}", "machine": f"m{i}"}) for i in range(1, 6)]
ALL = frozenset(store.name for store in APART)
DEVICE = KeyHolder("device key", {"machine": "here", "admin": "me"}, "on this machine")
PAPER = KeyHolder("paper key", {}, "shown on 2026-11-22")
PACKS = [PackGroup(ALL, 3, 40, 10**9)]


def five(
    stores: Sequence[StoreDomains] = APART,
    packs: Sequence[PackGroup] = PACKS,
    keys: Sequence[KeyHolder] = (DEVICE, PAPER),
    unreachable: Sequence[str] = (),
    **survive: int,
) -> Computed:
    return compute(survive or {"store": 2}, 4, stores, packs, [ALL], keys, unreachable)


def holds(promise: Computed, kind: str) -> int | None:
    standing = promise.keeps.of(kind)
    assert standing is not None
    return standing.holds


def test_five_folders_on_one_disk_are_shown_as_what_they_are() -> None:
    promise = five(ONE_DISK)
    assert promise.kept
    assert [holds(promise, kind) for kind in ("store", "disk", "machine")] == [2, 0, 0]
    assert promise.keeps.mixed.kill is not None
    assert promise.keeps.mixed.kill.domains == (Domain("machine", "here"),)
    words = explain(promise)
    assert "any 2 stores can be lost, as asked; losing disk1, disk2 and disk3 together loses everything" in words
    assert (
        "all five stores lie on one disk (a): losing it loses everything; the promise says nothing about disks" in words
    )
    assert "the smallest set of any kinds that loses data: machine here" in words
    assert (
        "a write needs 4 of 5 stores; any 1 store can be away; "
        "the smallest set of any kinds that stops writes: machine here"
    ) in words


def test_one_copy_of_the_device_key_is_a_kill_set_of_one() -> None:
    promise = five(keys=[DEVICE])
    assert holds(promise, "key") == 0
    assert holds(promise, "machine") == 0
    assert promise.keeps.mixed.at_most == 1
    assert "device key: one copy, on this machine; losing it loses everything" in explain(promise)
    assert "losing machine here alone loses everything; the promise says nothing about machines" in explain(promise)


def test_a_paper_key_that_was_shown_makes_two() -> None:
    promise = five()
    assert holds(promise, "key") == 1
    assert holds(promise, "machine") == 2
    assert promise.keeps.mixed.at_most == 2
    assert "device key: one copy, on this machine; paper key shown on 2026-11-22 makes two" in explain(promise)


def test_without_any_key_nothing_can_be_read() -> None:
    promise = five(keys=[])
    assert not promise.kept
    words = explain(promise)
    assert words[0] == "there is no copy of the keys: nothing can be read"
    assert "no one can read or forge: there is no key" in words
    assert "keys: no copy" in words
    assert promise.secret.mixed.kill is None


def test_stores_alone_never_disclose_and_one_key_holder_does() -> None:
    promise = five()
    by_kind = {standing.kind: standing for standing in promise.secret.kinds}
    assert by_kind["store"].holds is None
    assert by_kind["disk"].holds is None
    assert [by_kind[kind].holds for kind in ("key", "machine", "admin")] == [0, 0, 0]
    assert (
        "whoever has the device key or the paper key can read and forge; within reach of admin me and machine here; "
        "stores alone can do neither, however many of them"
    ) in explain(promise)


def test_an_unreachable_store_counts_as_lost() -> None:
    promise = five(unreachable=["disk5"])
    assert not promise.kept
    assert holds(promise, "store") == 1
    words = explain(promise)
    assert words[0] == "disk5 is unreachable and counted as lost"
    assert (
        "any 1 store can be lost, 2 asked (40 packs fall short); "
        "losing disk1 and disk2 together loses everything" in words
    )
    assert any(line.startswith("a write needs 4 of 5 stores; the smallest set") for line in words)


def test_what_is_away_is_told_from_what_is_lost() -> None:
    packs = [*PACKS, PackGroup(frozenset({"disk1", "disk2"}), 3, 2, 500), PackGroup(ALL - {"disk1"}, 3, 1, 7)]
    promise = five(packs=packs, unreachable=["disk4", "disk5"])
    assert (promise.lost.packs, promise.unreadable.packs) == (2, 3)
    words = explain(promise)
    assert "lost: 2 packs (500 bytes)" in words
    assert "not readable until enough of disk4 and disk5 answer again: 3 packs (507 bytes)" in words
    assert "stores: broken now, 2 asked (43 packs fall short)" in words
    assert "a write needs 4 of 5 stores, 3 answer: nothing can be written now" in words
    assert not any("smallest set of any kinds that loses data" in line for line in words)


def test_a_few_packs_that_are_short_are_counted() -> None:
    promise = five(packs=[*PACKS, PackGroup(ALL - {"disk2"}, 3, 1, 7)])
    words = explain(promise)
    assert (
        "any 1 store can be lost, 2 asked (1 pack falls short); "
        "losing disk1 and disk3 together loses data (1 pack of 41)" in words
    )


def test_a_head_in_too_few_stores_breaks_the_promise() -> None:
    promise = compute({"store": 2}, 4, APART, PACKS, [ALL, ["disk1", "disk2"]], [DEVICE, PAPER])
    standing = promise.keeps.of("store")
    assert standing is not None
    assert (standing.holds, standing.kept, standing.short) == (1, False, 0)
    assert standing.kills[0].what == ("heads",)


def test_a_kind_not_stated_for_some_is_counted_as_one_and_said() -> None:
    stores = [*APART[:3], StoreDomains("disk4", {"machine": "m4"}), StoreDomains("disk5", {"machine": "m5"})]
    promise = five(stores, disk=1, store=2)
    assert promise.unstated["disk"] == ("disk4", "disk5")
    assert holds(promise, "disk") == 1
    words = explain(promise)
    assert "disk: not stated for disk4 and disk5, counted as one, apart from the others" in words
    assert promise.writes.mixed.kill is not None
    assert Domain("disk", None) in promise.writes.mixed.kill.domains
    assert any("the unstated disk (disk4, disk5)" in line for line in words)


def test_a_kind_asked_for_and_stated_nowhere_holds_nothing() -> None:
    words = explain(five(site=1))
    assert (
        "none of the five stores states its site, so they count as on one: losing it loses everything, "
        "1 asked (40 packs fall short)" in words
    )


def test_what_is_unknown_and_not_asked_for_is_no_part_of_a_mixed_set() -> None:
    stores = [*APART[:4], StoreDomains("disk5", {"account": "acme"})]
    promise = five(stores, store=2)
    assert holds(promise, "account") == 0
    assert promise.keeps.mixed.at_most == 2  # the two keys, not the unstated account
    assert "account: not stated for disk1, disk2, disk3 and disk4, counted as one, apart from the others" in explain(
        promise
    )


def test_kinds_nobody_states_are_named_as_unknown() -> None:
    assert explain(five())[-1] == (
        "not stated for any store: site, account, credential, admin and build; nothing is known of losing one of these"
    )


def test_a_new_space_without_packs_rests_on_its_keys() -> None:
    promise = compute({"store": 2}, 4, APART, [], [], [DEVICE])
    assert promise.kept
    assert "all stores can be lost together, 2 asked" in explain(promise)


def test_two_stores_on_one_disk_are_both_named() -> None:
    both = compute({}, 1, ONE_DISK[:2], [], [["disk1", "disk2"]], [DEVICE, PAPER])
    assert any(line.startswith("both stores lie on one disk (a)") for line in explain(both))


def test_an_empty_pool_says_that_nothing_can_be_written() -> None:
    promise = compute({"store": 1}, 2, [], [], [], [DEVICE])
    assert "a write needs 2 of 0 stores, 0 answer: nothing can be written now" in explain(promise)
    keyless = compute({"store": 1}, 2, [], [], [], [])
    assert "a write needs 2 of 0 stores and a key" in explain(keyless)


def test_the_dict_form_survives_json_and_agrees() -> None:
    promise = five(ONE_DISK, unreachable=["disk2"])
    value = as_dict(promise)
    assert json.loads(json.dumps(value)) == value
    assert value["kept"] is False
    assert json.loads(json.dumps(value))["loses_data"]["kinds"]["store"]["holds"] == 1
    assert json.loads(json.dumps(value))["discloses"]["kinds"]["store"]["holds"] is None


def test_what_is_given_in_another_order_gives_the_same_answer() -> None:
    packs = [PackGroup(ALL - {name}, 3, 1, 9) for name in sorted(ALL)]
    promise, again = five(packs=packs), five(packs=[*reversed(packs), PackGroup(ALL, 3, 0, 0)])
    assert as_dict(promise) == as_dict(again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"survive": {"planet": 1}}, "unknown kind"),
        ({"write_floor": 0}, "write floor of at least 1"),
        ({"stores": [*APART, APART[0]]}, "named twice"),
        ({"packs": [PackGroup(frozenset({"gone"}), 1, 1, 1)]}, "store gone is not in the pool"),
        ({"packs": [PackGroup(ALL, 0, 1, 1)]}, "k of at least 1"),
        ({"heads": [["gone"]]}, "store gone is not in the pool"),
        ({"unreachable": ["gone"]}, "store gone is not in the pool"),
    ],
)
def test_a_wrong_question_is_misuse(change: dict[str, object], message: str) -> None:
    right: dict[str, object] = {
        "survive": {}, "write_floor": 1, "stores": APART, "packs": PACKS, "heads": [ALL], "keys": [DEVICE],
    }  # fmt: skip
    with pytest.raises(Misuse, match=message):
        compute(**(right | change))  # type: ignore[arg-type]


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
    keys = [
        KeyHolder(f"key{i}", each)
        for i, each in enumerate(
            data.draw(st.lists(st.dictionaries(st.just("disk"), st.sampled_from("ac")), max_size=2))
        )
    ]
    away = data.draw(st.sets(st.sampled_from(names)))
    survive = data.draw(st.dictionaries(st.sampled_from(KINDS[:4]), st.integers(0, 2)))
    floor = data.draw(st.integers(1, 4))
    promise = compute(survive, floor, stores, packs, heads, keys, away)

    key_names = frozenset(key.name for key in keys)
    alive = {*names, *key_names} - away
    groups = [*((p.stores, p.k) for p in packs), *((h, 1) for h in heads), (key_names, 1)]
    writes = [(frozenset(names), floor), (key_names, 1)]
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
    promise = compute({"store": 6}, 9, stores, packs, [{"s00", "s11", "s22"}], [DEVICE, PAPER])
    explain(promise)
    spent = time.process_time() - start
    assert promise.packs == 10_000
    assert promise.keeps.mixed.exact
    assert spent < 2  # seconds; a quarter of one on a quiet machine


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
