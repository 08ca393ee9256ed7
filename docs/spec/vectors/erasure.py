"""Vectors of the erasure code (space.md 5.1): shapes, columns, parity, and what is rebuilt from what.

Flow: ropewalk.spaces.pack.erasure -> cases -> make.py -> JSON
Never: draws a random number: the bytes are the same in every run.
"""

from __future__ import annotations

from hashlib import shake_128

from ropewalk.spaces.pack.erasure import Code, generator_row

__all__ = ["cases"]

# k, the lengths of the data columns, n, and for each rebuild: columns present, columns wanted, offset, length
_Rebuild = tuple[list[int], list[int], int, int]
_SHAPES: list[tuple[list[int], int, list[_Rebuild]]] = [
    ([40], 1, [([0], [0], 0, 40)]),
    ([33], 3, [([2], [0, 1], 0, 33), ([1], [2], 5, 20)]),
    ([16, 16], 2, [([0, 1], [1], 0, 16)]),
    ([70, 70], 3, [([1, 2], [0], 0, 70), ([0, 2], [1], 64, 6)]),
    (
        [100, 64, 0],
        5,
        [
            ([2, 3, 4], [0, 1], 0, 100),
            ([0, 3, 4], [1, 2], 60, 40),
            ([1, 2, 4], [0, 3], 17, 33),
            ([0, 1, 2], [4], 0, 100),
        ],
    ),
    ([0, 0, 0], 5, [([0, 1, 4], [2, 3], 0, 0)]),
    ([24, 23, 22, 21], 10, [([6, 7, 8, 9], [0, 1, 2, 3, 4, 5], 0, 24), ([0, 3, 5, 9], [1, 2, 4], 8, 16)]),
    ([5] * 32, 64, [(list(range(32, 64)), [0, 31], 0, 5)]),
    ([3] * 63, 64, [(list(range(1, 64)), [0], 0, 3)]),
]


def cases() -> list[dict[str, object]]:
    """One object a shape.

    Fields: ``k``, ``n``; ``parity_rows``: n-k rows of k factors; ``length``: of the longest data column; ``data``: the
    data columns without their zeros; ``parity``: n-k columns; ``rebuilds``: objects of ``present`` (column numbers),
    ``wanted`` (column numbers), ``offset`` and ``length`` of the range in every column, ``columns``: that range of the
    wanted columns, zeros included.  Numbers count bytes; all bytes are in lower-case hex.
    """
    return [_case(lengths, n, rebuilds) for lengths, n, rebuilds in _SHAPES]


def _case(lengths: list[int], n: int, rebuilds: list[_Rebuild]) -> dict[str, object]:
    k, longest = len(lengths), max(lengths)
    code = Code(k, n)
    data = [_column(k, number, size) for number, size in enumerate(lengths)]
    parity = [bytes(column) for column in code.encode(data, longest)]
    columns = [*data, *parity]
    return {
        "k": k,
        "n": n,
        "parity_rows": [generator_row(k, number).hex() for number in range(k, n)],
        "length": longest,
        "data": [column.hex() for column in data],
        "parity": [column.hex() for column in parity],
        "rebuilds": [_rebuild(code, columns, *rebuild) for rebuild in rebuilds],
    }


def _column(k: int, number: int, size: int) -> bytes:
    return shake_128(f"ropewalk erasure vector {k} {number}".encode()).digest(size)


def _rebuild(
    code: Code, columns: list[bytes], present: list[int], wanted: list[int], offset: int, length: int
) -> dict[str, object]:
    given = {number: columns[number][offset : offset + length] for number in present}
    return {
        "present": present,
        "wanted": wanted,
        "offset": offset,
        "length": length,
        "columns": [column.hex() for column in code.rebuild(given, wanted, length)],
    }
