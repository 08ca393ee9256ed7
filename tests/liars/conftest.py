"""The matrix, run once for all tests that look at it, in memory where the system has a disk there.

Flow: the run's seed -> matrix -> verdicts
Never: runs it twice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ropewalk.testing.liars import Verdict
from ropewalk.testing.liars.matrix import matrix

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Where homes lie; what a disk costs is not the matter here."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as made:
        yield Path(made)


@pytest.fixture(scope="session")
def verdicts(folder: Path, seed: int) -> list[Verdict]:
    """What came of every lie in every operation."""
    return matrix(folder / "matrix", seed)
