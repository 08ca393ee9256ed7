"""Writer: chunks are durable on enough stores, or nothing points at them."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from ropewalk.spaces.chunk import ChunkType, Sealed, seal
from ropewalk.spaces.pool.pool import REST, BelowFloor
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.writer import AT_ONCE, Writer
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.making import World, a_space

SIZE = 5000


def _writer(space: Space, pack_size: int = 20_000) -> Writer:
    core = space.core
    return Writer(core.keys, core.membership.policy, core.pool, core.ledger, core.cpu, pack_size=pack_size)


def _chunks(space: Space, count: int, seed: int = 0) -> list[Sealed]:
    chance = random.Random(seed)
    return [seal(chance.randbytes(SIZE), ChunkType.DATA, space.core.keys) for _ in range(count)]


async def _read(space: Space, chunks: list[Sealed]) -> list[bytes]:
    return await space.core.reader.read([chunk.reference for chunk in chunks], ChunkType.DATA)


async def _store(space: Space, chunks: list[Sealed]) -> Writer:
    async with _writer(space) as writer:
        await writer.add([(chunk, None) for chunk in chunks] * 2)
        await writer.flush()
    return writer


def _shares(world: World) -> int:
    return sum(1 for store in world.stores.values() for name, _ in store.puts if "/packs/" in name)


async def test_all_that_was_added_is_stored_once_flushed(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        chunks = _chunks(space, 10)
        async with _writer(space) as writer:
            for chunk in chunks:
                await writer.add([(chunk, None)])
                assert writer.peek(chunk.reference.id) == chunk.data
            await writer.flush()
            assert writer.stored_packs == 4
            assert writer.new_bytes == sum(len(chunk.data) for chunk in chunks)
            assert writer.peek(chunks[0].reference.id) is None
        random_bytes = random.Random(0)
        assert await _read(space, chunks) == [random_bytes.randbytes(SIZE) for _ in chunks]
        assert _shares(world) == 4 * 5


async def test_a_chunk_that_is_known_is_not_stored_again(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        chunks = _chunks(space, 3)
        assert (await _store(space, chunks)).new_bytes == sum(len(chunk.data) for chunk in chunks)
        assert (await _store(space, chunks)).new_bytes == 0
        assert _shares(world) == 5
        assert await space.core.ledger.do(lambda state: len(list(state.packs()))) == 1


async def test_a_chunk_in_a_pack_that_owes_shares_is_stored_again_until_the_debt_is_paid(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        world.stores["d1"].rules.append(Rule(Fault.FULL))
        chunks = _chunks(space, 3)
        await _store(space, chunks)
        ids = [chunk.reference.id for chunk in chunks]
        assert await space.core.ledger.do(State.reusable, ids) == set()
        world.stores["d1"].rules.clear()
        await space.core.pool.weigh()
        await space.core.ledger.do(lambda state: state.announce([pack.id for pack in state.unannounced()]))
        assert await space.pay() == 0
        assert await space.core.ledger.do(State.reusable, ids) == set(ids)


async def test_a_pack_below_the_floor_is_refused_and_nothing_points_at_it(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        for name in ("d0", "d1"):
            world.stores[name].gone = True
        chunks = _chunks(space, 3)
        with pytest.raises(BelowFloor, match="3 of 5 shares are durable, the write floor is 4"):
            await _store(space, chunks)
        assert await space.core.ledger.do(lambda state: list(state.packs())) == []
        assert await space.core.ledger.do(State.locate, [chunk.reference.id for chunk in chunks]) == {}
        for store in world.stores.values():
            store.gone = False
        world.clock.seconds += REST
        await _store(space, chunks)
        assert len(await _read(space, chunks)) == 3


async def test_an_error_ends_the_change_soon_and_a_file_of_it_is_not_seen(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        await space.write("before", b"1")
        for name in ("d0", "d1"):
            world.stores[name].rules.append(Rule(Fault.FULL, name=lambda name: "/packs/" in name))
        written: list[str] = []

        async def write() -> None:
            async with space.change() as change:
                change.writer._pack_size = change.writer._packing.limit = 20_000
                for at in range(1000):
                    await change.write(f"file{at}", random.Random(at).randbytes(SIZE))
                    written.append(f"file{at}")
                    await asyncio.sleep(0)

        with pytest.raises(BelowFloor):
            await write()
        assert len(written) < 100
        assert [info.path async for info in space.list()] == ["before"]


async def test_no_more_packs_are_held_than_are_promised(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        most = 0
        chunks = _chunks(space, 60)
        async with _writer(space) as writer:
            add = asyncio.gather(*(writer.add([(chunk, None)]) for chunk in chunks))
            while not add.done():
                most = max(most, len(writer._under_way))
                assert writer._packing.size <= 20_000
                await asyncio.sleep(0)
            await writer.flush()
        assert most == AT_ONCE
        assert len(await _read(space, chunks)) == 60
        packs = await space.core.ledger.do(lambda state: list(state.packs()))
        assert all(sum(pack.lengths) > 0 for pack in packs)  # nobody launched what someone else had launched
        assert len(packs) <= 21


async def test_what_is_small_is_kept_back_for_a_head(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:
        chunks = _chunks(space, 4)
        async with _writer(space) as writer:
            await writer.add([(chunk, None) for chunk in chunks[:2]])
            small = writer.small(20_000)
            assert small is not None
            assert len(small) == 2
            assert writer.small(9_999) is None
            await writer.add([(chunk, None) for chunk in chunks[2:]])
            await writer.flush()
            assert writer.small(20_000) is None


async def test_an_error_of_the_caller_goes_on_as_it_is(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    async with world.open() as space:

        async def fail() -> None:
            async with _writer(space) as writer:
                await writer.add([(chunk, None) for chunk in _chunks(space, 10)])
                raise KeyError

        with pytest.raises(KeyError):
            await fail()


@pytest.mark.slow
async def test_a_small_change_in_a_large_folder_goes_into_its_head_or_into_packs_and_never_fails(
    tmp_path: Path,
) -> None:
    """Nodes with many children make a long directory, though their bytes are few."""
    chance = random.Random(1)
    world = await a_space(tmp_path)
    async with world.open() as space:
        for number in range(1300):
            async with space.change() as change:
                for name in (number, 2600 - number):
                    await change.write(f"d/{name:04}", chance.randbytes(600))
        for count in range(1, 13):
            async with space.change() as change:
                for at in range(count):
                    await change.write(f"d/{at * 2600 // count:04}", chance.randbytes(600))
