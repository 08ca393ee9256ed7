"""Textmerge: three texts to one, line by line: what only one side changed is taken, what both changed is shown.

Lines are matched by those that are there once on each side, and only what lies between them by comparing all with all;
the work is bounded, and where the bound is met lines count as changed.  That never loses a line: what is not matched
ends up in a clash, with both sides in it.

Flow: base, ours, theirs -> merge_texts -> Merged -> whoever offers it to a person
Never: applies a merge, or chooses between two sides.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from ropewalk.errors import Refused

__all__ = ["LARGEST_TEXT", "Clash", "Merged", "NotMergeable", "merge_texts"]

LARGEST_TEXT = 8 * 1024 * 1024  # bytes; what a person will look at is far smaller, and more takes long
MOST_STEPS = 10_000_000  # comparisons beyond one look at all lines: some seconds at the worst

Lines = Sequence[bytes]
_Region = tuple[int, int, int, int]  # from and to in one text, from and to in the other
_Match = tuple[int, int, int]  # where in one text, where in the other, and how many lines


class NotMergeable(Refused):
    """A file is no text, or too large for it to be merged by lines."""

    code = "textmerge.not-mergeable"


@dataclass(frozen=True, slots=True)
class Clash:
    """What both sides made of the same lines, each something else; ``base`` is None where it is not known."""

    ours: bytes
    base: bytes | None
    theirs: bytes


@dataclass(frozen=True, slots=True)
class Merged:
    """The one text, with clashes between the parts that are not in question."""

    parts: Sequence[bytes | Clash]

    @property
    def clashes(self) -> int:
        """How many there are; 0 for a merge that is clean."""
        return sum(isinstance(part, Clash) for part in self.parts)

    def text(self, ours: str = "ours", base: str = "base", theirs: str = "theirs") -> bytes:
        """All of it; a clash as both sides between lines that name them, as version control shows it."""
        names = [name.replace("\n", " ").encode(errors="replace") for name in (ours, base, theirs)]
        return b"".join(part if isinstance(part, bytes) else b"".join(_shown(part, names)) for part in self.parts)


def merge_texts(base: bytes | None, ours: bytes, theirs: bytes) -> Merged:
    """What both sides made of ``base``, as one text.

    Args:
        base: What both began with; None where it is not known, and then all that differs is a clash.
        ours: One side.
        theirs: The other.

    Raises:
        NotMergeable: One of them is not UTF-8, has a NUL in it, or has over 8 MiB.
    """
    if base is None:
        one, other = _lines(ours, "one side"), _lines(theirs, "the other side")
        matches = [(x, x, y, count) for x, y, count in _matches(one, other)]
        return Merged(_parts(None, one, other, matches))
    begun, one, other = _lines(base, "the base"), _lines(ours, "one side"), _lines(theirs, "the other side")
    return Merged(_parts(begun, one, other, _stable(_matches(begun, one), _matches(begun, other))))


def _lines(data: bytes, what: str) -> Lines:
    if len(data) > LARGEST_TEXT:
        raise NotMergeable(
            f"{what} has {len(data)} bytes, expected at most {LARGEST_TEXT}", hint="choose one of the two by hand"
        )
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise NotMergeable(
            f"{what} is not UTF-8 text at byte {error.start}", hint="choose one of the two by hand"
        ) from None
    if b"\0" in data:
        raise NotMergeable(f"{what} has a NUL in it, which no text has", hint="choose one of the two by hand")
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]  # without it where the text ends in none
    return lines if lines[-1] else lines[:-1]


def _stable(one: Sequence[_Match], other: Sequence[_Match]) -> list[tuple[int, int, int, int]]:
    """Lines of the base that both sides kept: where they stand in each, and how many."""
    found = []
    at = which = 0
    while at < len(one) and which < len(other):
        start, x, count = one[at]
        begin, y, size = other[which]
        first, last = max(start, begin), min(start + count, begin + size)
        if first < last:
            found.append((first, x + first - start, y + first - begin, last - first))
        if start + count <= begin + size:
            at += 1
        else:
            which += 1
    return found


def _parts(
    base: Lines | None, one: Lines, other: Lines, stable: Sequence[tuple[int, int, int, int]]
) -> list[bytes | Clash]:
    parts: list[bytes | Clash] = []
    sure: list[bytes] = []  # lines not in question, since the last clash
    at = x = y = 0
    size = len(one if base is None else base)
    for begin, left, right, count in [*stable, (size, len(one), len(other), 0)]:
        begun = None if base is None else base[at:begin]
        ours, theirs = one[x:left], other[y:right]
        if ours == theirs or theirs == begun:
            sure += ours
        elif ours == begun:
            sure += theirs
        else:
            parts += [b"".join(sure)] * bool(sure)
            sure = []
            parts.append(Clash(b"".join(ours), None if begun is None else b"".join(begun), b"".join(theirs)))
        sure += one[left : left + count]
        at, x, y = begin + count, left + count, right + count
    return [*parts, b"".join(sure)] if sure else parts


def _shown(clash: Clash, names: Sequence[bytes]) -> Iterator[bytes]:
    yield b"<<<<<<< %s\n" % names[0]
    yield _ended(clash.ours)
    if clash.base is not None:
        yield b"||||||| %s\n" % names[1]
        yield _ended(clash.base)
    yield b"=======\n"
    yield _ended(clash.theirs)
    yield b">>>>>>> %s\n" % names[2]


def _ended(text: bytes) -> bytes:
    return text if not text or text.endswith(b"\n") else text + b"\n"


# -- which lines are the same --------------------------------------------------------------------------------------


def _matches(one: Lines, other: Lines) -> list[_Match]:
    """Equal lines, in order in both: as many at a time as follow each other."""
    found: list[_Match] = []
    regions: list[_Region] = [(0, len(one), 0, len(other))]
    steps = MOST_STEPS + len(one) + len(other)
    while regions:
        a, b, c, d = regions.pop()
        head = 0
        while a + head < b and c + head < d and one[a + head] == other[c + head]:
            head += 1
        tail = 0
        while a + head < b - tail and c + head < d - tail and one[b - tail - 1] == other[d - tail - 1]:
            tail += 1
        found += [(a, c, head)] * bool(head) + [(b - tail, d - tail, tail)] * bool(tail)
        a, b, c, d = a + head, b - tail, c + head, d - tail
        steps -= b - a + d - c
        if a == b or c == d or steps < 0:
            continue
        here, there = Counter(one[a:b]), Counter(other[c:d])
        if anchors := _anchors(one, other, (a, b, c, d), here, there):
            # An anchor begins the region after it, and is matched as the head of that.
            cuts = [(a, c), *anchors, (b, d)]
            regions += [(x, u, y, v) for (x, y), (u, v) in pairwise(cuts)]
            continue
        pairs = sum(count * there[line] for line, count in here.items() if line in there)
        steps -= pairs * min(b - a, d - c)
        if pairs and steps >= 0:
            blocks = SequenceMatcher(None, one[a:b], other[c:d], autojunk=False).get_matching_blocks()
            found += [(a + x, c + y, count) for x, y, count in blocks if count]
    return sorted(found)


def _anchors(
    one: Lines, other: Lines, region: _Region, here: Counter[bytes], there: Counter[bytes]
) -> list[tuple[int, int]]:
    """Lines that are once on each side of a region, as many as stand in one order in both."""
    a, b, c, d = region
    where = {other[y]: y for y in range(c, d) if there[other[y]] == 1}
    pairs = [(x, where[one[x]]) for x in range(a, b) if here[one[x]] == 1 and one[x] in where]
    ends: list[int] = []  # the least last place of an ascending row of each length
    last: list[int] = []  # which pair that is
    before: list[int] = []  # of each pair, the one before it in its row
    for which, (_, y) in enumerate(pairs):
        at = bisect_left(ends, y)
        before.append(last[at - 1] if at else -1)
        if at == len(ends):
            ends.append(y)
            last.append(which)
        else:
            ends[at], last[at] = y, which
    row: list[tuple[int, int]] = []
    which = last[-1] if last else -1
    while which >= 0:
        row.append(pairs[which])
        which = before[which]
    return row[::-1]
