"""Pages' browser: Chromium before the pages of a node, and what it sees of time.

Flow: node's cookie -> Chromium -> a page -> what its own clock says: rows, frames, long tasks, uploads, seeks
Never: counts what the bench itself does meanwhile: hashing, comparing, waiting for the next round.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from measure import Failed
from pages_node import FILES, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

__all__ = ["Loaded", "Scrolled", "Window", "browser", "lacks"]

PATIENCE = 120_000  # milliseconds for anything
STEP = 1200  # pixels of one turn of the wheel
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

# Runs before the page's own scripts.  Usable: the first row is on the screen, is what a click there would hit, and the
# next frame has come, so that the one with the row was shown.  Each number is milliseconds of the page's own clock.
_WATCH = """(() => {
  const seen = (window.benchSeen = { usable: 0, whole: 0, frames: 0, gap: 0, tasks: 0, longest: 0 });
  const observer = new PerformanceObserver((list) => take(list.getEntries()));
  const take = (tasks) => {
    seen.tasks += tasks.length;
    for (const task of tasks) seen.longest = Math.max(seen.longest, task.duration);
  };
  observer.observe({ type: "longtask", buffered: true });
  window.benchTasks = () => take(observer.takeRecords());
  const rows = document.getElementsByClassName("row");
  let before = 0, shown = false, all = false;
  const isThere = () => {
    const name = document.querySelector("#list .row .name");
    if (!name) return false;
    const box = name.getBoundingClientRect();
    return box.height > 0 && name.contains(document.elementFromPoint(box.x + 5, box.y + box.height / 2));
  };
  const frame = (now) => {
    if (before) seen.gap = Math.max(seen.gap, now - before);
    before = now;
    seen.frames++;
    if (shown && !seen.usable) seen.usable = performance.now();
    if (all && !seen.whole) seen.whole = performance.now();
    if (!shown) shown = isThere();
    if (!all) all = rows.length === WANTED;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})()"""
_AGAIN = "() => { benchTasks(); Object.assign(benchSeen, { frames: 0, gap: 0, tasks: 0, longest: 0 }); }"
_TELL = "() => { benchTasks(); return benchSeen; }"
_WHOLE = """async (patience) => {
  const isWhole = () => benchSeen.whole && !document.getElementById("more");
  while (!isWhole() && performance.now() < patience) await new Promise((done) => setTimeout(done, 50));
  benchTasks();
  return { ...benchSeen, whole: isWhole() ? benchSeen.whole : 0, rows: document.getElementsByClassName("row").length };
}"""
_TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
_BOTTOM = "() => scrollY + innerHeight >= document.documentElement.scrollHeight - 2"
_SEEN_LAST = """() => {
  const row = [...document.getElementsByClassName("row")].at(-1).getBoundingClientRect();
  return row.bottom > 0 && row.top < innerHeight;
}"""
_READY = """async () => {
  const film = document.querySelector("video");
  if (film.readyState < 1) {
    await new Promise((ready, fail) => {
      film.addEventListener("loadedmetadata", ready);
      film.addEventListener("error", () => fail(new Error(film.error?.message)));
    });
  }
  return [film.duration, film.videoWidth];
}"""
_SEEK = """async ([places, patience]) => {
  const film = document.querySelector("video");
  const took = [];
  for (const place of places) {
    const began = performance.now();
    const sought = new Promise((ready, fail) => {
      film.addEventListener("seeked", ready, { once: true });
      film.addEventListener("error", () => fail(new Error(film.error?.message)), { once: true });
      setTimeout(() => fail(new Error("no answer to a seek")), patience);
    });
    film.currentTime = place;
    await sought;
    took.push(performance.now() - began);
    if (film.readyState < 2) throw new Error("no picture after a seek");
  }
  return took;
}"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A folder's page; milliseconds from the beginning of the navigation."""

    usable: float  # until the first row can be clicked
    whole: float  # until all rows are there
    longest: float  # the longest task until then


@dataclass(frozen=True, slots=True)
class Scrolled:
    """All of a folder's page, scrolled by the wheel."""

    gap: float  # milliseconds, the longest from one frame to the next
    tasks: int  # of more than 50 ms
    seconds: float
    pixels: int


def lacks() -> str:
    """What is missing for a browser; "" where nothing is."""
    if which("chromium") is None:
        return "chromium is not installed (`apt install chromium`)"
    return "" if find_spec("playwright") else "playwright is not installed (`pip install playwright`)"


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Chromium; what it downloads goes below a folder."""
    from playwright.sync_api import Error, sync_playwright

    try:
        with sync_playwright() as play:
            words = {"executable_path": which("chromium"), "args": list(_FLAGS), "downloads_path": str(folder)}
            one = play.chromium.launch(**words)  # type: ignore[arg-type]
            try:
                yield one
            finally:
                one.close()
    except Error as error:
        raise Failed(f"the browser: {str(error)[:1000]}") from error


class Window:
    """A browser that is in at a node.

    Args:
        one: The browser.
        visit: Where, and what lets in.
    """

    def __init__(self, one: Browser, visit: Visit) -> None:
        self._url = visit.url
        self._context: BrowserContext = one.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
        self._context.set_default_timeout(PATIENCE)
        cookie: Any = {"name": visit.name, "value": visit.value, "domain": urlsplit(visit.url).hostname, "path": "/"}
        self._context.add_cookies([cookie | {"httpOnly": True, "sameSite": "Strict"}])
        self.page = self._context.new_page()

    def close(self) -> None:
        """Let go of it."""
        self._context.close()

    def goto(self, path: str) -> None:
        """Open a page.

        Raises:
            Failed: It is not answered by 200.
        """
        answer = self.page.goto(f"{self._url}{path}")
        if answer is None or answer.status != 200:
            raise Failed(f"{path} was answered by {answer.status if answer else 'nothing'}, expected 200")

    def load(self, folder: str, entries: int) -> Loaded:
        """Open a folder in a page of its own, until all of its entries are there."""
        self.page.close()
        self.page = self._context.new_page()
        self.page.add_init_script(_WATCH.replace("WANTED", str(entries)))
        self.goto(f"{FILES}/{folder}")
        seen = self.page.evaluate(_WHOLE, PATIENCE)
        if not seen["whole"]:
            raise Failed(f"of {entries:,} entries of a folder {seen['rows']:,} came")
        return Loaded(seen["usable"], seen["whole"], seen["longest"])

    def scroll(self) -> Scrolled:
        """Turn the wheel until the last entry is on the screen."""
        page = self.page
        page.mouse.move(640, 500)
        page.evaluate(_TWO_FRAMES)
        page.evaluate(_AGAIN)
        began, turns = time.monotonic(), 0
        while not page.evaluate(_BOTTOM):
            if time.monotonic() > began + PATIENCE / 1000:
                raise Failed("the end of a folder was not reached by scrolling")
            for _ in range(10):
                page.mouse.wheel(0, STEP)
                turns += 1
        page.evaluate(_TWO_FRAMES)
        seconds = time.monotonic() - began
        seen = page.evaluate(_TELL)
        if not page.evaluate(_SEEN_LAST):
            raise Failed("the last entry of a folder is not on the screen at its end")
        return Scrolled(seen["gap"], seen["tasks"], seconds, page.evaluate("scrollY"))

    def upload(self, file: Path) -> float:
        """Seconds from choosing a file until the page says that it is kept."""
        self.goto(f"{FILES}/")
        self.page.locator("#uploading > summary").click()
        began = time.perf_counter()
        self.page.locator("input[name=file]").set_input_files(file)
        self.page.locator(".notice", has_text=f"Uploaded {file.name}").wait_for()
        return time.perf_counter() - began

    def download(self, name: str) -> tuple[float, Path]:
        """Seconds from a click until the browser has all of a file, and where it lies."""
        self.goto(f"{FILES}/{name}")
        began = time.perf_counter()
        with self.page.expect_download() as coming:
            self.page.get_by_role("link", name="Download").click()
        path = coming.value.path()  # waits for its end
        return time.perf_counter() - began, path

    def film(self, name: str) -> float:
        """Open a film; how many seconds it lasts."""
        self.goto(f"{FILES}/{name}")
        duration, width = self.page.evaluate(_READY)
        if not width:
            raise Failed("the film has no picture")
        return float(duration)

    def seeks(self, places: list[float]) -> list[float]:
        """Milliseconds that it takes to seek to each of some seconds, one after the other."""
        return [float(took) for took in self.page.evaluate(_SEEK, [places, PATIENCE])]
