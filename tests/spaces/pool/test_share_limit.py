"""How large shares may be follows from the stores on which packs lie best."""

from __future__ import annotations

from typing import Any

import pytest

from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore
from ropewalk.spaces.store import LARGEST_OBJECT, Terms
from tests.spaces.making import Clock

MIB = 1 << 20


def limit(stores: dict[str, int], n: int = 3, least: int = 1, machine: int = 0, out: str = "") -> int:
    """Of stores that take so many MiB, two on each machine; 0 for those of which nothing is known."""
    members = [
        PoolStore(
            StoreDomains(name, {"machine": f"m{at // 2}"}),
            None,
            terms=Terms(refused="bad" if name == out else "", largest=size * MIB or LARGEST_OBJECT),
        )
        for at, (name, size) in enumerate(stores.items())
    ]
    return Pool(members, Clock()).share_limit(n, 2, {"store": 1} | ({"machine": machine} if machine else {}), least)


@pytest.mark.parametrize(
    ("stores", "asked", "expected"),
    [
        pytest.param({"a": 0, "b": 0, "c": 0}, {}, LARGEST_OBJECT, id="none is limited"),
        pytest.param({"a": 5, "b": 5, "c": 5}, {}, 5 * MIB, id="all are"),
        pytest.param({"a": 0, "b": 5, "c": 0}, {}, 5 * MIB, id="one is, and is needed"),
        pytest.param({"a": 0, "b": 5, "c": 0, "d": 16}, {}, 16 * MIB, id="the smallest is not needed"),
        pytest.param({"a": 0, "b": 0, "c": 5, "d": 5, "e": 1, "f": 1}, {"machine": 1}, MIB, id="a machine needs it"),
        pytest.param({"a": 0, "b": 0, "c": 5, "d": 5, "e": 1, "f": 1}, {}, 5 * MIB, id="no machine was asked for"),
        pytest.param({"a": 0, "b": 0, "c": 0, "d": 1}, {"out": "a"}, MIB, id="a refused one counts for nothing"),
        pytest.param({"a": 0, "b": 1, "c": 0}, {"least": 2 * MIB}, LARGEST_OBJECT, id="one that takes no chunk"),
        pytest.param({"a": 1, "b": 1, "c": 1}, {"least": 2 * MIB}, LARGEST_OBJECT, id="none takes a chunk"),
    ],
)
def test_the_largest_with_which_packs_lie_as_well(stores: dict[str, int], asked: dict[str, Any], expected: int) -> None:
    assert limit(stores, **asked) == expected
