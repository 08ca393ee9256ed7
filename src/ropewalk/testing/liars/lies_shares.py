"""Forged shares: objects that are sound in themselves, under names that fit them, for packs that are truly there.

A pack's name covers its data columns.  So anybody may make up a parity column and a manifest that has its root, and
call both shares of that pack; only a head says which manifest and which directory are the pack's.

Flow: a true share -> its trailer -> another column, another manifest, another directory -> a share object
Never: needs a key of the space.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ropewalk.spaces.keys import hashed
from ropewalk.spaces.pack.roots import column_root, leaf_hashes
from ropewalk.spaces.pack.share import FOOTER_SIZE, ShareName, Trailer
from ropewalk.spaces.store import Listed, ObjectName
from ropewalk.testing.liars.liar import Lie, Place

__all__ = ["ForgedShares"]


class ForgedShares(Lie):
    """Shows shares with a made-up parity column, and shares with a made-up directory, of the packs that it has."""

    number, name = "36", "forged directory or parity manifest"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.forged: dict[str, bytes] = {}

    async def begin(self) -> None:
        async for listed in self.place.truth.list(f"{self.place.space}/packs/"):
            if (name := ShareName.decode(listed.name)) is not None:
                self.forged.update(_forgeries(name, await self.place.truth.get(listed.name)))

    async def shown(self, name: ObjectName) -> bytes | None:
        return self.forged.get(name) or await self.kept(name)

    async def names(self, prefix: str) -> Iterable[Listed]:
        false = [Listed(ObjectName(name), len(data)) for name, data in self.forged.items() if name.startswith(prefix)]
        return sorted([*await super().names(prefix), *false], key=lambda one: one.name)


def _forgeries(name: ShareName, share: bytes) -> dict[str, bytes]:
    size = Trailer.size_from_footer(share[-FOOTER_SIZE:], name, len(share))
    trailer = Trailer.decode(share[-size:], name)
    manifest = trailer.manifest
    found = dict([_object(name, replace(trailer, directory=hashed("test lie", name.pack) * 8), share[:-size])])
    for number in range(manifest.k, manifest.n):
        column = (hashed("test lie", name.pack) * (manifest.longest // 32 + 1))[: manifest.longest]
        leaves = leaf_hashes(column)
        roots = list(manifest.roots)
        roots[number] = column_root(len(column), leaves)
        forged = Trailer(number, leaves, replace(manifest, roots=roots), trailer.directory)
        found.update([_object(name, forged, column)])
    return found


def _object(true: ShareName, trailer: Trailer, column: bytes) -> tuple[str, bytes]:
    encoded = trailer.encode()
    name = ShareName(true.space_id, true.pack, trailer.number, Trailer.check(encoded))
    return name.encode(), column + encoded
