"""Mend: shares that lack or are damaged, made again from the others and put where they should lie.

Flow: pack -> k verified columns -> rebuilt columns, checked against the roots -> stores -> ledger
Never: trusts a column that was not checked leaf by leaf, or removes a share before k others were read and found good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ropewalk.errors import Damaged, Missing, RopewalkError, Unavailable
from ropewalk.spaces.core import Core
from ropewalk.spaces.pack.directory import Directory
from ropewalk.spaces.pack.erasure import Code
from ropewalk.spaces.pack.packing import Pack, Share
from ropewalk.spaces.pack.roots import column_root, leaf_hashes
from ropewalk.spaces.pack.share import FOOTER_SIZE, LARGEST_TRAILER, ShareDamaged, ShareName, Trailer
from ropewalk.spaces.pool.patience import most_of
from ropewalk.spaces.state import KnownPack, SharePlace, State, spread
from ropewalk.spaces.writer import deliver

__all__ = [
    "Mended",
    "PackLost",
    "good_columns",
    "live_shares",
    "mend_owed",
    "mend_pack",
    "name_of",
    "place_of",
    "read_share",
    "remake",
    "share_of",
    "stand",
    "usable",
]


class PackLost(Damaged):
    """Fewer than k good shares of a pack are left."""

    code = "mend.pack-lost"


@dataclass(slots=True)
class Mended:
    """What came of mending one pack."""

    placed: dict[int, str] = field(default_factory=dict)  # share -> store
    owed: list[int] = field(default_factory=list)
    removed: list[SharePlace] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)  # what was found on the way
    bytes: int = 0


def live_shares(core: Core, pack: KnownPack) -> dict[int, SharePlace]:
    """The shares that count and lie on stores which answer."""
    return spread(usable(core, pack))


def usable(core: Core, pack: KnownPack) -> list[SharePlace]:
    """All copies of its shares that lie on stores which answer, and are not known to be damaged."""
    return [s for s in pack.shares if s.number < pack.n and not s.damaged and core.pool.up(s.store)]


async def read_share(core: Core, pack: KnownPack, share: SharePlace) -> tuple[memoryview, Trailer]:
    """A whole share, every leaf checked.

    Raises:
        ShareDamaged, NoSuchObject, StoreGone, StoreDamaged.
    """
    name = name_of(core, pack, share)
    most = pack.column_length(share.number) + LARGEST_TRAILER + 1
    data = memoryview(await core.pool.get(share.store, name.encode(), 0, most))
    return await asyncio.get_running_loop().run_in_executor(core.cpu, _checked, data, name, pack.manifest)


def name_of(core: Core, pack: KnownPack, share: SharePlace) -> ShareName:
    """Under what name a share lies in its store."""
    return ShareName(core.space_id, pack.name, share.number, bytes.fromhex(share.object))


def _checked(data: memoryview, name: ShareName, manifest: bytes) -> tuple[memoryview, Trailer]:
    size = Trailer.size_from_footer(data[-FOOTER_SIZE:], name, len(data))
    trailer = Trailer.decode(data[len(data) - size :], name)
    column = data[: len(data) - size]
    if trailer.manifest.digest != manifest:
        raise ShareDamaged(f"share {name.number} of {name.pack.hex()[:8]} has a manifest that no head has signed")
    if not trailer.verify(column):
        raise ShareDamaged(f"share {name.number} of {name.pack.hex()[:8]} has a leaf that does not match its hash")
    return column, trailer


async def mend_pack(core: Core, pack: KnownPack, wrong: Collection[SharePlace] = ()) -> Mended:
    """Make the shares again that no store which answers has, and put them where there is room.

    Args:
        core: The space.
        pack: As the ledger knows it now.
        wrong: Damaged shares to be removed before their successors are put: under the same name no store takes both.

    Raises:
        PackLost: Fewer than k good shares can be read; nothing was removed.
    """
    result = Mended()
    live = live_shares(core, pack)
    result.owed = [number for number in range(pack.n) if number not in live]
    if not wrong and not (result.owed and _can_place(core, live.values())):
        return result
    columns, trailer, bad = await good_columns(core, pack, result)
    live = spread(share for share in usable(core, pack) if share not in bad)
    lacking = [number for number in range(pack.n) if number not in live]
    away = {share.number for share in pack.shares if not share.damaged and not core.pool.up(share.store)}
    lacking.sort(key=away.__contains__)  # what a store may bring back comes last
    remade = await asyncio.get_running_loop().run_in_executor(core.cpu, remake, core, pack, trailer, columns, lacking)
    for share in wrong:
        await _remove(core, pack, share, result)
    have = {number: share.store for number, share in live.items()}
    # Others wait for the turn that we have: a store that hangs is not worth it, and one that is slow counts next time.
    names = {share.number: share.name for share in remade.shares}
    later = partial(deliver, pack.name, names, core.ledger)
    kept, failed = await core.pool.put_shares(remade, core.membership.policy.survive, have, enough=0, later=later)
    places = [place_of(share, kept[share.number]) for share in remade.shares if share.number in kept]
    await core.ledger.do(State.add_shares, pack.id, places)
    for place in places:
        core.reader.damage_seen.pop((pack.name, place.number, place.store), None)
    result.placed = kept
    result.owed = [number for number in lacking if number not in kept]
    result.bytes = sum(share.size for share in remade.shares if share.number in kept)
    result.damaged += [f"store {store}: {error}" for store, error in failed.items()]
    return result


def _can_place(core: Core, live: Iterable[SharePlace]) -> bool:
    taken = {share.store for share in live}
    return any(core.pool.up(name) and not core.pool.behind(name) and name not in taken for name in core.pool.fit)


async def good_columns(
    core: Core, pack: KnownPack, result: Mended
) -> tuple[dict[int, memoryview], Trailer, set[SharePlace]]:
    """Some k columns, checked, with the trailer of one; and the shares that were found damaged on the way.

    Raises:
        PackLost: Fewer than k can be read.
    """
    columns: dict[int, memoryview] = {}
    found: Trailer | None = None
    bad: set[SharePlace] = set()
    live = live_shares(core, pack)
    spare = usable(core, pack)
    # Another copy of a share comes last, and before it what lies in a store that others need not wait for.
    spare.sort(key=lambda share: (live.get(share.number) != share, core.pool.is_late(share.store)))
    running: dict[asyncio.Task[tuple[memoryview, Trailer]], SharePlace] = {}
    try:
        while len(columns) < pack.k <= len(readable := _numbers(columns, spare, running.values())):
            while spare and len(_numbers(columns, running.values())) < pack.k:
                _begin(core, pack, spare, columns, running)
            size = sum(pack.column_length(share.number) for share in running.values())
            patience = core.pool.hedge(size) if spare else None  # a read that hangs ends by itself
            done, late = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                share = running.pop(task)
                try:
                    columns[share.number], found = task.result()
                except Unavailable:
                    continue
                except RopewalkError as error:
                    await core.ledger.do(State.mark_damaged, pack.id, share.number, share.store)
                    bad.add(share)
                    result.damaged.append(f"store {share.store}: {error}")
            if not done:
                for task in late:
                    core.pool.was_late(running[task].store)
                _begin(core, pack, spare, columns, running)
    finally:
        for task in running:
            task.cancel()
    if len(columns) < pack.k or found is None:
        raise PackLost(
            f"pack {pack.name.hex()[:8]} needs {pack.k} good shares, {len(readable)} can be read",
            hint="bring back stores of this space that are away",
        )
    return columns, found, bad


def _begin(
    core: Core,
    pack: KnownPack,
    spare: list[SharePlace],
    columns: Collection[int],
    running: dict[asyncio.Task[tuple[memoryview, Trailer]], SharePlace],
) -> None:
    """Read one more share: of a column that is not being read, if there is any."""
    reading = _numbers(columns, running.values())
    share = min(spare, key=lambda one: one.number in reading)
    spare.remove(share)
    if share.number not in columns:
        running[asyncio.create_task(read_share(core, pack, share))] = share


def _numbers(columns: Collection[int], *shares: Iterable[SharePlace]) -> set[int]:
    return {*columns, *(share.number for some in shares for share in some)}


def remake(core: Core, pack: KnownPack, trailer: Trailer, columns: dict[int, memoryview], lacking: list[int]) -> Pack:
    """Shares of a pack from k of its columns; those that are among them as they are.

    Raises:
        PackLost: They do not come out as their roots say.
    """
    manifest = trailer.manifest
    rebuilt = Code(pack.k, pack.n).rebuild(columns, lacking, manifest.longest)
    shares = []
    for number, full in zip(lacking, rebuilt, strict=True):
        column = memoryview(full)[: manifest.column_length(number)]
        leaves = leaf_hashes(column)
        if column_root(len(column), leaves) != manifest.roots[number]:
            raise PackLost(
                f"share {number} of pack {pack.name.hex()[:8]} was rebuilt to other bytes than its root says"
            )
        shares.append(share_of(core, pack, column, Trailer(number, leaves, manifest, trailer.directory)))
    return Pack(pack.name, manifest, Directory([], []), pack.directory, shares)


def share_of(core: Core, pack: KnownPack, column: memoryview, trailer: Trailer) -> Share:
    """A share, ready for a store."""
    encoded = trailer.encode()
    name = ShareName(core.space_id, pack.name, trailer.number, Trailer.check(encoded))
    return Share(trailer.number, name.encode(), (column, encoded))


async def _remove(core: Core, pack: KnownPack, share: SharePlace, result: Mended) -> None:
    try:
        await core.pool.delete(share.store, name_of(core, pack, share).encode())
    except RopewalkError as error:  # its successor may find another store
        result.damaged.append(f"store {share.store}: {error}")
        return
    await core.ledger.do(State.forget_share, pack.id, share)
    result.removed.append(share)


def place_of(share: Share, store: str) -> SharePlace:
    """Where a share lies now."""
    name = ShareName.decode(share.name)
    assert name is not None
    return SharePlace(share.number, store, name.check.hex())


async def mend_owed(core: Core) -> int:
    """Mend every pack that owes shares; how many shares are still owed."""
    owed = 0
    await core.pool.try_again()
    for name, numbers in await core.ledger.do(State.owed_shares):
        pack = await core.ledger.do(State.pack_named, name)
        assert pack is not None
        try:
            owed += len((await mend_pack(core, pack)).owed)
        except RopewalkError as error:
            owed += len(numbers)
            if str(error) not in core.warnings:  # it is tried again every few seconds
                core.warnings.append(str(error))
    return owed


async def stand(core: Core, names: Sequence[bytes], floor: int) -> str:
    """Whether packs still lie on the write floor of stores, mended where they can be; why not, or nothing.

    What the ledger says may be of before a crash, so each share is asked for its end: a store that lost it, or cut it
    off, does not have that.
    """
    for name in names:
        pack = await core.ledger.do(State.pack_named, name)
        if pack is None:
            return f"pack {name.hex()[:8]} is not known here any more"
        good = await _count_there(core, pack, min(floor, pack.n))
        if good < min(floor, pack.n):
            pack = await core.ledger.do(State.pack_named, name)
            assert pack is not None
            try:
                await mend_pack(core, pack)
            except RopewalkError as error:
                return str(error)
            pack = await core.ledger.do(State.pack_named, name)
            assert pack is not None
            good = len(live_shares(core, pack))
        if good < min(floor, pack.n):
            return f"{good} of {pack.n} shares of pack {name.hex()[:8]} are left, the write floor is {floor}"
    return ""


async def _count_there(core: Core, pack: KnownPack, floor: int) -> int:
    """How many of a pack's shares are there; once there are enough, stores that are slower count for nothing."""
    asked = {asyncio.create_task(_is_there(core, pack, share)): share for share in usable(core, pack)}

    def there() -> int:
        return len(spread(share for task, share in asked.items() if task.done() and task.result()))

    for task in await most_of(asked, lambda pending: not there() < floor <= there() + pending):
        task.cancel()
    return there()


async def _is_there(core: Core, pack: KnownPack, share: SharePlace) -> bool:
    try:
        name, column = name_of(core, pack, share).encode(), pack.column_length(share.number)
        end = await core.pool.get(share.store, name, column, LARGEST_TRAILER + 1)
        Trailer.decode(end, name_of(core, pack, share))
    except Unavailable:
        return False
    except Missing:
        await core.ledger.do(State.forget_share, pack.id, share)
        return False
    except Damaged:
        await core.ledger.do(State.mark_damaged, pack.id, share.number, share.store)
        return False
    return True
