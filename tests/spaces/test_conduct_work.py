"""Conduct's work: how much is read and judged grows with the heads of a device, not with their square."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from ropewalk.spaces.conduct import judge
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.learning import settle, sight, standing
from ropewalk.spaces.learning.heads import open_run
from ropewalk.spaces.learning.sight import Opened, Sight, Waiting, admit
from ropewalk.spaces.members import Cut, Membership
from ropewalk.spaces.state import QUARANTINED, State
from tests.spaces.making import some_keys
from tests.spaces.orders import Made, Records, Says, Writing, device

HEADS = 60
EACH = 8  # times that a head may be read; by a square it were half of all


class Counted:
    """How often something was done."""

    def __init__(self) -> None:
        self.times = 0


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Rows of heads that were opened."""
    count, opened = Counted(), State._head

    def _head(self: State, row: Sequence[Any]) -> Any:
        count.times += 1
        return opened(self, row)

    monkeypatch.setattr(State, "_head", _head)
    return count


@contextmanager
def _state(folder: Path) -> Iterator[State]:
    state = State(folder / "state.db")
    state.unlock(some_keys())
    yield state
    state.close()


def _membership(*says: Says) -> Membership:
    return cast("Membership", Records(says or [Says()]))


def _opened(heads: Sequence[Made], membership: Membership) -> list[Opened]:
    found = []
    for one in heads:
        good, bad = open_run([(one.name, one.data)], membership, some_keys())
        assert not bad
        found += good
    return found


def _forks() -> list[Made]:
    """A device that forks at each sequence, and goes on from one side."""
    writing, before, heads = Writing(), None, []
    for _ in range(HEADS // 2):
        heads.append(writing.head("a", before))
        before = writing.head("a", before)
        heads.append(before)
    return heads


def _come(state: State, membership: Membership, heads: Sequence[Made]) -> None:
    waiting = Waiting()
    admit(state, Sight(state, membership, 1), _opened(heads, membership), waiting)
    assert not waiting.count


def test_of_many_twins_one_is_read_for_each(tmp_path: Path, reads: Counted) -> None:
    writing = Writing()
    with _state(tmp_path) as state:
        _come(state, _membership(), [writing.head("a", vector={}) for _ in range(HEADS)])
        assert len(state.evidence()) == HEADS - 1
    assert reads.times <= EACH * HEADS


def test_of_many_twins_those_are_read_that_follow_a_head(tmp_path: Path, reads: Counted) -> None:
    writing = Writing()
    firsts = [writing.head("a", vector={}) for _ in range(HEADS // 2)]
    nexts = [writing.head("a", one, vector={}) for one in firsts]
    membership, waiting = _membership(), Waiting()
    with _state(tmp_path) as state:
        at_sight = Sight(state, membership, 1)
        for heads in (nexts, firsts):
            admit(state, at_sight, _opened(heads, membership), waiting)
        assert reads.times <= EACH * HEADS
        reads.times = 0
        seeing = [writing.head("b", vector={one.writer: (1, bytes((1, at)) * 16)}) for at, one in enumerate(firsts)]
        admit(state, at_sight, _opened(seeing, membership), waiting)
        assert waiting.count == len(seeing)
        assert len(state.head_names()) == HEADS
    assert reads.times <= HEADS


def test_what_stands_after_many_forks_is_found_without_reading_a_head_for_each_of_them_again(
    tmp_path: Path, reads: Counted
) -> None:
    with _state(tmp_path) as state:
        _come(state, _membership(), _forks())
        reads.times = 0
        tops = standing(state).heads
        assert len(tops) == HEADS // 2 + 1
        assert len(max(tops, key=lambda head: head.sequence).vector) == HEADS // 2
    assert reads.times <= EACH * HEADS


def test_many_forks_of_a_frozen_device_are_judged_and_settled_by_reading_each_head_a_few_times(
    tmp_path: Path, reads: Counted
) -> None:
    frozen = Says(Says().writing - {device("a").public().id}, {device("a").public().id: Cut({})})
    membership = _membership(Says(), frozen)
    with _state(tmp_path) as state:
        _come(state, membership, _forks())
        assert reads.times <= EACH * HEADS, "judged"
        reads.times = 0
        settle(state, membership)
        assert reads.times <= EACH * HEADS, "settled"
        assert len(state.heads(QUARANTINED)) == HEADS


def test_a_head_that_the_next_one_settles_is_judged_again_when_that_one_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each names one that nobody has, and that the next in this order is the only one to follow."""
    writing, heads = Writing(), list[Made]()
    seen: dict[bytes, tuple[int, bytes]] = {}
    for number in range(HEADS):
        nowhere = hashed("nowhere", b"%d" % number)
        at = 10_000 - 10 * number  # so that by what they have seen they come in the wrong order
        heads.append(writing.head("a", sequence=at, previous=nowhere, vector=seen, life=bytes((number + 1,))))
        seen = {heads[-1].writer: (at - 1, nowhere)}
    judged = Counted()

    def counted(*args: Any) -> Any:
        judged.times += 1
        return cast("Any", judge)(*args)

    monkeypatch.setattr(sight, "judge", counted)
    with _state(tmp_path) as state:
        _come(state, _membership(), heads[::-1])
        assert len(state.head_names()) == HEADS
    assert judged.times <= 2 * HEADS


def test_a_head_that_names_another_at_a_place_is_settled_by_the_next_one_there(tmp_path: Path) -> None:
    """Where the head that it names is known and stands elsewhere, the next one at the place says that there is one."""
    writing = Writing()
    there = writing.head("a", life=b"1")
    follows = writing.head("a", sequence=6, previous=there.hash, vector={}, life=b"2")
    waits = writing.head("b", vector={follows.writer: (5, there.hash)})
    membership, waiting = _membership(), Waiting()
    with _state(tmp_path) as state:
        at_sight = Sight(state, membership, 1)
        admit(state, at_sight, _opened([there, waits], membership), waiting)
        assert waiting.count == 1
        admit(state, at_sight, _opened([follows], membership), waiting)
        assert (waiting.count, waiting.by_hash) == (0, {})
        assert len(state.head_names()) == 3
