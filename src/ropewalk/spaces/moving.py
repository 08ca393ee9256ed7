"""Moving: shares of a pack brought from where they may not stay to where they should lie, as few as will do.

Flow: pack -> plan -> share read, or made again -> another store, read there -> ledger -> deleted where it was
Never: deletes a share before the same share was read whole at another store, or moves one that need not move.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ropewalk.errors import Damaged, RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.mend import (
    Mended,
    good_columns,
    name_of,
    place_of,
    read_share,
    remake,
    share_of,
    usable,
)
from ropewalk.spaces.pack.directory import Directory
from ropewalk.spaces.pack.packing import Pack
from ropewalk.spaces.pack.share import Trailer
from ropewalk.spaces.pool.placement import Placement, StoreDomains, slack
from ropewalk.spaces.state import KnownPack, SharePlace, State, spread

__all__ = ["Moved", "crowded", "move_shares"]


@dataclass(slots=True)
class Moved:
    """What came of moving shares of one pack."""

    placed: list[SharePlace] = field(default_factory=list)
    removed: list[SharePlace] = field(default_factory=list)
    remade: int = 0  # of those placed: shares that could not be read, and were made again from others
    owed: int = 0  # shares that should go, and stay for want of a place
    bytes: int = 0
    problems: list[str] = field(default_factory=list)


def crowded(packs: Iterable[KnownPack], domains: Sequence[StoreDomains], survive: Mapping[str, int]) -> list[KnownPack]:
    """Packs of which all shares are there, and lie so that the promise does not hold.

    Args:
        packs: To be looked at.
        domains: Of all stores.
        survive: The promise.
    """
    by_name = {one.name: one for one in domains}
    seen: dict[tuple[frozenset[str], int], bool] = {}  # most packs lie on the same few sets of stores
    found = []
    for pack in packs:
        good = pack.good
        if len(good) < pack.n:
            continue
        stores = frozenset(share.store for share in good.values())
        if (stores, pack.k) not in seen:
            left = slack([by_name[name] for name in stores if name in by_name], pack.k, survive)
            seen[stores, pack.k] = any(one < 0 for one in left.values())
        if seen[stores, pack.k]:
            found.append(pack)
    return found


async def move_shares(core: Core, pack: KnownPack, without: Collection[str] = (), *, delete: bool = True) -> Moved:
    """Bring the shares of a pack to where the promise needs them.  It may be stopped at any point and run again.

    Args:
        core: The space; the caller has the turn.
        pack: As the ledger knows it now.
        without: Stores that no share may stay on.
        delete: Whether shares are deleted where they were.

    Raises:
        PackLost: A share cannot be read, and too few others can; nothing was deleted.
    """
    moved = Moved()
    stays = spread(share for share in usable(core, pack) if share.store not in without)
    size = max(pack.lengths)
    survive = core.membership.policy.survive
    have = {number: share.store for number, share in stays.items()}
    await core.pool.weigh()
    plan = core.pool.plan(pack.name, pack.n, pack.k, survive, have, size, without)
    leaving = [share for number, share in stays.items() if plan.where.get(number) != share.store]
    for share in leaving:
        del stays[share.number]
    going = [share for share in pack.shares if share.store in without and core.pool.up(share.store)]
    # Of two shares in one store, one may count only while the other lies in a store that has to go: it moves, too.
    there = spread(usable(core, pack)).values()
    wanted = sorted({share.number for share in (*leaving, *going, *there) if share.number < pack.n} - stays.keys())
    now = _slack(core, pack, there)
    if without and _worse(plan.slack, now):
        moved.owed = len(wanted)
        moved.problems.append(_cannot(pack, plan))
        return moved
    sound: dict[int, SharePlace] = {}
    if wanted:
        sound = await _bring(core, pack, wanted, stays, {*without, *(share.store for share in leaving)}, moved)
    moved.owed = len(wanted) - len(sound)
    least = now if without else dict.fromkeys(now, 0)  # who need not go goes for the whole promise, or stays
    if _worse(_slack(core, pack, [*stays.values(), *sound.values()]), least):
        # A store failed on the way, and the next best one does not do: what was put stays beside what was there.
        moved.owed = max(moved.owed, 1)
        moved.problems.append(f"pack {pack.name.hex()[:8]} keeps its shares where they were: the promise needs others")
    elif delete:
        for share in [*leaving, *going]:
            await _let_go(core, pack, share, sound, stays, moved)
    return moved


def _slack(core: Core, pack: KnownPack, shares: Iterable[SharePlace]) -> dict[str, int]:
    on = {share.store for share in shares}
    stores = [one for one in core.pool.domains if one.name in on]
    return slack(stores, pack.k, core.membership.policy.survive)


def _worse(then: Mapping[str, int], now: Mapping[str, int]) -> bool:
    """Whether the promise would hold less than it does."""
    return any(left < min(now[kind], 0) for kind, left in then.items())


def _cannot(pack: KnownPack, plan: Placement) -> str:
    kinds = ", ".join(plan.violated)
    full = sorted({why.words for why in plan.why.values() if why.kind})[:3]
    return (
        f"pack {pack.name.hex()[:8]} stays: on the other stores that take something now the promise ({kinds}) would"
        f" not hold{': ' + '; '.join(full) if full else ''}"
    )


async def _bring(
    core: Core,
    pack: KnownPack,
    numbers: Sequence[int],
    stays: Mapping[int, SharePlace],
    without: Collection[str],
    moved: Moved,
) -> dict[int, SharePlace]:
    """Put shares to where they should lie; those that were read whole there, by number."""
    shares = await _shares(core, pack, numbers, moved)
    have = {number: share.store for number, share in stays.items()}
    survive = core.membership.policy.survive
    kept, failed = await core.pool.put_shares(shares, survive, have, without=without)
    moved.problems += [f"store {store}: {error}" for store, error in failed.items()]
    sound = {}
    for share in shares.shares:
        if share.number not in kept:
            continue
        place = place_of(share, kept[share.number])
        try:
            await read_share(core, pack, place)
        except RopewalkError as error:
            moved.problems.append(f"store {place.store}: what was put there does not come back: {error}")
            if isinstance(error, Damaged):  # `repair` takes it away, and it counts for nothing until then
                await core.ledger.do(State.add_shares, pack.id, [replace(place, damaged=True)])
            continue
        sound[share.number] = place
        moved.bytes += share.size
    await core.ledger.do(State.add_shares, pack.id, list(sound.values()))
    for place in sound.values():
        core.reader.damage_seen.pop((pack.name, place.number, place.store), None)
    moved.placed += sound.values()
    return sound


async def _shares(core: Core, pack: KnownPack, numbers: Sequence[int], moved: Moved) -> Pack:
    """Shares as they are where they can be read, and the others made again from k that can."""
    read: dict[int, tuple[memoryview, Trailer]] = {}
    for number in numbers:
        for share in (one for one in usable(core, pack) if one.number == number and number not in read):
            try:
                read[number] = await read_share(core, pack, share)
            except RopewalkError as error:
                moved.problems.append(f"store {share.store}: {error}")
    shares = [share_of(core, pack, column, trailer) for column, trailer in read.values()]
    lacking = [number for number in numbers if number not in read]
    if not lacking:
        manifest = next(iter(read.values()))[1].manifest
        return Pack(pack.name, manifest, Directory([], []), pack.directory, shares)
    mended = Mended()
    columns, found, _ = await good_columns(core, pack, mended)
    moved.problems += mended.damaged
    made = await asyncio.get_running_loop().run_in_executor(core.cpu, remake, core, pack, found, columns, lacking)
    moved.remade += len(lacking)
    return replace(made, shares=[*shares, *made.shares])


async def _let_go(
    core: Core,
    pack: KnownPack,
    share: SharePlace,
    sound: Mapping[int, SharePlace],
    stays: Mapping[int, SharePlace],
    moved: Moved,
) -> None:
    """Delete a share where it was, if the same one was read at another store."""
    if share.number < pack.n and share.number not in sound:
        successor = stays.get(share.number)
        if successor is None:
            return  # it is owed
        try:
            await read_share(core, pack, successor)  # it may be from before a stop, known from a listing alone
        except RopewalkError as error:
            moved.problems.append(f"store {successor.store}: {error}")
            moved.owed += 1
            if isinstance(error, Damaged):
                await core.ledger.do(State.mark_damaged, pack.id, successor.number, successor.store)
            return
    try:
        await core.pool.delete(share.store, name_of(core, pack, share).encode())
    except RopewalkError as error:
        moved.problems.append(f"store {share.store}: {error}")
        return
    await core.ledger.do(State.forget_share, pack.id, share)
    moved.removed.append(share)
