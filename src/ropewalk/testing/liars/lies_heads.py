"""Lies about what is newest: heads that are held back, from all clients or from some.

Flow: Liar -> Lie -> heads, fewer than there are
Never: makes a head up.
"""

from __future__ import annotations

from collections.abc import Iterable

from ropewalk.spaces.store import Listed, ObjectName
from ropewalk.testing.liars.liar import Lie, kind_of

__all__ = ["AllRollBackHeads", "ForkPerClient", "HidesHeads", "RollBackHead", "RollBackHeads"]


class HidesHeads(Lie):
    """Some heads are neither listed nor given."""

    async def hides(self, name: ObjectName) -> bool:
        """Whether it hides this one."""
        raise NotImplementedError

    async def shown(self, name: ObjectName) -> bytes | None:
        if kind_of(name) == "head" and await self.hides(name):
            return None
        return await super().shown(name)

    async def names(self, prefix: str) -> Iterable[Listed]:
        true = await super().names(prefix)
        return [one for one in true if kind_of(one.name) != "head" or not await self.hides(one.name)]


class RollBackHead(HidesHeads):
    """Hides the newest head of each writer that has an older one."""

    number, name = "3", "roll back one head"
    spoils = True

    async def hides(self, name: ObjectName) -> bool:
        folder = name.rpartition("/")[0]  # the newest lists first
        names = [listed.name async for listed in self.place.truth.list(f"{folder}/")]
        return len(names) > 1 and name == names[0]


class RollBackHeads(HidesHeads):
    """Hides all heads since some time ago."""

    number, name = "4", "roll back all heads"
    spoils = True

    async def hides(self, name: ObjectName) -> bool:
        return name not in self.place.past


class AllRollBackHeads(RollBackHeads):
    """Every store hides all heads since some time ago."""

    number, name = "4A", "roll back all heads, all stores alike"
    all_alike = True
    may_show_past = True


class ForkPerClient(HidesHeads):
    """Shows each client its own heads and those of long ago, and none of the others' since."""

    number, name = "5", "fork per client"
    spoils = True

    async def hides(self, name: ObjectName) -> bool:
        return name not in self.place.past and self.place.authors.get(name) != self.client
