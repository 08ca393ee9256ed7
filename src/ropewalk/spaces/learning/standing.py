"""Standing: what the known heads come to, and what is kept of each.

Flow: heads in the ledger, places of forks -> Standing (the newest of all, and what must be joined)
Never: shows a head that does not count, or one whose branch is not known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from ropewalk.spaces.conduct import Branches
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import Head, split_embedded
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.members import Cut
from ropewalk.spaces.pack.directory import Directory, directory_hash
from ropewalk.spaces.pack.roots import column_root, leaf_hashes, pack_name
from ropewalk.spaces.pack.share import Manifest
from ropewalk.spaces.state import ACKED, QUEUED, EmbeddedPack, KnownHead, State
from ropewalk.spaces.vectors import MOST_NUMBER, MOST_SEEN, joined

__all__ = [
    "Embedded",
    "Standing",
    "cut_of",
    "keep_embedded",
    "known_head",
    "newest",
    "read_embedded",
    "remember_embedded",
    "standing",
]


MOST_OLDER = 16  # heads of a writer that are passed over for an older one


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the space stands, as far as this device knows."""

    heads: Sequence[KnownHead]  # the newest ones; more than one must be joined, each as its `branches` say
    partial: bool = False  # whether others were left out, for stores that are away have what they hold

    @property
    def branched(self) -> bool:
        """Whether dots of some are to be read by the names of branches."""
        return any(head.branches for head in self.heads)

    @property
    def root(self) -> bytes | None:
        """Of the first head."""
        return self.heads[0].root if self.heads else None

    @property
    def vector(self) -> dict[bytes, tuple[int, bytes]]:
        """All that is seen: writer -> sequence, hash."""
        return joined(head.vector for head in self.heads)


def standing(state: State, without: Collection[bytes] = (), writer: bytes = b"", *, queued: bool = True) -> Standing:
    """The heads that count and that no other one has seen, newest first.

    Args:
        state: The ledger's.
        without: Hashes of heads that must not be named; of writers whose newest head names one, an older one stands.
        writer: The one whose own heads stay, whatever they name: it must not go back.
        queued: Whether our own count that wait to be published.
    """
    heads = newest(state, queued=queued)
    if without:
        heads = [one for head in heads if (one := _naming_none(state, head, without, writer)) is not None]
    top = [
        head
        for head in heads
        if not any(other.vector.get(head.writer, (0, b""))[0] >= head.sequence for other in heads if other is not head)
    ]
    return Standing(sorted(top, key=lambda head: (head.time, head.name), reverse=True))


def _naming_none(state: State, head: KnownHead, without: Collection[bytes], writer: bytes) -> KnownHead | None:
    """A head, or the newest before it, that names none of these."""

    def good(one: KnownHead) -> bool:
        return one.state in (ACKED, QUEUED) and not any(digest in without for _, digest in one.vector.values())

    if head.writer == writer or good(head):
        return head
    forks = state.forks()
    branches = Branches(forks, state.head_hashed)
    for _ in range(MOST_OLDER):
        older = state.newest_kept(head.writer, head.sequence - 1)  # a branch has none: that name stands in no head
        if older is None:
            return None
        if good(older) and forks.keys().isdisjoint(older.vector) and not branches.renames(older.vector):
            return older  # what must be read otherwise is passed over
        head = older
    return None


def newest(state: State, *, queued: bool = False) -> list[KnownHead]:
    """The newest head that counts of each writer, and of each branch of one that forked, as it is to be read.

    Args:
        state: The ledger's.
        queued: Whether our own count that wait to be published, and that nobody else knows.
    """
    forks = state.forks()
    heads = state.newest_heads(queued=queued)
    writers = {head.writer for head in heads}
    if not forks and all(writers.issuperset(head.vector) for head in heads):  # nothing is called by a branch
        return heads
    for writer, places in forks.items():
        base = state.newest_kept(writer, places[0] - 1)
        branched = [head for head in state.heads_at(writer, places[0], MOST_NUMBER) if head.state == ACKED]
        heads = [head for head in heads if head.writer != writer] + ([base] if base else []) + branched
    branches = Branches(forks, state.head_hashed)
    found: dict[bytes, KnownHead] = {}
    for head in heads:
        name = branches.name(head)
        if head.state in (ACKED, QUEUED) and (name not in found or found[name].sequence < head.sequence):
            vector = dict(branches.vector(head.vector))
            found[name] = replace(head, writer=name, vector=vector, branches=branches.renames(head.vector))
    return list(found.values())


def cut_of(state: State, devices: Collection[bytes]) -> Cut:
    """The newest heads that count of all writers and branches of some devices."""
    tops = sorted((head for head in newest(state) if head.device in devices), key=lambda head: -head.time)
    return Cut({head.writer: (head.sequence, head.hash) for head in tops[:MOST_SEEN]})


def known_head(head: Head, state: int, seen: int = 0) -> KnownHead:
    """What is remembered of a head; ``seen`` is when it came, for one that does not say when it was made."""
    envelope, member = head.envelope, head.member
    return KnownHead(
        head.name.encode(),
        head.hash,
        envelope.writer,
        envelope.sequence,
        envelope.previous,
        member.time if member else max(seen, 0),
        member.root.encode() if member and member.root else None,
        member.entries if member else 0,
        member.note if member else "",
        dict(head.vector),
        bool(head.embedded),
        state,
        envelope.device,
        envelope.feature,
        tuple(member.membership) if member else (),
        unread=member is None,
    )


@dataclass(frozen=True, slots=True)
class Embedded:
    """The embedded pack of a head, read."""

    name: bytes
    length: int
    manifest: bytes
    directory: bytes
    stored: int
    opened: Directory


def read_embedded(embedded: bytes, keys: KeyRing) -> Embedded | None:
    """What a head embeds, if anything.

    Raises:
        HeadDamaged, DirectoryDamaged: It is no pack.
        EpochUnknown: It was sealed in an epoch that is not known here.
    """
    if not embedded:
        return None
    box, column = split_embedded(embedded)
    root = column_root(len(column), leaf_hashes(column))
    name = pack_name([len(column)], [root])
    opened = Directory.open(box, name, [len(column)], keys)
    digest = Manifest(1, 1, [len(column)], [root]).digest
    return Embedded(name, len(column), digest, directory_hash(box), len(embedded), opened)


def keep_embedded(state: State, packs: Iterable[tuple[str, Embedded]]) -> None:
    """Keep where the chunks of embedded packs lie, each in a head by its name."""
    state.add_embedded(
        [
            EmbeddedPack(one.name, one.length, one.manifest, one.directory, one.stored, head, one.opened.places)
            for head, one in packs
        ]
    )


def remember_embedded(state: State, head: KnownHead, embedded: bytes, core: Core) -> None:
    """Keep where the chunks of a head's embedded pack lie, if it has one."""
    if (pack := read_embedded(embedded, core.keys)) is not None:
        keep_embedded(state, [(head.name, pack)])
