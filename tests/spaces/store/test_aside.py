"""What was deleted and may come back: nothing is overwritten, and a power cut leaves it here or there, or both."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ropewalk.errors import Misuse
from ropewalk.spaces.store import DiskStore, NameTaken, NoSuchObject, StoreFull, StoreReadOnly, object_name
from tests.spaces.store.test_disk import Failing, names

NAME = object_name("s/packs/1")


async def test_what_is_set_aside_is_gone_and_comes_back(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "store")
    assert await store.aside() == set()
    await store.put(NAME, [b"abc"])
    assert await store.set_aside(NAME, "1f") == 3
    with pytest.raises(NoSuchObject):
        await store.get(NAME)
    assert await names(store) == []
    assert await store.aside() == {"1f"}
    await store.aclose()
    store = await DiskStore.open(tmp_path / "store")
    assert await store.aside() == {"1f"}, "it outlasts the process"
    await store.take_back("1f", NAME)
    assert await store.get(NAME) == b"abc"
    assert await store.aside() == set()
    await store.aclose()


async def test_what_is_dropped_is_gone_for_good(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "store")
    await store.put(NAME, [b"abc"])
    await store.set_aside(NAME, "1")
    await store.drop_aside("1")
    await store.drop_aside("1")
    with pytest.raises(NoSuchObject):
        await store.take_back("1", NAME)
    await store.aclose()


async def test_nothing_is_overwritten(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "store")
    await store.put(NAME, [b"old"])
    await store.set_aside(NAME, "1")
    await store.put(NAME, [b"new"])
    with pytest.raises(NameTaken):
        await store.take_back("1", NAME)
    with pytest.raises(Misuse, match="in use"):
        await store.set_aside(NAME, "1")
    assert await store.get(NAME) == b"new"
    await store.delete(NAME)
    await store.take_back("1", NAME)
    assert await store.get(NAME) == b"old"
    await store.aclose()


@pytest.mark.parametrize("label", ["", "g", "A", "../x", "1" * 33, "1\n"])
async def test_a_label_is_hex(tmp_path: Path, label: str) -> None:
    store = await DiskStore.create(tmp_path / "store")
    await store.put(NAME, [b"abc"])
    for call in (store.set_aside(NAME, label), store.take_back(label, NAME), store.drop_aside(label)):
        with pytest.raises(Misuse, match="label"):
            await call
    assert await store.get(NAME) == b"abc"
    await store.aclose()


async def test_what_is_not_there_cannot_go(tmp_path: Path) -> None:
    store = await DiskStore.create(tmp_path / "store")
    await store.put(NAME, [b"abc"])
    for name in ("s/packs/2", "s/packs", "s/packs/1/x"):
        with pytest.raises(NoSuchObject):
            await store.set_aside(object_name(name), "1")
    assert await store.aside() == set()
    await store.aclose()


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, StoreFull), (errno.EROFS, StoreReadOnly)])
async def test_where_it_cannot_go_it_stays(tmp_path: Path, number: int, error: type[Exception]) -> None:
    files = Failing()
    store = await DiskStore.create(tmp_path / "store", files=files)
    await store.put(NAME, [b"abc"])
    files.errors["link"] = number
    with pytest.raises(error):
        await store.set_aside(NAME, "1")
    files.errors.clear()
    assert await store.get(NAME) == b"abc"
    assert await store.aside() == set()
    await store.aclose()
