"""Joins of versions that somebody made up: whatever is in them, all come to the same, and lies harm the liar alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.spaces.tree import (
    LOST_FOLDER,
    REF_SIZE,
    ROOT_FOLDER,
    Chunks,
    Entry,
    EntryDamaged,
    EntryId,
    EntryKey,
    Kind,
    Limits,
    Tree,
    WriterId,
    encode_entry,
    join,
    pack_key,
    unpack_key,
)
from ropewalk.spaces.tree.anew import marked_by
from ropewalk.spaces.tree.entry import is_key
from ropewalk.spaces.tree.join import Vector
from tests.spaces.tree.in_memory import NodesInMemory, model_of, small_tree
from tests.spaces.tree.test_anew import FILE, VALUES, anew, ring

MARKED = marked_by(ring(1, 2, 3))
WIDE = Limits(scale=2000, full=4000)  # entries are too large for the small limits
ANNA, EVE, CAROL = (WriterId(bytes([number]) * 16) for number in (1, 2, 3))
WRITTEN = encode_entry(FILE)
OTHER = encode_entry(msgspec.structs.replace(FILE, content_id=b"e" * 32, content=Chunks((b"\xff" * REF_SIZE,))))
TAIL = b"\0" + b"\x05" * 16 + ANNA + (1).to_bytes(8, "big")
NO_KEYS = [
    b"x",
    ROOT_FOLDER + b"no NUL",
    ROOT_FOLDER + b"a/b" + TAIL,
    ROOT_FOLDER + b".." + TAIL,
    ROOT_FOLDER + TAIL,
    ROOT_FOLDER + b"n0" + TAIL + b"longer",
    ROOT_FOLDER + b"n" * 256 + TAIL,
    ROOT_FOLDER + b"a\0" + ROOT_FOLDER + TAIL[-24:],
    ROOT_FOLDER + b"a\0" + LOST_FOLDER + TAIL[-24:],
    LOST_FOLDER + b"a" + TAIL,
]


def key(name: int, writer: WriterId, sequence: int) -> bytes:
    return pack_key(EntryKey(ROOT_FOLDER, b"n%d" % name, EntryId(b"\x05" * 16), writer, sequence))


KEYS = [key(name, writer, sequence) for name in (0, 1) for writer in (ANNA, EVE) for sequence in (1, 2)]


@dataclass
class Version:
    """A map with its vector."""

    tree: Tree
    seen: Vector

    async def __call__(self, other: Version) -> Version:
        """The join of both."""
        return Version(*await join(self.tree, self.seen, other.tree, other.seen, marked=MARKED))

    @property
    def state(self) -> tuple[bytes | None, Mapping[WriterId, int]]:
        return self.tree.root, {writer: last for writer, last in self.seen.items() if last > 0}


async def version(nodes: NodesInMemory, items: Mapping[bytes, bytes], seen: Vector) -> Version:
    return Version(await small_tree(nodes, limits=WIDE).apply(sorted(items.items())), seen)


made_up = st.tuples(
    st.dictionaries(st.sampled_from([*KEYS, *NO_KEYS]), st.sampled_from(VALUES), max_size=8),
    st.fixed_dictionaries({writer: st.integers(0, 2) for writer in (ANNA, EVE)}),
)


@settings(max_examples=300, deadline=None)
@given(st.tuples(made_up, made_up, made_up))
async def test_joins_of_anything_are_associative_commutative_and_idempotent(
    made: tuple[tuple[dict[bytes, bytes], Vector], ...],
) -> None:
    nodes = NodesInMemory()
    a, b, c = [await version(nodes, *one) for one in made]
    ab = await a(b)
    assert ab.state == (await b(a)).state
    assert (await ab(c)).state == (await a(await b(c))).state
    assert (await a(a)).state == a.state
    assert (await ab(a)).state == (await ab(b)).state == (await ab(ab)).state == ab.state


async def both(ours: Version, theirs: Version) -> dict[bytes, bytes]:
    joined, turned = await ours(theirs), await theirs(ours)
    assert joined.state == turned.state
    return await model_of(joined.tree)


@pytest.mark.parametrize("value", [OTHER, b"", b"\xff" * 500, encode_entry(Entry(Kind.FOLDER))])
@pytest.mark.parametrize("claim", [None, 2**60, 3])
async def test_nobody_puts_another_value_under_the_dot_of_a_write(value: bytes, claim: int | None) -> None:
    """Eve has seen what Anna wrote, and has something else there: she has taken it away, as every writer may."""
    if claim is not None and value == OTHER:
        value = encode_entry(
            msgspec.structs.replace(FILE, content_id=b"e" * 32, extra=msgspec.msgpack.encode({1: claim}))
        )
    nodes = NodesInMemory()
    kept = {key(1, ANNA, 1): WRITTEN}
    anna = await version(nodes, {key(0, ANNA, 1): WRITTEN, **kept}, {ANNA: 1})
    eve = await version(nodes, {key(0, ANNA, 1): value, **kept}, {ANNA: 1, EVE: 1})
    assert await both(anna, eve) == kept
    carol = await version(nodes, {key(0, CAROL, 1): WRITTEN, **kept}, {ANNA: 1, CAROL: 1})
    assert await both(carol, eve) == {key(0, CAROL, 1): WRITTEN, **kept}


async def test_a_claim_of_a_great_epoch_brings_nothing_back_that_was_sealed_anew() -> None:
    nodes = NodesInMemory()
    claims = encode_entry(msgspec.structs.replace(FILE, extra=msgspec.msgpack.encode({1: 2**60, 7: "later"})))
    anna = await version(nodes, {key(0, ANNA, 1): anew(FILE, 2)}, {ANNA: 2})
    eve = await version(nodes, {key(0, ANNA, 1): claims}, {ANNA: 1, EVE: 1})
    assert await both(anna, eve) == {key(0, ANNA, 1): anew(FILE, 2)}


async def test_what_stands_under_a_dot_to_come_does_not_take_its_place() -> None:
    nodes = NodesInMemory()
    eve = await version(nodes, {key(0, ANNA, 1): OTHER, key(1, EVE, 1): WRITTEN}, {EVE: 1})
    nothing = await version(nodes, {}, {})
    assert await both(nothing, eve) == {key(1, EVE, 1): WRITTEN}
    anna = await version(nodes, {key(0, ANNA, 1): WRITTEN}, {ANNA: 1})
    assert await both(anna, eve) == {key(0, ANNA, 1): WRITTEN, key(1, EVE, 1): WRITTEN}


@pytest.mark.parametrize("bad", NO_KEYS)
async def test_what_is_no_key_goes_and_nothing_else(bad: bytes) -> None:
    nodes = NodesInMemory()
    eve = await version(nodes, {bad: WRITTEN, key(0, EVE, 1): WRITTEN}, {ANNA: 9, EVE: 1})
    anna = await version(nodes, {key(1, ANNA, 1): WRITTEN}, {ANNA: 1})
    assert await both(anna, eve) == {key(0, EVE, 1): WRITTEN}
    assert not is_key(bad)
    with pytest.raises(EntryDamaged):
        unpack_key(bad)


@given(st.binary(max_size=80) | st.sampled_from([*KEYS, *NO_KEYS]), st.integers(0, 90), st.binary(max_size=3))
def test_a_key_is_one_that_can_be_unpacked(data: bytes, at: int, more: bytes) -> None:
    data = data[:at] + more + data[at:]
    try:
        unpack_key(data)
    except EntryDamaged:
        assert not is_key(data)
    else:
        assert is_key(data)
