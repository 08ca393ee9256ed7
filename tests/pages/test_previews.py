"""Previews: one file for one ticket, under a name where nothing else can be had, and nothing in it runs."""

from __future__ import annotations

import re

import pytest

from ropewalk.pages.sessions import Session
from ropewalk.pages.tickets import IDLE, MOST, NoTicket, Ticket, Tickets
from ropewalk.spaces.tree.entry import Entry, Kind
from tests.pages.browser import ORIGIN, Answer, Client, Served

HOST = "preview.localhost:8990"
_ADDRESS = re.compile(r'(?:src|href)="http://preview\.localhost:8990(/t/[^"]+)"')


async def address_of(client: Client, name: str) -> str:
    page = await client.get(f"/spaces/photos/files/{name}")
    found = _ADDRESS.search(page.text)
    assert found is not None, page.text
    return found[1]


async def look(pages: Served, target: str, **headers: str) -> Answer:
    return await Client(pages.app).ask(
        "GET", target, {key.replace("_", "-"): value for key, value in headers.items()}, host=HOST
    )


KINDS = [
    ("a.png", b"\x89PNG", "image/png", "<img "),
    ("a.svg", b"<svg/>", "image/svg+xml", "<img "),
    ("a.mp4", b"film", "video/mp4", "<video "),
    ("a.mp3", b"sound", "audio/mpeg", "<audio "),
    ("a.pdf", b"%PDF-1.7", "application/pdf", "<iframe "),
    ("a.html", b"<script>1</script>", "text/html;charset=utf-8", '<iframe src="http://preview.localhost:8990'),
    ("a.md", b"# Title\n<script>1</script>", "text/html; charset=utf-8", 'sandbox=""'),
    ("a.txt", b"<script>1</script>", "text/html; charset=utf-8", 'sandbox=""'),
    ("Makefile", b"all:\n", "text/html; charset=utf-8", 'sandbox=""'),
]


@pytest.mark.parametrize(("name", "data", "media_type", "shown_by"), KINDS)
async def test_a_file_is_shown_as_what_it_is(
    pages: Served, client: Client, name: str, data: bytes, media_type: str, shown_by: str
) -> None:
    await pages.space.write(name, data)
    page = await client.get(f"/spaces/photos/files/{name}")
    assert shown_by in page.text
    answer = await look(pages, await address_of(client, name))
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)
    policy = answer.headers["content-security-policy"]
    assert "script-src" not in policy
    assert f"frame-ancestors {ORIGIN} " in policy
    assert "default-src 'none'" in policy or name == "a.pdf"
    assert "sandbox" in policy or name in ("a.pdf", "a.mp3", "a.mp4")
    assert "allow-" not in policy
    assert answer.cookies == ()
    if name in ("a.md", "a.txt"):
        assert "<script>" not in answer.text


async def test_what_is_no_text_and_nothing_known_is_not_shown(pages: Served, client: Client) -> None:
    await pages.space.write("a.bin", b"\0\1\2")
    assert "There is no preview" in (await client.get("/spaces/photos/files/a.bin")).text


async def test_a_film_is_had_in_ranges(pages: Served, client: Client) -> None:
    data = bytes(range(256)) * 4096 * 5
    await pages.space.write("a.mp4", data)
    target = await address_of(client, "a.mp4")
    answer = await look(pages, target, range="bytes=3000000-3000099")
    assert (answer.status, answer.body) == (206, data[3_000_000:3_000_100])


async def test_a_ticket_is_for_one_file_as_it_was(pages: Served, client: Client) -> None:
    await pages.space.write("a.txt", b"first")
    await pages.space.write("b.txt", b"other")
    target = await address_of(client, "a.txt")
    await pages.space.write("a.txt", b"second")
    assert "first" in (await look(pages, target)).text
    for wrong in (f"{target}/../b.txt", f"{target}/b.txt", target + "A", target[:-1], "/t/", "/t", "/t/" + "A" * 32):
        assert (await look(pages, wrong)).status == 404, wrong


async def test_a_ticket_ends_with_its_session_and_by_silence(pages: Served, client: Client) -> None:
    await pages.space.write("a.txt", b"text")
    target = await address_of(client, "a.txt")
    for _ in range(3):
        pages.clock.seconds += IDLE - 1
        assert (await look(pages, target)).status == 200
    pages.clock.seconds += IDLE
    assert (await look(pages, target)).status == 404
    target = await address_of(client, "a.txt")
    await client.post("/leave")
    assert (await look(pages, target)).status == 404


async def test_the_name_for_previews_knows_nothing_else_whoever_asks(pages: Served, client: Client) -> None:
    await pages.space.write("a.txt", b"text")
    for target in ("/", "/spaces/photos/files/", "/spaces/photos/get/a.txt", "/static/folder.js", "/enter"):
        answer = await client.ask("GET", target, host=HOST)
        assert answer.status == 404
        assert "text" not in answer.text
    assert (await client.ask("GET", "/preview.css", host=HOST)).status == 200
    for method, target in (("POST", "/spaces/photos/folder/"), ("PUT", "/spaces/photos/get/b"), ("POST", "/enter")):
        headers = {"x-ropewalk-csrf": client.csrf, "accept": "application/json"}
        assert (await client.ask(method, target, headers, b"", host=HOST)).status == 403
    assert (await client.ask("GET", "/", {"origin": ORIGIN}, host=HOST, kind="websocket")).status == 4403
    assert [info.path async for info in pages.space.list("")] == ["a.txt"]


async def test_a_page_of_previews_is_no_page_of_ours(pages: Served, client: Client) -> None:
    await pages.space.write("a.txt", b"text")
    target = await address_of(client, "a.txt")
    assert (await client.get(target)).status == 404


def test_a_ticket_that_is_given_while_its_session_ends_is_not_good() -> None:
    tickets = Tickets(lambda: 0.0)
    session = Session("", "", 1e9, 1e9)
    word = tickets.give(Ticket(session, None, Entry(Kind.FILE), b"a", "text"))  # type: ignore[arg-type]
    assert tickets.find(word).name == b"a"
    session.ended = True
    with pytest.raises(NoTicket):
        tickets.find(word)


def test_tickets_are_bounded() -> None:
    tickets = Tickets(lambda: 0.0)
    session = Session("", "", 1e9, 1e9)
    first = tickets.give(Ticket(session, None, Entry(Kind.FILE), b"a", "text"))  # type: ignore[arg-type]
    for _ in range(MOST):
        tickets.give(Ticket(session, None, Entry(Kind.FILE), b"a", "text"))  # type: ignore[arg-type]
    assert len(tickets) == MOST
    with pytest.raises(NoTicket):
        tickets.find(first)
    tickets.forget(session)
    assert len(tickets) == 0
