"""The pool keeps to what passports say: what is refused gets nothing, what is limited no more than it can."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.opening import open_pool
from ropewalk.spaces.pack.packing import Pack, Packing
from ropewalk.spaces.passport import keep
from ropewalk.spaces.passport.record import found
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore
from ropewalk.spaces.store import MemoryStore, Store, StoreReadOnly, Terms, hint_name, object_name
from tests.spaces.making import Clock, device, paper, some_keys
from tests.spaces.passport.test_record import ONE

HEAD = object_name(f"{'a' * 64}/heads/{'b' * 32}/{'c' * 16}-{'d' * 64}")
HINT = hint_name(f"{'a' * 64}/hints/{'0' * 32}")


class _Pool:
    def __init__(self, **terms: Terms) -> None:
        self.stores = {name: MemoryStore() for name in ("s0", "s1", "s2", "s3")}
        members = [
            PoolStore(StoreDomains(name), store, terms=terms.get(name, Terms())) for name, store in self.stores.items()
        ]
        self.pool = Pool(members, Clock())

    async def names(self, name: str) -> list[str]:
        return [listed.name async for listed in self.stores[name].list("")]


async def test_nothing_is_put_into_a_refused_store_and_it_says_why() -> None:
    world = _Pool(s1=Terms(refused="it loses what it acknowledged"))
    copies = await world.pool.put_copies(HEAD, b"head")
    assert copies.kept == {"s0", "s2", "s3"}
    assert "s1 is not written to: it loses what it acknowledged" in str(copies.failed["s1"])
    assert "store passport s1" in copies.failed["s1"].hint
    assert await world.pool.replace_hint(HINT, b"hint") == {"s0", "s2", "s3"}
    assert await world.names("s1") == []
    await world.stores["s1"].put(HEAD, [b"head"])
    assert await world.pool.get("s1", HEAD) == b"head"  # what lies there is read
    await world.pool.delete("s1", HEAD)
    await world.pool.aclose()


async def test_a_share_too_large_goes_elsewhere() -> None:
    pack = _pack()
    smallest = min(share.size for share in pack.shares)
    world = _Pool(s0=Terms(largest=smallest - 1))
    kept, failed = await world.pool.put_shares(pack, {})
    assert set(kept.values()) <= {"s1", "s2", "s3"}
    assert len(kept) == 3
    assert failed == {}  # it was not even asked
    with pytest.raises(StoreReadOnly, match="at most"):
        await world.pool.put("s0", HEAD, [bytes(smallest)])
    await world.pool.put("s0", HEAD, [b"head"])
    await world.pool.aclose()


async def test_what_does_not_delete_is_not_asked_to() -> None:
    world = _Pool(s2=Terms(deletes=False))
    await world.pool.put("s2", HEAD, [b"head"])
    with pytest.raises(StoreReadOnly, match="delete nothing"):
        await world.pool.delete("s2", HEAD)
    assert await world.names("s2") == [HEAD]
    await world.pool.aclose()


async def test_hints_go_where_they_can_be_replaced() -> None:
    world = _Pool(s3=Terms(hints=False))
    assert await world.pool.replace_hint(HINT, b"hint") == {"s0", "s1", "s2"}
    assert await world.names("s3") == []
    await world.pool.put("s3", HEAD, [b"head"])
    await world.pool.aclose()


async def test_a_pool_is_opened_on_the_terms_of_its_passports(tmp_path: Path) -> None:
    home = Home(tmp_path / "config", tmp_path / "state")
    ids = {name: bytes([at]) * 16 for at, name in enumerate(("good", "bad", "none"))}
    for name, identity in ids.items():
        home.add_store(name, StoreSetting(f"/{name}", identity.hex()))
    bad = (found("keeps", 0, "bad", "it loses objects"),)
    keep(home, replace(ONE, store=ids["good"]), device())
    keep(home, replace(ONE, store=ids["bad"], findings=bad), device())

    async def open_store(place: str, identity: bytes) -> Store:
        return MemoryStore()

    pool = await open_pool(home, list(ids), Clock(), open_store, device().public())
    assert {name: pool.terms(name).refused for name in ids} == {"good": "", "bad": "it loses objects", "none": ""}
    await pool.aclose()
    pool = await open_pool(home, list(ids), Clock(), open_store, paper().public())
    assert pool.terms("bad") == Terms()  # it is another device that has seen it
    await pool.aclose()


def _pack() -> Pack:
    packing = Packing(2, 4)
    for at in range(5):
        packing.add(bytes((at,)) * 32, bytes((at,)) * 100)
    return packing.finish(some_keys())
