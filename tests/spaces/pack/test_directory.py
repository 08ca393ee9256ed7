"""Directories: what a pack says of its chunks comes back, or is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.keys import EpochUnknown
from ropewalk.spaces.pack.directory import MOST_CHILDREN, Child, Directory, DirectoryDamaged, Place, directory_hash
from tests.spaces.making import flips, some_keys, truncations

KEYS = some_keys()
NAME = b"n" * 32
pack = msgspec.msgpack.encode


@st.composite
def directories(draw: st.DrawFn) -> tuple[Directory, list[int]]:
    k = draw(st.integers(1, 5))
    ends = [0] * k
    places = []
    for number in range(draw(st.integers(1, 12))):
        column, length = draw(st.integers(0, k - 1)), draw(st.integers(1, 1 << 20))
        places.append(Place(number.to_bytes(32, "big"), column, ends[column], length))
        ends[column] += length
    packs = draw(st.integers(0, 3))
    elsewhere = st.builds(
        lambda chunk, at: chunk + at.to_bytes(2, "big"),
        st.binary(min_size=32, max_size=32),
        st.sampled_from([*range(packs), 0xFFFF]),
    )
    child: st.SearchStrategy[Child] = st.integers(0, len(places) - 1) | elsewhere
    children = [draw(st.none() | st.lists(child, max_size=4)) for _ in places]
    return Directory(places, children, bytes(32) * packs), ends


@given(directories())
def test_a_directory_comes_back(made: tuple[Directory, list[int]]) -> None:
    directory, lengths = made
    box = directory.seal(NAME, KEYS)
    assert Directory.open(box, NAME, lengths, KEYS) == directory
    assert Directory.open(memoryview(box), NAME, lengths, KEYS) == directory
    assert directory.seal(NAME, KEYS) == box
    assert directory_hash(box) == directory_hash(memoryview(box))


SMALL = Directory([Place(bytes(32), 0, 0, 5), Place(b"1" * 32, 1, 0, 6)], [None, [0, b"c" * 32 + b"\xff\xff"]])


def test_no_bit_and_no_length_of_a_sealed_directory_can_change() -> None:
    box = SMALL.seal(NAME, KEYS)
    for changed in (*flips(box), *truncations(box)):
        with pytest.raises(DirectoryDamaged if changed[:8] == box[:8] or len(changed) < 56 else EpochUnknown):
            Directory.open(changed, NAME, [5, 6], KEYS)


def test_a_directory_is_that_of_its_pack_and_space_alone() -> None:
    box = SMALL.seal(NAME, KEYS)
    for name, lengths in ((bytes(32), [5, 6]), (NAME, [5, 7])):
        with pytest.raises(DirectoryDamaged):
            Directory.open(box, name, lengths, KEYS)
    with pytest.raises(EpochUnknown):
        Directory.open(box, NAME, [5, 6], some_keys("two"))


@given(st.binary(max_size=120))
def test_fuzz_junk_is_no_directory(junk: bytes) -> None:
    with pytest.raises(DirectoryDamaged):
        Directory.open(junk, NAME, [5, 6], KEYS)
    sealed = KEYS.seal("directory", b"directory" + KEYS.space_id + NAME, junk)  # by a broken member
    with pytest.raises(DirectoryDamaged):
        Directory.open(sealed, NAME, [5, 6], KEYS)


GOOD: list[object] = [1, b"", bytes(32) + b"1" * 32, b"\0\1", [5, 6], [None, None], {}]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 2),
        (1, b"short"),
        (1, bytes(32 * 0x10000)),
        (2, bytes(63)),
        (2, bytes(96)),
        (3, b""),
        (3, b"\0\2"),
        (3, b"\0\0"),
        (3, b"\0\1\1"),
        (4, [5]),
        (4, [5, 6, 1]),
        (4, [5, 0]),
        (4, [-5, 6]),
        (4, [5, 7]),
        (5, [None]),
        (5, [None, [2]]),
        (5, [None, [-1]]),
        (5, [None, [b"short"]]),
        (5, [None, [bytes(32) + b"\0\0"]]),
        (5, [None, [0] * (MOST_CHILDREN + 1)]),
        (6, [1]),
    ],
)
def test_a_directory_that_contradicts_itself_or_its_pack_is_refused(at: int, value: object) -> None:
    context = b"directory" + KEYS.space_id + NAME
    assert Directory.open(KEYS.seal("directory", context, pack(GOOD)), NAME, [5, 6], KEYS).packs == b""
    record = [*GOOD[:at], value, *GOOD[at + 1 :]]
    with pytest.raises(DirectoryDamaged):
        Directory.open(KEYS.seal("directory", context, pack(record)), NAME, [5, 6], KEYS)


def test_a_directory_of_too_many_chunks_or_bytes_is_refused() -> None:
    many = Directory([Place(bytes(32), 0, at, 1) for at in range(16_385)], [None] * 16_385)
    with pytest.raises(DirectoryDamaged, match="16385 chunks"):
        Directory.open(many.seal(NAME, KEYS), NAME, [16_385], KEYS)
    with pytest.raises(DirectoryDamaged, match="expected at most"):
        Directory.open(bytes(8 * 1024 * 1024 + 1), NAME, [1], KEYS)
