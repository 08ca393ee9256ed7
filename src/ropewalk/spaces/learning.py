"""Learning: which heads there are, by whom, and what they come to.

Flow: listings of stores -> heads checked and opened -> ledger -> Standing (the newest of all, and what must be joined)
Never: believes a store: a head counts by its signature, and what was seen once is not forgotten.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from ropewalk.errors import Damaged, Missing, RopewalkError, Unavailable
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import Head, HeadName, heads_prefix, open_head, split_embedded
from ropewalk.spaces.pack.directory import Directory, directory_hash
from ropewalk.spaces.pack.roots import column_root, leaf_hashes, pack_name
from ropewalk.spaces.pack.share import Manifest
from ropewalk.spaces.state import ACKED, KnownHead, State

__all__ = [
    "Learned",
    "Standing",
    "keep",
    "known_head",
    "learn",
    "look",
    "remember_embedded",
    "standing",
]

PATIENCE = 0.5  # seconds that stores beyond the needed number are waited for
DEADLINE = 30.0
MOST_HEADS = 10_000  # names taken from one store's listing; a space has a few writers
MOST_SQUATTED = 16  # names of one writer passed over because the bytes beneath are not theirs


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the space stands, as far as this device knows."""

    heads: Sequence[KnownHead]  # the newest ones; more than one must be joined

    @property
    def root(self) -> bytes | None:
        """Of the first head."""
        return self.heads[0].root if self.heads else None

    @property
    def vector(self) -> dict[bytes, tuple[int, bytes]]:
        """All that is seen: writer -> sequence, hash."""
        seen: dict[bytes, tuple[int, bytes]] = {}
        for head in self.heads:
            for writer, item in head.vector.items():
                seen[writer] = max(item, seen.get(writer, (0, b"")))
        return seen


def standing(state: State) -> Standing:
    """The heads that no other one has seen, newest first."""
    heads = state.newest_heads()
    top = [
        head
        for head in heads
        if not any(other.vector.get(head.writer, (0, b""))[0] >= head.sequence for other in heads if other is not head)
    ]
    return Standing(sorted(top, key=lambda head: (head.time, head.name), reverse=True))


def known_head(head: Head, state: int) -> KnownHead:
    """What is remembered of a head."""
    return KnownHead(
        head.name.encode(),
        head.hash,
        head.envelope.writer,
        head.envelope.sequence,
        head.envelope.previous,
        head.member.time,
        head.member.root.encode() if head.member.root else None,
        head.member.entries,
        head.member.note,
        dict(head.member.vector),
        bool(head.embedded),
        state,
    )


def remember_embedded(state: State, head: KnownHead, embedded: bytes, core: Core) -> None:
    """Keep where the chunks of a head's embedded pack lie, if it has one."""
    if not embedded:
        return
    box, column = split_embedded(embedded)
    leaves = leaf_hashes(column)
    root = column_root(len(column), leaves)
    name = pack_name([len(column)], [root])
    directory = Directory.open(box, name, [len(column)], core.keys)
    manifest = Manifest(1, 1, [len(column)], [root])
    pack = state.add_pack(
        name,
        1,
        1,
        [len(column)],
        manifest.digest,
        directory_hash(box),
        len(embedded),
        head=head.name,
        reusable=False,
        announced=True,
    )
    state.add_chunks(pack, directory.places)


@dataclass(frozen=True, slots=True)
class Learned:
    """What a look at the stores came to."""

    answered: int  # stores
    writers: frozenset[bytes]  # of the heads that were not known
    forked: frozenset[bytes] = frozenset()  # writers of which two heads of one sequence are there


async def learn(core: Core) -> Learned:
    """Look for heads that are not known yet.

    What does not check out is reported in the core's warnings and left out.
    """
    tasks = {asyncio.create_task(_newest(core, name)): name for name in core.pool.names if core.pool.up(name)}
    found: dict[str, list[HeadName]] = {}
    try:
        deadline, pending = DEADLINE, set(tasks)
        while pending:
            enough = len(found) >= core.fresh_read
            done, pending = await asyncio.wait(
                pending, timeout=PATIENCE if enough else deadline, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                break
            for task in done:
                if (names := task.result()) is not None:
                    found[tasks[task]] = names
    finally:
        for task in tasks:
            task.cancel()
    known = await core.ledger.do(State.head_names)
    wanted: dict[HeadName, list[str]] = {}
    for store, names in found.items():
        for name in names:
            if name.encode() not in known:
                wanted.setdefault(name, []).append(store)
    heads = [head for name, stores in wanted.items() if (head := await _fetch(core, name, stores)) is not None]
    core.told = len(found)
    return Learned(len(found), frozenset(await _admit(core, heads)), await core.ledger.do(_forked, heads))


async def look(core: Core) -> None:
    """Learn new heads.  Where the stores know more of us than we do, or another of us, be a new incarnation."""
    learned = await learn(core)
    if learned.answered < core.fresh_read:
        core.warnings.append(
            f"{learned.answered} of {len(core.pool.names)} stores told their newest heads, {core.fresh_read} are needed"
            " to rule out that this is an old version"
        )
    if core.writer_id in learned.writers | learned.forked:
        core.incarnation = os.urandom(16)
        await core.ledger.do(_keep_incarnation, core.incarnation)
        core.warnings.append(
            "the stores hold other changes of this device than its own memory: it was restored from a backup, or"
            " copied; it goes on as a new incarnation"
        )


def _keep_incarnation(state: State, incarnation: bytes) -> None:
    with state.transaction(durable=True):
        state.begin_incarnation(incarnation)


def _forked(state: State, heads: Sequence[Head]) -> frozenset[bytes]:
    twins = set()
    for head in heads:
        known = state.head_at(head.envelope.writer, head.envelope.sequence)
        if known is not None and known.hash != head.hash:
            twins.add(head.envelope.writer)
    return frozenset(twins)


async def _admit(core: Core, heads: list[Head]) -> set[bytes]:
    """Keep heads whose vectors name only heads that are known, in whatever order that takes; who wrote new ones."""
    waiting = sorted(heads, key=lambda head: (head.envelope.writer, head.envelope.sequence))
    writers: set[bytes] = set()
    while waiting:
        left = []
        for head in waiting:
            new, doubt = await core.ledger.do(keep, head, core)
            if doubt:
                left.append((head, doubt))
            if new:
                writers.add(head.envelope.writer)
        if len(left) == len(waiting):
            core.warnings.extend(dict.fromkeys(doubt for _, doubt in left))
            break
        waiting = [head for head, _ in left]
    return writers


def keep(state: State, head: Head, core: Core) -> tuple[bool, str]:
    """Remember a head: whether it was new; or why it was left out."""
    if state.head_named(head.name.encode()) is not None:
        return False, ""  # another process of this device wrote it just now, or another store listed it too
    what = f"head {head.envelope.writer.hex()[:8]}-{head.envelope.sequence}"
    for writer, (sequence, digest) in head.member.vector.items():
        other = state.head_at(writer, sequence)
        if other is not None and other.hash != digest:
            return (
                False,
                f"{what} was left out: it has seen another {writer.hex()[:8]}-{sequence} than this device: a fork",
            )
        newest = state.newest_head(writer)
        if writer != head.envelope.writer and (newest is None or newest.sequence < sequence):
            return False, f"{what} was set aside: it has seen {writer.hex()[:8]}-{sequence}, which no store shows"
    try:
        with state.transaction():
            found = known_head(head, ACKED)
            state.add_head(found)
            remember_embedded(state, found, head.embedded, core)
            state.set_behind(True)  # until the packs are learnt too, whatever stops this process before that
    except Damaged as error:
        return False, f"{what} was left out: {error}"
    return True, ""


async def _newest(core: Core, store: str) -> list[HeadName] | None:
    """The newest head of each writer that a store lists, and its twins if there was a fork; None without an answer."""
    names: list[HeadName] = []
    after = ""
    try:
        while True:
            last: HeadName | None = None  # of the writer at hand
            async for listed in core.pool.list(store, heads_prefix(core.space_id), after):
                if listed.name <= after:
                    return names  # a listing that goes backwards would never end
                after = listed.name
                name = HeadName.decode(listed.name)
                if name is None:
                    continue
                if last is not None and (name.writer, name.sequence) != (last.writer, last.sequence):
                    break
                last = name
                names.append(name)
                if len(names) > MOST_HEADS:
                    return names
            if last is None:
                return names
            after = heads_prefix(core.space_id, last.writer) + "~"  # past all that this writer has
    except RopewalkError:
        return None


async def _fetch(core: Core, name: HeadName, stores: Sequence[str]) -> Head | None:
    """A head by its name, or where the bytes beneath do not match, the next older one of that writer."""
    for _ in range(MOST_SQUATTED):
        if await core.ledger.do(State.is_unacknowledged, name.encode()):
            return None  # our own, and its fate is for the journal to settle
        unread: dict[str, str] = {}
        for store in stores:
            try:
                return open_head(await core.pool.get(store, name.encode()), name, core.membership, core.keys)
            except (Missing, Unavailable) as error:
                unread[store] = str(error)
            except Damaged as error:
                core.warnings.append(f"store {store}: {error}")
        if unread:
            why = "; ".join(f"{store}: {reason}" for store, reason in sorted(unread.items()))
            core.warnings.append(
                f"head {name.writer.hex()[:8]}-{name.sequence} is listed and cannot be read, so this may be an older"
                f" version ({why})"
            )
        older = [found for store in stores if (found := await _older(core, store, name)) is not None]
        if not older:
            return None
        name = min(older, key=lambda found: found.encode())
        if await core.ledger.do(State.head_named, name.encode()) is not None:
            return None
    return None


async def _older(core: Core, store: str, name: HeadName) -> HeadName | None:
    try:
        async for listed in core.pool.list(store, heads_prefix(core.space_id, name.writer), name.encode()):
            if (found := HeadName.decode(listed.name)) is not None and found.sequence < name.sequence:
                return found
    except RopewalkError:
        pass
    return None
