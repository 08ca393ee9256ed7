"""Joins of random histories on up to six devices, over real trees and against a model of plain sets."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.spaces.tree import (
    ROOT_FOLDER,
    EntryId,
    EntryKey,
    Limits,
    Tree,
    WriterId,
    join,
    join_vectors,
    pack_key,
)
from ropewalk.spaces.tree.join import Vector
from tests.spaces.tree.in_memory import NodesInMemory, model_of, small_tree


def writer(device: int) -> WriterId:
    return WriterId(bytes([device]) * 16)


def key(name: int, entry: int, device: int, sequence: int) -> bytes:
    return pack_key(EntryKey(ROOT_FOLDER, b"n%d" % name, EntryId(bytes([entry + 1]) * 16), writer(device), sequence))


@dataclass
class Device:
    """A tree with its vector, and the model of both: dots alive, dots ever seen."""

    number: int
    tree: Tree
    seen: Vector = field(default_factory=dict)
    alive: dict[bytes, bytes] = field(default_factory=dict)
    ever: set[bytes] = field(default_factory=set)
    sequence: int = 0

    async def write(self, name: int, entry: int, gone: bool) -> None:
        """An edit, a rename or a removal of an entry: what is there of it goes, a new dot comes."""
        tail = bytes([entry + 1]) * 16
        changes: dict[bytes, bytes | None] = {old: None for old in self.alive if old[-40:-24] == tail}
        self.sequence += 1
        self.seen = {**self.seen, writer(self.number): self.sequence}
        if not gone:
            changes[key(name, entry, self.number, self.sequence)] = b"%d-%d" % (self.number, self.sequence)
        self.tree = await self.tree.apply(sorted(changes.items()))
        for changed, value in changes.items():
            if value is None:
                del self.alive[changed]
            else:
                self.alive[changed] = value
                self.ever.add(changed)

    async def hear(self, other: Device) -> None:
        self.tree, self.seen = await join(self.tree, self.seen, other.tree, other.seen)
        kept = {k: v for k, v in self.alive.items() if k in other.alive or k not in other.ever}
        kept |= {k: v for k, v in other.alive.items() if k in self.alive or k not in self.ever}
        self.alive = kept
        self.ever = self.ever | other.ever


device = st.integers(0, 5)
step = st.tuples(st.just("write"), device, st.integers(0, 3), st.integers(0, 7), st.integers(0, 3)) | st.tuples(
    st.just("hear"), device, device, st.just(0), st.just(0)
)


async def live(steps: list[tuple[str, int, int, int, int]]) -> list[Device]:
    nodes = NodesInMemory()
    devices = [Device(number, small_tree(nodes)) for number in range(6)]
    for what, who, second, entry, fate in steps:
        if what == "write":
            await devices[who].write(second, entry, gone=fate == 0)
        else:
            await devices[who].hear(devices[second])
    return devices


@settings(max_examples=100, deadline=None)
@given(st.lists(step, max_size=40), st.permutations(range(6)))
async def test_all_come_to_the_map_of_the_model_in_whatever_order_they_join(
    steps: list[tuple[str, int, int, int, int]], order: list[int]
) -> None:
    devices = await live(steps)
    for one in devices:
        assert await model_of(one.tree) == one.alive
    first, *rest = [Device(d.number, d.tree, d.seen, d.alive, d.ever) for d in devices]
    for other in rest:
        await first.hear(other)
    last, *others = [Device(devices[i].number, devices[i].tree, devices[i].seen) for i in order]
    for other in others:
        last.tree, last.seen = await join(other.tree, other.seen, last.tree, last.seen)
    assert await model_of(first.tree) == first.alive
    assert (first.tree.root, first.seen) == (last.tree.root, last.seen)


@settings(max_examples=100, deadline=None)
@given(st.lists(step, max_size=40), device, device, device)
async def test_joins_are_associative_commutative_and_idempotent(
    steps: list[tuple[str, int, int, int, int]], i: int, j: int, k: int
) -> None:
    devices = await live(steps)
    a, b, c = ((devices[n].tree, devices[n].seen) for n in (i, j, k))
    ab, ba = await join(*a, *b), await join(*b, *a)
    assert (ab[0].root, ab[1]) == (ba[0].root, ba[1])
    left, right = await join(*ab, *c), await join(*a, *(await join(*b, *c)))
    assert (left[0].root, left[1]) == (right[0].root, right[1])
    for again in (await join(*a, *a), await join(*ab, *a), await join(*b, *ab)):
        assert again[0].root in {a[0].root, ab[0].root}
    assert (await join(*ab, *ab))[0].root == (await join(*ab, *b))[0].root == ab[0].root


async def test_an_edit_survives_a_delete_and_both_sides_of_two_edits_live_on() -> None:
    one, two = Device(1, small_tree()), Device(2, small_tree())
    await one.write(0, 0, gone=False)
    await one.write(1, 1, gone=False)
    two.tree, two.seen, two.alive, two.ever = one.tree, one.seen, dict(one.alive), set(one.ever)
    await one.write(0, 0, gone=True)
    await two.write(0, 0, gone=False)
    await one.write(1, 1, gone=False)
    await two.write(1, 1, gone=False)
    joined, _ = await join(one.tree, one.seen, two.tree, two.seen)
    assert sorted(await model_of(joined)) == [key(0, 0, 2, 1), key(1, 1, 1, 4), key(1, 1, 2, 2)]


async def test_what_was_deleted_does_not_come_back_and_leaves_no_trace() -> None:
    one = Device(1, small_tree())
    await one.write(0, 0, gone=False)
    old_tree, old_seen = one.tree, one.seen
    await one.write(0, 0, gone=True)
    joined, seen = await join(old_tree, old_seen, one.tree, one.seen)
    assert (joined.root, seen) == (None, {writer(1): 2})


async def test_what_a_join_changes_is_told() -> None:
    nodes = NodesInMemory()
    ours = await small_tree(nodes).apply([(key(0, 0, 1, 1), b"a"), (key(1, 1, 1, 1), b"b"), (key(2, 2, 1, 1), b"c")])
    theirs = await small_tree(nodes).apply(
        sorted([(key(0, 0, 1, 1), b"z"), (key(2, 2, 1, 1), b"c"), (key(3, 3, 2, 1), b"d")])
    )
    told: dict[bytes, tuple[bytes | None, bytes | None]] = {}

    def tell(changed: bytes, before: bytes | None, after: bytes | None) -> None:
        told[changed] = before, after

    joined, _ = await join(ours, {writer(1): 1}, theirs, {writer(1): 1, writer(2): 1}, tell)
    before, after = await model_of(ours), await model_of(joined)
    assert told == {
        one: (before.get(one), after.get(one)) for one in {*before, *after} if before.get(one) != after.get(one)
    }
    assert len(told) == 3


def test_vectors_join_to_the_larger_of_each() -> None:
    assert join_vectors({writer(2): 3, writer(1): 0}, {writer(2): 1, writer(3): 4}) == {
        writer(1): 0,
        writer(2): 3,
        writer(3): 4,
    }


async def test_a_join_costs_what_differs() -> None:
    nodes = NodesInMemory()
    seen = {writer(0): 2000}
    wide = Limits(scale=1000, full=2000)  # entries are too large for the small limits: nodes of one or two
    base = await small_tree(nodes, limits=wide).apply(sorted((key(i, 0, 0, i), b"v") for i in range(2000)))
    a = await base.apply([(key(3, 0, 1, 1), b"a")])
    b = await base.apply([(key(1700, 0, 2, 1), b"b")])
    cold = small_tree(nodes, limits=wide)
    nodes.loaded = nodes.saved = 0
    joined, _ = await join(cold.at(a.root), {**seen, writer(1): 1}, cold.at(b.root), {**seen, writer(2): 1})
    assert await joined.count() == 2002
    assert nodes.loaded < 30
    assert nodes.saved < 10
