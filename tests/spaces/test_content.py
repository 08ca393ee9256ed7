"""Content: bytes to cuts and back, any range of them, and maps that do not fit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.content import seal_cuts, seal_small
from ropewalk.spaces.space import Space
from ropewalk.spaces.tree.entry import CHUNK_SIZE, Chunks, Entry, EntryDamaged, Inline, Kind, Offsets, Unknown
from tests.spaces.making import a_space, some_keys

MIB = 1024 * 1024


@pytest.mark.parametrize(("size", "cuts"), [(0, 0), (512, 0), (513, 1), (MIB, 1), (MIB + 1, 2), (4 * MIB, 4)])
def test_small_files_stand_in_the_entry_and_others_are_cut(size: int, cuts: int) -> None:
    stored, sealed = seal_small(bytes(size), some_keys(), padded=False)
    assert len(sealed) == cuts
    assert stored.size == size
    assert isinstance(stored.content, Chunks if cuts else Inline)
    assert [cut.reference.size for cut in sealed] == [min(MIB, size - at) for at in range(0, size, MIB)][:cuts]


def test_equal_content_has_equal_ids_and_other_content_has_not() -> None:
    def content_id(data: bytes, keys: str = "one") -> bytes:
        return seal_small(data, some_keys(keys), padded=False)[0].content_id

    assert content_id(b"x" * 2000) == content_id(b"x" * 2000)
    others = [b"", b"\0", b"x", b"x" * 1999, b"x" * 2000, b"x" * MIB, b"x" * (MIB + 1)]
    assert len({content_id(data) for data in others}) == len(others)
    assert content_id(b"x", "one") != content_id(b"x", "two")


@given(st.integers(0, 3 * MIB))
def test_cuts_cover_the_bytes_in_order(size: int) -> None:
    sealed = seal_cuts(bytes(size), some_keys(), padded=False)
    assert sum(cut.reference.size for cut in sealed) == size
    assert all(cut.reference.size == CHUNK_SIZE for cut in sealed[:-1])


async def _entry(space: Space, data: bytes) -> Entry:
    await space.write("file", data)
    return await (await space.current()).file("file")


@pytest.mark.parametrize("size", [400, 700, 3 * MIB + 5, 6 * MIB + 7])
async def test_any_range_is_that_of_the_file(tmp_path: Path, size: int) -> None:
    rng = random.Random(size)
    data = rng.randbytes(size)
    edges = [0, 1, 399, MIB - 1, MIB, MIB + 1, 4 * MIB, size - 1, size, size + 1, size + MIB]
    async with (await a_space(tmp_path)).open() as space:
        entry = await _entry(space, data)
        content = space.core.content
        assert await content.read(entry) == data
        for start in edges:
            assert await content.read(entry, start) == data[start:]
            for length in (0, 1, MIB, size):
                assert await content.read(entry, start, length) == data[start : start + length]


async def test_a_map_that_does_not_fit_its_entry_is_damaged(tmp_path: Path) -> None:
    async with (await a_space(tmp_path)).open() as space:
        entry = await _entry(space, random.Random(1).randbytes(6 * MIB))
        other = Entry(Kind.FILE, 6 * MIB + 1, content=entry.content)
        shorter = Entry(Kind.FILE, 6 * MIB - 1, content=entry.content)
        longer = Entry(Kind.FILE, 8 * MIB, content=entry.content)
        for wrong in (other, shorter, longer):
            with pytest.raises(EntryDamaged):
                await space.core.content.read(wrong)


async def test_a_map_with_a_hole_is_damaged(tmp_path: Path) -> None:
    async with (await a_space(tmp_path)).open() as space:
        entry = await _entry(space, random.Random(1).randbytes(6 * MIB))
        assert isinstance(entry.content, Offsets)
        async with space.change() as change:
            tree = await space.core.maps.at(entry.content.root).apply([((2 * MIB).to_bytes(8, "big"), None)])
            assert tree.root is not None
            holed = Entry(Kind.FILE, 6 * MIB, content_id=bytes(32), content=Offsets(tree.root))
            await change.put_entry((b"holed",), holed)
        with pytest.raises(EntryDamaged, match=f"map of a file has no cut at {2 * MIB}"):
            await space.read("holed")
        assert len(await space.read("holed", 0, 2 * MIB)) == 2 * MIB
        assert len(await space.read("holed", 3 * MIB)) == 3 * MIB


async def test_content_of_a_later_format_is_refused(tmp_path: Path) -> None:
    async with (await a_space(tmp_path)).open() as space:
        with pytest.raises(EntryDamaged, match="of a kind that this version cannot read"):
            await space.core.content.read(Entry(Kind.FILE, 10, content=Unknown(9, [bytes(73)])))
