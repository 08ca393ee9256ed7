"""Small disk: a program on a file system of a few blocks, in a mount namespace of its own; and that disk filled.

Flow: folder, size, module -> unshare, tmpfs -> the program's output
Never: mounts anything that others on the machine see.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["fill", "needs_mounts", "run_on"]

SCRIPT = 'mkdir -p "$1" && mount -t tmpfs -o size="$2" none "$1" && shift 2 && exec "$@"'


def _own_mounts() -> bool:
    try:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", "mount -t tmpfs none /mnt"], check=False, capture_output=True
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0


needs_mounts = pytest.mark.skipif(
    not _own_mounts(), reason="needs root, to mount a small disk in a namespace of its own"
)


def run_on(disk: Path, size: str, module: str, *words: str) -> str:
    """What a module of the tests prints that sees a disk of this size in a folder."""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", SCRIPT, "sh", str(disk), size, sys.executable, "-m", module, *words],
        cwd=Path(__file__).parents[1],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fill(ballast: Path) -> None:
    """Leave no byte free where this file lies."""
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 512, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
