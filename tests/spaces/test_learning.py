"""Learning: heads count by their signatures, whatever stores list."""

from __future__ import annotations

import random
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ropewalk.spaces.conduct import branch_writer
from ropewalk.spaces.head import (
    heads_prefix,
    open_head,
    writer_id,
)
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.learning import Standing, learn, listing, standing
from ropewalk.spaces.learning import heads as heads_module
from ropewalk.spaces.learning import records as records_module
from ropewalk.spaces.learning.records import fetch_records
from ropewalk.spaces.members.records import record_name, records_prefix
from ropewalk.spaces.state import ACKED, KnownHead, State
from ropewalk.spaces.store import Listed, ObjectName
from ropewalk.testing import Fault, Rule
from tests.spaces.making import KeptStore, a_space, device, some_keys
from tests.spaces.showing import OTHER, sealed, show, written


async def test_a_head_of_another_writer_is_learned_from_any_store_and_only_once(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        await show(world, *sealed(space), "d3")
        learned = await learn(space.core)
        assert learned.answered == 5
        assert learned.writers == {writer_id(device().public().id, OTHER)}
        assert (await learn(space.core)).writers == frozenset()
        assert len((await space.core.ledger.do(standing)).heads) == 2
        assert space.warnings == []


async def test_squatted_names_are_passed_over_for_the_next_older(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        name, data = sealed(space)
        await show(world, name, data)
        for sequence in range(2, 10):
            await show(world, replace(name, sequence=sequence, check=bytes(32)), b"squatted", "d0", "d1")
        await show(world, replace(name, sequence=2**64 - 1, check=bytes(32)), b"squatted", "d2")
        assert (await learn(space.core)).writers == {name.writer}
        assert any("other bytes than its name says" in warning for warning in space.warnings)
        assert await space.core.ledger.do(State.head_named, name.encode()) is not None


async def test_a_store_that_squats_without_end_hides_nothing_that_another_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads_module, "MOST_MISFITS", 3)
    world = await written(tmp_path)
    async with world.open() as space:
        name, data = sealed(space)
        for sequence in range(2, 10):
            await show(world, replace(name, sequence=sequence, check=bytes(32)), b"squatted", "d0")
        await show(world, name, data, "d4")
        assert (await learn(space.core)).writers == {name.writer}


async def test_names_that_fit_nothing_in_every_store_hide_nothing_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may put everywhere, and squats more names than one look bears, before those of another."""
    monkeypatch.setattr(heads_module, "MOST_MISFITS", 5)
    world = await written(tmp_path)
    async with world.open() as space:
        name, data = sealed(space)
        for number in range(18):
            await show(world, replace(name, writer=bytes((*bytes(15), number)), check=bytes(32)), b"squatted")
        await show(world, name, data)
        assert (await learn(space.core)).writers == frozenset(), "the names come before it"
    for _ in range(3):  # each in a process of its own
        async with world.open() as space:
            await learn(space.core)
            assert len(space.warnings) < 40
    async with world.open() as space:
        assert await space.core.ledger.do(State.head_named, name.encode()) is not None
        assert not (await learn(space.core)).writers, "and none of them is fetched again"


async def test_records_that_fit_nothing_in_every_store_hide_nothing_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_module, "MOST_MISFITS", 5)
    world = await written(tmp_path)
    async with world.open() as space:
        prefix = records_prefix(space.core.space_id)
        data = next(
            one for one in map(str.encode, map(str, range(99))) if record_name(space.core.space_id, one) > f"{prefix}8"
        )
        wanted = str(record_name(space.core.space_id, data))
        names = [f"{prefix}{number:064x}" for number in range(18)]
        for name in names:
            for store in world.stores.values():
                await store.put(ObjectName(name), (b"squatted",))
        for store in world.stores.values():
            await store.put(ObjectName(wanted), (data,))
        shown = {store: [*names, wanted] for store in world.stores}
        found = [await fetch_records(space.core, shown) for _ in range(5)]
        assert found[0] == {}, "the names come before it"
        assert {wanted: data} in found
        assert sum("other bytes than their names say" in str(one) for one in space.warnings) <= 4 * len(world.stores)


class _Liar(KeptStore):
    """Lists what it likes."""

    lies: tuple[str, ...] = ()
    endless = False

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        for lie in self.lies:
            yield Listed(ObjectName(lie), 1 << 60)
        async for listed in super().list(prefix, "" if self.endless else after):
            yield listed


@pytest.mark.parametrize("endless", [False, True])
async def test_a_listing_of_junk_ends_and_hides_nothing(tmp_path: Path, endless: bool) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        liar = _Liar()
        liar.endless = endless
        prefix = heads_prefix(space.core.space_id)
        name, data = sealed(space)
        liar.lies = (
            "",
            "junk",
            prefix,
            prefix + "x",
            prefix.upper(),
            prefix + "\udcff",
            f"{prefix}{'0' * 32}/{'f' * 16}",
        )
        await liar.put(name.encode(), (data,))
        space.core.pool._stores["d0"] = replace(space.core.pool._stores["d0"], store=liar)
        await show(world, name, data, "d1")
        learned = await learn(space.core)
        assert learned.writers == {name.writer}
        assert learned.answered >= space.core.fresh_read


async def test_a_head_by_a_stranger_or_with_a_forged_signature_is_left_out_and_reported(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        before = await space.core.ledger.do(standing)
        await show(world, *sealed(space, by=DeviceKeys(b"s" * 32)))
        name, data = sealed(space)
        forged = data[:-1] + bytes((data[-1] ^ 1,))
        await show(world, replace(name, check=hashed("object", forged)), forged)
        assert (await learn(space.core)).writers == frozenset()
        assert any("not a member" in warning for warning in space.warnings)
        assert any("signature" in warning for warning in space.warnings)
        assert await space.core.ledger.do(standing) == before
        assert await space.read("a") == b"1"


async def test_both_branches_of_a_fork_stand_and_only_what_rests_on_a_third_waits(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        name, data = sealed(space, note="one branch")
        await show(world, name, data)
        await learn(space.core)
        other, forked = sealed(space, note="the other")
        await show(world, other, forked)
        third, seeing = sealed(space, incarnation=b"t" * 16, seen={other.writer: (1, b"x" * 32)})
        await show(world, third, seeing)
        for store in world.stores.values():
            await store.lose(name.encode())
        learned = await learn(space.core)
        assert (learned.writers, learned.forked) == (frozenset({other.writer}), frozenset({other.writer}))
        assert sum("a fork" in warning for warning in space.warnings) == 1
        assert sum("no store shows" in warning for warning in space.warnings) == 1
        hashes = [
            open_head(*one, space.core.membership, space.core.keys).hash for one in ((data, name), (forked, other))
        ]
        stand = {head.writer: head for head in (await space.core.ledger.do(standing)).heads}
        assert stand.keys() - {space.core.writer_id} == {branch_writer(name.writer, one) for one in hashes}
        for branch in (branch_writer(name.writer, one) for one in hashes):
            assert stand[branch].vector == {branch: (1, stand[branch].hash)}
            assert stand[branch].branches == {name.writer: ((1, branch),)}
        assert await space.read("a") == b"1"


async def test_a_head_that_has_seen_what_no_store_shows_is_set_aside_until_one_does(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        first, data = sealed(space)
        digest = open_head(data, first, space.core.membership, space.core.keys).hash
        second, later = sealed(space, incarnation=b"t" * 16, seen={first.writer: (1, digest)})
        await show(world, second, later)
        assert (await learn(space.core)).writers == frozenset()
        assert any("no store shows" in warning for warning in space.warnings)
        await show(world, first, data)
        assert (await learn(space.core)).writers == {first.writer, second.writer}
        assert len((await space.core.ledger.do(standing)).heads) == 2  # ours, and the one that has seen the other


async def test_stores_that_hang_do_not_hold_a_look_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PATIENCE", 0.02)
    world = await written(tmp_path)
    for name in ("d0", "d1"):
        world.stores[name].hang("list")
    async with world.open() as space:
        assert space.warnings == []
        assert await space.read("a") == b"1"


async def test_too_few_listings_are_warned_of(tmp_path: Path) -> None:
    world = await written(tmp_path)
    for name in ("d0", "d1", "d2", "d3"):
        world.stores[name].gone = True
    async with world.open() as space:
        assert any("1 of 5 stores told what is newest: until 3 do" in warning for warning in space.warnings)
        assert await space.read("a") == b"1"


async def test_a_head_that_is_listed_and_cannot_be_read_is_warned_of(tmp_path: Path) -> None:
    """Else a device that lost its own memory would take an older version, or nothing, for the newest."""
    world = await written(tmp_path)
    shutil.rmtree(world.folder)
    broken = Rule(Fault.GONE_BEFORE, on={"get"}, name=lambda name: "/heads/" in name)
    for store in world.stores.values():
        store.rules.append(broken)
    async with world.open() as space:
        assert any("is listed and cannot be read, so this may be an older" in warning for warning in space.warnings)
        assert [entry async for entry in space.list()] == []
    for store in world.stores.values():
        store.rules.remove(broken)
    async with world.open() as space:
        assert await space.read("a") == b"1"
        assert not [warning for warning in space.warnings if "cannot be read" in warning]


async def test_a_restored_backup_is_found_out_and_loses_nothing(tmp_path: Path) -> None:
    world = await a_space(tmp_path)
    big = random.Random(3).randbytes(400_000)
    async with world.open() as space:
        await space.write("before", b"1")
        old = space.core.writer_id
    shutil.copytree(world.folder, tmp_path / "backup")
    async with world.open() as space:
        for at in range(3):
            await space.write(f"small{at}", bytes((at,)) * 3000)
        await space.write("large", big)
        await space.write("last", b"2")
    shutil.rmtree(world.folder)
    shutil.copytree(tmp_path / "backup", world.folder, dirs_exist_ok=True)
    async with world.open() as space:
        assert any("restored from a backup" in warning for warning in space.warnings)
        assert space.core.writer_id != old
        assert [info.path async for info in space.list()] == ["before", "large", "last", "small0", "small1", "small2"]
        for at in range(3):
            assert await space.read(f"small{at}") == bytes((at,)) * 3000
        assert await space.read("large") == big
        outcome = await space.write("after", b"3")
        assert outcome is not None
        assert (outcome.head.writer, outcome.head.sequence) == (space.core.writer_id, 1)
    async with world.open() as space:
        assert space.warnings == []
        assert await space.read("last") == b"2"


async def test_another_process_of_this_device_is_not_taken_for_a_restored_backup(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as first, world.open() as second:
        before = first.core.incarnation
        for at in range(3):
            await second.write(f"b{at}", b"2")
        await learn(first.core)
        assert first.warnings == []
        async with world.open() as third:
            assert third.core.incarnation == before
        assert await first.read("b2") == b"2"


def _known(writer: str, sequence: int, time: int, **seen: int) -> KnownHead:
    vector = {_writer(name): (number, bytes(32)) for name, number in seen.items()}
    name = f"{writer}{sequence}"
    return KnownHead(name, bytes(32), _writer(writer), sequence, b"", time, None, 0, "", vector, False, ACKED)


def _writer(name: str) -> bytes:
    return name.encode() * 16


def test_only_heads_that_no_other_has_seen_stand(tmp_path: Path) -> None:
    a1, a2 = _known("a", 1, 1, a=1), _known("a", 2, 9, a=2, b=1)
    b1, b2 = _known("b", 1, 2, b=1, a=1), _known("b", 2, 3, a=1, b=2)
    c1 = _known("c", 1, 4, a=2, b=2, c=1)
    cases = [((), []), ((a1,), [a1]), ((a1, b1), [b1]), ((a1, a2, b1), [a2]), ((a1, a2, b1, b2), [a2, b2])]
    cases.append(((a1, a2, b1, b2, c1), [c1]))
    for number, (heads, expected) in enumerate(cases):
        state = State(tmp_path / f"{number}")
        state.unlock(some_keys())
        for head in heads:
            state.add_head(head)
        assert list(standing(state).heads) == expected
        state.close()
    assert Standing([a2, b2]).vector == {_writer("a"): (2, bytes(32)), _writer("b"): (2, bytes(32))}
    assert Standing([]).root is None
