"""Lies about what is newest: heads that are held back, from all clients or from some, or hidden behind others.

Flow: Liar -> Lie -> heads, fewer than there are, or true ones under false names, or noise beside them
Never: signs a head.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ropewalk.spaces.keys import hashed
from ropewalk.spaces.store import Listed, ObjectName
from ropewalk.testing.liars.liar import Lie, Place, kind_of
from ropewalk.testing.liars.lies_lists import MadeUp

__all__ = [
    "AllRollBackHeads",
    "FloodAndRollBack",
    "ForkPerClient",
    "HidesHeads",
    "RollBackHead",
    "RollBackHeads",
    "WrongNames",
]

FLOOD = 250  # made-up heads: within the matrix' bound on names of a listing, beyond its bound on warnings
_FIRST = f"{(1 << 64) - 2:016x}"  # a sequence of 1 as names have it


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


class WrongNames(Lie):
    """Shows the bytes of each head under the name of another writer too."""

    number, name = "43", "right bytes under a wrong name"

    async def shown(self, name: ObjectName) -> bytes | None:
        true = (await self._true()).get(name)
        return await super().shown(name if true is None else true)

    async def names(self, prefix: str) -> Iterable[Listed]:
        true = list(await super().names(prefix))
        sizes = {one.name: one.size for one in await super().names(f"{self.place.space}/heads/")}
        false = [
            Listed(ObjectName(one), sizes[by]) for one, by in (await self._true()).items() if one.startswith(prefix)
        ]
        return sorted([*true, *false], key=lambda one: one.name)

    async def _true(self) -> dict[str, ObjectName]:
        """By false name, the true one."""
        top = f"{self.place.space}/heads/"
        return {f"{top}{'1' * 32}/{one.name.rpartition('/')[2]}": one.name for one in await super().names(top)}


class FloodAndRollBack(Lie):
    """In two stores: one shows very many heads that are noise, while the other hides all heads since some time ago."""

    number, name = "44", "flood in one store, roll-back in another"
    spoils = True
    tellers = ("d0", "d1")
    told_of = ("store d1",)

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._lie = _Flood(place) if place.store == "d0" else RollBackHeads(place)

    async def shown(self, name: ObjectName) -> bytes | None:
        return await self._lie.shown(name)

    async def names(self, prefix: str) -> Iterable[Listed]:
        return await self._lie.names(prefix)


class _Flood(MadeUp):
    def made_up(self) -> Mapping[str, bytes]:
        noise = [hashed("test lie", b"flood %d" % number) for number in range(FLOOD)]
        return {
            f"{self.place.space}/heads/{one.hex()[:32]}/{_FIRST}-{hashed('object', one).hex()}": one for one in noise
        }
