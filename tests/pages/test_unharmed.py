"""What a slip of the hand, or somebody else's change at the same time, must not take away."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ropewalk.web import WebLimits
from tests.pages.browser import Client, Served, form, served, word_in
from tests.pages.chromium import chromium
from tests.web.others import WITHIN, others
from tests.web.talking import Got, Hosted, at_work, hosted


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


# ---- others in the middle of what they do, over HTTP ----

LONG = bytes(range(256)) * 32768  # bytes; more than buffers of sockets hold
TAG = "<img src=x onerror=alert(1)>"


@dataclass
class Browsers:
    """Pages on a port, and browsers that are in, which speak byte by byte."""

    pages: Served
    web: Hosted

    async def browser(self) -> Client:
        client = Client(self.pages.app, port=self.web.port)
        self.pages.app.entrance.renew()
        assert (await client.enter(self.pages.word)).status == 200
        assert (await client.get("/")).status == 200
        return client

    def asking(
        self, client: Client, target: str, body: bytes | None = None, method: str = "", **headers: str | None
    ) -> bytes:
        """A request as the browser's; an underscore in a header's name is a hyphen, None leaves a header out."""
        here = f"127.0.0.1:{self.web.port}"
        sent: dict[str, str | None] = {"host": here, "accept": "application/json"}
        sent["cookie"] = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        if body is not None:
            sent |= {"origin": f"http://{here}", "sec-fetch-site": "same-origin", "x-ropewalk-csrf": client.csrf}
            sent |= {"content-length": str(len(body))}
            sent |= {} if method else {"content-type": "application/x-www-form-urlencoded"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}\r\n" for name, value in sent.items() if value is not None]
        first = f"{method or ('GET' if body is None else 'POST')} {target} HTTP/1.1\r\n"
        return (first + "".join(lines) + "\r\n").encode("latin-1") + (body or b"")

    async def asked(self, client: Client, target: str, body: bytes | None = None, **more: Any) -> Got:
        (got,) = await self.web.asked(self.asking(client, target, body, **{"connection": "close", **more}))
        return got


@asynccontextmanager
async def among_others(folder: Path) -> AsyncIterator[tuple[Browsers, Client]]:
    """A browser among others: one is uploading, one has begun to take a long file, one comes afterwards."""
    async with served(folder) as pages, hosted(pages.app, "tcp://127.0.0.1:0", limits=WebLimits(linger=60)) as web:
        await pages.space.write("long", LONG)
        there = Browsers(pages, web)
        good, bad = await there.browser(), await there.browser()
        sends = there.asking(good, "/spaces/photos/get/mine", b"0123456789", method="PUT", connection="close")
        takes = there.asking(good, "/spaces/photos/get/long", connection="close")
        asks = there.asking(good, "/spaces/photos/files/", accept="text/html")
        async with asyncio.timeout(WITHIN), others(web, sends, takes, asks) as got:
            yield there, bad
        assert (got.sent.status, json.loads(got.sent.body)["message"]) == (200, "Uploaded mine.")
        assert (got.taken.status, got.taken.whole) == (200, True)
        assert got.taken.body == LONG
        assert (got.third.status, b"<bdi>long</bdi>" in got.third.body) == (200, True)
        assert await pages.space.read("mine") == b"0123456789"
        assert await pages.space.read("long") == LONG


async def names(there: Browsers) -> list[str]:
    return [info.path async for info in there.pages.space.list("")]


async def test_requests_that_have_no_end_or_two_lengths_harm_no_other_browser(tmp_path: Path) -> None:
    async with among_others(tmp_path) as (there, bad):
        form = there.asking(bad, "/spaces/photos/folder/", b"name=made")
        chunks = form.replace(b"content-length: 9", b"transfer-encoding: chunked")
        for sent, status in (
            (form.replace(b"\r\n\r\n", b"\r\n" + b"x: y\r\n" * 100_000), 431),
            (form.replace(b"\r\n\r\n", b"\r\nx: " + b"y" * 500_000), 431),
            (form.replace(b"content-length: 9", b"content-length: 9\r\ncontent-length: 5"), 400),
            (form.replace(b"content-length: 9", b"content-length: 9\r\ntransfer-encoding: chunked"), 400),
            (form.replace(b"content-length: 9", b"content-length: 9, 9"), 400),
            (chunks.replace(b"chunked", b"chunked\r\ncontent-length: 9"), 400),
            (chunks.replace(b"chunked", b"chunked, chunked"), 400),
            (chunks.replace(b"chunked", b"xchunked"), 501),
            (chunks.replace(b"chunked", b"\x0bchunked"), 400),
            (chunks.replace(b"transfer-encoding:", b"transfer-encoding :"), 400),
        ):
            (got,) = await there.web.asked(sent)
            assert (got.status, got.keep) == (status, False), sent[:400]
        assert await names(there) == ["long"]


OUTSIDE = [
    "..",
    "%2e%2e",
    "%2E.",
    "..%2f..",
    "..%2Fx",
    "%2fetc%2fpasswd",
    "a%2f..%2f..%2fx",
    "~2E~2E",
    "..~2F..",
    "~00",
]
NOT_UTF8 = ["%c0%ae%c0%ae", "..%c0%af..", "%e0%80%ae%e0%80%ae", "%ff", "x%00"]  # or a zero: no server takes them
ONLY_NAMES = ["%252e%252e", "..%5cx", "%2e%2e%5C", "%ef%bc%8e%ef%bc%8e", "%e2%80%a5", "..%e2%88%95x", "..;", "C:%5cx"]


async def test_paths_that_lead_outside_harm_no_other_browser(tmp_path: Path) -> None:
    async with among_others(tmp_path) as (there, bad):
        for path in (*OUTSIDE, *NOT_UTF8):
            for target in (f"/spaces/photos/get/{path}", f"/spaces/photos/get/d/{path}/x"):
                got = await there.asked(bad, target)
                assert got.status == 400, path
                assert path in NOT_UTF8 or json.loads(got.body)["error"]["code"] == "pages.bad-address"
                assert (await there.asked(bad, target, b"x", method="PUT")).status == 400, path
        for path in ONLY_NAMES:  # of things that are not there
            got = await there.asked(bad, f"/spaces/photos/get/{path}")
            assert (got.status, json.loads(got.body)["error"]["code"]) == (404, "space.no-such-path"), path
        for name in ("../x", "/../x", "a/../../x", ".."):
            kind, body = form([("file", name, b"x")])
            assert (await there.asked(bad, "/spaces/photos/upload/", body, content_type=kind)).status == 400, name
        for target in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/..%5capp.py"):
            assert (await there.asked(bad, target)).status == 404, target
        assert await names(there) == ["long"]


async def test_foreign_hosts_and_origins_harm_no_other_browser(tmp_path: Path) -> None:
    async with among_others(tmp_path) as (there, bad):
        port = there.web.port
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port}.evil.example", "[::1]:1"):
            for body in (None, b"name=made"):
                got = await there.asked(bad, "/spaces/photos/folder/", body, host=host)
                said = (got.status, json.loads(got.body)["error"]["code"]) if got.status == 421 else (got.status, "")
                assert said in ((421, "pages.foreign-host"), (400, "")), host
                assert said[0] == 421 or host.endswith(f"{port}.evil.example"), "that is no host to any server"
        for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}", f"http://localhost:{port}", None):
            site = None if origin is None else "same-origin"
            got = await there.asked(bad, "/spaces/photos/folder/", b"name=made", origin=origin, sec_fetch_site=site)
            assert (got.status, json.loads(got.body)["error"]["code"]) == (403, "pages.foreign-origin"), origin
            socket: dict[str, Any] = {"sec_websocket_version": "13", "sec_websocket_key": "MDEyMzQ1Njc4OWFiY2RlZg=="}
            asks: dict[str, Any] = {"connection": "upgrade", "upgrade": "websocket", "origin": origin}
            assert (await there.asked(bad, "/process/console", **socket, **asks)).status == 403, origin
        assert await names(there) == ["long"]


@pytest.mark.parametrize("size", [100, 10_000_000])  # taken whole before the change; streamed into it
async def test_an_upload_that_is_cut_harms_no_other_browser(tmp_path: Path, size: int) -> None:
    async with among_others(tmp_path) as (there, bad):
        sent = there.asking(bad, "/spaces/photos/get/half", bytes(size), method="PUT")
        peer = await there.web.peer(sent[: -size // 2])
        await at_work(there.web, 3)
        peer.transport.abort()
        await peer.lost.wait()
        assert await names(there) == ["long"]


async def test_two_browsers_that_rename_one_folder_harm_no_other(tmp_path: Path) -> None:
    async with among_others(tmp_path) as (there, bad):
        await there.pages.space.write("trip/a.jpg", b"x")
        second = await there.browser()
        both = await asyncio.gather(
            there.asked(bad, "/spaces/photos/move/", b"p=trip&name=spring"),
            there.asked(second, "/spaces/photos/move/", b"p=trip&name=march"),
        )
        assert sorted(got.status for got in both) == [200, 404]
        loser = json.loads(next(got.body for got in both if got.status == 404))["error"]
        assert loser["message"] == "/trip is not there any more"
        folder, _ = sorted(await names(there), key=lambda name: name == "long")
        assert folder == ("spring" if both[0].status == 200 else "march")
        assert await there.pages.space.read(f"{folder}/a.jpg") == b"x"


async def test_a_name_with_html_in_it_harms_no_other_browser(tmp_path: Path) -> None:
    async with among_others(tmp_path) as (there, bad):
        made = await there.asked(bad, "/spaces/photos/folder/", f"name={TAG}".encode())
        assert made.status == 200
        for target in ("files/", "files/%3Cimg%20src=x%20onerror=alert(1)%3E", "versions/", "search/?q=*"):
            got = await there.asked(bad, f"/spaces/photos/{target}", accept="text/html")
            assert got.status == 200, target
            assert b"<img" not in got.body
            assert b"&lt;img src=x onerror=alert(1)&gt;" in got.body, target
        assert await names(there) == [TAG, "long"]
