"""What a disk store said outlasts a power cut does, and the test that says so can fail.

A run is stopped at each of its file-system calls in turn.  Then either the power goes, or only the process dies and its
successor says the same things again before the power goes.  What is left must be whole.

Flow: DiskStore -> PowerLossFileSystem -> crash -> DiskStore
Never: touches a real disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from ropewalk.spaces.store import DiskStore, Facts, NoSuchObject, ObjectName, StoreGone, object_name
from ropewalk.spaces.store.filesystem import sync_folder
from ropewalk.spaces.store.folder import Folder
from ropewalk.testing.powerloss import PowerCut, PowerLossFileSystem

ROOT = "/store"
SEEDS = range(5)
Model = Callable[[], PowerLossFileSystem]

OBJECTS = {
    object_name(name): bytes([65 + index]) * size
    for index, (name, size) in enumerate(
        [
            ("top", 10),
            ("s/packs/1", 9000),
            ("s/packs/2", 0),
            ("s/heads/w/1", 5000),
            ("t/x", 4097),
            ("s/packs/gone", 20),
            ("u/received", 7000),
            ("u/aside", 30),
        ]
    )
}
TOP, ONE, TWO, HEAD, OTHER, GONE, CAME, ASIDE = OBJECTS


@dataclass
class Told:
    """What a store has said so far."""

    kept: set[ObjectName] = field(default_factory=set)
    deleted: set[ObjectName] = field(default_factory=set)

    async def put(self, store: DiskStore, *names: ObjectName) -> None:
        await store.put_many([(name, [OBJECTS[name]]) for name in names])
        self.kept.update(names)

    async def receive(self, store: DiskStore, name: ObjectName) -> None:
        async with store.receive(name, len(OBJECTS[name])) as incoming:
            for at in range(0, len(OBJECTS[name]), 3000):
                await incoming.write(OBJECTS[name][at : at + 3000])
            await incoming.finish()
        self.kept.add(name)

    async def set_aside(self, store: DiskStore, name: ObjectName) -> None:
        self.kept.discard(name)
        await store.set_aside(name, "1")
        self.deleted.add(name)

    async def take_back(self, store: DiskStore, name: ObjectName) -> None:
        self.deleted.discard(name)
        await store.take_back("1", name)
        self.kept.add(name)

    async def delete(self, store: DiskStore, name: ObjectName) -> None:
        self.kept.discard(name)
        await store.delete(name)
        self.deleted.add(name)


async def all_of_it(store: DiskStore, told: Told) -> None:
    await told.put(store, TOP)
    await told.put(store, ONE, TWO, HEAD, GONE)
    await told.put(store, ONE)  # again
    await told.delete(store, GONE)
    await told.put(store, OTHER)
    await told.receive(store, CAME)
    await told.receive(store, CAME)  # again


async def there_and_back(store: DiskStore, told: Told) -> None:
    await told.put(store, ASIDE)
    await told.set_aside(store, ASIDE)
    await told.take_back(store, ASIDE)


async def left_whole(model: PowerLossFileSystem, told: Told, seed: int) -> None:
    """Assert that after a power cut now the store holds what it said, and nothing torn."""
    left = model.crash(seed)
    store = await DiskStore.open(ROOT, files=left, threads=1)
    listed = {found.name: found.size async for found in store.list("")}
    for name, size in listed.items():
        assert await store.get(name) == OBJECTS[name], f"{name} is torn"
        assert size == len(OBJECTS[name])
    assert told.kept <= set(listed), "an object that was acknowledged is lost"
    assert not told.deleted & set(listed), "an object that was deleted is back"
    assert list(left.scan(f"{ROOT}/.tmp")) == [], "temporary files were not swept"
    for name, held in OBJECTS.items():
        if name not in told.deleted:
            await store.put(name, [held])  # whatever happened, it can be done again
    await store.aclose()


async def stop_everywhere(make: Model, *, then_again: bool) -> int:
    """Stop at each call in turn; how many there were.  ``then_again``: a second process repeats it all first."""
    call = 0
    while True:
        model, told, stopped = make(), Told(), False
        store = await DiskStore.create(ROOT, files=model, threads=1)
        model.stop_at(call)
        try:
            await all_of_it(store, told)
        except PowerCut:
            stopped = True
        if then_again:
            model.kill()
            told = Told()
            await all_of_it(await DiskStore.open(ROOT, files=model, threads=1), told)
        for seed in SEEDS:
            await left_whole(model, told, seed)
        store._pool.stop()  # the dead process's threads; it touches nothing any more
        if not stopped:
            return call
        call += 1


def model() -> PowerLossFileSystem:
    return PowerLossFileSystem(at_once=3000)


async def test_a_power_cut_at_any_call_leaves_what_was_acknowledged_and_nothing_torn() -> None:
    assert await stop_everywhere(model, then_again=False) > 100


async def test_what_a_dead_process_left_unsynced_is_synced_before_its_successor_answers() -> None:
    assert await stop_everywhere(model, then_again=True) > 100


async def test_what_is_set_aside_is_here_or_there_at_a_power_cut() -> None:
    call, stopped = 0, True
    while stopped:
        disk, told, stopped = model(), Told(), False
        store = await DiskStore.create(ROOT, files=disk, threads=1)
        disk.stop_at(call)
        try:
            await there_and_back(store, told)
        except PowerCut:
            stopped = True
        for seed in SEEDS:
            left = await DiskStore.open(ROOT, files=disk.crash(seed), threads=1)
            listed = {found.name async for found in left.list("")}
            aside = await left.aside()
            assert told.kept <= listed
            assert not told.deleted & listed
            if told.deleted:
                assert aside == {"1"}, "it is neither here nor there"
            if aside and ASIDE not in listed:
                await left.take_back("1", ASIDE)
            if aside or ASIDE in listed:
                assert await left.get(ASIDE) == OBJECTS[ASIDE], "it is torn"
            await left.aclose()
        store._pool.stop()
        call += 1
    assert call > 20


async def test_a_delete_makes_durable_what_a_dead_process_deleted() -> None:
    """The name is not there any more, and yet its going must be synced."""
    call, stopped = 0, True
    while stopped:
        disk = model()
        store = await DiskStore.create(ROOT, files=disk, threads=1)
        await store.put(ONE, [OBJECTS[ONE]])
        disk.stop_at(call)
        try:
            await store.delete(ONE)
            stopped = False
        except PowerCut:
            call += 1
        store._pool.stop()
        disk.kill()
        successor = await DiskStore.open(ROOT, files=disk)
        await successor.delete(ONE)
        for seed in SEEDS:
            await left_whole(disk, Told(deleted={ONE}), seed)
        await successor.aclose()
    assert call > 5


async def test_a_power_cut_while_a_store_is_made_leaves_a_store_or_a_folder_to_make_one_in() -> None:
    call = 0
    while True:
        disk = model()
        disk.stop_at(call)
        try:
            await DiskStore.create(ROOT, files=disk, threads=1)
        except PowerCut:
            pass
        else:
            break
        for seed in SEEDS:
            left = disk.crash(seed)
            try:
                store = await DiskStore.open(ROOT, files=left)
            except StoreGone:
                store = await DiskStore.create(ROOT, files=left)
            await store.put(ONE, [OBJECTS[ONE]])
            await store.aclose()
        call += 1
    assert call > 10
    disk.kill()
    identity = (await DiskStore.open(ROOT, files=disk)).identity
    for seed in SEEDS:
        assert (await DiskStore.open(ROOT, identity, files=disk.crash(seed))).identity == identity


class Watching(PowerLossFileSystem):
    """Knows which path an fd was opened by, so that a broken variant can choose which syncs to leave out."""

    def __init__(self) -> None:
        super().__init__(at_once=3000)
        self.paths: dict[int, str] = {}

    def open(self, path: str, flags: int) -> int:
        fd = super().open(path, flags)
        self.paths[fd] = path
        return fd

    def folder(self, fd: int) -> bool:
        return not self.facts(fd).regular


class SyncsNoFile(Watching):
    def fsync(self, fd: int) -> None:
        if "/.tmp/" not in self.paths[fd]:
            super().fsync(fd)


class SyncsNoFolder(Watching):
    def fsync(self, fd: int) -> None:
        if not self.folder(fd) or self.paths[fd] in ("/", ROOT):
            super().fsync(fd)


class SyncsNoFolderAbove(Watching):
    """Only the folder that holds the object."""

    def fsync(self, fd: int) -> None:
        if self.paths[fd] not in (f"{ROOT}/s", f"{ROOT}/s/heads"):
            super().fsync(fd)


class LinksBeforeTheSync(Watching):
    """A file gets its name before its bytes are safe: the writer's last sync comes too late."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[str] = []

    def fsync(self, fd: int) -> None:
        if "/.tmp/" in self.paths[fd]:
            self.late.append(self.paths[fd])
        else:
            super().fsync(fd)

    def link(self, old: str, new: str) -> None:
        super().link(old, new)
        if old in self.late:
            fd = self.open(new, os.O_RDONLY)
            PowerLossFileSystem.fsync(self, fd)
            self.close(fd)


@pytest.mark.parametrize("broken", [SyncsNoFile, SyncsNoFolder, SyncsNoFolderAbove, LinksBeforeTheSync])
async def test_a_store_that_leaves_out_a_sync_is_caught_by_a_power_cut(broken: Model) -> None:
    with pytest.raises(AssertionError, match=r"torn|lost|back"):
        await stop_everywhere(broken, then_again=False)


async def test_a_store_that_trusts_folders_a_dead_process_made_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(self: Folder, folder: str) -> None:
        if folder != self.root:
            trusting(self, os.path.dirname(folder))
            with suppress(FileExistsError):
                self.files.mkdir(folder)
                sync_folder(self.files, os.path.dirname(folder))

    monkeypatch.setattr(Folder, "settle", trusting)
    with pytest.raises(AssertionError, match="lost"):
        await stop_everywhere(model, then_again=True)


# ---- the model itself ------------------------------------------------------------------------------------------------


def write(disk: PowerLossFileSystem, path: str, held: bytes, syncs: Sequence[str]) -> None:
    fd = disk.open(path, os.O_WRONLY | os.O_CREAT)
    left = memoryview(held)
    while left:
        left = left[disk.writev(fd, [left]) :]
    if "file" in syncs:
        disk.fsync(fd)
    disk.close(fd)
    if "folder" in syncs:
        fd = disk.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        disk.fsync(fd)
        disk.close(fd)


def outcomes(disk: PowerLossFileSystem, path: str) -> set[bytes | None]:
    """Every content the file has after one of many crashes; None where it is not there."""
    found: set[bytes | None] = set()
    for seed in range(60):
        left = disk.crash(seed)
        try:
            found.add(left.contents(path))
        except FileNotFoundError:
            found.add(None)
    return found


def test_model_keeps_what_was_synced() -> None:
    disk = PowerLossFileSystem()
    write(disk, "/f", b"x" * 9000, ["file", "folder"])
    assert outcomes(disk, "/f") == {b"x" * 9000}


def test_model_loses_names_that_were_not_synced() -> None:
    disk = PowerLossFileSystem()
    write(disk, "/f", b"x" * 9000, ["file"])
    assert outcomes(disk, "/f") == {b"x" * 9000, None}


def test_model_loses_and_tears_bytes_that_were_not_synced() -> None:
    disk = PowerLossFileSystem()
    write(disk, "/f", b"x" * 9000, ["folder"])
    found = outcomes(disk, "/f")
    assert {b"", b"x" * 9000} < found
    assert None not in found
    assert any(held and b"\0" in held for held in found), "no block was lost between others"


def test_model_forgets_links_unlinks_and_folders_one_by_one() -> None:
    disk = PowerLossFileSystem()
    write(disk, "/old", b"x", ["file", "folder"])
    disk.link("/old", "/new")
    disk.unlink("/old")
    disk.mkdir("/folder")
    seen = {tuple(sorted(disk.crash(seed).scan("/"))) for seed in range(60)}
    assert len(seen) == 8  # three changes, each there or not
    root = disk.open("/", os.O_RDONLY | os.O_DIRECTORY)
    disk.fsync(root)
    assert {tuple(sorted(disk.crash(seed).scan("/"))) for seed in range(20)} == {("folder/", "new")}


def test_model_repeats_itself_by_seed() -> None:
    disk = PowerLossFileSystem()
    write(disk, "/f", b"x" * 90_000, [])
    for seed in range(20):
        one, other = disk.crash(seed), disk.crash(seed)
        assert list(one.scan("/")) == list(other.scan("/"))
        if "f" in one.scan("/"):
            assert one.contents("/f") == other.contents("/f")


def test_model_keeps_one_file_under_two_names_one_file() -> None:
    disk = PowerLossFileSystem()
    write(disk, "/f", b"x" * 90_000, [])
    disk.link("/f", "/g")
    for seed in range(20):
        left = disk.crash(seed)
        if set(left.scan("/")) == {"f", "g"}:
            assert left.contents("/f") == left.contents("/g")
            assert left.facts("/f") == Facts(True, len(left.contents("/f")), 2)


def test_model_stops_for_good() -> None:
    disk = PowerLossFileSystem()
    disk.stop_at(1)
    disk.mkdir("/one")
    for _ in range(2):
        with pytest.raises(PowerCut):
            disk.mkdir("/two")
    disk.kill()
    assert list(disk.scan("/")) == ["one/"]


async def test_model_has_no_store_before_one_is_made() -> None:
    with pytest.raises(StoreGone):
        await DiskStore.open(ROOT, files=PowerLossFileSystem())
    store = await DiskStore.create(ROOT, files=PowerLossFileSystem())
    with pytest.raises(NoSuchObject):
        await store.get(ONE)
    await store.aclose()
