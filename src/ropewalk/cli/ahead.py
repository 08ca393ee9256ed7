"""Ahead: the device keys are opened while the command is still being imported and parsed.

Flow: main, with the words as they were typed -> keys_ahead -> a thread; session.device_keys <- BEGUN
Never: asks for a passphrase, complains of anything, or begins where no keys are needed: it only guesses, and what it
opens counts for nothing but the passphrase and the key file that the command then asks with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import KeysAhead
from ropewalk.spaces.unlock import VARIABLE

__all__ = ["BEGUN", "first_line", "keys_ahead"]

BEGUN: ContextVar[KeysAhead | None] = ContextVar("BEGUN", default=None)  # for the command that runs now
_OPTION = "--passphrase-file"


@contextmanager
def keys_ahead(words: Sequence[str]) -> Iterator[None]:
    """While the command with these words runs, its device keys are being opened, if that takes no question.

    An error of the command does not wait for the thread, which is over within the time that opening the keys takes.
    """
    passphrase = _passphrase(words)
    begun = BEGUN.set(Home.of_user().keys_ahead(passphrase) if passphrase else None)
    try:
        yield
    finally:
        BEGUN.reset(begun)


def first_line(path: Path) -> str:
    """The passphrase in a file."""
    line = path.read_bytes().split(b"\n", 1)[0].removesuffix(b"\r")
    return line.decode(errors="surrogateescape")


def _passphrase(words: Sequence[str]) -> str | None:
    for word, after in zip(words, [*words[1:], ""], strict=True):
        option, _, value = word.partition("=")
        if option == _OPTION:
            path = Path(value or after)
            try:
                return first_line(path) if path.is_file() else None  # what comes through a pipe comes once
            except OSError:
                return None
    return os.environ.get(VARIABLE)
