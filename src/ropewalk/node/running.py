"""Running: that one process alone runs the node of a home, and where it listens.

Flow: Node.open -> Claim.take; listeners -> Claim.tell -> node.lock -> listening, for commands
Never: takes what a process that has ended wrote for what is so now.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from ropewalk.errors import Unavailable

__all__ = ["Claim", "NodeRunning", "listening"]

LOCK_FILE = "node.lock"
_MOST = 64 * 1024  # bytes of it that are read
_TRIES, _LOOKED = 10, 0.005  # and seconds between them: `listening` holds the lock for a moment


class NodeRunning(Unavailable):
    """Another process runs the node of this home."""

    code = "node.running"


class Claim:
    """A process's claim to a home's node.

    Args:
        state: The home's folder for state.
        file: What is claimed: the node, or all that `ropewalk up` does.
    """

    def __init__(self, state: Path, file: str = LOCK_FILE) -> None:
        self._path = state / file
        self._descriptor: int | None = None

    def take(self) -> None:
        """Be the only one, until `leave` or the end of the process.

        Raises:
            NodeRunning: There is another.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if left:
                    time.sleep(_LOOKED)
                    continue
                os.close(descriptor)
                raise NodeRunning(
                    f"the node of {self._path.parent} is run by another process",
                    hint="one is enough: it takes new settings by itself",
                ) from None
        self._descriptor = descriptor
        self.tell([])

    def tell(self, urls: Sequence[str]) -> None:
        """Say where it listens."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps({"process": os.getpid(), "listen": list(urls)}).encode(), 0)

    def leave(self) -> None:
        """Let others; leaving twice is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def listening(state: Path) -> list[str] | None:
    """Where the node of a home listens; None where none runs."""
    try:
        descriptor = os.open(state / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _told(os.pread(descriptor, _MOST, 0))
    else:
        return None
    finally:
        os.close(descriptor)


def _told(data: bytes) -> list[str]:
    try:
        found = json.loads(data)["listen"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []  # it is being written
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
