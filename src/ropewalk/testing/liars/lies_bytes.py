"""Lies about bytes: what lies under a name is not what was put there.

Flow: Liar -> Lie -> other bytes, fewer, more, or none
Never: lies about what is listed; see `lies_lists`.
"""

from __future__ import annotations

from typing import ClassVar

from ropewalk.spaces.pack.roots import LEAF_SIZE
from ropewalk.spaces.pack.share import FOOTER_SIZE
from ropewalk.spaces.store import NoSuchObject, ObjectName
from ropewalk.testing.liars.liar import Lie, kind_of

__all__ = [
    "BitFlip",
    "DropTail",
    "MoreThanAsked",
    "Reorder",
    "Swap",
    "Truncate",
    "Withhold",
    "WrongHead",
]

OVER = 3 * 1024 * 1024  # bytes more than was asked for: over every limit but that of a share


class Withhold(Lie):
    """Lists an object and does not give it."""

    number, name = "1", "withhold"
    spoils = True

    async def get(self, name: ObjectName, _offset: int, _length: int | None) -> bytes:
        raise NoSuchObject(f"no object {name}")


class Truncate(Lie):
    """Gives the first half of an object."""

    number, name = "7", "truncate"
    spoils = True

    async def shown(self, name: ObjectName) -> bytes | None:
        whole = await self.kept(name)
        return whole and whole[: len(whole) // 2]


class BitFlip(Lie):
    """Turns a bit over in every leaf of an object."""

    number, name = "8", "bit-flip"
    spoils = True

    async def shown(self, name: ObjectName) -> bytes | None:
        if (whole := await self.kept(name)) is None:
            return None
        turned = bytearray(whole)
        for at in range(len(turned) // 2 % LEAF_SIZE, len(turned), LEAF_SIZE):
            turned[at] ^= 4
        return bytes(turned)


class Swap(Lie):
    """Gives under each name the next object of its kind."""

    number, name = "9", "swap two objects"
    spoils = True

    async def shown(self, name: ObjectName) -> bytes | None:
        folder = name[: name.index("/", name.index("/") + 1)]
        names = [listed.name async for listed in self.place.truth.list(f"{folder}/")]
        return await self.kept(names[(names.index(name) + 1) % len(names)] if name in names else name)


class Reorder(Lie):
    """Gives the two halves of a column in the other order."""

    number, name = "10", "reorder chunks"
    spoils = True

    async def shown(self, name: ObjectName) -> bytes | None:
        if (whole := await self.kept(name)) is None or kind_of(name) != "share":
            return whole
        half = (column := _column_length(whole)) // 2
        return whole[half:column] + whole[:half] + whole[column:]


class DropTail(Lie):
    """Leaves out the last quarter of a column."""

    number, name = "11", "drop tail chunks"
    spoils = True

    async def shown(self, name: ObjectName) -> bytes | None:
        if (whole := await self.kept(name)) is None or kind_of(name) != "share":
            return whole
        column = _column_length(whole)
        return whole[: column * 3 // 4] + whole[column:]


class WrongHead(Lie):
    """Gives the version before under a head's name."""

    number, name = "12", "serve other version"
    spoils = True

    async def shown(self, name: ObjectName) -> bytes | None:
        if kind_of(name) != "head":
            return await self.kept(name)
        folder = name.rpartition("/")[0]  # of the writer; the newest heads list first
        names = [listed.name async for listed in self.place.truth.list(f"{folder}/")]
        at = names.index(name) if name in names else -1
        return await self.kept(names[at + 1] if 0 <= at < len(names) - 1 else name)


class MoreThanAsked(Lie):
    """Gives more bytes than were asked for, and heads and records over their limits."""

    number, name = "30", "object over the limit"
    spoils: ClassVar[bool] = True

    async def get(self, name: ObjectName, offset: int, length: int | None) -> bytes:
        return await super().get(name, offset, length) + bytes(OVER)


def _column_length(share: bytes) -> int:
    """From the footer: see docs/spec/space.md 5.4."""
    footer = share[-FOOTER_SIZE:]
    return min(int.from_bytes(footer[10:18], "big"), len(share))
