"""Pool: who is asked, who is left alone, and what counts as kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ropewalk.errors import Damaged, Missing
from ropewalk.spaces.pack.packing import Pack, Packing
from ropewalk.spaces.pool import calls, health, patience, rooms
from ropewalk.spaces.pool import pool as pool_module
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import REST, Pool, PoolStore
from ropewalk.spaces.store import NameTaken, NoSuchObject, ObjectName, StoreDamaged, StoreFull, StoreGone, StoreReadOnly
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import Clock, KeptStore, some_keys

NAME = ObjectName("an/object")
SURVIVE = {"store": 2}


class Made:
    def __init__(self, count: int = 5) -> None:
        self.clock = Clock()
        self.stores = {f"d{at}": KeptStore() for at in range(count)}
        members = [PoolStore(StoreDomains(name), store) for name, store in self.stores.items()]
        self.pool = Pool([*members, PoolStore(StoreDomains("away"), None, "not mounted")], self.clock)


@pytest.fixture
def made() -> Made:
    return Made()


def _pack() -> Pack:
    packing = Packing(3, 5)
    for at in range(6):
        packing.add(bytes((at,)) * 32, bytes((at,)) * 100)
    return packing.finish(some_keys())


async def test_a_store_that_does_not_answer_is_left_alone_for_a_while(made: Made) -> None:
    made.stores["d0"].gone = True
    with pytest.raises(StoreGone):
        await made.pool.get("d0", NAME)
    made.stores["d0"].gone = False
    assert made.pool.why_down("d0") == "store is gone: a test said so"
    with pytest.raises(StoreGone, match="is not there"):
        await made.pool.get("d0", NAME)
    made.clock.seconds += REST
    assert made.pool.up("d0")
    with pytest.raises(NoSuchObject):
        await made.pool.get("d0", NAME)


async def test_stores_that_are_away_or_not_named_are_down_and_say_why(made: Made) -> None:
    assert made.pool.why_down("away") == "not mounted"
    assert not made.pool.up("other")
    for name in ("away", "other"):
        with pytest.raises(StoreGone):
            await made.pool.put(name, NAME, (b"",))
        with pytest.raises(StoreGone):
            [listed async for listed in made.pool.list(name, "")]
        with pytest.raises(StoreGone):
            await made.pool.delete(name, NAME)


@pytest.mark.parametrize("call", ["get", "put", "list", "delete", "room"])
async def test_a_store_that_hangs_is_given_up(made: Made, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setattr(rooms, "DEADLINE", 0.01)
    monkeypatch.setattr(pool_module, "DEADLINE", 0.01)
    monkeypatch.setattr(pool_module, "SLOWEST_RATE", 1 << 40)
    made.stores["d0"].hang(call)

    async def listed() -> None:
        [one async for one in made.pool.list("d0", "")]

    calls: dict[str, Callable[[], object]] = {
        "get": lambda: made.pool.get("d0", NAME),
        "put": lambda: made.pool.put("d0", NAME, (b"",)),
        "list": listed,
        "delete": lambda: made.pool.delete("d0", NAME),
    }
    if call == "room":
        await made.pool.weigh()
    else:
        with pytest.raises(StoreGone, match="did not answer"):
            await calls[call]()  # type: ignore[misc]
    assert not made.pool.up("d0")
    assert made.pool.up("d1")


async def test_an_object_comes_from_the_first_store_with_good_bytes(made: Made) -> None:
    await made.stores["d1"].put(NAME, (b"wrong",))
    made.stores["d2"].rules.append(Rule(Fault.DAMAGED))
    made.stores["d3"].gone = True
    await made.stores["d4"].put(NAME, (b"right",))
    assert await made.pool.get_any(NAME, lambda data: data == b"right") == b"right"
    with pytest.raises(Damaged, match="no good copy"):
        await made.pool.get_any(NAME, lambda data: data == b"other")


async def test_an_object_that_no_store_has_is_missing(made: Made) -> None:
    with pytest.raises(Missing, match="no store that answers"):
        await made.pool.get_any(NAME, lambda _: True)
    for store in made.stores.values():
        store.gone = True
    with pytest.raises(Missing):
        await made.pool.get_any(NAME, lambda _: True)


async def test_a_healthy_first_store_is_the_only_one_asked(made: Made) -> None:
    await made.pool.put_copies(NAME, b"data")
    await made.pool.get_any(NAME, lambda _: True)
    assert [len(store.gets) for store in made.stores.values()] == [1, 0, 0, 0, 0]


async def test_a_store_that_hangs_is_not_waited_for_where_another_has_the_object(made: Made) -> None:
    await made.pool.put_copies(NAME, b"data")
    made.stores["d0"].hang("get")
    started = asyncio.get_running_loop().time()
    for _ in range(4):
        assert await made.pool.get_any(NAME, lambda _: True) == b"data"
    assert asyncio.get_running_loop().time() - started < 1
    assert len(made.stores["d0"].gets) == 1  # from then on it is asked last
    made.clock.seconds += health.FORGIVEN
    assert not made.pool.is_late("d0")


async def test_an_answer_ends_lateness(made: Made) -> None:
    await made.stores["d0"].put(NAME, (b"data",))
    made.pool.was_late("d0")
    assert made.pool.is_late("d0")
    await made.pool.get("d0", NAME)
    assert not made.pool.is_late("d0")


async def test_all_stores_hanging_ends_too(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "DEADLINE", 0.0)
    monkeypatch.setattr(health, "QUICKEST_HEDGE", 0.001)
    monkeypatch.setattr(pool_module, "SLOWEST_RATE", 1 << 20)
    for store in made.stores.values():
        store.hang("get")
    with pytest.raises(Missing):
        await made.pool.get_any(NAME, lambda _: True, 100)


def _read(one: health.Health, seconds: float, size: int = 0) -> None:
    for _ in range(40):
        one.read(0.0, seconds, size, 60.0)


async def test_a_hedge_follows_how_quick_most_stores_are_within_bounds(made: Made) -> None:
    one, *others = [made.pool._health[name] for name in made.stores]
    assert made.pool.hedge() == health.QUICKEST_HEDGE
    for other in others:
        _read(other, 0.05)
    _read(one, 9.0)
    assert made.pool.hedge() == pytest.approx(0.2), "what one store takes says nothing of what others could do"
    for other in others:
        _read(other, 9.0)
    assert made.pool.hedge() == health.SLOWEST_HEDGE


async def test_a_read_that_took_longer_than_others_would_counts_as_late(made: Made) -> None:
    one = made.pool._health["d0"]
    one.read(0.0, 0.1, 100, limit=0.15)
    assert not one.is_late(0.0)
    one.read(0.0, 0.5, 100, limit=0.15)
    assert one.is_late(0.0)
    one.read(0.0, 0.1, 100, limit=0.15)
    assert not one.is_late(0.0)


async def test_a_late_store_is_on_trial_soon_and_then_less_often(made: Made) -> None:
    one = made.pool._health["d0"]
    assert not one.is_on_trial(0.0)
    one.was_late(0.0)
    assert [one.is_on_trial(at) for at in (0.0, health.SOON, health.SOON)] == [False, True, False]
    one.was_late(1.0)
    assert [one.is_on_trial(1.0 + at) for at in (health.SOON, REST, REST)] == [False, True, False]
    assert not one.is_late(1.0 + health.FORGIVEN)


async def test_a_hedge_of_a_large_read_leaves_time_for_its_bytes_within_bounds(made: Made) -> None:
    one, hedge = made.pool._health["d0"], made.pool.hedge
    small = hedge()
    assert hedge(health.LARGE - 1) == small
    assert hedge(32 << 20) == pytest.approx(small + 1)
    _read(one, 0.1, 1 << 20)  # 10 MiB a second
    assert hedge() == small, "large reads say nothing of small ones"
    assert hedge(8 << 20) == pytest.approx(small + 1), "no slower than the bound"
    _read(one, 0.02, 1 << 20)
    assert hedge(5 << 20) == pytest.approx(small + 0.2)


async def test_copies_say_who_kept_them_and_why_others_did_not(made: Made) -> None:
    made.stores["d0"].rules.append(Rule(Fault.FULL))
    made.stores["d1"].rules.append(Rule(Fault.REFUSE))
    made.stores["d2"].gone = True
    await made.stores["d3"].put(NAME, (b"other",))
    copies = await made.pool.put_copies(NAME, b"data")
    assert copies.kept == {"d4"}
    assert {name: type(error) for name, error in copies.failed.items()} == {
        "d0": StoreFull,
        "d1": StoreReadOnly,
        "d2": StoreGone,
        "d3": NameTaken,
        "away": StoreGone,
    }
    assert (await made.pool.put_copies(NAME, b"data", among=["d4"])).kept == {"d4"}


async def test_each_share_goes_to_a_store_of_its_own(made: Made) -> None:
    kept, failed = await made.pool.put_shares(_pack(), SURVIVE)
    assert sorted(kept) == [0, 1, 2, 3, 4]
    assert sorted(kept.values()) == list(made.stores)
    assert failed == {}
    again, _ = await made.pool.put_shares(_pack(), SURVIVE)
    assert again == kept


async def test_a_share_goes_elsewhere_where_its_store_does_not_take_it() -> None:
    made = Made(7)
    made.stores["d0"].rules.append(Rule(Fault.FULL))
    made.stores["d1"].gone = True
    kept, failed = await made.pool.put_shares(_pack(), SURVIVE)
    assert sorted(kept) == [0, 1, 2, 3, 4]
    assert len(set(kept.values())) == 5
    assert set(failed) <= {"d0", "d1"}


async def test_shares_without_a_store_are_owed_and_no_store_gets_two(made: Made) -> None:
    made.stores["d0"].gone = True
    await made.stores["d1"].put(_pack().shares[0].name, (b"squatted",))
    have = {3: "d2", 4: "d3"}
    kept, _ = await made.pool.put_shares(_pack(), SURVIVE, have)
    assert set(kept.values()) <= {"d1", "d4"}
    assert not set(kept) & set(have)
    for store in made.stores.values():
        store.gone = True
    made.clock.seconds += REST
    assert (await made.pool.put_shares(_pack(), SURVIVE))[0] == {}


async def test_a_full_store_is_not_asked_again_until_it_is_weighed(made: Made) -> None:
    made.stores["d0"].rules.append(Rule(Fault.FULL, times=1))
    with pytest.raises(StoreFull):
        await made.pool.put("d0", NAME, (b"data",))
    assert made.pool.up("d0")
    kept, _ = await made.pool.put_shares(_pack(), SURVIVE)
    assert "d0" not in kept.values()
    await made.pool.weigh()
    kept, _ = await made.pool.put_shares(_pack(), SURVIVE)
    assert "d0" in kept.values()


async def test_weighing_passes_over_stores_that_fail(made: Made) -> None:
    made.stores["d0"].gone = True
    made.stores["d1"].rules.append(Rule(Fault.GONE_AFTER, on={"room"}))
    made.stores["d2"].capacity = 0
    await made.pool.weigh()
    assert [name for name in made.stores if not made.pool.up(name)] == ["d0", "d1"]
    assert made.pool.standing("d1") == "away"
    assert (room := made.pool.room("d2")) is not None
    assert room.free == 0


async def test_listings_go_through_and_end_with_the_store(made: Made) -> None:
    for name in ("a/1", "a/2", "b/1"):
        await made.stores["d0"].put(ObjectName(name), (b"",))
    assert [listed.name async for listed in made.pool.list("d0", "a/", "a/1")] == ["a/2"]
    made.stores["d0"].rules.append(Rule(Fault.GONE_AFTER, on={"list"}))
    with pytest.raises(StoreGone):
        [listed async for listed in made.pool.list("d0", "")]
    assert not made.pool.up("d0")


async def test_damage_does_not_make_a_store_go_away(made: Made) -> None:
    made.stores["d0"].rules.append(Rule(Fault.DAMAGED))
    with pytest.raises(StoreDamaged):
        await made.pool.get("d0", NAME)
    assert made.pool.up("d0")


# ---- a store that hangs ----------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "GRACE", 0.01)
    monkeypatch.setattr(calls, "LINGER", 0.0)
    monkeypatch.setattr(calls, "SLOWEST_RATE", float("inf"))


async def _settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.usefixtures("impatient")
async def test_copies_are_kept_once_enough_stores_have_them_and_a_late_one_counts_when_it_comes(made: Made) -> None:
    made.stores["d3"].hang("put")
    told: list[str] = []

    async def later(name: str) -> None:
        told.append(name)

    copies = await made.pool.put_copies(NAME, b"data", made.stores, enough=4, later=later)
    assert copies.kept == {"d0", "d1", "d2", "d4"}
    assert str(copies.failed["d3"]) == "store d3 was not done after 0.0 s"
    assert made.pool.why_down("d3") == "store d3 was not done after 0.0 s"
    again = await made.pool.put_copies(ObjectName("other"), b"data", made.stores, enough=4)
    assert again.kept == copies.kept
    assert len(made.stores["d3"].puts) == 1  # it was not asked for more
    made.stores["d3"].release()
    await _settled()
    assert told == ["d3"]
    assert await made.stores["d3"].get(NAME) == b"data"
    assert made.pool.up("d3")


@pytest.mark.usefixtures("impatient")
async def test_a_late_copy_that_fails_is_told_to_nobody(made: Made) -> None:
    made.stores["d3"].hang("put")
    made.stores["d3"].rules.append(Rule(Fault.GONE_AFTER))

    async def later(name: str) -> None:
        raise AssertionError(name)

    await made.pool.put_copies(NAME, b"data", made.stores, enough=4, later=later)
    made.stores["d3"].release()
    await _settled()
    assert made.pool.why_down("d3") == "store went after it was done: a test said so"


async def test_without_a_number_that_is_enough_all_are_waited_for(made: Made) -> None:
    made.stores["d3"].hang("put")
    put = asyncio.create_task(made.pool.put_copies(NAME, b"data", made.stores))
    await _settled()
    assert not put.done()
    made.stores["d3"].release()
    assert len((await put).kept) == 5


@pytest.mark.usefixtures("impatient")
async def test_shares_are_kept_once_enough_are_durable_and_a_late_one_counts_when_it_comes(made: Made) -> None:
    made.stores["d1"].hang("put")
    told: list[tuple[int, str]] = []

    async def later(number: int, store: str) -> None:
        told.append((number, store))

    kept, failed = await made.pool.put_shares(_pack(), SURVIVE, enough=4, later=later)
    assert len(kept) == 4
    assert set(failed) == {"d1"}
    made.stores["d1"].release()
    await _settled()
    ((number, store),) = told
    assert store == "d1"
    assert {*kept, number} == set(range(5))


async def test_a_store_that_was_silent_is_used_again_once_it_answers(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "DEADLINE", 0.01)
    monkeypatch.setattr(pool_module, "SLOWEST_RATE", 1 << 40)
    made.stores["d0"].hang("get", "room")
    with pytest.raises(StoreGone, match="did not answer"):
        await made.pool.get("d0", NAME)
    made.clock.seconds += REST
    await _settled()
    assert not made.pool.up("d0")  # nothing was heard of it
    made.stores["d0"].release()
    await _settled()
    assert made.pool.up("d0")


@pytest.mark.usefixtures("impatient")
async def test_weighing_hardly_waits_for_a_store_that_hangs_where_others_are_enough(made: Made) -> None:
    made.stores["d0"].hang("room")
    await made.pool.weigh(4)
    assert [name for name in made.stores if not made.pool.up(name)] == ["d0"]
    made.stores["d0"].release()
    await _settled()
    assert made.pool.up("d0")


async def test_stores_that_did_something_just_now_are_not_weighed_again(made: Made) -> None:
    await made.pool.weigh(4, 1.0)
    for name in made.stores:
        made.stores[name].rules.append(Rule(Fault.GONE_BEFORE, on={"room"}))
    await made.pool.weigh(4, 1.0)
    assert all(made.pool.up(name) for name in made.stores)
    made.clock.seconds += 2
    made.stores["d1"].rules.clear()
    await made.pool.put("d4", NAME, (b"data",))
    await made.pool.weigh(4, 1.0)
    assert [name for name in made.stores if made.pool.up(name)] == ["d1", "d4"]
    made.clock.seconds += rooms.ROOM_HOLDS
    made.stores["d0"].rules.clear()
    await made.pool.put("d4", ObjectName("other"), (b"data",))
    await made.pool.weigh(4, 1.0)  # what was heard of its room is too old
    assert [name for name in made.stores if made.pool.up(name)] == ["d0", "d1"]


@pytest.mark.usefixtures("impatient")
async def test_what_hangs_does_not_keep_a_pool_from_closing(made: Made) -> None:
    made.stores["d0"].hang("put")
    await made.pool.put_copies(NAME, b"data", made.stores, enough=4)
    await made.pool.aclose()
    made.stores["d0"].release()
    await _settled()
    assert await made.stores["d0"].names() == []
