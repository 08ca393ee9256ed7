"""Invites from the pages: by a code or a picture somebody comes in, once; whatever else happens is said."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from ropewalk.errors import RopewalkError
from ropewalk.pages.space import invitations, inviting
from ropewalk.spaces.group import BelowFloor, Group
from ropewalk.spaces.invites import Code, JoinerKeys, qr, read_invite
from ropewalk.spaces.members import Consent, Role
from tests.pages.browser import served
from tests.pages.meeting import code_in, meeting, texts
from tests.spaces.house import admit, built, come, create


async def test_somebody_joins_by_the_code_that_is_shown(tmp_path: Path) -> None:
    async with meeting(tmp_path) as one:
        page = await one.invite(role="reader", name="<b>bob</b>")
        shown = await one.client.get(page)
        assert "Waits for the other machine" in texts(shown)
        assert f"ropewalk join {code_in(shown)} --mailbox memory://" in texts(shown)
        assert "This machine is the mailbox itself" in texts(shown)
        listed = texts(await one.client.get("/spaces/photos/members"))
        assert "&lt;b&gt;bob&lt;/b&gt; as a reader by code" in listed
        invited = await one.join(code_in(shown))
        said = await one.ended(page)
        assert "&lt;b&gt;bob&lt;/b&gt; is in photos now, as reader, with bobs laptop." in said
        again = await one.client.get(page)
        assert code_in(shown) not in again.text, "what was used is shown no more"
        members = await one.client.get("/spaces/photos/members")
        assert "<b>bob</b>" not in members.text
        assert "Open invites" not in members.text
        (here,) = await one.arrive(invited)
        assert (here.name, here.role) == ("photos", Role.READER)


async def test_an_invite_that_is_handed_over_has_a_picture_and_a_file(tmp_path: Path) -> None:
    async with meeting(tmp_path) as one:
        page = await one.invite(by="file", role="admin", name="carol")
        shown = await one.client.get(page)
        assert "as good as a key" in texts(shown)
        assert '<svg viewBox="' in shown.text
        assert "style=" not in shown.text, "our policy lets no style in by itself"
        file = await one.client.get(page.replace("/invite/", "/invite-file/"))
        assert (file.status, file.headers["content-disposition"].split(";")[0]) == (200, "attachment")
        assert read_invite(file.body).text() in shown.text
        await one.join(read_invite(file.body), "carol")
        assert "carol is in photos now, as admin" in await one.ended(page)
        assert "<svg" not in (await one.client.get(page)).text
        assert (await one.client.get(page.replace("/invite/", "/invite-file/"))).status == 404


async def test_a_file_that_is_too_much_for_a_picture_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = qr.inline
    monkeypatch.setattr(qr, "inline", lambda text: inner(text * 100))  # what segno itself says of so much
    async with meeting(tmp_path) as one:
        page = await one.invite(by="file")
        shown = await one.client.get(page)
        assert "no picture holds them" in texts(shown)
        file = await one.client.get(page.replace("/invite/", "/invite-file/"))
        await one.join(read_invite(file.body))
        assert "bob is in photos now" in await one.ended(page)


async def test_only_the_browser_that_made_it_is_shown_the_code(tmp_path: Path) -> None:
    async with meeting(tmp_path) as one:
        said = await one.invite()
        code = code_in(await one.client.get(said))
        for page in (await one.invite(by="file"), said):
            other = await one.served.client()
            seen = await other.get(page)
            assert "shown only in the browser that made this invite" in texts(seen)
            assert (code_in(seen), "<svg" in seen.text) == ("", False)
            assert (await other.get(page.replace("/invite/", "/invite-file/"))).status == 404
        await one.client.post("/leave")
        again = await one.served.client()
        assert code not in (await again.get(said)).text


async def test_what_was_used_is_not_shown_while_somebody_is_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    come, go = asyncio.Event(), asyncio.Event()
    admit_now = invitations._Door.admit

    async def slowly(door: invitations._Door, joiner: JoinerKeys, consent: Consent) -> bytes:
        come.set()
        await go.wait()
        return await admit_now(door, joiner, consent)

    monkeypatch.setattr(invitations._Door, "admit", slowly)
    async with meeting(tmp_path) as one, asyncio.TaskGroup() as group:
        page = await one.invite()
        code = code_in(await one.client.get(page))
        joining = group.create_task(one.join(code))
        await come.wait()
        shown = await one.client.get(page)
        assert "Somebody has answered, and is being let in" in texts(shown)
        assert code not in shown.text
        assert "Withdraw the invite" not in shown.text
        go.set()
        await joining
        assert "bob is in photos now" in await one.ended(page)


async def test_a_wrong_guess_voids_it(tmp_path: Path) -> None:
    async with meeting(tmp_path) as one:
        page = await one.invite()
        code = Code.parse(code_in(await one.client.get(page)))
        with pytest.raises(RopewalkError):
            await one.join(str(Code(code.number, bytes([code.secret[0] ^ 1, code.secret[1]]))))
        said = await one.ended(page)
        assert "void" in said
        assert "wrong code" in said or "did not go on" in said
        with pytest.raises(RopewalkError):
            await one.join(str(code))
        assert len(one.space.people()) == 1


async def test_one_that_is_withdrawn_lets_nobody_in(tmp_path: Path) -> None:
    async with meeting(tmp_path) as one:
        page = await one.invite()
        code = code_in(await one.client.get(page))
        identity = page.rpartition("/")[2]
        done = await one.client.post("/spaces/photos/invite-withdraw", [("id", identity)])
        assert done.status == 303
        assert "Withdrawn: nobody can join" in texts(await one.client.get(done.headers["location"]))
        assert "was withdrawn" in await one.ended(page)
        with pytest.raises(RopewalkError):
            await one.join(code)
        again = await one.client.post("/spaces/photos/invite-withdraw", [("id", identity)])
        assert (again.status, again.code) == (403, "invite.used")
        nothing = await one.client.post("/spaces/photos/invite-withdraw", [("id", "00" * 16)])
        assert (nothing.status, nothing.code) == (404, "invite.unknown")


@pytest.mark.slow
async def test_one_whose_time_is_over_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with meeting(tmp_path) as one:
        monkeypatch.setitem(inviting.LIVES, "1 hour", 3)
        page = await one.invite()
        assert "Nobody came in time" in await one.ended(page)
        assert one.invites.open_ids() == []


async def test_two_at_once_let_each_their_own_in(tmp_path: Path) -> None:
    async with meeting(tmp_path) as one:
        pages = [await one.invite(name=name) for name in ("bob", "carol")]
        codes = [code_in(await one.client.get(page)) for page in pages]
        assert texts(await one.client.get("/spaces/photos/members")).count("Withdraw") == 2
        await asyncio.gather(one.join(codes[0], "bob"), one.join(codes[1], "carol"))
        assert "bob is in photos now" in await one.ended(pages[0])
        assert "carol is in photos now" in await one.ended(pages[1])
        assert {person.name for person in one.space.people()} >= {"bob", "carol"}


async def test_no_more_wait_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MOST_WAITING", 1)
    async with meeting(tmp_path) as one:
        await one.invite()
        answer = await one.client.post(
            "/spaces/photos/invite",
            [("whom", "member"), ("role", "reader"), ("name", ""), ("life", "1 hour"), ("by", "code")],
        )
        assert (answer.status, answer.code) == (403, "invite.too-many")


async def test_what_ended_long_ago_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MOST_KNOWN", 1)
    async with meeting(tmp_path) as one:
        first = await one.invite()
        await one.client.post("/spaces/photos/invite-withdraw", [("id", first.rpartition("/")[2])])
        await one.ended(first)
        second = await one.invite()
        gone = await one.client.get(first)
        assert gone.status == 404
        assert "/spaces/photos/members" in gone.text, "it leads back to who was asked for it"
        assert (await one.client.get(second)).status == 200


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"role": "king"}, "pages.bad-form"),
        ({"life": "a year"}, "pages.bad-form"),
        ({"by": "pigeon"}, "pages.bad-form"),
        ({"whom": "all"}, "pages.bad-form"),
        ({"name": "x" * 300}, "members.bad-name"),
    ],
)
async def test_what_the_form_does_not_have_is_refused(tmp_path: Path, fields: dict[str, str], code: str) -> None:
    async with meeting(tmp_path) as one:
        asked = {"whom": "member", "role": "writer", "name": "", "life": "1 hour", "by": "code"} | fields
        answer = await one.client.post("/spaces/photos/invite", list(asked.items()))
        assert answer.status in (400, 403)
        assert answer.code == code
        assert one.invites.open_ids() == []


async def test_a_reader_may_not_invite_and_is_told_who_may(tmp_path: Path) -> None:
    house = await built(tmp_path)
    invited = await admit(house, role=Role.READER)
    await come(house, invited)
    async with meeting(tmp_path, "bob", house=house) as one:
        page = await one.client.get("/spaces/photos/members")
        assert "Only an admin changes who belongs: ask" in texts(page)
        assert "Invite somebody" not in page.text
        assert "Change the role" not in page.text
        assert "Add a machine of yours" in page.text
        asked = [("whom", "member"), ("role", "reader"), ("name", ""), ("life", "1 hour"), ("by", "code")]
        answer = await one.client.post("/spaces/photos/invite", asked)
        assert answer.status == 403
        assert "only an admin" in answer.json["error"]["message"]


async def test_a_machine_of_ones_own_comes_into_the_spaces_that_are_open(tmp_path: Path) -> None:
    house = await built(tmp_path)
    await create(house, "music")
    async with meeting(tmp_path, "admin", "photos", "music", house=house) as one:
        one.held["away"] = None
        assert "Not in away , which is not open now." in texts(await one.client.get("/spaces/photos/members"))
        page = await one.invite(whom="device")
        invited = await one.join(code_in(await one.client.get(page)), "dave")
        assert "is in photos now, as admin, with daves laptop." in await one.ended(page)
        found = await one.arrive(invited, "dave")
        assert {each.name for each in found} == {"photos", "music"}
        assert "daves laptop" in texts(await one.client.get("/spaces/music/members"))


async def test_a_space_to_which_we_do_not_belong_any_more_keeps_no_machine_of_ours_out(tmp_path: Path) -> None:
    house = await built(tmp_path)
    await create(house, "music")
    await come(house, await admit(house))  # bob is in photos
    await come(house, await admit(house, ["music"]))
    async with house.open("admin", "photos") as (photos,), photos.group() as group:
        await group.remove(next(person.id for person in photos.people() if not person.ours))
    async with meeting(tmp_path, "bob", "photos", "music", house=house) as one:
        await one.space.current()
        members = texts(await one.client.get("/spaces/music/members"))
        assert "all that you may, in music ." in members
        asked = {"whom": "device", "role": "", "name": "", "life": "1 hour", "by": "code"}
        answer = await one.client.post("/spaces/music/invite", list(asked.items()))
        assert answer.status == 303, answer.text
        page = answer.headers["location"]
        await one.join(code_in(await one.client.get(page)), "dave")
        assert "is in music now" in await one.ended(page)
        answer = await one.client.post("/spaces/photos/invite", list(asked.items()))
        assert answer.status == 403, "where we do not belong, nobody is let in"


async def test_who_was_let_in_is_told_of_though_the_space_was_closed_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit_now = invitations._Door.admit

    async with meeting(tmp_path) as one:

        async def and_close(door: invitations._Door, joiner: JoinerKeys, consent: Consent) -> bytes:
            given = await admit_now(door, joiner, consent)
            one.held["photos"] = None
            return given

        monkeypatch.setattr(invitations._Door, "admit", and_close)
        page = await one.invite(name="bob")
        invited = await one.join(code_in(await one.client.get(page)))
        one.held["photos"] = one.space
        said = await one.ended(page)
        assert "bob is in photos now" in said
        assert "did not work" not in said
        assert len(await one.arrive(invited)) == 1


async def test_who_was_let_into_a_part_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = await built(tmp_path)
    await create(house, "music")
    add, let = Group.add_device, 0

    async def once(group: Group, *more: Any) -> Any:
        nonlocal let
        let += 1
        if let > 1:
            raise BelowFloor("too few stores are there")
        return await add(group, *more)

    monkeypatch.setattr(Group, "add_device", once)
    async with meeting(tmp_path, "admin", "photos", "music", house=house) as one:
        page = await one.invite(whom="device")
        with pytest.raises(RopewalkError):
            await one.join(code_in(await one.client.get(page)), "dave")
        said = await one.ended(page)
        assert "It did not work: too few stores are there" in said
        ins = [name for name, space in one.held.items() if space and "daves laptop" in str(space.people())]
        assert len(ins) == 1
        assert f"Who came is in {ins[0]} all the same" in said


async def test_an_invite_is_withdrawn_by_a_space_into_which_it_leads(tmp_path: Path) -> None:
    house = await built(tmp_path)
    await create(house, "music")
    async with meeting(tmp_path, "admin", "photos", "music", house=house) as one:
        page = await one.invite()
        identity = page.rpartition("/")[2]
        answer = await one.client.post("/spaces/music/invite-withdraw", [("id", identity)])
        assert (answer.status, answer.code) == (404, "invite.unknown")
        assert "Waits for the other machine" in texts(await one.client.get(page))
        assert (await one.client.get(page.replace("photos", "music"))).status == 404
        assert (await one.client.post("/spaces/photos/invite-withdraw", [("id", identity)])).status == 303


async def test_one_that_is_asked_for_as_the_pages_stop_is_refused(tmp_path: Path) -> None:
    async with meeting(tmp_path) as one:
        app = one.served.app.invitations
        work = asyncio.create_task(app.work())  # as the pages do it
        await asyncio.sleep(0)
        work.cancel()
        ends = time.time_ns() + 900 * 10**9
        late = invitations.Invitation(None, ["photos"], Role.READER, "", by_file=False, ends=ends)
        with pytest.raises(invitations.NotInviting):  # its task ends before it begins
            async with asyncio.timeout(60):
                await app.begin(late)
        with pytest.raises(asyncio.CancelledError):
            await work
        assert one.invites.open_ids() == []


async def test_it_is_let_in_by_the_space_as_it_is_open_then(tmp_path: Path) -> None:
    async with meeting(tmp_path) as one:
        page = await one.invite(name="bob")
        code = code_in(await one.client.get(page))
        one.held["photos"] = None
        with pytest.raises(RopewalkError):
            await one.join(code)
        one.held["photos"] = one.space
        said = await one.ended(page)
        assert "It did not work: space photos is not open now" in said


async def test_the_end_of_the_pages_is_the_end_of_what_waits(tmp_path: Path) -> None:
    async with meeting(tmp_path) as one:
        page = await one.invite()
        code = code_in(await one.client.get(page))
        assert len(one.invites.open_ids()) == 1
        one.working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one.working
        assert one.invites.open_ids() == [], "it is void on the disk, too"
        with pytest.raises(RopewalkError):
            await one.join(code)
        with pytest.raises(invitations.NotInviting):
            await one.served.app.invitations.begin(
                invitations.Invitation(None, ["photos"], Role.READER, "", by_file=False, ends=1 << 62)
            )
        assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "invite"] == []


async def test_without_what_it_takes_the_page_says_how_else(tmp_path: Path) -> None:
    async with served(tmp_path) as one:
        client = await one.client()
        page = await client.get("/spaces/photos/members")
        assert "ropewalk invite photos does it" in texts(page)
        assert "Invite somebody" not in page.text
        asked = [("whom", "member"), ("role", "reader"), ("name", ""), ("life", "1 hour"), ("by", "code")]
        answer = await client.post("/spaces/photos/invite", asked)
        assert (answer.status, answer.code) == (503, "pages.not-inviting")
        answer = await client.post("/spaces/photos/invite-withdraw", [("id", "00" * 16)])
        assert (answer.status, answer.code) == (503, "pages.not-inviting")
