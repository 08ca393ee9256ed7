"""Rebuild: the stores alone tell all there is, and no more than what checks out."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ropewalk.spaces.check import check
from ropewalk.spaces.head import heads_prefix
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.pack.roots import column_root, leaf_hashes
from ropewalk.spaces.pack.share import Manifest, ShareName, Trailer
from ropewalk.spaces.rebuild import rebuild
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import KnownPack, State
from ropewalk.spaces.store import Listed, ObjectName
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import World, a_space, object_of, pack_of
from tests.spaces.showing import sealed, show

FILE = random.Random(3).randbytes(400_000)


async def _written(tmp_path: Path, privacy: int = 1) -> World:
    world = await a_space(tmp_path, privacy=privacy)
    async with world.open() as space:
        await space.write("large", FILE)
        for at in range(3):
            await space.write(f"small{at}", bytes((at,)) * 2000)
    return world


async def _all_is_there(space: Space) -> None:
    assert [info.path async for info in space.list()] == ["large", "small0", "small1", "small2"]
    assert await space.read("large") == FILE
    for at in range(3):
        assert await space.read(f"small{at}") == bytes((at,)) * 2000


async def test_a_state_that_is_gone_is_built_anew_under_a_new_incarnation(tmp_path: Path) -> None:
    for privacy in (1, 2):
        world = await _written(tmp_path / str(privacy), privacy)
        async with world.open() as space:
            old, packs = space.core.writer_id, await _packs(space)
        (world.folder / "state.db").unlink()
        async with world.open() as space:
            assert any("cannot be ruled out" in warning for warning in space.warnings)
            assert space.core.writer_id != old
            await _all_is_there(space)
            assert {name: pack.shares for name, pack in (await _packs(space)).items()} == {
                name: pack.shares for name, pack in packs.items()
            }
            assert await space.core.ledger.do(State.owed_shares) == []
            assert await space.core.ledger.do(State.unannounced) == []
            assert len(await space.log()) == 4
        async with world.open() as space:
            assert space.warnings == []
            await _all_is_there(space)


async def _packs(space: Space) -> dict[bytes, KnownPack]:
    return {pack.name: pack for pack in await space.core.ledger.do(lambda state: list(state.packs()))}


async def test_what_others_say_meanwhile_stays_where_they_said_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        name, data = sealed(space)
        forged = data[:-1] + bytes((data[-1] ^ 1,))
        await show(world, replace(name, check=hashed("object", forged)), forged)
        space.warnings.append("said before")
        lists = world.stores["d0"].list

        def meanwhile(prefix: str, after: str = "") -> AsyncIterator[Listed]:
            if prefix == heads_prefix(space.core.space_id):
                while space.warnings:  # somebody shows what there is ..
                    space.warnings.pop(0)
                space.warnings.extend(["a repair failed", "a store went back"])  # .. and others say more
            return lists(prefix, after)

        monkeypatch.setattr(world.stores["d0"], "list", meanwhile)
        found = await rebuild(space.core)
        assert found.problems == []
        assert space.warnings[:2] == ["a repair failed", "a store went back"]
        assert any("signature" in line for line in space.warnings)


async def test_what_is_lost_and_damaged_and_invented_is_told_apart(tmp_path: Path) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        first, second, third = pack.shares[:3]
        await world.stores[first.store].lose(object_of(space, pack, first))
        await world.stores[second.store].cut(object_of(space, pack, second), 50)
        inventions = [
            ShareName(space.core.space_id, pack.name, 60, bytes(16)),
            ShareName(space.core.space_id, pack.name, 2, bytes(16)),
            ShareName(space.core.space_id, bytes(32), 0, bytes(16)),
        ]
        for name in inventions:
            await world.stores[third.store].put(name.encode(), (b"",))
        await world.stores["d0"].put(ObjectName(f"{space.core.space_id.hex()}/packs/junk"), (b"junk",))
    (world.folder / "state.db").unlink()
    async with world.open() as space:
        await _all_is_there(space)
        found = await pack_of(space)
        assert {share.number for share in found.shares} <= set(range(pack.n))
        assert await space.core.ledger.do(State.owed_shares)
        assert not any("lies" in warning for warning in space.warnings)


async def test_a_rebuild_forgets_nothing_and_learns_once(tmp_path: Path) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        before = await _packs(space)
        done: list[tuple[int, int]] = []
        found = await rebuild(space.core, lambda at, total: done.append((at, total)))
        assert (found.packs, found.heads, found.shares, found.problems) == (0, 0, 0, [])
        assert sorted(found.stores) == list(world.stores)
        assert done == [(1, 1)]
        world.stores["d0"].gone = True
        found = await rebuild(space.core)
        assert found.problems == ["store d0: store is gone: a test said so"]
        assert await _packs(space) == before


async def test_shares_that_come_back_are_learned(tmp_path: Path) -> None:
    world = await _written(tmp_path)
    (world.folder / "state.db").unlink()
    world.stores["d2"].gone = True
    async with world.open() as space:
        await _all_is_there(space)
        assert len((await pack_of(space)).shares) == 4
    world.stores["d2"].gone = False
    async with world.open() as space:
        found = await rebuild(space.core)
        assert (found.packs, found.shares) == (0, 1)
        assert len((await pack_of(space)).shares) == 5
        assert await space.core.ledger.do(State.owed_shares) == []


@pytest.mark.parametrize("announced", [True, False])
async def test_too_few_shares_are_a_loss_only_where_a_head_names_the_pack(tmp_path: Path, announced: bool) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        heads = [head.name for head in await space.log()]
    for share in pack.shares[1:]:
        await world.stores[share.store].lose(object_of(space, pack, share))
    if not announced:
        for head in heads:
            for store in world.stores.values():
                await store.lose(ObjectName(head))
    (world.folder / "state.db").unlink()
    async with world.open() as space:
        found = await rebuild(space.core)
        assert any(pack.name.hex()[:8] in line and "lost" in line for line in found.problems) is announced
        assert await space.core.ledger.do(State.pack_named, pack.name) is None


async def test_a_head_that_is_damaged_in_every_store_is_a_problem_and_no_more(tmp_path: Path) -> None:
    world = await _written(tmp_path)
    async with world.open() as space:
        oldest = (await space.log())[-1]
    for store in world.stores.values():
        await store.damage(ObjectName(oldest.name), 999)
    (world.folder / "state.db").unlink()
    async with world.open() as space:
        assert any("other bytes than its name says" in warning for warning in space.warnings)
        await _all_is_there(space)


async def test_a_manifest_that_no_head_signs_is_not_learnt(tmp_path: Path) -> None:
    """Parity roots are not in a pack's name: by those that a store makes up, all good shares would be damaged."""
    world = await _written(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        share = pack.shares[0]
        name = object_of(space, pack, share)
        held = await world.stores[share.store].get(name)
        parsed = ShareName.decode(name)
        assert parsed is not None
        column = held[: pack.column_length(0)]
        trailer = Trailer.decode(held[len(column) :], parsed)
        manifest = trailer.manifest
        junk = column_root(manifest.longest, leaf_hashes(bytes(manifest.longest)))
        forged = Manifest(manifest.k, manifest.n, manifest.lengths, [*manifest.roots[: manifest.k], junk, junk])
        encoded = Trailer(0, trailer.leaves, forged, trailer.directory).encode()
        await world.stores[share.store].lose(name)
        odd = ShareName(space.core.space_id, pack.name, 0, Trailer.check(encoded))
        for store in world.stores.values():
            await store.put(odd.encode(), (column, encoded))
    (world.folder / "state.db").unlink()
    async with world.open() as space:
        assert any("is not what a head signs" in warning for warning in space.warnings)
        assert (await pack_of(space)).manifest == manifest.digest
        await check(space.core, everything=True)
        report = await space.repair()
        assert (report.lost, report.owed) == (0, 0), report.lines
        assert (await check(space.core, everything=True)).ok
        await _all_is_there(space)


@pytest.mark.parametrize("kind", ["/packs/", "/heads/"])
async def test_what_could_not_be_read_at_a_rebuild_is_learnt_at_the_next_opening(tmp_path: Path, kind: str) -> None:
    """Stores that list and then give nothing for a while: else its chunks lie in no pack that is known, for good."""
    world = await _written(tmp_path)
    async with world.open() as space:
        newest = (await space.log())[0].name
    (world.folder / "state.db").unlink()
    for store in world.stores.values():
        store.rules.append(Rule(Fault.GONE_BEFORE, on={"get"}, name=lambda name: kind in name and name != newest))
    async with world.open() as space:
        assert space.warnings
    for store in world.stores.values():
        store.rules.clear()
    async with world.open() as space:
        await _all_is_there(space)
        assert len(await space.log()) == 4
    async with world.open() as space:
        assert space.warnings == []
