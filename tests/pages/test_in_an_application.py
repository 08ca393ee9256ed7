"""The pages in an application, by our own server: from the file that lets in to a large file that is kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ropewalk.pages import HeldSpaces
from ropewalk.pages.panel import Panel, Past
from ropewalk.pages.service import PagesConfig, PagesService
from ropewalk.service import Application, Context, NoConfig, Plan
from ropewalk.spaces.space import Space
from tests.pages.browser import word_in
from tests.spaces.making import a_space

WITHIN = 120.0  # seconds for what takes one
SIZE = 40 << 20  # bytes: more than a site takes by itself

pytestmark = pytest.mark.system


@asynccontextmanager
async def pages(tmp_path: Path) -> AsyncIterator[tuple[PagesService, Space, Application]]:
    world = await a_space(tmp_path / "home")
    async with world.open() as space:

        def make(config: PagesConfig, context: Context) -> PagesService:
            past = context.services["past"]
            assert context.control is not None
            panel = Panel(context.control, "pages", past if isinstance(past, Past) else None)
            held = HeldSpaces(lambda: {"photos": space})
            return PagesService(config, context, held, tmp_path / "web", panel=panel)

        def past(_: NoConfig, context: Context) -> Past:
            return Past(tmp_path / "past.db", context)

        listening = PagesConfig(listen="tcp://127.0.0.1:0")
        plans = [Plan("past", past, NoConfig()), Plan("pages", make, listening, needs=("past",))]
        application = Application("node", plans)
        async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
            group.create_task(application.run())
            await application.wait_up()
            service = application.service("pages")
            assert isinstance(service, PagesService)
            try:
                yield service, space, application
            finally:
                application.stop()


class Browser:
    """One connection that keeps its cookie."""

    def __init__(self, url: str) -> None:
        self.url, self.cookie, self.csrf = url, "", ""
        self.connection = HTTPConnection(url.removeprefix("http://"), timeout=WITHIN)

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        def asked() -> tuple[int, bytes]:
            sent = {"Cookie": self.cookie} if self.cookie else {}
            if method != "GET":
                sent |= {"Origin": self.url, "X-Ropewalk-Csrf": self.csrf}
            sent |= {key.replace("_", "-"): value for key, value in headers.items()}
            self.connection.request(method, path, body, sent)
            answer = self.connection.getresponse()
            data = answer.read()
            if found := answer.getheader("set-cookie"):
                self.cookie = found.partition(";")[0]
            if mark := re.search(rb'name="csrf" value="([0-9a-f]+)"', data):
                self.csrf = mark[1].decode()
            return answer.status, data

        return await asyncio.to_thread(asked)


async def test_from_the_file_that_lets_in_to_a_large_file_that_is_kept(tmp_path: Path) -> None:
    async with pages(tmp_path) as (service, space, application):
        address = service.address()
        assert address is not None
        browser, file = Browser(address), service.pages.entrance.file
        try:
            assert (await browser.ask("GET", "/"))[0] == 403
            while not await asyncio.to_thread(file.exists):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            word = urlencode({"word": word_in(service.pages)}).encode()
            kind = {"Content_Type": "application/x-www-form-urlencoded", "Origin": "null"}
            assert (await browser.ask("POST", "/enter", word, **kind))[0] == 200
            status, page = await browser.ask("GET", "/")
            assert (status, b"photos" in page, b'href="/process"' in page) == (200, True, True)
            data = bytes(range(256)) * (SIZE // 256)
            status, said = await browser.ask("PUT", "/spaces/photos/get/film", data, Accept="application/json")
            assert status in (200, 201), said
            assert await space.read("film") == data
            assert await browser.ask("GET", "/spaces/photos/get/film") == (200, data)
            status, page = await browser.ask("GET", "/process")
            assert (status, b"Services of" in page, b"shows this page" in page) == (200, True, True)
            application.stop()
        finally:
            browser.connection.close()
    assert not await asyncio.to_thread(file.exists)
