"""Reader: the right bytes from whichever stores give them, and one read a range where all is well."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ropewalk.spaces import columns as columns_module
from ropewalk.spaces.chunk import CHUNK_SIZE, ChunkType, Reference, seal
from ropewalk.spaces.pack.roots import column_root, leaf_hashes
from ropewalk.spaces.pack.share import ShareName, Trailer
from ropewalk.spaces.pool import health as health_module
from ropewalk.spaces.pool import pool as pool_module
from ropewalk.spaces.ranges import GAP, LONGEST_READ, batches, ranges_of, slices
from ropewalk.spaces.reader import ChunkLost, ChunkMissing, ChunkUnreachable
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import KnownPack, Located, SharePlace
from ropewalk.spaces.store import ObjectName
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import KeptStore, World, a_space, object_of, pack_of, spoil

FILE = random.Random(7).randbytes(2 * CHUNK_SIZE + 300_000)


async def _filled(tmp_path: Path, stores: int = 5, survive: int = 2) -> World:
    world = await a_space(tmp_path, stores, {"store": survive})
    async with world.open() as space:
        outcome = await space.write("file", FILE)
        assert outcome is not None
        assert outcome.in_full
    return world


def _share(pack: KnownPack, number: int) -> SharePlace:
    return next(share for share in pack.shares if share.number == number)


async def _references(space: Space) -> list[Reference]:
    version = await space.current()
    entry = await version.file("file")
    return [one async for batch in version.content.references(entry) for _, one in batch]


async def _places(space: Space) -> list[Located]:
    references = await _references(space)
    found = await space.core.ledger.do(lambda state: state.locate([one.id for one in references]))
    return [found[reference.id] for reference in references]


async def _first(space: Space) -> tuple[KnownPack, SharePlace, Located]:
    """The pack of the file, and the share in which its first chunk lies."""
    pack, places = await pack_of(space), await _places(space)
    return pack, _share(pack, places[0].column), places[0]


def _reads(world: World) -> int:
    return sum(len(store.gets) for store in world.stores.values())


async def test_a_healthy_read_is_one_get_for_each_range_and_no_more(tmp_path: Path) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        await space.read("file", 0, 1)  # the tree's nodes are read and kept
        for offset in (0, CHUNK_SIZE + 5, 2 * CHUNK_SIZE):
            before = _reads(world)
            assert await space.read("file", offset, 100) == FILE[offset : offset + 100]
            assert _reads(world) == before + 1
        before = _reads(world)
        assert await space.read("file") == FILE
        assert _reads(world) == before + len({place.column for place in await _places(space)})
        assert space.core.reader.store_reads == sum(
            1 for store in world.stores.values() for name, _, _ in store.gets if "/packs/" in name
        )


async def _lose(store: KeptStore, name: ObjectName) -> None:
    await store.lose(name)


async def _cut(store: KeptStore, name: ObjectName) -> None:
    await store.cut(name, 1000)


async def _flip(store: KeptStore, name: ObjectName) -> None:
    await store.spoil(name, 300_000)


async def _refuse(store: KeptStore, name: ObjectName) -> None:
    store.rules.append(Rule(Fault.DAMAGED, name=lambda one: one == name))


@pytest.mark.parametrize("harm", [_lose, _cut, _flip, _refuse])
async def test_a_share_that_is_lost_or_wrong_is_read_around_and_marked(
    tmp_path: Path, harm: Callable[[KeptStore, ObjectName], Awaitable[None]]
) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        pack, share, _ = await _first(space)
        await harm(world.stores[share.store], object_of(space, pack, share))
        assert await space.read("file") == FILE
        assert [key[1:] for key in space.core.reader.damage_seen] == [(share.number, share.store)]
        after = await pack_of(space)
        assert [one.number for one in after.shares if one.damaged] == [share.number]
        owed = await space.core.ledger.do(lambda state: state.owed_shares())
        assert owed == [(pack.name, [share.number])]
        before = len(world.stores[share.store].gets)
        assert await space.read("file") == FILE
        assert len(world.stores[share.store].gets) == before  # it is not asked again


async def test_two_shares_that_are_swapped_are_both_found_out(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("file", FILE)
        pack, share, _ = await _first(space)
        other = next(one for one in pack.shares if one.number < pack.k and one.number != share.number)
        for one, with_ in ((share, other), (other, share)):
            name = object_of(space, pack, one)
            store = world.stores[one.store]
            theirs = next(data for put, data in world.stores[with_.store].puts if put == object_of(space, pack, with_))
            await store.lose(name)
            await store.put(name, (theirs,))
        assert await space.read("file") == FILE
        damaged = {one.number for one in (await pack_of(space)).shares if one.damaged}
        assert damaged == {share.number, other.number}


@pytest.mark.parametrize("call", ["late once", "hangs"])
async def test_a_share_that_is_late_costs_less_than_a_second(tmp_path: Path, call: str) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        await space.read("file", 0, 1)
        _, share, _ = await _first(space)
        world.stores[share.store].rules.append(
            Rule(Fault.DELAY, on={"get"}, name=lambda name: "/packs/" in name, times=1 if call == "late once" else None)
        )
        started = asyncio.get_running_loop().time()
        for _ in range(6):
            assert await space.read("file", 0, 100) == FILE[:100]
        assert asyncio.get_running_loop().time() - started < 1
        assert space.core.reader.damage_seen == {}
        assert not any(one.damaged for one in (await pack_of(space)).shares)


async def test_a_file_is_read_while_n_less_k_stores_hang_in_all_their_calls(tmp_path: Path) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        for name in ("d0", "d3"):
            world.stores[name].hang("get")
        started = asyncio.get_running_loop().time()
        assert await space.read("file") == FILE
        assert asyncio.get_running_loop().time() - started < 2


async def test_a_wrong_share_is_found_out_although_another_store_hangs_and_a_third_is_gone(tmp_path: Path) -> None:
    """With 6 stores of which any 3 do: the own column is late, one of the others is gone and one lies."""
    world = await _filled(tmp_path, 6, 3)
    async with world.open() as space:
        pack, share, _ = await _first(space)
        others = [one for one in pack.shares if one.number != share.number]
        await space.read("file", 0, 1)
        world.stores[share.store].hang("get")
        world.stores[others[0].store].gone = True
        await spoil(world, space, pack, others[1])
        assert await space.read("file", 0, CHUNK_SIZE) == FILE[:CHUNK_SIZE]
        damaged = {one.number for one in (await pack_of(space)).shares if one.damaged}
        assert damaged == {others[1].number}  # and not the one that was only late


async def test_any_two_of_many_shares_may_be_wrong(tmp_path: Path) -> None:
    """With 14 of 16 there are far more sets of columns than anyone would try."""
    world = await a_space(tmp_path, 16)
    data = random.Random(8).randbytes(14 * 100_000)
    async with world.open() as space:
        async with space.change() as change:
            for at in range(14):
                await change.write(f"part{at}", data[at * 100_000 : (at + 1) * 100_000])
        pack = await pack_of(space)
        assert (pack.k, pack.n) == (14, 16)
        for share in pack.shares[:2]:
            await spoil(world, space, pack, share)
        for at in range(14):
            assert await space.read(f"part{at}") == data[at * 100_000 : (at + 1) * 100_000]
        assert {one.number for one in (await pack_of(space)).shares if one.damaged} == {0, 1}


async def test_too_few_shares_are_unreachable_and_the_stores_are_named(tmp_path: Path) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        await space.read("file", 0, 1)
        for name in ("d0", "d2", "d4"):
            world.stores[name].gone = True
        with pytest.raises(ChunkUnreachable, match="needs 3 of its 5 shares") as failed:
            await space.read("file")
        assert failed.value.hint == "bring back d0, d2, d4"
        for store in world.stores.values():
            store.gone = False
        world.clock.seconds += pool_module.REST
        assert await space.read("file") == FILE


async def test_too_few_shares_that_answer_are_unreachable_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns_module, "DEADLINE", 0.05)
    monkeypatch.setattr(columns_module, "SLOWEST", 0.01)
    monkeypatch.setattr(health_module, "QUICKEST_HEDGE", 0.01)
    monkeypatch.setattr(health_module, "QUICKEST_PACE", 1 << 40)
    world = await _filled(tmp_path)
    async with world.open() as space:
        await space.read("file", 0, 1)
        for name in ("d0", "d2", "d4"):
            world.stores[name].hang("get")
        world.stores["d0"].hang("get")
        with pytest.raises(ChunkUnreachable) as failed:
            await space.read("file")
        assert "d0" in failed.value.hint


async def test_shares_that_are_all_wrong_are_no_reason_to_give_wrong_bytes(tmp_path: Path) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        pack = await pack_of(space)
        for share in pack.shares:
            await spoil(world, space, pack, share)
        with pytest.raises((ChunkLost, ChunkUnreachable)):
            await space.read("file")
        assert {one.number for one in (await pack_of(space)).shares if one.damaged} == set(range(5))


async def test_a_forged_parity_share_is_tried_and_passed_over(tmp_path: Path) -> None:
    """Its leaf hashes give its root, and its manifest the pack's name: only the chunk itself can tell."""
    world = await _filled(tmp_path)
    async with world.open() as space:
        pack, share, _ = await _first(space)
        parity = _share(pack, 3)
        name = object_of(space, pack, parity)
        held = await world.stores[parity.store].get(name)
        column = bytearray(held[: max(pack.lengths)])
        for at in range(0, len(column), 10_000):
            column[at] ^= 1
        share_name = ShareName.decode(name)
        assert share_name is not None
        trailer = _forge(Trailer.decode(held[max(pack.lengths) :], share_name), bytes(column))
        forged = SharePlace(3, parity.store, Trailer.check(trailer).hex())
        await world.stores[parity.store].put(object_of(space, pack, forged), (bytes(column), trailer))
        await space.core.ledger.do(lambda state: state.forget_share(pack.id, parity))
        await space.core.ledger.do(lambda state: state.add_shares(pack.id, [forged]))
        world.stores[share.store].gone = True
        assert await space.read("file") == FILE


def _forge(old: Trailer, column: bytes) -> bytes:
    leaves = leaf_hashes(column)
    roots = list(old.manifest.roots)
    roots[3] = column_root(len(column), leaves)
    return Trailer(3, leaves, replace(old.manifest, roots=roots), old.directory).encode()


async def test_a_second_copy_of_a_share_is_used_where_the_first_is_wrong(tmp_path: Path) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        pack, share, _ = await _first(space)
        name = object_of(space, pack, share)
        keep = [one for one in pack.shares if one.number != share.number][: pack.k - 1]
        second = next(one for one in pack.shares if one not in keep and one != share)
        await world.stores[second.store].put(name, (await world.stores[share.store].get(name),))
        await space.core.ledger.do(
            lambda state: state.add_shares(pack.id, [SharePlace(share.number, second.store, share.object)])
        )
        await world.stores[share.store].cut(name, 10)
        for one in pack.shares:
            if one not in (*keep, share, second):
                world.stores[one.store].gone = True
        await world.stores[second.store].lose(object_of(space, pack, second))
        assert await space.read("file") == FILE


async def test_a_small_file_comes_from_any_copy_of_its_head(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("small", FILE[:9000])
    heads = await world.names("/heads/")
    await world.stores["d0"].damage(heads[0], 3000)
    await world.stores["d1"].cut(heads[0], 3000)
    await world.stores["d2"].lose(heads[0])
    async with world.open() as space:
        world.stores["d3"].hang("get")
        assert await space.read("small") == FILE[:9000]
        world.stores["d3"].rules.clear()
        for name in ("d3", "d4"):
            world.stores[name].gone = True
        with pytest.raises(ChunkLost):
            await space.read("small")
        for store in world.stores.values():
            store.gone = True
        with pytest.raises(ChunkUnreachable):
            await space.read("small")


async def test_a_chunk_that_no_pack_holds_is_missing(tmp_path: Path) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        unknown = seal(b"unknown", ChunkType.DATA, space.core.keys).reference
        with pytest.raises(ChunkMissing, match="no pack that is known"):
            await space.core.reader.read([unknown], ChunkType.DATA)
        assert await space.core.reader.read([], ChunkType.DATA) == []


async def test_a_reference_to_other_bytes_or_another_kind_is_lost_and_not_wrong(tmp_path: Path) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        first = (await _references(space))[0]
        with pytest.raises(ChunkLost):
            await space.core.reader.read([first._replace(key=bytes(32))], ChunkType.DATA)
        with pytest.raises(ChunkLost):
            await space.core.reader.read([first], ChunkType.NODE)
        assert not any(one.damaged for one in (await pack_of(space)).shares)  # the shares are as they were written
        assert Reference.decode(first.encode()) == first
        assert await space.read("file") == FILE


async def test_the_same_chunk_twice_is_read_once_and_a_sink_gets_each(tmp_path: Path) -> None:
    world = await _filled(tmp_path)
    async with world.open() as space:
        references = await _references(space)
        wanted = [references[0], references[1], references[0]]
        got: dict[int, bytes] = {}
        before = _reads(world)
        assert await space.core.reader.read(wanted, ChunkType.DATA, got.__setitem__) == []
        assert got == {0: FILE[:CHUNK_SIZE], 1: FILE[CHUNK_SIZE : 2 * CHUNK_SIZE], 2: FILE[:CHUNK_SIZE]}
        assert _reads(world) - before == 2


def test_neighbours_are_read_together_and_what_lies_far_apart_is_not() -> None:
    near = [Located(b"a", 1, 0, 0, 100), Located(b"b", 1, 0, 100 + GAP, 100)]
    far = [*near, Located(b"c", 1, 0, 201 + 2 * GAP, 100), Located(b"d", 1, 1, 200 + GAP, 100)]
    assert [(one.column, one.start, one.stop) for one in ranges_of(near)] == [(0, 0, 200 + GAP)]
    assert len(ranges_of(far)) == 3
    long = [Located(bytes((at,)), 1, 0, at << 20, 1 << 20) for at in range(40)]
    assert all(one.stop - one.start <= LONGEST_READ for one in ranges_of(long))
    column = {0: bytes(range(256)) * 1000, 1: bytes(range(255, -1, -1)) * 1000}
    got = {one: memoryview(column[one.column])[one.start : one.stop] for one in ranges_of(far)}
    cut = slices(far, ranges_of(far), got)
    assert all(cut[one.id] == column[one.column][one.offset : one.offset + one.length] for one in far)
    assert sum(len(batch) for batch in batches(long)) == 40
    assert max(len(batch) for batch in batches(long)) == 2
