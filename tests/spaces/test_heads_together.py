"""Heads that a store gives many at a time: they count as those that are got one by one, whatever it gives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ropewalk.spaces.head import NO_HEAD, HeadName, take_apart
from ropewalk.spaces.learning import heads as heads_module
from ropewalk.spaces.learning import learn
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.store import ObjectName, Store, StoreGone
from ropewalk.testing.faults import FaultStore
from tests.spaces.making import World
from tests.spaces.showing import sealed, show, written


@dataclass
class _How:
    """How stores give many, and what they were asked for."""

    wrong: bool = False  # other bytes
    hangs: bool = False
    gone: bool = False
    asked: list[Sequence[ObjectName]] = field(default_factory=list)


class _Gives(FaultStore):
    def __init__(self, store: Store, how: _How) -> None:
        super().__init__(store)
        self.store, self.how = store, how

    async def get_many(self, names: Sequence[ObjectName], most: int) -> list[bytes | None]:
        self.how.asked.append(names)
        if self.how.hangs:
            await asyncio.Event().wait()
        if self.how.gone:
            raise StoreGone("it went")
        given = [(await self.store.get(name))[:most] for name in names]
        return [bytes([data[0] ^ 1]) + data[1:] for data in given] if self.how.wrong else list(given)


def _giving(world: World, **how: _How) -> None:
    """These stores give many from the next opening on."""
    by_store = {world.stores[name]: one for name, one in how.items()}
    world.around = lambda store: _Gives(store, by_store[store]) if store in by_store else store


def _chain(space: Space, count: int) -> list[tuple[HeadName, bytes]]:
    made: list[tuple[HeadName, bytes]] = []
    previous = NO_HEAD
    for sequence in range(1, count + 1):
        made.append(sealed(space, sequence, previous))
        previous = take_apart(made[-1][1], made[-1][0]).hash
    return made


async def _known(space: Space, made: Sequence[tuple[HeadName, bytes]]) -> int:
    names = await space.core.ledger.do(State.head_names)
    return sum(name.encode() in names for name, _ in made)


def _single(world: World, store: str) -> int:
    return sum("/heads/" in name for name, *_ in world.stores[store].gets)


async def test_heads_come_in_few_calls_and_none_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads_module, "TOGETHER", 8)
    world = await written(tmp_path)
    how = _How()
    _giving(world, d0=how)
    async with world.open() as space:
        made = _chain(space, 20)
        for one in made:
            await show(world, *one, "d0")
        world.stores["d0"].gets.clear()
        assert (await learn(space.core)).heads == 20
        assert sorted(map(len, how.asked)) == [4, 8, 8]
        assert _single(world, "d0") == 20, "once, by the call for many"
        assert (await learn(space.core)).heads == 0
        assert len(how.asked) == 3
        assert space.warnings == []


async def test_what_only_one_store_gave_is_known_to_lie_there_alone(tmp_path: Path) -> None:
    world = await written(tmp_path)
    _giving(world, d0=_How())
    async with world.open() as space:
        name, data = sealed(space)
        await show(world, name, data, "d0")
        await learn(space.core)
        assert (await space.core.ledger.do(State.sparse_heads))[name.encode()] == {"d0"}
        assert await space.core.ledger.do(State.head_data, name.encode()) == data


async def test_other_bytes_of_one_store_hide_nothing_that_others_give(tmp_path: Path) -> None:
    world = await written(tmp_path)
    wrong = _How(wrong=True)
    _giving(world, d0=wrong, d1=wrong, d2=_How())
    async with world.open() as space:
        made = _chain(space, 20)
        for one in made:
            await show(world, *one)
        assert (await learn(space.core)).heads == 20
        assert wrong.asked
        assert await _known(space, made) == 20
        assert space.warnings == [], "asked for alone they gave the right ones"


async def test_bytes_that_no_name_fits_are_told_of_and_never_kept(tmp_path: Path) -> None:
    world = await written(tmp_path)
    how = _How(wrong=True)
    _giving(world, d0=how)
    async with world.open() as space:
        made = _chain(space, 3)
        for name, data in made:
            await world.stores["d0"].put(name.encode(), (data[:-1] + b"?",))
        assert (await learn(space.core)).heads == 0
        assert how.asked
        assert await _known(space, made) == 0
        assert sum("other bytes than its name says" in str(one) for one in space.warnings) > 0


async def test_a_store_that_gives_other_bytes_again_and_again_is_asked_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads_module, "MOST_MISFITS", 2)
    monkeypatch.setattr(heads_module, "BATCH", 4)
    world = await written(tmp_path)
    how = _How()
    _giving(world, d0=how)
    async with world.open() as space:
        made = _chain(space, 40)
        for name, data in made:
            await world.stores["d0"].put(name.encode(), (data[:-1] + b"?",))
        assert (await learn(space.core)).heads == 0
        assert len(how.asked) <= 2
        for one in made:
            await show(world, *one, "d1", "d2")
        await learn(space.core)
        assert await _known(space, made) == 40


@pytest.mark.parametrize("how", [_How(hangs=True), _How(gone=True)], ids=["late", "gone"])
async def test_a_store_that_does_not_give_them_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: _How
) -> None:
    monkeypatch.setattr(heads_module, "SLOW", 0.0)
    world = await written(tmp_path)
    _giving(world, d0=how)
    async with world.open() as space:
        made = _chain(space, 20)
        for one in made:
            await show(world, *one)
        assert (await learn(space.core)).heads == 20
        assert how.asked
        assert await _known(space, made) == 20
