"""What tests of learning show to a space: heads that somebody sealed, in some stores.

Flow: a test -> sealed -> show -> stores of a World
Never: checks anything.
"""

from __future__ import annotations

from pathlib import Path

from ropewalk.spaces.head import NO_HEAD, HeadName, MemberLayer, StewardLayer, seal_head
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.space import Space
from tests.spaces.making import World, a_space, device

__all__ = ["OTHER", "sealed", "show", "written"]

OTHER = b"o" * 16  # another incarnation of the same device


def sealed(
    space: Space,
    sequence: int = 1,
    previous: bytes = NO_HEAD,
    seen: dict[bytes, tuple[int, bytes]] | None = None,
    by: DeviceKeys | None = None,
    incarnation: bytes = OTHER,
    note: str = "",
    feature: int | None = None,
) -> tuple[HeadName, bytes]:
    """A head of this space by another writer; of the space's feature level, unless it is given."""
    return seal_head(
        incarnation=incarnation,
        sequence=sequence,
        previous=previous,
        steward=StewardLayer(),
        member=MemberLayer(1, space.core.membership.frontier, seen or {}, None, 0, 5, note),
        embedded=b"",
        device=by or device(),
        keys=space.core.keys,
        feature=space.core.membership.feature if feature is None else feature,
    )


async def show(world: World, name: HeadName, data: bytes, *stores: str) -> None:
    """Put it into some stores, or into all."""
    for store in stores or world.stores:
        await world.stores[store].put(name.encode(), (data,))


async def written(tmp_path: Path) -> World:
    """A space with one file, a."""
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("a", b"1")
    return world
