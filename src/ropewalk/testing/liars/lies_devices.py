"""Lies of devices that belong: the liar has the keys of one, and signs with them what no honest device signs.

Flow: Liar -> Lie -> heads and records beside those that are truly there, well signed
Never: has the keys of an admin: who has those may do as he likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ropewalk.spaces.store import ObjectName
from ropewalk.testing.liars.lies_lists import MadeUp

__all__ = ["AllForkToSome", "Fork", "GoesBack", "LowersLevel", "NumbersTwice"]


class _ByDevice(MadeUp):
    """Shows what a device signed for it."""

    by_device = True
    kind: ClassVar[str] = ""

    def made_up(self) -> Mapping[str, bytes]:
        return self.place.inside.made.get(self.kind, {})


class Fork(_ByDevice):
    """A device signed another head of a sequence that it had used, with another change, and the store shows both."""

    number, name = "34", "device that says two things"
    kind = "fork"


class AllForkToSome(Fork):
    """As before, and every store shows the second head to one device alone."""

    number, name = "34A", "device that says two things, each to some"
    all_alike = True

    def made_up(self) -> Mapping[str, bytes]:
        return super().made_up() if self.client == "warm" else {}

    async def end(self) -> None:
        for name, data in super().made_up().items():  # it was there all the time
            await self.place.truth.put(ObjectName(name), [data])


class GoesBack(_ByDevice):
    """A device signed a head that has seen less than its own one before."""

    number, name = "35", "device that goes back"
    kind = "back"


class LowersLevel(_ByDevice):
    """A device signed a head of a lower feature level than its own one before."""

    number, name = "35b", "device that lowers the feature level"
    kind = "lower"


class NumbersTwice(_ByDevice):
    """A device signed two membership records under one number."""

    number, name = "35c", "device with two records of one number"
    kind = "twice"
