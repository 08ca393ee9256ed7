"""Those who send slowly, leave half-way, or come back to what somebody else has changed: nothing is held up or lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ropewalk.pages import changing, receiving
from ropewalk.pages.receiving import LEAST, SILENT, SLOWEST, in_time, seconds_for
from ropewalk.spaces.content import ContentSource
from ropewalk.spaces.tree.entry import Entry
from tests.pages.browser import ORIGIN, Client, Served, form

WITHIN = 30.0  # seconds for what takes milliseconds


def test_an_upload_is_given_up_after_half_a_minute_of_silence_or_below_64_kib_a_second() -> None:
    assert (SILENT, SLOWEST) == (30.0, 65536)
    for size in (0, 1 << 20, 10 << 30):
        assert seconds_for(size) == LEAST + size / 65536


@pytest.mark.parametrize("length", [100, 100_000_000])  # taken whole before the change; streamed into it
async def test_an_upload_of_which_nothing_comes_is_given_up(
    pages: Served, client: Client, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    def soon(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        return in_time(body, 0.05)

    monkeypatch.setattr(changing, "in_time", soon)
    headers = {"x-ropewalk-csrf": client.csrf, "accept": "application/json", "content-length": str(length)}
    answer = await client.ask("PUT", "/spaces/photos/get/slow", headers, bytes(50), hang=True)
    assert (answer.status, answer.code) == (503, "pages.too-slow")
    assert "nothing came for" in answer.json["error"]["message"]
    assert (await client.put("/spaces/photos/get/next", b"x")).status == 200
    assert [info.path async for info in pages.space.list("")] == ["next"]


async def test_who_sends_a_little_all_the_time_is_given_up_by_the_whole(
    pages: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "LEAST", 0.1)
    monkeypatch.setattr(receiving, "SLOWEST", 10**9)
    sent = 0

    async def dripping() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x"
            await asyncio.sleep(0.001)

    monkeypatch.setattr(changing, "body_of", lambda _: dripping())
    headers = {"x-ropewalk-csrf": client.csrf, "accept": "application/json", "content-length": "100000000"}
    answer = await client.ask("PUT", "/spaces/photos/get/slow", headers, b"", hang=True)
    assert (answer.status, answer.code) == (503, "pages.too-slow")
    assert "came too slowly" in answer.json["error"]["message"]
    assert sent > 1
    assert [info.path async for info in pages.space.list("")] == []


async def test_an_undo_that_came_too_late_changes_nothing_however_often_it_is_tried(
    pages: Served, client: Client
) -> None:
    await pages.space.write("a.txt", b"first")
    await pages.space.write("old", b"moved")
    done = await client.put("/spaces/photos/get/a.txt", b"second")
    moved = await client.post("/spaces/photos/move/", [("p", "old"), ("name", "new")])
    await pages.space.write("a.txt", b"of somebody else")
    await pages.space.write("old", b"of somebody else, too")
    versions = len(await pages.space.log())
    for _ in range(2):
        for change in (done, moved):
            lost = await client.post("/spaces/photos/undo/", [("word", change.json["done"])])
            assert (lost.status, lost.code) == (409, "pages.changed-meanwhile")
            assert "nothing was undone" in lost.json["error"]["hint"]
    assert len(await pages.space.log()) == versions, "an undo that is lost makes no version"
    assert await pages.space.read("a.txt") == b"of somebody else"
    assert (await pages.space.read("old"), await pages.space.read("new")) == (b"of somebody else, too", b"moved")


async def test_a_file_keeps_the_time_that_the_browser_says_and_else_has_its_own(pages: Served, client: Client) -> None:
    kind, body = form(
        [
            ("csrf", None, client.csrf.encode()),
            ("mtime", None, b"1234567890123"),
            ("file", "old.txt", b"1"),
            ("file", "new.txt", b"2"),
        ]
    )
    assert (await client.ask("POST", "/spaces/photos/upload/", {"content-type": kind}, body)).status == 303
    assert (await client.put("/spaces/photos/get/put.txt?mtime=5000", b"3")).status == 200
    times = {info.path: info.mtime async for info in pages.space.list("")}
    assert times["old.txt"] == 1_234_567_890_123 * 10**6
    assert times["put.txt"] == 5_000 * 10**6
    assert times["new.txt"] not in (times["old.txt"], times["put.txt"]), "a time is for the one file after it"
    for wrong in ("-1", "1.5", "x", "9" * 21, "٣"):
        answer = await client.ask(
            "PUT",
            f"/spaces/photos/get/b?mtime={wrong.encode().hex('%') if not wrong.isascii() else wrong}",
            {"x-ropewalk-csrf": client.csrf, "accept": "application/json"},
            b"x",
        )
        assert answer.status == 400, wrong


async def test_what_takes_the_place_of_something_is_told_so(pages: Served, client: Client) -> None:
    await pages.space.write("a", b"1")
    await pages.space.write("b", b"1")
    assert (await client.put("/spaces/photos/get/a", b"2")).json["message"].startswith("Replaced a.")
    assert (await client.put("/spaces/photos/get/new", b"2")).json["message"] == "Uploaded new."
    headers = {"x-ropewalk-csrf": client.csrf, "accept": "application/json"}
    for names, told in (
        (("a", "c", "c", "d"), "Uploaded 4 things, 1 of them replaced."),
        (("a", "b"), "Uploaded 2 things, all of them replaced."),
        (("e", "f"), "Uploaded 2 things."),
    ):
        kind, body = form([("file", name, b"x") for name in names])
        answer = await client.ask("POST", "/spaces/photos/upload/", {**headers, "content-type": kind}, body)
        assert answer.json["message"].startswith(told)


async def test_a_head_does_not_look_at_ranges(pages: Served, client: Client) -> None:
    await pages.space.write("f", b"0123456789")
    for asked in ("bytes=2-4", "bytes=100-"):
        answer = await client.ask("HEAD", "/spaces/photos/get/f", {"range": asked})
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-length"] == "10"
        assert "content-range" not in answer.headers


async def test_a_read_for_a_browser_that_goes_away_ends(
    pages: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pages.space.write("big", bytes(range(256)) * 80_000)
    reading, ended, read = asyncio.Event(), asyncio.Event(), ContentSource.read

    async def stuck(source: ContentSource, entry: Entry, offset: int = 0, length: int | None = None) -> bytes:
        if not offset:
            return await read(source, entry, offset, length)
        reading.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()
        raise AssertionError("nobody ends this but who cancels it")

    monkeypatch.setattr(ContentSource, "read", stuck)
    before = asyncio.all_tasks()
    said: list[Any] = []
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await reading.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    cookie = "; ".join(f"{key}={value}" for key, value in client.cookies.items()).encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},  # by which a server tells of the end, as it happens
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/spaces/photos/get/big",
        "raw_path": b"/spaces/photos/get/big",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", ORIGIN.removeprefix("http://").encode()), (b"cookie", cookie)],
        "server": ("127.0.0.1", 8990),
        "client": ("127.0.0.1", 50000),
    }
    async with asyncio.timeout(WITHIN):
        await pages.app(scope, receive, send)
        assert said[0]["status"] == 200
        await ended.wait()
    assert asyncio.all_tasks() <= before, "nothing is left behind"
