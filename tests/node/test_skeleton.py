"""A space's people are those of the genesis that its id names, however much that looks like one lies before it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from ropewalk.node.offered import Offered
from ropewalk.node.rights import NotGranted
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.members import Membership, Policy, create
from ropewalk.spaces.members.records import parse, record_name
from ropewalk.spaces.store import ObjectName
from tests.node.family import BOB, OWNER, Family, key
from tests.node.making import GUEST, a_node

MANY = 1000


def _first(family: Family) -> str:
    return min(family.objects)


def _alike(family: Family, seed: int, many: int = MANY) -> dict[ObjectName, bytes]:
    """Records of a founding, some of Bob's own and the rest forged, whose names come before those of the right one."""
    chance = random.Random(seed)
    paper = DeviceKeys(bytes([98]) * 32, PAPER).public()
    bobs = [bytearray(data) for _ in range(8) for _, data in create(Policy(2, 4, 3, {"store": 2}), 1, BOB, paper, 1)[2]]
    right = [*family.objects.values()]
    junk: dict[ObjectName, bytes] = {}
    while len(junk) < many:
        data = bobs.pop() if bobs else bytearray(chance.choice(right))
        if not bobs:
            data[chance.randrange(len(data))] ^= 1 + chance.randrange(255)
        name = record_name(family.space, bytes(data))
        if name < _first(family) and parse(bytes(data)) is not None:
            junk[name] = bytes(data)
    return junk


async def _check(offered: Offered, family: Family) -> None:
    """The owner is the admin of it, and Bob is nobody, whatever his own space says."""
    name = family.name("packs/1")
    assert await offered.put_small(key(OWNER), [(name, b"data")]) == [None]
    assert await offered.trash(key(OWNER), family.space, "", 10) == []
    for call in (offered.get(key(BOB), name, 0, 1), offered.trash(key(BOB), family.space, "", 10)):
        with pytest.raises(NotGranted):
            await call


@pytest.mark.parametrize("restarted", [False, True])
async def test_records_of_other_foundings_that_lie_before_the_right_one_let_nobody_in(
    folder: Path, seed: int, restarted: bool
) -> None:
    family = Family.make()
    while _first(family) < family.name("records/6"):
        family = Family.make()
    async with a_node(folder / "home") as town:
        await (await town.offer("disk1")).aclose()
        town.grant(key=None, keys=(key(GUEST).hex(), key(OWNER).hex()))
        await town.node.look()
        offered = town.node.offers["disk1"]
        await offered.store.put_many([(name, [data]) for name, data in _alike(family, seed).items()])
        with pytest.raises(NotGranted):
            await offered.get(key(BOB), family.name("packs/1"), 0, 1)
        outcomes = await offered.put_small(key(GUEST), list(family.objects.items()))
        assert outcomes == [None] * len(outcomes)
        if not restarted:
            await _check(offered, family)
    if restarted:
        async with a_node(folder / "home") as town:
            await _check(town.node.offers["disk1"], family)


async def test_what_comes_before_the_founding_is_not_all_gone_through_again_for_each_that_comes(
    folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, reads, read = Family.make(), 0, Membership.read

    def counted(*args: Any, **more: Any) -> Membership:
        nonlocal reads
        reads += 1
        return read(*args, **more)

    while _first(family) < family.name("records/6"):
        family = Family.make()
    monkeypatch.setattr(Membership, "read", counted)
    async with a_node(folder / "home") as town:
        await (await town.offer("disk1")).aclose()
        town.grant(key=None, keys=(key(GUEST).hex(), key(OWNER).hex()))
        await town.node.look()
        offered = town.node.offers["disk1"]
        assert await offered.put_small(key(GUEST), list(_alike(family, seed, 20).items())) == [None] * 20
        assert reads == 0
        assert await offered.put_small(key(GUEST), list(family.objects.items())) == [None] * len(family.objects)
        await _check(offered, family)
        assert reads > 0


async def test_of_records_that_do_not_count_yet_the_newest_are_remembered_up_to_a_bound(
    folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = Family.make()
    while _first(family) < family.name("records/6"):
        family = Family.make()
    junk = _alike(family, seed, 20)
    most = sum(len(data) for data in list(junk.values())[-5:])
    monkeypatch.setattr("ropewalk.node.skeleton.MOST_WAITING", most)
    async with a_node(folder / "home") as town:
        await (await town.offer("disk1")).aclose()
        town.grant()
        await town.node.look()
        offered = town.node.offers["disk1"]
        for name, data in junk.items():
            assert await offered.put_small(key(GUEST), [(name, data)]) == [None]
        await offered.get(key(GUEST), next(iter(junk)), 0, 1)
        waiting = offered._skeleton._spaces[family.space].waiting
        assert list(waiting) == list(junk)[-5:]
        assert sum(map(len, waiting.values())) == most
