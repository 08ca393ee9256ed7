"""Lines: which stores one machine reaches, while others reach all of them.

Flow: a test -> Line.cut, Line.mend -> what stands between that machine's space and the stores
Never: takes anything from a store.
"""

from __future__ import annotations

from collections.abc import Collection

from ropewalk.spaces.store import Store
from ropewalk.testing.faults import FaultStore
from tests.spaces.machines import Machines

__all__ = ["Line"]


class Line:
    """One machine's way to all stores; for spaces that it opens from now on."""

    def __init__(self, machines: Machines, who: str) -> None:
        self._machines, self._gone, self._between = machines, frozenset[str](), list[tuple[str, FaultStore]]()
        machines.all[who].around = self._around

    def _around(self, store: Store) -> Store:
        name = next(name for name, one in self._machines.world.stores.items() if one is store)
        between = FaultStore(store)
        between.gone = name in self._gone
        self._between.append((name, between))
        return between

    def cut(self, names: Collection[str]) -> None:
        """These are out of reach, and all others are not."""
        self._gone = frozenset(names)
        for name, between in self._between:
            between.gone = name in self._gone
        self._machines.world.clock.seconds += 100

    def mend(self) -> None:
        """All are in reach."""
        self.cut(())
