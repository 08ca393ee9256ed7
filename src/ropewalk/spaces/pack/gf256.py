"""The field GF(2^8) that packs are coded in, its matrices, and columns combined without any library.

Flow: erasure -> [Tables] -> bytes.translate for products, whole numbers for sums
Never: knows what a pack is, or loops in Python over the bytes of a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import ClassVar

from ropewalk.errors import Misuse

__all__ = ["Tables", "inverse", "invert", "product"]

POLYNOMIAL = 0x11D  # x^8 + x^4 + x^3 + x^2 + 1, fixed by the format; x generates every element but 0
BLOCK = 64 * 1024  # bytes combined at a time; what is in flight stays in the cache and other threads get their turn


def _powers_of_x() -> list[int]:
    power, powers = 1, []
    for _ in range(255):
        powers.append(power)
        power = power << 1 ^ (POLYNOMIAL if power & 0x80 else 0)
    return powers


_POWERS = _powers_of_x()
_LOGARITHMS = {power: exponent for exponent, power in enumerate(_POWERS)}


def inverse(value: int) -> int:
    """The element (1..255) whose product with ``value`` (1..255) is 1.

    Raises:
        Misuse: ``value`` is 0 or no byte.
    """
    if value not in _LOGARITHMS:
        raise Misuse(f"element {value} has no inverse: want 1 to 255")
    return _POWERS[-_LOGARITHMS[value] % 255]


@cache
def _multiples(factor: int) -> bytes:
    """What each byte becomes when multiplied by ``factor``: a table for ``bytes.translate``."""
    if factor == 0:
        return bytes(256)
    shift = _LOGARITHMS[factor]
    return bytes([0, *(_POWERS[(_LOGARITHMS[value] + shift) % 255] for value in range(1, 256))])


def product(row: bytes, matrix: Sequence[bytes]) -> bytes:
    """``row`` times ``matrix``: the sum of the matrix's rows, each multiplied by its element of ``row``.

    All rows of the matrix have one length, and there are as many as ``row`` has elements.
    """
    total = 0
    for factor, line in zip(row, matrix, strict=True):
        if factor:
            total ^= int.from_bytes(line.translate(_multiples(factor)), "little")
    return total.to_bytes(len(matrix[0]), "little")


def invert(matrix: Sequence[bytes]) -> list[bytes]:
    """The inverse of a square matrix, by Gauss and Jordan's elimination.

    Raises:
        Misuse: The matrix has no inverse.
    """
    size = len(matrix)
    # The unit matrix rides along on the right and ends as the inverse.
    lines = [row + (1 << 8 * index).to_bytes(size, "little") for index, row in enumerate(matrix)]
    for column in range(size):
        pivot = next((index for index in range(column, size) if lines[index][column]), None)
        if pivot is None:
            raise Misuse(f"matrix of {size} rows has no inverse: want rows of which none is a sum of others")
        lines[column], lines[pivot] = lines[pivot], lines[column]
        lines[column] = lines[column].translate(_multiples(inverse(lines[column][column])))
        for index, line in enumerate(lines):
            if index != column and line[column]:
                lines[index] = product(bytes([1, line[column]]), [line, lines[column]])
    return [line[size:] for line in lines]


class Tables:
    """The arithmetic with nothing but the interpreter: right everywhere, and some hundred MB/s a thread."""

    name: ClassVar[str] = "tables"

    def prepare(self, rows: Sequence[bytes]) -> _Combination:
        """A combination that gives one output a row; see ``erasure.Arithmetic``."""
        return _Combination(rows)


class _Combination:
    def __init__(self, rows: Sequence[bytes]) -> None:
        self._rows = tuple(rows)

    def __call__(self, columns: Sequence[memoryview], length: int) -> list[bytearray]:
        outputs = [bytearray(length) for _ in self._rows]
        for start in range(0, length, BLOCK):
            size = min(BLOCK, length - start)
            # A number has no length: the zeros that a short column lacks at its end need no padding here.
            blocks = [bytes(column[start : start + size]) for column in columns]
            for row, output in zip(self._rows, outputs, strict=True):
                total = 0
                for factor, block in zip(row, blocks, strict=True):
                    if factor:
                        scaled = block if factor == 1 else block.translate(_multiples(factor))
                        total ^= int.from_bytes(scaled, "little")
                output[start : start + size] = total.to_bytes(size, "little")
        return outputs
