"""Pages' node: a home of its own with a space over folders, and `ropewalk up` as a process with its pages.

Flow: folder -> home, stores, a space -> `ropewalk up` -> the file that lets in -> a cookie, and what the process uses
Never: touches the user's own home, listens where others can reach it, or leaves a process running.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from measure import Command, Failed, run
from msgspec.structs import replace

from ropewalk.spaces.home import Home, Settings

__all__ = ["COUNT", "SPACE", "Place", "Up", "Visit", "as_made", "running"]

COUNT, SPACE = 5, "files"
FILES = f"/spaces/{SPACE}/files"
PATIENCE = 60.0  # seconds for the node to begin, to answer and to end
LOOK = 0.002  # seconds between two looks at what is waited for
_SHOWN = 2000  # characters of its log, where it failed
_TICKS = os.sysconf("SC_CLK_TCK")
_WORD = re.compile(r'action="([^"]+)/enter".*name="word" value="([0-9a-f]+)"', re.DOTALL)
_FROM_A_FILE = {  # how a browser asks that has opened it
    "origin": "null", "sec-fetch-site": "cross-site", "content-type": "application/x-www-form-urlencoded",
}  # fmt: skip
_T = TypeVar("_T")


@dataclass(frozen=True)
class Place:
    """A home below a folder, with the space ``files``."""

    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """Of each command."""
        return {"ROPEWALK_HOME": str(self.folder / "home"), "ROPEWALK_PASSPHRASE": "a bench"}

    def words(self, *words: str) -> None:
        """Run a command to its end."""
        run(Command([sys.executable, "-m", "ropewalk", *words], self.env), self.folder)

    def store(self, number: int) -> Path:
        """One of the folders that keep the space."""
        return self.folder / f"store{number}"

    def over_five(self, *, cached: bool = True) -> None:
        """Make the space over five folders, any three of which suffice.

        Args:
            cached: Keep what was read or written near, as by default; else every read is of the stores.
        """
        self.words("init", "--yes", "--quiet")
        names = [f"store{number}" for number in range(COUNT)]
        for number, name in enumerate(names):
            self.words("store", "add", name, str(self.store(number)), "--quiet")
        self.words(
            "space", "create", SPACE, "--stores", ",".join(names), "--survive", "2", "--across", "store", "--quiet"
        )
        if not cached:
            Home(self.folder / "home", self.folder / "home" / "state").update(_without_cache)


def _without_cache(settings: Settings) -> Settings:
    return replace(settings, spaces={name: replace(one, cache=0) for name, one in settings.spaces.items()})


def as_made(folder: Path) -> Place:
    """A home as `make up` makes it where there is none: three folders."""
    place = Place(folder)
    with running(place, "--new", "--yes") as up:
        up.visit()
    return place


@dataclass(frozen=True, slots=True)
class Visit:
    """What a browser needs to be in."""

    url: str  # without a slash at its end
    name: str  # of the cookie
    value: str


class Up:
    """The process, while it runs.

    Args:
        place: Its home.
        words: For `ropewalk up`, besides where it listens.
    """

    def __init__(self, place: Place, *words: str) -> None:
        self._log = place.folder / "up.log"
        self._file = place.folder / "home" / "state" / "web" / "open.html"
        self._file.unlink(missing_ok=True)
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | place.env
        listen = ("--page", "tcp://127.0.0.1:0", "--listen", "tls://127.0.0.1:0")
        command = [sys.executable, "-m", "ropewalk", "up", *listen, *words]
        with self._log.open("wb") as log:
            self.began = time.perf_counter()
            self._process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )

    def address(self) -> tuple[str, str]:
        """Where the pages are and the word that lets in, as soon as the file says so."""

        def look() -> tuple[str, str] | None:
            found = _WORD.search(self._file.read_text()) if self._file.exists() else None
            return None if found is None else (unescape(found[1]), found[2])

        return self._awaited(look, "wrote no file that lets in")

    def answers(self) -> float:
        """Seconds from the start until the page answers over HTTP."""
        url, _ = self.address()
        self._awaited(lambda: _asked(url, "GET", "/", {}), "did not answer")
        return time.perf_counter() - self.began

    def visit(self) -> Visit:
        """Come in as a browser does, and wait until the space's page is there."""
        url, word = self.address()
        status, cookie = self._awaited(
            lambda: _asked(url, "POST", "/enter", _FROM_A_FILE, urlencode({"word": word})), "did not answer"
        )
        name, _, value = cookie.partition(";")[0].partition("=")
        if status != 200 or not value:
            raise Failed(f"the node answered {status} to the word from its file, expected 200 and a cookie")
        in_it = {"cookie": f"{name}={value}"}

        def there() -> bool | None:
            answer = _asked(url, "GET", f"{FILES}/", in_it)
            return True if answer is not None and answer[0] == 200 else None

        self._awaited(there, "did not show its space")
        return Visit(url, name, value)

    def cpu(self) -> float:
        """CPU seconds that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> tuple[float, float]:
        """MiB: resident, and its fair part of what is shared with others."""
        lines = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines()[1:]
        sizes = {line.split()[0]: int(line.split()[1]) / 1024 for line in lines}
        return sizes["Rss:"], sizes["Pss:"]

    def end(self) -> None:
        """As a person ends it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _awaited(self, look: Callable[[], _T | None], trouble: str) -> _T:
        until = time.perf_counter() + PATIENCE
        while (found := look()) is None:
            if self._process.poll() is not None or time.perf_counter() > until:
                raise Failed(f"the node {trouble}: {self._log.read_text(errors='replace')[-_SHOWN:].strip()}")
            time.sleep(LOOK)
        return found


def _asked(url: str, method: str, target: str, headers: dict[str, str], body: str = "") -> tuple[int, str] | None:
    """Status and cookie of one request; None where nobody answers yet."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    try:
        connection.request(method, target, body or None, headers)
        with connection.getresponse() as answer:
            answer.read()
            return answer.status, answer.headers.get("set-cookie", "")
    except (ConnectionError, HTTPException):
        return None
    finally:
        connection.close()


@contextmanager
def running(place: Place, *words: str) -> Iterator[Up]:
    """`ropewalk up`, for as long as the context lasts."""
    up = Up(place, *words)
    try:
        yield up
    finally:
        up.end()
