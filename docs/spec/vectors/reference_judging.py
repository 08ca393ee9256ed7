"""The format once more: which heads are known, which have gone back, and how versions are read (groups.md 4.2 and 5).

Flow: a set of heads -> Found
Never: imports ropewalk, or asks in which order the heads came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from docs.spec.vectors.reference import h

__all__ = ["Found", "Signed", "branch", "found"]

Item = tuple[bytes, int, bytes]


@dataclass(frozen=True)
class Signed:
    """What is asked of a head whose records are all there, and let it write."""

    hash: bytes
    writer: bytes
    sequence: int
    previous: bytes
    vector: tuple[Item, ...]  # of the others


@dataclass(frozen=True)
class Found:
    """What a set of heads comes to."""

    waiting: set[bytes]
    refused: set[bytes]
    forks: set[tuple[bytes, int]]
    read: dict[bytes, tuple[bytes, list[Item]]]  # of those that are known: by which name, and what it has seen


def branch(writer: bytes, head: bytes) -> bytes:
    """The branch writer."""
    return h("branch", writer + head)[:16]


def found(heads: set[Signed]) -> Found:
    """What they come to."""
    known: dict[bytes, Signed] = {}
    while more := [one for one in heads if one.hash not in known and _settled(one, known)]:
        known[more[0].hash] = more[0]
    return Found(
        {one.hash for one in heads} - known.keys(),
        {one.hash for one in known.values() if _has_gone_back(one, known)},
        _forks(known),
        {one.hash: (_through(one, known)[-1][1], _read(one, known)) for one in known.values()},
    )


def _settled(head: Signed, known: dict[bytes, Signed]) -> bool:
    for writer, sequence, digest in head.vector:
        there = known.get(digest)
        fits = there is not None and there.sequence == sequence
        if fits and there is not None and writer in _names(there, known):
            continue
        wanted = writer, sequence + 1, digest
        if wanted not in {(one.writer, one.sequence, one.previous) for one in known.values()}:
            return False
    return True


def _chain(head: Signed, known: dict[bytes, Signed]) -> Iterator[Signed]:
    """It, and those before it as far as there is no gap."""
    at: Signed | None = head
    while at is not None:
        yield at
        before = known.get(at.previous)
        follows = before is not None and (before.writer, before.sequence + 1) == (at.writer, at.sequence)
        at = before if follows else None


def _forks(known: dict[bytes, Signed]) -> set[tuple[bytes, int]]:
    places = [(one.writer, one.sequence) for one in known.values()]
    return {place for place in places if places.count(place) > 1}


def _through(head: Signed, known: dict[bytes, Signed]) -> list[tuple[int, bytes, bytes]]:
    """From which sequence on it is of which name, and the hash of the head before that, ascending."""
    forks = _forks(known)
    points = [one for one in _chain(head, known) if (one.writer, one.sequence) in forks]
    names = [(one.sequence, branch(one.writer, one.hash), one.previous) for one in reversed(points)]
    return [(1, head.writer, b""), *names]


def _names(head: Signed, known: dict[bytes, Signed]) -> set[bytes]:
    """What its writer may be called: by a branch, whether a fork is known there or not."""
    return {head.writer, *(branch(one.writer, one.hash) for one in _chain(head, known))}


def _read(head: Signed, known: dict[bytes, Signed]) -> list[Item]:
    seen: dict[bytes, tuple[int, bytes]] = {}
    for writer, sequence, digest in (*head.vector, (head.writer, head.sequence, head.hash)):
        items = [(writer, sequence, digest)]
        there = known.get(digest)
        names = _through(there, known) if there is not None else []
        if there is not None and there.sequence == sequence and writer in _names(there, known):
            ends = [(first - 1, before) for first, _, before in names[1:]] + [(sequence, digest)]
            items = [(name, *end) for (_, name, _), end in zip(names, ends, strict=True) if end[0] > 0]
        for name, last, hashed in items:
            seen[name] = max((last, hashed), seen.get(name, (0, b"")))
    return [(name, *item) for name, item in sorted(seen.items())]


def _has_gone_back(head: Signed, known: dict[bytes, Signed]) -> bool:
    _, *older = _chain(head, known)
    if not older:
        return False
    before = {writer: sequence for writer, sequence, _ in older[0].vector}
    now = {writer: sequence for writer, sequence, _ in head.vector}
    less = [sequence for writer, sequence in before.items() if now.get(writer, 0) < sequence]
    another = any(
        sequence >= max(less, default=0) and before.get(writer, 0) < sequence for writer, sequence in now.items()
    )
    return (bool(less) and not another) or _has_gone_back(older[0], known)
