"""Any order: what a reader makes of heads follows from which there are, not from how they came, or its restarts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import Cut
from ropewalk.spaces.state import ACKED, BROKEN, QUARANTINED
from ropewalk.spaces.tree.relabel import branch_writer
from tests.spaces.orders import NAMES, Made, Place, Says, Writing, device, read

NOWHERE = hashed("test head", b"nowhere")
ALL = (Says(),)


def same(writing: Writing, heads: Sequence[Made], says: Sequence[Says] = ALL) -> dict[int, int | None]:
    """What all orders of these heads come to, one at each look, and all in one."""
    fresh = read(writing, [heads], says)
    for order in permutations(heads):
        assert read(writing, [[one] for one in order], says) == fresh
    return dict(fresh.became)


def test_a_twin_of_what_was_seen_and_is_nowhere_changes_nothing_for_who_has_seen_it() -> None:
    """Whoever had judged it before the twin came must not differ from who judges it after."""
    writing = Writing()
    lost = writing.head("a")
    later = writing.head("a", sequence=2, previous=NOWHERE)
    has_seen = writing.head("b", seen=[lost])
    twin = writing.head("a")
    became = same(writing, [later, has_seen, twin])
    assert became == {0: None, 1: ACKED, 2: None, 3: ACKED}
    assert same(writing, [later, has_seen, twin, lost])[2] == ACKED


def test_who_has_seen_what_the_next_head_of_its_writer_names_waits_for_no_store() -> None:
    writing = Writing()
    lost = writing.head("a")
    later = writing.head("a", lost)
    writing.head("b", seen=[lost])
    twin = writing.head("a")
    assert same(writing, [later, writing.made[2], twin]) == {0: None, 1: ACKED, 2: ACKED, 3: ACKED}


def test_a_liar_cannot_hide_what_others_built_on_it_by_forking_behind_a_gap() -> None:
    """Of a head whose chain ends in nothing it is not known on which side of a fork it is: it stays where it was."""
    writing = Writing()
    liar = writing.head("a", sequence=5, previous=NOWHERE)
    honest = writing.head("b", seen=[liar])
    one, other = writing.head("a"), writing.head("a")
    same(writing, [liar, honest, one, other])
    found = read(writing, [[liar, honest], [one, other]], ALL)
    assert set(found.became.values()) == {ACKED}
    assert found.forks == {liar.writer: [1]}
    assert {head.name for head in found.view} == {
        honest.writer,
        *(branch_writer(liar.writer, each.hash) for each in (one, other)),
    }
    assert next(head for head in found.view if head.name == honest.writer).vector == honest.seen


def test_a_head_that_names_anothers_as_the_one_before_is_as_one_behind_a_gap() -> None:
    writing = Writing()
    of_b = writing.head("b")
    strange = writing.head("a", sequence=2, previous=of_b.hash)
    late = writing.head("a", sequence=4, previous=strange.hash)
    assert same(writing, [of_b, strange, late]) == {0: ACKED, 1: ACKED, 2: ACKED}


def test_who_has_gone_back_behind_a_gap_is_found_when_the_gap_is_filled() -> None:
    writing = Writing()
    b1 = writing.head("b")
    a1 = writing.head("a", seen=[b1])
    a2 = writing.head("a", a1, vector={})
    a3 = writing.head("a", a2, [b1])
    assert same(writing, [b1, a1, a2, a3]) == {0: ACKED, 1: ACKED, 2: BROKEN, 3: BROKEN}


def test_a_branch_may_be_named_before_any_record_proves_the_fork() -> None:
    """Who has met both twins and could not write the proof yet, for it worked offline or the proof is too large."""
    writing = Writing()
    a1 = writing.head("a")
    b1 = writing.head("b", seen=[a1])
    writing.head("a")
    b2 = writing.head("b", b1, vector={branch_writer(a1.writer, a1.hash): (1, a1.hash)})
    b3 = writing.head("b", b2)
    assert set(same(writing, [a1, b1, writing.made[2], b2, b3]).values()) == {ACKED}
    forgets = writing.head("b", b3, vector={})
    assert same(writing, [a1, writing.made[2], b2, b3, forgets])[writing.made.index(forgets)] == BROKEN


@pytest.mark.parametrize("frontier", [[], None])
def test_a_head_of_a_lower_level_in_the_middle_of_a_chain_is_the_same_in_every_order(
    frontier: list[bytes] | None,
) -> None:
    writing = Writing()
    a1 = writing.head("a")
    low = writing.head("a", a1, feature=1, frontier=frontier)
    a3 = writing.head("a", low)
    gap = {0: ACKED, 1: None, 2: ACKED}  # one that names no records is no head
    assert same(writing, [a1, low, a3]) == (gap if frontier == [] else {0: ACKED, 1: BROKEN, 2: BROKEN})


def test_who_went_back_and_may_not_write_either_is_broken_in_every_order() -> None:
    writing = Writing()
    b1 = writing.head("b")
    a1 = writing.head("a", seen=[b1])
    a2 = writing.head("a", a1, vector={}, at=1)
    a3 = writing.head("a", a2)
    says = (Says(), Says(Says().writing - {device("a").public().id}))
    assert [same(writing, [b1, a1, a2, a3], says)[one] for one in (2, 3)] == [BROKEN, BROKEN]


def test_what_a_gap_hides_of_a_branch_holds_up_neither_it_nor_the_head_before() -> None:
    """Who names a branch and who follows it are compared by what both say, and need nothing that is not there."""
    writing = Writing()
    a1 = writing.head("a")
    one, other = writing.head("a", a1), writing.head("a", a1)
    a3 = writing.head("a", one)
    b1 = writing.head("b", seen=[a3])
    branch = branch_writer(a1.writer, one.hash)
    says = (Says(), Says(forks=(Place(a1.writer, 2),)))
    b2 = writing.head("b", b1, vector={a1.writer: (1, a1.hash), branch: (3, a3.hash), b1.writer: (1, b1.hash)}, at=1)
    assert set(same(writing, [a1, one, a3, b1, b2], says).values()) == {ACKED, None}
    assert same(writing, [other, a3, b1, b2], says) == {0: None, 1: None, 2: ACKED, 3: ACKED, 4: ACKED, 5: None}
    assert other.sequence == 2


@pytest.mark.parametrize("sequence", [1, 2, 1000])
def test_nobody_has_seen_more_of_others_than_there_is(sequence: int) -> None:
    """A head of another writer, or with another number, does not stand for what is said to have been seen."""
    writing = Writing()
    a1, b1 = writing.head("a"), writing.head("b")
    item = (sequence, a1.hash) if sequence > 1 else (sequence, b1.hash)
    liar = writing.head("c", vector={a1.writer: item})
    a2 = writing.head("a", a1)
    assert same(writing, [a1, b1, liar, a2]) == {0: ACKED, 1: ACKED, 2: None, 3: ACKED}


def test_an_end_between_judging_and_settling_leaves_nothing_undone() -> None:
    """The records were settled before these heads came, so it is the heads that say that it has to be done again."""
    writing = Writing()
    a1 = writing.head("a")
    a2 = writing.head("a", a1)
    b1 = writing.head("b", seen=[a2])
    gone = {device("a").public().id: Cut({a1.writer: (1, a1.hash)})}
    says = [Says(writing=Says().writing - gone.keys(), gone=gone)]
    says = [Says(), *says]
    fresh = read(writing, [[a1, a2, b1]], says)
    assert set(fresh.became.values()) == {ACKED}
    assert read(writing, [[a1], [a2], [b1], []], says, ends={2}) == fresh
    assert read(writing, [[a1, a2], []], says, ends={0}).became[1] == QUARANTINED


# -- any heads ---------------------------------------------------------------------------------------------------------


@dataclass
class Story:
    """Heads that were signed, those of them that stores show, and what the records say."""

    writing: Writing
    shown: list[Made]
    says: list[Says]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    writing = Writing()
    made = writing.made

    def some(most: int) -> list[Made]:
        return draw(st.lists(st.sampled_from(made), max_size=most)) if made else []

    for _ in range(draw(st.integers(2, 9))):
        by = draw(st.sampled_from(NAMES))
        own = [one for one in made if one.name.writer == _writer(by)]
        lie = draw(
            st.sampled_from(["", "", "", "", "fork", "gap", "forget", "strange", "claim", "name", "low", "bare"])
        )
        before = max(own, key=lambda one: one.sequence, default=None)
        if lie == "fork" and own:
            before = draw(st.sampled_from([None, *own]))
        seen = [one for one in some(2) if one not in own]
        at = max(draw(st.integers(0, 1)), before.at if before else 0)
        if lie == "gap":
            number = draw(st.integers(2, 4))
            writing.head(by, None, seen, sequence=number, previous=hashed("test gap", b"%d" % number), at=at)
        elif lie == "strange" and made:
            strange = draw(st.sampled_from(made))
            writing.head(by, None, seen, sequence=draw(st.integers(2, 4)), previous=strange.hash, at=at)
        elif lie in ("forget", "claim"):
            vector = {one.writer: (draw(st.integers(1, 4)), one.hash) for one in seen} if lie == "claim" else {}
            writing.head(by, before, vector=vector, at=at)
        elif lie == "name" and seen:
            roots = draw(st.lists(st.sampled_from(made), min_size=len(seen), max_size=len(seen)))
            named: dict[bytes, tuple[int, bytes]] = {
                branch_writer(one.writer, root.hash): (one.sequence, one.hash)
                for one, root in zip(seen, roots, strict=True)
            }
            writing.head(by, before, vector=named, at=at)
        else:
            low, bare = lie in ("low", "bare"), lie == "bare"
            writing.head(by, before, seen, at=at, feature=1 if low else 2, frontier=[] if bare else None)
    hidden = draw(st.lists(st.sampled_from(made), max_size=2))
    return Story(writing, [one for one in made if one not in hidden], draw(_says(made)))


def _writer(by: str) -> bytes:
    return Writing().head(by).writer


@st.composite
def _says(draw: st.DrawFn, made: Sequence[Made]) -> list[Says]:
    """Two states of the records that heads may name, and what they come to in the end."""
    places = draw(st.lists(st.sampled_from(made), max_size=1))
    forks = tuple(Place(one.writer, one.sequence) for one in places)
    ends = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
    gone = {
        device(name).public().id: Cut(
            {one.writer: (one.sequence, one.hash) for one in draw(st.lists(st.sampled_from(made), max_size=1))}
        )
        for name in ends
    }
    return [Says(), Says(forks=forks), Says(Says().writing - gone.keys(), gone, forks)]


@given(stories(), st.data())
def test_any_order_with_any_restarts_gives_the_same(story: Story, data: st.DataObject) -> None:
    fresh = read(story.writing, [story.shown], story.says)
    for _ in range(2):
        order = data.draw(st.permutations(story.shown))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
        looks = [order[first:last] for first, last in zip([0, *cuts], [*cuts, len(order)], strict=True)]
        known = [data.draw(st.integers(1, len(story.says))) for _ in looks]
        ends = data.draw(st.sets(st.integers(0, len(looks) - 2))) if len(looks) > 1 else set()
        assert read(story.writing, looks, story.says, sorted(known), ends) == fresh
