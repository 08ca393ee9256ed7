"""Spool: what comes back is sorted, and the last value of each key, however much went to disk."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.spool import Spool

changes = st.lists(st.tuples(st.binary(max_size=3), st.none() | st.binary(max_size=40)), max_size=60)
FOLDER = Path(tempfile.gettempdir())


@given(changes, st.integers(0, 4000))
def test_changes_come_back_by_key_with_the_value_given_last(
    given: Sequence[tuple[bytes, bytes | None]], run_size: int
) -> None:
    spool = Spool(FOLDER, run_size)
    assert not spool
    for key, value in given:
        spool.add(key, value)
    assert bool(spool) == bool(given)
    assert list(spool.sorted()) == sorted(dict(given).items())
    assert list(spool.sorted()) == sorted(dict(given).items())
    spool.close()


def test_many_runs_are_merged_in_pieces_and_leave_nothing_behind(tmp_path: Path) -> None:
    spool = Spool(tmp_path, run_size=100_000)
    for at in range(20_000):
        spool.add((at * 7919 % 20_000).to_bytes(4, "big"), at.to_bytes(4, "big"))
    assert len(spool._runs) > 10
    assert [key for key, _ in spool.sorted()] == [at.to_bytes(4, "big") for at in range(20_000)]
    assert list(tmp_path.iterdir()) == []
    spool.close()


def test_a_spool_that_was_never_used_closes(tmp_path: Path) -> None:
    Spool(tmp_path).close()
