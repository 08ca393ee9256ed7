"""Heads in the local state: what room they take, which of several is found first, and files of older versions."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path

import pytest

from ropewalk.spaces.keys import hashed
from ropewalk.spaces.state import ACKED, BROKEN, PENDING, QUARANTINED, KnownHead, State
from ropewalk.spaces.state.file import _STEPS
from tests.spaces.making import some_keys

_WRITER = hashed("test writer", b"w")[:16]
_NOTE = "n" * 900


def _head(number: int, sequence: int, state: int = ACKED, note: str = "") -> KnownHead:
    digest = hashed("test head", b"%d" % number)
    name = f"{'0' * 64}/heads/{_WRITER.hex()}/{2**64 - 1 - sequence:016x}-{digest.hex()}"
    vector = {_WRITER: (sequence, digest)}
    return KnownHead(name, digest, _WRITER, sequence, bytes(32), number, None, 0, note, vector, False, state)


def _state(path: Path) -> State:
    state = State(path)
    state.unlock(some_keys())
    return state


def test_a_head_takes_little_more_room_than_what_is_kept_of_it(tmp_path: Path) -> None:
    count = 300
    state = _state(tmp_path / "state.db")
    state.close()
    empty = (tmp_path / "state.db").stat().st_size
    state = _state(tmp_path / "state.db")
    with state.transaction():
        state.add_heads([(_head(number, number, note=_NOTE), []) for number in range(1, count + 1)])
    state.close()
    assert (tmp_path / "state.db").stat().st_size - empty < count * 2 * (len(_NOTE) + 500)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_of_many_heads_of_one_place_the_same_two_are_found_in_whatever_order_they_came(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    state = _state(tmp_path / "state.db")
    twins = [_head(number, 5) for number in range(4)]
    for number in order:
        state.add_heads([(twins[number], [])])
    assert state.hashes_at(_WRITER, 5) == sorted(one.hash for one in twins)[:2]
    assert [one.hash for one in state.heads_at(_WRITER, 5)] == sorted(one.hash for one in twins)
    state.close()


def test_a_file_of_the_version_whose_heads_had_no_numbers_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as old:
        old.executescript("".join(_STEPS[:9]))
        old.execute("PRAGMA user_version = 9")
    old.close()
    made = _state(tmp_path / "made.db")
    kept = [_head(1, 1, QUARANTINED), _head(2, 2, note=_NOTE), _head(3, 2, BROKEN), _head(4, 3, PENDING)]
    for one in kept:
        made.add_head(one, b"its bytes" if one.state == PENDING else None)
    made.name_packs(kept[1].name, [(b"p" * 32, b"m" * 32, b"d" * 32)])
    made.close()

    def rows(at: Path) -> tuple[list[tuple[object, ...]], set[str]]:
        with sqlite3.connect(at) as db:
            columns = "name, hash, writer, sequence, previous, time, about, embedded, state, data, device, feature"
            found = db.execute(f"SELECT {columns}, frontier, named FROM heads ORDER BY name").fetchall()  # noqa: S608
            indexes = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql > ''")}
        db.close()
        return found, indexes

    with sqlite3.connect(path) as old:
        old.executemany(f"INSERT INTO heads VALUES ({', '.join('?' * 14)})", rows(tmp_path / "made.db")[0])  # noqa: S608
    old.close()
    before = rows(path)
    assert len(before[0]) == 4
    state = _state(path)
    assert state.heads_at(_WRITER, 1, 9) == sorted(kept[:3], key=lambda one: (one.sequence, one.hash))
    assert state.head_data(kept[3].name) == b"its bytes"
    assert state.newest_number(_WRITER) == 2
    assert [one.name for one in state.set_aside()] == [kept[0].name, kept[2].name]
    assert set(state.unnamed_heads()) == {kept[0].name, kept[2].name}
    state.close()
    assert rows(path) == before
