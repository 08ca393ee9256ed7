"""A real disk that is full: the cache goes first, and the space is read and written as if there were none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.small_disk import needs_mounts, run_on

ROOM = "24m"


@pytest.mark.system
@pytest.mark.slow
@needs_mounts
def test_a_space_goes_on_without_its_cache(tmp_path: Path) -> None:
    assert run_on(tmp_path, ROOM, "tests.spaces.cache.full_disk", str(tmp_path)) == "went on\n"
