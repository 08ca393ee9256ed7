"""The erasure code of packs: systematic Cauchy Reed-Solomon over GF(2^8), any k of n columns give back all.

Flow: pack -> Code -> [Arithmetic: isal, else gf256] -> columns
Never: decides where a column lies, checks that its bytes are the right ones, or changes what it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Protocol

from ropewalk.errors import Misuse
from ropewalk.spaces.pack import isal
from ropewalk.spaces.pack.gf256 import Tables, inverse, invert, product

__all__ = ["LONGEST_RANGE", "MOST_COLUMNS", "Arithmetic", "Buffer", "Code", "Combination", "backend", "generator_row"]

Buffer = bytes | bytearray | memoryview

MOST_COLUMNS = 64  # the field allows 256; each is one more put a pack, and the worst matrix must invert in some 10 ms
LONGEST_RANGE = 1 << 30  # bytes of one column at a time; ISA-L counts in a signed 32-bit int, and a pack is far smaller
MOST_PLANS = 64  # combinations kept, for all codes together; each takes 32 bytes times k times the columns it makes


class Combination(Protocol):
    """Sums of columns multiplied by the elements of a matrix.  Any number of threads may call one at once."""

    def __call__(self, columns: Sequence[memoryview], length: int) -> list[bytearray]:
        """One output of ``length`` bytes for each row of the matrix.

        The columns are flat views of bytes, at most ``length`` long, and count as padded with zeros.
        """


class Arithmetic(Protocol):
    """A way to do the sums.  All give the same bytes."""

    @property
    def name(self) -> str:
        """A word for status and logs."""

    def __hash__(self) -> int:
        """What it prepared is remembered under it."""

    def prepare(self, rows: Sequence[bytes]) -> Combination:
        """What combines columns by a matrix of at least one row, each as long as there will be columns."""


class Code:
    """The code of one shape: ``k`` data columns, numbered from 0, and after them parity columns up to ``n`` in all.

    Byte x of each parity column depends on byte x of each data column and on nothing else, so the same range of any
    k columns gives back that range of the others.  Safe to use from several threads at once.

    Raises:
        Misuse: Not 1 <= k <= n <= ``MOST_COLUMNS``.
    """

    def __init__(self, k: int, n: int, *, arithmetic: Arithmetic | None = None) -> None:
        if not 1 <= k <= n <= MOST_COLUMNS:
            raise Misuse(f"code of k={k} and n={n} cannot be: want 1 <= k <= n <= {MOST_COLUMNS}")
        self.k = k
        self.n = n
        self._arithmetic = arithmetic or _best()

    def encode(self, columns: Sequence[Buffer], length: int) -> list[bytearray]:
        """The n-k parity columns of ``length`` bytes (0 to ``LONGEST_RANGE``) for the k data columns.

        A column shorter than ``length`` counts as padded with zeros.

        Raises:
            Misuse: Not k columns, one longer than ``length``, or one that does not lie in memory in one piece.
        """
        if len(columns) != self.k:
            raise Misuse(f"code got {len(columns)} data columns: want {self.k}")
        return self.rebuild(dict(enumerate(columns)), range(self.k, self.n), length)

    def rebuild(self, present: Mapping[int, Buffer], wanted: Sequence[int], length: int) -> list[bytearray]:
        """The columns numbered ``wanted``, data or parity, in that order, from any k others.

        Args:
            present: Column numbers with the same range of each.  One shorter than ``length`` counts as padded with
                zeros.  Of more than k, those with the lowest numbers are used.
            wanted: Column numbers; one that is present as well comes back as a copy, or computed if it was not used.
            length: Bytes of the range, 0 to ``LONGEST_RANGE``.

        Raises:
            Misuse: Fewer than k columns, a number that is not of this code, a column longer than ``length``, or one
                that does not lie in memory in one piece.
        """
        strange = [index for index in (*present, *wanted) if not 0 <= index < self.n]
        if strange:
            raise Misuse(f"column {strange[0]} is not of this code: want 0 to {self.n - 1}")
        if len(present) < self.k:
            raise Misuse(f"code got {len(present)} columns: want {self.k} of {self.n}")
        used = tuple(sorted(present)[: self.k])
        if not 0 <= length <= LONGEST_RANGE:
            raise Misuse(f"range of {length} bytes is out of bounds: want 0 to {LONGEST_RANGE}")
        views = [_view(present[index], length) for index in used]
        return _combination(self._arithmetic, used, tuple(wanted))(views, length) if wanted else []


def backend() -> str:
    """What does the sums here: ``isa-l``, or ``tables`` where it is missing."""
    return _best().name


def generator_row(k: int, index: int) -> bytes:
    """How column ``index`` follows from the ``k`` data columns: one factor for each.

    A data column is itself; parity column i takes column j times the inverse of (i xor j), so that every square part
    of the parity rows is a Cauchy matrix and has an inverse: any k columns are enough.
    """
    if index < k:
        return bytes(column == index for column in range(k))
    return bytes(inverse(index ^ column) for column in range(k))


@lru_cache(maxsize=MOST_PLANS)
def _combination(arithmetic: Arithmetic, used: tuple[int, ...], wanted: tuple[int, ...]) -> Combination:
    """What makes the ``wanted`` columns of the ``used`` ones, which are k; n has no part in it."""
    k = len(used)
    to_data = invert([generator_row(k, index) for index in used])
    return arithmetic.prepare([product(generator_row(k, index), to_data) for index in wanted])


def _view(column: Buffer, length: int) -> memoryview:
    """The column as a flat view of at most ``length`` bytes."""
    try:
        view = memoryview(column).cast("B")
    except TypeError as error:
        raise Misuse("column does not lie in memory in one piece: want a contiguous buffer") from error
    if len(view) > length:
        raise Misuse(f"column has {len(view)} bytes: want at most the {length} of the range")
    return view


@cache
def _best() -> Arithmetic:
    return _proven(isal.load(), Tables())


def _proven(fast: Arithmetic | None, sure: Arithmetic) -> Arithmetic:
    """``fast`` if it is there and gives what ``sure`` gives."""
    if fast is None:
        return sure
    # Wrong parity would only be noticed once data is lost, and the library is not ours: it shows that it can do it.
    # The lengths leave a rest whatever number of bytes it takes at a time, and the second column ends early.
    columns = [memoryview(bytes(range(256)) * 3)[start:end] for start, end in ((0, 331), (85, 385), (170, 501))]
    rows = [generator_row(3, index) for index in range(3, 9)]
    return fast if fast.prepare(rows)(columns, 331) == sure.prepare(rows)(columns, 331) else sure
