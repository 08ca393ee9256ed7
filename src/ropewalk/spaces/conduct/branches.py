"""Branches: by which name each head of a forked writer is read (docs/spec/groups.md 5).

Flow: places of forks, chains of heads -> names of writers, vectors and dots as they are to be read
Never: depends on which branch was found first, or on who asks: all branches get names of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from ropewalk.spaces.envelope import NO_HEAD
from ropewalk.spaces.state import KnownHead
from ropewalk.spaces.tree.relabel import branch_writer
from ropewalk.spaces.vectors import Vector

__all__ = ["Branches", "Renames", "branch_writer"]

Renames = Mapping[bytes, tuple[tuple[int, bytes], ...]]  # writer -> from which sequence on by which name, ascending

_Points = tuple[tuple[int, bytes], ...]  # sequence of a fork, and the hash of the head there that a chain goes through
_Part = tuple[int, bytes, int, bytes]  # from a sequence on, by a name, to a sequence, which has a hash


class Branches:
    """How heads are read while some writers are known to have forked.

    Args:
        forks: Writer to the sequences at which it did, ascending.
        head: A known head by its hash, whatever became of it.
    """

    def __init__(self, forks: Mapping[bytes, Sequence[int]], head: Callable[[bytes], KnownHead | None]) -> None:
        self.forks = forks
        self._head = head
        self._points: dict[bytes, _Points | None] = {}  # by head hash

    def name(self, head: KnownHead) -> bytes | None:
        """The writer that a head belongs to; None where the chain to the fork has a gap."""
        if head.writer not in self.forks:
            return head.writer
        points = self._pass(head)
        if points is None:
            return None
        return branch_writer(head.writer, points[-1][1]) if points else head.writer

    def vector(self, vector: Vector) -> Vector | None:
        """A vector as it is to be read; None where a chain has a gap."""
        if not self.forks:
            return vector
        read: dict[bytes, tuple[int, bytes]] = {}
        for writer, item in vector.items():
            parts = self._parts(writer, *item)
            if parts is None:
                return None
            for _, name, sequence, digest in parts:
                if name not in read or read[name] < (sequence, digest):
                    read[name] = sequence, digest
        return read

    def renames(self, vector: Vector) -> Renames | None:
        """How the dots of a version with this vector are to be read; None where a chain has a gap."""
        if not self.forks:
            return {}
        found: dict[bytes, tuple[tuple[int, bytes], ...]] = {}
        for writer, item in vector.items():
            parts = self._parts(writer, *item)
            if parts is None:
                return None
            names = [part[1] for part in parts]
            # A branch's own name stands for what follows its start; forks before that renamed others.
            later = parts[names.index(writer) + 1 :] if writer in names else parts
            if later:
                found[writer] = tuple((first, name) for first, name, _, _ in later)
        return found

    def _parts(self, writer: bytes, sequence: int, digest: bytes) -> list[_Part] | None:
        """An item of a vector as several, each from where its name begins."""
        head = self._head(digest)
        if head is None:
            places = self.forks.get(writer, ())
            return None if places and places[0] <= sequence else [(1, writer, sequence, digest)]
        points = self._pass(head)
        if points is None:
            return None
        if not points:
            return [(1, head.writer, sequence, digest)]
        parts: list[_Part] = []
        base = self._before(points[0][1])
        if points[0][0] > 1:
            parts.append((1, head.writer, points[0][0] - 1, base))
        for (first, through), (following, ahead) in pairwise(points):
            parts.append((first, branch_writer(head.writer, through), following - 1, self._before(ahead)))
        parts.append((points[-1][0], branch_writer(head.writer, points[-1][1]), sequence, digest))
        return parts

    def _before(self, digest: bytes) -> bytes:
        head = self._head(digest)
        return NO_HEAD if head is None else head.previous

    def _pass(self, head: KnownHead) -> _Points | None:
        """The forks of its writer that a head's chain goes through."""
        places = self.forks.get(head.writer, ())
        if not places or head.sequence < places[0]:
            return ()
        walked: list[KnownHead] = []
        at: KnownHead | None = head
        points: _Points | None = ()
        while at is not None and at.sequence >= places[0]:
            if at.hash in self._points:
                points = self._points[at.hash]
                break
            walked.append(at)
            if at.sequence == places[0]:
                break
            at = self._head(at.previous)
        else:
            points = None  # the chain ends before it came to the first fork
        forked = frozenset(places)
        for one in reversed(walked):
            if points is not None and one.sequence in forked:
                points = (*points, (one.sequence, one.hash))
            self._points[one.hash] = points
        return points
