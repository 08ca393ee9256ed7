"""Vectors: what a version has seen, as heads and cuts write it (docs/spec/space.md 6.3, groups.md 4.1).

Flow: writer -> sequence and hash <-> the flat array of a record; two vectors -> which has seen more
Never: asks whether a head that is named exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ropewalk.errors import Damaged

__all__ = [
    "MOST_NUMBER",
    "MOST_SEEN",
    "Vector",
    "VectorMalformed",
    "first_missing",
    "format_vector",
    "joined",
    "parse_vector",
]

Vector = Mapping[bytes, tuple[int, bytes]]  # writer -> sequence and hash of its newest head that was seen

MOST_NUMBER = (1 << 63) - 1  # of any number in a head: the local state keeps signed ones
MOST_SEEN = 1024  # writers in a vector


class VectorMalformed(Damaged):
    """An array is not a vector: of other things, out of order, or too long."""

    code = "vectors.malformed"


def format_vector(vector: Vector) -> list[bytes | int]:
    """The flat array, by writer."""
    flat: list[bytes | int] = []
    for writer in sorted(vector):
        flat += (writer, *vector[writer])
    return flat


def parse_vector(flat: Sequence[bytes | int]) -> dict[bytes, tuple[int, bytes]]:
    """What `format_vector` made.

    Raises:
        VectorMalformed.
    """
    if len(flat) % 3 or len(flat) > 3 * MOST_SEEN:
        raise VectorMalformed(f"a vector of {len(flat)} parts, expected 3 for each of {MOST_SEEN} writers at most")
    vector: dict[bytes, tuple[int, bytes]] = {}
    last = b""
    for writer, sequence, digest in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
        if not (isinstance(writer, bytes) and isinstance(sequence, int) and isinstance(digest, bytes)):
            raise VectorMalformed("a vector of other things than writer, sequence and hash")
        if len(writer) != 16 or writer <= last or not 1 <= sequence <= MOST_NUMBER or len(digest) != 32:
            raise VectorMalformed("a vector that is not in order")
        vector[writer] = sequence, digest
        last = writer
    return vector


def joined(vectors: Iterable[Vector]) -> dict[bytes, tuple[int, bytes]]:
    """What any of them has seen."""
    seen: dict[bytes, tuple[int, bytes]] = {}
    for vector in vectors:
        for writer, item in vector.items():
            if writer not in seen or item > seen[writer]:
                seen[writer] = item
    return seen


def first_missing(less: Vector, more: Vector) -> bytes | None:
    """A writer of ``more`` of which ``less`` has seen less; None where it has seen all of it."""
    for writer, (sequence, _) in more.items():
        if less.get(writer, (0, b""))[0] < sequence:
            return writer
    return None
