"""The computed promise: exact kill sets, honest bounds, and the words for them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from ropewalk.errors import Misuse
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.promise import Computed, Domain, KeyHolder, PackGroup, as_dict, compute, explain

ONE_DISK = [StoreDomains(f"disk{i}", {"disk": "a", "machine": "here"}) for i in range(1, 6)]
APART = [StoreDomains(f"disk{i}", {"disk": f"d{i}", "machine": f"m{i}"}) for i in range(1, 6)]
ALL = frozenset(store.name for store in APART)
DEVICE = KeyHolder("this device", {"machine": "here", "admin": "me"})
PAPER = KeyHolder("your paper key", {}, "shown on 2026-11-22")
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
    assert "keys: one copy, this device: losing it loses everything" in explain(promise)
    assert "losing machine here alone loses everything; the promise says nothing about machines" in explain(promise)


def test_a_paper_key_that_was_shown_makes_two() -> None:
    promise = five()
    assert holds(promise, "key") == 1
    assert holds(promise, "machine") == 2
    assert promise.keeps.mixed.at_most == 2
    assert "keys: two copies, each of which opens all: this device and your paper key (shown on 2026-11-22)" in explain(
        promise
    )


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
        "whoever has any of these keys can read and forge; within reach of admin me and machine here; "
        "stores alone can do neither, however many of them"
    ) in explain(promise)


def test_keys_of_other_people_open_the_space_when_all_of_ours_are_lost() -> None:
    others = [KeyHolder(f"{one} (laptop)", {"machine": f"of {one} (laptop)"}) for one in ("bob", "carol")]
    promise = five(ONE_DISK, keys=[DEVICE, PAPER, *others], unreachable=[])
    assert holds(promise, "key") == 3
    apart = five(keys=[DEVICE, PAPER, *others])
    assert holds(apart, "machine") == 2  # what the stores bear: the paper is on no machine
    assert apart.keeps.mixed.at_most == 3  # of the stores; it takes four to lose the keys
    assert (
        "keys: four copies, each of which opens all: "
        "this device, your paper key (shown on 2026-11-22), bob (laptop) and carol (laptop)"
    ) in explain(apart)


def test_the_keys_of_who_may_only_read_keep_what_is_there_and_write_nothing() -> None:
    reader = KeyHolder("bob (phone)", {"machine": "of bob (phone)"}, "", writes=False)
    promise = five(keys=[DEVICE, reader])
    assert holds(promise, "key") == 1
    writes = promise.writes.of("key")
    assert writes is not None
    assert writes.holds == 0
    assert promise.writes.mixed.at_most == 1
    secret, forged = promise.secret.of("key"), promise.forged.of("key")
    assert secret is not None
    assert forged is not None
    assert [kill.domains for kill in secret.kills] == [(Domain("key", "bob (phone)"),)]
    assert [kill.domains for kill in forged.kills] == [(Domain("key", "this device"),)]
    assert any(
        line.startswith("whoever has any of these keys can read, and forge unless it is that of bob (phone);")
        for line in explain(promise)
    )
    assert as_dict(promise)["forges"] != as_dict(promise)["discloses"]


def test_a_space_whose_last_writer_lost_its_keys_can_be_read_and_not_written() -> None:
    promise = five(keys=[KeyHolder("bob (phone)", {}, "", writes=False)])
    assert promise.kept
    words = explain(promise)
    assert "a write needs 4 of 5 stores, and no key may write: nothing can be written" in words
    assert any(line.startswith("whoever has this key can read; stores alone") for line in words)


def test_machines_of_keys_alone_say_nothing_of_stores_of_which_none_is_known() -> None:
    stores = [StoreDomains(f"s{at}") for at in range(5)]
    full = frozenset(one.name for one in stores)
    keys = [DEVICE, KeyHolder("your tablet", {"machine": "of your tablet"})]
    words = explain(compute({"store": 2}, 4, stores, [PackGroup(full, 3, 1, 1)], [full], keys))
    assert not any("machines can be lost" in line for line in words)
    alone = explain(compute({"store": 2}, 4, stores, [PackGroup(full, 3, 1, 1)], [full], [DEVICE]))
    assert "losing machine here alone loses everything; the promise says nothing about machines" in alone


def test_hundreds_of_keys_are_counted_and_not_all_named() -> None:
    keys = [KeyHolder(f"device {at}", {"machine": f"of device {at}"}) for at in range(300)]
    promise = five(keys=keys)
    assert holds(promise, "key") == 299
    assert all(len(line) < 400 for line in explain(promise))
    assert any("keys: 300 copies" in line and "device 6 and 293 more" in line for line in explain(promise))


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
        ({"stores": [*APART, APART[0]]}, "store is named twice"),
        ({"keys": [DEVICE, DEVICE]}, "key is named twice"),
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
