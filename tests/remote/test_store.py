"""A store behind a link: what becomes of calls when the node is full, gone, another one, or lies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ropewalk import broker, net
from ropewalk.auth import Perspectives, Portal
from ropewalk.broker import Backoff
from ropewalk.errors import Damaged, Missing, Misuse, Refused, RopewalkError
from ropewalk.net import BadEndpoint
from ropewalk.node import way_in
from ropewalk.node.node import _AnyKey
from ropewalk.node.register import ENTRY
from ropewalk.remote import NodeAddress, Nodes, RemoteStore
from ropewalk.spaces.store import (
    Listed,
    NameTaken,
    NoSuchObject,
    ObjectName,
    StoreDamaged,
    StoreFull,
    StoreGone,
    StoreReadOnly,
)
from tests.net.peers import certificate
from tests.node.family import OWNER, Family
from tests.node.making import GUEST, STRANGER, Town, a_node, public

KEY = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
NAME = ObjectName("s/packs/1")
HINT = ObjectName("a" * 64 + "/hints/" + "0" * 32)


# ---- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["", "ed25519:"])
@pytest.mark.parametrize("offer", ["", "disk1"])
def test_an_address_names_endpoint_key_and_offer(form: str, offer: str) -> None:
    found = NodeAddress.parse(f"tls://anna.example:4433#{form}{KEY}{'/' if offer else ''}{offer}")
    assert (found.key, found.offer) == (bytes.fromhex(KEY), offer)
    assert found.endpoint.host == "anna.example"
    assert found.endpoint.fragment == f"ed25519:{KEY}"
    assert found.endpoint.option("pin").startswith("sha256:"), "it is the node's key that is trusted"


@pytest.mark.parametrize("told", ["?pin=sha256:" + "0" * 64, "?ca=/some/file", "?dev"])
def test_an_address_that_says_how_to_verify_is_taken_at_its_word(told: str) -> None:
    found = NodeAddress.parse(f"tls://anna.example:4433{told}#{KEY}")
    assert ("pin" in told) == bool(found.endpoint.option("pin"))
    assert str(NodeAddress.parse(f"wss://anna.example{told}#{KEY}")).startswith(f"wss://anna.example:443{told}#")


@pytest.mark.parametrize("scheme", ["tls", "wss", "tls+proxy", "wss+proxy"])
def test_where_nobody_else_is_named_the_node_s_key_vouches(scheme: str) -> None:
    own = NodeAddress.parse(f"{scheme}://anna.example:4433#{KEY}/disk1")
    assert own.endpoint.option("pin").startswith("sha256:")
    assert str(own) == f"{scheme}://anna.example:4433#ed25519:{KEY}/disk1", "which its text need not say"
    pinned = f"{scheme}://anna.example:4433?pin={own.endpoint.option('pin')}#ed25519:{KEY}/disk1"
    assert NodeAddress.parse(pinned) == NodeAddress.parse(str(own)) == own


@pytest.mark.parametrize(
    "end", ["", "#", "#x", f"#{KEY[:-1]}", f"#{KEY.upper()}", f"#{KEY}/", f"#{KEY}/..", f"#{KEY}/A"]
)
def test_an_address_without_a_whole_key_is_refused(end: str) -> None:
    with pytest.raises(BadEndpoint, match="key"):
        NodeAddress.parse(f"tls://anna.example:4433{end}")


# ---- what a node says ------------------------------------------------------------------------------------------------


@pytest.mark.system
@pytest.mark.parametrize("scheme", ["tls", "wss"])
async def test_another_node_is_told_by_the_keys_of_addresses(folder: Path, scheme: str) -> None:
    async with a_node(folder / "home", f"{scheme}://localhost:0?cert=CERT") as town:
        own = NodeAddress.parse(town.address).key.hex()
        with pytest.raises(StoreGone, match=f"has key ed25519:{own}, expected ed25519:{KEY}") as caught:
            await Nodes(GUEST).open(town.address.replace(own, KEY))
        assert "another machine may answer there" in caught.value.hint
        assert "sha256" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.system
async def test_another_node_is_told_by_its_hello_where_the_channel_shows_no_key(folder: Path) -> None:
    async with a_node(folder / "home", f"unix:{folder}/socket") as town:
        own = NodeAddress.parse(town.address).key.hex()
        with pytest.raises(StoreGone, match=f"is node {own}, expected {KEY}"):
            await Nodes(GUEST).open(town.address.replace(own, KEY))


@pytest.mark.system
async def test_a_certificate_of_somebody_else_s_is_known_by_its_pin_in_the_address(folder: Path) -> None:
    shown = certificate(folder, "localhost")
    async with a_node(folder / "home", "wss://localhost:0?cert={cert}&key={key}".format(**shown)) as town:
        await (await town.offer("disk1")).aclose()
        town.grant()
        await town.node.look()
        endpoint, key = town.listener.endpoint, NodeAddress.parse(town.address).key.hex()
        own = folder / "home" / "node.pem"
        assert way_in(endpoint.within(cert=str(own)), own).option("pin") == "", "the node's key is in the address"
        store = await Nodes(GUEST).open(f"{way_in(endpoint, own)}#{key}")
        assert store.offer == "disk1"
        await store.aclose()
        with pytest.raises(StoreGone, match="has a key that no node has, expected ed25519:") as caught:
            await Nodes(GUEST).open(town.address)
        assert "pin" in caught.value.hint


async def _with_disk(town: Town, **grant: Any) -> RemoteStore:
    await (await town.offer("disk1")).aclose()
    town.grant(**grant)
    await town.node.look()
    return await town.store()


async def test_what_a_node_refuses_is_what_a_store_may_say(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        store = await _with_disk(town, quota=100 + ENTRY, may=("get", "put"))
        with pytest.raises(StoreFull, match=r"0 bytes of 4\.1 KiB \(4,196 bytes\)"):
            await store.put(NAME, [bytes(101)])
        with pytest.raises(StoreFull):
            await store.put(NAME, [bytes(1 << 20)])
        await store.put(NAME, [bytes(100)])
        with pytest.raises(StoreReadOnly, match="may not delete"):
            await store.delete(NAME)
        await store.aclose()
        stranger = await town.store(key=STRANGER)
        with pytest.raises(StoreReadOnly, match="may not put"):
            await stranger.put(NAME, [b"x"])
        with pytest.raises(StoreGone, match="may not get"):
            await stranger.get(NAME)
        assert [listed async for listed in stranger.list("")] == []
        await stranger.aclose()


async def test_an_admin_sees_the_trash_of_his_space_takes_back_and_vetoes(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        await (await town.offer("disk1")).aclose()
        family = Family.make()
        town.grant(key=OWNER.login)
        owner = await town.store(key=OWNER.login)
        names = [ObjectName(family.name(f"packs/{number}")) for number in range(3)]
        await owner.put_many([(name, [data]) for name, data in family.objects.items()])
        for name in names:
            await owner.put(name, [b"data"])
            await owner.delete(name)
        trashed = [one async for one in owner.trash(family.space)]
        assert {one.name for one in trashed} == set(names)
        assert all(one.size == 4 and 0 < one.left <= 7 * 86_400 for one in trashed)
        assert await owner.take_back(family.space, [one.label for one in trashed] + ["00"] * 1000) == 3
        assert await owner.get(names[0]) == b"data"
        await owner.veto(family.space, 86_400)
        with pytest.raises(StoreReadOnly, match=r"next 1\.0 days"):
            await owner.delete(names[0])
        guest = await _with_key(town)
        for call in (anext(guest.trash(family.space)), guest.take_back(family.space, ["00"]), guest.veto(bytes(32), 1)):
            with pytest.raises(StoreReadOnly, match="admin"):
                await call
        with pytest.raises(StoreGone, match="may not get"):
            await anext(guest.list(family.name("")))  # which is not the same as an empty one
        assert [one async for one in guest.list("")] == []
        for store in (owner, guest):
            await store.aclose()


async def _with_key(town: Town) -> RemoteStore:
    town.grant()
    return await town.store()


@pytest.mark.parametrize(
    "answer",
    [
        7,
        None,
        [("00", "n", 1)],
        [("00", "n", 1, "x")],
        [("../x", "n", 1, 1.0)],
        [("00", "n" * 201, 1, 1.0)],
        [("00", "n", -1, 1.0)],
        [("01", "n", 1, 1.0), ("00", "n", 1, 1.0)],
        [("00", "n", 1, 1.0)] * 1001,
    ],
)
async def test_a_trash_that_is_none_is_refused(answer: Any) -> None:
    async for store in _lied(Lying(trash=lambda _: answer)):
        with pytest.raises((StoreDamaged, StoreGone)):
            async for _ in store.trash(bytes(32)):
                pass


async def test_the_only_offer_needs_no_name(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        named = await _with_disk(town)
        found = await Nodes(GUEST).open(town.address)
        assert (found.identity, found.offer) == (named.identity, "disk1")
        await found.aclose()
        await (await town.offer("disk2")).aclose()
        town.grant("disk2")
        await town.node.look()
        with pytest.raises(StoreGone, match=r"disk1, disk2 to us.*\n.*name it"):
            await Nodes(GUEST).open(town.address)
        with pytest.raises(StoreGone, match=r"offers nothing to us.*\n.*ask its owner"):
            await Nodes(STRANGER).open(town.address)
        assert [one["name"] for one in await Nodes(GUEST).offers(town.address)] == ["disk1", "disk2"]
        assert await Nodes(STRANGER).offers(town.address) == []
        await named.aclose()


async def test_another_store_under_the_same_name_is_not_taken(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        store = await _with_disk(town)
        with pytest.raises(StoreGone, match=f"want {bytes(16).hex()}"):
            await Nodes(GUEST).open(f"{town.address}/disk1", bytes(16))
        with pytest.raises(StoreGone, match="nothing called"):
            await Nodes(GUEST).open(f"{town.address}/other")
        await store.aclose()


async def test_another_node_at_the_same_place_is_not_taken(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        other = town.address.replace(public(town.node.key), KEY)
        with pytest.raises(StoreGone, match="does not answer"):
            await Nodes(GUEST).open(f"{other}/disk1")


async def test_stores_of_one_node_share_one_link_until_the_last_is_closed(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        first = await _with_disk(town)
        await first.aclose()
        await (await town.offer("disk2")).aclose()
        nodes = Nodes(GUEST)
        one, other = await asyncio.gather(*(nodes.open(f"{town.address}/disk{number}") for number in (1, 2)))
        assert len(town.node.host.sessions) == 1
        await one.aclose()
        await one.aclose()
        assert len(town.node.host.sessions) == 1
        await other.aclose()
        with pytest.raises(Misuse, match="closed"):
            await other.get(NAME)
        async with asyncio.timeout(10):
            for session in list(town.node.host.sessions):
                await session.broken()


# ---- links that break ------------------------------------------------------------------------------------------------


async def test_a_node_that_went_is_gone_until_it_is_back(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        store = await _with_disk(town)
        await store.put(NAME, [b"data"])
        waiting = asyncio.create_task(store.wait_changed(HINT, await store.wait_changed(HINT, b"")))
        await asyncio.sleep(0)
    with pytest.raises(StoreGone):
        await waiting
    with pytest.raises(StoreGone, match="not connected"):
        await store.get(NAME)
    async with a_node(folder / "home"):
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await store.get(NAME) == b"data"
                    break
                except StoreGone:
                    await asyncio.sleep(0.01)
    await store.aclose()


async def test_a_call_that_was_under_way_when_the_link_broke_is_not_made_again(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        store = await _with_disk(town)
        begun = asyncio.Event()

        offered = town.node.offers["disk1"]
        calls = 0

        async def hang(*_: object) -> bytes:
            nonlocal calls
            calls += 1
            begun.set()
            await asyncio.Event().wait()
            return b""

        offered.get = hang  # type: ignore[method-assign,assignment]
        reading = asyncio.create_task(store.get(NAME))
        await begun.wait()
        for session in list(town.node.host.sessions):
            session.close("a test")
            await session.ended(0)
        with pytest.raises(StoreGone):
            await reading
        assert calls == 1
        await store.aclose()


async def test_the_first_call_in_a_new_session_is_answered(folder: Path) -> None:
    async with a_node(folder) as town:
        await town.offer("disk1")
        town.grant()
        store = await town.store()
        await store.put(NAME, [b"x"])
        for session in list(town.node.host.sessions):
            session.close("a test")
            await session.ended(0)
        before = store._way.sessions
        async with asyncio.timeout(10):
            while store._way.sessions == before:  # noqa: ASYNC110 - nobody asks meanwhile
                await asyncio.sleep(0.01)
        assert await store.get(NAME) == b"x"
        await store.aclose()


# ---- nodes that lie --------------------------------------------------------------------------------------------------


class Lying(broker.Object):
    """Says whatever it is told to."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    @broker.remote
    def about(self) -> Any:
        return self.answers.get("about", {"name": "disk1", "id": bytes(16)})

    @broker.remote
    def get(self, name: str, offset: int, length: int) -> Any:
        return self.answers["get"](offset, length)

    @broker.remote
    def names(self, prefix: str, after: str) -> Any:
        return self.answers["names"](after)

    @broker.remote
    def put_small(self, objects: list[Any]) -> Any:
        return self.answers["put_small"](objects)

    @broker.remote
    def room(self) -> Any:
        return self.answers["room"]()

    @broker.remote
    def trash(self, space: bytes, after: str) -> Any:
        return self.answers["trash"](after)

    @broker.remote
    def wait_changed(self, name: str, mark: bytes) -> Any:
        return self.answers["wait_changed"](mark)


class LyingRoom(broker.Perspective):
    """Of a node that lies."""

    def __init__(self, store: Lying) -> None:
        self.store = store

    @broker.remote
    def open(self, name: str) -> Lying:
        return self.store

    @broker.remote
    def offers(self) -> Any:
        return self.store.answers.get("offers", [{"name": "disk1"}])


async def _lied(store: Lying) -> AsyncIterator[RemoteStore]:
    realm = Perspectives()
    realm.give(LyingRoom, lambda _: LyingRoom(store))
    host = broker.Host(Portal(realm, [_AnyKey()]), {"store": LyingRoom}, node=STRANGER)
    async with await net.listen("memory://liar", host.protocol) as listener:
        address = host.address(listener.endpoint.peer())
        remote = await Nodes(GUEST, Backoff(first=0.01, most=0.05)).open(f"{address}/disk1")
        yield remote
        await remote.aclose()
        await host.close(1)


@pytest.mark.parametrize(
    "answer",
    [
        lambda offset, length: bytes(length + 1),
        lambda offset, length: "text",
        lambda offset, length: None,
        lambda offset, length: [1],
    ],
)
async def test_more_than_was_asked_for_and_what_is_no_bytes_are_refused(answer: Any) -> None:
    async for store in _lied(Lying(get=answer)):
        with pytest.raises(StoreDamaged, match="other than the bytes"):
            await store.get(NAME, 0, 10)


@pytest.mark.parametrize(
    "answer",
    [
        lambda after: [("b", 1), ("a", 1)],
        lambda after: [("a", 1), ("a", 1)],
        lambda after: [("a", 1)] * 1000,
        lambda after: [(1, 1)],
        lambda after: [("a", "1")],
        lambda after: [("a", 1, 1)],
        lambda after: [("a", -1)],
        lambda after: ["ab"],
        lambda after: 7,
        lambda after: None,
        lambda after: [("z" * 300, 1)],
    ],
)
async def test_a_listing_that_is_none_is_refused(answer: Any) -> None:
    async for store in _lied(Lying(names=answer)):
        with pytest.raises((StoreDamaged, StoreGone)):
            async for _ in store.list(""):
                pass


@pytest.mark.parametrize("answer", [lambda: 7, lambda: [1], lambda: ["a", "b"], lambda: [-1, 0], lambda: [1, 2, 3]])
async def test_room_that_is_none_is_refused(answer: Any) -> None:
    async for store in _lied(Lying(room=answer)):
        with pytest.raises(StoreDamaged, match="room"):
            await store.room()


@pytest.mark.parametrize(
    "answer", [lambda _: [], lambda _: 7, lambda _: [1], lambda _: [("a",)], lambda _: [None, None]]
)
async def test_answers_for_other_objects_than_were_put_are_no_success(answer: Any) -> None:
    async for store in _lied(Lying(put_small=answer)):
        with pytest.raises((StoreGone, StoreDamaged)):
            await store.put(NAME, [b"x"])


@pytest.mark.parametrize("answer", [lambda _: 7, lambda _: None, lambda _: bytes(1000)])
async def test_a_mark_that_is_none_is_refused(answer: Any) -> None:
    async for store in _lied(Lying(wait_changed=answer)):
        with pytest.raises(StoreDamaged, match="mark"):
            await store.wait_changed(HINT, b"")


@pytest.mark.parametrize("about", [None, 7, {}, {"id": "x"}, {"id": bytes(15)}, []])
async def test_a_store_that_says_no_identity_is_gone(about: Any) -> None:
    with pytest.raises(StoreDamaged, match="what it is"):
        async for _ in _lied(Lying(about=about)):
            pass


@pytest.mark.parametrize("kind", [Misuse, NameTaken, NoSuchObject, Refused, Damaged, Missing])
async def test_whatever_a_node_says_went_wrong_is_what_a_store_may_say_and_its_hints_are_not_shown(
    kind: type[RopewalkError],
) -> None:
    def lie(*_: Any) -> Any:
        raise kind("what a liar says", hint="run: something evil")

    calls: dict[str, tuple[Callable[[RemoteStore], Awaitable[object]], tuple[type[RopewalkError], ...]]] = {
        "get": (lambda store: store.get(NAME), (NoSuchObject, StoreDamaged, StoreGone)),
        "names": (_listed, (StoreDamaged, StoreGone)),
        "put_small": (lambda store: store.put(NAME, [b"x"]), (NameTaken, StoreDamaged, StoreGone)),
        "room": (lambda store: store.room(), (StoreDamaged, StoreGone)),
        "wait_changed": (lambda store: store.wait_changed(HINT, b""), (StoreDamaged, StoreGone)),
    }
    async for store in _lied(Lying(**dict.fromkeys(calls, lie))):
        for call, allowed in calls.values():
            with pytest.raises(allowed) as failed:
                await call(store)
            assert "evil" not in str(failed.value)
            assert "what a liar says" in str(failed.value)


async def _listed(store: RemoteStore) -> list[Listed]:
    return [listed async for listed in store.list("")]


async def test_names_beside_the_prefix_are_refused() -> None:
    async for store in _lied(Lying(names=lambda after: [("b/1", 1)])):
        with pytest.raises(StoreDamaged, match="list"):
            [listed async for listed in store.list("a/")]


async def test_many_large_puts_at_once_are_no_more_than_a_node_takes(folder: Path) -> None:
    async with a_node(folder / "home") as town:
        store = await _with_disk(town)
        await asyncio.gather(*(store.put(ObjectName(f"x/{number}"), [bytes(100_000)]) for number in range(60)))
        assert len(await _listed(store)) == 60
        await store.aclose()
