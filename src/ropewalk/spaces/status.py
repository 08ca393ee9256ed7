"""Status: the promise of a space as it stands now, and what is in the space.

Flow: survey, or what is at hand; ledger, settings -> promise.compute -> Status, in words and as values
Never: `status` says that something holds which was not looked at in this call.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ropewalk.counting import count
from ropewalk.spaces.at_hand import AtHand
from ropewalk.spaces.core import Core
from ropewalk.spaces.freshness import Freshness, Word
from ropewalk.spaces.holders import Written, holders, paper_note
from ropewalk.spaces.identity import PAPER
from ropewalk.spaces.learning import standing
from ropewalk.spaces.members import Membership, Names
from ropewalk.spaces.pack.erasure import backend
from ropewalk.spaces.passport import said_of_refused
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.promise import WORK, Computed, KeyHolder, PackGroup, as_dict, compute, explain
from ropewalk.spaces.state import QUARANTINED, State
from ropewalk.spaces.store import Terms
from ropewalk.spaces.survey import Survey, survey
from ropewalk.spaces.waiting import Queued, queued

__all__ = ["Distrust", "Status", "Written", "several_devices", "status", "status_at_hand"]

NOTHING = Written()  # no paper key was written down here
_NO_QUEUE = Queued(False, 0)


@dataclass(frozen=True, slots=True)
class Distrust:
    """Whom the space trusts less than it did.

    Attributes:
        exposed: Devices that were put out and can still read what is new: name, id, since when (nanoseconds; a hint).
        frozen: Devices that were shown to lie: name, id.
        quarantined: Changes that are kept, and shown to nobody.
    """

    exposed: Sequence[tuple[str, bytes, int]] = ()
    frozen: Sequence[tuple[str, bytes]] = ()
    quarantined: int = 0

    @property
    def lines(self) -> list[str]:
        """In words."""
        lines = [
            f"{name} was put out and can still read what is new{f', since {_date(since)}' if since else ''}:"
            " a change by an admin's device ends that"
            for name, _, since in self.exposed
        ]
        lines += [
            f"{name} is frozen: it was shown to have lied, and what it writes now does not count; see `ropewalk audit`"
            for name, _ in self.frozen
        ]
        if self.quarantined:
            what = count(self.quarantined, "change is/changes are")
            lines.append(f"{what} in quarantine, kept and not shown; `ropewalk audit` says whose")
        return lines

    def as_dict(self) -> dict[str, object]:
        """As values that fit JSON."""
        return {
            "exposed": [{"name": name, "device": device.hex(), "since": since} for name, device, since in self.exposed],
            "frozen": [{"name": name, "device": device.hex()} for name, device in self.frozen],
            "quarantined": self.quarantined,
        }


@dataclass(frozen=True, slots=True)
class Status:
    """What `status` found."""

    promise: Computed
    versions: int
    entries: int | None  # None for a steward
    packs: int
    stored: int  # bytes, over all stores
    owed_shares: int
    owed_heads: int
    damaged: int
    away: dict[str, str]
    policy: str
    owed_records: int = 0
    group: Distrust = Distrust()
    fresh: Freshness | None = None  # None where there is only one device
    heard: str = ""  # whose beat that speaks of, "" for this device's own
    paper: str = ""  # what is to be known of words on paper
    draining: tuple[str, ...] = ()  # stores that keep what they have, and get nothing new
    refused: Mapping[str, Terms] = field(default_factory=dict)  # stores into which nothing is put, for what was seen
    queue: Queued = _NO_QUEUE  # what waits on this machine to be published

    def with_freshness(self, core: Core, fresh: Freshness | None) -> Status:
        """The same, with how old the view is now."""
        heard = fresh.device if fresh is not None else None
        named = heard is not None and heard != core.device.public().id
        whose = Names(core.membership, core.keys).whose(heard) if named and heard is not None else ""
        return replace(self, fresh=fresh, heard=whose)

    @property
    def lines(self) -> list[str]:
        """In words, the worst news first."""
        lines = [*self.queue.lines, *(f"store {name} is away: {why}" for name, why in self.away.items())]
        lines += [
            f"store {name} is being drained: it gets nothing new, and `ropewalk pool evacuate` empties it"
            for name in self.draining
        ]
        lines += [said_of_refused(name, terms) for name, terms in self.refused.items()]
        if self.owed_shares or self.owed_heads or self.owed_records:
            owed = [
                count(self.owed_shares, "share"),
                count(self.owed_heads, "copy of a head/copies of heads"),
                count(self.owed_records, "copy of a membership record/copies of membership records"),
            ]
            told = " and ".join(one for one in owed if not one.startswith("0 "))
            lines.append(f"owed: {told}; `ropewalk repair` pays them")
        lines += self.group.lines
        if self.fresh is not None:
            lines.append(_freshness(self.fresh, self.heard))
        if self.damaged:
            known = count(self.damaged, "share is known to be damaged/shares are known to be damaged")
            lines.append(f"{known}; `ropewalk repair` makes {'it' if self.damaged == 1 else 'them'} anew")
        if self.paper:
            lines.append(self.paper)
        lines += explain(self.promise)
        entries = "" if self.entries is None else f"{count(self.entries, 'entry/entries')}, "
        lines.append(
            f"{entries}{count(self.versions, 'version')}, {count(self.packs, 'pack')},"
            f" {count(self.stored, 'byte')} stored; {self.policy}"
        )
        return lines

    def as_dict(self) -> dict[str, object]:
        """As values that fit JSON; sizes are bytes."""
        return {
            "promise": as_dict(self.promise),
            "versions": self.versions,
            "entries": self.entries,
            "packs": self.packs,
            "stored": self.stored,
            "owed": {"shares": self.owed_shares, "heads": self.owed_heads, "records": self.owed_records},
            "freshness": self.fresh.as_dict() if self.fresh is not None else None,
            **self.group.as_dict(),
            "damaged": self.damaged,
            "away": self.away,
            "draining": list(self.draining),
            "refused": {name: terms.refused for name, terms in self.refused.items()},
            "queue": self.queue.as_dict(),
            "paper": self.paper or None,
            "policy": self.policy,
            "erasure": backend(),
        }


def _freshness(fresh: Freshness, heard: str) -> str:
    ago = _long(fresh.age if fresh.age is not None else fresh.lag or 0)
    if fresh.missing:
        what = count(fresh.missing, "change that it names/changes that it names")
        return f"stale: {heard or 'this device'} was heard, and {what} cannot be had from any store that answers"
    if fresh.word is Word.STALE:
        clock = f", by the clock of {heard}" if fresh.by_its_clock and heard else ""
        return f"stale since {_date(fresh.since or 0)}{clock}: nobody was heard later, so newer changes may be missing"
    if fresh.word is Word.FRESH:
        return f"fresh: {heard or 'this device'} was heard {ago} ago, and all that it knew is here"
    if fresh.device is None:
        return "whether this is the newest is not known: no other device is heard now"
    if not heard:
        return f"nothing newer is heard of than what this device itself said {ago} ago"
    return f"as new as {heard} knew it {ago} ago, by its clock"


def _long(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _date(nanoseconds: int) -> str:
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"@{nanoseconds // 10**9}"


def several_devices(membership: Membership) -> bool:
    """Whether somebody else may write, too, so that it matters how old the view is."""
    return sum(membership.devices[one].kind != PAPER for one in membership.state.devices) > 1


async def status(core: Core, written: Written = NOTHING, fresh: Freshness | None = None) -> Status:
    """Look at every store and compute what holds.

    Args:
        core: The space.
        written: The paper key whose words were written down on this machine.
        fresh: How old the view may be, where that was looked at.
    """
    found = await survey(core)
    facts = await core.ledger.do(_facts, found)
    stored = sum(size for shares in found.shares.values() for size in shares.values())
    mine = holders(core.membership, Names(core.membership, core.keys), core.device.public().id, written)
    promise = compute(*_terms(core, facts.groups, facts.heads, mine, list(found.away)))
    return await _status(core, promise, facts, stored, found.away, written, fresh)


async def status_at_hand(core: Core, held: AtHand, written: Written = NOTHING) -> Status:
    """The same by what is known already: no store is asked, and the loop is not held up.

    What a store lost unseen, and what else a listing would show, is not known here.  Of entries nothing is said.

    Args:
        core: The space.
        held: What is at hand.
        written: As `status` takes it.
    """
    away = {name: why for name in core.pool.names if (why := core.pool.why_down(name)) is not None}
    mine = holders(core.membership, Names(core.membership, core.keys), core.device.public().id, written)
    names = frozenset(core.pool.names)  # one may have been taken out since
    groups = [replace(one, stores=one.stores & names) for one in held.groups]
    heads = [one & names for one in held.heads]
    promise = await asyncio.to_thread(compute, *_terms(core, groups, heads, mine, list(away)))
    return await _status(core, promise, held, held.stored, away, written, None)


def _terms(
    core: Core,
    groups: Sequence[PackGroup],
    heads: Sequence[frozenset[str]],
    keys: Sequence[KeyHolder],
    away: Collection[str],
) -> tuple[
    Mapping[str, int], int, Sequence[StoreDomains], Sequence[PackGroup], Sequence[frozenset[str]], Sequence[KeyHolder],
    Sequence[str], int, Sequence[str],
]:  # fmt: skip
    """What `compute` takes."""
    policy, pool = core.membership.policy, core.pool
    unreachable = [name for name in pool.names if name in away]
    draining = [name for name in pool.names if name not in pool.fit]
    return policy.survive, policy.floor, pool.domains, groups, heads, keys, unreachable, WORK, draining


async def _status(
    core: Core,
    promise: Computed,
    facts: _Facts | AtHand,
    stored: int,
    away: dict[str, str],
    written: Written,
    fresh: Freshness | None,
) -> Status:
    membership = core.membership
    policy = membership.policy
    names, mine = Names(membership, core.keys), core.device.public().id
    group = Distrust(
        [(names.whose(one.device), one.device, one.since) for one in membership.epochs.exposure],
        [(names.whose(one), one) for one in sorted(membership.state.frozen) if one in membership.state.devices],
        facts.quarantined,
    )
    found = Status(
        promise,
        facts.versions,
        facts.entries,
        facts.packs,
        stored,
        facts.owed,
        facts.owed_heads,
        facts.damaged,
        away,
        f"any {policy.k} of {policy.n} shares give a pack, writes need {policy.floor},"
        f" privacy level {membership.privacy}",
        facts.owed_records,
        group,
        paper=paper_note(membership, mine, written),
        draining=tuple(name for name in core.pool.names if name in core.pool.draining),
        refused={name: terms for name in core.pool.names if (terms := core.pool.terms(name)).refused},
        queue=await queued(core),
    )
    return found.with_freshness(core, fresh)


@dataclass(frozen=True, slots=True)
class _Facts:
    versions: int
    entries: int | None
    packs: int
    groups: list[PackGroup]
    heads: list[frozenset[str]]
    owed: int
    owed_heads: int
    damaged: int
    owed_records: int
    quarantined: int


def _facts(state: State, found: Survey) -> _Facts:
    groups: Counter[tuple[frozenset[str], int]] = Counter()
    sizes: Counter[tuple[frozenset[str], int]] = Counter()
    packs = damaged = 0
    for pack in state.packs():
        if not pack.promised:
            continue
        packs += 1
        damaged += sum(share.damaged for share in pack.shares)
        key = frozenset(share.store for share in pack.good.values()), pack.k
        groups[key] += 1
        sizes[key] += sum(pack.lengths)
    heads = state.heads()
    now = standing(state)
    owed = state.owed_heads()
    away = set(found.away)
    owing: dict[str, set[str]] = {}
    for name, store in owed:
        owing.setdefault(name, set()).add(store)
    seen = [head.name for head in heads if head.name in found.known]
    held = {found.stores_of(name) | (away - owing.get(name, set())) for name in seen}
    # Without the membership records nobody opens what the stores hold.
    held |= {found.stores_of_record(name) | away for name, _ in state.records()}
    return _Facts(
        len(heads),
        None if any(head.unread for head in now.heads) else now.heads[0].entries if now.heads else 0,
        packs,
        [PackGroup(stores, k, count, sizes[stores, k]) for (stores, k), count in groups.items()],
        list(held),
        sum(len(numbers) for _, numbers in state.owed_shares()),
        len(owed),
        damaged,
        len(state.owed_records()),
        sum(head.state == QUARANTINED for head in state.set_aside()),
    )
