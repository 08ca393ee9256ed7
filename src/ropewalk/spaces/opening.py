"""Opening: from settings and device keys to an open space, and from nothing to a new one.

Flow: Home, device keys -> stores opened, records checked, secrets unwrapped, local state -> Core
Never: takes a missing store for an empty one, or goes on after local state was lost without saying so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from msgspec.structs import replace

from ropewalk.errors import Damaged, Misuse, RopewalkError, Unavailable
from ropewalk.spaces.cache import CACHE_FILE, LEAST, Cache
from ropewalk.spaces.core import Core
from ropewalk.spaces.gathering import gather_records
from ropewalk.spaces.home import Home, Settings, SpaceSetting
from ropewalk.spaces.identity import DeviceKeys, PublicKeys
from ropewalk.spaces.keys import EpochUnknown, KeyRing, MembersOnly
from ropewalk.spaces.learning import keep_checked, look, open_checked, read_membership, seal_checked
from ropewalk.spaces.ledger import Ledger
from ropewalk.spaces.members import Membership, NotAMember, Policy, create, is_record
from ropewalk.spaces.members.beyond import check_released, told_of_unreleased
from ropewalk.spaces.members.wraps import open_ring
from ropewalk.spaces.offline import QUEUE_FOLDER, QueueFiles
from ropewalk.spaces.passport import said_of_refused
from ropewalk.spaces.places import OpenStore, opener, scheme_of
from ropewalk.spaces.pool.placement import StoreDomains, feasible
from ropewalk.spaces.pool.pool import LINGER, BelowFloor, Pool
from ropewalk.spaces.pool.roster import BRIEFLY
from ropewalk.spaces.reaching import begin_pool, most_of_all, open_pool, pool_store
from ropewalk.spaces.state import SUSPECT, State, StateDamaged
from ropewalk.spaces.waiting import few_answer
from ropewalk.spaces.warnings import Grave

__all__ = ["STATE_FILE", "Memory", "create_space", "open_core", "open_pool", "plan_policy", "pool_store"]

STATE_FILE = "state.db"


class Memory(Enum):
    """What a device remembered of a space when it opened it."""

    KEPT = "kept"  # all that it learnt
    BEHIND = "behind"  # heads that were learnt since it learnt packs
    LOST = "lost"  # nothing, though it knew the space
    NONE = "none"  # nothing: it is new here


MOST_SHARES = 64


def plan_policy(stores: Sequence[StoreDomains], survive: Mapping[str, int], floor: int | None = None) -> Policy:
    """The policy that keeps a promise on these stores, with the least room.

    Args:
        stores: Each gets a share of every pack.
        survive: Domain kind to how many may be lost.
        floor: Shares that must be durable before a write is acknowledged; one more than needed to read, by default.

    Raises:
        PromiseImpossible: The stores cannot give it.
        Misuse: A floor out of range, or too many stores.
    """
    _check_count(len(stores))
    n = len(stores)
    k = feasible(stores, n, survive)
    chosen = min(k + 1, n) if floor is None else floor
    if not k <= chosen <= n:
        raise Misuse(f"write floor is {chosen}, expected {k} to {n}")
    return Policy(k, n, chosen, dict(sorted(survive.items())))


async def create_space(
    home: Home,
    name: str,
    stores: Sequence[str],
    policy: Policy,
    privacy: int,
    device: DeviceKeys,
    paper: PublicKeys,
    clock: Callable[[], float],
    now: Callable[[], int],
    open_store: OpenStore | None = None,
    names: tuple[str, str] | None = None,
) -> bytes:
    """Make a space and remember it under a name; its id.

    Args:
        home: The user's settings.
        name: What the user calls the space.
        stores: Names of its stores.
        policy: What it promises; checked against the stores.
        privacy: 1 or 2.
        device: The first admin's device.
        paper: The public half of the paper key.
        clock: Seconds, monotonic.
        now: Nanoseconds since 1970.
        open_store: Opens a store at a place; whatever is installed does, by default.
        names: What the first member and its device are called, for those who come later.

    Raises:
        Misuse: The name is taken, the privacy level is not there yet, or there are too many stores.
        BelowFloor: Too few stores took its records; nothing of it is kept in the settings.
        StoreReadOnly: One of the stores was seen to be unfit, and the policy counts on each.
    """
    if name in home.load().spaces:
        raise Misuse(f"a space is called {name!r} already", hint="choose another name")
    if privacy not in (1, 2):
        raise Misuse(f"privacy level is {privacy}, this version gives 1 and 2")
    _check_count(len(stores))
    pool = await open_pool(home, stores, clock, open_store or opener(home, device), device.public(), now)
    try:
        for one in pool.names:
            pool.check_fit(one)
        space_id, _, records = create(policy, privacy, device, paper, now(), names=names)
        for object_name, data in records:
            copies = await pool.put_copies(object_name, data, enough=policy.floor)
            if len(copies.kept) < policy.floor:
                reasons = "; ".join(f"{store}: {error}" for store, error in sorted(copies.failed.items()))
                raise BelowFloor(
                    f"{len(copies.kept)} of {len(stores)} stores took the space's records,"
                    f" the floor is {policy.floor} ({reasons})",
                    hint="bring stores back, or name others",
                )
    finally:
        await pool.aclose()
    ledger = Ledger(home.space_folder(space_id.hex()) / STATE_FILE)
    await ledger.open()
    await ledger.do(_begin, [(str(object_name), data) for object_name, data in records])
    await ledger.aclose()
    setting = SpaceSetting(space_id.hex(), list(stores))
    home.update(lambda settings: _with_space(settings, name, setting))
    return space_id


def _check_count(stores: int) -> None:
    if stores > MOST_SHARES:
        raise Misuse(f"a space has at most {MOST_SHARES} stores, got {stores}", hint="leave some out")


def _with_space(settings: Settings, name: str, setting: SpaceSetting) -> Settings:
    if name in settings.spaces:
        raise Misuse(f"a space is called {name!r} already", hint="choose another name")
    return replace(settings, spaces={**settings.spaces, name: setting})


def _begin(state: State, records: list[tuple[str, bytes]]) -> None:
    with state.transaction(durable=True):
        state.set_records(records)
        state.begin_incarnation(os.urandom(16))


async def open_core(
    home: Home,
    setting: SpaceSetting,
    device: DeviceKeys,
    cpu: Executor,
    clock: Callable[[], float],
    now: Callable[[], int],
    open_store: OpenStore | None = None,
) -> tuple[Core, Memory]:
    """Open a space; what was remembered of it, and unless all was, its packs must be learnt from the stores.

    Raises:
        RecordDamaged, NotAMember, Refused, Unavailable.
    """
    space_id = bytes.fromhex(setting.id)
    markers = {
        name: bytes.fromhex(one.id) for name, one in zip(setting.stores, home.stores(setting.stores), strict=True)
    }
    pool = begin_pool(home, setting.stores, clock, open_store or opener(home, device), device.public(), now)
    pool.draining = frozenset(setting.draining)
    warnings = [said_of_refused(name, pool.terms(name)) for name in pool.names if pool.terms(name).refused]
    ledger: Ledger | None = None
    at_home: _AtHome | None = None
    try:
        path = home.space_folder(setting.id) / STATE_FILE
        fresh = Memory.LOST if any(path.parent.iterdir()) else Memory.NONE  # what it is if there is no file
        at_home = await _at_home(home, setting, path.parent)
        make_room = at_home.cache.make_room if at_home.cache is not None else _nothing_to_give
        ledger = Ledger(path, make_room)
        try:
            await ledger.open()
            return await _core(space_id, device, pool, ledger, cpu, now, warnings, fresh, markers, at_home)
        except StateDamaged as error:
            await ledger.aclose()
            aside = _put_aside(path)
            warnings.append(f"{error}; it was put aside as {aside} and is built anew from the stores")
            ledger = Ledger(path, make_room)
            await ledger.open()
            return await _core(space_id, device, pool, ledger, cpu, now, warnings, Memory.LOST, markers, at_home)
    except BaseException:
        if at_home is not None and at_home.cache is not None:
            await at_home.cache.aclose()
        if ledger is not None:
            await ledger.aclose()
        await pool.aclose()
        raise


@dataclass(frozen=True, slots=True)
class _AtHome:
    """What lies on this machine besides the local state."""

    queue: QueueFiles
    offline: bool
    cache: Cache | None


def _nothing_to_give(failed: bool) -> None:
    pass


async def _at_home(home: Home, setting: SpaceSetting, folder: Path) -> _AtHome:
    # A folder on this machine is read as quickly as the cache: it is for stores that are elsewhere, or may be gone.
    remote = setting.offline or any(scheme_of(one.path) for one in home.stores(setting.stores))
    cache = Cache(folder / CACHE_FILE, setting.cache) if remote and setting.cache >= LEAST else None
    if cache is not None:
        await cache.open()
    return _AtHome(QueueFiles(str(folder / QUEUE_FOLDER), setting.queue), setting.offline, cache)


async def _core(
    space_id: bytes,
    device: DeviceKeys,
    pool: Pool,
    ledger: Ledger,
    cpu: Executor,
    now: Callable[[], int],
    warnings: list[str],
    fresh: Memory,
    markers: Mapping[str, bytes],
    at_home: _AtHome,
) -> tuple[Core, Memory]:
    membership = await _membership(space_id, device, pool, ledger, warnings)
    check_released(membership, device.public().id)
    opened = open_ring(membership.epochs, device)
    warnings += opened.problems
    keys = opened.ring
    warnings += map(Grave, told_of_unreleased(membership, keys))
    await ledger.do(_unlock, device, keys)
    try:
        await ledger.do(State.pending)  # damage to what all else rests on must be known before it is used
        await ledger.do(State.newest_heads)
    except (EpochUnknown, MembersOnly) as error:  # all records that we had lie in the same file
        raise StateDamaged(f"local state {STATE_FILE} is damaged: {error}") from None
    incarnation = await ledger.do(State.incarnation)
    if incarnation is None:
        incarnation = os.urandom(16)
        await ledger.do(_keep_incarnation, incarnation)
    core = Core(
        *(membership, device, keys, pool, ledger, cpu, incarnation, now),
        warnings=warnings,
        markers=markers,
        queue=at_home.queue,
        offline=at_home.offline,
        cache=at_home.cache,
    )
    await pool.want(min(membership.policy.k, len(pool.names)), quick=True)  # fewer give nothing but embedded packs
    await pool.want(core.fresh_read, LINGER, quick=True)  # one that was slow lately may have to tell what is newest
    # Where too few for a write answer, offline work shows something else; else the rest is no more than welcome.
    await pool.opened(most=LINGER if core.offline and few_answer(core) else BRIEFLY)
    await look(core)
    core.tell_away()
    return core, await ledger.do(_memory, fresh)


def _memory(state: State, fresh: Memory) -> Memory:
    if not state.is_behind():  # where there is no head yet, nothing was missed
        return Memory.KEPT
    return fresh if state.fresh else Memory.BEHIND


def _unlock(state: State, device: DeviceKeys, keys: KeyRing) -> None:
    def catch_up() -> None:
        membership = Membership.read(keys.space_id, [data for _, data in state.records()])
        open_ring(membership.epochs, device, keys, use=False)

    state.unlock(keys, catch_up)


def _keep_incarnation(state: State, incarnation: bytes) -> None:
    with state.transaction(durable=True):
        state.begin_incarnation(incarnation)


def _put_aside(path: Path) -> str:
    """Make way for a new local state; the damaged one is kept for whoever wants to look at it."""
    aside = path.with_name(f"{STATE_FILE}.damaged-{os.urandom(4).hex()}")
    path.rename(aside)
    for suffix in ("-wal", "-shm", SUSPECT):
        path.with_name(STATE_FILE + suffix).unlink(missing_ok=True)
    return aside.name


async def _membership(
    space_id: bytes, device: DeviceKeys, pool: Pool, ledger: Ledger, warnings: list[str]
) -> Membership:
    checked = await ledger.do(open_checked, space_id, device)
    records = await ledger.do(State.records)
    good = {name: data for name, data in records if is_record(name, data)}
    if records and len(good) == len(records):
        try:
            known = read_membership(space_id, good.values(), checked)
        except Damaged:
            pass  # the copies in the stores are as good, and are checked in the same way
        else:
            await ledger.do(keep_checked, seal_checked(known, device))
            return known
    await pool.revive(most_of_all(pool))
    found, membership = await _gathered(space_id, device, pool, good)
    if (crowd := membership.crowd) is not None:
        warnings.append(
            f"device {crowd.device.hex()[:8]} has written {crowd.count} membership records, more than there is room"
            " for: an admin should put it out"
        )
    kept = {digest.hex() for digest in membership.verified}
    await ledger.do(
        State.set_records, [(name, data) for name, data in found.items() if name.rpartition("/")[2] in kept]
    )
    if records:  # one of ours may be lost, and what is signed next must not have its number
        await ledger.do(_keep_incarnation, os.urandom(16))
    return membership


async def _gathered(
    space_id: bytes, device: DeviceKeys, pool: Pool, good: Mapping[str, bytes]
) -> tuple[dict[str, bytes], Membership]:
    """Records from stores, with those that we had; more stores are waited for while nothing lets this device in."""
    found = dict(good)
    membership: Membership | None = None
    why: RopewalkError | None = None
    async with aclosing(gather_records(space_id, pool)) as gathering:
        async for found in gathering:
            found |= good
            try:  # nothing older is known to go on with
                membership = read_membership(space_id, list(found.values()), membership, partly=True)
                open_ring(membership.epochs, device)
            except (Damaged, NotAMember) as error:
                why = error
                continue
            break
    if membership is not None:
        return found, membership
    if not any(pool.up(name) for name in pool.names):
        raise Unavailable("no store of this space answers", hint="bring its stores back")
    assert why is not None
    raise why
