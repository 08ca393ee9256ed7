"""A real disk that is full: what was acknowledged stays, the rest is refused, and with room the node goes on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.small_disk import needs_mounts, run_on

ROOM = "512k"  # the accounts of some hundred objects


@pytest.mark.system
@pytest.mark.slow
@needs_mounts
def test_a_node_whose_accounts_have_no_room_refuses_and_goes_on(folder: Path) -> None:
    home = folder / "home"
    told = re.search(r"kept (\d+), refused (\d+)", run_on(home / "state", ROOM, "tests.node.full_disk", str(home)))
    assert told is not None
    assert int(told[1]) >= 16, "there was room in between"
    assert int(told[2]) >= 16, "it was full twice"
