"""Forks, read as branches: random histories of up to six devices of which two are cloned, a clone too, lose nothing.

Each write has bytes of its own, so a model of plain sets tells what must be there: what was removed by somebody who had
seen it is gone, all else is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.spaces.tree import ROOT_FOLDER, EntryId, EntryKey, Limits, Tree, WriterId, encode_entry, pack_key
from ropewalk.spaces.tree.anew import marked_by
from ropewalk.spaces.tree.join import join
from ropewalk.spaces.tree.relabel import branch_writer, relabel, relabel_vector
from tests.spaces.tree.in_memory import NodesInMemory, model_of, small_tree
from tests.spaces.tree.test_anew import FILE, anew, ring

DEVICES = 6
WIDE = Limits(scale=2000, full=4000)  # entries are too large for the small limits


def writer(number: int) -> WriterId:
    return WriterId(number.to_bytes(16, "big"))


def key(name: int, entry: int, by: WriterId, sequence: int) -> bytes:
    return pack_key(EntryKey(ROOT_FOLDER, b"n%d" % name, EntryId(bytes([entry + 1]) * 16), by, sequence))


@dataclass(frozen=True, eq=False)
class Head:
    """One head, as much of it as forks are told by."""

    hash: bytes
    writer: WriterId
    sequence: int
    previous: Head | None

    def at(self, sequence: int) -> Head:
        """The head of its chain with this sequence."""
        return self if self.sequence == sequence or self.previous is None else self.previous.at(sequence)


@dataclass(frozen=True)
class Version:
    """A tree with its vector, all heads in its past, and the model: writes that are alive, and writes ever seen."""

    tree: Tree
    items: dict[WriterId, tuple[int, Head]] = field(default_factory=dict)
    heads: frozenset[Head] = frozenset()
    alive: frozenset[bytes] = frozenset()
    ever: frozenset[bytes] = frozenset()

    @property
    def seen(self) -> dict[WriterId, int]:
        return {name: last for name, (last, _) in self.items.items()}


def places(heads: Iterable[Head]) -> dict[WriterId, dict[int, set[Head | None]]]:
    """For each writer the sequences at which it forked, with the heads before."""
    after: dict[tuple[WriterId, Head | None], set[Head]] = {}
    for head in heads:
        after.setdefault((head.writer, head.previous), set()).add(head)
    found: dict[WriterId, dict[int, set[Head | None]]] = {}
    for (name, previous), some in after.items():
        if len(some) > 1:
            found.setdefault(name, {}).setdefault(next(iter(some)).sequence, set()).add(previous)
    return found


async def read(version: Version, known: Iterable[Head], *, everywhere: bool) -> Version:
    """The version as somebody reads it who knows these heads.

    Args:
        version: As it was signed.
        known: All heads that he has.
        everywhere: Whether a place counts for all chains of its writer, or for those that forked there.
    """
    forked = places(known)
    forks: dict[WriterId, list[tuple[int, WriterId]]] = {}
    items: dict[WriterId, tuple[int, Head]] = {}
    for name, (last, head) in version.items.items():
        start = next(
            (at for at in range(1, last + 1) if branch_writer(head.writer, head.at(at).hash) == name), 0
        )  # where a branch has its name from
        found = []
        for at, before in sorted(forked.get(head.writer, {}).items()):
            if start < at <= last and (everywhere or head.at(at).previous in before):
                found.append((at, branch_writer(head.writer, head.at(at).hash)))
        forks[name] = found
        for part, sequence in relabel_vector({name: last}, {name: found}).items():
            if part not in items or items[part][0] < sequence:
                items[part] = sequence, head.at(sequence)
    vector = relabel_vector(version.seen, forks)
    assert vector == {name: last for name, (last, _) in items.items()}
    return replace(version, tree=await relabel(version.tree, forks), items=items)


async def together(one: Version, other: Version) -> Version:
    """Two versions that were read with the same knowledge, joined."""
    tree, seen = await join(one.tree, one.seen, other.tree, other.seen)
    items = {name: max(one.items.get(name, (0, None)), other.items.get(name, (0, None)), key=_last) for name in seen}
    return Version(
        tree,
        {name: (last, head) for name, (last, head) in items.items() if head is not None},
        one.heads | other.heads,
        (one.alive & other.alive) | (one.alive - other.ever) | (other.alive - one.ever),
        one.ever | other.ever,
    )


def _last(item: tuple[int, Head | None]) -> int:
    return item[0]


@dataclass
class Device:
    writer: WriterId
    version: Version
    last: Head | None = None


class World:
    """Devices and clones of them, none of which knows more than what it has heard."""

    def __init__(self, *, everywhere: bool) -> None:
        nodes = NodesInMemory()
        self.devices = [Device(writer(number), Version(small_tree(nodes))) for number in range(1, DEVICES + 1)]
        self.everywhere = everywhere
        self.count = 0
        self.clones = 0

    def clone(self, which: int) -> None:
        if self.clones < 2:
            self.clones += 1
            self.devices.append(replace(self.devices[which % len(self.devices)]))

    async def write(self, which: int, name: int, entry: int, *, gone: bool) -> None:
        """An edit, a rename or a removal of an entry: all that is there of it goes, a new dot comes."""
        device = self.devices[which % len(self.devices)]
        version = await read(device.version, device.version.heads, everywhere=self.everywhere)
        self.count += 1
        _, newest = version.items.get(device.writer, (0, device.last))
        if device.writer in places(version.heads) or newest is not device.last:
            # It finds itself forked, or hears of heads of its own that it never signed: it goes on as somebody new.
            device.writer, device.last = writer(1000 + self.count), None
        sequence = 1 if device.last is None else device.last.sequence + 1
        head = Head(self.count.to_bytes(32, "big"), device.writer, sequence, device.last)
        tail = bytes([entry + 1]) * 16
        old = {at: value for at, value in (await model_of(version.tree)).items() if at[-40:-24] == tail}
        changes: dict[bytes, bytes | None] = dict.fromkeys(old)
        alive, ever = version.alive.difference(old.values()), version.ever
        if not gone:
            value = b"write %d" % self.count
            changes[key(name, entry, device.writer, sequence)] = value
            alive, ever = alive | {value}, ever | {value}
        device.last = head
        device.version = Version(
            await version.tree.apply(sorted(changes.items())),
            {**version.items, device.writer: (sequence, head)},
            version.heads | {head},
            alive,
            ever,
        )

    async def hear(self, which: int, other: int) -> None:
        device, told = (self.devices[number % len(self.devices)] for number in (which, other))
        known = device.version.heads | told.version.heads
        ours, theirs = [await read(one.version, known, everywhere=self.everywhere) for one in (device, told)]
        device.version = await together(ours, theirs)

    async def healed(self) -> list[Version]:
        """All versions, read by somebody who knows all heads."""
        known = frozenset(head for device in self.devices for head in device.version.heads)
        return [await read(device.version, known, everywhere=self.everywhere) for device in self.devices]


CLONED = (0, DEVICES, DEVICES + 1)  # most of what happens shall happen to those that matter
which = st.sampled_from([*CLONED, *CLONED, *range(1, DEVICES)])
Step = tuple[str, int, int, int, int]
write = st.tuples(st.just("write"), which, st.integers(0, 2), st.integers(0, 4), st.integers(0, 3))
hear = st.tuples(st.just("hear"), which, which, st.just(0), st.just(0))
clone = st.tuples(st.just("clone"), which, st.just(0), st.just(0), st.just(0))
apart = st.lists(st.builds(lambda at, one: (one[0], CLONED[at], *one[2:]), st.integers(0, 2), write), max_size=8)


def _twice(before: list[Step], between: list[Step], second: int, after: list[Step], rest: list[Step]) -> list[Step]:
    """A clone, and a clone of one of the two, with writes in between that each does under the one name."""
    first, again = [("clone", which, 0, 0, 0) for which in (0, CLONED[second])]
    return [*before, first, *between, again, *after, *rest]


lives = st.lists(write | hear | clone, max_size=40) | st.builds(
    _twice, apart, apart, st.integers(0, 1), apart, st.lists(write | hear, max_size=15)
)


async def lived(steps: list[Step], *, everywhere: bool) -> list[Version]:
    world = World(everywhere=everywhere)
    for what, who, second, entry, fate in steps:
        if what == "write":
            await world.write(who, second, entry, gone=fate == 0)
        elif what == "hear":
            await world.hear(who, second)
        else:
            world.clone(who)
    return await world.healed()


@settings(max_examples=150, deadline=None)
@given(lives, st.booleans(), st.randoms(use_true_random=False))
async def test_all_come_to_the_same_and_nothing_is_lost_that_was_not_removed(
    steps: list[Step], everywhere: bool, chance: object
) -> None:
    versions = await lived(steps, everywhere=everywhere)
    first = versions[0]
    for other in versions[1:]:
        first = await together(first, other)
    assert sorted((await model_of(first.tree)).values()) == sorted(first.alive)
    for version in versions:
        assert sorted((await model_of(version.tree)).values()) == sorted(version.alive)
        assert first.alive >= version.alive - frozenset().union(*(one.ever - one.alive for one in versions))
    chance.shuffle(versions)  # type: ignore[attr-defined]
    last = versions[0]
    for other in versions[1:]:
        last = await together(other, last)
    assert (last.tree.root, last.seen) == (first.tree.root, first.seen)


@settings(max_examples=100, deadline=None)
@given(lives, st.booleans(), which, which, which)
async def test_joins_of_branches_are_associative_commutative_and_idempotent(
    steps: list[Step], everywhere: bool, i: int, j: int, k: int
) -> None:
    versions = await lived(steps, everywhere=everywhere)
    a, b, c = (versions[number % len(versions)] for number in (i, j, k))
    ab, ba = await together(a, b), await together(b, a)
    assert (ab.tree.root, ab.seen) == (ba.tree.root, ba.seen)
    left, right = await together(ab, c), await together(a, await together(b, c))
    assert (left.tree.root, left.seen) == (right.tree.root, right.seen)
    assert (await together(ab, ab)).tree.root == (await together(ab, b)).tree.root == ab.tree.root


@pytest.mark.parametrize("everywhere", [False, True])
async def test_one_who_knew_and_one_who_did_not_come_to_the_same(everywhere: bool) -> None:
    """Both branches edit one entry; somebody joins them and writes on, somebody else has seen one of them only."""
    world = World(everywhere=everywhere)
    await world.write(0, 0, 0, gone=False)
    world.clone(0)
    await world.write(0, 0, 0, gone=False)
    await world.write(DEVICES, 0, 0, gone=False)
    await world.hear(1, 0)
    await world.write(1, 1, 1, gone=False)
    await world.hear(2, 0)
    await world.hear(2, DEVICES)
    await world.write(2, 0, 0, gone=True)  # it has seen both
    await world.write(DEVICES, 2, 2, gone=False)
    versions = await world.healed()
    knew, did_not, clone = versions[2], versions[1], versions[DEVICES]
    joined = await together(await together(knew, did_not), clone)
    assert sorted((await model_of(joined.tree)).values()) == [b"write 4", b"write 6"]
    without = await together(did_not, clone)
    assert sorted((await model_of(without.tree)).values()) == [b"write 2", b"write 3", b"write 4", b"write 6"]


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_fork_on_a_fork_loses_nothing_that_either_wrote_before_it_or_after(everywhere: bool) -> None:
    world = World(everywhere=everywhere)
    clone, second = DEVICES, DEVICES + 1
    await world.write(0, 0, 0, gone=False)
    world.clone(0)
    for name in (1, 2):
        await world.write(0, name, name, gone=False)
        await world.write(clone, name, name, gone=False)
    world.clone(clone)
    await world.write(0, 0, 3, gone=False)
    await world.write(clone, 0, 3, gone=False)
    await world.write(second, 0, 3, gone=False)
    versions = await world.healed()
    joined = await together(await together(versions[0], versions[clone]), versions[second])
    assert sorted((await model_of(joined.tree)).values()) == sorted(b"write %d" % number for number in range(1, 9))


def test_a_vector_is_cut_at_each_fork() -> None:
    w, one, two, other = writer(1), writer(2), writer(3), writer(4)
    forks = {w: [(3, one), (5, two)]}
    assert relabel_vector({w: 7, other: 9}, forks) == {w: 2, one: 4, two: 7, other: 9}
    assert relabel_vector({w: 5}, forks) == {w: 2, one: 4, two: 5}
    assert relabel_vector({w: 4, one: 2}, forks) == {w: 2, one: 4}
    assert relabel_vector({w: 2}, forks) == {w: 2}
    assert relabel_vector({w: 1}, {w: [(1, one)]}) == {one: 1}


async def test_dots_go_to_the_last_fork_at_or_below_them() -> None:
    w, one, two = writer(9), writer(2), writer(3)
    tree = await small_tree().apply([(key(0, 0, w, at), b"%d" % at) for at in range(1, 8)])
    found = await model_of(await relabel(tree, {w: [(3, one), (5, two)]}))
    assert found == {
        **{key(0, 0, w, at): b"%d" % at for at in (1, 2)},
        **{key(0, 0, one, at): b"%d" % at for at in (3, 4)},
        **{key(0, 0, two, at): b"%d" % at for at in (5, 6, 7)},
    }
    assert (await relabel(tree, {w: [(8, one)]})).root == tree.root
    assert (await relabel(tree, {})).root == tree.root


async def test_a_name_that_two_dots_come_to_keeps_the_value_that_a_join_would() -> None:
    w, branch = writer(9), writer(2)
    old, new = encode_entry(FILE), anew(FILE, 2)
    for one, other in ((old, new), (new, old)):
        tree = await small_tree(limits=WIDE).apply([(key(0, 0, branch, 1), one), (key(0, 0, w, 1), other)])
        read = await relabel(tree, {w: [(1, branch)]}, marked_by(ring(1, 2)))
        assert await model_of(read) == {key(0, 0, branch, 1): new}
    tree = await small_tree().apply([(key(0, 0, branch, 1), b"a"), (key(0, 0, w, 1), b"b"), (key(1, 0, w, 1), b"c")])
    assert await model_of(await relabel(tree, {w: [(1, branch)]})) == {key(1, 0, branch, 1): b"c"}


async def test_what_is_no_key_goes_wherever_it_stands() -> None:
    """It could else stand between two keys that change places."""
    w, branch = writer(2), writer(9)
    items = {key(0, 0, w, 1): b"1", key(0, 0, w, 2): b"2", key(0, 0, writer(3), 1): b"3", key(1, 0, w, 3): b"4"}
    bad = {one + b"\0" * 24: b"bad" for one in items} | {b"no key": b"bad", key(0, 0, w, 1)[-24:]: b"bad"}
    tree = await small_tree().apply(sorted({**items, **bad}.items()))
    assert await model_of(await relabel(tree, {w: [(2, branch)]})) == {
        key(0, 0, w, 1): b"1",
        key(0, 0, branch, 2): b"2",
        key(0, 0, writer(3), 1): b"3",
        key(1, 0, branch, 3): b"4",
    }


def test_a_branch_is_named_by_writer_and_head() -> None:
    names = {branch_writer(w, h) for w in (b"w" * 16, b"v" * 16) for h in (b"h" * 32, b"i" * 32)}
    assert len(names) == 4
    assert {len(name) for name in names} == {16}
