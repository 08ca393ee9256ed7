"""Repair: every pack back to all its shares, every head and record in every store.

Flow: survey -> damaged objects confirmed and removed -> packs mended -> heads and records copied -> RepairReport
Never: removes an object that reads well the second time, or the last good copy of anything; it may be stopped at any
       point and run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ropewalk.counting import count
from ropewalk.errors import Damaged, Missing, RopewalkError, first_of
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import HeadName, open_head
from ropewalk.spaces.members import LARGEST_RECORD, is_record
from ropewalk.spaces.mend import PackLost, mend_pack, read_share
from ropewalk.spaces.moving import crowded, move_shares
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.publish import settle_journal
from ropewalk.spaces.state import KnownPack, SharePlace, State
from ropewalk.spaces.store import ObjectName
from ropewalk.spaces.survey import Findings, Progress, Survey, silent, survey

__all__ = ["RepairReport", "copy_records", "repair"]

AT_ONCE = 2  # packs mended together; each takes the memory of one pack


@dataclass(slots=True)
class RepairReport(Findings):
    """What a repair did."""

    packs: int = 0  # mended
    shares: int = 0  # made anew
    size: int = 0  # bytes made anew
    removed: int = 0  # damaged objects
    moved: int = 0  # shares, to where the promise needs them
    records: int = 0  # copied
    heads: int = 0  # copied
    owed: int = 0  # shares and heads that no store takes now
    lost: int = 0  # packs that cannot be rebuilt now

    @property
    def lines(self) -> list[str]:
        """In words."""
        lines = self.named
        moved = f" {self.moved} moved," if self.moved else ""
        lines.append(
            f"{count(self.packs, 'pack')} mended, {count(self.shares, 'share')} made anew"
            f" ({count(self.size, 'byte')}),{moved} {count(self.removed, 'damaged object')} removed,"
            f" {count(self.heads, 'head')} and {count(self.records, 'record')} copied; {self.owed:,} owed,"
            f" {self.lost:,} lost"
        )
        return lines

    def as_dict(self) -> dict[str, object]:
        """As values that fit JSON; sizes are bytes."""
        return {
            "packs": self.packs,
            "shares": self.shares,
            "bytes": self.size,
            "removed": self.removed,
            "moved": self.moved,
            "heads": self.heads,
            "records": self.records,
            "owed": self.owed,
            "lost": self.lost,
            "away": self.away,
            "problems": self.problems,
        }


async def repair(core: Core, progress: Progress = silent) -> RepairReport:
    """Mend all that can be mended now.  The caller has the turn.

    Args:
        core: The space.
        progress: Called with packs done and packs to mend.
    """
    found = await survey(core)
    report = RepairReport(away=dict(found.away))
    await core.pool.weigh()
    await copy_records(core, found, report)
    packs = await core.ledger.do(_to_mend)
    away = set(found.away)
    packs += [pack for pack in await core.ledger.do(_held_by, away) if pack.id not in {one.id for one in packs}]
    tight = await core.ledger.do(_crowded, core.pool.domains, core.membership.policy.survive)
    packs += [pack for pack in tight if pack.id not in {one.id for one in packs}]
    done = 0
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(pack: KnownPack) -> None:
        nonlocal done
        async with limit:
            await _mend(core, pack, report)
            await _spread_out(core, pack, report)
        done += 1
        progress(done, len(packs))

    for at in range(0, len(packs), 1000):
        try:
            async with asyncio.TaskGroup() as group:
                for pack in packs[at : at + 1000]:
                    group.create_task(one(pack))
        except* RopewalkError as several:
            raise first_of(several) from None
    before = await core.ledger.do(State.owed_heads)
    report.problems += (await settle_journal(core)).notes
    after = await core.ledger.do(State.owed_heads)
    report.heads = len(before) - len(after)
    report.owed += len(after)
    return report


def _to_mend(state: State) -> list[KnownPack]:
    """Packs that lack shares, or have damaged ones."""
    return [
        pack
        for pack in state.packs()
        if pack.promised and (any(share.damaged for share in pack.shares) or len(pack.good) < pack.n)
    ]


def _held_by(state: State, away: set[str]) -> list[KnownPack]:
    """Packs with a share on a store that does not answer: its loss is made good where another store has room."""
    if not away:
        return []
    return [pack for pack in state.packs() if pack.promised and any(share.store in away for share in pack.shares)]


def _crowded(state: State, domains: Sequence[StoreDomains], survive: Mapping[str, int]) -> list[KnownPack]:
    return crowded((pack for pack in state.packs() if pack.promised), domains, survive)


async def _spread_out(core: Core, pack: KnownPack, report: RepairReport) -> None:
    """Move as few shares as will do, where all are there and too many lie on what fails as one."""
    fresh = await _again(core, pack)
    if not crowded([fresh], core.pool.domains, core.membership.policy.survive):
        return
    try:
        moved = await move_shares(core, fresh)
    except RopewalkError as error:
        report.name(str(error))
        return
    report.moved += len(moved.placed)
    report.size += moved.bytes
    report.owed += moved.owed
    for what in moved.problems:
        report.name(what)


async def _mend(core: Core, pack: KnownPack, report: RepairReport) -> None:
    tried: set[SharePlace] = set()
    made = 0
    while True:
        damaged = {share for share in pack.shares if share.damaged and core.pool.up(share.store)}
        wrong = [share for share in damaged if await _is_wrong(core, pack, share, report)]
        mended = await _make_anew(core, pack, wrong, report)
        if mended is None:
            return
        report.packs += bool(mended and not made)
        made += mended
        tried |= damaged
        pack = await _again(core, pack)
        if {share for share in pack.shares if share.damaged and core.pool.up(share.store)} <= tried:
            break  # else some were found on the way, and no store takes their successors while they are there
    report.owed += pack.n - len(pack.good)  # those that count may be on stores that are away


async def _again(core: Core, pack: KnownPack) -> KnownPack:
    fresh = await core.ledger.do(State.pack_named, pack.name)
    assert fresh is not None
    return fresh


async def _make_anew(core: Core, pack: KnownPack, wrong: list[SharePlace], report: RepairReport) -> int | None:
    """Make what lacks, in the place of what is wrong; how many shares, or None where that could not be done."""
    try:
        mended = await mend_pack(core, await _again(core, pack), wrong)
    except RopewalkError as error:
        report.lost += isinstance(error, PackLost)
        report.name(str(error))
        return None
    report.shares += len(mended.placed)
    report.size += mended.bytes
    report.removed += len(mended.removed)
    for what in mended.damaged:
        report.name(what)
    return len(mended.placed)


async def _is_wrong(core: Core, pack: KnownPack, share: SharePlace, report: RepairReport) -> bool:
    """Read a damaged share once more: whether it is there, and still wrong."""
    try:
        await read_share(core, pack, share)
    except Missing:
        await core.ledger.do(State.forget_share, pack.id, share)
        return False
    except Damaged:
        return True
    except RopewalkError as error:
        report.name(f"store {share.store}: {error}")
        return False
    await core.ledger.do(State.add_shares, pack.id, [SharePlace(share.number, share.store, share.object)])
    core.reader.damage_seen.pop((pack.name, share.number, share.store), None)
    return False


async def copy_records(core: Core, found: Survey, report: RepairReport) -> None:
    """Put every record into all stores that get what is new, and make way for heads where wrong bytes lie."""
    for name, data in await core.ledger.do(State.records):
        if not is_record(name, data):
            report.name(f"record {name} is damaged in the local state")
            continue
        for store in (one for one in core.pool.takers if one in found.records):
            there = found.records[store]
            try:
                if name in there and is_record(name, await _read(core, store, name)):
                    continue
                if name in there:
                    await core.pool.delete(store, ObjectName(name))
                    report.removed += 1
                await core.pool.put(store, ObjectName(name), (data,))
                report.records += 1
            except RopewalkError as error:
                report.owed += 1
                report.name(f"store {store}: {error}")
    await _replace_damaged_heads(core, found, report)


async def _replace_damaged_heads(core: Core, found: Survey, report: RepairReport) -> None:
    """Heads that are owed to a store which lists them hold wrong bytes there: remove them, so that they can be put."""
    for head, store in await core.ledger.do(State.owed_heads):
        if head not in found.heads.get(store, set()):
            continue
        name = HeadName.decode(head)
        assert name is not None
        try:
            if _is_head(core, await _read(core, store, head), name):
                continue
            if await _another_has(core, name, found.stores_of(head) - {store}):
                await core.pool.delete(store, ObjectName(head))
                report.removed += 1
        except RopewalkError as error:
            report.name(f"store {store}: {error}")


async def _another_has(core: Core, name: HeadName, stores: Collection[str]) -> bool:
    for store in stores:
        try:
            if _is_head(core, await _read(core, store, name.encode()), name):
                return True
        except RopewalkError:
            continue
    return False


def _is_head(core: Core, data: bytes, name: HeadName) -> bool:
    try:
        open_head(data, name, core.membership, core.keys)
    except Damaged:
        return False
    return True


async def _read(core: Core, store: str, name: str) -> bytes:
    try:
        return await core.pool.get(store, ObjectName(name), 0, LARGEST_RECORD + 1)  # heads are smaller
    except (Missing, Damaged):
        return b""
