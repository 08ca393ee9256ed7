"""What a slip of the hand, or somebody else's change at the same time, must not take away."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from tests.pages.browser import Client, Served, served, word_in
from tests.pages.chromium import chromium


async def test_undoing_a_restore_takes_nothing_of_others_away(tmp_path: Path) -> None:
    async with served(tmp_path) as pages:
        client = await pages.client()
        await pages.space.write("d/a", b"1")
        then = (await pages.space.log())[0].hash.hex()
        await pages.space.write("d/a", b"2")
        done = await client.post("/spaces/photos/restore/d", [("at", then)])
        await pages.space.write("d/theirs", b"3")
        undone = await client.post("/spaces/photos/undo/", [("word", done.json["done"])])
        assert (undone.status, undone.code) == (409, "pages.changed-meanwhile")
        assert await pages.space.read("d/theirs") == b"3"


async def test_moving_without_saying_where_to_moves_nothing(pages: Served, client: Client) -> None:
    await pages.space.write("d/x", b"1")
    moved = await client.post("/spaces/photos/move/d", [("p", "d/x"), ("to", " ")])
    assert (moved.status, moved.code) == (400, "pages.bad-form")
    assert await pages.space.read("d/x") == b"1"


@pytest.mark.parametrize(
    ("name", "why"),
    [("", "is no name"), (" ", "is no name"), ("..", "is no name"), ("ü" * 255, "has 510 bytes, expected 255 at most")],
)
async def test_names_that_are_none_are_refused_in_words(client: Client, name: str, why: str) -> None:
    made = await client.post("/spaces/photos/folder/", [("name", name)])
    assert made.status == 400
    assert why in made.json["error"]["message"]
    assert "b'" not in made.json["error"]["message"]


@pytest.mark.system
@pytest.mark.parametrize("script", [True, False])
async def test_enter_moves_and_deletes_nothing(pages: Served, script: bool) -> None:
    await pages.space.write("kept", b"1")
    await pages.space.write("docs/other", b"2")
    async with chromium(pages) as window:
        page = window.page
        if not script:
            state = await window.context.storage_state()
            assert window.context.browser is not None
            plain = await window.context.browser.new_context(java_script_enabled=False, storage_state=state)
            page = await plain.new_page()
        await page.goto(f"{window.url}/spaces/photos/files/")
        mark = "input[name=p][value=kept]"
        await page.check(mark)
        await page.press(mark, "Enter")
        assert await pages.space.read("kept") == b"1", "a mark alone does nothing"
        await page.fill("input[name=to]", "/docs")
        async with page.expect_navigation():
            await page.press("input[name=to]", "Enter")
    assert await pages.space.read("docs/kept") == b"1"


async def test_a_disk_that_is_full_for_a_while_ends_the_pages_of_nobody(
    pages: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    entrance, tried = pages.app.entrance, asyncio.Event()
    told, loop, write = word_in(pages.app), asyncio.get_running_loop(), entrance._write

    def full(*_: object) -> None:
        loop.call_soon_threadsafe(tried.set)
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(entrance, "_write", full)
    entrance._used.set()
    async with asyncio.timeout(60):
        await tried.wait()
        monkeypatch.setattr(entrance, "_write", write)
        while word_in(pages.app) == told:
            entrance._used.set()  # as another visitor would
            await asyncio.sleep(0.01)
