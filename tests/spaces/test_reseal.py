"""Resealing: what is live ends up sealed in the newest epoch, once, whatever stops it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ropewalk.spaces.chunk import ChunkType, Reference, seal
from ropewalk.spaces.content import Stored, store_cuts
from ropewalk.spaces.keys import KeyRing, hashed
from ropewalk.spaces.members.wraps import rotate
from ropewalk.spaces.reseal import Resealed, estimate, reseal
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.tree.anew import is_marked
from ropewalk.spaces.tree.entry import Chunks, Offsets, content_refs, decode_entry, unpack_key
from ropewalk.spaces.tree.node import decode_node
from ropewalk.testing.faults import StopAfter
from tests.spaces.crashing import is_stop, stopping
from tests.spaces.making import World, a_space, device

MIB = 1 << 20


def filled(label: str, size: int) -> bytes:
    """Bytes that do not compress."""
    return b"".join(hashed("test content", f"{label} {at}".encode()) for at in range(-(-size // 32)))[:size]


FILES = {f"folder {at % 3}/file {at}": filled(f"file {at}", 9_000 + 700 * at) for at in range(12)} | {
    "inline": b"few bytes",
    "empty": b"",
    "cuts": filled("cuts", 2 * MIB + 5),
    "map": filled("map", 5 * MIB + 77),
    "text": b"it compresses\n" * 20_000,
}


async def rotate_epoch(world: World) -> None:
    """A second epoch, whose record every store has, and our own local state has not."""
    async with world.open() as space:
        read = space.core.membership
        made = rotate(read.epochs, space.core.keys, device(), read.frontier)
        for store in world.stores.values():
            await store.put(made.name, (made.data,))
        await space.core.ledger.do(State.set_records, [])


async def a_full_space(tmp_path: Path, files: dict[str, bytes], privacy: int = 1, *, rotated: bool = True) -> World:
    """A space with some files, and then a second epoch."""
    world = await a_space(tmp_path, privacy=privacy)
    async with world.open() as space, space.change() as change:
        for path, data in files.items():
            await change.write(path, data)
    if rotated:
        await rotate_epoch(world)
    return world


async def entries(space: Space) -> dict[bytes, bytes]:
    """All of the newest version."""
    return {key: value async for batch in (await space.current()).tree.scan() for key, value in batch}


async def assert_all_sealed_anew(space: Space, files: dict[str, bytes]) -> None:
    """Every file is whole, and no chunk of the newest version is one that the first epoch's keys would give."""
    assert {path: await space.read(path) for path in files} == files
    core = space.core
    first = next(epoch for epoch in core.keys.epochs if epoch != core.keys.current)
    old = KeyRing(core.space_id)
    old.add(first, core.keys.secrets(first), 1)
    old.use(first)
    for value in (await entries(space)).values():
        assert is_marked(value, core.keys.members)
        content = decode_entry(value).content
        refs = list(content_refs(value)) if isinstance(content, Chunks) else []
        if isinstance(content, Offsets):
            refs = [cut[:73] async for batch in core.maps.at(content.root).scan() for _, cut in batch]
            assert refs
        for reference in map(Reference.decode, refs):
            (plain,) = await core.reader.read([reference], ChunkType.DATA)
            assert seal(plain, ChunkType.DATA, core.keys, padded=core.padded).reference == reference
            assert seal(plain, ChunkType.DATA, old, padded=core.padded).reference != reference


@pytest.mark.parametrize("privacy", [1, 2])
async def test_all_that_is_live_is_sealed_anew_and_reads_as_before(tmp_path: Path, privacy: int) -> None:
    world = await a_full_space(tmp_path, FILES, privacy)
    async with world.open() as space:
        before = await entries(space)
    async with world.open() as space:
        made = await reseal(space)
        assert (made.entries, made.failed, made.kept, made.left, made.versions) == (len(before), {}, 0, False, 1)
        await assert_all_sealed_anew(space, FILES)
        after = await entries(space)
        assert list(after) == list(before)  # keys, and so dots
        for key, value in before.items():
            old, new = decode_entry(value), decode_entry(after[key])
            assert (old.content_id, old.size, old.mtime, old.mode) == (new.content_id, new.size, new.mtime, new.mode)
        assert made.former > sum(map(len, FILES.values())) / 2
        again = await reseal(space)
        assert (again.entries, again.versions) == (0, 0)
    async with world.open() as space:
        await assert_all_sealed_anew(space, FILES)


async def test_the_old_keys_open_no_node_of_the_new_tree(tmp_path: Path) -> None:
    """Names lie in nodes: those without any file content are sealed anew as well."""
    world = await a_full_space(tmp_path, {f"a long enough name {at} {'x' * 100}": b"" for at in range(600)})
    async with world.open() as space:
        old = await _nodes(space)
    async with world.open() as space:
        await reseal(space)
        new = await _nodes(space)
    assert len(old) > 5
    assert len(new) >= len(old)
    assert not old & new


async def _nodes(space: Space) -> set[bytes]:
    tree = (await space.current()).tree
    assert tree.root is not None
    found, waiting = set(), [tree.root]
    while waiting:
        reference = waiting.pop()
        found.add(reference)
        node = decode_node(await space.core.nodes.load(reference))
        if node.level:
            waiting += node.values
    return found


@pytest.mark.parametrize("privacy", [1, 2])
async def test_the_estimate_is_within_a_fifth_of_what_is_then_put(tmp_path: Path, privacy: int) -> None:
    world = await a_full_space(tmp_path, FILES, privacy)
    async with world.open() as space:
        guess = await estimate(space)
        assert guess.plain == sum(len(data) for data in FILES.values() if len(data) > 512)
        for store in world.stores.values():
            store.puts.clear()
        made = await reseal(space)
        put = sum(len(data) for store in world.stores.values() for _, data in store.puts)
        assert guess.entries == made.entries
        assert 0.8 * put <= guess.stored <= 1.2 * put
        assert 0.8 * made.sealed <= guess.sealed <= 1.2 * made.sealed
        assert guess.seconds(guess.stored / 4) == pytest.approx(4)
        nothing = await estimate(space)
        assert (nothing.entries, nothing.sealed, nothing.stored) == (0, 0, 0)


async def test_batches_are_versions_and_a_job_goes_on_after_the_last_of_them(tmp_path: Path) -> None:
    files = {f"file {at}": filled(f"file {at}", 30_000) for at in range(12)}
    world = await a_full_space(tmp_path, files)
    told: list[tuple[int, int]] = []

    class Enough(Exception):
        pass

    def progress(done: int, seen: int) -> None:
        told.append((done, seen))
        if done == 8:
            raise Enough

    async with world.open() as space:
        with pytest.raises(Enough):
            await reseal(space, batch=100_000, progress=progress)
        assert [done for done, _ in told] == [4, 8]
        done = [value for value in (await entries(space)).values() if is_marked(value, space.core.keys.members)]
        assert len(done) == 4  # what was under way when it stopped is lost
    async with world.open() as space:
        assert (await estimate(space)).entries == 8
        made = await reseal(space, batch=100_000)
        assert (made.entries, made.versions) == (8, 2)
        await assert_all_sealed_anew(space, files)


async def test_what_was_sealed_while_another_epoch_began_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell of which of the two it is, so it gets the mark of neither."""
    files = {f"file {at}": filled(f"file {at}", 30_000) for at in range(4)}
    world = await a_full_space(tmp_path, files)
    stored = 0

    async with world.open() as space:
        ring = space.core.keys
        older, newer = sorted(ring.epochs, key=lambda epoch: epoch == ring.current)
        ring.use(older)

        async def store(*args: Any) -> Stored:
            nonlocal stored
            stored += 1
            made = await store_cuts(*args)
            if stored == 2:
                ring.use(newer)
            return made

        monkeypatch.setattr("ropewalk.spaces.reseal.store_cuts", store)
        made = await reseal(space)
        assert (made.entries, made.failed, made.left) == (2 + 4, {}, False)
        await assert_all_sealed_anew(space, files)


@pytest.mark.slow
async def test_a_job_that_is_stopped_at_any_call_of_a_store_goes_on_and_nothing_is_lost(tmp_path: Path) -> None:
    files = {f"file {at}": filled(f"file {at}", 30_000) for at in range(6)}
    world = await a_full_space(tmp_path, files)
    saved = {name: await store.snapshot() for name, store in world.stores.items()}
    state = tmp_path / "saved"
    shutil.copytree(world.folder, state)
    calls = 0
    while True:
        for name, store in world.stores.items():
            await store.roll_back(saved[name])
        shutil.rmtree(world.folder)
        shutil.copytree(state, world.folder, dirs_exist_ok=True)
        stop = StopAfter(calls)
        world.around = stop.around
        with stopping(stop):
            try:
                async with world.open() as space:
                    await reseal(space, batch=100_000)
            except BaseException as error:
                if not is_stop(error):
                    raise
        world.around = lambda store: store
        async with world.open() as space:
            made: Resealed = await reseal(space, batch=100_000)
            assert not made.failed
            await assert_all_sealed_anew(space, files)
        if not stop.stopped:
            break
        calls += 1
    assert calls > 40


async def test_content_that_is_lost_is_named_and_the_rest_is_sealed_anew(tmp_path: Path) -> None:
    world = await a_full_space(tmp_path, {"lost": filled("lost", 300_000)}, rotated=False)
    packs = [name for store in world.stores.values() for name in await store.names("/packs/")]
    async with world.open() as space:
        await space.write("kept", filled("kept", 300_000))
    await rotate_epoch(world)
    for store in world.stores.values():
        for name in packs:
            await store.delete(name)
    async with world.open() as space:
        made = await reseal(space)
        assert [unpack_key(key).name for key in made.failed] == [b"lost"]
        assert made.entries == 1
        assert await space.read("kept") == filled("kept", 300_000)
