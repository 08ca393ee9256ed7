"""Kill sets: the fewest domains whose loss takes more of something than it can spare.

Flow: items (who holds parts of something, how many are needed) and domains (who is lost together) -> smallest sets
Never: knows what an item or a domain is; holders are bits of a mask.

Within one kind the values do not overlap, so the heaviest first is exact.  Over all kinds it is a set-cover problem:
sets of one, two, three.. domains are tried in turn, with a bound on what any completion can still cover; the work is
counted in steps, not seconds, so that the answer is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["WORK", "Domain", "Item", "Kill", "Smallest", "lost_with", "smallest_of_any", "smallest_of_one_kind"]

WORK = 1_000_000  # domains looked at in one search over all kinds; about a third of a second
SHOWN = 3  # kill sets named for one kind; more would not be read


class Domain(NamedTuple):
    """What is lost as one.  The value None stands for all that do not state the kind."""

    kind: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """Something that needs k of its holders.  ``packs`` and ``size`` (bytes) say how much is lost with it."""

    holders: int  # mask
    k: int
    what: str
    packs: int = 0
    size: int = 0

    def to_kill(self) -> int:
        """How many holders must go before too few are left; 0 or less where that is so already."""
        return self.holders.bit_count() - self.k + 1


@dataclass(frozen=True, slots=True)
class Kill:
    """A set of domains whose loss together breaks something, and what it takes with it."""

    domains: tuple[Domain, ...]
    what: tuple[str, ...]
    packs: int
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Smallest:
    """How many domains of any kinds break something.  ``kill`` has ``at_most`` domains; None: no set does."""

    at_least: int
    at_most: int | None
    kill: Kill | None

    @property
    def exact(self) -> bool:
        return self.at_least == self.at_most or self.at_most is None


def lost_with(domains: Sequence[Domain], masks: Mapping[Domain, int], items: Sequence[Item]) -> Kill:
    """What the loss of these domains together takes."""
    gone = 0
    for domain in domains:
        gone |= masks[domain]
    lost = [item for item in items if (item.holders & ~gone).bit_count() < item.k]
    return Kill(
        tuple(domains),
        tuple(sorted({item.what for item in lost})),
        sum(item.packs for item in lost),
        sum(item.size for item in lost),
    )


def smallest_of_one_kind(masks: Mapping[Domain, int], items: Sequence[Item]) -> tuple[int | None, tuple[Kill, ...]]:
    """The size of the smallest kill set, None where there is none, and up to ``SHOWN`` sets of that size.

    Args:
        masks: The values of one kind; no two share a holder.
        items: What can be lost.
    """
    best: int | None = None
    sets: dict[tuple[Domain, ...], None] = {}
    for item in items:
        need = item.to_kill()
        loads = sorted(((-(item.holders & mask).bit_count(), domain) for domain, mask in masks.items()), key=_in_order)
        taken: list[Domain] = []
        for load, domain in loads:
            if need <= 0 or load == 0 or (best is not None and len(taken) == best):
                break
            need += load
            taken.append(domain)
        if need <= 0:
            if best is None or len(taken) < best:
                best, sets = len(taken), {}
            sets[tuple(sorted(taken, key=_by_name))] = None
    return best, tuple(lost_with(found, masks, items) for found in list(sets)[:SHOWN])


def smallest_of_any(masks: Mapping[Domain, int], items: Sequence[Item], work: int = WORK) -> Smallest:
    """The smallest kill set over domains that may overlap, or bounds for it once ``work`` is used up."""
    gone = [item for item in items if item.to_kill() <= 0]
    if gone:
        return Smallest(0, 0, lost_with((), masks, items))
    useful = _undominated(masks)
    searches = [search for item in items if (search := _Search.of(item, useful)) is not None]
    if not searches:
        return Smallest(0, None, None)
    searches.sort(key=lambda search: (search.least, len(search.greedy)))
    easiest = min(searches, key=lambda search: len(search.greedy))
    for size in range(searches[0].least, len(easiest.greedy)):
        for search in searches:
            if search.least > size:
                break
            found, work = search.find(size, work)
            if found is not None:
                return Smallest(size, size, lost_with(_named(found), masks, items))
            if work <= 0:
                return Smallest(size, len(easiest.greedy), lost_with(_named(easiest.greedy), masks, items))
    return Smallest(len(easiest.greedy), len(easiest.greedy), lost_with(_named(easiest.greedy), masks, items))


class _Choice(NamedTuple):
    """A domain as one item sees it."""

    mask: int
    rank: int  # its place in the caller's order: ties go to the earlier
    domain: Domain


def _in_order(entry: tuple[int, Domain]) -> tuple[int, str, bool, str]:
    return entry[0], *_by_name(entry[1])


def _by_name(domain: Domain) -> tuple[str, bool, str]:
    return domain.kind, domain.value is None, domain.value or ""


def _named(choices: Sequence[_Choice]) -> tuple[Domain, ...]:
    return tuple(choice.domain for choice in sorted(choices, key=lambda choice: choice.rank))


def _undominated(masks: Mapping[Domain, int]) -> list[_Choice]:
    """Without the domains that lie inside another: a set with the larger in its place is as small and kills no less."""
    choices = [_Choice(mask, rank, domain) for rank, (domain, mask) in enumerate(masks.items())]
    choices.sort(key=lambda choice: (-choice.mask.bit_count(), choice.rank))
    kept: list[_Choice] = []
    for choice in choices:
        if all(choice.mask | larger.mask != larger.mask for larger in kept):
            kept.append(choice)
    return kept


class _Search(NamedTuple):
    """The search for the smallest sets that kill one item."""

    choices: tuple[_Choice, ...]  # what each takes of this item
    need: int
    least: int  # no fewer domains can do
    greedy: tuple[_Choice, ...]  # so many do

    @classmethod
    def of(cls, item: Item, useful: Sequence[_Choice]) -> _Search | None:
        """None where all domains together do not kill it."""
        seen: dict[int, _Choice] = {}
        for choice in useful:
            if part := choice.mask & item.holders:
                seen.setdefault(part, choice._replace(mask=part))
        choices = tuple(seen.values())
        need = item.to_kill()
        greedy: list[_Choice] = []
        covered = 0
        while covered.bit_count() < need:
            best = max(choices, key=lambda choice: (choice.mask & ~covered).bit_count(), default=None)
            if best is None or not best.mask & ~covered:
                return None
            greedy.append(best)
            covered |= best.mask
        least, reach = 0, 0
        for gain in sorted((choice.mask.bit_count() for choice in choices), reverse=True):
            if reach >= need:
                break
            reach += gain
            least += 1
        return cls(choices, need, least, tuple(greedy))

    def find(self, size: int, work: int) -> tuple[tuple[_Choice, ...] | None, int]:
        """A set of ``size`` that kills the item, if there is one, and the work that is left; at 0 it gave up."""
        taken: list[_Choice] = []

        def grow(choices: Sequence[_Choice], covered: int, slots: int) -> bool:
            nonlocal work
            work -= len(choices)
            if work <= 0:
                return False
            need = self.need - covered.bit_count()
            gains = [((choice.mask & ~covered).bit_count(), choice) for choice in choices]
            gains = [gain for gain in gains if gain[0]]
            gains.sort(key=lambda gain: -gain[0])
            # What is taken later adds no more than it would now, so the largest gains bound every completion.
            ordered = [choice for _, choice in gains]
            for at, (gain, choice) in enumerate(gains):
                if sum(more for more, _ in gains[at : at + slots]) < need:
                    return False
                taken.append(choice)
                if gain >= need or (slots > 1 and grow(ordered[at + 1 :], covered | choice.mask, slots - 1)):
                    return True
                taken.pop()
                if work <= 0:
                    return False
            return False

        return (tuple(taken), work) if grow(self.choices, 0, size) else (None, max(work, 0))
