"""What would go on for ever ends: waits once a store or a node is closed, listings of nodes that invent names."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from ropewalk.errors import Misuse
from ropewalk.remote import RemoteStore
from ropewalk.remote.errors import LIST, LONGEST_QUOTE, as_store, quoted
from ropewalk.spaces.store import ObjectName, StoreDamaged, StoreGone
from tests.node.making import GUEST, Town, a_node
from tests.remote.test_store import Lying, _lied

HINT = ObjectName("a" * 64 + "/hints/" + "0" * 32)
PAGE = 1000


async def _waiting(town: Town, many: int = 1) -> tuple[RemoteStore, list[asyncio.Task[bytes]]]:
    """Some that wait for a change that does not come."""
    await (await town.offer("disk1")).aclose()
    town.grant()
    await town.node.look()
    store = await town.store()
    mark = await store.wait_changed(HINT, b"")
    waiting = [asyncio.create_task(store.wait_changed(HINT, mark)) for _ in range(many)]
    while town.node.offers["disk1"].notices._waiters < many:  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(0)
    return store, waiting


async def test_closing_a_store_does_not_wait_for_changes(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        store, waiting = await _waiting(town, 3)
        async with asyncio.timeout(30):
            await store.aclose()
        for one in waiting:
            with pytest.raises(Misuse, match="closed"):
                await one
        with pytest.raises(Misuse, match="closed"):
            await store.wait_changed(HINT, b"")


async def test_a_wait_is_given_up_by_who_waits_and_the_others_go_on(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        store, (first, second) = await _waiting(town, 2)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await store.replace(HINT, [b"news"])
        async with asyncio.timeout(30):
            assert await second
        await store.aclose()


async def test_a_node_that_stops_does_not_wait_for_those_who_wait(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        store, (waiting,) = await _waiting(town)
        town.node.stop_waits()
        async with asyncio.timeout(30):
            await town.node.host.close(600)
            with pytest.raises(StoreGone):
                await waiting
        key = GUEST.public_key().public_bytes_raw()
        with pytest.raises(StoreGone, match="stops"):
            await town.node.offers["disk1"].wait_changed(key, HINT, b"")
        await store.aclose()


def _ever(row: Callable[[str], Any], asked: list[str]) -> Callable[[str], list[Any]]:
    """Pages of names that go on and on, each as long as it may be."""
    numbers = itertools.count()

    def page(after: str) -> list[Any]:
        asked.append(after)
        return [row(f"{next(numbers):020x}") for _ in range(PAGE)]

    return page


@pytest.mark.parametrize("what", ["names", "trash"])
async def test_a_listing_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr("ropewalk.remote.store.MOST_LISTED", 5 * PAGE)
    asked: list[str] = []
    answers = {"names": _ever(lambda name: (name, 1), asked), "trash": _ever(lambda name: (name, "n", 1, 1.0), asked)}
    async for store in _lied(Lying(**{what: answers[what]})):
        came: list[object] = []

        async def taken(listing: AsyncIterator[object], came: list[object] = came) -> None:
            async for one in listing:
                came.append(one)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(StoreDamaged, match="no store has so many"):
            await taken(store.list("") if what == "names" else store.trash(bytes(32)))
        assert len(came) == 5 * PAGE
        assert len(asked) == 5


@pytest.mark.parametrize("page", [[("a", 1)] * PAGE, [(f"{number:04}", 1) for number in range(PAGE)]])
async def test_a_page_that_comes_again_is_no_next_one(page: list[tuple[str, int]]) -> None:
    async for store in _lied(Lying(names=lambda _: page)):
        with pytest.raises(StoreDamaged, match="does not list by name"):
            async for _ in store.list(""):
                pass


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("it is full", "it is full"),
        ("\x1b[2J\x07 all is well\r", r"\x1b[2J\x07 all is well"),
        ("first\nsecond", "first"),
        ("", "it gave no reason"),
        ("\n \n", "it gave no reason"),
        ("\u202egnorw\ud800", r"\u202egnorw\ud800"),
    ],
)
def test_what_a_node_says_is_shown_and_steers_nothing(said: str, shown: str) -> None:
    told = str(as_store("store a", "broker.failed", said, allowed=LIST))
    assert told == f"store a does not answer: {shown}"


def test_what_a_node_says_fills_no_screen() -> None:
    assert len(quoted("\x00" * 1_000_000)) <= LONGEST_QUOTE + 2
    assert len(str(as_store("a", "store.gone", "x" * 1_000_000, allowed=LIST))) < 2 * LONGEST_QUOTE
