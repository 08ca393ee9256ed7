"""A liar keeps the contract of a store while it is honest, and its account tells which lies were told and heard."""

from __future__ import annotations

import asyncio
import random

import pytest

from ropewalk.spaces.store import MemoryStore, NoSuchObject, ObjectName, Store
from ropewalk.testing import check_store
from ropewalk.testing.liars import LIES, Liar, Lie, Place
from ropewalk.testing.liars.lies_bytes import BitFlip, Withhold
from ropewalk.testing.liars.lies_heads import ForkPerClient
from ropewalk.testing.liars.lies_lists import BackwardList, EndlessList, ListOmission
from ropewalk.testing.liars.lies_puts import AcceptThenLose
from ropewalk.testing.liars.lies_time import Delay, SlowLoris
from ropewalk.testing.liars.matrix import simulated

SPACE = "0" * 64
HEAD = ObjectName(f"{SPACE}/heads/{'1' * 32}/{'f' * 16}-{'2' * 64}")
OTHER = ObjectName("1" * 64 + HEAD[64:])


def _liar(lie: type[Lie], *, lying: bool = True) -> Liar:
    place = Place(MemoryStore(), random.Random(0), space=SPACE, lying=lying)
    return Liar(place, lie(place))


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.number)
async def test_a_liar_that_does_not_lie_is_a_store(lie: type[Lie]) -> None:
    async def make() -> Store:
        return _liar(lie, lying=False)

    await check_store(make)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.number)
async def test_a_liar_leaves_other_spaces_alone(lie: type[Lie]) -> None:
    liar = _liar(lie)
    await liar.lie.begin()
    await liar.put(OTHER, [b"held"])
    assert await liar.get(OTHER) == b"held"
    assert [listed.name async for listed in liar.list(f"{'1' * 64}/")] == [OTHER]
    assert not liar.account.served


async def test_a_false_answer_counts_and_a_true_one_does_not() -> None:
    liar = _liar(BitFlip)
    await liar.put(HEAD, [bytes(1000)])
    assert await liar.get(HEAD, 0, 10) == bytes(10)  # the bit that is turned over lies further on
    assert not liar.account.served
    assert await liar.get(HEAD) != bytes(1000)
    assert liar.account.consumed == {"get head": 1}


async def test_an_error_that_is_not_so_counts() -> None:
    liar = _liar(Withhold)
    with pytest.raises(NoSuchObject):
        await liar.get(HEAD)
    assert not liar.account.served
    await liar.put(HEAD, [b"x"])
    with pytest.raises(NoSuchObject):
        await liar.get(HEAD)
    assert liar.account.consumed == {"get head": 1}


async def test_a_put_that_is_not_kept_counts_and_is_hidden() -> None:
    liar = _liar(AcceptThenLose)
    await liar.put(HEAD, [b"x"])
    assert liar.account.consumed == {"put head": 1}
    with pytest.raises(NoSuchObject):
        await liar.get(HEAD)
    assert [listed async for listed in liar.list(SPACE)] == []


async def test_a_name_left_out_counts_when_the_listing_went_past_it() -> None:
    liar = _liar(ListOmission)
    for number in range(16):
        await liar.put(ObjectName(f"{SPACE}/{number:02}"), [b"x"])
    listing = liar.list(SPACE)
    await anext(listing)
    await listing.aclose()  # type: ignore[attr-defined]
    few = liar.account.consumed["list"]
    assert 0 < len([listed async for listed in liar.list(SPACE)]) < 16
    assert liar.account.consumed["list"] > few


async def test_a_wrong_order_counts() -> None:
    liar = _liar(BackwardList)
    for number in range(2):
        await liar.put(ObjectName(f"{SPACE}/{number}"), [b"x"])
    assert [listed.name[-1] async for listed in liar.list(SPACE)] == ["1", "0"]
    assert liar.account.consumed["list"] == 2


async def test_who_takes_names_without_an_end_is_found_out_and_let_go() -> None:
    liar = _liar(EndlessList)
    liar.place.enough = 100
    assert len([listed async for listed in liar.list(f"{SPACE}/packs/")]) == 102
    assert liar.account.unbounded
    assert [listed async for listed in liar.list(f"{SPACE}/packs/")] == []


@pytest.mark.parametrize(("patience", "consumed"), [(0, 0), (1, 1), (100, 1)])
def test_a_late_answer_counts_once_somebody_waited(patience: float, consumed: int) -> None:
    async def main() -> None:
        liar = _liar(Delay)
        await asyncio.wait([asyncio.create_task(liar.put(HEAD, [b"x"]))], timeout=20)
        before = liar.account.consumed["get"]
        task = asyncio.create_task(liar.get(HEAD))
        await asyncio.wait([task], timeout=patience)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert liar.account.consumed["get"] - before == consumed

    simulated(main(), 0)


def test_drops_come_one_in_fifty_seconds() -> None:
    async def main() -> None:
        liar = _liar(SlowLoris)
        await liar.put(HEAD, [b"xy"])
        started = asyncio.get_running_loop().time()
        assert await liar.get(HEAD) == b"xy"
        assert asyncio.get_running_loop().time() - started == 100
        assert liar.account.consumed == {"get": 1}

    simulated(main(), 0)


async def test_each_client_is_told_its_own_story() -> None:
    liar = _liar(ForkPerClient)
    one, other = liar.to("one"), liar.to("other")
    await one.put(HEAD, [b"x"])
    assert await one.get(HEAD) == b"x"
    with pytest.raises(NoSuchObject):
        await other.get(HEAD)
    assert liar.account.consumed == {"get head": 1}
