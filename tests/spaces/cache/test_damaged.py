"""A cache that was damaged gives nothing wrong, ends nothing, and is soon of use again."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.spaces.cache import CACHE_FILE, Cache, ChunkFile

LIMIT = 64 << 20
CHANCE = random.Random(1)
CHUNKS = {
    hashlib.sha256(bytes([at])).digest(): CHANCE.randbytes(CHANCE.choice((300, 9000, 40_000))) for at in range(40)
}
PAGE = 4096
SESSIONS = 3


async def opened(folder: Path) -> Cache:
    cache = Cache(folder / CACHE_FILE, LIMIT)
    await cache.open()
    return cache


async def session(folder: Path) -> int:
    """As a space reads: what is not there, or is wrong, comes from a store; how many were there."""
    cache = await opened(folder)
    found = await cache.get(list(CHUNKS))
    for one, data in CHUNKS.items():
        if found.get(one) != data:
            if one in found:
                cache.forget(one)
            cache.offer(one, data, node=one[0] % 2 == 0)
    await cache.aclose()
    assert all(isinstance(data, bytes) for data in found.values())
    return sum(found.get(one) == data for one, data in CHUNKS.items())


async def some_sessions(folder: Path) -> int:
    for _ in range(SESSIONS):
        await session(folder)
    return await session(folder)


@pytest.mark.parametrize("page", range(1, 9))
async def test_one_with_a_page_of_zeros_is_begun_anew(tmp_path: Path, page: int) -> None:
    assert [await session(tmp_path), await session(tmp_path)] == [0, len(CHUNKS)]
    with (tmp_path / CACHE_FILE).open("r+b") as file:
        file.seek(page * PAGE)
        file.write(bytes(PAGE))
    assert await some_sessions(tmp_path) == len(CHUNKS)


@st.composite
def damage(draw: st.DrawFn) -> list[tuple[str, float, bytes]]:
    """What is done to the file, at which part of it, with what."""
    kinds = st.tuples(
        st.sampled_from(["bytes", "pages", "cut"]),
        st.one_of(st.floats(0, 0.1), st.floats(0, 1)),
        st.one_of(st.binary(min_size=1, max_size=100), st.just(bytes(PAGE))),
    )
    return draw(st.lists(kinds, min_size=1, max_size=5))


@settings(max_examples=60, deadline=None)
@given(damage())
async def test_whatever_is_damaged_it_is_of_use_again(
    tmp_path_factory: pytest.TempPathFactory, what: list[tuple[str, float, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    await session(folder)
    path = folder / CACHE_FILE
    data = bytearray(path.read_bytes())
    for kind, share, new in what:
        at = int(share * len(data))
        if kind == "pages":
            at -= at % PAGE
        if kind == "cut":
            del data[at:]
        else:
            data[at : at + len(new)] = new
    path.write_bytes(data)
    assert await some_sessions(folder) == len(CHUNKS)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM held",
        "UPDATE held SET size = -5",
        "UPDATE held SET size = 'much'",
        "UPDATE held SET size = 1 << 60",
        "UPDATE held SET size = 1e300",
        "DELETE FROM chunks",
        "UPDATE chunks SET data = 'text'",
        "UPDATE chunks SET data = x'00'",
        "UPDATE uses SET number = -1",
        "UPDATE uses SET size = 'much'",
        "UPDATE uses SET size = -1000000",
        "UPDATE uses SET used = 'late'",
        "UPDATE uses SET used = 9223372036854775807",
        "UPDATE uses SET kind = 7",
        "DROP TABLE chunks",
        "DROP TABLE held",
        "DROP INDEX uses_by_age",
    ],
)
async def test_what_does_not_add_up_is_begun_anew(tmp_path: Path, statement: str) -> None:
    await session(tmp_path)
    other = sqlite3.connect(tmp_path / CACHE_FILE)
    other.execute(statement)
    other.commit()
    other.close()
    assert await some_sessions(tmp_path) == len(CHUNKS)


async def test_an_index_that_lists_what_is_gone_ends(tmp_path: Path) -> None:
    """Whoever makes room by it finds nothing to let go, and does not look for ever."""
    await session(tmp_path)
    other = sqlite3.connect(tmp_path / CACHE_FILE, isolation_level=None)
    other.execute("PRAGMA writable_schema = ON")
    row = other.execute("SELECT rootpage, sql FROM sqlite_schema WHERE name = 'uses_by_age'").fetchone()
    other.execute("DELETE FROM sqlite_schema WHERE name = 'uses_by_age'")
    other.execute("PRAGMA writable_schema = RESET")
    other.execute("DELETE FROM uses")  # the index does not hear of it
    other.execute("PRAGMA writable_schema = ON")
    other.execute("INSERT INTO sqlite_schema VALUES ('index', 'uses_by_age', 'uses', ?, ?)", row)
    other.close()
    file = ChunkFile(tmp_path / CACHE_FILE, LIMIT)
    file._room = 100_000
    with pytest.raises(sqlite3.DatabaseError):
        file.add({bytes(32): bytes(90_000)})
    file.close()
    assert await some_sessions(tmp_path) == len(CHUNKS)


async def test_one_that_is_damaged_while_it_is_open_is_begun_anew_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await session(tmp_path)
    get, broken = ChunkFile.get, set[ChunkFile]()

    def fail(self: ChunkFile, ids: list[bytes]) -> dict[bytes, bytes]:
        if not broken or self in broken:
            broken.add(self)
            raise sqlite3.DatabaseError("database disk image is malformed")
        return get(self, ids)

    one, other = list(CHUNKS.items())[:2]
    cache = await opened(tmp_path)
    monkeypatch.setattr(ChunkFile, "get", fail)
    written = threading.Event()
    cache._writing.submit(written.wait, 60)
    for _ in range(2):  # the second finds it damaged, too, before it is begun anew
        assert await cache.get([one[0]]) == {}
    written.set()
    cache.offer(*one)
    await cache.aclose()
    cache = await opened(tmp_path)
    assert await cache.get([one[0], other[0]]) == dict([one])
    await cache.aclose()


async def test_one_that_is_busy_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await session(tmp_path)
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY | 2 << 8

    def fail(*_: object) -> None:
        raise busy

    cache = await opened(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(ChunkFile, "get", fail)
        patch.setattr(ChunkFile, "add", fail)
        assert await cache.get(list(CHUNKS)) == {}
        cache.offer(bytes(32), b"not kept")
        cache.forget(bytes(32))
        await cache.aclose()
        patch.setattr(ChunkFile, "_open", fail)
        cache = await opened(tmp_path)
        assert await cache.get(list(CHUNKS)) == {}
        await cache.aclose()
    assert await session(tmp_path) == len(CHUNKS)
