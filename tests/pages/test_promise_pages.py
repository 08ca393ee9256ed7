"""The promise in a browser: what was promised, what holds, what was measured, and what it takes to break it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ropewalk.pages.places import Place
from ropewalk.pages.space.looking import Known, Looking
from ropewalk.pages.space.promise import Card, cards_of
from ropewalk.spaces.at_hand import at_hand
from ropewalk.spaces.freshness import Freshness, Word
from ropewalk.spaces.promise import told
from ropewalk.spaces.state import State
from ropewalk.spaces.status import Distrust, status, status_at_hand
from ropewalk.testing.faults import Fault, Rule
from tests.pages.browser import Client, Served, served
from tests.pages.pools import a_pool, fill
from tests.pages.test_pool_pages import HOSTILE, inside, look, pool, words
from tests.spaces.making import pack_of

__all__ = ["inside", "pool"]  # fixtures

PROMISE = "/spaces/photos/promise/"


def cards(pool: Served, known: Known) -> dict[str, Card]:
    return {card.name: card for card in cards_of(Place("photos", pool.space, ()), known, None)}


async def test_a_sound_space_keeps_what_it_promises_and_says_what_breaks_it(inside: Client) -> None:
    page = await inside.get(PROMISE)
    assert page.status == 200
    text = words(page.text)
    assert "The promise is kept." in text
    assert text.count("Kept") == 4
    assert "Any 2 stores may be lost for good, and nothing that was acknowledged is lost with them." in text
    assert "Any 2 of 5 stores may fail, as promised." in text
    assert "fail together, everything is lost." in text
    assert "If site home fails, everything is lost." in text
    assert "If Ada (who runs stores) fails, everything is lost." in text
    assert "Never said: the disk behind desk, aunt and cloud; " in text
    assert "The copies are this device and your paper key: if all of them are lost, everything is." in text
    assert "5 of 5 stores answer." in text
    assert "no change counts until one of them is back." in text
    assert "they see how large they are and when they come (privacy level 1)" in text
    assert "Keys are in reach of machine here: whoever controls it may read." in text
    assert "The stores alone can forge nothing, not even all of them together." in text
    assert "No device was shown to have lied; no change is kept aside." in text


async def test_what_is_at_hand_comes_to_what_a_look_at_all_stores_does(pool: Served) -> None:
    core = pool.space.core
    for gone in ((), ("aunt",), ("aunt", "desk", "cloud")):
        for name in gone:
            pool.world.stores[name].gone = True
        await core.pool.ask_all(5)
        known, looked = await status_at_hand(core, await at_hand(core)), await status(core)
        assert known.promise == looked.promise
        assert (known.away, known.owed_shares, known.packs, known.versions) == (
            looked.away, looked.owed_shares, looked.packs, looked.versions,
        )  # fmt: skip
        assert 0 < known.stored <= looked.stored + 100_000 * len(gone) + 10**7


async def test_a_killed_store_puts_the_promise_at_risk_and_says_what_to_do(pool: Served, inside: Client) -> None:
    pool.world.stores["aunt"].gone = True
    pool.world.clock.seconds += 300
    await look(inside)
    page = (await inside.get(PROMISE)).text
    text = words(page)
    assert "The promise is at risk. Reliable : at risk, Available : at risk." in text
    assert "Any 1 of 5 stores may fail; 2 were promised." in text
    assert "aunt does not answer, last heard 5 min ago. Bring it back: " in text
    assert "ropewalk space remove-store photos aunt" in text
    assert 'href="/spaces/photos/pool/?store=aunt"' in page
    assert "4 of 5 answered" in text


async def test_too_many_stores_away_break_it_and_nothing_is_called_lost(pool: Served, inside: Client) -> None:
    for name in ("aunt", "desk", "cloud"):
        pool.world.stores[name].gone = True
    await look(inside)
    text = words((await inside.get(PROMISE)).text)
    assert "The promise is broken." in text
    assert "Not readable until more stores answer: 1 pack with" in text
    assert "No change can be acknowledged now." in text
    assert "Lost for good" not in text
    assert "Too many stores are missing now for what was promised." in text


async def test_what_is_lost_for_good_is_called_so(pool: Served, inside: Client) -> None:
    pack = await pack_of(pool.space)
    for share in pack.shares[:3]:
        await pool.space.core.ledger.do(State.mark_damaged, pack.id, share.number, share.store)
    text = words((await inside.get(PROMISE)).text)
    assert "The promise is broken." in text
    assert "Lost for good: 1 pack with" in text
    assert "3 pieces are damaged; this makes what is damaged anew: ropewalk repair photos" in text
    assert "Too few pieces are left of a part of the data." in text


async def test_what_is_owed_is_told_with_what_pays_it(tmp_path: Path) -> None:
    world = await a_pool(tmp_path / "home")
    async with served(tmp_path, world=world) as one:
        world.stores["cloud"].rules.append(Rule(Fault.FULL, on={"put"}))
        await fill(one.space)
        client = await one.client()
        text = words((await client.get(PROMISE)).text)
        assert "1 piece is not in a store yet." in text
        assert "ropewalk repair photos" in text
        world.stores["cloud"].rules.clear()
        await one.space.core.pool.ask_all(5)
        await one.space.pay()
        found = cards(one, await Looking(rests=0).known(one.space))
        assert {card.state for card in found.values()} == {"kept"}


async def test_those_who_are_trusted_less_are_named_with_since_when(pool: Served) -> None:
    known = await Looking().known(pool.space)
    group = Distrust([("Eve's phone", b"e" * 32, 10**18)], [("Mallory", b"m" * 32)], 2)
    stale = Freshness(Word.STALE, since=10**18, device=b"e" * 32, missing=1)
    found = cards(pool, replace(known, status=replace(known.status, group=group, fresh=stale, heard="Eve")))
    (exposed,) = found["private"].todo
    assert exposed.text.startswith("Eve's phone was put out and can still read what is new since 2001-09-")
    assert exposed.href == "/spaces/photos/members/"
    assert found["private"].state == found["secure"].state == "broken"
    assert [one.text.partition(" ")[0] for one in found["secure"].todo] == ["Mallory", "2"]
    assert any("no other device was heard since 2001-09-" in line for line in found["available"].measured)
    assert any("1 change was heard of that no store that answers has" in one.text for one in found["available"].todo)
    assert found["available"].state == "at risk"


async def test_one_copy_of_the_keys_and_stores_that_stand_too_near_are_a_risk(pool: Served) -> None:
    known = await Looking().known(pool.space)
    promise = known.status.promise
    near = replace(promise, keys=promise.keys[:1], survive={"store": 2, "site": 1})
    kinds = tuple(replace(one, asked=1) if one.kind == "site" else one for one in promise.keeps.kinds)
    near = replace(near, keeps=replace(promise.keeps, kinds=kinds))
    found = cards(pool, replace(known, status=replace(known.status, promise=near)))["reliable"]
    assert found.state == "at risk"
    assert [one.command for one in found.todo] == ["ropewalk repair photos", "ropewalk recovery paper"]
    assert "The pieces do not lie far enough apart: site." in found.todo[0].text
    assert "There is one copy of the keys, this device. If it is lost, everything is." in found.told.breaks


async def test_a_space_with_one_store(tmp_path: Path) -> None:
    async with served(tmp_path, world=await a_pool(tmp_path / "home", {"only": {}}, {"store": 0})) as one:
        await fill(one.space)
        text = words((await (await one.client()).get(PROMISE)).text)
        assert "No loss was promised to be survived." in text
        assert "If only fails, everything is lost." in text
        assert "1 of 1 store answers." in text


async def test_hostile_names_are_text_in_sentences_and_commands(tmp_path: Path) -> None:
    world = await a_pool(tmp_path / "home", {HOSTILE: {"machine": "<b>x</b>"}, "b": {}, "c": {}}, {"store": 1})
    async with served(tmp_path, world=world) as one:
        await fill(one.space)
        world.stores[HOSTILE].gone = True
        client = await one.client()
        await look(client)
        page = (await client.get(PROMISE)).text
        assert "<script>" not in page
        assert "<b>x" not in page
        assert "\u202e" not in page
        assert "remove-store photos '\"><script>" in words(page)


async def test_no_key_and_no_pack_are_told(pool: Served) -> None:
    promise = replace((await Looking().known(pool.space)).status.promise, keys=())
    found = told(promise, 2)
    assert found["reliable"].broken
    assert found["reliable"].now[0] == "No copy of the keys is left."
    assert found["private"].now == ["No key is left, so nobody can read."]
    assert "only rounded sizes of them" in found["private"].promised[1]
    assert found["secure"].now == ["No key may write, so nobody can change anything."]


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/spaces/away/promise/", 503, "pages.not-open"),
        ("/spaces/none/promise/", 404, "pages.no-such-space"),
        (f"{PROMISE}below", 400, "pages.bad-address"),
    ],
)
async def test_what_is_not_there_is_refused(inside: Client, target: str, status: int, code: str) -> None:
    answer = await inside.get(target, accept="application/json")
    assert (answer.status, answer.code) == (status, code)


async def test_nothing_is_added_up_again_while_nothing_changes(pool: Served) -> None:
    looking = Looking()
    first = await looking.known(pool.space)
    assert (await looking.known(pool.space)).status.promise is first.status.promise
    pool.space.core.pool.draining = frozenset({"desk"})
    assert (await looking.known(pool.space)).status.draining == ("desk",)
    await pool.space.write("more", b"m" * 1_000_000)
    looking = Looking(clock=lambda: 0.0)
    assert (await looking.known(pool.space)).status.versions == 2
    await pool.space.write("more yet", b"m")
    assert (await looking.known(pool.space)).status.versions == 3
