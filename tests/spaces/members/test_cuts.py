"""Cuts, acceptance and proofs: up to where the heads of a device count (docs/spec/groups.md 2.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import NO_CUT, Accused
from ropewalk.spaces.members.operations import Prove
from tests.spaces.members.group import READER, WRITER, Group, cut, device, writer


def test_cuts_at_once_are_united_and_acceptance_raises_them(group: Group, all_of_them: bytes) -> None:
    one = group.remove("a1", all_of_them, name="W", at=cut(w1=7, w2=1))
    other = group.remove("b1", all_of_them, name="W", at=cut(w1=5, w3=2))
    assert group.read(one, other).state.gone == {device("w1"): cut(w1=7, w2=1, w3=2)}
    more = group.accept("a1", one, other, at=cut(w1=9, w2=1))
    assert group.read(more).state.gone == {device("w1"): cut(w1=9, w2=1, w3=2)}
    before = group.accept("a1", all_of_them, at=cut(w1=9))
    assert group.read(group.remove("a1", before, name="W", at=cut(w1=7))).state.gone == {device("w1"): cut(w1=7)}
    assert group.read(before, other).state.gone == {device("w1"): cut(w1=9, w3=2)}


def test_a_later_taking_replaces_the_cuts_of_one_that_it_had_seen(group: Group, all_of_them: bytes) -> None:
    reader = group.role("a1", all_of_them, name="W", role=READER, at=cut(w1=7))
    assert group.read(reader).state.gone == {device("w1"): cut(w1=7)}
    again = group.role("a1", reader, name="W", role=WRITER)
    assert group.read(again).state.gone == {}
    assert group.read(group.remove("a1", again, name="W", at=cut(w1=5))).state.gone == {device("w1"): cut(w1=5)}


def test_who_never_could_write_is_not_among_the_gone(group: Group, all_of_them: bytes) -> None:
    assert group.read(group.remove("a1", all_of_them, name="R")).state.gone == {}


def accuse(proof: bytes) -> Accused | None:
    """Proves what its letters say; "x" proves nothing."""
    if proof == b"x":
        return None
    return Accused(device("w1"), writer("w1"), 6 if proof == b"later" else 5, frozenset({hashed("test head", proof)}))


def test_a_proof_freezes_until_someone_who_saw_it_thaws(group: Group, all_of_them: bytes) -> None:
    def proof(author: str, what: bytes, *on: bytes, at: int = 4) -> bytes:
        return group.write(author, *on, says=Prove(what, cut(w1=at).packed()))

    one, other = proof("r1", b"1", all_of_them), proof("b1", b"2", all_of_them, at=6)
    state = group.read(one, other, proofs=accuse).state
    assert state.frozen == {device("w1")}
    assert not state.may_write(device("w1"))
    assert state.role_of(device("w1")) is WRITER
    assert state.gone == {device("w1"): cut(w1=6)}
    heads = frozenset(hashed("test head", what) for what in (b"1", b"2"))
    assert [(fork.device, fork.writer, fork.sequence, fork.heads) for fork in state.forks] == [
        (device("w1"), writer("w1"), 5, heads)
    ]
    assert group.read(one, other).state.frozen == frozenset()  # nobody to judge it
    assert group.read(proof("b1", b"x", all_of_them), proofs=accuse).state.gone == {}
    half = group.accept("a1", one, thawed=["w1"])
    assert group.read(half, proofs=accuse).state.may_write(device("w1"))
    assert group.read(half, other, proofs=accuse).state.may_write(device("w1"))  # a fork at the same place
    later = proof("b1", b"later", all_of_them)
    assert not group.read(half, later, proofs=accuse).state.may_write(device("w1"))
    assert group.read(half, proofs=accuse).state.forks
    whole = group.accept("a1", half, later, thawed=["w1"])
    assert group.read(whole, other, proofs=accuse).state.gone == {}
    gone = group.remove("a1", one, name="W", at=cut(w1=2))
    assert group.read(gone, proofs=accuse).state.gone == {device("w1"): cut(w1=2)}


FORK = Accused(device("w1"), writer("w1"), 5, frozenset({b"1" * 32, b"2" * 32}))
COUNT = Accused(device("w1"), b"", 5, frozenset({b"1" * 32, b"2" * 32}), b"life" * 4)
PAIR = Accused(device("w1"), exhibits=frozenset({b"1" * 32, b"2" * 32}))
OTHER_HEADS = frozenset({b"1" * 32, b"3" * 32})


@pytest.mark.parametrize(
    ("first", "again", "held"),
    [
        (FORK, FORK, False),
        (FORK, replace(FORK, exhibits=OTHER_HEADS), False),
        (FORK, replace(FORK, sequence=6), True),
        (FORK, replace(FORK, writer=writer("w2")), True),
        (COUNT, replace(COUNT, exhibits=OTHER_HEADS), False),
        (COUNT, replace(COUNT, sequence=6), True),
        (COUNT, replace(COUNT, incarnation=b"else" * 4), True),
        (PAIR, PAIR, False),
        (PAIR, replace(PAIR, exhibits=OTHER_HEADS), True),
        (FORK, PAIR, True),
        (FORK, replace(FORK, device=device("b1")), True),
    ],
)
@pytest.mark.parametrize("gone", [False, True])
def test_what_was_let_off_is_shown_once_more(
    group: Group, all_of_them: bytes, first: Accused, again: Accused, held: bool, gone: bool
) -> None:
    """By who is in or not, with parents that had not seen the accept, and for as long as anybody likes."""
    shown = group.write("r1", all_of_them, says=Prove(b"first", cut(w1=7).packed()))
    top = group.accept("a1", shown, thawed=["w1", "b1"])
    if gone:
        top = group.remove("a1", top, name="R")
    judge = {b"first": first, b"again": again}.get
    assert group.read(top, proofs=judge).state.frozen == frozenset()
    for life in "xy":
        group.write("r1", all_of_them, says=Prove(b"again", NO_CUT.packed()), life=life)
        assert group.read(proofs=judge).state.frozen == ({again.device} if held else frozenset())
        top = group.accept("a1", *group.read(proofs=judge).frontier, thawed=["w1", "b1"])
        assert group.read(top, proofs=judge).state.frozen == frozenset()
        held = False


def test_an_accept_lets_off_by_a_proof_whose_author_came_by_what_was_struck(group: Group, all_of_them: bytes) -> None:
    x = group.add("b1", all_of_them, name="X", role=READER)
    shown = group.write("x1", x, says=Prove(b"1", NO_CUT.packed()))
    group.accept("a1", shown, thawed=["w1"])
    group.write("r1", all_of_them, says=Prove(b"1", NO_CUT.packed()))
    assert group.read(proofs=accuse).state.frozen == frozenset()
    group.remove("a1", all_of_them, name="B", life="other")
    read = group.read(proofs=accuse)
    assert device("x1") not in read.state.devices
    assert read.state.frozen == frozenset()


def test_removing_its_finder_does_not_take_a_proof_away(group: Group, all_of_them: bytes) -> None:
    proof = group.write("r1", all_of_them, says=Prove(b"1", NO_CUT.packed()))
    gone = group.remove("a1", all_of_them, name="R")
    assert group.read(proof, gone, proofs=accuse).state.frozen == {device("w1")}


def test_a_proof_counts_from_where_it_was_seen(group: Group, all_of_them: bytes) -> None:
    proof = group.write("r1", all_of_them, says=Prove(b"1", NO_CUT.packed()))
    read = group.read(proof, proofs=accuse)
    assert read.state.frozen
    assert not read.at([all_of_them]).frozen
    assert not read.at([all_of_them]).forks


def test_the_greater_of_two_cuts_whichever_comes_first(group: Group, all_of_them: bytes) -> None:
    orders = set()
    for life in "abcdefghij":  # the order is that of hashes
        more = group.remove("a1", all_of_them, name="W", at=cut(w1=7), life=life)
        less = group.remove("b1", all_of_them, name="W", at=cut(w1=5), life=life)
        orders.add(more < less)
        assert group.read(more, less).state.gone == {device("w1"): cut(w1=7)}
    assert orders == {True, False}


def test_a_role_that_may_write_cuts_nothing(group: Group, all_of_them: bytes) -> None:
    group.role("a1", all_of_them, name="B", role=WRITER, at=cut(b1=9))
    group.remove("a1", all_of_them, name="B", at=cut(b1=7), life="other")
    assert group.read().state.gone == {device("b1"): cut(b1=7)}
