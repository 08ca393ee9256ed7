"""Records in the local state: what is owed, what was seen where; and files of older versions, which go on."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import Role
from ropewalk.spaces.opening import STATE_FILE
from ropewalk.spaces.state import State, proofs
from ropewalk.spaces.state.file import _STEPS
from ropewalk.spaces.state.proofs import MOST_OF_ONE, OFTEN
from tests.spaces.machines import Machines, shown
from tests.spaces.making import some_keys

# The tables of the first two versions as they were: what a file of them holds, whatever becomes of the code.
_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE records (name TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE heads (
    name TEXT PRIMARY KEY, hash BLOB NOT NULL, writer BLOB NOT NULL, sequence INTEGER NOT NULL,
    previous BLOB NOT NULL, time INTEGER NOT NULL, about BLOB NOT NULL, embedded INTEGER NOT NULL,
    state INTEGER NOT NULL, data BLOB) WITHOUT ROWID;
CREATE INDEX heads_by_writer ON heads (writer, sequence);
CREATE INDEX heads_pending ON heads (sequence) WHERE state = 0;
CREATE TABLE owed_heads (name TEXT, store TEXT, PRIMARY KEY (name, store)) WITHOUT ROWID;
CREATE TABLE packs (
    id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, k INTEGER NOT NULL, n INTEGER NOT NULL,
    lengths BLOB NOT NULL, manifest BLOB NOT NULL, directory BLOB NOT NULL, stored INTEGER NOT NULL, head TEXT,
    reusable INTEGER NOT NULL, announced INTEGER NOT NULL, lacking INTEGER NOT NULL);
CREATE INDEX packs_lacking ON packs (id) WHERE lacking > 0;
CREATE INDEX packs_unannounced ON packs (id) WHERE announced = 0;
CREATE TABLE shares (
    pack INTEGER NOT NULL, number INTEGER NOT NULL, store TEXT NOT NULL, object TEXT NOT NULL,
    damaged INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (pack, number, store, object)) WITHOUT ROWID;
CREATE INDEX shares_by_store ON shares (store);
CREATE TABLE chunks (
    id BLOB PRIMARY KEY, pack INTEGER NOT NULL, column INTEGER NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL) WITHOUT ROWID;
"""
_SECOND = """
CREATE TABLE folders (
    entry BLOB NOT NULL, parent BLOB NOT NULL, dot BLOB NOT NULL, PRIMARY KEY (entry, parent, dot)) WITHOUT ROWID;
CREATE TABLE unsettled (
    what INTEGER NOT NULL, folder BLOB NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (what, folder)) WITHOUT ROWID;
"""
_OLD = {1: _FIRST, 2: _FIRST + _SECOND}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.db")
    state.unlock(some_keys())
    yield state
    state.close()


# ---- what is owed ----------------------------------------------------------------------------------------------------


def test_a_record_is_owed_to_each_store_until_it_is_paid_there(state: State) -> None:
    state.add_records([("r", b"record"), ("s", b"other")], 7)
    state.owe_record("r", ["d0", "d1"])
    state.owe_record("r", ["d1", "d2"])
    state.owe_record("s", ["d0"])
    assert state.owed_records() == [
        ("r", "d0", b"record"),
        ("r", "d1", b"record"),
        ("r", "d2", b"record"),
        ("s", "d0", b"other"),
    ]
    state.paid_record("r", "d1")
    state.paid_record("r", "elsewhere")
    assert [one[:2] for one in state.owed_records()] == [("r", "d0"), ("r", "d2"), ("s", "d0")]


def test_the_bytes_that_were_kept_first_stay(state: State) -> None:
    """Signed again a record is another object; what was put once must be put again as it was."""
    state.add_records([("r", b"first")], 7)
    state.add_records([("r", b"second")], 9)
    assert state.records() == [("r", b"first")]
    assert state.records_seen() == {"r": 7}
    assert state.record_names() == {"r"}


def test_what_is_owed_and_seen_outlasts_the_process(tmp_path: Path) -> None:
    first = State(tmp_path / "state.db")
    with first.transaction(durable=True):
        first.add_records([("r", b"record")], 7)
        first.owe_record("r", ["d0"])
        first.saw_records("d1", ["r"])
        first.saw_heads("d1", {b"w" * 16: 5})
        first.add_proof(b"p" * 32, 1, 3, b"proof", b"d" * 16, b"two heads")
    first.close()
    again = State(tmp_path / "state.db")
    assert again.owed_records() == [("r", "d0", b"record")]
    assert again.record_sightings("d1") == {"r"}
    assert again.head_sightings("d1") == {b"w" * 16: 5}
    assert again.proofs() == [(b"p" * 32, 1, 3, b"proof")]
    assert again.proof_about(1, b"d" * 16, b"two heads") == b"proof"
    again.close()


def test_nothing_of_it_is_left_of_a_transaction_that_fails(state: State) -> None:
    def fails() -> None:
        with state.transaction(durable=True):
            state.add_records([("r", b"record")], 7)
            state.owe_record("r", ["d0"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert (state.records(), state.owed_records()) == ([], [])


# ---- what was seen ---------------------------------------------------------------------------------------------------


def test_sightings_are_by_store_and_the_newest_counts(state: State) -> None:
    one, other = b"1" * 16, b"2" * 16
    state.saw_heads("d0", {one: 3, other: 1})
    state.saw_heads("d0", {one: 5})
    state.saw_heads("d1", {one: 4})
    assert state.head_sightings("d0") == {one: 5, other: 1}
    assert state.head_sightings("d1") == {one: 4}
    assert state.head_sightings("d2") == {}
    state.saw_records("d0", ["r", "s"])
    state.saw_records("d0", ["s", "t"])
    state.saw_records("d1", ["r"])
    assert state.record_sightings("d0") == {"r", "s", "t"}
    assert state.record_sightings("d1") == {"r"}


def keep(state: State, number: int, kind: int = 5, subject: bytes = b"s", at: int | None = None) -> None:
    about = b"%d" % number
    digest = hashed("test proof", b"%d %d" % (number, kind) + subject)
    state.add_proof(digest, kind, number if at is None else at, about, subject, about)


def test_no_store_fills_the_disk_with_proofs_and_none_hides_anothers(state: State) -> None:
    for number in range(500):
        keep(state, number)
    assert [one[3] for one in state.proofs()] == [b"%d" % number for number in range(MOST_OF_ONE)]
    assert not state.has_room_for(5, b"s", b"500", 500)
    for kind, subject in ((5, b"t"), (6, b"s"), (1, b"d")):
        assert state.has_room_for(kind, subject, b"0", 500)
        keep(state, 0, kind, subject)
        assert not state.has_room_for(kind, subject, b"0", 500), "it is kept already"
    assert len(state.proofs()) == MOST_OF_ONE + 3


def test_of_later_proofs_the_last_one_of_each_day_is_kept(state: State) -> None:
    for number in range(MOST_OF_ONE):
        keep(state, number)
    keep(state, 50, at=OFTEN // 2)
    keep(state, 51, at=OFTEN + MOST_OF_ONE)
    keep(state, 52, at=OFTEN + MOST_OF_ONE + 1)
    keep(state, 53, at=0)
    assert [one[3] for one in state.proofs()] == [b"0", b"1", b"2", b"51"]


def test_where_too_many_are_kept_one_goes_of_whom_most_are(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "MOST_PROOFS", 6)
    for number in range(MOST_OF_ONE):
        keep(state, number)
    for number in range(5):
        keep(state, number, 1, b"%d" % number)
    held = state.proofs()
    assert len(held) == 6
    assert {one[1] for one in held} == {1, 5}
    assert sum(one[1] == 1 for one in held) == 5, "who has many gives up some, and keeps one"
    keep(state, 9, 1, b"late")
    assert state.proofs() == held


def test_proofs_that_an_older_version_kept_stay(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as old:
        old.executescript("".join(_STEPS[:4]))
        old.execute("INSERT INTO proofs VALUES (?, 5, 7, ?)", (b"p" * 32, b"proof"))
        old.execute("PRAGMA user_version = 4")
    old.close()
    state = State(path)
    assert state.proofs() == [(b"p" * 32, 5, 7, b"proof")]
    assert state.has_room_for(5, b"s", b"0", 8)
    keep(state, 1)
    assert len(state.proofs()) == 2
    state.close()


# ---- files of older versions -----------------------------------------------------------------------------------------


def _made_old(path: Path, version: int) -> None:
    """Write the file as a program of an older version would have left it."""
    old = path.with_name("old.db")
    with sqlite3.connect(old) as made:
        made.executescript(_OLD[version])
        made.execute("ATTACH ? AS new", (str(path),))
        for (table,) in made.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            columns = ", ".join(row[1] for row in made.execute(f"PRAGMA main.table_info({table})"))
            made.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")  # noqa: S608
        made.execute("DELETE FROM main.meta WHERE key NOT IN ('incarnation', 'settled', 'folders')")
        made.execute(f"PRAGMA main.user_version = {version}")
    made.close()
    path.unlink()
    old.rename(path)


@pytest.mark.parametrize("version", _OLD)
async def test_a_space_with_a_state_of_an_older_version_goes_on(tmp_path: Path, version: int) -> None:
    machines = await Machines.make(tmp_path)
    async with machines.open("admin") as space:
        await space.write("one", b"1" * 100_000)
        await space.write("two", b"2")
        before, incarnation = await space.log(), space.core.incarnation
        packs = await space.core.ledger.do(lambda state: [one.name for one in state.packs()])
    _made_old(machines.world.folder / STATE_FILE, version)
    async with machines.open("admin") as space:
        assert space.core.incarnation == incarnation
        assert not space.warnings
        assert [one.name for one in await space.log()] == [one.name for one in before]
        assert await space.core.ledger.do(lambda state: [one.name for one in state.packs()]) == packs
        assert await shown(space) == {"one": b"1" * 100_000, "two": b"2"}
        await space.write("three", b"3")
    await machines.invite("bob", Role.WRITER)
    async with machines.open("bob") as space:
        await space.write("his", b"4")
    async with machines.open("admin") as space:
        await shown(space)
        async with space.group() as group:
            await group.remove(machines.member["bob"])
        assert await shown(space) == {"one": b"1" * 100_000, "two": b"2", "three": b"3", "his": b"4"}
        assert not space.warnings


@pytest.mark.parametrize("version", _OLD)
def test_a_migration_that_is_stopped_begins_anew(tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as old:
        old.executescript(_OLD[version])
        old.execute("INSERT INTO meta VALUES ('incarnation', ?)", (b"i" * 16,))
        old.execute("INSERT INTO records VALUES ('r', ?)", (b"record",))
        old.execute(f"PRAGMA user_version = {version}")
    old.close()

    class Stops(sqlite3.Connection):
        left = 0
        made: sqlite3.Connection

        def __init__(self, *args: Any, **rest: Any) -> None:
            super().__init__(*args, **rest)
            Stops.made = self

        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            Stops.left -= "ALTER" in sql or "CREATE" in sql
            if Stops.left < 0:
                raise KeyboardInterrupt
            return super().execute(sql, *args)

    connect = sqlite3.connect
    for count in range(100):
        copy = tmp_path / f"{count}.db"
        shutil.copy(path, copy)
        Stops.left = count
        monkeypatch.setattr(sqlite3, "connect", partial(connect, factory=Stops))
        stopped = False
        try:
            State(copy).close()
        except KeyboardInterrupt:
            stopped = True
        finally:
            monkeypatch.setattr(sqlite3, "connect", connect)
            Stops.made.close()
        again = State(copy)
        assert again.incarnation() == b"i" * 16
        assert again.records() == [("r", b"record")]
        assert again.records_seen() == {"r": 0}
        again.owe_record("r", ["d0"])
        assert again.owed_records() == [("r", "d0", b"record")]
        again.close()
        if not stopped:
            break
    assert count > 5
