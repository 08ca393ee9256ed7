"""Branches: by which name each head of a forked writer is read (docs/spec/groups.md 5).

Flow: places of forks, chains of heads -> names of writers, vectors and dots as they are to be read
Never: depends on which branch was found first, or on who asks: all branches get names of their own.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ropewalk.spaces.envelope import NO_HEAD
from ropewalk.spaces.state import KnownHead
from ropewalk.spaces.tree.relabel import branch_writer
from ropewalk.spaces.vectors import MOST_NUMBER, Vector

__all__ = ["Branches", "Renames", "before_of", "branch_writer"]

MOST_PLACES = 65_536  # heads whose place is kept, so that they are not read again: some 10 MB

Renames = Mapping[bytes, tuple[tuple[int, bytes], ...]]  # writer -> from which sequence on by which name, ascending

_Part = tuple[int, bytes, int, bytes]  # from a sequence on, by a name, to a sequence, which has a hash


@dataclass(frozen=True, slots=True)
class _Point:
    """A fork that a chain goes through; of each head the last is kept alone, or many forks would take a square of it.

    There is one object for each head at a fork, so what they say is worked out once and no head is read for it again.
    """

    sequence: int
    name: bytes  # of the branch that begins there
    previous: bytes  # hash that the head there follows
    last: _Point | None  # the fork before it


def before_of(head: KnownHead, find: Callable[[bytes], KnownHead | None]) -> KnownHead | None:
    """The head that another one follows, where it is known; one of another place is none."""
    before = find(head.previous) if head.previous != NO_HEAD else None
    fits = before is not None and (before.writer, before.sequence + 1) == (head.writer, head.sequence)
    return before if fits else None


class Branches:
    """How heads are read while some writers are known to have forked.

    A head is of the branch of the last fork that its chain is known to go through.  What lies behind a gap is not
    asked for: who forks there, where nobody can look, must not hide what others have built on a head.

    Args:
        forks: Writer to the sequences at which it did, ascending.
        head: A known head by its hash, whatever became of it.
    """

    def __init__(self, forks: Mapping[bytes, Sequence[int]], head: Callable[[bytes], KnownHead | None]) -> None:
        self.forks: dict[bytes, list[int]] = {writer: list(places) for writer, places in forks.items()}
        self._head = head
        self._points: dict[bytes, _Point | None] = {}  # the last one, by head hash
        self._order: dict[bytes, list[tuple[int, bytes]]] = {}  # by writer, sequence and hash of those, ascending
        self._places: dict[bytes, tuple[bytes, int]] = {}  # writer and sequence of heads that vectors name
        self._own: set[bytes] = set()  # writers that are known to be none of branches
        self._starts: dict[bytes, int] = {}  # by head hash, from which sequence on its chain is known
        self._begun: dict[bytes, tuple[bytes, int]] = {}  # writer and sequence of each of those, by its branch's name
        self._ends: set[bytes] = set()  # hashes of heads that are not known, and that chains of all those end in

    def came(self, digest: bytes) -> None:
        """A head is known from now on."""
        if digest in self._ends:
            self._points.clear()
            self._order.clear()
            self._ends.clear()
            self._starts.clear()
            self._begun.clear()

    def forked(self, writer: bytes, sequence: int) -> None:
        """A fork is known from now on; what lies before it is read as it was."""
        places = self.forks.setdefault(writer, [])
        at = bisect_left(places, sequence)
        if places[at : at + 1] == [sequence]:
            return
        places.insert(at, sequence)
        order = self._order.get(writer, [])
        first = bisect_left(order, (sequence, b""))
        for _, digest in order[first:]:
            del self._points[digest]
        del order[first:]

    def name(self, head: KnownHead) -> bytes:
        """The writer that a head belongs to."""
        point = self._pass(head)
        return point.name if point is not None else head.writer

    def may_mean(self, name: bytes, head: KnownHead) -> bool:
        """Whether somebody may have named a head so: as its writer's, or a branch's, of a fork that is known or not.

        A branch's name commits to the head with which it begins, so no fork need be known for it.
        """
        return name == head.writer or self._begins(name, head.hash, [*_back(self._pass(head))])

    def vector(self, vector: Vector) -> Vector:
        """A vector as it is to be read."""
        if not self.forks and not self._names_others(vector):
            return vector
        read: dict[bytes, tuple[int, bytes]] = {}
        for writer, item in vector.items():
            for _, name, sequence, digest in self._parts(writer, *item):
                if name not in read or read[name] < (sequence, digest):
                    read[name] = sequence, digest
        return read

    def renames(self, vector: Vector) -> Renames:
        """How the dots of a version with this vector are to be read."""
        if not self.forks and not self._names_others(vector):
            return {}
        found: dict[bytes, tuple[tuple[int, bytes], ...]] = {}
        for writer, item in vector.items():
            parts = self._parts(writer, *item)
            names = [part[1] for part in parts]
            # A branch's own name stands for what follows its start; forks before that renamed others.  One of a fork
            # that is not known stands for its writer, or for what others call that.
            later = parts[names.index(writer) + 1 :] if writer in names else parts
            if later:
                found[writer] = tuple((first, name) for first, name, _, _ in later)
        return found

    def _parts(self, writer: bytes, sequence: int, digest: bytes) -> list[_Part]:
        """An item of a vector as several, each from where its name begins."""
        known = self._place(digest)
        if known is None or known[1] != sequence:
            return [(1, writer, sequence, digest)]
        by = known[0]
        points = [*_back(self._last(by, sequence, digest))][::-1]
        if writer != by and not self._begins(writer, digest, points):
            return [(1, writer, sequence, digest)]
        if not points:
            return [(1, by, sequence, digest)]
        parts: list[_Part] = []
        if points[0].sequence > 1:
            parts.append((1, by, points[0].sequence - 1, points[0].previous))
        for point, following in pairwise(points):
            parts.append((point.sequence, point.name, following.sequence - 1, following.previous))
        parts.append((points[-1].sequence, points[-1].name, sequence, digest))
        return parts

    def _names_others(self, vector: Vector) -> bool:
        """Whether something in it is called otherwise than by its writer; of each writer one head is asked for."""
        for name, (_, digest) in vector.items():
            if name not in self._own and (known := self._place(digest)) is not None:
                if known[0] != name:
                    return True
                self._own.add(name)
        return False

    def _begins(self, name: bytes, digest: bytes, points: Sequence[_Point]) -> bool:
        """Whether a chain is known to go through the head with which a branch of this name begins."""
        if any(point.name == name for point in points):
            return True
        if (known := self._place(digest)) is None:
            return False
        if digest not in self._starts and (head := self._head(digest)) is not None:
            self._walk(head)
        by, sequence = self._begun.get(name, (b"", 0))
        if by != known[0] or not self._starts.get(digest, MOST_NUMBER) <= sequence <= known[1]:
            return False
        # Where no fork is known there is one head of a sequence alone, so it is this chain's.
        return sequence not in self.forks.get(by, ())

    def _walk(self, head: KnownHead) -> None:
        """From which sequence on a head's chain is known.  Each head is looked at once, whoever names it how often."""
        walked: list[bytes] = []
        at = head
        while at.hash not in self._starts:
            walked.append(at.hash)
            self._begun[branch_writer(at.writer, at.hash)] = at.writer, at.sequence
            before = before_of(at, self._head)
            if before is None:
                if at.sequence > 1:
                    self._ends.add(at.previous)
                self._starts[at.hash] = at.sequence
            else:
                at = before
        self._starts.update(dict.fromkeys(walked, self._starts[at.hash]))

    def _place(self, digest: bytes) -> tuple[bytes, int] | None:
        found = self._places.get(digest)
        if found is None and (head := self._head(digest)) is not None:
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            found = self._places[digest] = head.writer, head.sequence
        return found

    def _last(self, writer: bytes, sequence: int, digest: bytes) -> _Point | None:
        if sequence < self.forks.get(writer, (MOST_NUMBER,))[0]:
            return None
        if digest in self._points:
            return self._points[digest]
        head = self._head(digest)
        return self._pass(head) if head is not None else None

    def _pass(self, head: KnownHead) -> _Point | None:
        """The last fork of its writer that a head's chain is known to go through."""
        places = self.forks.get(head.writer, ())
        if not places or head.sequence < places[0]:
            return None
        walked: list[KnownHead] = []
        at: KnownHead | None = head
        point: _Point | None = None
        while at is not None and at.sequence >= places[0]:
            if at.hash in self._points:
                point = self._points[at.hash]
                break
            walked.append(at)
            following = before_of(at, self._head)
            if following is None and at.sequence > places[0]:
                self._ends.add(at.previous)
            at = following
        forked, order = frozenset(places) if len(walked) > 1 else places, self._order.setdefault(head.writer, [])
        for one in reversed(walked):
            if one.sequence in forked:
                point = _Point(one.sequence, branch_writer(one.writer, one.hash), one.previous, point)
            self._points[one.hash] = point
            insort(order, (one.sequence, one.hash))
        return point


def _back(point: _Point | None) -> Iterator[_Point]:
    while point is not None:
        yield point
        point = point.last
