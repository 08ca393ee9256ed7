"""The form of a configuration in a real browser: what it sends is what is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages.chromium import chromium
from tests.pages.test_configuring import ECHO, FILE, town

pytestmark = [pytest.mark.slow, pytest.mark.system]


async def test_a_form_is_filled_in_refused_mended_and_saved(tmp_path: Path) -> None:
    async with town(tmp_path) as one, chromium(one.served, viewport={"width": 1280, "height": 800}) as window:
        page = window.page
        await page.goto(f"{window.url}{ECHO}")
        assert "hunter2" not in await page.content()
        await page.get_by_label("greeting").fill("bad <i>day")
        await page.get_by_label("loud").check()
        await page.get_by_role("button", name="Save", exact=True).click()
        await page.get_by_role("alert").filter(has_text="got 'bad <i>day'").first.wait_for()
        assert one.file.read_text() == FILE
        await page.get_by_label("greeting").fill("good day")
        await page.get_by_role("button", name="Save and restart").click()
        await page.get_by_text("echo is up.").wait_for()
        assert (one.runs().greeting, one.runs().loud, one.runs().password) == ("good day", True, "hunter2")
        # The browser itself says that an answer was refused.
        assert [said for said in window.complaints if "400" not in said] == []
        for width, scheme in ((1280, "light"), (360, "dark")):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            await page.screenshot(path=str(tmp_path / f"{width}.png"), full_page=True)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
