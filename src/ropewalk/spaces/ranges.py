"""Ranges: which bytes of which columns to ask a store for, so that few reads give many chunks.

Flow: places of chunks -> ranges -> Reader -> bytes of ranges -> bytes of chunks
Never: does I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ropewalk.spaces.state import Located

__all__ = ["Range", "batches", "grouped", "ranges_of", "slices", "tiny"]

GAP = 64 * 1024  # bytes between two chunks below which one read for both is cheaper than two
LONGEST_READ = 16 * 1024 * 1024  # bytes of one get
ONE_JOB = 2 * 1024 * 1024  # bytes that a worker opens before it answers
TINY = 64 * 1024  # bytes a chunk; below it a thread holds Python's lock most of its time, and two wait for each other


class Range(msgspec.Struct, frozen=True):
    """Some bytes of one column."""

    column: int
    start: int
    stop: int


def ranges_of(places: Iterable[Located]) -> list[Range]:
    """What to read for these chunks: neighbours together."""
    ranges: list[Range] = []
    for place in sorted(places, key=lambda place: (place.column, place.offset)):
        end = place.offset + place.length
        if ranges:
            last = ranges[-1]
            if last.column == place.column and place.offset - last.stop <= GAP and end - last.start <= LONGEST_READ:
                ranges[-1] = Range(last.column, last.start, max(last.stop, end))
                continue
        ranges.append(Range(place.column, place.offset, end))
    return ranges


def grouped(places: Iterable[Located], ranges: Sequence[Range]) -> dict[Range, list[Located]]:
    """Which of these chunks lie in which of the ranges that `ranges_of` made for them."""
    groups: dict[Range, list[Located]] = {wanted: [] for wanted in ranges}
    at = 0
    for place in sorted(places, key=lambda place: (place.column, place.offset)):
        while not (ranges[at].column == place.column and ranges[at].start <= place.offset < ranges[at].stop):
            at += 1
        groups[ranges[at]].append(place)
    return groups


def slices(
    places: Sequence[Located], ranges: Sequence[Range], got: Mapping[Range, memoryview]
) -> dict[bytes, memoryview]:
    """The bytes of each chunk, from those of the ranges."""
    sealed = {}
    at = 0
    for place in sorted(places, key=lambda place: (place.column, place.offset)):
        while not (ranges[at].column == place.column and ranges[at].start <= place.offset < ranges[at].stop):
            at += 1
        offset = place.offset - ranges[at].start
        sealed[place.id] = got[ranges[at]][offset : offset + place.length]
    return sealed


def tiny(places: Sequence[Located]) -> bool:
    """Whether the chunks are so small that one thread opens them sooner than two."""
    return sum([place.length for place in places]) < TINY * len(places)


def batches(places: Sequence[Located]) -> list[list[Located]]:
    """Chunks in groups that take a worker about as long."""
    if tiny(places):
        return [list(places)]
    batches: list[list[Located]] = []
    size = ONE_JOB
    for place in places:
        if size >= ONE_JOB:
            batches.append([])
            size = 0
        batches[-1].append(place)
        size += place.length
    return batches
