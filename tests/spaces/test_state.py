"""State: what a device remembers comes back, and a file that is no state is told apart from one that is busy."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ropewalk.spaces.keys import EpochUnknown, KeyRing, MembersOnly, Secrets
from ropewalk.spaces.ledger import Ledger
from ropewalk.spaces.pack.directory import Place
from ropewalk.spaces.state import (
    ACKED,
    PENDING,
    QUARANTINED,
    WITHDRAWN,
    KnownHead,
    Located,
    SharePlace,
    State,
    StateDamaged,
    StateFull,
    StateTooNew,
    StateUnavailable,
    explained,
)
from tests.spaces.making import some_keys

WRITER = b"w" * 16
HEAD = KnownHead(
    "head", b"h" * 32, WRITER, 3, b"p" * 32, 2**62, None, 5, "note", {WRITER: (3, b"h" * 32)}, False, ACKED
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.db")
    state.unlock(some_keys())
    yield state
    state.close()


def _pack(state: State, name: bytes = b"p" * 32, n: int = 3, *, reusable: bool = True, announced: bool = False) -> int:
    return state.add_pack(name, 2, n, [5, 6], b"m", b"d", 20, reusable=reusable, announced=announced)


def test_a_new_state_is_private_and_empty(state: State) -> None:
    assert state.fresh
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o600
    assert state.incarnation() is None
    assert (state.heads(), state.pending(), state.records(), state.owed_heads()) == ([], [], [], [])
    assert list(state.packs()) == []


def test_what_was_kept_is_there_after_reopening(tmp_path: Path) -> None:
    first = State(tmp_path / "state.db")
    first.unlock(some_keys())
    with first.transaction(durable=True):
        first.begin_incarnation(b"i" * 16)
        first.add_head(HEAD)
        first.set_records([("name", b"data")])
    first.close()
    second = State(tmp_path / "state.db")
    second.unlock(some_keys())
    assert not second.fresh
    assert (second.incarnation(), second.heads(), second.records()) == (b"i" * 16, [HEAD], [("name", b"data")])
    second.close()


def test_heads_are_found_by_all_that_is_known_of_them(state: State) -> None:
    older = replace(HEAD, name="older", hash=b"o" * 32, sequence=2, root=b"r")
    given_up = replace(HEAD, name="given up", hash=b"g" * 32, sequence=4)
    for head in (HEAD, older):
        state.add_head(head)
    state.add_head(replace(given_up, state=PENDING), b"bytes")
    assert state.pending() == [(replace(given_up, state=PENDING), b"bytes")]
    assert state.is_unacknowledged("given up")
    state.settle_head("given up", WITHDRAWN)
    assert state.pending() == []
    assert state.is_unacknowledged("given up")
    assert not state.is_unacknowledged("head")
    assert not state.is_unacknowledged("nobody's")
    assert state.heads() == [HEAD, older]
    assert state.newest_head(WRITER) == HEAD
    assert state.newest_head(bytes(16)) is None
    assert state.heads_at(WRITER, 2) == [older]
    assert state.heads_at(WRITER, 4) == []
    assert state.head_named("older") == older
    assert state.last_sequence(WRITER) == 4
    assert state.last_sequence(bytes(16)) == 0


def test_owed_heads_are_paid_one_by_one(state: State) -> None:
    state.add_head(HEAD)
    state.owe_head("head", ["d1", "d0"])
    state.owe_head("head", ["d1"])
    assert state.owed_heads() == [("head", "d0"), ("head", "d1")]
    assert state.owed_head_hashes() == [HEAD.hash]
    state.paid_head("head", "d0")
    state.paid_head("head", "d1")
    assert state.owed_heads() == []


def test_a_pack_owes_what_no_good_share_below_n_stands_for(state: State) -> None:
    pack = _pack(state)
    assert state.owed_shares() == [], "no head names it"
    assert state.owed_shares(all_packs=True) == [(b"p" * 32, [0, 1, 2])]
    state.announce([pack])
    assert state.owed_shares() == [(b"p" * 32, [0, 1, 2])]
    state.add_shares(pack, [SharePlace(0, "d0", "aa"), SharePlace(1, "d1", "bb"), SharePlace(9, "d2", "cc")])
    assert state.owed_shares() == [(b"p" * 32, [2])]  # number 9 is a store's invention
    state.add_shares(pack, [SharePlace(2, "d2", "cc")])
    assert state.owed_shares() == []
    state.mark_damaged(pack, 1, "d1")
    assert state.owed_shares() == [(b"p" * 32, [1])]
    state.add_shares(pack, [SharePlace(1, "d3", "bb")])
    assert state.owed_shares() == []
    state.forget_share(pack, SharePlace(0, "d0", "aa"))
    assert state.owed_shares() == [(b"p" * 32, [0])]
    known = state.pack_named(b"p" * 32)
    assert known is not None
    assert SharePlace(1, "d1", "bb", damaged=True) in known.shares


def test_a_chunk_is_reused_only_from_a_pack_of_this_incarnation_at_full_redundancy(state: State) -> None:
    pack = _pack(state)
    state.add_chunks(pack, [Place(b"c" * 32, 0, 0, 5)])
    assert state.reusable([b"c" * 32]) == set()
    state.add_shares(pack, [SharePlace(number, f"d{number}", "aa") for number in range(3)])
    assert state.reusable([b"c" * 32, b"x" * 32]) == {b"c" * 32}
    state.mark_damaged(pack, 0, "d0")
    assert state.reusable([b"c" * 32]) == set()
    state.add_shares(pack, [SharePlace(0, "d4", "aa")])
    assert state.reusable([b"c" * 32]) == {b"c" * 32}
    state.begin_incarnation(b"i" * 16)
    assert state.reusable([b"c" * 32]) == set()
    assert _pack(state) == pack
    assert state.reusable([b"c" * 32]) == {b"c" * 32}


def test_packs_are_announced_once(state: State) -> None:
    pack = _pack(state)
    _pack(state, b"q" * 32, announced=True)
    embedded = state.add_pack(b"e" * 32, 1, 1, [5], b"m", b"d", 9, head="head", reusable=False, announced=False)
    assert [one.id for one in state.unannounced()] == [pack]
    state.announce([pack])
    assert state.unannounced() == []
    assert state.packs_by_id([embedded])[embedded].head == "head"
    assert {one.name for one in state.packs()} == {b"p" * 32, b"q" * 32, b"e" * 32}


def test_a_chunk_keeps_its_first_place_and_many_are_located_at_once(state: State) -> None:
    first, second = _pack(state), _pack(state, b"q" * 32)
    ids = [at.to_bytes(32, "big") for at in range(1300)]
    state.add_chunks(first, [Place(chunk, 1, at, 1) for at, chunk in enumerate(ids)])
    state.add_chunks(second, [Place(ids[0], 0, 0, 7)])
    found = state.locate([*ids, b"x" * 32])
    assert len(found) == 1300
    assert found[ids[0]] == Located(ids[0], first, 1, 0, 1)


def test_a_transaction_that_fails_leaves_nothing(state: State) -> None:

    def fail() -> None:
        with state.transaction():
            state.add_head(HEAD)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert state.heads() == []


def test_another_process_sees_that_something_was_written(tmp_path: Path, state: State) -> None:
    other = State(state.path)
    seen = other.data_version()
    assert other.data_version() == seen
    state.add_head(HEAD)
    assert other.data_version() != seen
    other.close()


@pytest.mark.parametrize("junk", [b"junk" * 2000, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_no_state_is_damaged(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "state.db").write_bytes(junk)
    with pytest.raises(StateDamaged):
        State(tmp_path / "state.db")


@pytest.mark.parametrize("left_open", [False, True])
def test_a_state_of_which_pages_are_overwritten_is_damaged(tmp_path: Path, *, left_open: bool) -> None:
    """Found at once in a file that was not closed; else, where the places of chunks are wrong, by using it."""
    path = tmp_path / "state.db"
    state = State(path)
    ids = [at.to_bytes(32, "big") for at in range(5000)]
    state.add_chunks(1, [Place(one, 0, at, 1) for at, one in enumerate(ids)])
    state.close()
    good = path.read_bytes()
    chance = random.Random(1)
    for _ in range(20):
        at = chance.randrange(4096, len(good) - 4096, 4096)
        path.write_bytes(good[:at] + chance.randbytes(4096) + good[at + 4096 :])
        other = sqlite3.connect(path, isolation_level=None)
        if left_open:
            with contextlib.suppress(sqlite3.DatabaseError):
                other.execute("INSERT OR REPLACE INTO meta VALUES ('written', 'not closed')")
        with pytest.raises(StateDamaged if left_open else (StateDamaged, sqlite3.DatabaseError)):
            _open_and_locate(path, ids)
        other.close()


def _open_and_locate(path: Path, ids: list[bytes]) -> None:
    with contextlib.closing(State(path)) as state:
        state.locate(ids)


@pytest.mark.parametrize("size", [0, 1])
def test_an_empty_file_is_a_new_state(tmp_path: Path, size: int) -> None:
    (tmp_path / "state.db").write_bytes(bytes(size))
    state = State(tmp_path / "state.db")
    assert state.incarnation() is None
    state.close()


def test_what_opens_content_rests_sealed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    state = State(path)
    state.unlock(some_keys())
    state.add_head(replace(HEAD, root=b"a reference with its key", note="what it is about"))
    state.close()
    assert b"a reference" not in path.read_bytes()
    assert b"what it is" not in path.read_bytes()
    other = State(path)
    other.unlock(some_keys("two"))
    with pytest.raises(EpochUnknown):
        other.heads()
    other.close()


def _journal_of_two_epochs(path: Path) -> tuple[Secrets, bytes]:
    one, two = Secrets(b"e" * 32, b"s" * 32, b"w" * 32), Secrets(b"f" * 32, b"t" * 32, b"w" * 32)
    ring = KeyRing.derive(bytes(32), b"1" * 32, one)
    state = State(path)
    state.unlock(ring)
    state.add_head(replace(HEAD, name="old", note="old"))
    ring.add(b"2" * 32, two, 2)
    ring.use(b"2" * 32)
    state.add_head(replace(HEAD, name="new", note="new"))
    assert {head.note for head in state.heads()} == {"old", "new"}
    state.close()
    return two, b"2" * 32


def test_a_journal_outlives_a_new_epoch(tmp_path: Path) -> None:
    """Rows that were sealed before it stay readable, for who has the older keys too."""
    newer, epoch = _journal_of_two_epochs(tmp_path / "state.db")
    ring = KeyRing.derive(bytes(32), b"1" * 32, Secrets(b"e" * 32, b"s" * 32, b"w" * 32))
    state = State(tmp_path / "state.db")
    state.unlock(ring)
    with pytest.raises(EpochUnknown):
        state.heads()
    ring.add(epoch, newer, 2)
    assert {head.note for head in state.heads()} == {"old", "new"}
    state.close()


def test_a_row_of_an_epoch_that_another_process_learnt_is_opened_by_catching_up(tmp_path: Path) -> None:
    newer, epoch = _journal_of_two_epochs(tmp_path / "state.db")
    ring = KeyRing.derive(bytes(32), b"1" * 32, Secrets(b"e" * 32, b"s" * 32, b"w" * 32))
    asked = []

    def catch_up() -> None:
        asked.append(1)
        ring.add(epoch, newer, 2)

    state = State(tmp_path / "state.db")
    state.unlock(ring, catch_up)
    for _ in range(2):
        assert {head.note for head in state.heads()} == {"old", "new"}
    assert asked == [1]
    state.close()


def steward_ring() -> KeyRing:
    """The keys of the same space, as a steward has them."""
    keys = some_keys()
    ring = KeyRing(keys.space_id)
    ring.add(keys.current, keys.steward_secret(keys.current), 1)
    ring.use(keys.current)
    return ring


def test_what_a_steward_met_counts_for_members_as_if_they_had_not(state: State) -> None:
    state.add_head(HEAD)
    later = replace(HEAD, name="later", hash=b"l" * 32, sequence=4, previous=HEAD.hash, note="secret")
    aside = replace(later, name="aside", hash=b"a" * 32, sequence=5, state=QUARANTINED)
    state.unlock(steward_ring())
    with pytest.raises(MembersOnly):
        state.heads()  # sealed by keys that it never had
    state._db.execute("DELETE FROM heads")
    for head in (HEAD, later, aside):
        state.add_head(head)
    unread = replace(later, entries=0, note="", vector={WRITER: (4, later.hash)}, unread=True)
    assert (state.newest_head(WRITER), state.newest_heads()) == (unread, [unread])
    assert state.head_named("later") == state.head_hashed(later.hash) == unread
    assert [head.name for head in (*state.heads(), *state.set_aside())] == ["later", "head", "aside"]
    assert state.head_names() == set(state.unread_heads()) == {"head", "later", "aside"}
    assert (state.newest_number(WRITER), state.has_head_from(WRITER, 5)) == (4, True)
    kept = state.newest_kept(WRITER, 5)
    assert kept is not None
    assert kept.name == "aside"
    state.unlock(some_keys())
    assert (state.newest_head(WRITER), state.newest_heads(), state.heads(), state.set_aside()) == (None, [], [], [])
    assert (state.head_named("later"), state.head_hashed(later.hash), state.head_names()) == (None, None, set())
    assert (state.head_places(), state.hashes_at(WRITER, 4), state.heads_at(WRITER, 1, 9)) == ({}, [], [])
    assert (state.newest_number(WRITER), state.newest_kept(WRITER, 9)) == (0, None)
    assert not state.has_head_from(WRITER, 1)
    assert state.unread_heads() == ["aside", "head", "later"]
    state.add_head(later)
    assert (state.newest_heads(), state.unread_heads()) == ([later], ["aside", "head"])


def test_a_state_that_is_busy_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    """Else a file that another process uses would be put aside under its feet."""
    state = State(tmp_path / "state.db")
    other = sqlite3.connect(state.path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    state.close()
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StateUnavailable, match="locked"):
        State(tmp_path / "state.db", patience=0.01)
    other.close()


def test_a_state_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StateUnavailable):
        State(tmp_path / "no such folder" / "state.db")


def test_a_state_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    State(path).close()
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(StateTooNew) as refused:
        State(path)
    assert "upgrade" in refused.value.hint


async def test_errors_while_the_state_is_used_are_explained(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "state.db")
    await ledger.open()

    def limit(state: State) -> None:
        state._db.execute("PRAGMA max_page_count = 1")

    def fill(state: State) -> None:
        state.set_meta("large", bytes(10_000_000))

    def drop(state: State) -> None:
        state._db.execute("DROP TABLE meta")

    await ledger.do(limit)
    with pytest.raises(StateUnavailable, match="full"):
        await ledger.do(fill)
    await ledger.do(drop)
    with pytest.raises(StateDamaged, match="no such table"):
        await ledger.do(State.incarnation)
    await ledger.aclose()


async def test_what_can_be_had_again_makes_room_before_the_disk_is_full_and_after(tmp_path: Path) -> None:
    told: list[bool] = []
    ledger = Ledger(tmp_path / "state.db", told.append)
    await ledger.open()
    assert told == [False]
    told.clear()

    def fill(state: State) -> None:
        assert told == [False]
        state._db.execute("PRAGMA max_page_count = 1")
        state.set_meta("large", bytes(10_000_000))

    def busy(state: State) -> None:
        error = sqlite3.OperationalError("locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    with pytest.raises(StateFull):
        await ledger.do(fill)
    assert told == [False, True]
    told.clear()
    with pytest.raises(StateUnavailable) as passing:
        await ledger.do(busy)
    assert not isinstance(passing.value, StateFull)
    assert told == [False]
    await ledger.aclose()


@pytest.mark.parametrize("new", [True, False])
async def test_a_state_that_finds_no_room_is_opened_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: bool
) -> None:
    path, told = tmp_path / "state.db", list[bool]()
    if not new:
        State(path).close()
    begin = State._begin

    def full(self: State, *, left_open: bool) -> None:
        if True not in told:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR | 19 << 8  # of the file beside it that processes share
            raise error
        begin(self, left_open=left_open)

    monkeypatch.setattr(State, "_begin", full)
    ledger = Ledger(path, told.append)
    await ledger.open()
    assert told == [False, True]
    assert await ledger.do(State.take_fresh) is new
    await ledger.aclose()
    told.clear()
    ledger = Ledger(path, lambda _: None)
    with pytest.raises(StateFull):
        await ledger.open()


def test_what_has_no_code_of_sqlite_is_damage_and_what_the_system_says_is_not() -> None:
    assert isinstance(explained(sqlite3.DatabaseError("?"), "state"), StateDamaged)
    assert isinstance(explained(OSError(28, "no space left"), "state"), StateFull)
    assert not isinstance(explained(OSError(13, "permission denied"), "state"), StateFull)
    assert isinstance(explained(OSError(13, "permission denied"), "state"), StateUnavailable)
