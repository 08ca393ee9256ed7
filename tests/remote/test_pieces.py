"""Pieces: a range is cut into as few as can be, of one length, without a gap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ropewalk.remote.pieces import PIECE, cut, streamed


@given(st.integers(0, 1 << 40), st.integers(0, 20 * PIECE))
def test_a_range_is_cut_evenly(start: int, length: int) -> None:
    found = cut(start, length)
    assert sum(size for _, size in found) == length
    assert [at for at, _ in found] == [start + sum(size for _, size in found[:number]) for number in range(len(found))]
    assert len(found) == max(-(-length // PIECE), 1)
    assert max(size for _, size in found) - min(size for _, size in found) <= 1


async def test_what_is_put_is_neither_copied_nor_open_to_change() -> None:
    column = bytearray(PIECE + 1)
    given_out = [piece async for piece in streamed((column, b"", b"trailer"))]
    assert [len(piece) for piece in given_out] == [PIECE, 1, 7]
    assert all(piece.readonly for piece in given_out)
    assert given_out[0].obj is column
