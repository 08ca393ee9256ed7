"""Noding: nodes of people as processes of their own, started and stopped by tests.

Flow: `up` -> its first document -> addresses; `Up.stop` -> exit status, and what it logged
Never: leaves a process behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cli.inviting import MAIN

__all__ = ["Up", "up"]


class Up:
    """`ropewalk up` of somebody.

    Attributes:
        told: What it said once it was up.
    """

    def __init__(self, home: Path, *words: str) -> None:
        self.home, self._words = home, words
        self.told: dict[str, Any] = {}
        self.log = ""
        self._process: subprocess.Popen[bytes] | None = None
        self.start("tls://127.0.0.1:0")

    @property
    def address(self) -> str:
        """Of the node."""
        address: str = self.told["addresses"][0]
        return address

    def start(self, url: str) -> None:
        """Run it."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "up", "--listen", url, *self._words, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "ROPEWALK_HOME": str(self.home)},
        )
        assert self._process.stdout is not None
        self.told = {}
        while "addresses" not in self.told:  # what --new sets up is told before
            line = self._process.stdout.readline()
            if not line:
                raise AssertionError(self.end()[1])
            self.told = json.loads(line)

    def stop(self) -> int:
        """As systemd does it; the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.end()[0]

    def again(self) -> None:
        """Run it where it was reached before."""
        self.start(self.address.partition("#")[0])

    def end(self) -> tuple[int, str]:
        """Exit status and log, once it has ended."""
        assert self._process is not None
        _, err = self._process.communicate(timeout=60)
        self.log += err.decode()
        return self._process.returncode, err.decode()

    def kill(self) -> None:
        """Whatever it is at."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@contextmanager
def up(user: Path, home: str, *words: str) -> Iterator[Up]:
    """One that is ended, whatever happens."""
    one = Up(user.parent / home, *words)
    try:
        yield one
    finally:
        one.kill()
