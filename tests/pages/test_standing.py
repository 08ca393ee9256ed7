"""What every page of a space says at its top: that it takes no changes now, or that newer ones may be missing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest

from ropewalk.pages import standing as told
from ropewalk.pages.standing import standing
from ropewalk.spaces.freshness import Freshness, Word
from ropewalk.spaces.live import Live
from tests.pages.browser import Client, Served, served
from tests.pages.pools import RoomyStore, a_pool, fill

PAGES = ("files/", "files/album/", "files/film.mkv", "versions/", "search/?q=film", "members/", "audit/", "promise/")


def tops(page: str) -> list[str]:
    """The sentences of the notices of a page."""
    found = re.findall(r'<p class="notice caution">(.*?)</p>', page, re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]*>", " ", one)).split()) for one in found]


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, world=await a_pool(tmp_path / "home", floor=4)) as one:
        await fill(one.space)
        await one.space.write("album/a.jpg", b"x")
        yield one


@pytest.fixture
async def inside(pool: Served) -> Client:
    return await pool.client()


async def lose(pool: Served, *names: str) -> None:
    """These stores are gone, and that is known."""
    for name in names:
        pool.world.stores[name].gone = True
    await pool.space.core.pool.ask_all(5.0)


async def test_while_all_is_well_nothing_is_said(pool: Served, inside: Client) -> None:
    assert standing(pool.space) == []
    await lose(pool, "aunt")  # four are enough
    assert standing(pool.space) == []
    assert not any("stores answer" in one for one in tops((await inside.get("/spaces/photos/files/")).text))


async def test_too_few_stores_are_told_on_every_page_and_no_store_is_asked_for_it(pool: Served, inside: Client) -> None:
    await lose(pool, "aunt", "cloud")
    said = "3 of 5 stores answer, and a change needs 4. Nothing can be changed until enough are back;"
    asked = [one.asked for one in pool.world.stores.values() if isinstance(one, RoomyStore)]
    for what in PAGES:
        answer = await inside.get(f"/spaces/photos/{what}")
        assert answer.status == 200, what
        (top,) = [one for one in tops(answer.text) if "stores answer" in one]
        assert top.startswith(said), what
        assert 'href="/spaces/photos/pool/"' in answer.text
    assert [one.asked for one in pool.world.stores.values() if isinstance(one, RoomyStore)] == asked
    refused = await inside.put("/spaces/photos/get/new", b"x")
    assert (refused.status, refused.code) == (503, "pool.below-floor"), "what is said is so"
    page = await inside.post("/spaces/photos/folder/", [("name", "new")], accept="text/html")
    assert page.status == 503
    assert '<a href="/spaces/photos/pool/">Stores</a>' in page.text
    itself = tops((await inside.get("/spaces/photos/pool/")).text)
    assert sum("stores answer" in one for one in itself) <= 1, "it is said once"
    pool.world.stores["aunt"].gone = False
    pool.world.clock.seconds += 60
    await pool.space.core.pool.ask_all(5.0)
    assert standing(pool.space) == []


async def test_where_changes_may_wait_that_is_said_instead(pool: Served) -> None:
    await lose(pool, "aunt", "cloud", "desk", "attic", "cellar")
    pool.space.core.offline = True
    (only,) = standing(pool.space)
    assert only.startswith("0 of 5 stores answer, and a change needs 4. What you change waits on this machine")


async def test_a_stale_view_is_told_where_others_may_write(pool: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    several = True
    view = Freshness(Word.STALE, since=1_700_000_000 * 10**9, device=b"\1" * 16)
    monkeypatch.setattr(Live, "view", lambda _: view)
    monkeypatch.setattr(told, "several_devices", lambda _: several)
    assert standing(pool.space) == ["Stale since 2023-11-14 22:13:20 UTC: newer changes may be missing here."]
    several = False
    assert standing(pool.space) == []
    several, view = True, Freshness(Word.UNKNOWN)
    assert standing(pool.space) == []


async def test_the_parts_of_a_space_are_one_step_away_from_each_of_its_pages(inside: Client) -> None:
    pages = {"files/": "page", "files/album/": "true", "files/film.mkv": "true", "search/": "page"}
    for what, current in pages.items():
        text = (await inside.get(f"/spaces/photos/{what}")).text
        for part in ("files", "versions", "members", "conflicts", "audit", "pool", "promise"):
            assert f'<a href="/spaces/photos/{part}/"' in text, (what, part)
        assert f'<a href="/spaces/photos/files/" aria-current="{current}">Files</a>' in text
