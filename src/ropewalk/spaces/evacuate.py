"""Evacuate: all that a space has in one store brought to its others, and then deleted there.

Flow: survey -> records, heads copied -> pack by pack, its share moved -> heads, records, hints deleted -> Evacuated
Never: deletes what was not read whole elsewhere, or what is not known to be this space's: it may be being written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from ropewalk.errors import Misuse, Refused, RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import HeadName, heads_prefix
from ropewalk.spaces.learning import look
from ropewalk.spaces.members import LARGEST_RECORD, is_record, records_prefix
from ropewalk.spaces.moving import move_shares
from ropewalk.spaces.pool.placement import PromiseImpossible, feasible
from ropewalk.spaces.publish import settle_journal
from ropewalk.spaces.rebuild import rebuild
from ropewalk.spaces.repair import RepairReport, copy_records
from ropewalk.spaces.state import State
from ropewalk.spaces.store import ObjectName, StoreGone
from ropewalk.spaces.survey import MOST_NAMES, Findings, Progress, Survey, silent, survey
from ropewalk.spaces.turns import LONGEST_WAIT

__all__ = ["Evacuated", "StoreNeeded", "check_can_go", "evacuate"]

ROUNDS = 4  # looks at what came meanwhile, from devices that do not know that the store is being emptied
TURN = 1.0  # seconds for which others that want to write wait for us, and the time of one pack
PAUSE = 1.2 * LONGEST_WAIT  # seconds until the next turn: whoever waits for his has looked by then
AT_ONCE = 16  # heads or records that are looked at together

Turn = Callable[[], AbstractAsyncContextManager[None]]


class StoreNeeded(Refused):
    """Without this store something could not be read, or not be kept as promised, or nothing written."""

    code = "space.store-needed"


@dataclass(slots=True)
class Evacuated(Findings):
    """What came of it."""

    packs: int = 0  # that had shares there
    shares: int = 0  # put elsewhere
    remade: int = 0  # of those: made again, since what was there could not be read
    size: int = 0  # bytes put elsewhere
    deleted: int = 0  # objects
    owed: int = 0  # shares, heads and records that no other store took, and that stay
    left: int = 0  # objects of this space that are listed there now

    @property
    def done(self) -> bool:
        """Whether nothing is left that is needed."""
        return not self.owed

    @property
    def lines(self) -> list[str]:
        """In words."""
        remade = f" ({self.remade} of them made anew)" if self.remade else ""
        return [
            *self.named,
            f"{self.packs} packs looked at, {self.shares} shares ({self.size:,} bytes) brought to other stores{remade}",
            f"{self.deleted} objects deleted, {self.left} left there, {self.owed} owed",
        ]

    def as_dict(self) -> dict[str, object]:
        """As values that fit JSON; sizes are bytes."""
        return {
            "packs": self.packs,
            "shares": self.shares,
            "remade": self.remade,
            "bytes": self.size,
            "deleted": self.deleted,
            "left": self.left,
            "owed": self.owed,
            "away": self.away,
            "problems": self.problems,
        }


def check_can_go(core: Core, store: str) -> None:
    """See that the promise can be kept on the other stores that get what is new.

    Raises:
        StoreNeeded: It cannot, and why.
    """
    policy = core.membership.policy
    others = [one for one in core.pool.domains if one.name != store and one.name in core.pool.takers]
    try:
        largest = feasible(others, policy.n, policy.survive)
    except PromiseImpossible as error:
        raise StoreNeeded(f"without store {store}: {error}", hint=_ADD) from None
    if largest < policy.k:
        asked = ", ".join(f"{kind}={s}" for kind, s in policy.survive.items() if s)
        raise StoreNeeded(
            f"without store {store}, {asked} is survived only where any {largest} shares give a pack back, and here it"
            f" takes {policy.k}",
            hint=_ADD,
        )


_ADD = "add another store to the space first, on what fails apart from the others"


async def evacuate(
    core: Core, store: str, turn: Turn, progress: Progress = silent, *, delete: bool = True
) -> Evacuated:
    """Bring what a draining store has to others; it may be stopped at any point and run again.

    Args:
        core: The space.
        store: The store.
        turn: The device's turn; it is given back every now and then.
        progress: Told how many packs are done, and how many there are to move.
        delete: Whether what was brought elsewhere is deleted there.

    Raises:
        Misuse: It is not draining, or not of this space.
        StoreNeeded: The promise could not be kept without it.
    """
    if store not in core.pool.names:
        raise Misuse(f"store {store} is not part of this space, which has {', '.join(core.pool.names)}")
    if store not in core.pool.draining:
        raise Misuse(f"store {store} gets what is new, so it would never be empty", hint="drain it first")
    check_can_go(core, store)
    report = Evacuated()
    tried: set[int] = set()
    for _ in range(ROUNDS):
        async with turn():
            found = await _look(core, store, report)
            await _copy(core, found, report)
            packs = [pack for pack in await core.ledger.do(State.packs_on, store) if pack not in tried]
        if not packs:
            break
        report.packs += len(packs)
        tried.update(packs)
        done = 0
        while done < len(packs):
            async with turn():
                until = asyncio.get_running_loop().time() + TURN
                while done < len(packs) and asyncio.get_running_loop().time() < until:
                    progress(done, len(packs))
                    await _move(core, store, packs[done], report, delete=delete)
                    done += 1
            if done < len(packs):
                await asyncio.sleep(PAUSE)
        progress(done, done)
    if delete:
        async with turn():
            await _empty(core, store, report)
    report.left = len(await _listed(core, store, f"{core.space_id.hex()}/"))
    return report


async def _look(core: Core, store: str, report: Evacuated) -> Survey:
    """Set right what is known of all stores, so that all is known that the one has.

    Raises:
        StoreGone: That one does not answer.
    """
    await core.pool.revive(len(core.pool.names))
    await look(core)
    found = await survey(core)
    if found.unknown:
        for problem in (await rebuild(core)).problems:
            report.name(problem)
    if store in found.away:
        raise StoreGone(
            f"store {store} is not there: {found.away[store]}",
            hint="bring it back; if it is gone for good, take it out with `ropewalk space remove-store` and run"
            " `ropewalk repair`",
        )
    report.away = dict(found.away)
    return found


async def _copy(core: Core, found: Survey, report: Evacuated) -> None:
    """Bring every record and head to all stores that get what is new."""
    copied = RepairReport()
    await copy_records(core, found, copied)
    await settle_journal(core)
    for problem in copied.problems:
        report.name(problem)


async def _move(core: Core, store: str, number: int, report: Evacuated, *, delete: bool) -> None:
    pack = (await core.ledger.do(State.packs_by_id, [number])).get(number)
    if pack is None:
        return
    try:
        moved = await move_shares(core, pack, [store], delete=delete)
    except RopewalkError as error:
        report.owed += 1
        report.name(str(error))
        return
    report.shares += len(moved.placed)
    report.remade += moved.remade
    report.size += moved.bytes
    report.deleted += len(moved.removed)
    report.owed += moved.owed
    for problem in moved.problems:
        report.name(problem)


async def _empty(core: Core, store: str, report: Evacuated) -> None:
    """Delete heads and records that enough others have, and hints; records last: they say what the rest is."""
    known = await core.ledger.do(State.head_names)
    counted = await core.ledger.do(State.record_names)
    heads = [name for name in await _listed(core, store, heads_prefix(core.space_id)) if name in known]
    records = [name for name in await _listed(core, store, records_prefix(core.space_id)) if name in counted]
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(name: str, fits: Callable[[str, bytes], bool]) -> None:
        async with limit:
            if await _enough_have(core, store, name, fits):
                await _delete(core, store, name, report)
            else:
                report.owed += 1
                report.name(f"{name} stays: fewer than {core.head_floor} other stores have it")

    for names, fits in ((heads, _is_head), (records, is_record)):
        for at in range(0, len(names), 1000):
            await asyncio.gather(*(one(name, fits) for name in names[at : at + 1000]))
    for name in await _listed(core, store, f"{core.space_id.hex()}/hints/"):
        await _delete(core, store, name, report)


def _is_head(name: str, data: bytes) -> bool:
    parsed = HeadName.decode(name)
    return parsed is not None and parsed.fits(data)


async def _enough_have(core: Core, store: str, name: str, fits: Callable[[str, bytes], bool]) -> bool:
    have = 0
    for other in core.pool.takers:
        if other == store or not core.pool.up(other):
            continue
        try:
            have += fits(name, await core.pool.get(other, ObjectName(name), 0, LARGEST_RECORD + 1))
        except RopewalkError:
            continue
        if have == core.head_floor:
            return True
    return False


async def _delete(core: Core, store: str, name: str, report: Evacuated) -> None:
    try:
        await core.pool.delete(store, ObjectName(name))
    except RopewalkError as error:
        report.name(f"store {store}: {error}")
    else:
        report.deleted += 1


async def _listed(core: Core, store: str, prefix: str) -> list[str]:
    """At most `MOST_NAMES` names; whoever lists more lies, or another round takes the rest."""
    names: list[str] = []
    async for listed in core.pool.list(store, prefix):
        names.append(listed.name)
        if len(names) == MOST_NAMES:
            break
    return names
