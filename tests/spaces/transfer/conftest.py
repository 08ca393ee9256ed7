"""Fixtures of tests of transfer: a space, and the folders on either side of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spaces.making import World, a_space


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await a_space(tmp_path / "home")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with nothing in it."""
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


@pytest.fixture
def back(tmp_path: Path) -> Path:
    """Where things are brought back to; not there yet."""
    return tmp_path / "back"
