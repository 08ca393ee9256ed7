"""Resolution: who belongs, by the rules of docs/spec/groups.md 2.

Flow: Graph -> records grounded in their own past -> rounds of strikes -> what stands -> GroupState
Never: depends on the order of arrival, on time, or on who asks: it is a function of the set of records.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ropewalk.spaces.members.graph import Graph, bits
from ropewalk.spaces.members.grounding import Grounding, Rank, Taking
from ropewalk.spaces.members.operations import Prove
from ropewalk.spaces.members.outcome import outcome
from ropewalk.spaces.members.state import Accused, GroupState, Struck

__all__ = ["Resolution", "Standing"]

MOST_KEPT = 64  # states of pasts that are kept: heads name few frontiers at a time


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of a set of records."""

    grounding: Grounding
    sound: int  # the records that stood in their own past
    good: int  # those of them that nothing struck, and that still stand without what was
    struck: Mapping[int, tuple[int, str]]  # position -> by which, and why


class Resolution:
    """All that one graph comes to, at any point of it.

    Args:
        graph: The records.
        judge: What a proof's bytes prove, or None where they prove nothing; a pure function.
    """

    def __init__(self, graph: Graph, judge: Callable[[bytes], Accused | None] | None = None) -> None:
        self.graph = graph
        self._base = Grounding(graph, graph.everything)
        self.sound = self._base.good
        self._clashes = _clashes(self._base)
        self._accused = _accused(graph, self.sound, judge)
        self._states: OrderedDict[int, GroupState] = OrderedDict()

    def standing(self, within: int) -> Standing:
        """What stands of a set that holds all ancestors of its records."""
        grounding = self._base
        if not any(within >> place & 1 and within & hits for place, hits in self._clashes):
            return Standing(grounding, self.sound & within, self.sound & within, {})
        grounding = grounding.copy(within)
        struck = _strike(grounding)
        return Standing(grounding, self.sound & within, grounding.good, struck)

    def state(self, within: int) -> GroupState:
        """What such a set comes to."""
        if (found := self._states.get(within)) is None:
            standing = self.standing(within)
            records = self.graph.records
            struck = {
                records[place].hash: Struck(records[by].hash, why) for place, (by, why) in standing.struck.items()
            }
            accused = {place: one for place, one in self._accused.items() if standing.sound >> place & 1}
            found = outcome(self._base, standing.sound, standing.grounding, standing.good, accused, struck)
            self._states[within] = found
            if len(self._states) > MOST_KEPT:
                self._states.popitem(last=False)
        else:
            self._states.move_to_end(within)
        return found


def _hits(grounding: Grounding, place: int, taking: Taking, protected: int) -> int:
    """The records that a taking strikes: of its target, not seen by it, and not seeing it."""
    graph, index = grounding.graph, grounding.index
    hits = grounding.signed[taking.member] & grounding.good & ~index.proofs & ~protected
    if taking.device is not None:
        hits &= index.authored[taking.device]
    if taking.lowered:
        hits &= grounding.needed_admin
    return hits & ~(graph.before[place] | graph.after[place] | 1 << place) if hits else 0


def _by_seniority(grounding: Grounding) -> list[tuple[int, Taking, int]]:
    """Takings that stand, the most senior author's first, each with those that it cannot strike."""
    found: list[tuple[Rank, int, Taking]] = []
    for place in bits(grounding.takings):
        verdict = grounding.verdicts[place]
        if verdict is not None and verdict.taking is not None:
            found.append((verdict.rank, place, verdict.taking))
    found.sort(key=lambda one: one[:2])
    ordered: list[tuple[int, Taking, int]] = []
    protected = 0
    for _, group in itertools.groupby(found, key=lambda one: one[0]):
        equals = list(group)
        for _, place, _ in equals:
            protected |= 1 << place
        ordered += [(place, taking, _spared(grounding, place, taking, protected)) for _, place, taking in equals]
    return ordered


def _spared(grounding: Grounding, place: int, taking: Taking, protected: int) -> int:
    """What a taking cannot strike, by its rank; of what one device says at once, that stands which takes the least."""
    mine = grounding.index.authored[grounding.graph.records[place].author]
    if not taking.own:
        return protected | mine & (grounding.retirements | grounding.leaves)
    return protected & ~mine | mine & (grounding.retirements | (0 if taking.device else grounding.leaves))


def _in_turn(grounding: Grounding) -> tuple[list[tuple[int, Taking, int]], int]:
    """Takings in the order in which they strike, less those that wait, and the records that make it so."""
    graph, index = grounding.graph, grounding.index
    turns: list[tuple[int, Taking, int]] = []
    waiting = cause = 0
    for place, taking, unhit in _by_seniority(grounding):
        spared, against = unhit, _opponents(grounding, place, taking)
        if against and (raised := _hits(grounding, place, taking, spared) & grounding.needed_admin):
            senior = min(_rank(grounding, one) for one in bits(against))
            kept = sum(1 << one for one in bits(raised) if _rank(grounding, one) > senior)
            spared |= kept
            cause |= against if kept else 0
        if taking.own:
            mine = index.authored[graph.records[place].author] & grounding.takings
            if late := _hits(grounding, place, taking, spared) & mine:
                waiting |= late
                cause |= 1 << place
        turns.append((place, taking, spared))
    return [one for one in turns if not waiting >> one[0] & 1], cause


def _opponents(grounding: Grounding, place: int, taking: Taking) -> int:
    """For a taking that took no admin: those concurrent with it that did, and that take from whoever signed it."""
    graph, index, author = grounding.graph, grounding.index, grounding.graph.records[place].author
    if grounding.needed_admin >> place & 1:
        return 0
    about = index.removals.get(taking.member, 0) | index.roles.get(taking.member, 0) | index.revocations.get(author, 0)
    apart = grounding.takings & grounding.needed_admin & about & ~(graph.before[place] | graph.after[place])
    found = ((one, grounding.verdicts[one]) for one in bits(apart))
    return sum(1 << one for one, it in found if it and it.taking and it.taking.member == taking.member)


def _rank(grounding: Grounding, place: int) -> Rank:
    verdict = grounding.verdicts[place]
    assert verdict is not None
    return verdict.rank


def _clashes(grounding: Grounding) -> list[tuple[int, int]]:
    """Takings that strike something before anything is struck, and what."""
    found = ((place, _hits(grounding, place, taking, spared)) for place, taking, spared in _by_seniority(grounding))
    return [(place, hits) for place, hits in found if hits]


def _strike(grounding: Grounding) -> dict[int, tuple[int, str]]:
    """Let takings strike, the most senior first, until none has anything left to strike.

    Each round strikes one record at least, and none comes back, so there are no more rounds than records.
    """
    struck: dict[int, tuple[int, str]] = {}
    gained = True
    while gained:
        gained = False
        ordered, cause = _in_turn(grounding)
        for place, taking, protected in ordered:
            if not grounding.good >> place & 1:
                continue
            if hits := _hits(grounding, place, taking, protected):
                why = "demoted" if taking.lowered else "removed" if taking.device is None else "revoked"
                struck.update(dict.fromkeys(bits(hits), (place, why)))
                # Where nothing gained by it, the takings before this one still have nothing to strike.
                if gained := grounding.leave_out(hits) or bool(cause & ~grounding.good):
                    break
    return struck


def _accused(graph: Graph, among: int, judge: Callable[[bytes], Accused | None] | None) -> dict[int, Accused]:
    found: dict[int, Accused] = {}
    for place in bits(among):
        content = graph.records[place].content
        if judge is not None and isinstance(content, Prove) and (one := judge(content.proof)) is not None:
            found[place] = one
    return found
