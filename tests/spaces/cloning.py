"""A space whose one device was cloned: both wrote under one name, and could not see each other.

Flow: a test -> forked -> World, and the writer that both were
Never: has either of the two look at what the other wrote.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.spaces.making import World, a_space

__all__ = ["forked"]


async def forked(tmp_path: Path) -> tuple[World, bytes]:
    """Stores that have both, and the local state of the one that wrote last."""
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("shared", b"from before")
    shutil.copytree(world.folder, tmp_path / "clone")
    async with world.open() as space:
        await space.write("ours", b"one")
    held = {name: await store.snapshot() for name, store in world.stores.items()}
    for store in world.stores.values():  # the clone cannot see what we wrote
        for head in await store.names("/heads/"):
            if head.split("/")[-1].startswith("fffffffffffffffd"):
                await store.lose(head)
    shutil.rmtree(world.folder)
    shutil.copytree(tmp_path / "clone", world.folder, dirs_exist_ok=True)
    async with world.open() as space:
        await space.write("theirs", b"two")
        writer = space.core.writer_id
    for name, store in world.stores.items():
        await store.roll_back({**held[name], **await store.snapshot()})
    return world, writer
