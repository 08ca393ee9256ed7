"""Looking: one look at the stores, at what they show of records and heads, and at what they no longer show.

Flow: listings -> records -> heads -> Learned; a store that shows less than before -> WentBack
Never: takes a store at its word, or forgets what was seen once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from ropewalk.spaces.core import Core
from ropewalk.spaces.head import HeadName
from ropewalk.spaces.learning.heads import Fetched, fetch_heads, told_of
from ropewalk.spaces.learning.listing import Shown, heads_between, shown_by_stores
from ropewalk.spaces.learning.records import learn_records, signed_as_us, take_records
from ropewalk.spaces.learning.sight import settle
from ropewalk.spaces.learning.testimony import MOST_STRANGE, Strange, WentBack, strange, testify
from ropewalk.spaces.state import State
from ropewalk.spaces.warnings import Grave, folded

__all__ = ["PUT_OUT", "Learned", "WentBack", "learn", "learn_heads", "look", "may_tell_more"]


# Which looks list old heads too: whoever forked may have signed one head only, below those that are known.
EVERYTHING_EVERY = 10

PUT_OUT = Grave("this device was put out: what is written since cannot be read here")


@dataclass(frozen=True, slots=True)
class Learned:
    """What a look at the stores came to."""

    answered: int  # stores
    stores: frozenset[str]  # those
    writers: frozenset[bytes]  # of the heads that were not known; we too, if records of ours were not
    heads: int = 0  # that were not known
    forked: frozenset[bytes] = frozenset()  # writers of which two heads of one sequence came to light
    records: bool = False  # whether membership records came that count
    unread: int = 0  # heads that are listed and could not be read for now
    went_back: Sequence[WentBack] = ()


async def learn(core: Core, *, everything: bool = False) -> Learned:
    """Look for records and heads that are not known yet.

    What does not check out is reported in the core's warnings and left out.

    Args:
        core: The space.
        everything: List old heads too, not only down to those that are known, and look at all that was put aside.
    """
    core.asked = sum(map(core.pool.up, core.pool.names))
    known, count = await core.ledger.do(_begun)
    again = everything
    everything, read = everything or count % EVERYTHING_EVERY == 0, core.reads
    shown = await shown_by_stores(core, frozenset() if everything else known)
    core.told = len(shown)
    new, records = await learn_records(core, {store: one.records for store, one in shown.items()}, again=again)
    if core.reads != read:  # what was met as a steward counts as not known for a member
        known = await core.ledger.do(State.head_names)
        shown = await shown_by_stores(core, frozenset() if everything else known)
        core.told = len(shown)
    await core.ledger.do(_owe_records, shown, set(new) if count else None, core.pool.takers, core.head_floor)
    await core.ledger.do(_count, shown, core.pool.names, core.head_floor)
    fetched = await fetch_heads(core, _wanted(shown, known), again=again)
    waiting = fetched.doubts or fetched.passed_waiting
    if (fetched.admitted.gaps or (waiting and fetched.admitted.new)) and not everything:
        await _fill(core, fetched)
    told = told_of(core, fetched)
    told += await core.ledger.do(settle, core.membership, bool(fetched.admitted.new))
    if core.keys.reads and (left := await core.ledger.do(State.unread_heads)):
        told.append(
            f"{len(left)} heads that this device met as a steward cannot be read now: this may be an older version"
        )
    went_back = await core.ledger.do(_compare, shown, core.markers, core.device.public().id)
    told += [_said(one) for one in went_back]
    await testify(core, [*went_back, *_strange(core, shown, new, fetched)])
    if core.device.public().id not in core.membership.state.devices:
        told.append(PUT_OUT)
    core.warnings.extend(folded(told))
    done = fetched.admitted
    return Learned(
        len(shown),
        frozenset(shown),
        frozenset(done.writers | ({core.writer_id} if signed_as_us(core, new) else set())),
        done.new,
        frozenset(done.forked),
        records,
        fetched.unread,
        went_back,
    )


async def learn_heads(core: Core, names: Collection[HeadName]) -> int:
    """Take in heads that somebody has named, from whatever stores have them; how many were new."""
    read = core.reads
    await take_records(core, {})  # what another process of this device knows, they are judged by
    if core.reads and not read:
        return (await learn(core)).heads
    fetched = await fetch_heads(core, dict.fromkeys(names, core.pool.names), listed=False)
    if gaps := fetched.admitted.gaps:  # who writes quickly names only the last; those before it say where packs are
        between = await heads_between(core, [name for name in names if name.writer in gaps])
        more = await fetch_heads(core, between)
        fetched.add(more.admitted)
        fetched.doubts = {one: why for one, why in fetched.doubts.items() if one not in more.raised} | more.doubts
    if fetched.doubts:  # they have seen heads of others that nobody has named to us
        return fetched.admitted.new + (await learn(core)).heads
    told = told_of(core, fetched)
    told += await core.ledger.do(settle, core.membership, bool(fetched.admitted.new))
    core.warnings.extend(folded(told))
    return fetched.admitted.new


def _begun(state: State) -> tuple[set[str], int]:
    """Names of known heads, and how many looks there were before this one."""
    count = int(state.get_meta("looks") or b"0")
    with state.transaction():
        state.set_meta("looks", b"%d" % (count + 1))
    return state.head_names(), count


def _owe_records(
    state: State, shown: Mapping[str, Shown], new: Collection[str] | None, stores: Sequence[str], floor: int
) -> None:
    """Whoever signed a record may have come no further than a few stores, and what we sign rests on it.

    Args:
        state: The ledger's.
        shown: By store.
        new: Names that came with this look; None for the first one, at which all did.
        stores: Names of all that get what is new.
        floor: So many keep a record safe.
    """
    names = state.record_names() & (set(new) if new is not None else state.record_names())
    if not names:
        return
    asked = stores if new is not None else [store for store, one in shown.items() if one.whole and store in stores]
    with state.transaction():
        for name in names:
            there = {store for store, one in shown.items() if name in one.records}
            if len(there) < floor:
                state.owe_record(name, set(asked) - there)


def _wanted(shown: Mapping[str, Shown], known: Collection[str]) -> dict[HeadName, list[str]]:
    wanted: dict[HeadName, list[str]] = {}
    for store, one in shown.items():
        for name, head in one.heads.items():
            if name not in known:
                wanted.setdefault(head, []).append(store)
    return wanted


async def _fill(core: Core, fetched: Fetched) -> None:
    """Look for heads between those that came and those that were known: a fork may lie far back."""
    known = await core.ledger.do(State.head_names)
    shown = await shown_by_stores(core, frozenset())
    more = await fetch_heads(core, _wanted(shown, known))
    fetched.add(more.admitted)
    fetched.unread += more.unread
    fetched.closed += more.closed
    fetched.doubts = {one: why for one, why in fetched.doubts.items() if one not in more.raised} | more.doubts


def may_tell_more(core: Core) -> bool:
    """Whether stores that are up may tell what was missed when too few told what is newest.

    Each change asks.  Where only the store is missing that is asked in case another one lies, it would cost each of
    them a look that waits for it in vain.
    """
    up = sum(map(core.pool.up, core.pool.names))
    return core.told < core.fresh_read - core.membership.lying or up > core.asked


async def look(core: Core) -> Learned:
    """Learn what is new.  Where the stores know more of us than we do, or another of us, be a new incarnation."""
    few = 0 < core.told < core.fresh_read  # and that was said
    learned = await learn(core)
    if learned.answered < core.fresh_read and not few:
        core.warnings.append(
            f"{learned.answered} of {len(core.pool.names)} stores told what is newest: until {core.fresh_read} do, that"
            " this is an old version cannot be ruled out"
        )
    if core.writer_id in learned.writers | learned.forked:
        core.incarnation = os.urandom(16)
        await core.ledger.do(_keep_incarnation, core.incarnation)
        core.warnings.append(
            "the stores hold other changes of this device than its own memory: it was restored from a backup, or"
            " copied; it goes on as a new incarnation"
        )
    return learned


def _keep_incarnation(state: State, incarnation: bytes) -> None:
    with state.transaction(durable=True):
        state.begin_incarnation(incarnation)


def _said(one: WentBack) -> Grave:
    parsed = HeadName.decode(one.name)
    if parsed is None:
        return Grave(f"store {one.store} no longer shows a membership record that it had: it went back, or hides it")
    return Grave(
        f"store {one.store} no longer shows head {parsed.writer.hex()[:8]}-{parsed.sequence}, which it had: it went"
        " back, or hides it"
    )


def _strange(
    core: Core, shown: Mapping[str, Shown], records: Mapping[str, bytes], fetched: Fetched
) -> Iterator[Strange]:
    """What stores show as this space's and is another's, so many of each store."""
    others = [*fetched.strange.items(), *(one for one in records.items() if strange(core, *one))]
    for store, one in shown.items():
        of_store = ((name, data) for name, data in others if name in one.records or name in one.heads)
        for name, data in islice(of_store, MOST_STRANGE):
            yield Strange(store, name, data)


def _count(state: State, shown: Mapping[str, Shown], names: Collection[str], floor: int) -> None:
    """Of heads that were seen on few stores, on how many they are by now."""
    sparse = state.sparse_heads()
    if not sparse:
        return
    listed = {store: {*one.heads, *chain(*one.known.values())} for store, one in shown.items()}
    with state.transaction():
        for name, before in sparse.items():
            now = before | {store for store, heads in listed.items() if name in heads}
            if len(now.intersection(names)) >= floor:
                state.placed_head(name)
            elif now != before:
                state.doubt_head(name, now)


def _compare(state: State, shown: Mapping[str, Shown], markers: Mapping[str, bytes], device: bytes) -> list[WentBack]:
    """What stores showed before and do not now; one that drains, or was emptied by others, shows all of it still.

    Only heads that are sure to stay are compared: our own, and those that a later one of their writer follows.  The
    newest one of somebody else may be given up, and is rightly deleted then.
    """
    newest: dict[bytes, int] = {}
    own = {writer for writer, by in state.writers().items() if by == device}
    went_back: list[WentBack] = []
    names = state.head_names() if any(one.heads for one in shown.values()) else ()
    records = state.record_names()
    with state.transaction():
        for store, one in shown.items():
            there = _there(one, names)
            which = f"{store} {markers.get(store, b'').hex()}"  # another one may have the name of one that is gone
            before = state.head_sightings(which)
            sure: dict[bytes, int] = {}
            for writer, (sequence, *older) in there.items():
                if writer not in newest:
                    newest[writer] = state.newest_number(writer)
                last = newest[writer] if writer in own else newest[writer] - 1
                stays = next((number for number in (sequence, *older) if number <= last), 0)
                if stays > before.get(writer, 0):
                    sure[writer] = stays
            state.saw_heads(which, sure)
            had = state.record_sightings(which)
            state.saw_records(which, (one.records & records) - had)
            if one.whole:
                went_back += _missing(state, store, one, there, before)
                gone = sorted(had - one.records)[:1]
                went_back += [WentBack(store, name, tuple(one.records | one.unfit)) for name in gone]
    return went_back


def _there(one: Shown, names: Collection[str]) -> dict[bytes, list[int]]:
    """The newest sequences of each writer that a store shows, of heads that checked out, newest first."""
    found: dict[bytes, set[int]] = {}
    for listed in one.known.values():
        for name in listed:
            if (parsed := HeadName.decode(name)) is not None:
                found.setdefault(parsed.writer, set()).add(parsed.sequence)
    for name, head in one.heads.items():
        if name in names:
            found.setdefault(head.writer, set()).add(head.sequence)
    return {writer: sorted(sequences, reverse=True)[:3] for writer, sequences in found.items()}


def _missing(
    state: State, store: str, one: Shown, there: Mapping[bytes, Sequence[int]], before: Mapping[bytes, int]
) -> list[WentBack]:
    found = []
    for writer, sequence in before.items():
        if max(there.get(writer, ()), default=0) < sequence:
            known = state.heads_at(writer, sequence)
            if known:
                of_writer = [name for name, head in one.heads.items() if head.writer == writer]
                found.append(WentBack(store, known[0].name, (*one.known.get(writer, ()), *of_writer)))
    return found
