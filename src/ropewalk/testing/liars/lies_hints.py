"""Lies about bulletins: an old one, one that is none, one that names what is not there.

Flow: Liar -> Lie -> other bytes where a hint is asked for
Never: lies about anything but hints, on which nothing may depend.
"""

from __future__ import annotations

from ropewalk.spaces.store import LARGEST_HINT, ObjectName
from ropewalk.testing.liars.liar import Lie, Place, kind_of

__all__ = ["AllReplayBulletin", "GarbageBulletin", "NamesWhatIsNot", "ReplayBulletin"]


class ReplayBulletin(Lie):
    """Shows the bulletin of some time ago, whoever puts another."""

    number, name = "31", "replay an old bulletin"

    async def shown(self, name: ObjectName) -> bytes | None:
        kept = await self.kept(name)
        return self.place.past.get(name, kept) if kind_of(name) == "hint" else kept


class AllReplayBulletin(ReplayBulletin):
    """Every store shows the bulletin of some time ago, whoever puts another."""

    number, name = "31A", "replay an old bulletin, all stores alike"
    all_alike = True


class _Counts(Lie):
    """Says something else each time it is asked for a hint."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.asked: list[int] = []

    async def shown(self, name: ObjectName) -> bytes | None:
        if kind_of(name) != "hint":
            return await self.kept(name)
        self.asked.append(self.place.now())
        return self.hint(len(self.asked))

    def hint(self, count: int) -> bytes:
        """The bulletin that it shows at the so many-th time."""
        raise NotImplementedError


class GarbageBulletin(_Counts):
    """Shows noise, too many bytes, and bulletins by a device that was put out, in turn."""

    number, name = "32", "forged or garbage bulletin"

    def hint(self, count: int) -> bytes:
        former = self.place.inside.made.get("bulletin", {})
        several = [self.place.chance.randbytes(900), bytes(LARGEST_HINT + 1), b"", *former.values()]
        return several[count % len(several)]


class NamesWhatIsNot(_Counts):
    """Shows bulletins, a new one each time, of a device that belongs, which name heads and records that are nowhere."""

    number, name = "33", "bulletin of heads that are not there"
    by_device = True

    def hint(self, count: int) -> bytes:
        return self.place.inside.beat(count, self.asked[-1])
