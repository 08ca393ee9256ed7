"""No false alarms: honest devices that write, look, let in and put out are never refused, accused or left waiting."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.liars.honest_world import World

OPERATIONS = 100_000
HELD_BACK = 0  # operations of honest devices that are not even signed
IN_A_WORLD = 250  # operations; then another space begins


@pytest.mark.slow
def test_honest_devices_raise_no_alarm_in_a_hundred_thousand_operations(seed: int) -> None:
    counts: Counter[str] = Counter()
    for number in range(OPERATIONS // IN_A_WORLD + 5):
        world = World(random.Random(seed * 1_000_003 + number))
        while sum(world.counts.values()) < IN_A_WORLD:
            world.step()
        world.heal()
        counts += world.counts
    set_aside, held_back = counts.pop("set aside"), counts.pop("held back", 0)
    assert held_back <= HELD_BACK
    assert sum(counts.values()) >= OPERATIONS
    heads = counts["write"] + counts["merge"]
    assert heads >= OPERATIONS // 3, counts
    assert 0 < set_aside < heads // 10, counts  # of devices that were put out, past what was known of them
    for what in ("merge", "look", "new life", "restore", "add", "device", "remove", "revoke", "role", "rotate"):
        assert counts[what] >= 100, counts
    assert counts["wrap"] >= 5, counts
