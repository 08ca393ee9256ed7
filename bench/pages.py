"""Pages: what a person waits for who sees a space in a browser: Chromium before a `ropewalk up` of its own.

Flow: home, node, browser -> folder, film, transfer, up, page -> figures and goals
Never: takes a time from anything but a real browser at a real node, but for `up`, where nothing is drawn.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from statistics import median, quantiles

from figures import Figure, Load
from measure import Failed, say
from pages_browser import Window, browser, lacks
from pages_film import encoded, write_film
from pages_node import FILES, SPACE, Place, as_made, running
from report import Goal, Report

__all__ = ["film", "folder", "page", "transfer", "up"]

Part = Callable[[Report, Load, Path], None]
RAM = Path("/dev/shm")  # noqa: S108 - it is the place that is meant, and all goes into a fresh folder
USABLE, GAP = 1000.0, 100.0  # ms; longer between two frames is a stall that people see
UPLOAD, DOWNLOAD = 100.0, 200.0  # MB/s
SEEK = 300.0  # ms
ANSWER, MEMORY, REST = 3.0, 200.0, 1.0  # s, MiB, % of a core
GONE = 1  # the store whose folder goes away
FIGURES_PAGE = "/process/figures"


def _with_browser(part: Part) -> Part:
    """The part, where there is a browser; else a note."""

    @wraps(part)
    def tried(report: Report, load: Load, inside: Path) -> None:
        if missing := lacks():
            note = f"pages without {part.__name__}: {missing}"
            report.notes.append(note)
            return
        part(report, load, inside)

    return tried


def _found(report: Report, *figures: Figure) -> None:
    """Figures of one work."""
    say(f"{figures[0].work}: {', '.join(f'{figure.side} {figure.shown}' for figure in figures)}")
    report.figures += figures


@_with_browser
def folder(report: Report, load: Load, inside: Path) -> None:
    """A folder of many entries: until it can be used, until all rows are there, and scrolling through them."""
    place = _with_entries(Place(inside), load.entries)
    work = f"folder of {load.entries:,} entries"
    usable, whole = Figure(work, "until usable", "ms"), Figure(work, "until all rows are there", "ms")
    longest = Figure(f"{work}, while rows come", "longest task", "ms")
    gap = Figure(f"{work}, scrolled", "longest gap of frames", "ms")
    tasks = Figure(f"{work}, scrolled, what took over 50 ms", "tasks", "of them")
    with running(place) as node, browser(inside) as one:
        window = Window(one, node.visit())
        for _ in range(load.rounds):
            loaded = window.load("many", load.entries)
            scrolled = window.scroll()
            for figure, value in (
                (usable, loaded.usable),
                (whole, loaded.whole),
                (longest, loaded.longest),
                (gap, scrolled.gap),
                (tasks, scrolled.tasks),
            ):
                figure.values.append(value)
            gap.more = f"{scrolled.pixels:,} pixels in {scrolled.seconds:.1f} s"
        window.close()
    _found(report, usable, whole)
    for figure in (longest, gap, tasks):
        _found(report, figure)
    report.goals += [
        Goal(f"{work}: until usable", usable.median, USABLE, "ms", f"all rows {whole.shown}"),
        Goal(f"{work}: the longest gap of frames, scrolled", gap.median, GAP, "ms", _worst(gap)),
    ]


def _with_entries(place: Place, entries: int) -> Place:
    many = place.folder / "many"
    many.mkdir()
    for number in range(entries):
        (many / f"entry-{number:06}.txt").write_text(f"{number}\n")
    place.over_five()
    place.words("put", "--quiet", str(many), f"{SPACE}:/many")
    return place


@_with_browser
def transfer(report: Report, load: Load, inside: Path) -> None:
    """A large file through the browser, into the space and back to a disk; each round's is of other bytes."""
    place = Place(inside)
    place.over_five()
    size = load.streamed // 2
    mb = size / 1e6
    work = f"file of {size >> 20:,} MiB through the browser"
    up, down = Figure(work, "upload", "MB/s"), Figure(work, "download", "MB/s")
    with _near(inside, 3 * size) as near, running(place) as node, browser(near) as one:
        window = Window(one, node.visit())
        for number in range(load.rounds):
            file = near / f"large{number}.bin"
            wanted = _random_file(file, size)
            up.values.append(mb / window.upload(file))
            seconds, copy = window.download(file.name)
            down.values.append(mb / seconds)
            if _hash(copy) != wanted:
                raise Failed(f"{file.name} came back with other bytes than went in")
            file.unlink()
            copy.unlink()
        window.close()
    _found(report, up, down)
    report.goals += [
        Goal(f"{work}: upload", up.median, UPLOAD, "MB/s", _span(up), least=True),
        Goal(f"{work}: download", down.median, DOWNLOAD, "MB/s", _span(down), least=True),
    ]


@contextmanager
def _near(inside: Path, size: int) -> Iterator[Path]:
    """Where the browser's own files lie: in memory where there is room, so that a disk serves the space alone."""
    if not RAM.is_dir() or shutil.disk_usage(RAM).free < 2 * size:
        yield inside
        return
    near = Path(tempfile.mkdtemp(prefix="ropewalk-bench-", dir=RAM))
    try:
        yield near
    finally:
        shutil.rmtree(near, ignore_errors=True)


def _random_file(file: Path, size: int) -> str:
    """Write so many bytes; their hash."""
    hashed = hashlib.sha256()
    with file.open("wb") as out:
        for at in range(0, size, 1 << 20):
            piece = os.urandom(min(1 << 20, size - at))
            hashed.update(piece)
            out.write(piece)
    return hashed.hexdigest()


def _hash(file: Path) -> str:
    with file.open("rb") as inside:
        return hashlib.file_digest(inside, "sha256").hexdigest()


@_with_browser
def film(report: Report, load: Load, inside: Path) -> None:
    """Seeking in a film: with all stores there, and from the moment on in which one of five is gone."""
    place = Place(inside)
    place.over_five(cached=False)
    there, gone = "all stores there", "one of five gone"
    middles, lates = ({side: Figure("", side, "ms") for side in (there, gone)} for _ in range(2))
    with browser(inside) as one:
        source, length = _film(inside, one.new_page(), load.streamed // 4)
        place.words("put", "--quiet", str(source), f"{SPACE}:/film.webm")
        numbers = random.Random(1)
        for _ in range(load.rounds):
            with running(place) as node:
                window = Window(one, node.visit())
                duration = window.film("film.webm")
                if abs(duration - length) > 1:
                    raise Failed(f"the browser takes a film of {length:.0f} s for one of {duration:.0f}")

                def some(window: Window = window) -> list[float]:
                    return window.seeks([numbers.uniform(0, length - 1) for _ in range(load.sought)])

                took = {there: some()}
                with _away(place.store(GONE)):
                    took[gone] = some()
                window.close()
            for side, values in took.items():
                middles[side].values.append(median(values))
                lates[side].values.append(quantiles(values, n=20)[18])
                lates[side].more = f"the longest of the last round {max(values):.0f} ms"
    work = f"seek in a film of {length / 60:.0f} minutes, {source.stat().st_size >> 20:,} MiB"
    for what, found in ((f"median of {load.sought}", middles), ("p95", lates)):
        for figure in found.values():
            figure.work = f"{work}, {what}"
        _found(report, *found.values())
        last = found[gone]
        report.goals.append(Goal(f"{last.work}, {gone}", last.median, SEEK, "ms", _span(last)))


def _film(inside: Path, blank: object, size: int) -> tuple[Path, float]:
    """A film of at least so many bytes; how many seconds it lasts."""
    from playwright.sync_api import Page

    assert isinstance(blank, Page)
    (inside / "blank.html").write_text("<!doctype html><title>-</title>")
    blank.goto((inside / "blank.html").as_uri())  # the encoder is for pages that are safe, such as a file's
    source = inside / "film.webm"
    length = write_film(encoded(blank), source, size)
    blank.close()
    return source, length


@contextmanager
def _away(store: Path) -> Iterator[None]:
    """A store is gone for as long as the context lasts."""
    elsewhere = store.with_name(f"{store.name}.away")
    store.rename(elsewhere)
    try:
        yield
    finally:
        shutil.rmtree(store, ignore_errors=True)
        elsewhere.rename(store)


def up(report: Report, load: Load, inside: Path) -> None:
    """`ropewalk up` where it has run before: until its page answers, and shows the space to who has come in."""
    place = as_made(inside)
    work = "ropewalk up, where it has run before"
    answers, shows = Figure(work, "page answers", "s"), Figure(work, "space is shown, logged in", "s")
    for _ in range(load.rounds):
        with running(place) as node:
            answers.values.append(node.answers())
            node.visit()
            shows.values.append(time.perf_counter() - node.began)
    _found(report, answers, shows)
    report.goals += [
        Goal(f"{work}: page answers", answers.median, ANSWER, "s", _span(answers)),
        Goal(f"{work}: space is shown, logged in", shows.median, ANSWER, "s", _span(shows)),
    ]


@_with_browser
def page(report: Report, load: Load, inside: Path) -> None:
    """A node at rest, as `make up` makes it, with a page open in a browser."""
    place = as_made(inside)
    seconds = load.rest * 20
    works = {"a folder's page": f"{FILES}/", "the figures' page": FIGURES_PAGE}
    with running(place) as node, browser(inside) as one:
        window = Window(one, node.visit())
        time.sleep(seconds * 1.2)  # a minute after its start, and hourly then, a node goes through the stores once
        for what, path in works.items():
            window.goto(path)
            time.sleep(seconds / 20)  # what it takes to show it is not rest
            used = node.cpu()
            time.sleep(seconds)
            cpu = 100 * (node.cpu() - used) / seconds
            resident, fair = node.memory()
            work = f"a node at rest with {what} open"
            memory = Figure(work, "memory, resident", "MiB", [resident], f"its part of what is shared {fair:.0f} MiB")
            idle = Figure(f"{work}, {seconds:g} s", "CPU", "% of a core", [cpu])
            _found(report, memory)
            _found(report, idle)
            report.goals += [
                Goal(f"{work}: memory", resident, MEMORY, "MiB", memory.more),
                Goal(f"{work}: CPU", cpu, REST, "% of a core", f"over {seconds:g} s"),
            ]
        window.close()


def _span(figure: Figure) -> str:
    return f"rounds {min(figure.values):.3g} to {max(figure.values):.3g}"


def _worst(figure: Figure) -> str:
    return f"the worst round {max(figure.values):.0f} ms"
