"""Check: whether what the stores list is what it must be, by samples or byte for byte.

Flow: survey -> shares read (a leaf each of some, or all of all) -> ledger marks what is damaged -> CheckReport
Never: changes a store.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ropewalk.counting import count
from ropewalk.errors import Damaged, Missing, RopewalkError, Unavailable
from ropewalk.spaces.chunk import Reference
from ropewalk.spaces.core import Core
from ropewalk.spaces.descent import lacking
from ropewalk.spaces.head import LARGEST_HEAD, HeadName, heads_prefix, open_head
from ropewalk.spaces.keys import EpochUnknown
from ropewalk.spaces.learning import standing
from ropewalk.spaces.members import LARGEST_RECORD, is_record
from ropewalk.spaces.mend import read_share
from ropewalk.spaces.pack.erasure import Code
from ropewalk.spaces.pack.roots import LEAF_SIZE, column_root, leaf_hashes
from ropewalk.spaces.pack.share import ShareDamaged, ShareName, Trailer
from ropewalk.spaces.rebuild import read_trailer
from ropewalk.spaces.state import KnownPack, State, spread
from ropewalk.spaces.store import ObjectName
from ropewalk.spaces.survey import Findings, Progress, Survey, list_names, silent, survey
from ropewalk.spaces.tree.entry import EntryDamaged, Offsets, content_refs, decode_entry

__all__ = ["CheckReport", "check"]

ASKED_FOR = 16  # heads of one store that it does not list; they show whether it only hides them
SAMPLED = 64  # shares of each store of which a quick check reads a leaf; finds 5 % damage with 96 %

_Place = tuple[int, int, str, str]  # pack, share, store, object


@dataclass(slots=True)
class CheckReport(Findings):
    """What a check found."""

    packs: int = 0
    shares: int = 0  # listed
    looked_at: int = 0  # shares of which something was read
    bytes: int = 0  # read
    heads: int = 0
    missing: int = 0  # shares that should be there and are not
    copies_missing: int = 0  # heads and records that a store should have and does not list
    damaged: int = 0
    lost: int = 0  # packs, or chunks of the newest version, that nothing gives back now
    unknown: int = 0

    @property
    def ok(self) -> bool:
        """Whether all that was looked at is as it must be."""
        return not (self.missing or self.copies_missing or self.damaged or self.lost or self.away)

    def damage(self, what: str) -> None:
        """Something is not what it must be."""
        self.damaged += 1
        self.name(what)

    @property
    def lines(self) -> list[str]:
        """In words."""
        lines = self.named
        gone = "not to be read while stores are away" if self.lost and self.away else "lost"
        lines.append(
            f"{count(self.packs, 'pack')}, {count(self.shares, 'share')} listed, {self.looked_at:,} looked at"
            f" ({count(self.bytes, 'byte')}), {count(self.heads, 'head')}: {count(self.missing, 'share')} and"
            f" {count(self.copies_missing, 'copy of a head or record/copies of heads and records')} missing,"
            f" {count(self.damaged, 'object')} damaged, {self.lost:,} {gone}"
        )
        if self.unknown:
            lines.append(
                f"{count(self.unknown, 'share belongs/shares belong')} to packs that are not known here: left by"
                " changes that were stopped, or to be learnt by `ropewalk check --rebuild`"
            )
        return lines

    def as_dict(self) -> dict[str, object]:
        """As values that fit JSON; sizes are bytes."""
        return {
            "ok": self.ok,
            "packs": self.packs,
            "shares": self.shares,
            "looked_at": self.looked_at,
            "bytes": self.bytes,
            "heads": self.heads,
            "missing": self.missing,
            "copies_missing": self.copies_missing,
            "damaged": self.damaged,
            "lost": self.lost,
            "unknown": self.unknown,
            "away": self.away,
            "problems": self.problems,
        }


async def check(
    core: Core,
    *,
    everything: bool,
    progress: Progress = silent,
    choose: random.Random | None = None,
) -> CheckReport:
    """Check a space.

    Args:
        core: The space.
        everything: Read every byte of every share and head, rebuild a column of each pack from parity, and look
            whether all that the newest version needs is somewhere; a steward, who has directories alone to go by, also
            whether all packs that heads name are.
        progress: Called with packs or samples done, and how many there are.
        choose: Picks what is sampled; the system's randomness by default, so that no store can tell beforehand.
    """
    choose = choose or random.SystemRandom()
    found = await survey(core)
    report = CheckReport(away=dict(found.away), unknown=found.unknown)
    packs = await core.ledger.do(_all_packs)
    report.packs = len(packs)
    report.shares = sum(len(shares) for shares in found.shares.values())
    for pack, share in found.short:
        if not pack.promised:
            continue
        report.damage(f"store {share.store}: share {share.number} of {pack.name.hex()[:8]} is too short to be whole")
    short = {(pack.id, share.number, share.store, share.object) for pack, share in found.short}
    if everything:
        await _all_shares(core, packs, short, report, progress)
    else:
        await _samples(core, packs, short, found, report, progress, choose)
    _count_missing(core, await core.ledger.do(_all_packs), report)
    if everything:
        if core.reads:
            await _whole_tree(core, report)
        elif await _all_named(core, report):
            async for what in lacking(core, found.shares):
                report.lost += 1
                report.name(what)
    await _records(core, found, report)
    await _heads(core, found, report, everything=everything)
    return report


def _all_packs(state: State) -> list[KnownPack]:
    return [pack for pack in state.packs() if pack.promised]


def _count_missing(core: Core, packs: list[KnownPack], report: CheckReport) -> None:
    for pack in packs:
        report.missing += pack.n - len(spread(pack.shares))
        readable = {share.number for share in pack.shares if not share.damaged and core.pool.up(share.store)}
        if len(readable) < pack.k:
            report.lost += 1
            report.name(f"pack {pack.name.hex()[:8]} needs {pack.k} shares, {len(readable)} can be read now")


async def _samples(
    core: Core,
    packs: list[KnownPack],
    short: Collection[_Place],
    found: Survey,
    report: CheckReport,
    progress: Progress,
    choose: random.Random,
) -> None:
    by_name = {pack.name: pack for pack in packs}
    chosen: list[tuple[str, ShareName, int]] = []
    for store, shares in found.shares.items():
        known = [
            (store, name, size)
            for name, size in shares.items()
            if (pack := by_name.get(name.pack)) and (pack.id, name.number, store, name.check.hex()) not in short
        ]
        chosen += choose.sample(known, min(SAMPLED, len(known)))
    for done, (store, name, size) in enumerate(chosen):
        await _sample(core, by_name[name.pack], store, name, size, report, choose)
        progress(done + 1, len(chosen))


async def _sample(
    core: Core, pack: KnownPack, store: str, name: ShareName, size: int, report: CheckReport, choose: random.Random
) -> None:
    report.looked_at += 1
    try:
        trailer = await read_trailer(core, store, name, size)
        if trailer.manifest.digest != pack.manifest:
            raise ShareDamaged(f"share {name.number} of {name.pack.hex()[:8]} has a manifest that no head has signed")
        length = trailer.manifest.column_length(name.number)
        if length:
            leaf = choose.randrange(-(-length // LEAF_SIZE))
            data = await core.pool.get(
                store, name.encode(), leaf * LEAF_SIZE, min(LEAF_SIZE, length - leaf * LEAF_SIZE)
            )
            report.bytes += len(data)
            if not trailer.verify(data, leaf):
                raise ShareDamaged(
                    f"share {name.number} of {name.pack.hex()[:8]} has a leaf that does not match its hash"
                )
    except Unavailable as error:
        report.away[store] = str(error)
    except (Damaged, Missing) as error:
        await core.ledger.do(State.mark_damaged, pack.id, name.number, store)
        report.damage(f"store {store}: {error}")


async def _all_shares(
    core: Core, packs: list[KnownPack], short: Collection[_Place], report: CheckReport, progress: Progress
) -> None:
    for done, pack in enumerate(packs):
        columns: dict[int, memoryview] = {}
        trailer: Trailer | None = None
        for share in pack.shares:
            if not core.pool.up(share.store) or (pack.id, share.number, share.store, share.object) in short:
                continue
            report.looked_at += 1
            try:
                columns[share.number], trailer = await read_share(core, pack, share)
                report.bytes += len(columns[share.number])
            except Unavailable as error:
                report.away[share.store] = str(error)
            except (Damaged, Missing) as error:
                await core.ledger.do(State.mark_damaged, pack.id, share.number, share.store)
                report.damage(f"store {share.store}: {error}")
        if trailer is not None and len(columns) > pack.k:
            await _drill(core, pack, trailer, columns, report)
        progress(done + 1, len(packs))


async def _drill(
    core: Core, pack: KnownPack, trailer: Trailer, columns: dict[int, memoryview], report: CheckReport
) -> None:
    """Rebuild the lowest column there is from the k highest, and see that it has its root."""
    wanted = min(columns)
    sources = {number: columns[number] for number in sorted(columns)[-pack.k :]}
    loop = asyncio.get_running_loop()
    built = await loop.run_in_executor(
        core.cpu, Code(pack.k, pack.n).rebuild, sources, [wanted], trailer.manifest.longest
    )
    column = memoryview(built[0])[: trailer.manifest.column_length(wanted)]
    if column_root(len(column), leaf_hashes(column)) != trailer.manifest.roots[wanted]:
        report.damage(f"pack {pack.name.hex()[:8]}: shares {sorted(sources)} do not rebuild share {wanted}")


async def _whole_tree(core: Core, report: CheckReport) -> None:
    """Every chunk that the newest version needs lies in a pack that is known."""
    if core.reader.learn_packs is not None:
        await core.reader.learn_packs()  # of heads that came while all was read
    now = await core.ledger.do(standing)
    for head in now.heads:
        try:
            async for batch in core.tree.at(head.root).scan():
                needed = [reference[:32] for _, value in batch for reference in content_refs(value)]
                for _, value in batch:
                    needed += await _cuts_of_large(core, value)
                located = await core.ledger.do(State.locate, needed)
                for chunk in needed:
                    if chunk not in located:
                        report.lost += 1
                        report.name(f"chunk {chunk.hex()[:8]} of the newest version lies in no pack that is known")
        except RopewalkError as error:
            report.lost += 1
            report.name(f"the tree of the newest version cannot be read: {error}")


async def _all_named(core: Core, report: CheckReport) -> bool:
    """Whether every pack that a head names is known: where one is not, what lies in it is told with it."""
    unknown = await core.ledger.do(_unknown_packs)
    for name in unknown:
        report.lost += 1
        report.name(f"pack {name.hex()[:8]}, which a head names, lies in no store that answers")
    return not unknown


def _unknown_packs(state: State) -> list[bytes]:
    return [name for name in sorted(state.named_packs()) if state.pack_named(name) is None]


async def _cuts_of_large(core: Core, value: bytes) -> list[bytes]:
    try:
        content = decode_entry(value).content
    except EntryDamaged:
        return []  # it needs nothing; whoever looks at it is told
    if not isinstance(content, Offsets):
        return []
    return [Reference.decode(cut[:73]).id async for batch in core.maps.at(content.root).scan() for _, cut in batch]


async def _records(core: Core, found: Survey, report: CheckReport) -> None:
    """Every membership record in every store; one that is being drained lacks what is newer than that."""
    for name, _ in await core.ledger.do(State.records):
        for store, there in found.records.items():
            if name not in there and store not in core.pool.takers:
                continue
            if name not in there:
                report.copies_missing += 1
                report.name(f"store {store}: record {name} is not there")
                continue
            try:
                if not is_record(name, await core.pool.get(store, ObjectName(name), 0, LARGEST_RECORD + 1)):
                    report.damage(f"store {store}: record {name} is damaged")
            except Unavailable as error:
                report.away[store] = str(error)
            except (Damaged, Missing) as error:
                report.damage(f"store {store}: {error}")


async def _hidden(core: Core, store: str, names: Sequence[str]) -> set[str]:
    """Of heads that a store did not list, those that it has all the same; some are asked for, and then listed anew."""
    given = set()
    try:
        for name in names[:ASKED_FOR]:
            parsed = HeadName.decode(name)
            assert parsed is not None
            try:
                if parsed.fits(await core.pool.get(store, ObjectName(name), 0, LARGEST_HEAD + 1)):
                    given.add(name)
            except (Damaged, Missing):
                continue
        return given - await list_names(core, store, heads_prefix(core.space_id)) if given else given
    except RopewalkError:
        return set()  # it is not known


async def _heads(core: Core, found: Survey, report: CheckReport, *, everything: bool) -> None:
    """The newest head in every store, or all of them."""
    heads = await core.ledger.do(State.heads)
    report.heads = len(heads)
    for store, there in found.heads.items():
        if store not in core.pool.takers:
            continue
        lacks = [head.name for head in heads if head.name in found.known and head.name not in there]
        hidden = await _hidden(core, store, lacks)
        if hidden:
            those = count(len(hidden), "head")
            report.name(
                f"store {store} gives {those} that it does not list: who looks there for what is newest is misled"
            )
        report.copies_missing += len(lacks)
        for one in lacks:
            report.name(f"store {store}: head {one} is {'there and not listed' if one in hidden else 'not there'}")
    for head in heads if everything else (await core.ledger.do(standing)).heads:
        name = HeadName.decode(head.name)
        assert name is not None
        for store in found.stores_of(head.name):
            try:
                data = await core.pool.get(store, ObjectName(head.name), 0, LARGEST_HEAD + 1)
                open_head(data, name, core.membership, core.keys)
            except (Unavailable, EpochUnknown) as error:
                report.away[store] = str(error)
            except (Damaged, Missing) as error:
                report.damage(f"store {store}: {error}")
                if store in core.pool.takers:
                    await core.ledger.do(State.owe_head, head.name, [store])
