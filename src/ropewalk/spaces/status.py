"""Status: the promise of a space as it stands now, and what is in the space.

Flow: survey, ledger, settings -> promise.compute -> Status, in words and as values
Never: says that something holds which was not looked at in this call.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ropewalk.spaces.core import Core
from ropewalk.spaces.learning import standing
from ropewalk.spaces.pack.erasure import backend
from ropewalk.spaces.promise import Computed, KeyHolder, PackGroup, as_dict, compute, explain
from ropewalk.spaces.state import KnownHead, State
from ropewalk.spaces.survey import Survey, survey

__all__ = ["Status", "status"]


@dataclass(frozen=True, slots=True)
class Status:
    """What `status` found."""

    promise: Computed
    versions: int
    entries: int
    packs: int
    stored: int  # bytes, over all stores
    owed_shares: int
    owed_heads: int
    damaged: int
    away: dict[str, str]
    policy: str

    @property
    def lines(self) -> list[str]:
        """In words, the worst news first."""
        lines = [f"store {name} is away: {why}" for name, why in self.away.items()]
        if self.owed_shares or self.owed_heads:
            lines.append(
                f"owed: {self.owed_shares} shares and {self.owed_heads} copies of heads; `ropewalk repair` pays them"
            )
        if self.damaged:
            lines.append(f"{self.damaged} shares are known to be damaged; `ropewalk repair` makes them anew")
        lines += explain(self.promise)
        lines.append(
            f"{self.entries} entries, {self.versions} versions, {self.packs} packs, {self.stored:,} bytes stored;"
            f" {self.policy}"
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
            "owed": {"shares": self.owed_shares, "heads": self.owed_heads},
            "damaged": self.damaged,
            "away": self.away,
            "policy": self.policy,
            "erasure": backend(),
        }


async def status(core: Core, paper_shown: str) -> Status:
    """Look at every store and compute what holds.

    Args:
        core: The space.
        paper_shown: The day on which the paper key was written down, or "" if it was not.
    """
    found = await survey(core)
    policy = core.membership.policy
    facts = await core.ledger.do(_facts, found)
    keys = [KeyHolder("device key", {"machine": "here"}, "on this machine")]
    if paper_shown:
        keys.append(KeyHolder("paper key", {}, f"shown on {paper_shown}"))
    promise = compute(
        policy.survive,
        policy.floor,
        core.pool.domains,
        facts.groups,
        facts.heads,
        keys,
        [name for name in core.pool.names if name in found.away],
    )
    return Status(
        promise,
        len(facts.known),
        facts.entries,
        facts.packs,
        sum(size for shares in found.shares.values() for size in shares.values()),
        facts.owed,
        facts.owed_heads,
        facts.damaged,
        found.away,
        f"any {policy.k} of {policy.n} shares give a pack, writes need {policy.floor},"
        f" privacy level {core.membership.privacy}",
    )


@dataclass(frozen=True, slots=True)
class _Facts:
    known: list[KnownHead]
    entries: int
    packs: int
    groups: list[PackGroup]
    heads: list[frozenset[str]]
    owed: int
    owed_heads: int
    damaged: int


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
        heads,
        now.heads[0].entries if now.heads else 0,
        packs,
        [PackGroup(stores, k, count, sizes[stores, k]) for (stores, k), count in groups.items()],
        list(held),
        sum(len(numbers) for _, numbers in state.owed_shares()),
        len(owed),
        damaged,
    )
