"""Passports in the home: kept, found again, due in time; another's or a damaged one is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.passport import (
    EVERY,
    SOONER,
    BeingLookedAt,
    Passport,
    due,
    keep,
    load,
    renew,
    sign,
    terms,
)
from ropewalk.spaces.passport.record import Finding, Verdict
from ropewalk.spaces.passport.record import found as finding
from ropewalk.spaces.store import LARGEST_OBJECT, MemoryStore, Store, StoreGone, Terms
from ropewalk.testing import Fault, FaultStore, Rule
from ropewalk.testing.unfit import UNFIT
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


async def test_what_is_anothers_or_damaged_is_none(home: Home) -> None:
    await _renewed(home, MemoryStore(), quick=True)
    data = _file(home).read_bytes()
    other = DeviceKeys(bytes(32))
    assert load(home, IDENTITY, other.public().ed25519) is None
    (home.state / "passports" / f"{bytes(16).hex()}.passport").write_bytes(data)
    assert load(home, bytes(16), KEY) is None
    for damaged in (b"", data[:-1], data[:100] + bytes([data[100] ^ 1]) + data[101:], bytes(10**6)):
        _file(home).write_bytes(damaged)
        assert load(home, IDENTITY, KEY) is None
    _file(home).unlink()
    _file(home).mkdir()
    assert load(home, IDENTITY, KEY) is None


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
    await _renewed(home, MemoryStore(), quick=True, now=lambda: NOW + DAY)
    assert load(home, IDENTITY, KEY) == full
    left = await _renewed(home, MemoryStore(), quick=True, leaving=True, now=lambda: NOW + DAY)
    assert load(home, IDENTITY, KEY) == left  # or nobody would know what was left
    await _renewed(home, MemoryStore(), now=lambda: NOW + DAY)
    refused = await _renewed(home, UNFIT["forgets"](), quick=True, now=lambda: NOW + 2 * DAY)
    assert load(home, IDENTITY, KEY) == refused
    await _renewed(home, MemoryStore())
    late = await _renewed(home, MemoryStore(), quick=True, now=lambda: NOW + 31 * DAY)
    assert load(home, IDENTITY, KEY) == late


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


def test_keeping_says_whether_it_did(home: Home) -> None:
    assert keep(home, ONE, device())
    assert not keep(home, replace(ONE, quick=1), device())
    assert _file(home).read_bytes() == sign(ONE, device())
