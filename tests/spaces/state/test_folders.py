"""Folders: where they stand comes back as it was said, for the head that it was said of and no other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ropewalk.spaces.state import State
from ropewalk.spaces.state.file import _STEPS
from ropewalk.spaces.tree.entry import EntryId
from ropewalk.spaces.tree.settling import Unsettled

ODD = Unsettled(
    frozenset([EntryId(b"s" * 16)]),
    frozenset([EntryId(b"b" * 16)]),
    frozenset([EntryId(b"m" * 16)]),
    {EntryId(b"c" * 16): 2**40},
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.db")
    yield state
    state.close()


def stand(entry: int, parent: int, sequence: int = 1) -> bytes:
    return parent.to_bytes(16, "big") + entry.to_bytes(16, "big") + b"w" * 16 + sequence.to_bytes(8, "big")


def folder(number: int) -> EntryId:
    return EntryId(number.to_bytes(16, "big"))


def test_nothing_is_known_at_first(state: State) -> None:
    assert state.folders_head() is None
    assert state.unsettled("head") is None
    assert state.folder_stands("head", [folder(1)]) is None


def test_what_was_set_is_known_of_that_head_alone(state: State) -> None:
    last = 2**64 - 1
    state.set_folders("one", [stand(1, 0), stand(2, 1), stand(2, 0, last)], ODD)
    assert (state.folders_head(), state.unsettled("one"), state.unsettled("two")) == ("one", ODD, None)
    asked = [folder(number) for number in (1, 2, 3)]
    assert state.folder_stands("two", asked) is None
    found = state.folder_stands("one", asked)
    assert found is not None
    assert {entry: sorted(stands) for entry, stands in found.items()} == {
        folder(1): [stand(1, 0)],
        folder(2): sorted([stand(2, 1), stand(2, 0, last)]),
    }
    state.set_folders("two", [stand(3, 0)], Unsettled())
    assert state.folder_stands("two", asked) == {folder(3): [stand(3, 0)]}
    assert state.unsettled("two") == Unsettled()


def test_more_folders_are_asked_for_than_one_query_takes(state: State) -> None:
    stands = [stand(number, 0) for number in range(1, 1302)]
    state.set_folders("one", stands, Unsettled())
    found = state.folder_stands("one", [folder(number) for number in range(2000)])
    assert found is not None
    assert sorted(one for some in found.values() for one in some) == stands


def test_a_move_is_made_from_the_head_that_is_known_or_not_at_all(state: State) -> None:
    state.set_folders("one", [stand(1, 0), stand(2, 1)], ODD)
    assert not state.move_folders("other", "two", [stand(1, 0)], [], Unsettled())
    assert state.unsettled("one") == ODD
    assert state.move_folders("one", "two", [stand(2, 1)], [stand(2, 0, 5)], Unsettled())
    assert state.folder_stands("two", [folder(1), folder(2)]) == {folder(1): [stand(1, 0)], folder(2): [stand(2, 0, 5)]}
    assert (state.unsettled("one"), state.unsettled("two")) == (None, Unsettled())


def test_a_move_that_fails_changes_nothing(state: State) -> None:
    state.set_folders("one", [stand(1, 0)], ODD)
    with pytest.raises(sqlite3.IntegrityError):
        state.move_folders("one", "two", [], [stand(3, 0), stand(1, 0)], Unsettled())
    assert state.unsettled("one") == ODD
    assert state.folder_stands("one", [folder(1), folder(3)]) == {folder(1): [stand(1, 0)]}


def test_a_state_of_the_first_version_gets_what_it_lacks_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as old:
        old.executescript(_STEPS[0])
        old.execute("INSERT INTO meta VALUES ('incarnation', ?)", (b"i" * 16,))
        old.execute("PRAGMA user_version = 1")
    old.close()
    state = State(path)
    assert state.incarnation() == b"i" * 16
    state.set_folders("one", [stand(1, 0)], ODD)
    assert state.unsettled("one") == ODD
    state.close()
    with sqlite3.connect(path) as later:
        assert later.execute("PRAGMA user_version").fetchone() == (len(_STEPS),)
    later.close()


def test_no_name_rests_in_it(state: State) -> None:
    state.set_folders("one", [stand(1, 0)], ODD)
    columns = {row[1] for table in ("folders", "unsettled") for row in state._db.execute(f"PRAGMA table_info({table})")}
    assert columns == {"entry", "parent", "dot", "what", "folder", "count"}
