"""Mend: shares that lack or are damaged, made again from the others and put where they should lie.

Flow: pack -> k verified columns -> rebuilt columns, checked against the roots -> stores -> ledger
Never: trusts a column that was not checked leaf by leaf, or deletes a share before another one is durable.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ropewalk.errors import Damaged, RopewalkError, Unavailable
from ropewalk.spaces.core import Core
from ropewalk.spaces.pack.directory import Directory
from ropewalk.spaces.pack.erasure import Code
from ropewalk.spaces.pack.packing import Pack, Share
from ropewalk.spaces.pack.roots import column_root, leaf_hashes
from ropewalk.spaces.pack.share import FOOTER_SIZE, ShareDamaged, ShareName, Trailer
from ropewalk.spaces.state import KnownPack, SharePlace, State

__all__ = ["Mended", "PackLost", "live_shares", "mend_owed", "mend_pack", "read_share"]


class PackLost(Damaged):
    """Fewer than k good shares of a pack are left."""

    code = "mend.pack-lost"


@dataclass(slots=True)
class Mended:
    """What came of mending one pack."""

    placed: dict[int, str] = field(default_factory=dict)  # share -> store
    owed: list[int] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)  # what was found on the way
    bytes: int = 0


def live_shares(core: Core, pack: KnownPack) -> dict[int, SharePlace]:
    """A good copy of each share that a store which answers should have."""
    live: dict[int, SharePlace] = {}
    for share in pack.shares:
        if not share.damaged and core.pool.up(share.store):
            live.setdefault(share.number, share)
    return live


async def read_share(core: Core, pack: KnownPack, share: SharePlace) -> tuple[memoryview, Trailer]:
    """A whole share, every leaf checked.

    Raises:
        ShareDamaged, NoSuchObject, StoreGone, StoreDamaged.
    """
    name = ShareName(core.space_id, pack.name, share.number, bytes.fromhex(share.object))
    data = memoryview(await core.pool.get(share.store, name.encode()))
    return await asyncio.get_running_loop().run_in_executor(core.cpu, _checked, data, name, pack.manifest)


def _checked(data: memoryview, name: ShareName, manifest: bytes) -> tuple[memoryview, Trailer]:
    size = Trailer.size_from_footer(data[-FOOTER_SIZE:], name, len(data))
    trailer = Trailer.decode(data[len(data) - size :], name)
    column = data[: len(data) - size]
    if trailer.manifest.digest != manifest:
        raise ShareDamaged(f"share {name.number} of {name.pack.hex()[:8]} has a manifest that no head has signed")
    if not trailer.verify(column):
        raise ShareDamaged(f"share {name.number} of {name.pack.hex()[:8]} has a leaf that does not match its hash")
    return column, trailer


async def mend_pack(core: Core, pack: KnownPack) -> Mended:
    """Make the shares again that no store which answers has, and put them where there is room.

    Raises:
        PackLost: Fewer than k good shares can be read.
    """
    result = Mended()
    live = live_shares(core, pack)
    lacking = [number for number in range(pack.n) if number not in live]
    if not lacking or not _can_place(core, live):
        result.owed = lacking
        return result
    columns: dict[int, memoryview] = {}
    trailer: Trailer | None = None
    for number, share in list(live.items()):
        if len(columns) == pack.k:
            break
        try:
            columns[number], trailer = await read_share(core, pack, share)
        except Unavailable:
            continue
        except RopewalkError as error:
            await core.ledger.do(State.mark_damaged, pack.id, number, share.store)
            del live[number]
            lacking.append(number)
            result.damaged.append(f"store {share.store}: {error}")
    if len(columns) < pack.k or trailer is None:
        raise PackLost(
            f"pack {pack.name.hex()[:8]} needs {pack.k} good shares, {len(columns)} can be read",
            hint="bring back stores of this space that are away",
        )
    remade = await asyncio.get_running_loop().run_in_executor(core.cpu, _remake, core, pack, trailer, columns, lacking)
    have = {number: share.store for number, share in live.items()}
    kept, failed = await core.pool.put_shares(remade, core.membership.policy.survive, have)
    places = [_place(share, kept[share.number]) for share in remade.shares if share.number in kept]
    await core.ledger.do(_remember, pack, places)
    for place in places:
        core.reader.damage_seen.pop((pack.name, place.number, place.store), None)
    result.placed = kept
    result.owed = [number for number in lacking if number not in kept]
    result.bytes = sum(share.size for share in remade.shares if share.number in kept)
    result.damaged += [f"store {store}: {error}" for store, error in failed.items()]
    return result


def _can_place(core: Core, live: dict[int, SharePlace]) -> bool:
    taken = {share.store for share in live.values()}
    return any(core.pool.up(name) and name not in taken for name in core.pool.names)


def _remake(core: Core, pack: KnownPack, trailer: Trailer, columns: dict[int, memoryview], lacking: list[int]) -> Pack:
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
        encoded = Trailer(number, leaves, manifest, trailer.directory).encode()
        name = ShareName(core.space_id, pack.name, number, Trailer.check(encoded))
        shares.append(Share(number, name.encode(), (column, encoded)))
    return Pack(pack.name, manifest, Directory([], []), pack.directory, shares)


def _place(share: Share, store: str) -> SharePlace:
    name = ShareName.decode(share.name)
    assert name is not None
    return SharePlace(share.number, store, name.check.hex())


def _remember(state: State, pack: KnownPack, places: list[SharePlace]) -> None:
    with state.transaction():
        state.add_shares(pack.id, places)


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
            core.warnings.append(str(error))
            owed += len(numbers)
    return owed
