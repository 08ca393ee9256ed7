"""Inviting: an inviter that waits in a process of its own, and the ways in which tests let somebody in.

Flow: `waiting` -> what the inviter said -> `Waiting.command` on another machine -> `Waiting.end`; `by_file`
Never: leaves a process behind.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cli.conftest import As

__all__ = ["MAIN", "Waiting", "by_file", "invited", "waiting"]

MAIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from ropewalk.spaces import identity
identity.MEMORY, identity.PASSES = 64, 1
from ropewalk.cli.main import main
sys.exit(main())
"""


class Waiting:
    """An inviter that waits for somebody."""

    def __init__(self, home: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, *words, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "ROPEWALK_HOME": str(home), "PYTHONUNBUFFERED": ""},  # as users have it
        )
        assert self.process.stdout is not None
        came, _, _ = select.select([self.process.stdout], [], [], 60)  # seconds
        self.told: dict[str, Any] = json.loads((self.process.stdout.readline() if came else b"") or b"{}")

    @property
    def command(self) -> list[str]:
        """What to type on the other machine."""
        words: list[str] = self.told["command"].split()[1:]
        return [word.replace(_host(word), "127.0.0.1") if word.startswith("tcp://") else word for word in words]

    def end(self) -> tuple[int, list[dict[str, Any]], str]:
        """Exit status, the documents that followed, and what went to stderr."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, [json.loads(line) for line in out.splitlines()], err.decode()


def _host(url: str) -> str:
    return url.removeprefix("tcp://").rpartition(":")[0]


@contextmanager
def waiting(user: Path, *words: str, home: str = "home") -> Iterator[Waiting]:
    """One that is ended, whatever happens."""
    one = Waiting(user.parent / home, *words)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def invited(user: Path, machine: As, home: str, *words: str, joining: tuple[str, ...] = ()) -> dict[str, Any]:
    """Somebody is let in by a code; what the joiner was told."""
    with waiting(user, *words) as inviter:
        joined = machine(home, *inviter.command, *joining, "--yes", "--json")
        status, done, err = inviter.end()
    assert status == 0, err
    assert len(done) >= 1
    told: dict[str, Any] = joined.lines[-1]
    return told


def by_file(user: Path, machine: As, home: str, *words: str) -> Path:
    """Somebody is let in by an invite, an answer and a welcome file; the invite file."""
    invite = user / f"{home}.invite"
    machine("home", "invite", "photos", "--file", str(invite), *words)
    before = set(user.glob("*.answer"))
    machine(home, "join", "--file", str(invite), "--yes")
    (answer,) = set(user.glob("*.answer")) - before
    machine("home", "invite", "photos", "--answer", str(answer))
    machine(home, "join", "--file", str(invite), "--welcome", str(answer.with_suffix(".welcome")))
    return invite
