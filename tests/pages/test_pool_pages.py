"""The pool in a browser: stores in the boxes that they fail with, how they are, how full; and a look at all of them."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import msgspec
import pytest

from ropewalk.pages.space.looking import Looking
from ropewalk.spaces.home import Settings, StoreSetting
from ropewalk.spaces.passport import sign
from ropewalk.spaces.passport.record import Finding, Passport
from ropewalk.spaces.places import without_secrets
from ropewalk.spaces.store import Room, Terms
from ropewalk.testing.faults import Fault, Rule
from tests.pages.browser import Client, Served, served
from tests.pages.chromium import chromium
from tests.pages.pools import HOUSES, RoomyStore, a_pool, fill
from tests.spaces.making import World, a_space, device, object_of, pack_of

POOL = "/spaces/photos/pool/"
HOSTILE = '"><script>alert(1)</script>\u202e/..'


def words(page: str) -> str:
    """What people read of a page."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split()).replace(" .", ".")


def asked(world: World) -> int:
    return sum(one.asked for one in world.stores.values() if isinstance(one, RoomyStore))


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, world=await a_pool(tmp_path / "home")) as one:
        await fill(one.space)
        yield one


@pytest.fixture
async def inside(pool: Served) -> Client:
    return await pool.client()


async def look(client: Client) -> None:
    assert (await client.post(POOL)).status == 200


async def test_stores_lie_in_the_boxes_that_they_fail_with(inside: Client) -> None:
    page = await inside.get(POOL)
    assert page.status == 200
    told = words(page.text)
    assert "5 of 5 stores answer. Each file is cut into 5 pieces" in told
    assert "any 3 of them are enough to have it. 5 stores hold pieces now." in told
    home, bremen, unsaid = (
        told.index(one) for one in ("Site home 3 stores", "Site Bremen 1 store", "Site: never said")
    )
    assert home < told.index("Machine nas 2 stores") < told.index("Disk a 1 store") < told.index("attic") < bremen
    assert bremen < told.index("aunt") < unsaid < told.index("cloud")
    who = words((await inside.get(f"{POOL}?view=who")).text)
    assert "Person who runs stores Ada 3 stores" in who
    assert "Person who runs stores: never said 1 store" in who
    assert "Machine nas" not in who


async def test_the_map_and_the_table_and_the_bars_say_the_same_without_colour(pool: Served, inside: Client) -> None:
    await look(inside)
    text = (await inside.get(POOL)).text
    told = words(text)
    assert "40.0 GiB of 100.0 GiB free" in told
    assert text.count('role="img" aria-label="') == 5
    _, _, table = told.partition("The same as a table")
    for name in HOUSES:
        assert f"{name} answers" in table
    assert "disk a , machine nas" in table.replace("admin Ada , ", "")
    assert "style=" not in text


async def test_looking_at_the_page_asks_no_store(pool: Served, inside: Client) -> None:
    await inside.get(POOL)
    before = asked(pool.world)
    for target in (POOL, f"{POOL}?view=who", f"{POOL}?store=attic", "/spaces/photos/promise/"):
        assert (await inside.get(target)).status == 200
    assert asked(pool.world) == before
    await look(inside)
    assert asked(pool.world) > before


async def test_a_store_that_is_killed_is_told_with_why_and_since_when(pool: Served, inside: Client) -> None:
    pool.world.stores["aunt"].gone = True
    pool.world.clock.seconds += 600
    await look(inside)
    told = words((await inside.get(POOL)).text)
    assert "4 of 5 stores answer" in told
    assert "aunt does not answer" in told
    assert "4 of 5 answered" in told
    one = words((await inside.get(f"{POOL}?store=aunt")).text)
    assert "It does not answer" in one
    assert "a test said so" in one
    assert "heard 10 min ago" in one
    pool.world.stores["aunt"].gone = False
    pool.world.clock.seconds += 60
    await look(inside)
    assert "5 of 5 stores answer" in words((await inside.get(POOL)).text)


async def test_a_store_that_was_slow_is_called_so(pool: Served, inside: Client) -> None:
    pool.space.core.pool.was_late("desk")
    told = words((await inside.get(POOL)).text)
    assert "desk answers slowly" in told
    assert "It was slower than the others lately" in told


async def test_a_full_store_owes_are_told(tmp_path: Path) -> None:
    world = await a_pool(tmp_path / "home")
    async with served(tmp_path, world=world) as one:
        store = world.stores["cloud"]
        assert isinstance(store, RoomyStore)
        store.said = Room(10 * 2**30, 0)
        store.rules.append(Rule(Fault.FULL, on={"put"}))
        client = await one.client()
        await fill(one.space)
        told = words((await client.get(POOL)).text)
        assert "cloud is full" in told
        assert "1 piece is not where it should be yet" in told
        assert "It is owed 1 copy of heads and records" in told
        assert "4 stores hold pieces now" in told
        assert "1 copy of a head or record" in words((await client.get(f"{POOL}?store=cloud")).text)


async def test_a_store_that_is_drained_refused_or_damaged_says_so(pool: Served, inside: Client) -> None:
    core = pool.space.core
    core.pool.draining = frozenset({"desk"})
    core.pool.use_on("cloud", Terms(refused="it lost what it had acknowledged"))
    pack = await pack_of(pool.space)
    share = next(one for one in pack.shares if one.store == "attic")
    await core.ledger.do(lambda state: state.mark_damaged(pack.id, share.number, "attic"))
    told = words((await inside.get(POOL)).text)
    assert "desk is being emptied" in told
    assert "cloud takes nothing new" in told
    assert "It lost what it had acknowledged." in told
    assert "attic answers, and holds damage" in told
    assert "1 piece is known to be damaged" in told


async def test_a_store_that_is_taken_out_is_gone_from_the_map(pool: Served, inside: Client) -> None:
    def without(settings: Settings) -> Settings:
        space = settings.spaces["photos"]
        left = [name for name in space.stores if name != "cloud"]
        return msgspec.structs.replace(settings, spaces={"photos": msgspec.structs.replace(space, stores=left)})

    await inside.get(POOL)
    pool.world.home.update(without)
    await pool.space.current()  # takes what the settings say
    told = words((await inside.get(POOL)).text)
    assert "4 of 4 stores answer" in told
    assert "cloud" not in told
    gone = await inside.get(f"{POOL}?store=cloud", accept="application/json")
    assert (gone.status, gone.code) == (404, "pages.no-such-store")
    assert (await inside.get("/spaces/photos/promise/")).status == 200


async def test_a_store_of_a_hostile_name_is_text_and_can_be_followed(tmp_path: Path) -> None:
    world = await a_pool(tmp_path / "home", {HOSTILE: {"machine": "<b>x</b>"}, "b": {}, "c": {}}, {"store": 1})
    async with served(tmp_path, world=world) as one:
        await fill(one.space)
        client = await one.client()
        page = (await client.get(POOL)).text
        assert "<script>" not in page
        assert "<b>x" not in page
        assert "\u202e" not in page
        href = next(one for one in re.findall(r'href="([^"]*store=[^"]*)"', page) if "script" in one)
        found = await client.get(unescape(href))
        assert found.status == 200
        assert "Store &#34;&gt;&lt;script&gt;" in found.text.replace("<bdi>", "")
        assert "\u202e" not in found.text


async def test_a_space_with_one_store_and_one_with_forty(tmp_path: Path) -> None:
    async with served(tmp_path / "1", world=await a_pool(tmp_path / "one", {"only": {}}, {"store": 0})) as one:
        await fill(one.space)
        told = words((await (await one.client()).get(POOL)).text)
        assert "1 of 1 store answers. Each file lies in one piece, in one store" in told
    many = {f"s{number:02}": {"site": f"town {number % 4}", "machine": "m"} for number in range(40)}
    async with served(tmp_path / "40", world=await a_pool(tmp_path / "many", many, {"store": 3})) as one:
        await fill(one.space)
        told = words((await (await one.client()).get(POOL)).text)
        assert "40 of 40 stores answer" in told
        assert told.count("also elsewhere on this map, and fails as one") == 4  # machine m, in each town
        assert all(f"s{number:02}" in told for number in range(40))


async def test_a_store_is_shown_closely_with_its_passport_and_without_credentials(pool: Served, inside: Client) -> None:
    home, identity = pool.world.home, bytes.fromhex("01" * 16)
    finding = Finding("hints", "no", "limited", "it does not replace <objects>")
    passport = Passport(1, identity, device().public().ed25519, "folder", 10**18, "0.1", 0, b"", (finding,))
    folder = home.state / "passports"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{identity.hex()}.passport").write_bytes(sign(passport, device()))
    secret = "https://ada:hunter2@example.org/photos?profile=ada&sig=AbCdEf"

    def moved(settings: Settings) -> Settings:
        setting = settings.stores["attic"]
        new = StoreSetting(secret, setting.id, setting.domains)
        return msgspec.structs.replace(settings, stores={**settings.stores, "attic": new})

    home.update(moved)
    page = await inside.get(f"{POOL}?store=attic")
    told = words(page.text)
    assert "https://...@example.org/photos?profile=ada&sig=..." in told
    assert "hunter2" not in page.text
    assert "AbCdEf" not in page.text
    assert "hints limited it does not replace <objects>" in told
    assert "Site home" in told
    (folder / f"{identity.hex()}.passport").write_bytes(b"junk")
    assert "Its passport is damaged" in words((await inside.get(f"{POOL}?store=attic")).text)
    assert "It was not looked at closely yet" in words((await inside.get(f"{POOL}?store=desk")).text)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("/srv/a b@c?d=e", "/srv/a b@c?d=e"),
        ("tls://ada:pw@h:4433#ed25519:00/x", "tls://...@h:4433#ed25519:00/x"),
        ("s3://bucket/a?endpoint=http://localhost:9&token=t", "s3://bucket/a?endpoint=http://localhost:9&token=..."),
        ("s3://bucket?endpoint=http://u:p@h", "s3://bucket?endpoint=..."),
        ("https://[bad", "https: (an address that cannot be read)"),
    ],
)
def test_a_place_is_shown_without_secrets(place: str, told: str) -> None:
    assert without_secrets(place) == told


async def test_what_a_store_lost_is_found_by_the_button_alone(pool: Served, inside: Client) -> None:
    pack = await pack_of(pool.space)
    lost = next(one for one in pack.shares if one.store == "aunt")
    await pool.world.stores["aunt"].lose(object_of(pool.space, pack, lost))
    assert "known from the node's own work" in words((await inside.get(POOL)).text)
    answer = await inside.post(POOL)
    assert answer.json == {"answered": 5, "stores": 5, "missing": 1}
    told = words((await inside.get(POOL)).text)
    assert "5 of 5 answered, 1 piece was missing or cut short" in told
    assert "1 piece is not where it should be yet" in told


async def test_the_button_twice_at_once_looks_once(
    pool: Served, inside: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ropewalk.pages.audit")
    stores = pool.world.stores
    stores["desk"].hang("room", "list")
    await inside.get(POOL)
    first = asyncio.create_task(inside.post(POOL))
    async with asyncio.timeout(30):
        while "being looked at now" not in (await inside.get(POOL)).text:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        counted = asked(pool.world)
        refused = await inside.post(POOL)
        assert (refused.status, refused.code) == (503, "pages.looks-already")
        second = await inside.post(POOL, accept="text/html")
        assert (second.status, second.headers["location"]) == (303, POOL)
        assert asked(pool.world) == counted
        stores["desk"].release()
        assert (await first).status == 200
    assert [one.getMessage() for one in caplog.records if "done" in one.getMessage()] == [
        "look at all stores of photos: done"
    ]


async def test_a_look_at_a_store_that_hangs_ends_in_its_time(pool: Served) -> None:
    pool.world.stores["desk"].hang("list")
    looking = Looking(0.05, 0.2)
    async with asyncio.timeout(30):
        found = await looking.look(pool.space)
    assert (found.cut, found.stores) == (True, 5)
    assert not looking.looks(pool.space)
    pool.world.stores["desk"].release()
    pool.world.stores["desk"].hang("room")
    async with asyncio.timeout(30):
        await looking.look(pool.space)
    pool.world.clock.seconds += 60
    known = await looking.known(pool.space)
    desk = next(one for one in known.stores if one.name == "desk")
    assert (desk.standing, desk.seen.under_way) == ("away", 1)
    pool.world.stores["desk"].release()


async def test_a_look_that_is_given_up_can_be_made_again(pool: Served) -> None:
    pool.world.stores["desk"].hang("list")
    looking = Looking(0.05, 60)
    task = asyncio.create_task(looking.look(pool.space))
    while not looking.looks(pool.space):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    pool.world.stores["desk"].release()
    assert not (await looking.look(pool.space)).cut


async def test_what_is_not_there_is_refused(inside: Client, pool: Served) -> None:
    for target, status, code in [
        ("/spaces/away/pool/", 503, "pages.not-open"),
        ("/spaces/none/pool/", 404, "pages.no-such-space"),
        (f"{POOL}below", 400, "pages.bad-address"),
        (f"{POOL}?store=", 404, "pages.no-such-store"),
    ]:
        answer = await inside.get(target, accept="application/json")
        assert (answer.status, answer.code) == (status, code), target
    assert (await inside.post("/spaces/away/pool/")).code == "pages.not-open"
    stranger = Client(pool.app)
    assert (await stranger.post(POOL)).status in (401, 403)
    assert (await inside.get(f"{POOL}?view=nothing")).status == 200


async def test_stores_without_domains_lie_in_one_box(tmp_path: Path) -> None:
    async with served(tmp_path, world=await a_space(tmp_path / "home")) as one:
        told = words((await (await one.client()).get(POOL)).text)
        assert "how much room is left is not known" in told
        assert "never said" in told
        assert "0 stores hold pieces now" in told


@pytest.mark.slow
@pytest.mark.system
async def test_the_map_fits_a_phone_and_is_used_by_keys(pool: Served) -> None:
    async with chromium(pool, viewport={"width": 360, "height": 700}) as window:
        for path in ("pool/", "pool/?store=attic", "promise/"):
            await window.open(path)
            assert await window.page.evaluate("document.documentElement.scrollWidth") <= 360
        await window.open("pool/")
        await window.page.get_by_role("button", name="Look at all stores now").press("Enter")
        await window.page.get_by_text("no piece that is known was missing").wait_for()
        await window.page.get_by_role("link", name="attic").first.press("Enter")
        await window.page.get_by_role("heading", name="Store attic").wait_for()
        assert window.complaints == []
