"""Lies about who belongs: records that are held back, and records that somebody wrote who was put out.

Flow: Liar -> Lie -> records and heads, fewer than there are, or more than count
Never: needs more than a former member has: its own keys, and secrets of the time when it belonged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from ropewalk.spaces.store import Listed, ObjectName
from ropewalk.testing.liars.liar import Lie, kind_of
from ropewalk.testing.liars.lies_lists import MadeUp

__all__ = [
    "AllDowngrade",
    "AllWithholdRecords",
    "Downgrade",
    "FloodOfRecords",
    "ForgedRecords",
    "WithholdAdd",
    "WithholdEpoch",
    "WithholdRemoval",
    "WrongWraps",
]


class _Hides(Lie):
    """Some objects are neither listed nor given."""

    spoils = True
    hidden: ClassVar[tuple[str, ...]] = ()  # records, by what they do

    def hides(self, name: str) -> bool:
        """Whether it hides this one."""
        return name in {self.place.inside.records.get(what) for what in self.hidden}

    async def shown(self, name: ObjectName) -> bytes | None:
        return None if self.hides(name) else await super().shown(name)

    async def names(self, prefix: str) -> Iterable[Listed]:
        return [one for one in await super().names(prefix) if not self.hides(one.name)]


class Downgrade(_Hides):
    """Hides that the space was raised to a higher feature level, and all heads since."""

    number, name = "26", "downgrade feature level"
    hidden = ("level",)

    def hides(self, name: str) -> bool:
        return super().hides(name) or (kind_of(name) == "head" and name not in self.place.past)


class AllDowngrade(Downgrade):
    """Every store hides that the space was raised to a higher feature level, and all heads since."""

    number, name = "26A", "downgrade feature level, all stores alike"
    all_alike = True
    may_show_past = True


class WithholdRemoval(_Hides):
    """Hides the record that put a member out."""

    number, name = "27a", "withhold a removal"
    hidden = ("remove",)


class WithholdEpoch(_Hides):
    """Hides the newest epoch."""

    number, name = "27b", "withhold an epoch"
    hidden = ("epoch",)


class WithholdAdd(_Hides):
    """Hides the record that let a member in."""

    number, name = "27c", "withhold an add"
    hidden = ("add",)


class AllWithholdRecords(_Hides):
    """Every store hides a removal and the epoch that followed it."""

    number, name = "27A", "withhold records, all stores alike"
    hidden = ("remove", "epoch")
    all_alike = True
    may_show_past = True


class _Former(MadeUp):
    """Shows what a former admin signed for it."""

    kinds: ClassVar[tuple[str, ...]] = ()

    def made_up(self) -> Mapping[str, bytes]:
        return {name: data for kind in self.kinds for name, data in self.place.inside.made.get(kind, {}).items()}


class WrongWraps(_Former):
    """Hides the newest epoch, and shows one by a former admin that looks as old as its removal, with wrong wraps."""

    number, name = "38", "wrong wraps, old epoch as newest"
    kinds = ("epoch",)
    spoils = True

    async def shown(self, name: ObjectName) -> bytes | None:
        return None if name == self.place.inside.records.get("epoch") else await super().shown(name)

    async def names(self, prefix: str) -> Iterable[Listed]:
        true = self.place.inside.records.get("epoch")
        return [one for one in await super().names(prefix) if one.name != true]


class ForgedRecords(_Former):
    """Shows an add, a removal and changes by a former admin, which look as old as its removal."""

    number, name = "41", "records and heads of who was put out"
    kinds = ("records", "late")


class FloodOfRecords(_Former):
    """Shows a long chain of records by a former admin, all of them well signed."""

    number, name = "42", "flood of records of who was put out"
    kinds = ("flood",)
