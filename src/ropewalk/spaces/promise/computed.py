"""The computed promise: for each dimension and kind of domain, what was asked, what holds now, what would break it.

Flow: pool, packs, heads, keys -> compute -> Computed
Never: does I/O, looks at a clock, or takes a store that does not answer for one that will.

Dimensions: R loses data, A stops reads or writes, P discloses, S forges.  A store that is unreachable counts as lost,
so what loses data (R) and what stops reads (A) are one and the same set here.  Everything in a store is sealed and
signed, so P and S rest with the holders of keys alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ropewalk.errors import Misuse
from ropewalk.spaces.pool.placement import KINDS, StoreDomains, check_survive
from ropewalk.spaces.promise.kill_sets import (
    WORK,
    Domain,
    Item,
    Kill,
    Smallest,
    lost_with,
    smallest_of_any,
    smallest_of_one_kind,
)

__all__ = ["Computed", "Dimension", "KeyHolder", "PackGroup", "Standing", "compute"]


@dataclass(frozen=True, slots=True)
class PackGroup:
    """Packs whose good shares lie on the same stores."""

    stores: frozenset[str]
    k: int  # shares that rebuild a pack
    packs: int
    size: int  # bytes of content


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """One copy of the keys of the space: a device of whichever member, or a paper key.

    Attributes:
        name: As people say it: "this device".  It is the copy's own value of the kind ``key``.
        labels: The domains it falls with, by kind.  A kind that is not given does not touch it: paper lies on no disk.
        said: More of it, in words that follow its name: "shown on 2026-11-22".
        writes: Whether its member may write; any copy reads.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    said: str = ""
    writes: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """How one dimension stands against one kind of domain.

    Attributes:
        kind: The kind of domain.
        values: How many there are; those that do not state it count as one.
        asked: How many may be lost by the promise, None where it says nothing.
        holds: How many can be lost, whichever they are: -1 where it is broken now, None where all can.
        kills: Some of the smallest sets that break it.
        short: Packs that fewer losses than asked would take.
    """

    kind: str
    values: int
    asked: int | None
    holds: int | None
    kills: tuple[Kill, ...]
    short: int

    @property
    def kept(self) -> bool:
        """Whether what was asked holds."""
        return self.asked is None or self.holds is None or self.holds >= self.asked


@dataclass(frozen=True, slots=True)
class Dimension:
    """What breaks one thing that is promised: by kind, and over all kinds together."""

    kinds: tuple[Standing, ...]
    mixed: Smallest

    def of(self, kind: str) -> Standing | None:
        """The standing against one kind, None where nothing has it."""
        return next((standing for standing in self.kinds if standing.kind == kind), None)


@dataclass(frozen=True, slots=True)
class Computed:
    """The promise of a space as it stands.

    Attributes:
        lost: What is lost already, even if every unreachable store comes back.
        unreadable: What cannot be read now; ``lost`` is part of it.
        keeps: R and the reads of A: what loses data, which is what stops reads.
        writes: The writes of A: what leaves fewer stores than the write floor, or no key that may write.
        secret: P: what lets someone read.
        forged: S: what lets someone write as if he might.
        unstated: By kind that is asked for or stated for some, the stores that do not state it.
    """

    survive: Mapping[str, int]
    write_floor: int
    stores: tuple[StoreDomains, ...]
    keys: tuple[KeyHolder, ...]
    unreachable: tuple[str, ...]
    packs: int
    size: int  # bytes
    lost: Kill
    unreadable: Kill
    keeps: Dimension
    writes: Dimension
    secret: Dimension
    forged: Dimension
    unstated: Mapping[str, tuple[str, ...]]

    @property
    def kept(self) -> bool:
        """Whether all that was asked holds now."""
        return all(standing.kept for standing in self.keeps.kinds)


def compute(
    survive: Mapping[str, int],
    write_floor: int,
    stores: Sequence[StoreDomains],
    packs: Iterable[PackGroup],
    heads: Iterable[Collection[str]],
    keys: Sequence[KeyHolder],
    unreachable: Collection[str] = (),
    work: int = WORK,
    draining: Collection[str] = (),
) -> Computed:
    """Compute what holds now, and the smallest losses that break it.

    Args:
        survive: What was asked: by kind, how many values may be lost.
        write_floor: Stores that must have a write before it is acknowledged.
        stores: The stores of the pool.
        packs: Where good shares lie now.
        heads: For each newest head, the stores that have a copy.
        keys: All copies of the keys that exist; no two have one name.
        unreachable: Stores that do not answer; they count as lost.
        work: Bound on each search over all kinds; see ``kill_sets.WORK``.
        draining: Stores that keep what they have, and take no writes.

    Raises:
        Misuse: A store that is not in the pool, a store or key that is named twice, an unknown kind, or k or the floor
            below 1.
    """
    check_survive(survive)
    bits = {store.name: 1 << i for i, store in enumerate(stores)}
    if len(bits) != len(stores):
        raise Misuse("a store is named twice")
    if len({key.name for key in keys}) != len(keys):
        raise Misuse("a key is named twice")
    if write_floor < 1:
        raise Misuse(f"want a write floor of at least 1, got {write_floor}")
    alive = _mask(bits, bits) & ~_mask(bits, unreachable)
    taking = alive & ~_mask(bits, draining)
    masks, assumed = _domains(stores, keys, survive)
    all_keys = sum(1 << len(stores) + i for i in range(len(keys)))
    writing = sum(1 << len(stores) + i for i, key in enumerate(keys) if key.writes)

    key_item = Item(all_keys, 1, "keys")
    items = [*_pack_items(packs, bits), *_head_items(heads, bits), key_item]
    reachable = _merged(replace(item, holders=item.holders & (alive | all_keys)) for item in items)
    keeps = _dimension(masks, assumed, reachable, survive, work)
    writes = _dimension(masks, assumed, [Item(taking, write_floor, "writes"), Item(writing, 1, "keys")], {}, work)
    secret, forged = (
        _dimension(masks, assumed, [Item(some, some.bit_count(), "keys")] if some else [], {}, work)
        for some in (all_keys, writing)
    )
    unstated = {
        kind: tuple(store.name for store in stores if store.value(kind) is None)
        for kind in KINDS
        if Domain(kind, None) in masks
    }
    return Computed(
        dict(survive), write_floor, tuple(stores), tuple(keys), tuple(sorted(set(unreachable))),
        sum(item.packs for item in items), sum(item.size for item in items),
        lost_with((), {}, items), lost_with((), {}, reachable), keeps, writes, secret, forged, unstated,
    )  # fmt: skip


def _mask(bits: Mapping[str, int], names: Iterable[str]) -> int:
    mask = 0
    for name in names:
        if name not in bits:
            raise Misuse(f"store {name} is not in the pool")
        mask |= bits[name]
    return mask


def _pack_items(packs: Iterable[PackGroup], bits: Mapping[str, int]) -> Iterator[Item]:
    for group in packs:
        if group.k < 1:
            raise Misuse(f"want k of at least 1, got {group.k}")
        if group.packs:
            yield Item(_mask(bits, group.stores), group.k, "packs", group.packs, group.size)


def _head_items(heads: Iterable[Collection[str]], bits: Mapping[str, int]) -> Iterator[Item]:
    for head in heads:
        yield Item(_mask(bits, head), 1, "heads")


def _merged(items: Iterable[Item]) -> list[Item]:
    """One item for each that has the same holders and k, in an order that does not depend on the caller's."""
    sums: dict[tuple[str, int, int], tuple[int, int]] = {}
    for item in items:
        packs, size = sums.get((item.what, item.holders, item.k), (0, 0))
        sums[item.what, item.holders, item.k] = (packs + item.packs, size + item.size)
    return [Item(holders, k, what, *sums[what, holders, k]) for what, holders, k in sorted(sums)]


def _domains(
    stores: Sequence[StoreDomains], keys: Sequence[KeyHolder], survive: Mapping[str, int]
) -> tuple[dict[Domain, int], set[Domain]]:
    """Who is lost with each domain, kinds that are neither stated nor asked for left out; and the assumed ones.

    Assumed is the common value of stores that do not state a kind which the promise does not ask for.  It is shown
    with its kind, but is no part of a set over all kinds: that nothing is known is no sign of one thing that can fail.
    """
    masks: dict[Domain, int] = {}
    assumed: set[Domain] = set()
    for kind in KINDS:
        if not survive.get(kind, 0) and all(store.value(kind) is None for store in stores):
            continue
        for i, store in enumerate(stores):
            domain = Domain(kind, store.value(kind))
            masks[domain] = masks.get(domain, 0) | 1 << i
            if domain.value is None and not survive.get(kind, 0):
                assumed.add(domain)
    for i, key in enumerate(keys, len(stores)):
        for kind, value in {**key.labels, "key": key.name}.items():
            masks[Domain(kind, value)] = masks.get(Domain(kind, value), 0) | 1 << i
    return masks, assumed


def _dimension(
    masks: Mapping[Domain, int], assumed: Collection[Domain], items: Sequence[Item], asked: Mapping[str, int], work: int
) -> Dimension:
    standings = []
    for kind in dict.fromkeys(domain.kind for domain in masks):
        of_kind = {domain: mask for domain, mask in masks.items() if domain.kind == kind}
        size, kills = smallest_of_one_kind(of_kind, items)
        short = _short(of_kind, items, asked[kind]) if kind in asked else 0
        holds = None if size is None else size - 1
        standings.append(Standing(kind, len(of_kind), asked.get(kind), holds, kills, short))
    proven = {domain: mask for domain, mask in masks.items() if domain not in assumed}
    return Dimension(tuple(standings), smallest_of_any(proven, items, work))


def _short(masks: Mapping[Domain, int], items: Sequence[Item], asked: int) -> int:
    """The packs that the loss of some ``asked`` values of one kind would take."""
    return sum(
        item.packs
        for item in items
        if sum(sorted(((item.holders & mask).bit_count() for mask in masks.values()), reverse=True)[:asked])
        >= item.to_kill()
    )
