"""How spaces are is counted as they are now, and no longer than they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from ropewalk.errors import Unavailable
from ropewalk.loops import run
from ropewalk.loops.simulated import Simulated
from ropewalk.metrics import Registry
from ropewalk.node.space_counts import LOOKS_EVERY, SpaceCounts
from ropewalk.spaces.freshness import Freshness, Word
from ropewalk.spaces.space import Space

NOW = 1_000 * 10**9
Numbers = dict[tuple[str, ...], float]


class FakeSpace:
    """A space whose state is as a test wants it."""

    def __init__(self) -> None:
        self.there = {"disk1": True, "disk2": True, "disk3": False}
        self.fresh = Freshness(Word.FRESH, age=1.0)
        self.error: Exception | None = None
        self.core = SimpleNamespace(pool=self, ledger=self)
        self.live = SimpleNamespace(view=lambda: self.fresh)

    @property
    def names(self) -> list[str]:
        return list(self.there)

    def up(self, store: str) -> bool:
        return self.there[store]

    async def do(self, ask: Callable[..., Any]) -> Any:
        if self.error is not None:
            raise self.error
        return ask(self)

    def owed_shares(self) -> list[tuple[bytes, list[int]]]:
        return [(b"pack1", [0, 2]), (b"pack2", [1])]

    def owed_heads(self) -> list[tuple[str, str]]:
        return [("head", "disk3")]

    def owed_records(self) -> list[tuple[str, str, bytes]]:
        return []

    def queued_names(self) -> list[str]:
        return ["waits"]


def counted(registry: Registry) -> dict[str, Numbers]:
    """All families of spaces that show something."""
    return {
        one.name.removeprefix("ropewalk_space_"): cast("Numbers", one.series)
        for one in registry.read()
        if one.name.startswith("ropewalk_space_") and one.series
    }


def test_a_space_is_counted_while_it_is_open() -> None:
    registry, space = Registry(), FakeSpace()
    spaces: dict[str, Space | None] = {"photos": cast("Space", space), "music": None}
    counts = SpaceCounts(registry, lambda: spaces, now=lambda: NOW)

    async def main() -> None:
        working = asyncio.create_task(counts.work())
        await asyncio.sleep(LOOKS_EVERY / 2)
        photos = ("photos",)
        assert counted(registry) == {
            "up": {photos: 1, ("music",): 0},
            "stores": {("photos", "up"): 2, ("photos", "away"): 1},
            "owed": {("photos", "shares"): 3, ("photos", "heads"): 1, ("photos", "records"): 0},
            "waiting": {photos: 1},
            "stale_seconds": {photos: 0},
        }
        space.there["disk3"] = True
        space.fresh = Freshness(Word.STALE, since=NOW - 90 * 10**9)
        await asyncio.sleep(LOOKS_EVERY)
        assert counted(registry)["stores"] == {("photos", "up"): 3, ("photos", "away"): 0}
        assert counted(registry)["stale_seconds"] == {photos: 90}
        space.fresh = Freshness(Word.UNKNOWN)
        await asyncio.sleep(LOOKS_EVERY)
        assert "stale_seconds" not in counted(registry), "nobody else was heard, and that is no age"
        space.error = Unavailable("it is closed")
        await asyncio.sleep(LOOKS_EVERY)
        assert not working.done(), "what is wrong with one space ends nothing"
        spaces["photos"] = None
        await asyncio.sleep(LOOKS_EVERY)
        assert counted(registry) == {"up": {photos: 0, ("music",): 0}}
        spaces.clear()
        await asyncio.sleep(LOOKS_EVERY)
        assert counted(registry) == {}
        working.cancel()

    run(main(), loop=Simulated())


def test_a_space_that_was_closed_meanwhile_shows_nothing_again() -> None:
    registry, space = Registry(), FakeSpace()
    spaces: dict[str, Space | None] = {"photos": cast("Space", space)}
    counts = SpaceCounts(registry, lambda: spaces, now=lambda: NOW)
    asked = space.do

    async def closed_while_it_is_asked(ask: Callable[..., Any]) -> Any:
        spaces["photos"] = None
        return await asked(ask)

    space.do = closed_while_it_is_asked  # type: ignore[method-assign]
    run(counts.look(), loop=Simulated())
    assert "owed" not in counted(registry)
