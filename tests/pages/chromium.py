"""A real browser before the real app: Chromium, driven by playwright, over a real socket.

Flow: pages -> our own web server on a free port -> Chromium -> a page that has come in by the file
Never: reaches anything but this machine.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

from ropewalk import net
from ropewalk.metrics import Registry
from ropewalk.web import Site
from tests.pages.browser import Served

CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass
class Window:
    """A browser that is in."""

    context: BrowserContext
    page: Page
    served: Served
    url: str
    complaints: list[str]  # what the browser said went wrong, such as what a policy kept from happening

    async def open(self, path: str) -> None:
        """Go to a page of the space."""
        await self.page.goto(f"{self.url}/spaces/photos/{path}")


@asynccontextmanager
async def chromium(pages: Served, **options: Any) -> AsyncIterator[Window]:
    """A window on the pages."""
    api = pytest.importorskip("playwright.async_api", reason="playwright drives the browser, and is not installed")
    if not os.access(CHROMIUM, os.X_OK):
        pytest.skip(f"no {CHROMIUM}, which is the browser")
    site = Site(pages.app, registry=Registry())
    async with site, await net.listen("tcp://127.0.0.1:0", site.protocol) as listener:
        url = f"http://127.0.0.1:{listener.endpoint.port}"
        pages.app.entrance._url = url
        pages.app.entrance.renew()
        async with api.async_playwright() as play:
            browser = await play.chromium.launch(executable_path=str(CHROMIUM), args=_FLAGS)
            try:
                context = await browser.new_context(**options)
                page = await context.new_page()
                page.set_default_timeout(30_000)
                complaints: list[str] = []
                page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
                page.on("pageerror", lambda error: complaints.append(str(error)))
                await page.goto(pages.app.entrance.file.as_uri())
                await page.wait_for_url(f"{url}/")
                yield Window(context, page, pages, url, complaints)
            finally:
                await browser.close()
