"""The cache keeps to its limit, lets go of what was used longest ago, and is never believed."""

from __future__ import annotations

import os
import random
import sqlite3
from collections import deque
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ropewalk.spaces.cache import CACHE_FILE, LEAST, Cache, ChunkFile, cache
from ropewalk.spaces.cache import file as module
from ropewalk.spaces.chunk import ChunkType, Sealed, seal
from tests.spaces.making import some_keys


def chunk(number: int, size: int = 10_000) -> tuple[bytes, bytes]:
    return number.to_bytes(32, "big"), random.Random(number).randbytes(size)


def on_disk(folder: Path) -> int:
    """Bytes of the file and of what lies beside it."""
    return sum(one.stat().st_size for one in folder.iterdir())


@settings(max_examples=30, deadline=None)
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 60), st.sampled_from([1, 300, 5000, 70_000, 1_048_592])), max_size=12),
        max_size=12,
    ),
    limit=st.integers(LEAST, 2 * LEAST),
)
@example([[(0, 1), (1, 1_048_592), (2, 1_048_592), (3, 1_048_592)], [(0, 1), (0, 1_048_592)]], LEAST)
@example([[(number, 1_048_592) for number in range(2, 38, 3)]] * 2, LEAST)
@example([[(number, 1_048_592) for number in range(at, at + 20)] for at in range(0, 60, 20)], 2 * LEAST)
@example([[(0, 1_048_592), (1, 1_048_592), (3, 1_048_592), (20, 1_048_592)]], LEAST)
def test_it_keeps_to_its_limit_and_gives_what_it_was_given(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[int, int]]], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    given_in: dict[bytes, bytes] = {}
    file = ChunkFile(folder / CACHE_FILE, limit)
    for batch in batches:
        new = dict(chunk(number * 10_000_000 + size, size) for number, size in batch)
        nodes = {chunk(number * 10_000_000 + size, size)[0] for number, size in batch if number % 3 == 2}
        file.add(new, nodes)
        given_in |= new
        found = file.get(list(given_in))
        assert found.items() <= given_in.items()
        assert on_disk(folder) <= limit
        if sum(map(len, new.values())) < limit // 6:
            assert new.keys() <= found.keys()
    file.close()
    assert on_disk(folder) <= limit
    again = ChunkFile(folder / CACHE_FILE, limit)
    assert again.get(list(given_in)).items() <= given_in.items()
    again.close()


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    file = ChunkFile(tmp_path / CACHE_FILE, LEAST)
    first, second = chunk(1, 500_000), chunk(2, 500_000)
    file.add(dict([first]))
    file.add(dict([second]))
    file.add({}, used=[first[0]])
    for number in range(3, 9):
        file.add(dict([chunk(number, 500_000)]))
    left = file.get([first[0], second[0]])
    assert left == dict([first])
    file.close()


def test_a_smaller_limit_holds_from_the_next_chunk_on(tmp_path: Path) -> None:
    file = ChunkFile(tmp_path / CACHE_FILE, 4 * LEAST)
    for number in range(20):
        file.add(dict([chunk(number, 500_000)]))
    file.close()
    file = ChunkFile(tmp_path / CACHE_FILE, LEAST)
    file.add(dict([chunk(99, 500_000)]))
    assert file.size() <= LEAST
    assert file.get([chunk(99)[0]])
    file.close()


def test_one_that_came_out_wrong_goes(tmp_path: Path) -> None:
    file = ChunkFile(tmp_path / CACHE_FILE, LEAST)
    one, other = chunk(1), chunk(2)
    file.add(dict([one, other]))
    file.add({}, gone=[one[0]])
    assert file.get([one[0], other[0]]) == dict([other])
    file.close()


def test_content_makes_room_for_nodes_and_not_the_other_way_round(tmp_path: Path) -> None:
    file = ChunkFile(tmp_path / CACHE_FILE, LEAST)
    nodes = dict(chunk(number, 20_000) for number in range(20))
    file.add(nodes, nodes.keys())
    for number in range(100, 120):
        file.add(dict([chunk(number, 900_000)]))
    assert file.get(list(nodes)) == nodes
    assert file.get([chunk(119)[0]])
    more = dict(chunk(number, 20_000) for number in range(20, 60))
    file.add(more, more.keys())
    assert file.get([*nodes, *more]) == nodes | more
    file.close()


def test_nodes_leave_half_of_it_to_content(tmp_path: Path) -> None:
    file = ChunkFile(tmp_path / CACHE_FILE, LEAST)
    content = dict([chunk(1, 900_000)])
    file.add(content)
    first, last = chunk(100, 200_000), chunk(130, 200_000)
    for number in range(100, 131):
        file.add(dict([chunk(number, 200_000)]), [chunk(number)[0]])
    assert file.get([first[0], last[0], *content]) == dict([last]) | content
    file.close()


def test_what_may_not_grow_takes_in_only_what_others_make_room_for(tmp_path: Path) -> None:
    file = ChunkFile(tmp_path / CACHE_FILE, LEAST)
    file.add(dict([chunk(1)]), growth=0)
    assert file.size() == 0
    file.add(dict(chunk(number) for number in range(10)), growth=100_000)
    size = file.size()
    assert 50_000 < size <= 100_000
    before = on_disk(tmp_path)
    for number in range(20, 60):
        file.add(dict([chunk(number)]), [chunk(number)[0]], growth=0)
    assert size // 2 < file.size() <= size
    assert file.get([chunk(59)[0]])
    file.close()
    assert on_disk(tmp_path) <= before


def test_the_room_that_a_large_one_made_for_a_small_one_is_used(tmp_path: Path) -> None:
    file = ChunkFile(tmp_path / CACHE_FILE, LEAST)
    file.add(dict(chunk(number, 900_000) for number in range(2)))
    for number in range(10, 50):
        file.add(dict([chunk(number)]), [chunk(number)[0]], growth=0)
    assert len(file.get([chunk(number)[0] for number in range(10, 50)])) == 40
    assert len(file.get([chunk(number)[0] for number in range(2)])) == 1
    file.close()


def test_a_log_that_a_reader_holds_on_to_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    file = ChunkFile(tmp_path / CACHE_FILE, LEAST)
    file.add(dict([chunk(1)]))
    reader = sqlite3.connect(tmp_path / CACHE_FILE, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM chunks").fetchone() == (1,)
    for number in range(2, 60):
        file.add(dict([chunk(number, 900_000)]), used=[chunk(1)[0]])
        assert on_disk(tmp_path) <= LEAST
    assert not file.get([chunk(59)[0]])
    reader.execute("COMMIT")
    reader.close()
    file.add(dict([chunk(59, 900_000)]))
    assert file.get([chunk(59)[0]])
    file.close()


def test_sums_that_are_wrong_do_not_make_it_larger(tmp_path: Path) -> None:
    file = ChunkFile(tmp_path / CACHE_FILE, LEAST)

    def add(number: int) -> None:
        file._db.execute("UPDATE held SET size = 0")
        file.add(dict([chunk(number, 1_000_000)]))

    add(0)
    add(1)
    with pytest.raises(sqlite3.Error, match="full"):  # and whoever uses it begins it anew
        deque(map(add, range(2, 20)))
    assert on_disk(tmp_path) <= LEAST
    file.close()


def test_one_that_another_process_has_for_itself_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    ChunkFile(tmp_path / CACHE_FILE, LEAST).close()
    other = sqlite3.connect(tmp_path / CACHE_FILE, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        ChunkFile(tmp_path / CACHE_FILE, LEAST)
    other.execute("COMMIT")
    assert other.execute("PRAGMA user_version").fetchone() == (2,)
    assert (tmp_path / CACHE_FILE).exists()
    other.close()


@pytest.mark.parametrize("junk", [b"junk" * 5000, b"", b"SQLite format 3\0" + bytes(9000)])
def test_a_file_that_is_none_is_begun_anew(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / CACHE_FILE).write_bytes(junk)
    file = ChunkFile(tmp_path / CACHE_FILE, LEAST)
    file.add(dict([chunk(1)]))
    assert file.get([chunk(1)[0]]) == dict([chunk(1)])
    file.close()


def test_a_file_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / CACHE_FILE)
    other.executescript("CREATE TABLE chunks (odd); PRAGMA user_version = 7;")
    other.close()
    file = ChunkFile(tmp_path / CACHE_FILE, LEAST)
    file.add(dict([chunk(1)]))
    assert file.get([chunk(1)[0]]) == dict([chunk(1)])
    file.close()


async def kept(folder: Path, limit: int = LEAST) -> Cache:
    made = Cache(folder / CACHE_FILE, limit)
    await made.open()
    return made


def sealed(number: int) -> Sealed:
    return seal(random.Random(number).randbytes(3000), ChunkType.DATA, some_keys(), padded=False)


async def test_what_was_offered_is_there_at_once_and_after_a_restart(tmp_path: Path) -> None:
    one, two = await kept(tmp_path), sealed(2)
    one.offer(two.reference.id, memoryview(two.data))
    assert await one.get([two.reference.id]) == {two.reference.id: two.data}
    await one.aclose()
    again = await kept(tmp_path)
    assert await again.get([two.reference.id, bytes(32)]) == {two.reference.id: two.data}
    again.forget(two.reference.id)
    await again.aclose()
    last = await kept(tmp_path)
    assert await last.get([two.reference.id]) == {}
    await last.aclose()


async def test_what_comes_faster_than_it_is_written_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MOST_OFFERED", 25_000)
    one = await kept(tmp_path)
    for number in range(5):
        one.offer(*chunk(number))
    for number in range(5, 10):  # nodes do not wait behind content
        one.offer(*chunk(number), node=True)
    await one.aclose()
    again = await kept(tmp_path)
    assert len(await again.get([chunk(number)[0] for number in range(5)])) == 2
    assert len(await again.get([chunk(number)[0] for number in range(5, 10)])) == 2
    await again.aclose()


async def test_reads_write_nothing_before_there_is_much_to_note(tmp_path: Path) -> None:
    one = await kept(tmp_path)
    one.offer(*chunk(1))
    await one.aclose()
    again = await kept(tmp_path)
    watcher = sqlite3.connect(tmp_path / CACHE_FILE)
    before = watcher.execute("PRAGMA data_version").fetchone()
    for _ in range(100):
        assert await again.get([chunk(1)[0]])
    assert watcher.execute("PRAGMA data_version").fetchone() == before
    await again.aclose()
    assert watcher.execute("PRAGMA data_version").fetchone() != before  # it is noted in the end, all at once
    watcher.close()


async def test_two_processes_share_it(tmp_path: Path) -> None:
    one, other = await kept(tmp_path), await kept(tmp_path)
    one.offer(*chunk(1))
    other.offer(*chunk(2))
    await one.aclose()
    await other.aclose()
    again = await kept(tmp_path)
    assert await again.get([chunk(1)[0], chunk(2)[0]]) == dict([chunk(1), chunk(2)])
    await again.aclose()


async def test_a_file_that_fails_is_one_without_chunks(tmp_path: Path) -> None:
    one = await kept(tmp_path)
    one.offer(*chunk(1))
    await one.aclose()
    assert one.hits == 0
    again = await kept(tmp_path)
    assert again._write is not None
    again._write._db.close()
    again.forget(chunk(3)[0])
    await again.give_way()  # after that
    assert not (tmp_path / CACHE_FILE).exists()
    again.offer(*chunk(2))
    assert await again.get([chunk(1)[0], chunk(2)[0]]) == {}
    await again.aclose()
    assert not os.listdir(tmp_path)


async def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    one = await kept(tmp_path / "nowhere")
    one.offer(*chunk(1))
    assert await one.get([chunk(1)[0]]) == {}
    await one.aclose()


async def test_giving_way_frees_the_disk(tmp_path: Path) -> None:
    one = await kept(tmp_path)
    one.offer(*chunk(1))
    await one.give_way()
    assert not os.listdir(tmp_path)
    one.offer(*chunk(2))
    assert await one.get([chunk(1)[0], chunk(2)[0]]) == {}
    await one.aclose()
