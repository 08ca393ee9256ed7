"""Members on a page: who belongs, with what role and devices, and what may be changed about it from here."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ropewalk.pages.space import people as people_pages
from ropewalk.spaces.members import Role
from tests.pages.browser import Client
from tests.pages.chromium import chromium
from tests.pages.meeting import Meeting, meeting, texts
from tests.spaces.house import admission, admit, built, come, joiner, let_in
from tests.spaces.making import paper


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Meeting]:
    """The admin's pages of a space in which bob writes."""
    house = await built(tmp_path)
    await come(house, await admit(house))
    async with house.open("bob", "photos") as (space,):
        await space.write("from bob", b"1")
    async with meeting(tmp_path, house=house) as made:
        await made.space.current()
        yield made


def person(one: Meeting, name: str) -> str:
    return next(each.id.hex() for each in one.space.people() if each.name == name)


def mine(one: Meeting) -> str:
    return next(each.id.hex() for each in one.space.people() if each.ours)


async def after(client: Client, what: str, *fields: tuple[str, str]) -> str:
    """What the page says once something was done."""
    done = await client.post(f"/spaces/photos/{what}", fields)
    assert done.status == 303, done.text
    return texts(await client.get(done.headers["location"]))


async def test_who_belongs_is_shown_with_role_and_devices(one: Meeting) -> None:
    (bob,) = [each for each in one.space.people() if each.name == "bob"]
    bobs = next(machine.id.hex()[:8] for machine in bob.machines if not machine.paper)
    said = texts(await one.client.get("/spaces/photos/members"))
    assert "you Admin : reads and changes everything, and says who belongs. Since" in said
    assert "this machine" in said
    assert "24 words on paper" in said
    assert "bob Writer : reads and changes everything. Since" in said
    assert f"device {bobs} since" in said, "it has not said what it is called"
    assert "last wrote" in said


async def test_a_role_is_changed_and_it_is_written_down(one: Meeting, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ropewalk.pages.audit"):
        said = await after(one.client, "member-role", ("who", person(one, "bob")), ("role", "reader"))
    assert "bob is reader now: reads everything." in said
    assert [each.role for each in one.space.people() if each.name == "bob"] == [Role.READER]
    assert "make bob reader of photos: done" in caplog.text
    again = await one.client.post("/spaces/photos/member-role", [("who", person(one, "bob")), ("role", "reader")])
    assert (again.status, again.code) == (400, "misuse")


async def test_a_member_who_is_put_out_is_gone_and_named_as_such(one: Meeting) -> None:
    said = await after(one.client, "member-remove", ("who", person(one, "bob")))
    assert "bob does not belong to photos any more. What is written from now on is sealed" in said
    assert "Not here any more bob , put out" in said
    assert len(one.space.people()) == 1
    async with one.house.open("bob", "photos") as (space,):
        await space.current()
        one.held["photos"] = space
        bobs = texts(await one.client.get("/spaces/photos/members"))
    assert "This device was put out of this space." in bobs
    assert "Nobody can be invited from here." in bobs


async def test_who_was_let_in_by_who_is_out_is_named(one: Meeting) -> None:
    await after(one.client, "member-role", ("who", person(one, "bob")), ("role", "admin"))
    async with one.house.open("bob", "photos") as (space,):
        await let_in(admission(one.house, [space], Role.READER), joiner("carol", with_paper=False))
    async with one.space.group():
        pass  # it learns of carol
    said = await after(one.client, "member-remove", ("who", person(one, "bob")))
    assert "bob had let in, and they stay: carol." in said


@pytest.mark.parametrize(
    ("what", "fields", "status", "code"),
    [
        ("member-role", {"who": "mine", "role": "reader"}, 403, "group.last-admin"),
        ("member-remove", {"who": "mine"}, 400, "misuse"),
        ("member-remove", {"who": "00" * 32}, 404, "members.no-such-person"),
        ("member-remove", {"who": "bob"}, 404, "members.no-such-person"),
        ("member-remove", {}, 400, "pages.bad-form"),
        ("member-role", {"who": "mine", "role": "king"}, 400, "pages.bad-form"),
        ("device-revoke", {"device": "this"}, 400, "misuse"),
        ("device-revoke", {"device": "paper"}, 400, "misuse"),
        ("device-revoke", {"device": "bobs"}, 400, "misuse"),
        ("device-revoke", {"device": "00" * 32}, 404, "members.no-such-person"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_changes_nothing(
    one: Meeting, what: str, fields: dict[str, str], status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    devices = {
        "mine": mine(one),
        "this": one.space.core.device.public().id.hex(),
        "paper": paper().public().id.hex(),
        "bobs": next(each.machines[0].id.hex() for each in one.space.people() if each.name == "bob"),
    }
    before = one.space.people()
    with caplog.at_level(logging.INFO, "ropewalk.pages.audit"):
        answer = await one.client.post(
            f"/spaces/photos/{what}", [(key, devices.get(value, value)) for key, value in fields.items()]
        )
    assert (answer.status, answer.code) == (status, code)
    assert one.space.people() == before
    if code != "pages.bad-form":
        (line,) = [record.getMessage() for record in caplog.records if record.name == "ropewalk.pages.audit"]
        assert line.endswith(" photos: refused")


async def test_a_writer_is_offered_nothing_of_it_and_refused_it(tmp_path: Path) -> None:
    house = await built(tmp_path)
    await come(house, await admit(house))
    async with meeting(tmp_path, "bob", house=house) as one:
        page = await one.client.get("/spaces/photos/members")
        assert "Put out" not in page.text
        assert "Change the role" not in page.text
        admin = next(each.id.hex() for each in one.space.people() if not each.ours)
        for what, more in (("member-role", [("role", "reader")]), ("member-remove", [])):
            answer = await one.client.post(f"/spaces/photos/{what}", [("who", admin), *more])
            assert answer.status == 403, what
        assert len(one.space.people()) == 2


async def test_a_device_of_ones_own_is_put_out_and_stays_listed_as_such(tmp_path: Path) -> None:
    house = await built(tmp_path)
    await come(house, await admit(house, role=None))
    async with meeting(tmp_path, house=house) as one:
        page = await one.client.get("/spaces/photos/members")
        assert page.text.count("Put this device out") == 1, "neither this machine nor the paper key"
        laptop = next(
            machine.id.hex()
            for each in one.space.people()
            for machine in each.machines
            if machine.name == "bobs laptop"
        )
        said = await after(one.client, "device-revoke", ("device", laptop))
        assert "bobs laptop does not belong to photos any more." in said
        assert "bobs laptop put out" in said
        assert "Put this device out" not in said
        gone = await one.client.post("/spaces/photos/device-revoke", [("device", laptop)])
        assert (gone.status, gone.code) == (404, "members.no-such-person")


async def test_names_are_text_whatever_they_are(one: Meeting) -> None:
    async with one.space.group() as group:
        await group.call(bytes.fromhex(person(one, "bob")), "<i>b</i>")
    page = await one.client.get("/spaces/photos/members")
    assert "<i>b</i>" not in page.text
    assert "&lt;i&gt;b&lt;/i&gt;" in page.text


def test_each_role_has_words() -> None:
    assert set(people_pages.MAY) == set(Role)


@pytest.mark.slow
@pytest.mark.system
async def test_in_a_browser_somebody_is_invited_and_put_out(one: Meeting) -> None:
    async with chromium(one.served) as window:
        page = window.page
        await window.open("members")
        await page.get_by_text("Invite somebody", exact=True).click()
        await page.get_by_label("Name").fill("carol")
        await page.locator("details[open]").get_by_role("button", name="Make the invite").click()
        await page.locator(".code").wait_for()
        code = await page.locator(".code code").inner_text()
        await one.join(code, "carol")
        await page.get_by_text("carol is in photos now").wait_for()  # the page looks by itself
        await window.open("members")
        carol = page.locator(".person", has_text="carol")
        await carol.get_by_text("Put out", exact=True).click()
        await carol.get_by_role("button", name="Put carol out").click()
        await page.get_by_text("carol does not belong to photos any more").wait_for()
        assert window.complaints == []
