"""The pages in a real browser: what people do with mouse and keys, and what a hostile file cannot."""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.pages.browser import Served
from tests.pages.chromium import Window, chromium

pytestmark = [pytest.mark.slow, pytest.mark.system]

_DROP = """async (files) => {
  const transfer = new DataTransfer();
  for (const [name, text] of files) transfer.items.add(new File([text], name));
  for (const kind of ["dragover", "drop"]) {
    document.querySelector("main").dispatchEvent(
      new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }
}"""
_HOSTILE = b"""<!doctype html><title>x</title><p id="p">quiet</p>
<script>
document.getElementById("p").textContent = "ran";
fetch("/spaces/photos/get/secret.txt").then((a) => a.text()).then((t) => parent.postMessage(t, "*"));
try { top.location = "http://127.0.0.1/"; } catch (e) {}
try { parent.document.body.textContent = "taken"; } catch (e) {}
</script>
<img src=x onerror="document.title='ran'">
<form id=f method=post action="http://127.0.0.1:PORT/spaces/photos/folder/"><input name=name value=made></form>
<meta http-equiv="refresh" content="0; url=http://127.0.0.1:PORT/spaces/photos/files/">
<link rel=stylesheet href="http://127.0.0.1:PORT/static/ropewalk.css">"""


@pytest.fixture
async def window(pages: Served) -> AsyncIterator[Window]:
    async with chromium(pages, viewport={"width": 1280, "height": 800}) as one:
        yield one


async def names(pages: Served, path: str = "") -> list[str]:
    return [info.path async for info in pages.space.list(path)]


async def rows(window: Window) -> list[str]:
    found: list[str] = await window.page.locator("#list .row:not([hidden]) .name").all_text_contents()
    return found


async def told(window: Window, text: str) -> None:
    await window.page.locator(".notice", has_text=text).wait_for()


async def test_files_are_dropped_renamed_deleted_and_brought_back(window: Window) -> None:
    page, pages = window.page, window.served
    await window.open("files/")
    await page.evaluate(_DROP, [["a.txt", "first"], ["b.txt", "second"]])
    await told(window, "Uploaded 2 things.")
    assert await rows(window) == ["a.txt", "b.txt"]
    await page.get_by_role("link", name="a.txt", exact=True).focus()
    await page.keyboard.press("F2")
    await page.keyboard.type("renamed")
    await page.keyboard.press("Enter")
    await told(window, "Renamed a.txt to renamed.txt.")
    assert await names(pages) == ["b.txt", "renamed.txt"]
    await page.get_by_label("Mark b.txt").check()
    await page.locator("#remove").click()
    await page.locator("#removing").get_by_role("button", name="Delete").click()
    await told(window, "Deleted b.txt.")
    assert await names(pages) == ["renamed.txt"]
    await page.get_by_role("button", name="Undo").click()
    await told(window, "Undone.")
    assert await rows(window) == ["b.txt", "renamed.txt"]
    assert await pages.space.read("b.txt") == b"second"
    assert window.complaints == []


async def test_a_large_file_and_a_folder_are_chosen(window: Window, tmp_path: Any) -> None:
    page, pages = window.page, window.served
    folder = tmp_path / "whole"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "x #1.txt").write_bytes(b"in a folder")
    large = tmp_path / "large % file.bin"
    large.write_bytes(bytes(range(256)) * 80_000)
    await window.open("files/")
    await page.locator("#uploading > summary").click()
    await page.locator("input[name=file]").set_input_files(large)
    await told(window, "Uploaded large % file.bin.")
    await page.locator("#uploading > summary").click()
    await page.locator("#whole").set_input_files(folder)
    await told(window, "Uploaded x #1.txt.")
    assert await pages.space.read("whole/sub/x #1.txt") == b"in a folder"
    assert await pages.space.read("large % file.bin") == large.read_bytes()
    await page.get_by_role("link", name="large % file.bin", exact=True).click()
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="Download").click()
    download = await coming.value
    assert download.suggested_filename == "large % file.bin"
    assert (await download.path()).read_bytes() == large.read_bytes()
    assert window.complaints == []


async def test_an_upload_that_is_refused_says_why(window: Window) -> None:
    await window.served.space.make_folder("a.txt")
    await window.open("files/")
    await window.page.evaluate(_DROP, [["a.txt", "x"]])
    words = window.page.locator("#progress [role=status]")
    await words.get_by_text("/a.txt is a folder").wait_for()
    assert "0 of 1 uploaded" in await words.inner_text()


async def test_all_can_be_done_by_keys(window: Window) -> None:
    page, pages = window.page, window.served
    async with pages.space.change() as change:
        for name in ("apple", "banana", "cherry"):
            await change.write(f"fruit/{name}.txt", name.encode())
    await window.open("files/")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/files/fruit")
    await page.keyboard.press("/")
    await page.keyboard.type("an")
    assert await rows(window) == ["banana.txt"]
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Delete")
    await page.locator("#removing[open]").wait_for()
    await page.keyboard.press("Enter")
    await told(window, "Deleted banana.txt.")
    await page.keyboard.press("End")
    await page.keyboard.press("Space")
    assert await page.get_by_label("Mark cherry.txt").is_checked()
    await page.keyboard.press("Delete")
    await page.keyboard.press("Escape")
    assert await names(pages, "fruit") == ["apple.txt", "cherry.txt"]
    assert window.complaints == []


async def test_ten_thousand_entries_are_all_there_and_filtered(window: Window) -> None:
    page, pages = window.page, window.served
    async with pages.space.change() as change:
        for number in range(10_000):
            await change.write(f"big/{number:05}.txt", b"")
    await window.open("files/big")
    await page.locator("#count", has_text="10,000 entries").wait_for()
    assert await page.locator(".row").count() == 10_000
    await page.keyboard.press("/")
    await page.keyboard.type("0999")
    assert await rows(window) == [*["00999.txt"], *[f"0999{at}.txt" for at in range(10)]]
    assert window.complaints == []


async def test_a_film_is_sought_in(window: Window) -> None:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(44_100)
        out.writeframes(struct.pack("<h", 0) * 44_100 * 120)
    await window.served.space.write("long.wav", sound.getvalue())
    ranges: list[str] = []
    window.page.on(
        "request", lambda request: ranges.append(request.headers.get("range", "")) if "/t/" in request.url else None
    )
    await window.open("files/long.wav")
    at = await window.page.evaluate(
        """async () => {
          const audio = document.querySelector("audio");
          if (audio.readyState < 1) await new Promise((ready) => audio.addEventListener("loadedmetadata", ready));
          const sought = new Promise((ready) => audio.addEventListener("seeked", ready));
          audio.currentTime = 110;
          await sought;
          return [audio.currentTime, audio.duration];
        }"""
    )
    assert at == [110, 120]
    assert any(one.startswith("bytes=") for one in ranges)
    assert window.complaints == []


@pytest.mark.parametrize("name", ["evil.html", "evil.svg", "evil.md"])
async def test_a_hostile_file_runs_nothing_and_reaches_nothing(window: Window, name: str) -> None:
    page, pages = window.page, window.served
    port = window.url.rpartition(":")[2].encode()
    data = _HOSTILE.replace(b"PORT", port)
    if name == "evil.svg":
        data = b'<svg xmlns="http://www.w3.org/2000/svg"><script>top.document.title="ran"</script></svg>'
    await pages.space.write(name, data)
    await pages.space.write("secret.txt", b"secret")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await window.open(f"files/{name}")
    await page.wait_for_load_state("networkidle")
    assert await page.title() == f"{name} · Ropewalk"
    for frame in page.frames[1:]:
        assert "ran" not in (await frame.content()).replace('textContent = "ran"', "").replace("title='ran'", "")
    own = [url for url in asked if "preview.localhost" not in url]
    assert all(url.endswith((f"/files/{name}", ".css", ".svg", ".js")) for url in own), own
    assert not any("secret" in url or "folder/" in url for url in asked)
    preview = next(url for url in asked if "/t/" in url)
    await page.goto(preview)  # as itself, outside our frame
    await page.wait_for_load_state("networkidle")
    assert await page.title() != "ran"
    assert sorted(await names(pages)) == sorted([name, "secret.txt"])
    cookies = await window.context.cookies()
    assert all(cookie["domain"] == "127.0.0.1" and cookie["httpOnly"] for cookie in cookies)


async def test_it_works_without_scripts(pages: Served, tmp_path: Any) -> None:
    async with chromium(pages, java_script_enabled=True) as window:
        state = await window.context.storage_state()
        plain = await window.context.browser.new_context(java_script_enabled=False, storage_state=state)  # type: ignore[union-attr]
        page = await plain.new_page()
        await page.goto(f"{window.url}/spaces/photos/files/")
        (tmp_path / "one.txt").write_text("one")
        await page.locator("#uploading > summary").click()
        await page.locator("input[name=file]").set_input_files(tmp_path / "one.txt")
        await page.get_by_role("button", name="Upload").click()
        await page.locator(".notice", has_text="Uploaded one.txt.").wait_for()
        await page.get_by_role("link", name="About one.txt").click()
        await page.get_by_text("Rename", exact=True).first.click()
        await page.locator("input[name=name]").fill("two.txt")
        await page.get_by_role("button", name="Rename").click()
        await page.locator(".notice", has_text="Renamed one.txt to two.txt.").wait_for()
        await page.get_by_label("Mark two.txt").check()
        await page.locator("#remove").click()
        await page.get_by_role("button", name="Undo").click()
        await page.locator(".notice", has_text="Undone.").wait_for()
        assert await names(pages) == ["two.txt"]
        await plain.close()


async def test_a_phone_needs_no_sideways_scrolling(pages: Served) -> None:
    await pages.space.write("a-rather-long-name-of-a-file-" + "x" * 120 + ".txt", b"x" * 5000)
    await pages.space.write("folder/in.txt", b"x")
    async with chromium(pages, viewport={"width": 360, "height": 740}) as window:
        for target in ("files/", "files/folder/in.txt", "versions/folder", "search/?q=x", "files/none"):
            await window.open(target)
            for panel in await window.page.locator("summary").all():
                await panel.click()
            wide = await window.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360, target
