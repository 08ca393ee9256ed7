"""Conduct: what heads come to depends on which there are and on what the records say, never on how they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.conduct import Branches, Counted, Refuse, Wait, branch_writer, judge
from ropewalk.spaces.members import Cut
from ropewalk.spaces.proof import Kind, seen_less
from ropewalk.spaces.state import ACKED, BROKEN, QUARANTINED, KnownHead
from tests.spaces.judged import ALL, FakeMembers, FakeState, Room, device, head, room, writer


def test_honest_heads_are_accepted_and_what_they_rest_on_is_waited_for() -> None:
    a1 = head("a", 1)
    b1 = head("b", 1, seen=[a1])
    a2 = head("a", 2, a1, [b1])
    here = room()
    assert isinstance(judge(a1, here), Counted)
    why = f"it has seen {writer('a').hex()[:8]}-1, which no store shows"
    assert judge(b1, here) == Wait(why, a1.hash, (writer("a"), 1))
    for one in (a2, b1, a1):
        here.come(one)
    assert set(here.settle().values()) == {ACKED}
    assert not here.waiting
    assert not here.evidence


def test_a_head_that_the_next_one_names_is_not_waited_for() -> None:
    """An old head that all stores have lost must not hold up whoever has seen it."""
    a1 = head("a", 1)
    a2 = head("a", 2, a1)
    b1 = head("b", 1, seen=[a1])
    here = room()
    here.come(a2)
    here.come(b1)
    assert b1.hash in here.heads


def test_no_other_head_does_for_it_be_it_later_or_of_another_branch() -> None:
    a1, twin = head("a", 1, note="one"), head("a", 1, note="other")
    b1 = head("b", 1, seen=[a1])
    here = room()
    for one in (twin, head("a", 2, twin), head("a", 9)):
        here.come(one)
    verdict = judge(b1, here)
    assert isinstance(verdict, Wait)
    assert (verdict.missing, verdict.past) == (a1.hash, (writer("a"), 1))


def test_records_that_are_not_here_are_waited_for() -> None:
    assert isinstance(judge(head("a", 1, at=1), room()), Wait)


def test_who_might_not_write_at_the_records_that_he_names_is_refused() -> None:
    here = room(FakeState(frozenset()), FakeState(ALL))
    assert isinstance(judge(head("a", 1, at=0), here), Refuse)
    assert isinstance(judge(head("a", 1, at=1), here), Counted)


def test_another_feature_level_than_the_records_say_is_refused() -> None:
    here = room(FakeState(ALL, feature=1), FakeState(ALL))
    assert isinstance(judge(head("a", 1, at=0, feature=1), here), Counted)
    assert isinstance(judge(head("a", 1, at=1, feature=1), here), Refuse)
    assert isinstance(judge(head("a", 1, at=0, feature=2), here), Refuse)


def test_who_has_seen_less_than_before_is_refused_with_all_that_follows() -> None:
    b1 = head("b", 1)
    a1 = head("a", 1, seen=[b1])
    a2 = head("a", 2, a1, vector={})
    a3 = head("a", 3, a2, [b1])
    for order in ((b1, a1, a2, a3), (b1, a3, a2, a1), (b1, a2, a3, a1)):
        here = room()
        for one in order:
            here.come(one)
        states = here.settle()
        assert [states[one.hash] for one in (b1, a1, a2, a3)] == [ACKED, ACKED, BROKEN, BROKEN]
        assert here.evidence == {(Kind.WENT_BACK, a1.name, a2.name)}


def test_who_knows_fewer_records_or_a_lower_level_than_before_is_refused() -> None:
    here = room(FakeState(ALL, feature=1), FakeState(ALL))
    a1 = head("a", 1, at=1)
    here.come(a1)
    verdict = judge(head("a", 2, a1, at=0, feature=1), here)
    assert isinstance(verdict, Refuse)
    assert verdict.broken
    assert [one.kind for one in verdict.evidence] == [Kind.DOWNGRADE]
    fewer = room(FakeState(ALL), FakeState(ALL))
    fewer.come(a1)
    verdict = judge(head("a", 2, a1, at=0), fewer)
    assert isinstance(verdict, Refuse)
    assert verdict.broken
    assert verdict.evidence == ()


def test_two_heads_of_one_sequence_are_both_kept_as_writers_of_their_own() -> None:
    a1 = head("a", 1)
    one, other = head("a", 2, a1, note="one"), head("a", 2, a1, note="other")
    after = head("a", 3, other)
    b1 = head("b", 1, seen=[after])
    for order in ((a1, one, other, after, b1), (b1, after, other, one, a1)):
        here = room()
        for each in order:
            here.come(each)
        assert set(here.settle().values()) == {ACKED}
        assert here.evidence == {(Kind.FORK, *sorted((one.name, other.name)))}
        left, right = (branch_writer(writer("a"), each.hash) for each in (one, other))
        assert [here.branches.name(each) for each in (a1, one, other, after)] == [writer("a"), left, right, right]
        assert here.branches.vector(one.vector) == {writer("a"): (1, a1.hash), left: (2, one.hash)}
        read = here.branches.vector(b1.vector)
        assert read == {
            writer("a"): (1, a1.hash),
            right: (3, after.hash),
            writer("b"): (1, b1.hash),
        }
        assert here.branches.renames(b1.vector) == {writer("a"): ((2, right),)}


def test_a_branch_that_forks_again_is_renamed_from_there_on() -> None:
    a1 = head("a", 1, note="x")
    twin = head("a", 1, note="y")
    a2 = head("a", 2, a1)
    one, other = head("a", 3, a2, note="one"), head("a", 3, a2, note="other")
    first = branch_writer(writer("a"), a1.hash)
    second = branch_writer(writer("a"), one.hash)
    # Whoever knew of the first fork only names its branch, and means what later belongs to the second's.
    b1 = head("b", 1, vector={first: (3, one.hash)})
    here = room()
    for each in (a1, twin, a2, one, b1, other):
        here.come(each)
    assert here.branches.vector(b1.vector) == {
        first: (2, a2.hash),
        second: (3, one.hash),
        writer("b"): (1, b1.hash),
    }
    assert here.branches.renames(b1.vector) == {first: ((3, second),)}
    assert here.branches.renames(one.vector) == {writer("a"): ((1, first), (3, second))}


def test_behind_a_gap_no_branch_is_known_and_so_its_writer_is_meant() -> None:
    a1 = head("a", 1, note="x")
    a2 = head("a", 2, a1)
    a3 = head("a", 3, a2)
    here = room()
    for each in (a1, head("a", 1, note="y"), a3):
        here.come(each)
    assert here.branches.name(a3) == writer("a")
    assert here.branches.vector(a3.vector) == a3.vector
    assert here.branches.renames(a3.vector) == {}
    here.come(a2)
    assert here.branches.name(a3) == branch_writer(writer("a"), a1.hash)


def test_a_gap_that_is_filled_is_so_for_who_has_asked_before() -> None:
    a1 = head("a", 1)
    a2 = head("a", 2, a1)
    a3 = head("a", 3, a2)
    known = {one.hash: one for one in (a1, a3)}
    branches = Branches({writer("a"): [1]}, known.get)
    assert branches.name(a3) == writer("a")
    known[a2.hash] = a2
    branches.came(a2.hash)
    assert branches.name(a3) == branch_writer(writer("a"), a1.hash)


def test_heads_past_a_cut_count_only_if_somebody_else_has_seen_them() -> None:
    """E9 of the spec: a cut at 7, heads 8 and 9, and one of another device that has seen 8."""
    chain = [head("d", 1)]
    for sequence in range(2, 10):
        chain.append(head("d", sequence, chain[-1]))
    f1 = head("f", 1, seen=[chain[7]])
    writing = frozenset({device("d"), device("f")})
    cut = Cut({writer("d"): (7, chain[6].hash)})
    here = room(FakeState(writing), FakeState(frozenset({device("f")}), gone={device("d"): cut}))
    for one in (*chain, f1):
        here.come(one)
    assert {one.hash: one.state for one in here.heads.values()}[chain[7].hash] == QUARANTINED
    states = here.settle()
    assert [states[one.hash] for one in (*chain, f1)] == [ACKED] * 8 + [QUARANTINED, ACKED]
    # An `accept` that raises the cut takes the last one in, and one that a device is thawed by takes in all.
    here.fake.states.append(
        FakeState(frozenset({device("f")}), gone={device("d"): Cut({writer("d"): (9, chain[8].hash)})})
    )
    assert set(here.settle().values()) == {ACKED}


# ---- what a steward can say ------------------------------------------------------------------------------------------


def unread(one: KnownHead) -> KnownHead:
    """A head as a steward has it."""
    return replace(one, vector={one.writer: (one.sequence, one.hash)}, frontier=(), unread=True)


def test_a_steward_waits_for_nothing_and_finds_forks_and_lower_levels_in_any_order() -> None:
    b1 = unread(head("b", 1))
    a1 = unread(head("a", 1, seen=[b1]))
    one, other = (unread(head("a", 2, a1, note=note)) for note in ("one", "other"))
    c1 = unread(head("c", 1))
    lower = unread(head("c", 2, c1, feature=1))
    after = unread(head("c", 3, lower, feature=1))
    came = (b1, a1, one, other, c1, lower, after)
    fork = (Kind.FORK, *sorted((one.name, other.name)))
    for order in permutations(came):
        here = room()
        for each in order:
            here.come(each)
        assert here.waiting == []
        states = here.settle()
        assert [states[each.hash] for each in came] == [ACKED] * 5 + [BROKEN] * 2
        assert here.evidence == {fork, (Kind.DOWNGRADE, c1.name, lower.name)}


def test_a_steward_sets_aside_what_is_past_a_cut_and_who_never_might_write() -> None:
    d1 = unread(head("d", 1))
    d2 = unread(head("d", 2, d1))
    f1 = unread(head("f", 1, seen=[d2]))
    stranger = unread(head("e", 1))
    cut = Cut({writer("d"): (1, d1.hash)})
    here = room(FakeState(frozenset({device("f")}), gone={device("d"): cut}))
    for one in (d1, d2, f1, stranger):
        here.come(one)
    states = here.settle()
    assert [states[one.hash] for one in (d1, d2, f1, stranger)] == [ACKED, QUARANTINED, ACKED, QUARANTINED]


def test_a_head_that_names_another_writers_as_the_one_before_is_as_one_behind_a_gap_for_a_steward_too() -> None:
    b1 = unread(head("b", 1))
    a2 = unread(head("a", 2, b1))
    for order in ((b1, a2), (a2, b1)):
        here = room()
        for one in order:
            here.come(one)
        assert set(here.settle().values()) == {ACKED}
        assert here.branches.name(a2) == writer("a")


def test_who_was_a_reader_does_not_take_what_it_can_no_longer_read_for_having_gone_back() -> None:
    b1 = head("b", 1)
    a1 = head("a", 1, seen=[b1])
    a2 = unread(head("a", 2, a1, seen=[b1]))
    for order in ((b1, a1, a2), (a2, b1, a1)):
        here = room()
        for one in order:
            here.come(one)
        assert set(here.settle().values()) == {ACKED}
        assert here.evidence == set()


def test_two_devices_that_are_gone_cannot_vouch_for_each_other() -> None:
    c1, d1 = head("c", 1), head("d", 1)
    c2, d2 = head("c", 2, c1, [d1]), head("d", 2, d1, [c1])
    gone = {device(name): Cut({}) for name in "cd"}
    here = room(FakeState(ALL), FakeState(frozenset(map(device, "ab")), gone=gone))
    for one in (c1, d1, c2, d2):
        here.come(one)
    assert set(here.settle().values()) == {QUARANTINED}


# ---- any order -------------------------------------------------------------------------------------------------------


@dataclass
class Story:
    """Heads that were signed, honestly or not, and what the records say of their devices in the end."""

    heads: list[KnownHead]
    members: FakeMembers


@st.composite
def stories(draw: st.DrawFn) -> Story:
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True))
    heads: list[KnownHead] = []
    for step in range(draw(st.integers(1, 14))):
        by = draw(st.sampled_from(names))
        own = [one for one in heads if one.writer == writer(by)]
        lies = draw(st.integers(0, 5)) == 0
        last = draw(st.sampled_from(own)) if own and lies else max(own, key=lambda one: one.sequence, default=None)
        seen = draw(st.lists(st.sampled_from(heads), max_size=2)) if heads else []
        at = max([0 if last is None else last.frontier[0][0], draw(st.integers(0, 1))])
        forgets = lies and draw(st.booleans())
        heads.append(
            head(
                by,
                last.sequence + 1 if last else 1,
                last,
                [one for one in seen if one.writer != writer(by)],
                at=0 if forgets else at,
                note=str(step),
                vector={} if forgets else None,
            )
        )
    cuts = {
        device(name): Cut(
            {writer(name): max((one.sequence, one.hash) for one in heads if one.writer == writer(name))}
            if draw(st.booleans()) and any(one.writer == writer(name) for one in heads)
            else {}
        )
        for name in draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    }
    now = FakeState(ALL - cuts.keys(), gone=cuts)
    return Story(heads, FakeMembers([FakeState(ALL), FakeState(ALL), now]))


def _outcome(story: Story, order: Sequence[KnownHead]) -> tuple[object, ...]:
    here = Room(story.members)
    for one in order:
        here.come(one)
    states = here.settle()
    names = {digest: here.branches.name(one) for digest, one in here.heads.items()}
    # One may show what the other shows too: who is accused, and of a fork or not, is the same.
    accused = {(kind is Kind.FORK, one[0]) for kind, one, _ in here.evidence}
    return states, names, here.places, sorted(one.name for one in here.waiting), accused


@given(stories(), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same(story: Story, chance: object) -> None:
    shuffled = list(story.heads)
    cast("Shuffles", chance).shuffle(shuffled)
    assert _outcome(story, story.heads) == _outcome(story, shuffled) == _outcome(story, story.heads[::-1])


class Shuffles:
    """What `random.Random` can do, as far as it is used here."""

    def shuffle(self, items: list[KnownHead]) -> None: ...


# ---- nobody honest is blamed -----------------------------------------------------------------------------------------


@given(st.data())
def test_honest_devices_are_never_refused_or_accused(data: st.DataObject) -> None:
    """Up to six devices that each know some of the others' heads, and go on as new incarnations now and then."""
    draw = data.draw
    count = draw(st.integers(1, 6))
    knows: list[dict[bytes, KnownHead]] = [{} for _ in range(count)]
    last: list[KnownHead | None] = [None] * count
    lives = [0] * count
    everything: list[KnownHead] = []
    at = [0] * count
    for _ in range(draw(st.integers(1, 25))):
        who = draw(st.integers(0, count - 1))
        if draw(st.integers(0, 6)) == 0:
            lives[who], last[who] = lives[who] + 1, None
        for other in draw(st.lists(st.integers(0, count - 1), max_size=2)):
            knows[who] |= knows[other]
            at[who] = max(at[who], at[other])
        at[who] = max(at[who], draw(st.integers(0, 1)))
        by = f"{'abcdef'[who]}{lives[who]}"
        before = last[who]
        made = head(by, before.sequence + 1 if before else 1, before, knows[who].values(), at=at[who])
        last[who] = made
        knows[who][made.hash] = made
        everything.append(made)
    here = Room(FakeMembers([FakeState(frozenset(map(device, "abcdef")))] * 2))
    for one in draw(st.permutations(everything)):
        here.come(one)
    assert set(here.settle().values()) == {ACKED}
    assert not here.waiting
    assert not here.evidence
    assert not here.places


def test_who_names_a_branch_instead_of_its_writer_has_not_seen_less() -> None:
    whole, base, branch = {b"w": (9, b"x")}, {b"w": (6, b"p")}, {b"w": (6, b"p"), b"b": (9, b"x")}
    assert seen_less(base, whole)
    assert seen_less({}, whole)
    assert not seen_less(branch, whole)
    assert not seen_less(whole, base)


def test_of_several_that_were_forgotten_each_has_to_be_named_otherwise() -> None:
    """Whichever comes first by its id: what stands for one that was seen up to 2 does not for one up to 9."""
    for short, long in ((b"a", b"b"), (b"b", b"a")):
        earlier = {short: (2, b"x"), long: (9, b"y")}
        assert seen_less({b"c": (3, b"z")}, earlier)
        assert not seen_less({b"c": (9, b"z")}, earlier)
