"""What the tests of nodes share: a folder that costs no disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where nodes keep things; what a disk costs is not the matter here."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as made:
        yield Path(made)


@pytest.fixture
def free_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are those of the bytes alone; tests/node/test_quota.py has the others."""
    monkeypatch.setattr("ropewalk.node.register.ENTRY", 0)
