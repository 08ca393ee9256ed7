"""`ropewalk status` of a space with several devices: how new the view is, and whom the space trusts less."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ropewalk.spaces.live import Live
from ropewalk.testing.letting_in import let_in_device
from tests.cli.conftest import Result, Run
from tests.cli.pair import Pair, a_pair, tablet_revoked


@pytest.fixture
def pair(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return a_pair(photos, run, monkeypatch)


def test_one_device_alone_asks_nobody(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def heard(_live: Live, _patience: float = 0.0) -> None:
        raise AssertionError("nobody else is there")

    monkeypatch.setattr(Live, "hear", heard)
    assert run("status", "photos", "--json").json["freshness"] is None
    assert "heard" not in run("status", "photos").out


def test_it_says_who_was_heard_last(pair: Pair) -> None:
    pair.put("bob", "a", "x")
    first = pair.anna("status", "photos").out.splitlines()[0]
    assert first.startswith("as new as bob (device ")
    assert first.endswith(" s ago, by its clock")
    freshness = pair.anna("status", "photos", "--json").json["freshness"]
    assert freshness["word"] == "unknown"
    assert freshness["missing"] == 0


def test_its_own_word_is_not_taken_for_somebody_elses(pair: Pair) -> None:
    pair.put("home", "a", "x")
    first = pair.anna("status", "photos").out.splitlines()[0]
    assert first.startswith("nothing newer is heard of than what this device itself said ")


def test_nobody_was_heard(pair: Pair) -> None:
    for path in pair.files():
        if "hints" in path.parts:
            path.unlink()
    assert "not known: no other device is heard now" in pair.anna("status", "photos").out


def test_a_beat_of_long_ago_is_stale(pair: Pair) -> None:
    async def long_ago() -> None:
        async with pair.open("bob", now=lambda: 1_790_000_000_000_000_000) as space:
            await space.write("a", b"x")

    asyncio.run(long_ago())
    out = pair.anna("status", "photos").out
    assert "stale since 2026-09-21 14:13 UTC, by the clock of bob (device " in out
    assert "newer changes may be missing" in out


def test_who_was_put_out_and_reads_on_is_named_until_that_ends(pair: Pair) -> None:
    tablet_revoked(pair)
    out = pair.bob("status", "photos").out
    assert "bob (tablet) was put out and can still read what is new, since 20" in out
    (exposed,) = pair.bob("status", "photos", "--json").json["exposed"]
    assert (exposed["name"], exposed["since"] > 0) == ("bob (tablet)", True)
    pair.anna("mkdir", "photos:/b")
    assert pair.bob("status", "photos", "--json").json["exposed"] == []


def test_what_was_set_aside_is_counted(pair: Pair) -> None:
    pair.put("home", "before", "x")
    pair.bob("ls", "photos")
    pair.apart(lambda: pair.anna("member", "remove", "bob"), lambda: pair.put("bob", "after", "x"))
    out = pair.anna("status", "photos").out
    assert "1 change is in quarantine, kept and not shown; `ropewalk audit` says whose" in out
    assert pair.anna("status", "photos", "--json").json["quarantined"] == 1
    assert "put after (quarantined)" in pair.anna("audit", "photos").out
    assert pair.anna("ls", "photos").out == "before\n"


def test_records_that_a_store_lacks_are_owed_until_it_is_back(pair: Pair) -> None:
    (pair.work / "s4").rename(pair.work / "away")
    pair.anna("member", "role", "bob", "reader")
    assert pair.anna("status", "photos", "--json").json["owed"]["records"] == 1
    told = "owed: 1 copy of a membership record; `ropewalk repair` pays them"
    assert told in pair.anna("status", "photos").out
    (pair.work / "away").rename(pair.work / "s4")
    pair.anna("repair", "photos")
    assert pair.anna("status", "photos", "--json").json["owed"]["records"] == 0


def _keys(result: Result) -> str:
    (line,) = [line for line in result.out.splitlines() if line.startswith("keys: ")]
    return line


def test_the_keys_of_all_who_belong_are_counted(pair: Pair) -> None:
    assert _keys(pair.anna("status", "photos")).startswith(
        "keys: four copies, each of which opens all: this device, your paper key (shown on 20"
    )
    assert _keys(pair.bob("status", "photos")).endswith("anna (laptop) and anna (paper key)")
    pair.anna("member", "remove", "bob")
    assert "keys: two copies" in _keys(pair.anna("status", "photos"))


def test_words_that_are_good_no_more_are_told_where_they_were_shown(pair: Pair) -> None:
    pair.machine("tablet")

    async def take_in() -> None:
        keys = pair.home("tablet").open_keys("one two three")
        async with pair.open("home") as space, space.group() as group:
            await let_in_device(group, "tablet", keys)

    asyncio.run(take_in())
    pair.attach("tablet")
    # Its own words were shown when its keys were made, and are no member's.
    assert "do not open this space: your paper key for it" in pair.of("tablet", "status", "photos").out
    assert _keys(pair.of("tablet", "status", "photos")).startswith(
        "keys: five copies, each of which opens all: this device, your laptop, your paper key,"
    )
    pair.of("tablet", "recovery", "paper", "--yes")
    assert "do not open this space" not in pair.of("tablet", "status", "photos").out
    told = pair.anna("status", "photos", "--json").json
    assert told["paper"].startswith("the words that were shown on this machine on 20")
    assert [one["said"] for one in told["promise"]["keys"] if one["name"] == "your paper key"] == [""]


def test_a_paper_key_file_that_is_gone_hides_nothing_else(pair: Pair) -> None:
    (pair.home("home").config / "paper.public").unlink()
    assert "this device, your paper key, bob" in _keys(pair.anna("status", "photos"))
    assert pair.anna("status", "photos", "--json").json["paper"] is None
