"""What a node counts: what it keeps, what was asked of it and refused, and nothing by which anybody is known."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from ropewalk.metrics import Registry, using
from ropewalk.node.register import ENTRY
from ropewalk.spaces.store import NameTaken, ObjectName, StoreFull, StoreGone, StoreReadOnly
from tests.node.family import OWNER, Family
from tests.node.making import GUEST, STRANGER, Town, a_node, public

NAMES = [ObjectName(f"s/packs/{number}") for number in range(3)]
Numbers = dict[tuple[str, ...], float]


@pytest.fixture
def registry() -> Iterator[Registry]:
    """What is counted in this test."""
    fresh = Registry()
    with using(fresh):
        yield fresh


def counted(registry: Registry, name: str) -> Numbers:
    """The series of a family, by their labels; nothing, where there is no such family."""
    for reading in registry.read():
        if reading.name == f"ropewalk_node_{name}":
            return {labels: value for labels, value in reading.series.items() if isinstance(value, float | int)}
    return {}


async def _disk(town: Town, **more: object) -> None:
    await (await town.offer("disk1", **more)).aclose()
    town.grant(quota=100 * ENTRY)
    await town.node.look()


async def test_what_is_put_deleted_and_refused_is_counted(folder: Path, registry: Registry) -> None:
    async with a_node(folder / "home") as town:
        await _disk(town, quota=50 * ENTRY)
        store = await town.store()
        await store.put(NAMES[0], [bytes(100)])
        await store.put_many([(name, [bytes(100)]) for name in NAMES[1:]])
        await store.put(ObjectName("s/packs/large"), [bytes(100_000)])
        assert counted(registry, "put_total") == {("disk1",): 4}
        assert counted(registry, "used_bytes") == {("disk1",): 100_300 + 4 * ENTRY}
        assert counted(registry, "quota_bytes") == {("disk1",): 50 * ENTRY}
        await store.delete(NAMES[0])
        assert counted(registry, "deleted_total") == {("disk1",): 1}
        with pytest.raises(StoreFull):
            await store.put(ObjectName("s/packs/huge"), [bytes(100 * ENTRY)])
        with pytest.raises(NameTaken):
            await store.put(NAMES[1], [b"other"])
        await store.aclose()
        stranger = await town.store(key=STRANGER)
        with pytest.raises(StoreGone):
            await stranger.get(NAMES[1])
        with pytest.raises(StoreReadOnly):
            await stranger.put(NAMES[1], [b"x"])
        await stranger.aclose()
        assert counted(registry, "refused_total") == {
            ("disk1", "node.quota"): 1,
            ("disk1", "node.not-granted"): 2,
        }
        assert counted(registry, "put_total") == {("disk1",): 4}, "what is refused was not put"
        assert counted(registry, "calls") == {("put",): 0, ("read",): 0, ("wait",): 0}


async def test_what_is_in_the_trash_is_counted_until_it_goes_or_comes_back(folder: Path, registry: Registry) -> None:
    async with a_node(folder / "home") as town:
        await (await town.offer("disk1", keep=3600)).aclose()
        town.grant(key=OWNER.login)
        await town.node.look()
        family = Family.make()
        store = await town.store(key=OWNER.login)
        names = [ObjectName(family.name(f"packs/{number}")) for number in range(3)]
        await store.put_many([(name, [data]) for name, data in family.objects.items()])
        await store.put_many([(name, [bytes(100)]) for name in names])
        used = counted(registry, "used_bytes")
        for name in names:
            await store.delete(name)
        assert counted(registry, "trash_bytes") == {("disk1",): 3 * (100 + ENTRY)}
        assert counted(registry, "used_bytes") == used, "it is paid for until it goes"
        label = min([one.label async for one in store.trash(family.space)])
        await store.take_back(family.space, [label])
        assert counted(registry, "trash_bytes") == {("disk1",): 2 * (100 + ENTRY)}
        await store.aclose()
    async with a_node(folder / "home") as town:
        assert counted(registry, "trash_bytes") == {("disk1",): 2 * (100 + ENTRY)}, "after a restart, too"
        await town.node._age(3600)
        assert counted(registry, "trash_bytes") == {("disk1",): 0}


async def test_an_offer_that_is_away_or_withdrawn_shows_no_sizes(folder: Path, registry: Registry) -> None:
    async with a_node(folder / "home") as town:
        await _disk(town)
        assert counted(registry, "offer_up") == {("disk1",): 1}
        assert counted(registry, "quota_bytes") == {}, "there is no bound"
    shutil.move(folder / "home" / "disk1", folder / "elsewhere")
    async with a_node(folder / "home") as town:
        assert counted(registry, "offer_up") == {("disk1",): 0}
        assert counted(registry, "used_bytes") == {}
        town.node.file.update(lambda old: replace(old, offers={}, grants=()))
        await town.node.look()
        assert counted(registry, "offer_up") == {}


async def test_calls_under_way_are_counted_by_their_kind(folder: Path, registry: Registry) -> None:
    async with a_node(folder / "home") as town:
        with town.node._under_way.of(b"key")("put"), town.node._under_way.of(b"key")("put"):
            assert counted(registry, "calls") == {("put",): 2, ("read",): 0, ("wait",): 0}


async def test_nothing_that_is_shown_names_a_folder_a_key_or_an_object(folder: Path, registry: Registry) -> None:
    async with a_node(folder / "home") as town:
        await _disk(town)
        store = await town.store()
        await store.put(NAMES[0], [b"x"])
        await store.aclose()
        shown = " ".join(
            " ".join(labels)
            for one in registry.read()
            if one.name.startswith("ropewalk_node_")
            for labels in one.series
        )
        for secret in (str(folder), public(GUEST), town.node.key.public_key().public_bytes_raw().hex(), NAMES[0]):
            assert secret not in shown
        assert set(shown.split()) <= {"disk1", "put", "read", "wait"}
