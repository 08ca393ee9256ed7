"""Passports in the home: kept, joined, found again, due in time; another's is none, a damaged one refuses."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ropewalk.loops import run
from ropewalk.loops.simulated import Simulated
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.passport import (
    EVERY,
    SOONER,
    BeingLookedAt,
    Passport,
    PassportDamaged,
    due,
    keep,
    load,
    mark,
    renew,
    sign,
    terms,
    terms_of,
)
from ropewalk.spaces.passport.record import Finding, Verdict
from ropewalk.spaces.passport.record import found as finding
from ropewalk.spaces.store import (
    LARGEST_OBJECT,
    MemoryStore,
    ObjectName,
    Parts,
    Store,
    StoreGone,
    StoreReadOnly,
    Terms,
    size_of,
)
from ropewalk.testing import Fault, FaultStore, Rule
from ropewalk.testing.unfit import UNFIT, Restarts
from tests.spaces.making import device
from tests.spaces.passport.looks import IDENTITY, KEY, NOW, chance
from tests.spaces.passport.test_record import ONE

DAY = 24 * 3600 * 10**9


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "config", tmp_path / "state")
    home.add_store("one", StoreSetting("/one", IDENTITY.hex()))
    return home


async def _renewed(home: Home, store: Store, **options: Any) -> Passport:
    async def open_store(place: str, identity: bytes) -> Store:
        assert (place, identity) == ("/one", IDENTITY)
        return store

    given: dict[str, Any] = {"clock": lambda: 0.0, "now": lambda: NOW, "chance": chance()} | options
    return await renew(home, "one", device(), open_store, **given)


def _file(home: Home) -> Path:
    return home.state / "passports" / f"{IDENTITY.hex()}.passport"


def _with(*findings: Finding) -> Passport:
    return replace(ONE, findings=findings)


async def test_what_was_found_is_kept(home: Home) -> None:
    passport = await _renewed(home, MemoryStore())
    assert load(home, IDENTITY, KEY) == passport
    assert (passport.kind, passport.time, passport.quick) == ("folder", NOW, 0)
    assert _file(home).stat().st_mode & 0o077 == 0


async def test_the_store_is_closed_and_left_clean(home: Home) -> None:
    class Closes(MemoryStore):
        names: list[str]

        async def aclose(self) -> None:
            self.names = [listed.name async for listed in self.list("")]
            await super().aclose()

    store = Closes()
    await _renewed(home, store)
    assert store.names == []


def test_none_is_there(home: Home) -> None:
    assert load(home, IDENTITY, KEY) is None
    assert load(home, b"", None) is None


async def test_what_is_anothers_is_none(home: Home) -> None:
    await _renewed(home, UNFIT["forgets"](), quick=True)
    other = DeviceKeys(bytes(32)).public()
    assert load(home, IDENTITY, other.ed25519) is None
    assert terms_of(home, home.store("one"), other) == Terms()


async def test_what_is_damaged_may_have_refused_the_store(home: Home) -> None:
    await _renewed(home, MemoryStore(), quick=True)
    file, data = _file(home), _file(home).read_bytes()
    (home.state / "passports" / f"{bytes(16).hex()}.passport").write_bytes(data)
    with pytest.raises(PassportDamaged, match="is of store"):
        load(home, bytes(16), KEY)
    for damaged in (b"", data[:-1], data[:100] + bytes([data[100] ^ 1]) + data[101:], bytes(10**6)):
        file.write_bytes(damaged)
        _check_damaged(home)
        assert (await _renewed(home, MemoryStore(), quick=True)).verdict == "good"
        assert file.read_bytes() == data
    file.unlink()
    file.mkdir()
    _check_damaged(home)


def _check_damaged(home: Home) -> None:
    for key in (KEY, None):
        with pytest.raises(PassportDamaged):
            load(home, IDENTITY, key)
    assert terms_of(home, home.store("one"), device().public()).refused.startswith("its passport is damaged: ")


async def test_a_store_that_goes_silent_keeps_what_was_known(home: Home) -> None:
    known = await _renewed(home, MemoryStore())
    with pytest.raises(StoreGone):
        await _renewed(home, FaultStore(MemoryStore(), Rule(Fault.GONE_BEFORE, skip=50)), now=lambda: NOW + DAY)
    assert load(home, IDENTITY, KEY) == known


@pytest.mark.parametrize("fault", sorted(UNFIT.keys() - {"tells too late", "tears large", "nothing large"}))
async def test_no_store_with_a_fault_gets_a_clean_passport(home: Home, fault: str) -> None:
    await _renewed(home, UNFIT[fault](), quick=True)
    passport = load(home, IDENTITY, KEY)
    assert passport is not None
    assert passport.verdict != "good"
    assert terms(passport) != Terms()


async def test_a_quick_one_does_not_stand_in_for_a_full_one(home: Home) -> None:
    full = await _renewed(home, MemoryStore())
    assert await _renewed(home, MemoryStore(), quick=True, now=lambda: NOW + DAY) == full
    assert load(home, IDENTITY, KEY) == full
    late = await _renewed(home, MemoryStore(), quick=True, now=lambda: NOW + 31 * DAY)
    assert load(home, IDENTITY, KEY) == late
    assert (late.quick, late.time) == (1, NOW + 31 * DAY)


async def test_what_a_quick_one_leaves_is_known_though_the_full_one_stays(home: Home) -> None:
    full = await _renewed(home, MemoryStore())
    store = Restarts(keeps=False)
    kept = await _renewed(home, store, quick=True, leaving=True, now=lambda: NOW + DAY)
    assert load(home, IDENTITY, KEY) == kept
    assert (kept.quick, kept.time, len(kept.left)) == (0, full.time, 16)
    store.restart()
    lost = await _renewed(home, store, quick=True, restarted=True, now=lambda: NOW + DAY)
    assert (lost.left, lost.finding("largest")) == (b"", full.finding("largest"))
    assert "3 are not there" in terms(lost).refused


class _Smaller(MemoryStore):
    async def put(self, name: ObjectName, parts: Parts) -> None:
        if size_of(parts) > 2 << 20:
            raise StoreReadOnly("too large")
        await super().put(name, parts)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_Smaller, Terms(largest=1 << 20)),
        (UNFIT["deletes nothing"], Terms(deletes=False)),
        (UNFIT["no hints"], Terms(hints=False)),
    ],
)
async def test_a_change_that_a_quick_one_sees_counts_at_once(
    home: Home, change: Callable[[], Store], expected: Terms
) -> None:
    await _renewed(home, MemoryStore())
    kept = await _renewed(home, change(), quick=True, now=lambda: NOW + DAY)
    assert load(home, IDENTITY, KEY) == kept
    assert dataclasses.replace(terms(kept), limits=()) == expected
    assert due(kept, NOW + DAY)  # whether it is so for large ones too, a full look tells
    again = await _renewed(home, MemoryStore(), quick=True, now=lambda: NOW + 2 * DAY)
    assert dataclasses.replace(terms(again), limits=()) == expected  # a quick look takes nothing back
    assert terms(await _renewed(home, MemoryStore(), now=lambda: NOW + 2 * DAY)) == Terms()


async def test_a_store_that_is_reached_in_another_way_is_due(home: Home) -> None:
    known = await _renewed(home, MemoryStore())
    assert due(known, NOW, "tls")
    home.update(lambda now: replace(now, stores={"one": StoreSetting("tls://there:1#k", IDENTITY.hex())}))

    async def open_store(_place: str, _identity: bytes) -> Store:
        return MemoryStore()

    kept = await renew(
        home, "one", device(), open_store, clock=lambda: 0.0, now=lambda: NOW, chance=chance(), quick=True
    )
    assert (kept.kind, kept.quick) == ("tls", 1)
    assert due(kept, NOW)


async def test_what_was_torn_in_full_stays_torn_until_it_is_tried_in_full(home: Home) -> None:
    class TearsLater(MemoryStore):
        async def put(self, name: ObjectName, parts: Parts) -> None:
            held = b"".join(parts)
            await super().put(name, [held[: 20 << 20]])

    torn = await _renewed(home, TearsLater())
    assert "64 MiB" in terms(torn).refused
    for days in (1, 2, 40):  # one is of the future, one is due, one long so
        kept = await _renewed(home, TearsLater(), quick=True, now=lambda days=days: NOW + days * DAY)
        assert terms(kept).refused == terms(torn).refused
        assert terms_of(home, home.store("one"), device().public()) == terms(kept)
    assert not terms(await _renewed(home, MemoryStore(), now=lambda: NOW + 41 * DAY)).refused


async def test_what_did_not_outlast_a_restart_is_not_forgotten_by_leaving_something_again(home: Home) -> None:
    store = Restarts(keeps=False)
    await _renewed(home, store, quick=True, leaving=True)
    store.restart()
    assert terms(await _renewed(home, store, quick=True, restarted=True)).refused
    kept = await _renewed(home, store, leaving=True)
    assert "after a restart, 3 are not there" in terms(kept).refused
    again = await _renewed(home, Restarts(keeps=True), leaving=True, chance=chance(1))
    assert again.left != kept.left
    assert terms(again).refused


async def test_who_lost_something_is_tried_again_after_a_restart(home: Home) -> None:
    store = Restarts(keeps=False)
    await _renewed(home, store, leaving=True)
    store.restart()
    assert terms(await _renewed(home, store, restarted=True)).refused
    await _renewed(home, store, leaving=True)
    assert not terms(await _renewed(home, store, quick=True, restarted=True)).refused


def test_a_store_that_does_not_open_is_not_waited_for_for_ever(home: Home) -> None:
    async def hang(_place: str, _identity: bytes) -> Store:
        await asyncio.get_running_loop().create_future()
        return MemoryStore()

    async def main() -> None:
        with pytest.raises(StoreGone, match="store did not open within 60 s"):
            await renew(home, "one", device(), hang, clock=lambda: 0.0, now=lambda: NOW, chance=chance())

    run(main(), loop=Simulated())


async def test_two_do_not_look_at_once(home: Home) -> None:
    class Nested(MemoryStore):
        nested = False

        async def room(self) -> None:
            if not self.nested:
                self.nested = True
                with pytest.raises(BeingLookedAt):
                    await _renewed(home, MemoryStore())

    store = Nested()
    await _renewed(home, store, quick=True)
    assert store.nested
    await _renewed(home, MemoryStore(), quick=True)


# -- when it is looked at again, and what follows ------------------------------------------------------------------


def test_when_a_store_is_looked_at_again() -> None:
    assert due(None, NOW)
    assert not due(ONE, NOW)
    assert not due(ONE, NOW + EVERY - 1)
    assert due(ONE, NOW + EVERY)
    assert due(ONE, NOW - 1)  # the clock was set back: how old it is, nobody knows
    assert due(replace(ONE, software="0.0.9"), NOW)
    assert due(replace(ONE, quick=1), NOW)
    refused = _with(finding("keeps", 0, "bad", "it loses"))
    assert not due(refused, NOW + SOONER - 1)
    assert due(refused, NOW + SOONER)


@pytest.mark.parametrize(
    ("probe", "value", "verdict", "expected"),
    [
        ("writes", "yes", "good", Terms()),
        ("largest", 1 << 20, "good", Terms()),  # a quick look tried no more
        ("largest", 1 << 20, "unknown", Terms()),
        ("largest", 1 << 20, "limited", Terms(largest=1 << 20, limits=("largest: so",))),
        ("largest", 1 << 60, "limited", Terms(largest=LARGEST_OBJECT, limits=("largest: so",))),
        ("largest", -1, "limited", Terms(largest=0, limits=("largest: so",))),
        ("delete", "no", "limited", Terms(deletes=False, limits=("delete: so",))),
        ("delete", "late", "limited", Terms(limits=("delete: so",))),
        ("hints", "no", "limited", Terms(hints=False, limits=("hints: so",))),
        ("hints", "late", "limited", Terms(limits=("hints: so",))),
        ("writes", "no", "limited", Terms(refused="so", limits=("writes: so",))),
        ("race", 16, "limited", Terms(limits=("race: so",))),
        ("race", 2, "bad", Terms(refused="so")),
        ("a-later-probe", None, "bad", Terms(refused="so")),
        ("a-later-probe", "no", "limited", Terms(limits=("a-later-probe: so",))),
    ],
)
def test_what_follows_from_a_finding(probe: str, value: int | str, verdict: Verdict, expected: Terms) -> None:
    assert terms(_with(finding(probe, value, verdict, "so"))) == expected


def test_nothing_follows_from_nothing() -> None:
    assert terms(None) == Terms()


def test_keeping_says_what_is_kept(home: Home) -> None:
    assert keep(home, ONE, device()) == ONE
    seen = mark(home, IDENTITY)
    assert keep(home, replace(ONE, quick=1), device()) == ONE
    assert _file(home).read_bytes() == sign(ONE, device())
    assert mark(home, IDENTITY) == seen  # who has a space open need not look at it
