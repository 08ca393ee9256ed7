"""What a folder says of its file system is what that does; nothing is left of the look."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ropewalk.spaces.store import DiskStore, Examined, Facts, MemoryStore, OsFileSystem, StoreReadOnly, examine


async def _examined(path: Path, files: OsFileSystem) -> Examined:
    store = await DiskStore.create(path / "store", files=files)
    try:
        found = await store.examine()
        assert [entry for entry in os.listdir(path / "store" / ".tmp") if not entry.endswith(".lock")] == []
        assert [listed async for listed in store.list("")] == []
    finally:
        await store.aclose()
    return found


async def test_a_file_system_that_has_all(tmp_path: Path) -> None:
    found = await _examined(tmp_path, OsFileSystem())
    assert (found.creates_once, found.folds_case, found.lacks) == (True, False, ())
    assert found.time is not None
    assert abs(found.time - (tmp_path / "store").stat().st_mtime_ns) < 3600 * 10**9


class _LinksOver(OsFileSystem):
    def link(self, old: str, new: str) -> None:
        if ".tmp/" in new and os.path.lexists(new):
            os.unlink(new)
        super().link(old, new)


class _NoLinks(OsFileSystem):
    def link(self, old: str, new: str) -> None:
        if ".tmp/" in new:
            raise OSError(errno.EPERM, "Operation not permitted", new)
        super().link(old, new)


class _NoLocks(OsFileSystem):
    def lock(self, fd: int) -> bool:
        return True


class _LocksFail(OsFileSystem):
    def lock(self, fd: int) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")


class _CopiesInstead(OsFileSystem):
    def rename(self, old: str, new: str) -> None:
        Path(new).write_bytes(Path(old).read_bytes())


class _FoldsCase(OsFileSystem):
    def facts(self, file: int | str) -> Facts:
        return super().facts(file.lower() if isinstance(file, str) and file.endswith("-X") else file)


class _NoFolderSync(OsFileSystem):
    def open(self, path: str, flags: int) -> int:
        if flags & os.O_DIRECTORY and path.endswith(".tmp"):
            raise OSError(errno.EINVAL, "Invalid argument", path)
        return super().open(path, flags)


@pytest.mark.parametrize(
    ("make", "lacks"),
    [
        (_LinksOver, ("hard links that do not replace",)),
        (_NoLinks, ("hard links that do not replace",)),
        (_NoLocks, ("locks",)),
        (_LocksFail, ("locks",)),
        (_CopiesInstead, ("renames that replace",)),
        (_NoFolderSync, ("folders that can be synced",)),
    ],
)
async def test_what_is_lacking_is_named(
    make: Callable[[], OsFileSystem], lacks: tuple[str, ...], tmp_path: Path
) -> None:
    found = await _examined(tmp_path, make())
    assert found.lacks == lacks
    assert found.creates_once == ("hard links that do not replace" not in lacks)


async def test_capital_letters_that_do_not_count_are_seen(tmp_path: Path) -> None:
    assert (await _examined(tmp_path, _FoldsCase())).folds_case is True


async def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await DiskStore.create(tmp_path / "store")

    def refused(_files: OsFileSystem, path: str, flags: int) -> int:
        raise OSError(errno.EROFS, "Read-only file system", path)

    monkeypatch.setattr(OsFileSystem, "writev", refused)
    with pytest.raises(StoreReadOnly):
        await store.examine()
    monkeypatch.undo()
    assert [entry for entry in os.listdir(tmp_path / "store" / ".tmp") if not entry.endswith(".lock")] == []
    await store.aclose()


async def test_a_store_that_can_say_nothing() -> None:
    assert await examine(MemoryStore()) == Examined()
