"""Which folder is a store, and which: a missing disk is never taken for an empty one.

Flow: DiskStore.create, DiskStore.open -> a temporary folder
Never: mounts anything; a folder that is renamed stands in for a disk that goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.store import DiskStore, OsFileSystem, StoreDamaged, StoreGone, UnknownStoreFormat, object_name

NAME = object_name("s/packs/1")


async def names(store: DiskStore) -> list[str]:
    return [listed.name async for listed in store.list("")]


async def test_a_store_is_found_again_with_what_it_held(tmp_path: Path) -> None:
    first = await DiskStore.create(tmp_path / "a")
    await first.put(NAME, [b"held"])
    await first.aclose()
    again = await DiskStore.open(tmp_path / "a", first.identity)
    assert again.identity == first.identity
    assert len(again.identity) == 16
    assert await again.get(NAME) == b"held"
    assert (tmp_path / "a/s/packs/1").read_bytes() == b"held"
    await again.aclose()


async def test_two_stores_are_never_the_same(tmp_path: Path) -> None:
    one, other = await DiskStore.create(tmp_path / "a"), await DiskStore.create(tmp_path / "b")
    assert one.identity != other.identity
    with pytest.raises(StoreGone, match="another one"):
        await DiskStore.open(tmp_path / "b", one.identity)
    await one.aclose()
    await other.aclose()


async def test_a_missing_or_empty_folder_is_gone_and_no_empty_store(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", tmp_path / "missing/deep"):
        with pytest.raises(StoreGone) as caught:
            await DiskStore.open(path)
        assert "mounted" in caught.value.hint
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreGone):
        await DiskStore.open(tmp_path / "file")


async def test_create_refuses_a_store_a_full_folder_and_a_missing_parent(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "a")
    with pytest.raises(Misuse, match="already"):
        await DiskStore.create(tmp_path / "a")
    with pytest.raises(Misuse, match=r"not empty: 'a/'"):
        await DiskStore.create(tmp_path)
    with pytest.raises(StoreGone, match="no folder"):
        await DiskStore.create(tmp_path / "b/c")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreGone):
        await DiskStore.create(tmp_path / "file")
    assert (await DiskStore.open(tmp_path / "a")).identity == store.identity


async def test_create_takes_a_fresh_disk_and_what_a_create_cut_short_left(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "ropewalk-store.new").write_bytes(b'{"form')
    store = await DiskStore.create(tmp_path)
    await store.put(NAME, [b"x"])
    assert await names(store) == [NAME]
    await store.aclose()


async def test_of_two_that_create_at_once_one_fails(tmp_path: Path) -> None:
    done = await asyncio.gather(*[DiskStore.create(tmp_path / "a") for _ in range(4)], return_exceptions=True)
    stores = [store for store in done if isinstance(store, DiskStore)]
    assert len({store.identity for store in stores}) <= 1
    assert all(isinstance(result, (DiskStore, RopewalkError)) for result in done), done
    for store in stores:
        await store.aclose()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", StoreDamaged),
        (b"\xff" * 10_000, StoreDamaged),
        (b"[" * 5000, StoreDamaged),
        (b'{"format": 1, "id": "xyz"}\n', StoreDamaged),
        (b'{"format": 1, "id": "' + b"A" * 32 + b'"}\n', StoreDamaged),
        (b'{"format": 2, "id": "00"}\n', UnknownStoreFormat),
        (b'{"format": 10}', UnknownStoreFormat),
    ],
)
async def test_a_marker_that_cannot_be_understood_is_said_so(
    tmp_path: Path, text: bytes, error: type[RopewalkError]
) -> None:
    (tmp_path / "ropewalk-store").write_bytes(text)
    with pytest.raises(error):
        await DiskStore.open(tmp_path)


async def test_a_disk_that_goes_is_gone_for_every_call(tmp_path: Path) -> None:
    """An unmounted disk leaves an empty folder in its place; nothing may be written into that."""
    path = tmp_path / "mount"
    store = await DiskStore.create(path)
    await store.put(NAME, [b"held"])
    path.rename(tmp_path / "elsewhere")
    for _ in ("missing", "empty"):
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: store.get(NAME),
            lambda: store.put(NAME, [b"held"]),
            lambda: store.put(object_name("new"), [b"x"]),
            lambda: store.delete(NAME),
            store.room,
            lambda: names(store),
        ]
        for call in calls:
            with pytest.raises(StoreGone):
                await call()
        path.mkdir(exist_ok=True)
    assert list(path.iterdir()) == []
    path.rmdir()
    (tmp_path / "elsewhere").rename(path)
    assert await store.get(NAME) == b"held"
    await store.put(object_name("new"), [b"x"])
    await store.aclose()


async def test_another_disk_in_its_place_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "mount"
    store = await DiskStore.create(path)
    path.rename(tmp_path / "first")
    other = await DiskStore.create(path)
    with pytest.raises(StoreGone, match="another one"):
        await store.put(NAME, [b"x"])
    with pytest.raises(StoreGone, match="another one"):
        await store.get(NAME)
    with pytest.raises(StoreGone, match="another one"):
        await names(store)
    assert await names(other) == []
    await store.aclose()
    await other.aclose()


async def test_a_disk_that_goes_during_a_put_is_not_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "mount"

    class Swapped(OsFileSystem):
        def link(self, old: str, new: str) -> None:
            super().link(old, new)
            (path / "ropewalk-store").unlink()

    store = await DiskStore.create(path)
    await store.aclose()
    store = await DiskStore.open(path, files=Swapped())
    with pytest.raises(StoreGone):
        await store.put(NAME, [b"x"])
    await store.aclose()
