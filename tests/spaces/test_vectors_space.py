"""The package reads a space that the reference made, and the reference reads spaces that the package made."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from msgspec.structs import replace

from docs.spec.vectors.cases_space import objects, read_space
from docs.spec.vectors.reference import Device, made
from ropewalk.spaces.chunk import ChunkType, seal
from ropewalk.spaces.home import Home, Settings, SpaceSetting, StoreSetting
from ropewalk.spaces.identity import DEVICE, PAPER, DeviceKeys
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.members import Policy
from ropewalk.spaces.opening import create_space
from ropewalk.spaces.pack.share import ShareName
from ropewalk.spaces.space import open_space
from ropewalk.spaces.store import DiskStore, object_name
from ropewalk.spaces.tree import NodeCache, Tree, content_refs

FOLDER = Path(__file__).parents[2] / "docs" / "spec" / "vectors"
STORES = ["a", "b", "c"]
SPACE: dict[str, Any] = json.loads((FOLDER / "space.json").read_text())


def told(data: bytes) -> list[object]:
    return [len(data), blake3(data).hexdigest()]


class Unkept:
    """Nodes sealed and kept only here."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._nodes: dict[bytes, bytes] = {}

    async def load(self, ref: bytes) -> bytes:
        return self._nodes[ref]

    async def load_many(self, refs: Sequence[bytes]) -> Sequence[bytes]:
        return [self._nodes[ref] for ref in refs]

    async def save(self, node: bytes, refs: Sequence[bytes]) -> bytes:
        reference = seal(node, ChunkType.NODE, self._keys).reference.encode()
        self._nodes[reference] = node
        return reference


async def with_stores(folder: Path) -> tuple[Home, list[DiskStore]]:
    """Three empty stores, and settings that know them."""
    home = Home(folder / "config", folder / "state")
    stores = []
    for name in STORES:
        store = await DiskStore.create(folder / name)
        setting = StoreSetting(str(folder / name), store.identity.hex())
        home.update(lambda settings, name=name, setting=setting: _with_store(settings, name, setting))  # type: ignore[misc]
        stores.append(store)
    return home, stores


def _with_store(settings: Settings, name: str, setting: StoreSetting) -> Settings:
    return replace(settings, stores={**settings.stores, name: setting})


@pytest.mark.parametrize("missing", [None, 0, 1, 2])
async def test_a_space_that_the_reference_made_is_read(tmp_path: Path, missing: int | None) -> None:
    kept = objects()
    assert {name: told(data) for name, data in sorted(kept.items())} == SPACE["objects"]
    home, stores = await with_stores(tmp_path)
    for number, store in enumerate(stores):
        for name, data in kept.items():
            share = ShareName.decode(name)
            if share is None or share.number == number:
                await store.put(object_name(name), [data])
        await store.aclose()
    home.update(lambda settings: replace(settings, spaces={"space": SpaceSetting(SPACE["space_id"], STORES)}))
    if missing is not None:
        shutil.rmtree(tmp_path / STORES[missing])
    async with await open_space(home, "space", DeviceKeys(bytes.fromhex(SPACE["device_seed"]), DEVICE)) as space:
        assert not [line for line in space.warnings if "damaged" in line or "left out" in line]
        assert [(head.sequence, head.note) for head in await space.log()] == [(2, ""), (1, "made by the reference")]
        for path, expected in SPACE["files"].items():
            assert told(await space.read(path)) == expected
        for number in range(SPACE["many"]):
            assert await space.read(f"many/{number:03}.txt") == b"file %d\n" % number
        link, target = SPACE["link"]
        assert [info.target async for info in space.list() if info.path == link] == [target]
        tree = (await space.current()).tree
        items = [item async for batch in tree.scan() for item in batch]
        assert len(items) == await tree.count() == (await space.log())[0].entries
        keys = space.core.keys
        again = await Tree(Unkept(keys), keys.members.boundary, None, content_refs, NodeCache()).apply(items)
        assert again.root == tree.root


@pytest.mark.parametrize("privacy", [1, 2])
@pytest.mark.parametrize("lost", [None, 0, 2])
async def test_a_space_that_the_package_made_is_read_by_the_reference(
    tmp_path: Path, privacy: int, lost: int | None
) -> None:
    home, stores = await with_stores(tmp_path)
    for store in stores:
        await store.aclose()
    device, paper = DeviceKeys.generate(), DeviceKeys.generate(PAPER)
    clock = itertools.count()
    policy = Policy(2, 3, 3, {"store": 1})
    space_id = await create_space(
        home, "space", STORES, policy, privacy, device, paper.public(), lambda: next(clock) / 1000, lambda: 0
    )
    files = {
        "a/b/small.txt": b"hello",
        "empty": b"",
        "noise": made("noise", 3 << 20),
        "text": b"a text that shrinks\n" * 100_000,
        "large": made("large", 1 << 20) * 4 + b"more than four cuts",
    }
    space = await open_space(home, "space", device)
    async with space:
        for path, data in files.items():
            await space.write(path, data)
        async with space.change() as change:
            for number in range(120):
                await change.write(f"many/{number}", b"%d" % number)
        await space.remove("empty")
    files |= {f"many/{number}": b"%d" % number for number in range(120)}
    del files["empty"]
    kept = {}
    for number, name in enumerate(STORES):
        if number != lost:
            top = tmp_path / name / space_id.hex()
            for found in top.rglob("*"):
                if found.is_file():
                    kept[f"{space_id.hex()}/{found.relative_to(top)}"] = found.read_bytes()
    for keys in (device, paper):
        assert read_space(space_id, kept, Device(keys.seed, keys.kind)) == [files]
