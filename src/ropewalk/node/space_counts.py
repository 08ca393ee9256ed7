"""Space counts: how the spaces of a node's owner are, in the registry of the application.

Flow: spaces that are open, looked at every few seconds -> gauges
Never: asks a store, or shows anything of what a space holds: the only names are those that the user gave to spaces.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ropewalk.errors import RopewalkError
from ropewalk.metrics import Registry
from ropewalk.spaces.freshness import Word
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State

__all__ = ["SpaceCounts"]

LOOKS_EVERY = 2.0  # seconds


class SpaceCounts:
    """The counts of the spaces that are kept open.

    Args:
        registry: Where they count.
        spaces: Those of the settings by name, None for one that is not open.
        now: Nanoseconds since 1970.
    """

    def __init__(
        self,
        registry: Registry,
        spaces: Callable[[], Mapping[str, Space | None]],
        *,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._spaces, self._now = spaces, now
        space = ("space",)
        self._up = registry.gauge("ropewalk_space_up", "whether a space is open", space)
        self._stores = registry.gauge("ropewalk_space_stores", "stores of a space", (*space, "state"))
        self._owed = registry.gauge("ropewalk_space_owed", "what stores of a space are owed", (*space, "kind"))
        self._waiting = registry.gauge("ropewalk_space_waiting", "changes that wait to be published", space)
        self._stale = registry.gauge(
            "ropewalk_space_stale_seconds", "for how long no other device was heard; 0 while one is", space
        )
        self._shown: set[str] = set()

    async def work(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOKS_EVERY)

    async def look(self) -> None:
        """See how they are now."""
        spaces = self._spaces()
        for name in self._shown - spaces.keys():
            self._up.drop(name)
            self._forget(name)
        self._shown = set(spaces)
        for name, space in spaces.items():
            self._up.of(name).set(space is not None)
            if space is None:
                self._forget(name)
                continue
            with suppress(RopewalkError):  # it is being closed, or damaged, which upkeep says
                await self._tell(name, space)

    async def _tell(self, name: str, space: Space) -> None:
        pool = space.core.pool
        up = sum(pool.up(store) for store in pool.names)
        self._stores.of(name, "up").set(up)
        self._stores.of(name, "away").set(len(pool.names) - up)
        view = space.live.view()
        if view.word is Word.STALE and view.since is not None:
            self._stale.of(name).set(max(self._now() - view.since, 0) / 1e9)
        elif view.word is Word.FRESH:
            self._stale.of(name).set(0)
        else:  # nobody was heard yet, or there is nobody else
            self._stale.drop(name)
        owed, waiting = await space.core.ledger.do(_debts)
        if self._spaces().get(name) is not space:
            return
        for kind, number in owed.items():
            self._owed.of(name, kind).set(number)
        self._waiting.of(name).set(waiting)

    def _forget(self, name: str) -> None:
        for state in ("up", "away"):
            self._stores.drop(name, state)
        for kind in _KINDS:
            self._owed.drop(name, kind)
        self._waiting.drop(name)
        self._stale.drop(name)


_KINDS = ("shares", "heads", "records")


def _debts(state: State) -> tuple[Mapping[str, int], int]:
    """How many of each kind are owed, and how many changes wait."""
    shares = sum(len(numbers) for _, numbers in state.owed_shares())
    owed = dict(zip(_KINDS, (shares, len(state.owed_heads()), len(state.owed_records())), strict=True))
    return owed, len(state.queued_names())
