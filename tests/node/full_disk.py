"""A program: a node whose accounts lie on a disk that fills up; run in a mount namespace of its own.

Flow: a folder on that disk, and one on another -> puts until they are refused, room, puts -> "kept N, refused M"
Never: is imported by a test; it runs alone, since a full disk is nothing for others to meet.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ropewalk.errors import Unavailable
from ropewalk.node.offered import Offered
from ropewalk.node.register import ENTRY
from ropewalk.node.register_file import RegisterUnavailable
from tests.node.making import GUEST, a_node
from tests.small_disk import fill

KEY = GUEST.public_key().public_bytes_raw()
BATCH = 8  # puts of 200 letters each write so many new pages at the least
MOST = 4000


async def _put(offered: Offered, numbers: range) -> tuple[list[str], list[str]]:
    """What was kept of these, and what was not."""
    names = [f"x/{number:06d}-{'n' * 180}" for number in numbers]
    outcomes = await offered.put_small(KEY, [(name, name.encode()) for name in names])
    for error in outcomes:
        assert error is None or (isinstance(error, RegisterUnavailable) and isinstance(error, Unavailable)), error
    kept = [name for name, error in zip(names, outcomes, strict=True) if error is None]
    return kept, [name for name in names if name not in set(kept)]


async def _check(offered: Offered, kept: list[str]) -> None:
    for name in kept:
        assert await offered.get(KEY, name, 0, 1000) == name.encode()
    assert [listed.name async for listed in offered.store.list("")] == sorted(kept)
    lie = sum(len(name) + ENTRY for name in kept)
    assert offered._register.used(offered.account) == lie


async def main(home: Path) -> None:
    ballast = home / "state" / "ballast"
    kept: list[str] = []
    refused: list[str] = []
    at = 0
    async with a_node(home) as town:
        await (await town.offer("disk1")).aclose()
        town.grant()
        await town.node.look()
        offered = town.node.offers["disk1"]
        for turn in range(2):
            fill(ballast)
            while len(refused) < BATCH * (turn + 1) and at < MOST:
                some, others = await _put(offered, range(at, at + BATCH))
                kept, refused, at = kept + some, refused + others, at + BATCH
            await _check(offered, kept)
            ballast.unlink()
            some, others = await _put(offered, range(at, at + BATCH))
            assert not others
            kept, at = kept + some, at + BATCH
            await _check(offered, kept)
    async with a_node(home) as town:
        await _check(town.node.offers["disk1"], kept)
    sys.stdout.write(f"kept {len(kept)}, refused {len(refused)}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
