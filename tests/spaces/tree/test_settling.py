"""What follows from changes is what a look at all of the map finds, and costs what changed."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.spaces.tree import (
    LOST_FOLDER,
    ROOT_FOLDER,
    Entry,
    EntryId,
    EntryKey,
    Inline,
    Kind,
    Limits,
    Tree,
    WriterId,
    encode_entry,
    pack_key,
)
from ropewalk.spaces.tree.join import Vector, join
from ropewalk.spaces.tree.settling import Differences, Settling, Unsettled, settle_anew, stand_of
from ropewalk.spaces.tree.view import Settled
from tests.spaces.tree.in_memory import NodesInMemory, small_tree

FOLDER = encode_entry(Entry(Kind.FOLDER))
FILE = encode_entry(Entry(Kind.FILE, size=1, content=Inline(b"x")))


def number(n: int) -> EntryId:
    return EntryId(n.to_bytes(16, "big"))


def at(parent: int, name: bytes, entry: int, sequence: int, writer: int = 1) -> bytes:
    return pack_key(EntryKey(number(parent), name, number(entry), WriterId(bytes([writer]) * 16), sequence))


class Kept:
    """An index in memory, kept as a device keeps it: by what each step says."""

    def __init__(self, items: Mapping[bytes, bytes]) -> None:
        settling = Settling()
        settling.look(sorted(items.items()))
        stands = settling.stands()
        self.usable = stands is not None
        self.rows = set(stands or ())
        self.odd = settling.unsettled()
        self.asked = 0

    async def unsettled(self) -> Unsettled | None:
        return self.odd if self.usable else None

    async def stands(self, folders: Collection[EntryId]) -> Mapping[EntryId, list[bytes]] | None:
        self.asked += len(folders)
        found: dict[EntryId, list[bytes]] = {}
        for stand in self.rows:
            if (folder := EntryId(stand[16:32])) in folders:
                found.setdefault(folder, []).append(stand)
        return found


def full(items: Mapping[bytes, bytes]) -> tuple[Settled, Unsettled, list[bytes] | None]:
    settling = Settling()
    settling.look(sorted(items.items()))
    return settling.settled(), settling.unsettled(), settling.stands()


def changed(old: Mapping[bytes, bytes], new: Mapping[bytes, bytes]) -> Differences:
    differences = Differences()
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            differences.add(key, old.get(key), new.get(key))
    return differences


async def tree_of(items: Mapping[bytes, bytes]) -> Tree:
    return await small_tree().apply(sorted(items.items()))


names = st.sampled_from([b"a", b"b", b"c"])
key = st.builds(at, st.integers(0, 7), names, st.integers(1, 7), st.integers(1, 5), st.integers(1, 2))
value = st.sampled_from([FOLDER, FOLDER, FOLDER, FILE])
step = st.dictionaries(key, st.none() | value, max_size=6)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(key, value, max_size=20), st.lists(step, min_size=1, max_size=4))
async def test_it_is_what_a_look_at_all_of_it_finds(
    items: dict[bytes, bytes], steps: list[dict[bytes, bytes | None]]
) -> None:
    index = Kept(items)
    for change in steps:
        after = {key: value for key, value in {**items, **change}.items() if value is not None}
        found = await settle_anew(index, changed(items, after), await tree_of(after))
        settled, unsettled, stands = full(after)
        if found is None:
            twins = any(full(one)[2] is None for one in (items, after, {**items, **after}))
            assert twins, "only one who writes an entry twice at once makes us look at all of it"
            index = Kept(after)
        else:
            assert (found.settled, found.unsettled) == (settled, unsettled)
            index.rows = (index.rows - set(found.gone)) | set(found.come)
            index.odd = found.unsettled
            assert stands is not None
            assert index.rows == set(stands)
        items = after


async def test_changes_that_undo_each_other_are_none() -> None:
    differences = Differences()
    one, other = at(0, b"k", 1, 1), at(0, b"l", 1, 1)
    differences.add(one, None, FOLDER)
    differences.add(one, FOLDER, None)
    differences.add(other, FILE, None)
    differences.add(other, None, FOLDER)
    assert list(differences) == [(other, Kind.FILE, Kind.FOLDER)]


async def test_what_is_no_key_changes_nothing() -> None:
    """Neither for who looks at all of the map, nor for who follows the changes: both must come to the same."""
    items = {at(0, b"a", 1, 1): FOLDER, at(1, b"x", 2, 1): FILE, at(1, b"x", 3, 2): FILE, at(9, b"y", 4, 1): FOLDER}
    bad = {at(1, b"x", 2, 1) + b"\0": FILE, at(8, b"y", 4, 1)[:-1]: FOLDER, bytes(16) + b"none": FILE}
    bad |= {LOST_FOLDER + at(0, b"a", 5, 1)[16:]: FILE, at(0, b"a", 5, 1).replace(number(5), ROOT_FOLDER): FOLDER}
    assert full({**items, **bad}) == full(items)
    gone = at(1, b"x", 3, 2)
    after = {key: value for key, value in {**items, **bad}.items() if key != gone}
    found = await settle_anew(Kept(items), changed(items, after), await tree_of(after))
    assert found is not None
    assert (found.settled, found.unsettled) == full(after)[:2]


async def test_too_many_changes_are_not_kept() -> None:
    differences = Differences(most=2)
    for name in (b"a", b"b", b"c", b"d"):
        differences.add(at(0, name, 1, 1), None, FILE)
    assert differences.too_many
    assert list(differences) == []
    items = {at(0, b"a", 1, 1): FOLDER}
    assert await settle_anew(Kept(items), differences, await tree_of(items)) is None


async def test_a_file_that_would_stand_where_a_folder_does_but_for_its_name_is_not_taken_for_it() -> None:
    old = {at(0, b"a", 1, 1): FOLDER, at(0, b"b", 1, 1): FILE}
    new = {**old, at(0, b"c", 1, 2): FOLDER}
    found = await settle_anew(Kept(old), changed(old, new), await tree_of(new))
    assert found is not None
    assert found.settled == full(new)[0]
    assert found.settled.hidden == {at(0, b"a", 1, 1)}


@pytest.mark.parametrize("wrong", ["a folder too many", "a folder too few", "a clash too few", "another name"])
async def test_an_index_of_another_map_is_not_followed(wrong: str) -> None:
    old = {at(0, b"a", 1, 1): FOLDER, at(1, b"f", 2, 1): FILE, at(1, b"f", 3, 1): FILE, at(0, b"b", 4, 1): FOLDER}
    new = {at(0, b"a", 1, 1): FOLDER, at(1, b"f", 2, 1): FILE, at(0, b"x", 1, 2): FOLDER}
    index = Kept(old)
    if wrong == "a folder too many":
        index.rows.add(stand_of(at(0, b"x", 1, 2)))
    elif wrong == "a folder too few":
        index.rows = {stand for stand in index.rows if stand[16:32] != number(4)}
    elif wrong == "a clash too few":
        index.odd = Unsettled()
    else:
        new[at(0, b"a", 1, 1)] = FILE
        index.rows.add(stand_of(at(0, b"y", 1, 3)))
    assert await settle_anew(index, changed(old, new), await tree_of(new)) is None


async def test_an_index_that_is_gone_is_not_followed() -> None:
    class Gone(Kept):
        async def stands(self, folders: Collection[EntryId]) -> Mapping[EntryId, list[bytes]] | None:
            return None

    items = {at(0, b"a", 1, 1): FOLDER}
    new = {**items, at(1, b"b", 2, 2): FOLDER}
    assert await settle_anew(Gone(items), changed(items, new), await tree_of(new)) is None


# -- cost ----------------------------------------------------------------------------------------------------------

DEVICES = (2, 3)
LEVELS = 4  # of ids: a new entry, the folders above it, and the top
DEPTH = 8  # nodes above an entry in the largest of them
FEW = Limits(scale=700, full=1500)  # some six entries a node: that changes fall into nodes of their own in any size


def big(files: int, chance: random.Random) -> dict[bytes, bytes]:
    """Files in folders of a hundred, these in folders of ten."""
    items: dict[bytes, bytes] = {}
    above = folder = ROOT_FOLDER
    for count in range(files):
        if count % 1000 == 0:
            above = EntryId(chance.randbytes(16))
            items[_key(ROOT_FOLDER, b"top%d" % count, above, 1)] = FOLDER
        if count % 100 == 0:
            folder = EntryId(chance.randbytes(16))
            items[_key(above, b"folder%d" % count, folder, 1)] = FOLDER
        items[_key(folder, b"file%d" % count, EntryId(chance.randbytes(16)), 1)] = FILE
    return items


def _key(parent: EntryId, name: bytes, entry: EntryId, writer: int) -> bytes:
    return pack_key(EntryKey(parent, name, entry, WriterId(bytes([writer]) * 16), 1))


def edits(keys: Sequence[bytes], writer: int, chance: random.Random, count: int) -> dict[bytes, bytes | None]:
    """Edits of files, and some files and folders that are new, renamed or gone."""
    found: dict[bytes, bytes | None] = {}
    for which, key in enumerate(chance.sample(keys, count)):
        entry, parent, name = EntryId(key[-40:-24]), EntryId(key[:16]), key[16:-41]
        if which % 8 != 1:
            found[key] = None
        if which % 8 == 1:
            found[_key(parent, b"new%d" % which, EntryId(chance.randbytes(16)), writer)] = FOLDER if which % 3 else FILE
        elif which % 8 == 2:
            found[_key(parent, b"moved%d" % which, entry, writer)] = FILE
        elif which % 8 != 3:
            found[_key(parent, name, entry, writer)] = FILE
    return found


async def loads(files: int, count: int) -> tuple[int, int]:
    """Nodes that a merge, and what it comes to, load from a cold start; and those that lie above the changes."""
    chance = random.Random(files)
    nodes = NodesInMemory()
    items = big(files, chance)
    base = await small_tree(nodes, 1 << 24, FEW).apply(sorted(items.items()))
    of_files = sorted(key for key, value in items.items() if value == FILE)
    sides: list[tuple[Tree, Vector]] = []
    versions = []
    touched: set[bytes] = set()
    for writer in DEVICES:
        change = edits(of_files, writer, chance, count)
        touched.update(change)
        version = await base.apply(sorted(change.items()))
        versions.append({key: value for key, value in {**items, **change}.items() if value is not None})
        sides.append((version, {WriterId(bytes([one]) * 16): 1 for one in (1, writer)}))
    index = Kept(versions[0])
    cold = small_tree(nodes, 1 << 24, FEW)
    nodes.loaded = 0
    differences = Differences()
    (ours, seen), (theirs, others) = sides
    joined, _ = await join(cold.at(ours.root), seen, cold.at(theirs.root), others, differences.add)
    found = await settle_anew(index, differences, joined)
    loaded = nodes.loaded
    after = {key: value async for batch in joined.scan() for key, value in batch}
    assert found is not None
    assert (found.settled, found.unsettled) == full(after)[:2]
    assert index.asked <= 2 * count * LEVELS
    fresh = small_tree(nodes, 1 << 24, FEW).at(base.root)
    nodes.loaded = 0
    for key in touched:
        await fresh.get(key)
    return loaded, nodes.loaded


async def _proportional(sizes: Sequence[int], count: int = 30) -> None:
    found = [await loads(size, count) for size in sizes]
    each = [loaded / above for loaded, above in found]
    assert max(each) <= 3, "both sides' nodes, and neighbours"
    assert max(each) <= 1.5 * min(each), found
    assert all(above <= len(DEVICES) * count * 2 * DEPTH for _, above in found)


async def test_a_merge_loads_what_changed_whatever_lies_beside_it() -> None:
    await _proportional([1_000, 10_000])


@pytest.mark.slow
async def test_a_merge_loads_what_changed_in_a_hundred_thousand_files() -> None:
    await _proportional([1_000, 10_000, 100_000])
