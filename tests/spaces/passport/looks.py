"""What tests of passports share: a look at a store, by a clock and bytes of chance that are given."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from ropewalk.spaces.passport import Passport, look
from ropewalk.spaces.passport.ground import left_prefix, prefix_of
from ropewalk.spaces.store import Store
from tests.spaces.making import device

__all__ = ["IDENTITY", "KEY", "LEFT", "NOW", "PREFIX", "chance", "looked"]

IDENTITY = bytes(range(16))
KEY = device().public().ed25519
PREFIX, LEFT = prefix_of(KEY, IDENTITY), left_prefix(KEY, IDENTITY)
NOW = 1_790_000_000 * 10**9


def chance(seed: int = 0) -> Callable[[int], bytes]:
    """Bytes that are the same each time."""
    return random.Random(seed).randbytes


async def looked(store: Store, *, seed: int = 0, **options: Any) -> Passport:
    """A passport of a store."""
    given: dict[str, Any] = {"clock": lambda: 0.0, "now": lambda: NOW, "chance": chance(seed), "quick": True} | options
    return await look(store, IDENTITY, KEY, "memory", **given)
