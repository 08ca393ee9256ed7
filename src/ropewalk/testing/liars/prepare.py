"""Preparing: one space with a history, so that every lie has something to be told about.

It has files that lie in heads and files that lie in shares, four devices of three members, versions, something removed,
something moved, and a change that was refused.  It began with feature level 1, and an admin was put out of it.

Flow: shelves -> create, write, let in, put out, refuse, write by other devices -> Prepared
Never: is done anew for each run: a stage copies it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.members import create, record_name
from ropewalk.spaces.opening import plan_policy
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.space import Space
from ropewalk.testing.faults import Fault, Rule
from ropewalk.testing.liars.guests import let_in_and_out
from ropewalk.testing.liars.making import SURVIVE, Making, bytes_of
from ropewalk.testing.liars.stage import PAPER_KEY, START, STORES, Prepared, Shelf

__all__ = ["prepare"]

_ENEMY = DeviceKeys(bytes(range(64, 96)))


async def prepare(folder: Path) -> Prepared:
    """The space that all runs start from, with its homes below a folder."""
    shelves = {name: Shelf() for name in STORES}
    making = Making(folder / "own", shelves)
    space_id = await making.create()
    async with making.open() as space:
        await space.make_folder("notes")
        await making.write(space, "notes/a", b"first")
        await making.write(space, "old", bytes_of("old", 3000))
        await making.write(space, "gone", bytes_of("gone", 9000))
        await making.large(space, "big", 200_000)
        version = (await space.log())[0].hash.hex()
    before = dict(making.files)
    past = {name: dict(shelf.held) for name, shelf in shelves.items()}
    shutil.copytree(making.folder / "warm", making.folder / "behind")
    inside, may_be, people = await let_in_and_out(making)
    refused = bytes_of("refused", 2000)
    async with making.open() as space:
        await making.write(space, "notes/a", b"second")
        await space.remove("gone")
        await space.move("old", "new")
        del making.files["gone"]
        making.files["new"] = making.files.pop("old")
        await making.large(space, "big", 260_000)
        await _refuse(making, space, refused)
        await making.write(space, "notes/b", bytes_of("b", 20_000))
    making.join("paper")
    async with making.open("paper", PAPER_KEY) as space:
        await making.write(space, "by-paper", bytes_of("by-paper", 5000))
    async with making.open() as space:
        await making.large(space, "tree", 150_000)
    foreign = await _foreign(folder / "foreign", space_id)
    return Prepared(
        making.folder,
        space_id.hex(),
        shelves,
        past,
        foreign,
        _forged(space_id),
        making.files,
        before,
        version,
        inside,
        people,
        frozenset({refused, *may_be}),
    )


async def _refuse(making: Making, space: Space, data: bytes) -> None:
    """A change that too few stores take the head of; its head is given up."""
    for name in STORES[-2:]:
        making.faults[name].rules.append(Rule(Fault.REFUSE, on={"put"}, name=lambda name: "/heads/" in name))
    try:
        await space.write("refused", data)
    except BelowFloor:
        pass
    else:
        raise AssertionError("a change was taken by fewer stores than the floor")
    for fault in making.faults.values():
        fault.rules.clear()
    await asyncio.sleep(60)


async def _foreign(folder: Path, space_id: bytes) -> Mapping[str, Mapping[str, bytes]]:
    """What another space of the same user put into its stores, as if it were of this one."""
    making = Making(folder, {name: Shelf() for name in STORES})
    other = await making.create()
    async with making.open() as space:
        await making.write(space, "foreign", bytes_of("foreign", 700))
        await making.write(space, "foreign-large", bytes_of("foreign-large", 90_000))
    start = len(other.hex())
    return {
        name: {space_id.hex() + held[start:]: data for held, data in shelf.held.items()}
        for name, shelf in making.shelves.items()
    }


def _forged(space_id: bytes) -> dict[str, bytes]:
    """The records of a space that an enemy made for itself."""
    policy = plan_policy([StoreDomains(name) for name in STORES], {"store": SURVIVE})
    _, _, records = create(policy, 1, _ENEMY, PAPER_KEY.public(), START)
    return {record_name(space_id, data): data for _, data in records}
