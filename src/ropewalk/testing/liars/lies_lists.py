"""Lies about what is there: names left out, made up, twice, in another form or order, without an end.

Flow: Liar -> Lie -> a listing
Never: lies about the bytes beneath a name that is truly there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from ropewalk.spaces.keys import hashed
from ropewalk.spaces.store import Listed, ObjectName
from ropewalk.testing.liars.liar import Lie, Place, kind_of

__all__ = [
    "BackwardList",
    "CaseFolded",
    "Duplicates",
    "EndlessList",
    "FakeSize",
    "Junk",
    "ListOmission",
    "MadeUp",
    "Replay",
    "Resurrect",
    "StaleList",
    "SubstituteKey",
]

HUGE = 1 << 40  # bytes
JUNK = 40  # made-up names of each kind
_WRITER = 32  # hex digits


class MadeUp(Lie):
    """Shows objects that nobody put, beside those that somebody did."""

    def made_up(self) -> Mapping[str, bytes]:
        """By their names."""
        raise NotImplementedError

    async def shown(self, name: ObjectName) -> bytes | None:
        kept = await self.kept(name)
        return self.made_up().get(name) if kept is None else kept

    async def names(self, prefix: str) -> Iterable[Listed]:
        there = {listed.name: listed async for listed in self.place.truth.list(prefix)}
        for name, data in self.made_up().items():
            if name.startswith(prefix):
                there.setdefault(ObjectName(name), Listed(ObjectName(name), len(data)))
        return [there[name] for name in sorted(there)]


class Replay(MadeUp):
    """Shows the objects of another space of the same user as those of this one."""

    number, name = "6", "replay across spaces"

    def made_up(self) -> Mapping[str, bytes]:
        return self.place.foreign


class FakeSize(Lie):
    """Lists objects as one byte, or as a terabyte."""

    number, name = "13", "fake ETag/size"

    async def names(self, prefix: str) -> Iterable[Listed]:
        true = await super().names(prefix)
        return [Listed(one.name, HUGE if at % 2 else 1) for at, one in enumerate(true)]


class StaleList(Lie):
    """Lists what it held some time ago, and gives all that it holds."""

    number, name = "17", "stale list"

    async def names(self, prefix: str) -> Iterable[Listed]:
        return [one for one in await super().names(prefix) if one.name in self.place.past]


class ListOmission(Lie):
    """Leaves half of the names out of its listings."""

    number, name = "18", "list omission"

    async def names(self, prefix: str) -> Iterable[Listed]:
        return [one for one in await super().names(prefix) if hashed("test lie", one.name.encode())[0] % 2]


class Duplicates(Lie):
    """Lists each name twice."""

    number, name = "19", "duplicate keys"

    async def names(self, prefix: str) -> Iterable[Listed]:
        return [one for one in await super().names(prefix) for _ in range(2)]


class CaseFolded(Lie):
    """Lists each name in upper case too."""

    number, name = "20", "case-fold keys"

    async def names(self, prefix: str) -> Iterable[Listed]:
        true = list(await super().names(prefix))
        start = len(self.place.space)
        loud = [Listed(ObjectName(one.name[:start] + one.name[start:].upper()), one.size) for one in true]
        return sorted([*true, *loud], key=lambda one: one.name)


class Resurrect(MadeUp):
    """Shows again what it was told to delete: heads that were given up, shares that were replaced."""

    number, name = "24", "resurrect deleted"

    def made_up(self) -> Mapping[str, bytes]:
        return self.place.deleted


class SubstituteKey(MadeUp):
    """Shows a genesis and an epoch of its own, with its own device as the first."""

    number, name = "25", "substitute public key"

    def made_up(self) -> Mapping[str, bytes]:
        return {name: data for name, data in self.place.forged.items() if kind_of(name) == "record"}


class Junk(MadeUp):
    """Shows heads, shares and records that are noise under names of the right form."""

    number, name = "28", "invent records, heads, packs"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.found: dict[str, bytes] = {}

    def made_up(self) -> Mapping[str, bytes]:
        if not self.found:
            self._make_up(self.found)
        return self.found

    def _make_up(self, found: dict[str, bytes]) -> None:
        for number in range(JUNK):
            noise = hashed("test lie", b"junk %d" % number)
            own, part = hashed("object", noise).hex(), noise.hex()
            found[f"{self.place.space}/records/{own}"] = noise
            found[f"{self.place.space}/heads/{part[:_WRITER]}/{(1 << 64) - 1 - number % 3:016x}-{own}"] = noise
            check = hashed("trailer", noise).hex()[:32]
            found[f"{self.place.space}/packs/{part}-{number % 8:02x}-{check}"] = noise
            found[f"{self.place.space}/{part[:8]}"] = noise


class EndlessList(Lie):
    """Lists names of the right form without an end."""

    number, name = "29a", "endless list"

    async def list(self, prefix: str, after: str) -> AsyncIterator[Listed]:
        async for listed in super().list(prefix, after):
            yield listed
        kind = prefix[len(self.place.space) :].strip("/").split("/")[0]
        last = max(after, prefix)
        while (name := self._next(kind, last)) > last:
            yield Listed(ObjectName(name), 1000)
            last = name

    def _next(self, kind: str, last: str) -> str:
        """A name past all that is truly there, and past the last one; of another space where none was asked for."""
        top = f"{self.place.space}/{kind}/" if kind else ""
        digits = last[len(top) :][:16] if last.startswith(top) else ""
        start = f"{max(0xF << 60, int(digits, 16) + 1 if _is_hex(digits) else 0):016x}"
        if kind == "heads":
            return f"{top}{start}{'0' * 16}/{(1 << 64) - 2:016x}-{'0' * 64}"
        name = f"{top}{start}{'0' * 48}"
        return f"{name}-00-{'0' * 32}" if kind == "packs" else name if kind else f"{name}/records/{'0' * 64}"


class BackwardList(Lie):
    """Lists from the last name to the first."""

    number, name = "29b", "descending list"

    async def names(self, prefix: str) -> Iterable[Listed]:
        return list(await super().names(prefix))[::-1]


def _is_hex(text: str) -> bool:
    return len(text) == 16 and all(digit in "0123456789abcdef" for digit in text)
