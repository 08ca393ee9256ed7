"""Files through the pages: what is asked for is done, whole or not at all, and can be taken back."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from ropewalk.pages import HeldSpaces, SpacePages, changing
from ropewalk.pages.changing import AT_ONCE
from ropewalk.pages.names import quoted
from ropewalk.pages.receiving import TooSlow, in_time, seconds_for
from ropewalk.pages.zipping import LEFT_OUT
from ropewalk.spaces.columns import ChunkLost
from ropewalk.spaces.content import ContentSource
from ropewalk.spaces.space import Space
from ropewalk.spaces.tree.entry import Entry
from tests.pages.browser import Answer, Client, Served, form, served, word_in
from tests.spaces.making import a_space

HOSTILE = [
    '<img src=x onerror="alert(1)">',
    "a'b\"c&d",
    "\u202egpj.exe",
    "two\nlines",
    "%2e%2e",
    "#?;=",
    "back\\slash",
    "~7E~",
]


async def names(pages: Served, path: str = "") -> list[str]:
    return [info.path async for info in pages.space.list(path)]


async def test_a_folder_shows_what_is_in_it(pages: Served, client: Client) -> None:
    await pages.space.write("a/b.txt", b"hello")
    top = await client.get("/spaces/photos/files/")
    assert top.status == 200
    assert "<bdi>a</bdi></a>" in top.text
    inside = await client.get("/spaces/photos/files/a")
    assert "b.txt" in inside.text
    assert "5 B" in inside.text


async def test_a_space_that_is_not_there_or_not_open_is_told_so(client: Client) -> None:
    assert (await client.get("/spaces/other/files/", accept="application/json")).code == "pages.no-such-space"
    away = await client.get("/spaces/away/files/", accept="application/json")
    assert (away.status, away.code) == (503, "pages.not-open")
    missing = await client.get("/spaces/photos/files/none")
    assert missing.status == 404
    assert "No /none in this version of the space." in missing.text
    assert (await client.get("/spaces/photos", accept="application/json")).code == "pages.no-such-page"


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_name_is_text_wherever_it_is_shown(pages: Served, client: Client, name: str) -> None:
    await pages.space.write(name.encode(), b"x")
    for target in ("files/", f"files/{quoted([name.encode()])}", "search/?q=*", "versions/"):
        answer = await client.get(f"/spaces/photos/{target}")
        assert answer.status == 200
        assert "<img src=x" not in answer.text
        assert "\u202e" not in answer.text
    assert (await client.get(f"/spaces/photos/get/{quoted([name.encode()])}")).body == b"x"


async def test_a_name_that_is_not_utf8_can_be_had_renamed_and_removed(pages: Served, client: Client) -> None:
    await pages.space.write(b"caf\xe9", b"x")
    page = (await client.get("/spaces/photos/files/")).text
    assert "caf\\xe9" in page
    assert "/spaces/photos/files/caf~E9" in page
    assert (await client.get("/spaces/photos/get/caf~E9")).body == b"x"
    assert (await client.post("/spaces/photos/move/", [("p", "caf~E9"), ("name", "café")])).status == 200
    assert await names(pages) == ["café"]


@pytest.mark.parametrize("size", [0, 1, 600, 1 << 20, (4 << 20) + 1, (9 << 20) + 7])
async def test_what_is_sent_is_what_comes_back(pages: Served, client: Client, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    pieces = [data[at : at + 300_001] for at in range(0, size, 300_001)] or [b""]
    answer = await client.put("/spaces/photos/get/new/file.bin?mtime=1000", pieces)
    assert (answer.status, answer.json["message"]) == (200, "Uploaded file.bin.")
    got = await client.get("/spaces/photos/get/new/file.bin")
    assert got.body == data
    assert got.headers["content-length"] == str(size)
    assert [info.mtime async for info in pages.space.list("new")] == [10**9]
    assert await pages.space.read("new/file.bin") == data


async def test_an_upload_that_is_cut_leaves_nothing_and_holds_up_nobody(pages: Served, client: Client) -> None:
    before = len(await pages.space.log())
    for size in (1 << 20, 9 << 20):
        answer = await client.put("/spaces/photos/get/half.bin", [bytes(size)], cut=True)
        assert answer.code == "pages.body-cut"
    assert await names(pages) == []
    assert len(await pages.space.log()) == before
    assert (await client.put("/spaces/photos/get/whole.bin", b"x")).status == 200


async def test_an_upload_must_say_how_long_it_is(client: Client) -> None:
    headers = {"x-ropewalk-csrf": client.csrf, "content-length": None, "accept": "application/json"}
    answer = await client.ask("PUT", "/spaces/photos/get/a", headers, b"x")
    assert (answer.status, answer.code) == (411, "pages.length-needed")


async def test_a_form_uploads_files_with_their_folders_as_one_version(pages: Served, client: Client) -> None:
    kind, body = form(
        [
            ("csrf", None, client.csrf.encode()),
            ("mtime", None, b"5000"),
            ("file", "one.txt", b"1"),
            ("file", 'sub/t"w\no.txt', b"\r\n--xX"),
            ("file", "", b""),
        ]
    )
    before = len(await pages.space.log())
    answer = await client.ask("POST", "/spaces/photos/upload/in", {"content-type": kind}, [body[:77], body[77:]])
    assert answer.status == 303
    assert answer.headers["location"].startswith("/spaces/photos/files/in?done=")
    assert await pages.space.read("in/one.txt") == b"1"
    assert await pages.space.read('in/sub/t"w\no.txt') == b"\r\n--xX"
    assert len(await pages.space.log()) == before + 1
    told = await client.get(answer.headers["location"])
    assert "Uploaded 2 things." in told.text
    assert "Undo" in told.text


@pytest.mark.parametrize("file", ["../../out", "/../x", "..", "a/../../b"])
async def test_an_upload_cannot_lead_out_of_its_folder(pages: Served, client: Client, file: str) -> None:
    kind, body = form([("file", file, b"x")])
    headers = {"content-type": kind, "x-ropewalk-csrf": client.csrf, "accept": "application/json"}
    assert (await client.ask("POST", "/spaces/photos/upload/in", headers, body)).status == 400
    assert await names(pages) == []


async def test_what_was_done_is_undone(pages: Served, client: Client) -> None:
    await pages.space.write("old.txt", b"first")
    await pages.space.write("folder/in.txt", b"inside")
    steps: list[Callable[[], Awaitable[Answer]]] = [
        lambda: client.put("/spaces/photos/get/old.txt", b"second"),
        lambda: client.put("/spaces/photos/get/new.txt", b"new"),
        lambda: client.post("/spaces/photos/remove/", [("p", "folder"), ("p", "old.txt")]),
        lambda: client.post("/spaces/photos/move/", [("p", "folder"), ("name", "renamed")]),
        lambda: client.post("/spaces/photos/move/", [("p", "old.txt"), ("to", "/folder")]),
        lambda: client.post("/spaces/photos/folder/", [("name", "empty")]),
    ]
    for step in steps:
        done = await step()
        assert done.status == 200, done.text
        undone = await client.post("/spaces/photos/undo/", [("word", done.json["done"])])
        assert undone.json["message"] == "Undone."
        assert await names(pages) == ["folder", "old.txt"]
        assert await pages.space.read("old.txt") == b"first"
        assert await pages.space.read("folder/in.txt") == b"inside"
        again = await client.post("/spaces/photos/undo/", [("word", done.json["done"])])
        assert again.code == "pages.nothing-to-undo"


async def test_nothing_is_undone_that_somebody_has_changed_since(pages: Served, client: Client) -> None:
    await pages.space.write("a.txt", b"first")
    done = await client.put("/spaces/photos/get/a.txt", b"second")
    await pages.space.write("a.txt", b"third, of somebody else")
    answer = await client.post("/spaces/photos/undo/", [("word", done.json["done"])])
    assert (answer.status, answer.code) == (409, "pages.changed-meanwhile")
    assert await pages.space.read("a.txt") == b"third, of somebody else"


async def test_a_notice_of_one_session_is_nothing_to_another(pages: Served, client: Client) -> None:
    done = await client.put("/spaces/photos/get/a.txt", b"x")
    other = await pages.client()
    answer = await other.post("/spaces/photos/undo/", [("word", done.json["done"])])
    assert answer.code == "pages.nothing-to-undo"
    assert "Uploaded" not in (await other.get(f"/spaces/photos/files/?done={done.json['done']}")).text


async def test_of_two_that_rename_one_folder_the_second_is_told(pages: Served, client: Client) -> None:
    await pages.space.write("trip/a.jpg", b"x")
    other = await pages.client()
    first, second = await asyncio.gather(
        client.post("/spaces/photos/move/", [("p", "trip"), ("name", "spring")]),
        other.post("/spaces/photos/move/", [("p", "trip"), ("name", "march")]),
    )
    assert sorted([first.status, second.status]) == [200, 404]
    loser = first if first.status == 404 else second
    assert loser.json["error"]["message"] == "/trip is not there any more"
    assert "meanwhile" in loser.json["error"]["hint"]
    [left] = await names(pages)
    assert left in ("spring", "march")
    assert await pages.space.read(f"{left}/a.jpg") == b"x"


async def test_a_new_name_does_not_take_the_place_of_something(pages: Served, client: Client) -> None:
    await pages.space.write("a", b"1")
    await pages.space.write("b", b"2")
    answer = await client.post("/spaces/photos/move/", [("p", "a"), ("name", "b")])
    assert (answer.status, answer.code) == (409, "space.already-there")
    assert await pages.space.read("b") == b"2"
    for name in ("", "..", "c/d", "x" * 256):
        assert (await client.post("/spaces/photos/move/", [("p", "a"), ("name", name)])).status == 400
    assert await names(pages) == ["a", "b"]


async def test_versions_are_shown_looked_at_and_restored(pages: Served, client: Client) -> None:
    await pages.space.write("f.txt", b"one")
    await pages.space.write("other.txt", b"-")
    await pages.space.write("f.txt", b"two, longer")
    await pages.space.remove("f.txt")
    line = await client.get("/spaces/photos/versions/f.txt")
    assert line.text.count("Look at version") == 2
    assert line.text.count("removed") == 1
    oldest = (await pages.space.log())[-1].hash.hex()
    assert (await client.get(f"/spaces/photos/get/f.txt?at={oldest}")).body == b"one"
    assert "Restore it as it is here" in (await client.get(f"/spaces/photos/files/f.txt?at={oldest}")).text
    done = await client.post("/spaces/photos/restore/f.txt", [("at", oldest)])
    assert done.status == 200, done.text
    assert await pages.space.read("f.txt") == b"one"
    assert (await client.post("/spaces/photos/undo/", [("word", done.json["done"])])).status == 200
    assert await names(pages) == ["other.txt"]
    assert (await client.post("/spaces/photos/restore/f.txt", [("at", "zz")])).code == "space.unknown-version"


async def test_a_folder_is_restored_with_what_was_in_it(pages: Served, client: Client) -> None:
    await pages.space.write("d/a", b"1")
    await pages.space.write("d/e/b", b"2")
    then = (await pages.space.log())[0].hash.hex()
    await pages.space.remove("d/e", recursive=True)
    await pages.space.write("d/a", b"changed")
    await pages.space.write("d/new", b"3")
    assert (await client.post("/spaces/photos/restore/d", [("at", then)])).status == 200
    assert await names(pages, "d") == ["a", "e"]
    assert (await pages.space.read("d/a"), await pages.space.read("d/e/b")) == (b"1", b"2")
    assert "All versions of the space" in (await client.get("/spaces/photos/versions/d")).text


async def test_a_folder_comes_as_a_zip(pages: Served, client: Client) -> None:
    big = bytes(range(256)) * 20_000
    async with pages.space.change() as change:
        for name, data in [
            (b"d/a.txt", b"1"),
            (b"d/sub/big", big),
            (b"d/..\\evil", b"2"),
            (b"d/\xff", b"3"),
            (b"x", b""),
        ]:
            await change.write(name, data)
        await change.make_folder("d/empty")
    answer = await client.get("/spaces/photos/zip/d")
    assert answer.headers["content-disposition"].startswith('attachment; filename="d.zip"')
    archive = zipfile.ZipFile(io.BytesIO(answer.body))
    assert archive.testzip() is None
    assert sorted(archive.namelist()) == ["d/.._evil", "d/_xff", "d/a.txt", "d/empty/", "d/sub/", "d/sub/big"]
    assert archive.read("d/sub/big") == big
    whole = zipfile.ZipFile(io.BytesIO((await client.get("/spaces/photos/zip/")).body))
    assert "photos/d/a.txt" in whole.namelist()


async def test_a_file_that_breaks_off_breaks_its_download_off(
    pages: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pages.space.write("d/big", bytes(range(256)) * 40_000)
    read, calls = ContentSource.read, 0

    async def failing(source: ContentSource, entry: Entry, offset: int = 0, length: int | None = None) -> bytes:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise ChunkLost("a share is gone")
        return await read(source, entry, offset, length)

    monkeypatch.setattr(ContentSource, "read", failing)
    for target in ("get/d/big", "zip/d"):
        calls, fails_at = 0, 2
        with pytest.raises(ChunkLost):  # which has the server cut the connection, short of the length it has told
            await client.get(f"/spaces/photos/{target}")
    calls, fails_at = 0, 1
    answer = await client.get("/spaces/photos/get/d/big")
    assert answer.status == 500
    assert "A share is gone." in answer.text
    calls = 0
    archive = zipfile.ZipFile(io.BytesIO((await client.get("/spaces/photos/zip/d")).body))
    assert archive.read(LEFT_OUT).decode() == "/big: a share is gone\n"


RANGES = [
    ("bytes=0-0", 206, (0, 1)),
    ("bytes=5-", 206, (5, 1000)),
    ("bytes=990-5000", 206, (990, 1000)),
    ("bytes=-10", 206, (990, 1000)),
    ("bytes=0-", 206, (0, 1000)),
    ("bytes=1000-", 416, None),
    ("bytes=-0", 416, None),
    ("bytes=0-1,5-6", 200, (0, 1000)),
    ("bytes=9-3", 200, (0, 1000)),
    ("lines=1-2", 200, (0, 1000)),
    ("bytes=1e3-", 200, (0, 1000)),
]


@pytest.mark.parametrize(("asked", "status", "part"), RANGES)
async def test_a_range_of_a_file(
    pages: Served, client: Client, asked: str, status: int, part: tuple[int, int] | None
) -> None:
    data = bytes(range(250)) * 4
    await pages.space.write("f", data)
    answer = await client.get("/spaces/photos/get/f", range=asked)
    assert answer.status == status
    if part is None:
        assert answer.headers["content-range"] == "bytes */1000"
        return
    assert answer.body == data[part[0] : part[1]]
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {part[0]}-{part[1] - 1}/1000"


async def test_a_file_that_the_browser_has_is_not_sent_again(pages: Served, client: Client) -> None:
    await pages.space.write("f", b"0123456789")
    first = await client.get("/spaces/photos/get/f")
    assert (await client.get("/spaces/photos/get/f", if_none_match=first.headers["etag"])).status == 304
    await pages.space.write("f", b"9876543210")
    stale = await client.get("/spaces/photos/get/f", range="bytes=5-", if_range=first.headers["etag"])
    assert (stale.status, stale.body) == (200, b"9876543210")
    head = await client.ask("HEAD", "/spaces/photos/get/f")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "10")


async def test_many_entries_come_in_parts(pages: Served, client: Client) -> None:
    async with pages.space.change() as change:
        for number in range(450):
            await change.write(f"big/{number:04}", b"x" * (number % 7))
    first = await client.get("/spaces/photos/files/big")
    assert first.text.count('class="row file"') == 200 + 1  # and the template's
    assert "More entries" in first.text
    rest = (await client.get("/spaces/photos/rows/big?start=200")).json
    assert [row[0] for row in rest["rows"]] == [f"{number:04}" for number in range(200, 450)]
    assert rest["next"] is None
    by_size = (await client.get("/spaces/photos/rows/big?start=0&sort=size")).json["rows"]
    assert [row[3] for row in by_size] == sorted((number % 7 for number in range(450)), reverse=True)
    assert (await client.get("/spaces/photos/rows/big?start=-1", accept="application/json")).code == "pages.bad-address"


async def test_a_search_finds_by_a_part_of_the_name_or_a_pattern(pages: Served, client: Client) -> None:
    async with pages.space.change() as change:
        for name in ("a/Holiday.JPG", "a/b/holiday.txt", "a/b/other[1].txt"):
            await change.write(name, b"x")
    for query, found in [("holiday", 2), ("*.jpg", 1), ("other[1]", 0), ("nothing", 0)]:
        answer = await client.get(f"/spaces/photos/search/?q={quote(query)}")
        assert f"{found} thing" in answer.text, query


async def test_more_uploads_than_there_is_room_for_are_told_to_wait(pages: Served, client: Client) -> None:
    async with pages.space.change():  # so that the others wait for their turn
        under_way = [asyncio.create_task(client.put(f"/spaces/photos/get/{at}", b"x")) for at in range(AT_ONCE)]
        while not pages.app.changing.uploads.locked():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        answer = await client.put("/spaces/photos/get/more", b"x")
        assert (answer.status, answer.code) == (503, "pages.uploads-busy")
    assert [(await one).status for one in under_way] == [200] * AT_ONCE
    assert (await client.put("/spaces/photos/get/more", b"x")).status == 200


async def test_an_upload_that_comes_too_slowly_is_given_up_and_the_next_has_its_turn(
    pages: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "seconds_for", lambda length: 0.2)
    for length in (100, 100_000_000):  # taken whole before the change; streamed into it
        headers = {"x-ropewalk-csrf": client.csrf, "accept": "application/json", "content-length": str(length)}
        answer = await client.ask("PUT", "/spaces/photos/get/slow", headers, bytes(50), hang=True)
        assert (answer.status, answer.code) == (503, "pages.too-slow")
    monkeypatch.undo()
    assert (await client.put("/spaces/photos/get/next", b"x")).status == 200
    assert await names(pages) == ["next"]


def test_a_body_has_time_by_its_length() -> None:
    assert seconds_for(0) == 60
    assert seconds_for(10 * 2**30) > 100_000


async def test_what_cannot_be_undone_in_a_space_that_was_opened_anew_is_told(tmp_path: Path) -> None:
    world = await a_space(tmp_path / "home")
    held: dict[str, Space | None] = {}
    app = SpacePages(HeldSpaces(lambda: held), tmp_path / "web", clock=world.clock)
    client = Client(app)
    async with world.open() as held["photos"]:
        app.entrance.renew()
        assert (await client.enter(word_in(app))).status == 200
        await client.get("/")
        done = await client.put("/spaces/photos/get/a", b"x")
        held["photos"] = None
        assert (await client.put("/spaces/photos/get/b", b"x")).code == "pages.not-open"
    async with world.open() as held["photos"]:
        undone = await client.post("/spaces/photos/undo/", [("word", done.json["done"])])
        assert (undone.status, undone.json["error"]["message"]) == (503, "the space was opened anew since")
        assert (await client.get("/spaces/photos/get/a")).body == b"x"


async def test_who_sends_nothing_for_too_long_is_given_up() -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield b"some"
        await asyncio.get_running_loop().create_future()

    pieces = in_time(silent(), 0.01)
    assert await anext(pieces) == b"some"
    with pytest.raises(TooSlow):
        await anext(pieces)


async def test_a_change_that_too_few_stores_take_is_not_made(tmp_path: Path) -> None:
    async with served(tmp_path) as pages:
        client = await pages.client()
        await pages.space.write("a", b"x")
        for store in list(pages.world.stores.values())[:4]:
            store.gone = True
        answer = await client.put("/spaces/photos/get/b", b"x")
        assert (answer.status, answer.json["error"]["hint"] != "") == (503, True)
        for store in pages.world.stores.values():
            store.gone = False
        assert await names(pages) == ["a"]
