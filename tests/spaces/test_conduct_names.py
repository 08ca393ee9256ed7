"""Names of branches: what a head is taken to have seen that names one, of a fork which is not known."""

from __future__ import annotations

from ropewalk.spaces.conduct import Branches, branch_writer
from ropewalk.spaces.state import ACKED, KnownHead
from tests.spaces.judged import head, room, writer


def test_a_branch_of_which_no_fork_is_known_is_read_as_its_writer() -> None:
    """Its name commits to its first head, so nobody needs the other side to know what was seen."""
    a1 = head("a", 1)
    a2 = head("a", 2, a1)
    one, other = head("a", 3, a2, note="one"), head("a", 3, a2, note="other")
    begins = branch_writer(writer("a"), a2.hash)
    b1 = head("b", 1, vector={writer("a"): (1, a1.hash), begins: (3, one.hash)})
    here = room()
    for each in (one, b1, a1):
        here.come(each)
    assert here.waiting == [b1], "the chain to where the branch begins has a gap"
    kept = here.branches
    assert not kept.may_mean(begins, one)
    here.come(a2)
    kept.came(a2.hash)
    assert kept.may_mean(begins, one)
    assert not kept.may_mean(begins, a1)
    assert not kept.may_mean(branch_writer(writer("b"), a2.hash), one)
    assert here.waiting == []
    assert here.branches.vector(b1.vector) == {writer("a"): (3, one.hash), writer("b"): (1, b1.hash)}
    assert here.branches.renames(b1.vector) == {begins: ((1, writer("a")),)}
    here.come(other)
    later = branch_writer(writer("a"), one.hash)
    assert here.branches.vector(b1.vector)[later] == (3, one.hash)
    assert here.branches.renames(b1.vector) == {begins: ((1, writer("a")), (3, later))}


def test_nobody_has_forked_because_a_branch_is_named() -> None:
    """Else who may write could have the heads of others read as branches, at as many places as he likes."""
    a1 = head("a", 1)
    a2 = head("a", 2, a1)
    here = room()
    for each in (a1, a2, head("b", 1, vector={branch_writer(writer("a"), a1.hash): (2, a2.hash)})):
        here.come(each)
    assert set(here.settle().values()) == {ACKED}
    assert here.places == {}
    assert here.branches.name(a2) == writer("a")


def test_each_head_is_read_once_or_twice_however_many_branches_are_named() -> None:
    """Who may write names as many as a vector holds, each of a head far back, in each head that it signs."""
    chain = [head("a", 1)]
    for number in range(2, 61):
        chain.append(head("a", number, chain[-1], vector={}))
    known, reads = {one.hash: one for one in chain}, 0

    def find(digest: bytes) -> KnownHead | None:
        nonlocal reads
        reads += 1
        return known.get(digest)

    branches = Branches({}, find)
    names = [branch_writer(writer("a"), one.hash) for one in chain]
    for at, one in reversed(list(enumerate(chain))):
        assert [branches.may_mean(name, one) for name in names] == [True] * (at + 1) + [False] * (59 - at)
    assert reads <= 3 * len(chain)
