"""Survey: what every store lists, beside what the ledger says, and the ledger set right.

Flow: listings -> Survey -> ledger (found, forgotten, owed) -> status, check, repair
Never: reads an object; what is listed is there until it is read and found wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import HeadName, heads_prefix
from ropewalk.spaces.members import records_prefix
from ropewalk.spaces.pack.share import FOOTER_SIZE, ShareName
from ropewalk.spaces.rebuild import list_shares
from ropewalk.spaces.state import KnownPack, SharePlace, State
from ropewalk.spaces.store import StoreDamaged

__all__ = ["MOST_NAMES", "Findings", "Progress", "Survey", "list_names", "silent", "survey"]

MOST_NAMES = 1_000_000  # of heads, or of records, in one store: some 300 MB of memory; who lists more lies
MOST_NAMED = 200  # lines of what is wrong; more would not be read

Progress = Callable[[int, int], None]  # told how many are done, and how many there are


def silent(_done: int, _total: int) -> None:
    """A progress that tells nobody."""


@dataclass(slots=True)
class Findings:
    """What a report says line by line: of stores that did not answer, and of what is wrong."""

    away: dict[str, str] = field(default_factory=dict)  # stores, and why
    problems: list[str] = field(default_factory=list)

    def name(self, what: str) -> None:
        """Say something, unless too much was said already."""
        if len(self.problems) < MOST_NAMED:
            self.problems.append(what)

    @property
    def named(self) -> list[str]:
        """In words."""
        return [f"store {name} is away: {why}" for name, why in self.away.items()] + self.problems


@dataclass(slots=True)
class Survey:
    """What the stores list."""

    shares: dict[str, dict[ShareName, int]] = field(default_factory=dict)  # by store: share -> size
    heads: dict[str, set[str]] = field(default_factory=dict)  # by store: names of objects
    records: dict[str, set[str]] = field(default_factory=dict)
    away: dict[str, str] = field(default_factory=dict)  # stores that did not answer, and why
    known: frozenset[str] = frozenset()  # names of the heads that were known before
    missing: int = 0  # shares that the ledger knew and no longer are
    short: list[tuple[KnownPack, SharePlace]] = field(default_factory=list)  # shares too small to be whole
    unknown: int = 0  # shares of packs that the ledger does not know

    def stores_of(self, head: str) -> frozenset[str]:
        """Where a head is listed."""
        return frozenset(store for store, names in self.heads.items() if head in names)

    def stores_of_record(self, record: str) -> frozenset[str]:
        """Where a membership record is listed."""
        return frozenset(store for store, names in self.records.items() if record in names)


async def survey(core: Core) -> Survey:
    """List every store that answers, and set the ledger right by it."""
    await core.pool.opened()
    newest, known = await core.ledger.do(_known)
    found = Survey(known=known)
    for store in core.pool.names:
        part = "shares"
        try:
            shares = await list_shares(core, store)
            part = "heads"
            heads = await list_names(core, store, heads_prefix(core.space_id))
            part = "records"
            records = await list_names(core, store, records_prefix(core.space_id))
        except RopewalkError as error:
            why = core.pool.why_down(store) or str(error)
            found.away[store] = why if part == "shares" else f"it lists shares, and not {part}: {why}"
            continue
        found.shares[store] = shares
        found.heads[store] = {name for name in heads if HeadName.decode(name) is not None}
        found.records[store] = set(records)
    await core.ledger.do(_set_right, found, newest, set(core.pool.names), core.pool.takers)
    return found


async def list_names(core: Core, store: str, prefix: str) -> set[str]:
    """What a store lists.

    Raises:
        StoreGone, StoreDamaged: It does not answer, or lists without an end.
    """
    names: set[str] = set()
    async for listed in core.pool.list(store, prefix):
        names.add(listed.name)
        if len(names) > MOST_NAMES:
            raise StoreDamaged(f"store {store} lists more than {MOST_NAMES} names under {prefix}")
    return names


def _known(state: State) -> tuple[int, frozenset[str]]:
    """What a listing that begins now must show; a put that goes on meanwhile adds what it may not."""
    return state.newest_pack(), frozenset(state.head_names())


def _set_right(state: State, found: Survey, newest: int, names: set[str], takers: Collection[str]) -> None:
    listed: dict[bytes, dict[tuple[int, str, str], int]] = {}
    for store, shares in found.shares.items():
        for name, size in shares.items():
            listed.setdefault(name.pack, {})[name.number, store, name.check.hex()] = size
    with state.transaction():
        for pack in list(state.packs()):
            if pack.head is None and pack.id <= newest:
                _set_pack_right(state, pack, listed.pop(pack.name, {}), found, names)
            else:
                listed.pop(pack.name, None)
        for head in found.known:
            state.owe_head(head, [store for store in takers if head not in found.heads.get(store, {head})])
    found.unknown += sum(len(shares) for shares in listed.values())


def _set_pack_right(
    state: State, pack: KnownPack, listed: Mapping[tuple[int, str, str], int], found: Survey, names: set[str]
) -> None:
    found.unknown += len(listed)
    listed = {place: size for place, size in listed.items() if place[0] < pack.n}
    found.unknown -= len(listed)
    known = {(share.number, share.store, share.object): share for share in pack.shares}
    for place, share in known.items():
        gone = share.store in found.shares and place not in listed
        if gone or share.store not in names:
            state.forget_share(pack.id, share)
            found.missing += 1
    new = [SharePlace(*place) for place in listed if place not in known]
    if new:
        state.add_shares(pack.id, new)
    for place, size in listed.items():
        number = place[0]
        if size < pack.column_length(number) + FOOTER_SIZE:
            found.short.append((pack, SharePlace(*place)))
            state.mark_damaged(pack.id, number, place[1])
