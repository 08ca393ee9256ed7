"""`--age`: whoever reads can have said how old the view may be, by what other devices were heard to say."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ropewalk.spaces.freshness import Freshness, Word
from ropewalk.spaces.space import Space
from tests.cli.conftest import Run
from tests.cli.pair import Pair, a_pair

READS = (["ls", "photos:/"], ["cat", "photos:/a"], ["find", "photos:/"], ["get", "photos:/a", "back"])


@pytest.fixture
def pair(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return a_pair(photos, run, monkeypatch)


def bob_wrote(pair: Pair, when: int) -> None:
    async def write() -> None:
        async with pair.open("bob", now=lambda: when) as space:
            await space.write("a", b"x")

    asyncio.run(write())


@pytest.mark.parametrize("words", READS, ids=lambda words: words[0])
def test_a_read_says_its_age_where_it_is_asked(pair: Pair, words: list[str]) -> None:
    bob_wrote(pair, 1_790_000_000_000_000_000)
    quiet = pair.anna(*words)
    assert "stale" not in quiet.err
    asked = pair.anna(*words, "--age")
    assert "warning: stale since 2026-09-21 14:13:20 UTC by the clock of bob (device " in asked.err
    if words[0] != "get":  # which says how long it took
        assert asked.out == quiet.out
    told = json.loads(pair.anna(*words, "--age", "--json").err)["freshness"]
    assert (told["word"], told["since"]) == ("stale", 1_790_000_000_000_000_000)


def test_what_is_fresh_is_no_warning(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fresh(_space: Space) -> Freshness:
        return Freshness(Word.FRESH, age=7.0, device=bytes(32))

    monkeypatch.setattr(Space, "freshness", fresh)
    said = pair.anna("ls", "photos:/", "--age").err
    assert "note: fresh: device 00000000 was heard 7 s ago" in said
    assert "warning" not in said


def test_who_is_alone_misses_nothing(run: Run, photos: Path) -> None:
    assert "nothing can be newer" in run("ls", "photos:/", "--age").err
    assert json.loads(run("ls", "photos:/", "--age", "--json").err) == {"freshness": None}
