"""Entrance: a file that only this user can read, which opens the pages in a browser: once, and for a short time.

What is in an address is seen by who lists processes, and stays in the history; so the word is in the file, and travels
in the body of a request.  The file is always the same one and may be kept as a bookmark; the word in it is ever new.

Flow: random word -> file (0600), its hash in memory -> a browser posts the word -> take, once -> a new word
Never: keeps a word but in the file, or takes one twice or late.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from html import escape
from pathlib import Path

from ropewalk.errors import Refused

__all__ = ["LASTS", "Entrance", "FolderOpen"]

_log = logging.getLogger("ropewalk.pages")

LASTS = 120.0  # seconds that a word is good for: a browser may take one of them to start
MOST_WORDS = 4  # at a time, since one that is being read is not to lapse under its reader's hands
_NAME = "open.html"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<title>Ropewalk</title></head>
<body><form method="post" action="{url}">
<input type="hidden" name="word" value="{word}">
<p><button>Open Ropewalk</button></p>
</form><script>document.forms[0].submit()</script></body></html>
"""


class FolderOpen(Refused):
    """Others could read what lies in this folder."""

    code = "pages.folder-open"


class Entrance:
    """The file and its words.

    Args:
        folder: Where it lies; made, for this user alone.
        clock: Seconds, monotonic.
        random: Gives so many random bytes.
    """

    def __init__(
        self, folder: Path, clock: Callable[[], float], random: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._folder, self._clock, self._random = folder, clock, random
        self._words: dict[bytes, float] = {}  # hash, until when
        self._url = ""
        self._writing = threading.Lock()  # a write that was left to its thread may meet the next one
        self._over = False  # what is still to be written then is not
        self._used = asyncio.Event()

    @property
    def file(self) -> Path:
        """To be opened in a browser."""
        return self._folder / _NAME

    async def work(self, url: str) -> None:
        """Keep the file fresh until cancelled; then there is none.

        Args:
            url: The address of these pages, ``http://127.0.0.1:8990``.

        Raises:
            FolderOpen, OSError.
        """
        self._url, self._over = url, False
        written = False
        try:
            while True:
                self._used.clear()
                try:
                    await asyncio.to_thread(self._write, self._new_word())
                except OSError as error:  # a disk that is full for a while does not end the pages of who is in
                    if not written:
                        raise
                    _log.warning("the file that lets in is not renewed: %s", error, extra={"code": "pages.entrance"})
                written = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(LASTS / 2):
                        await self._used.wait()
        finally:
            self._words.clear()
            self._over = True
            with self._writing, suppress(OSError):
                self.file.unlink()

    def renew(self) -> None:
        """Put a new word into the file."""
        self._write(self._new_word())

    def _new_word(self) -> str:
        """A word that is good from now on: in the loop's thread, as `take` is, so that none is good twice."""
        word, now = self._random(32).hex(), self._clock()
        live = [(held, until) for held, until in self._words.items() if until > now]
        self._words = dict([*live[1 - MOST_WORDS :], (_hash(word), now + LASTS)])
        return word

    def _write(self, word: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = os.lstat(self._folder)
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
            raise FolderOpen(f"{self._folder} is not for this user alone", hint=f"chmod 700 {self._folder}")
        page = _PAGE.format(url=escape(f"{self._url}/enter"), word=word)
        new = self._folder / f".{_NAME}.{os.getpid()}"
        with self._writing:
            if self._over:
                return
            with suppress(FileNotFoundError):
                new.unlink()
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "w") as file:
                file.write(page)
            os.replace(new, self.file)

    def take(self, word: str) -> bool:
        """Whether a word is good; it is not from then on."""
        until = self._words.pop(_hash(word), None)
        if until is None:
            return False
        self._used.set()
        return until > self._clock()


def _hash(word: str) -> bytes:
    return hashlib.sha256(word.encode(errors="replace")).digest()
