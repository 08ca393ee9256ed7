"""Rebuild: learn from the stores alone which packs and heads there are and where their chunks lie.

Flow: listings -> one trailer of each pack not known -> directory -> ledger; heads -> embedded packs -> ledger
Never: forgets what is known, or takes a listing for proof: a directory must open, a chunk is checked when read.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from ropewalk.errors import Damaged, RopewalkError, Unavailable, first_of
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import LARGEST_HEAD, HeadName, open_head
from ropewalk.spaces.keys import EpochUnknown
from ropewalk.spaces.learning import learn
from ropewalk.spaces.pack.directory import Directory, directory_hash
from ropewalk.spaces.pack.share import FOOTER_SIZE, ShareName, Trailer
from ropewalk.spaces.pool.patience import most_of
from ropewalk.spaces.pool.pool import REST
from ropewalk.spaces.state import KnownPack, SharePlace, State
from ropewalk.spaces.store import StoreDamaged

__all__ = ["NamedPacks", "Rebuilt", "list_shares", "read_trailer", "rebuild"]

TAIL = 128 * 1024  # bytes read from the end of a share at first; holds the trailer of most
MOST_LISTED = 1_000_000  # shares in one store: 10 TB and more, and some 500 MB of memory; who lists more lies
AT_ONCE = 8  # packs looked at together
MOST_AT_A_TIME = 1024  # packs that are looked for by their names; where more came, the next look takes them
AGAIN = 30.0  # seconds after which a pack is looked for by its name again in stores that did not have it
LINGER = 0.5  # seconds that a store's word on one pack is waited for, once others have spoken
DEADLINE = 10.0  # seconds for the names of one pack
MOST_MISSED = 65_536  # packs, of each store
MOST_SHARES = 256  # names of one pack in one store; more are not shares of it

_Signed = tuple[bytes, bytes]  # hashes of a pack's manifest and of its directory, as a head has them


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild came to."""

    packs: int = 0
    heads: int = 0
    shares: int = 0
    problems: list[str] = field(default_factory=list)  # with packs; what is wrong with heads is in the core's warnings
    stores: list[str] = field(default_factory=list)  # that were listed to the end
    unread: int = 0  # packs and heads that are listed, and could not be read for now


async def rebuild(core: Core, progress: Callable[[int, int], None] | None = None) -> Rebuilt:
    """List every store and learn what is not known yet.

    Args:
        core: The space.
        progress: Called with packs done and packs in all.
    """
    await core.pool.opened()  # what one of them has would not be known before the next survey
    found = Rebuilt()
    sizes: dict[ShareName, list[tuple[str, int]]] = {}
    for store in core.pool.names:
        try:
            listed = await list_shares(core, store)
        except RopewalkError as error:
            found.problems.append(f"store {store}: {error}")
            continue
        found.stores.append(store)
        for name, size in listed.items():
            sizes.setdefault(name, []).append((store, size))
    by_pack: dict[bytes, list[ShareName]] = {}
    for name in sizes:
        by_pack.setdefault(name.pack, []).append(name)
    done = 0
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(pack: bytes, names: list[ShareName]) -> None:
        nonlocal done
        async with limit:
            await _learn_pack(core, pack, names, sizes, found, named.get(pack, frozenset()))
        done += 1
        if progress is not None:
            progress(done, len(by_pack))

    named = await _learn_heads(core, found)
    packs = list(by_pack.items())
    for at in range(0, len(packs), 1000):
        try:
            async with asyncio.TaskGroup() as group:
                for pack, names in packs[at : at + 1000]:
                    group.create_task(one(pack, names))
        except* RopewalkError as several:
            raise first_of(several) from None
    if not found.unread and await _enough(core, found, named):
        await core.ledger.do(State.set_behind, False)
    return found


async def _enough(core: Core, found: Rebuilt, named: Collection[bytes]) -> bool:
    """Whether each pack that counts was listed by one of the stores that were."""
    if len(found.stores) >= core.fresh_read:
        return True
    # One may have been listed by a liar alone, which hid it: then a head names it, and it is not known.
    enough = len(found.stores) >= core.fresh_read - core.membership.lying
    return enough and await core.ledger.do(_all_known, named)


def _all_known(state: State, named: Collection[bytes]) -> bool:
    return all(state.pack_named(pack) is not None for pack in named)


async def list_shares(core: Core, store: str) -> dict[ShareName, int]:
    """The shares that a store lists, with their sizes.

    Raises:
        StoreGone, StoreDamaged: It does not answer, or lists without an end.
    """
    listed: dict[ShareName, int] = {}
    async for entry in core.pool.list(store, f"{core.space_id.hex()}/packs/"):
        if (name := ShareName.decode(entry.name)) is not None:
            listed[name] = entry.size
            if len(listed) > MOST_LISTED:
                raise StoreDamaged(f"store {store} lists more than {MOST_LISTED} shares")
    return listed


async def read_trailer(core: Core, store: str, name: ShareName, size: int, within: float | None = None) -> Trailer:
    """The trailer of a listed share, checked against its name.

    Raises:
        ShareDamaged: It is not what the name says.
        NoSuchObject, StoreGone, StoreDamaged.
        StoreLate: It took longer than ``within`` seconds.
    """
    start = max(size - TAIL, 0)
    tail = await core.pool.get(store, name.encode(), start, TAIL, within)
    length = Trailer.size_from_footer(tail[-FOOTER_SIZE:], name, size)
    if length > len(tail):
        tail = await core.pool.get(store, name.encode(), size - length, length, within)
    return Trailer.decode(tail[-length:], name)


async def _learn_pack(
    core: Core,
    pack: bytes,
    names: list[ShareName],
    sizes: dict[ShareName, list[tuple[str, int]]],
    found: Rebuilt,
    signed: Collection[_Signed],
    within: float | None = None,
) -> None:
    known = await core.ledger.do(State.pack_named, pack)
    places = [SharePlace(name.number, store, name.check.hex()) for name in names for store, _ in sizes[name]]
    if known is not None:
        there = {(share.number, share.store, share.object) for share in known.shares}
        new = [
            place
            for place in places
            if place.number < known.n and (place.number, place.store, place.object) not in there
        ]
        if new:
            found.shares += len(new)
            await core.ledger.do(_add_shares, known, new)
        return
    away = len(core.pool.names) - len(found.stores)
    silent = False
    for name in names:
        for store, size in sizes[name]:
            try:
                trailer = await read_trailer(core, store, name, size, within)
                directory = Directory.open(trailer.directory, pack, trailer.manifest.lengths, core.keys)
            except Damaged as error:
                found.problems.append(f"store {store}: {error}")
                continue
            except EpochUnknown as error:
                silent = silent or bool(signed)  # what no head names may be anything, by anybody
                found.problems.append(f"store {store}: {error}")
                continue
            except RopewalkError as error:
                silent = silent or isinstance(error, Unavailable)
                continue
            # Parity roots are not in a pack's name: by others than the signed ones, the good shares would be damaged.
            if signed and (trailer.manifest.digest, directory_hash(trailer.directory)) not in signed:
                found.problems.append(
                    f"store {store}: share {name.number} of {pack.hex()[:8]} is not what a head signs"
                )
                continue
            places = [place for place in places if place.number < trailer.manifest.n]
            if len({place.number for place in places}) + away < trailer.manifest.k:
                if signed:  # what no head names was left by a change that was stopped, and nobody misses it
                    found.problems.append(
                        f"pack {pack.hex()[:8]} has too few shares in all stores together: it is lost"
                    )
                return
            await core.ledger.do(_add_pack, pack, trailer, directory, places, bool(signed))
            found.packs += 1
            return
    found.unread += silent


class NamedPacks:
    """The packs that heads name and that are not known here, as they come with heads while a space is open.

    To list all packs again for each head that is heard of would cost as much as there is; these are found by name.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._sought: dict[bytes, tuple[float, set[str]]] = {}  # when and where, by name, while a pack is not known
        self._roused = -math.inf  # when stores that are left alone were asked whether they are back
        self._missed: dict[str, set[bytes]] = {}  # by store that said nothing of them, packs that were learnt
        self._learnt = 0  # packs
        self._turn = asyncio.Lock()

    async def learn(self) -> bool:
        """Learn what can be learnt of them now; whether any was."""
        back = [store for store in self._missed if self._answers(store)]
        if not back and not await self._core.ledger.do(State.unknown_packs, 1):
            return False
        before = self._learnt
        async with self._turn:
            if self._learnt != before:  # while we waited
                return True
            for store in back:
                await self._look_again(store)
            now = asyncio.get_running_loop().time()
            if not await self._seek(now) and self._learnt == before and now >= self._roused + REST:
                self._roused = now
                if await self._core.pool.rouse():
                    await self._seek(now)
            return self._learnt != before

    async def _seek(self, now: float) -> bool:
        """Look for those that it is time for; whether that were all."""
        named = await self._core.ledger.do(State.unknown_packs, MOST_AT_A_TIME)
        self._sought = {pack: sought for pack, sought in self._sought.items() if pack in named}
        here = {store for store in self._core.pool.names if self._answers(store)}
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(pack: bytes, signed: Collection[_Signed]) -> None:
            async with limit:
                before = self._sought.get(pack, (now, set[str]()))[1]
                await self._one(pack, signed)
                # What is not there any more may have it once it is back.
                self._sought[pack] = now, {store for store in before | here if self._answers(store)}

        try:
            async with asyncio.TaskGroup() as group:
                for pack, signed in named.items():
                    if self._is_time(pack, now, here):
                        group.create_task(one(pack, signed))
        except* RopewalkError as several:
            raise first_of(several) from None
        return not await self._core.ledger.do(State.unknown_packs, 1)

    def _is_time(self, pack: bytes, now: float, here: set[str]) -> bool:
        when, asked = self._sought.get(pack, (-math.inf, set[str]()))
        return now >= when + AGAIN or not here <= asked

    async def _one(self, pack: bytes, signed: Collection[_Signed]) -> None:
        pool = self._core.pool
        found, sizes = Rebuilt(), dict[ShareName, list[tuple[str, int]]]()
        tasks = {asyncio.create_task(self._listed(store, pack)): store for store in pool.names if self._answers(store)}
        late = await most_of(tasks, lambda pending: pending < len(tasks), linger=LINGER, deadline=DEADLINE)
        for task, store in tasks.items():
            if task in late:
                task.cancel()
                pool.was_late(store)
            elif (listed := task.result()) is not None:
                found.stores.append(store)
                for name, size in listed.items():
                    sizes.setdefault(name, []).append((store, size))
        await _learn_pack(self._core, pack, list(sizes), sizes, found, signed, within=DEADLINE)
        for store in set(pool.names).difference(found.stores if found.packs else pool.names):
            missed = self._missed.setdefault(store, set())
            if len(missed) < MOST_MISSED:  # the next opening learns all
                missed.add(pack)
        self._learnt += found.packs

    async def _look_again(self, store: str) -> None:
        """What a store has of packs that were learnt while it said nothing."""
        missed = self._missed.pop(store, set())
        try:
            listed = await list_shares(self._core, store)
        except RopewalkError:
            self._missed[store] = missed
            return
        for name in listed:
            if name.pack in missed and (known := await self._core.ledger.do(State.pack_named, name.pack)) is not None:
                place = SharePlace(name.number, store, name.check.hex())
                if name.number < known.n and (place.number, store, place.object) not in {
                    (share.number, share.store, share.object) for share in known.shares
                }:
                    await self._core.ledger.do(_add_shares, known, [place])

    def _answers(self, store: str) -> bool:
        return self._core.pool.up(store) and not self._core.pool.is_late(store)

    async def _listed(self, store: str, pack: bytes) -> dict[ShareName, int] | None:
        found: dict[ShareName, int] = {}
        try:
            async for entry in self._core.pool.list(store, f"{self._core.space_id.hex()}/packs/{pack.hex()}-"):
                if (name := ShareName.decode(entry.name)) is not None and name.pack == pack:
                    found[name] = entry.size
                if len(found) >= MOST_SHARES:
                    break
        except RopewalkError:
            return None
        return found


def _add_shares(state: State, pack: KnownPack, places: list[SharePlace]) -> None:
    with state.transaction():
        state.add_shares(pack.id, places)


def _add_pack(
    state: State, name: bytes, trailer: Trailer, directory: Directory, places: list[SharePlace], named: bool
) -> None:
    manifest = trailer.manifest
    stored = sum(manifest.column_length(number) for number in range(manifest.n))
    with state.transaction():
        pack = state.add_pack(
            name, manifest.k, manifest.n, manifest.lengths, manifest.digest,
            directory_hash(trailer.directory), stored, reusable=False, announced=named,
        )  # fmt: skip
        state.add_shares(pack, places)
        state.add_chunks(pack, directory.places)  # after its shares: what it lacks decides whose chunks these are


async def _learn_heads(core: Core, found: Rebuilt) -> dict[bytes, set[_Signed]]:
    """Learn the heads that the stores list; the packs that these name, and so are no leftovers of a stopped change."""
    # Where the local state is new, the look at the opening has listed everything.
    learned = await learn(core, everything=not await core.ledger.do(State.take_fresh))
    found.heads += learned.heads
    found.unread += learned.unread
    for name in await core.ledger.do(State.unnamed_heads):
        await _name_packs(core, name, found)
    return await core.ledger.do(State.named_packs)


async def _name_packs(core: Core, name: str, found: Rebuilt) -> None:
    """Remember which packs a head names that an earlier version, or this device, kept without them."""
    parsed = HeadName.decode(name)
    assert parsed is not None
    try:
        data = await core.pool.get_any(parsed.encode(), parsed.fits, LARGEST_HEAD + 1)
        head = open_head(data, parsed, core.membership, core.keys)
    except EpochUnknown as error:
        found.problems.append(f"head {name}: {error}")
    except RopewalkError as error:
        found.unread += isinstance(error, Unavailable)
    else:
        packs = [(pack.name, pack.manifest, pack.directory) for pack in head.steward.packs]
        await core.ledger.do(_named, name, packs)


def _named(state: State, head: str, packs: list[tuple[bytes, bytes, bytes]]) -> None:
    with state.transaction():
        state.name_packs(head, packs)
