"""The audit of a space in a browser: who did what, what was found out, and what to do about it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from ropewalk.cli.output import iso
from ropewalk.pages import HeldSpaces, SpacePages
from ropewalk.pages.space import audit as audit_pages
from ropewalk.pages.space.audit import MORE
from ropewalk.pages.space.told import Line, Told
from ropewalk.spaces.audit import Audit, Deed, Effect, HeadLine, ProofLine, RecordLine, Stand, audit
from ropewalk.spaces.core import Core
from ropewalk.spaces.deeds import Deeds
from ropewalk.spaces.members import Names
from ropewalk.spaces.proof import Kind, verify
from tests.pages.browser import ORIGIN, Client, Served
from tests.pages.chromium import chromium
from tests.spaces.cloning import forked


@asynccontextmanager
async def copied(tmp_path: Path) -> AsyncIterator[Served]:
    """The pages of a space whose device was copied, and wrote two things under one number."""
    world, _ = await forked(tmp_path)
    async with world.open() as space:
        app = SpacePages(HeldSpaces(lambda: {"photos": space}), tmp_path / "web", clock=world.clock)
        keeping = asyncio.create_task(app.work(ORIGIN))
        try:
            while not app.entrance.file.exists():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
            yield Served(app, space, world.clock, world)
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping


async def lines(client: Client, query: str = "") -> list[dict[str, object]]:
    answer = await client.get(f"/spaces/photos/audit.jsonl{query}")
    assert answer.status == 200
    assert "attachment" in answer.headers["content-disposition"]
    return [json.loads(line) for line in answer.body.splitlines()]


async def test_who_did_what_stands_there_newest_first(pages: Served, client: Client) -> None:
    for name in ("first", "second"):
        async with pages.space.change(f"wrote {name}") as change:
            await change.write(name, name.encode())
    page = (await client.get("/spaces/photos/audit")).text
    assert page.index("wrote second") < page.index("wrote first")
    assert "made the space" in page
    assert "verified, and counts" in page
    assert "ropewalk.pages.audit" in page
    told = await lines(client)
    assert [(one["kind"], one.get("deed"), one.get("note")) for one in told] == [
        ("record", "epoch", None),
        ("record", "begin", None),
        ("head", None, "wrote second"),
        ("head", None, "wrote first"),
    ]
    assert str(told[2]["version"]) in page
    assert "<script" not in page, "nothing here needs one"


async def test_lines_are_chosen_by_kind_and_person(pages: Served, client: Client) -> None:
    await pages.space.write("a", b"1")
    (person,) = pages.space.people()
    assert {one["kind"] for one in await lines(client, "?kind=change")} == {"head"}
    assert {one["kind"] for one in await lines(client, "?kind=member")} == {"record"}
    assert await lines(client, "?kind=found") == []
    assert len(await lines(client, f"?who={person.id.hex()}")) == 3
    assert await lines(client, f"?who={'00' * 32}") == []
    page = (await client.get(f"/spaces/photos/audit?kind=found&who={person.id.hex()}")).text
    assert f'value="{person.id.hex()}" selected' in page
    assert "Nothing was found out" in (await client.get("/spaces/photos/audit?kind=found")).text
    for query in ("kind=all", "who=xyz", "who=abc", f"who={'0' * 66}", "start=-1", "start=x"):
        answer = await client.get(f"/spaces/photos/audit?{query}", accept="application/json")
        assert (answer.status, answer.code) == (400, "pages.bad-address")


async def test_a_page_has_so_many_lines_and_leads_to_the_older_ones(
    pages: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropewalk.pages.space.audit.MORE", 2)
    assert MORE == 100
    for number in range(3):
        async with pages.space.change(f"number {number}") as change:
            await change.write("a", bytes((number,)))
    found: list[str] = []
    target = "/spaces/photos/audit?kind=change"
    for _ in range(5):
        page = (await client.get(target)).text
        found += re.findall(r"number \d", page)
        following = re.search(r'<a href="([^"]+)">Older lines', page)
        if following is None:
            break
        target = following[1].replace("&amp;", "&")
    assert found == ["number 2", "number 1", "number 0"]
    assert "No more lines." in (await client.get("/spaces/photos/audit?kind=change&start=50")).text


@pytest.mark.parametrize("note", ["</span><script>alert(1)</script>", "\u202egpj.exe", "two\nlines"])
async def test_what_others_wrote_is_text(pages: Served, client: Client, note: str) -> None:
    async with pages.space.change(note) as change:
        await change.write("a", b"1")
    page = (await client.get("/spaces/photos/audit")).text
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert [one for one in await lines(client) if one.get("note") == note]


async def test_what_was_found_out_comes_first_with_its_proof(tmp_path: Path) -> None:
    async with copied(tmp_path) as pages:
        client = await pages.client()
        page = (await client.get("/spaces/photos/audit")).text
        assert page.index("signed two different changes as one and the same") < page.index("made the space")
        for words in ("proven: anyone can check it", "Its keys are in two places", "there are two changes"):
            assert words in page
        (proof,) = [one for one in await lines(client) if one["kind"] == "proof"]
        answer = await client.get(f"/spaces/photos/proof/?id={proof['id']}")
        assert verify(answer.body).kind is Kind.FORK
        assert "attachment" in answer.headers["content-disposition"]
        for bad in ("", "00" * 32, "x"):
            missing = await client.get(f"/spaces/photos/proof/?id={bad}", accept="application/json")
            assert (missing.status, missing.code) == (404, "pages.no-such-proof")


async def test_each_state_is_said_in_words(pages: Served) -> None:
    device = pages.space.core.device.public().id
    name = bytes(32)
    found = Audit(
        records=[
            RecordLine(b"1" * 32, Deed.ADD, device),
            RecordLine(b"2" * 32, Deed.REMOVE, device, effect=Effect.STRUCK, by=b"1" * 32, why="removed"),
            RecordLine(b"3" * 32, Deed.POLICY, device, effect=Effect.VOID),
            RecordLine(b"4" * 32, Deed.PROOF, device),
        ],
        heads=[HeadLine(bytes((at,)) * 32, device, device, at, 1, "", stand) for at, stand in enumerate(Stand)],
        proofs=[
            ProofLine(name, Kind.ROLLBACK, False, device, device, (0, 0), device, b"s" * 16),
            *(ProofLine(name, kind, True, device, device, (1, 1)) for kind in Kind if kind is not Kind.ROLLBACK),
        ],
        doubled=[(b"1" * 32, b"2" * 32)],
        frozen=frozenset((device,)),
        forks=[(device, 2)],
        standing=[],
    )
    names = Names(pages.space.core.membership, pages.space.core.keys)
    told = [line() for line in Told(Deeds(found, names, {b"s" * 16: "disk\u202e"})).lines()]
    states = [line.state for line in told]
    for words in ("testimony: the word of one device", "verified, and had no effect: who signed it might not do that"):
        assert words in states
    assert any(state.endswith("had removed who signed it, at the same time") for state in states)
    assert [line.state for line in told[-3:]] == [
        "refused",
        "in quarantine: who signed it might not, or might not any more",
        "verified, and counts",
    ]
    assert all(line.to_do for line in told if line.kind == "found")
    assert "store disk\\u202e" in [line.who for line in told]
    json.dumps([dict(line.fields) for line in told])


async def test_an_audit_is_made_once_for_each_change_and_a_line_for_each_that_is_shown(
    pages: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    audits, made = 0, 0
    inner, head = audit, Told._head

    async def counted(core: Core) -> Audit:
        nonlocal audits
        audits += 1
        return await inner(core)

    def counted_head(self: Told, line: HeadLine) -> Line:
        nonlocal made
        made += 1
        return head(self, line)

    monkeypatch.setattr(audit_pages, "audit", counted)
    monkeypatch.setattr(Told, "_head", counted_head)
    monkeypatch.setattr(audit_pages, "MORE", 2)
    for number in range(5):
        await pages.space.write("a", bytes((number,)))
    for start in (0, 1, 2):
        assert (await client.get(f"/spaces/photos/audit?kind=change&start={start}")).status == 200
    assert (audits, made) == (1, 9), "two lines of each page, and whether there is one more"
    await asyncio.gather(*(client.get("/spaces/photos/audit?kind=member") for _ in range(5)))
    assert (audits, made) == (1, 9)
    await pages.space.write("b", b"1")
    assert len(await lines(client, "?kind=change")) == 6
    assert audits == 2


async def test_times_are_written_as_the_command_line_does(pages: Served, client: Client) -> None:
    await pages.space.write("a", b"1")
    (head,) = await pages.space.log()
    (line,) = await lines(client, "?kind=change")
    assert line["time"] == iso(head.time)


async def test_all_of_it_is_only_read(pages: Served, client: Client) -> None:
    await pages.space.write("a", b"1")
    before = len(await pages.space.log())
    for what in ("audit", "audit.jsonl", "proof"):
        assert (await client.post(f"/spaces/photos/{what}")).status == 405
    assert len(await pages.space.log()) == before


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("width", [1280, 360])
async def test_the_audit_in_a_browser(tmp_path: Path, width: int) -> None:
    size = {"width": width, "height": 800}
    scheme = "dark" if width == 360 else "light"
    async with (
        copied(tmp_path) as pages,
        chromium(pages, viewport=size, color_scheme=scheme) as window,
    ):
        await window.open("audit")
        await window.page.screenshot(path=tmp_path / f"audit-{width}.png", full_page=True)
        boxes = [await one.bounding_box() for one in await window.page.locator(".audit li").all()]
        assert all(box is not None and box["x"] + box["width"] <= width for box in boxes)
        await window.page.get_by_label("Show").select_option("member")
        await window.page.get_by_role("button", name="Show").press("Enter")
        await window.page.get_by_text("made the space").wait_for()
        assert await window.page.locator(".audit .line-change").count() == 0
        assert window.complaints == []
