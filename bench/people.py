"""People: what it costs to put one of many devices out, and to open a space that many have written to meanwhile.

Flow: records of many members, in memory -> removal, epoch; heads of many writers, in folders -> open, cold and warm
Never: counts the making of what is then measured, or reads its own memory of it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from contextlib import aclosing
from pathlib import Path

from figures import Figure, Load
from groups import SPACE, STORES, new_space
from measure import say
from report import Goal, Report

from ropewalk.spaces.chunk import ChunkType, seal
from ropewalk.spaces.head import (
    NO_HEAD,
    MemberLayer,
    StewardLayer,
    embed,
    seal_head,
    take_apart,
    writer_id,
)
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.members import NO_CUT, Author, Membership, Policy, Role, create, deliver, open_ring, rotate
from ropewalk.spaces.pack.packing import Packing
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.vectors import Vector
from ropewalk.testing.letting_in import consents, member_with

__all__ = ["opening", "removal"]

WRITERS = 10
KEYS, WORK = 400, 0.5  # KB of key material, and seconds besides the stores', for a removal among 300 devices
COLD, WARM = 5.0, 0.2  # seconds for 10,000 heads


def removal(report: Report, load: Load, folder: Path) -> None:
    """One member of many goes: its record, and the epoch that follows, as bytes and as time; no store takes part."""
    del folder
    size, took = _removals(load.members, load.rounds)
    work = f"remove one of {load.members} devices"
    figures = [Figure(work, "records", "KB", size), Figure(work, "making and reading them", "ms", took)]
    say(f"{work}: {', '.join(f'{figure.side} {figure.shown}' for figure in figures)}")
    report.figures += figures
    report.goals.append(Goal(f"{work}: key material", figures[0].median, KEYS, "KB"))
    report.goals.append(Goal(f"{work}: time besides the stores'", figures[1].median / 1000, WORK, "s"))


def _removals(devices: int, rounds: int) -> tuple[list[float], list[float]]:
    """Kilobytes and milliseconds, one of each round."""
    admin, paper = DeviceKeys.generate(), DeviceKeys.generate(PAPER)
    space_id, _, made = create(Policy(2, 4, 3, {"store": 2}), 1, admin, paper.public(), time.time_ns())
    objects = [data for _, data in made]
    membership = Membership.read(space_id, objects)
    ring = open_ring(membership.epochs, admin).ring
    life, gone = os.urandom(16), b""
    while len(membership.state.devices) < devices:
        author = Author(membership, admin, life, time.time_ns())
        device = DeviceKeys.generate()
        keys = device.public()
        nonce, pledge = author.new_member()
        gone, agreed = member_with(pledge, keys), consents(space_id, pledge, Role.WRITER, [device])
        wraps = [deliver(membership.epochs, ring, keys, Role.WRITER)]
        objects.append(author.add(nonce, Role.WRITER, [keys], b"", wraps, consents=agreed)[1])
        membership = Membership.read(space_id, objects, verified=membership.verified)
    size: list[float] = []
    took: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        name, removed = Author(membership, admin, life, time.time_ns()).remove(gone, NO_CUT)
        after = Membership.read(space_id, [*objects, removed], verified=membership.verified)
        rotation = rotate(after.epochs, ring, admin, after.frontier)
        whole = Membership.read(space_id, [*objects, removed, rotation.data], verified=after.verified)
        open_ring(whole.epochs, admin)
        took.append((time.perf_counter() - started) * 1000)
        size.append((len(removed) + len(rotation.data)) / 1000)
        assert whole.epoch == 2, name
    return size, took


def opening(report: Report, load: Load, folder: Path) -> None:
    """A space that ten writers have added heads to: opened with no local state, and then with all of them known."""
    cold, warm = asyncio.run(_openings(folder, load.heads, load.rounds))
    work = f"open with {load.heads:,} heads behind"
    figures = [Figure(work, "cold", "ms", cold), Figure(work, "warm", "ms", warm)]
    say(f"{work}: {', '.join(f'{figure.side} {figure.shown}' for figure in figures)}")
    report.figures += figures
    for figure, most in zip(figures, (COLD, WARM), strict=True):
        report.goals.append(Goal(f"{work}: {figure.side}", figure.median / 1000, most, "s"))


async def _openings(folder: Path, heads: int, rounds: int) -> tuple[list[float], list[float]]:
    writer = await new_space(folder)
    space = await writer.open()
    async with aclosing(space):
        await space.write("file", b"x" * 600)
        _pile(space, writer.device, folder, heads)
    took: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        shutil.rmtree(writer.home.state)
        for one in took:
            started = time.perf_counter()
            space = await open_space(writer.home, SPACE, writer.device, pay_every=3600)
            one.append((time.perf_counter() - started) * 1000)
            await space.aclose()
    return took


def _pile(space: Space, device: DeviceKeys, folder: Path, heads: int) -> None:
    """Heads of ten writers in turn, each of which has seen all before it, with packs of some 2 KB; in every store."""
    core = space.core
    seen: dict[bytes, tuple[int, bytes]] = {}
    for number in range(heads):
        life = bytes((number % WRITERS + 1,)) * 16
        writer = writer_id(device.public().id, life)
        sequence, previous = seen.get(writer, (0, NO_HEAD))
        others: Vector = {one: item for one, item in seen.items() if one != writer}
        packing = Packing(1, 1)
        sealed = seal(os.urandom(1500), ChunkType.NODE, core.keys)
        packing.add(sealed.reference.id, sealed.data)
        pack = packing.finish(core.keys)
        name, data = seal_head(
            incarnation=life,
            sequence=sequence + 1,
            previous=previous,
            steward=StewardLayer(),
            member=MemberLayer(1, core.membership.heads, others, sealed.reference, 5, number, "note"),
            embedded=embed(pack.directory.seal(pack.name, core.keys), bytes(pack.shares[0].parts[0])),
            device=device,
            keys=core.keys,
            feature=core.membership.feature,
        )
        seen[writer] = sequence + 1, take_apart(data, name).hash
        for store in range(STORES):
            path = folder / f"store{store}" / name.encode()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
