"""What stands side by side: compared within bounds, and settled by one change that can be taken back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from ropewalk.pages.names import quoted
from ropewalk.pages.space import comparing, conflicts
from ropewalk.pages.space.comparing import LARGEST, LONGEST_LINE, MOST_LINES, NotCompared, pieces_of
from ropewalk.pages.space.merging import BadText, bytes_of
from ropewalk.spaces import conflicts as spaces_conflicts
from ropewalk.spaces import textmerge
from ropewalk.spaces.columns import ChunkLost
from ropewalk.spaces.conflicts import HistoryOf, clashes
from ropewalk.spaces.content import ContentSource
from ropewalk.spaces.home import Home
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import KnownHead
from ropewalk.spaces.tree.entry import Kind
from ropewalk.spaces.tree.view import Shown
from ropewalk.spaces.version import Version
from tests.pages.browser import Answer, Client, Served, served
from tests.pages.chromium import chromium
from tests.spaces.making import World

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc00000030101"
    "00c9fe92ef0000000049454e44ae426082"
)
BASE, ONE, TWO = b"1\n2\n3\n4\n5\n", b"one\n2\n3\n4\n5\n", b"1\n2\n3\n4\ntwo\n"
Files = Mapping[bytes, bytes | None]


@asynccontextmanager
async def apart(pages: Served, tmp_path: Path, base: Files, *sides: Files) -> AsyncIterator[list[Space]]:
    """Each side is written by a writer that knows of the base alone; the first one is that of the pages.

    What is None is removed.
    """
    await written(pages.space, base)
    async with AsyncExitStack() as stack:
        spaces = [pages.space]
        for number in range(1, len(sides)):
            home = Home(tmp_path / f"s{number}" / "config", tmp_path / f"s{number}" / "state")
            home.update(lambda _: pages.world.home.load())
            world = World(home, pages.world.stores, pages.world.clock, pages.world.time)
            spaces.append(await stack.enter_async_context(world.open()))
        for space, files in zip(spaces, sides, strict=True):
            await written(space, files)
        for space in spaces:
            await space._list()  # what the others wrote
        yield spaces


async def written(space: Space, files: Files) -> None:
    async with space.change() as change:
        for name, data in files.items():
            if data is None:
                await change.remove(name, recursive=True)
            else:
                await change.write(name, data)


async def contents(space: Space, path: str = "") -> dict[str, bytes]:
    version = await space.current()
    return {
        "/".join(part.decode() for part in names): await version.content.read(found.entry)
        async for names, found in version.walk(path)
        if found.kind == 0
    }


def seen_of(answer: Answer) -> str:
    found = re.search(r'name="seen" value="([0-9a-f]{64})"', answer.text)
    assert found is not None, answer.text
    return found[1]


async def settle(client: Client, name: str, choice: str, *fields: tuple[str, str], seen: str = "") -> Answer:
    page = await client.get(f"/spaces/photos/conflicts/{name}")
    return await client.post(
        f"/spaces/photos/conflicts/{name}", [("seen", seen or seen_of(page)), ("choice", choice), *fields]
    )


async def undone(client: Client, answer: Answer) -> Answer:
    return await client.post("/spaces/photos/undo/", [("word", answer.json["done"])])


# ---- what is shown ---------------------------------------------------------------------------------------------------


async def test_where_nothing_stands_side_by_side_that_is_said(pages: Served, client: Client) -> None:
    await pages.space.write("a", b"1")
    assert "Nothing stands side by side" in (await client.get("/spaces/photos/conflicts")).text
    for target, code in (("a", "pages.no-conflict"), ("none", "space.no-such-path"), ("none/a", "space.no-such-path")):
        answer = await client.get(f"/spaces/photos/conflicts/{target}", accept="application/json")
        assert (answer.status, answer.code) == (404, code)
    assert "stand side by side" not in (await client.get("/spaces/photos/files/")).text


async def test_conflicts_are_listed_marked_and_compared(pages: Served, client: Client, tmp_path: Path) -> None:
    async with apart(pages, tmp_path, {b"top/a.txt": BASE}, {b"top/a.txt": ONE}, {b"top/a.txt": TWO}):
        listed = (await client.get("/spaces/photos/conflicts")).text
        assert "<bdi>/top/a.txt</bdi>" in listed
        assert 'href="/spaces/photos/conflicts/top/a.txt"' in listed
        assert listed.count("1970-01-01") >= 2, "when each was written"
        folder = (await client.get("/spaces/photos/files/top")).text
        assert "2 things here stand side by side" in folder
        assert folder.count("Side by side: compare") == 2 + 1, "and the one that a script copies"
        one = (await client.get("/spaces/photos/conflicts/top/a.txt")).text
        assert one.count("Keep this one") == 2
        for words in ("<bdi>one</bdi>", "<bdi>two</bdi>", "Side 1, line 1", "Side 2, line 1", "Written by"):
            assert words in one
        beside = quoted([name_beside(one)])
        assert seen_of(await client.get(f"/spaces/photos/conflicts/top/{beside}")) == seen_of(
            await client.get("/spaces/photos/conflicts/top/a.txt")
        ), "by the name of any side"
        rows = (await client.get("/spaces/photos/rows/top")).json["rows"]
        assert [row[5] for row in rows] == [True, True]


def name_beside(page: str) -> bytes:
    found = re.search(r"<bdi>(a \(conflict [^<]*)</bdi>", page)
    assert found is not None
    return found[1].encode()


@pytest.mark.parametrize("name", ['<img src=x onerror="alert(1)">', "a'b\"c&d", "\u202egpj.exe", "two\nlines", "~7E~"])
async def test_hostile_names_and_texts_are_text(pages: Served, client: Client, tmp_path: Path, name: str) -> None:
    raw = name.encode()
    evil = b"</pre><script>alert(1)</script>\x1b[31m\xe2\x80\xae\r\n"
    async with apart(pages, tmp_path, {b"x": b""}, {raw: evil}, {raw: evil + b"more\n"}):
        for target in ("files/", "conflicts", f"conflicts/{quoted([raw])}", f"conflicts/{quoted([raw])}?merge=1"):
            answer = await client.get(f"/spaces/photos/{target}")
            assert answer.status == 200
            assert target == "files/" or "<script" not in answer.text, "nothing here needs one"
            for bad in ("<img src=x", "<script>alert", "\u202e", "\x1b"):
                assert bad not in answer.text
        shown = await client.get(f"/spaces/photos/conflicts/{quoted([raw])}")
        assert "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m\\u202e\\r" in shown.text
        answer = await settle(client, quoted([raw]), "keep", ("side", "2"))
        assert (answer.status, "\u202e" in answer.json["message"]) == (200, False)
        assert len(await contents(pages.space)) == 2


async def test_pictures_are_shown_beside_each_other_and_other_bytes_are_not(
    pages: Served, client: Client, tmp_path: Path
) -> None:
    one = {b"p.png": PNG, b"b.bin": b"\0\1"}
    two = {b"p.png": PNG + b"\0", b"b.bin": b"\0\2"}
    async with apart(pages, tmp_path, {b"x": b""}, one, two):
        page = (await client.get("/spaces/photos/conflicts/p.png")).text
        addresses = re.findall(r'<img src="http://preview\.localhost:8990(/t/[^"]+)"', page)
        assert len(addresses) == 2
        assert "not texts" not in page
        sent = [(await Client(pages.app).ask("GET", one, host="preview.localhost:8990")).body for one in addresses]
        assert sorted(sent) == [PNG, PNG + b"\0"]
        other = (await client.get("/spaces/photos/conflicts/b.bin")).text
        assert "not texts" in other
        assert other.count("Download side") == 2
        assert "<img" not in other


# ---- bounds of the comparison ----------------------------------------------------------------------------------------


async def test_what_is_too_long_is_not_read(
    pages: Served, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it was compared")

    monkeypatch.setattr(comparing, "merge_texts", never)
    long = b"x\n" * (LARGEST // 2)
    async with apart(pages, tmp_path, {b"x": b""}, {b"a": long}, {b"a": long + b"y"}):
        for target in ("a", "a?merge=1"):
            page = (await client.get(f"/spaces/photos/conflicts/{target}")).text
            assert "Too long to" in page
            assert page.count("Download side") == 2


async def test_texts_are_compared_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    work: list[int] = []
    inner = SequenceMatcher

    def counted(junk: None, one: Sequence[bytes], other: Sequence[bytes], **more: bool) -> object:
        work.append(len(one) * len(other))
        return inner(junk, one, other, **more)

    monkeypatch.setattr(textmerge, "SequenceMatcher", counted)
    half = MOST_LINES // 2
    for one, other in (
        (b"a\nb\n" * half, b"b\na\n" * half),
        (b"\n" * MOST_LINES, b"\nx\n" * half),
        (
            b"".join(b"%d\n" % (at % 7) for at in range(MOST_LINES)),
            b"".join(b"%d\n" % (at % 5) for at in range(MOST_LINES)),
        ),
    ):
        pieces = pieces_of(one, other)
        assert sum(len(piece.one.lines) + piece.left_out for piece in pieces) == MOST_LINES
    assert sum(work) < textmerge.MOST_STEPS, "all with all would be sixteen millions each time"
    for text in (b"x\n" * (MOST_LINES + 1), b"x" * (LARGEST + 1), b"\0", b"\xff"):
        with pytest.raises(NotCompared):
            pieces_of(text, b"")
    (piece,) = pieces_of(b"x" * LARGEST, b"")
    assert len(piece.one.lines[0]) < LONGEST_LINE + 40


def test_lines_are_numbered_and_equal_ones_left_out() -> None:
    same = b"".join(b"%d\n" % at for at in range(50))
    first, kept, rest, last = pieces_of(b"A\n" + same + b"B", b"a\nb\n" + same + b"B\n")
    assert (first.one.where, first.other and first.other.where) == ("line 1", "lines 1 to 2")
    assert kept.one.lines == ["0", "1", "2"]
    assert (rest.left_out, rest.one.lines, rest.one.first) == (44, ["47", "48", "49"], 49)
    assert last.other is not None
    assert (last.one.open, last.other.open, last.other.first) == (True, False, 53)


# ---- choices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 2, 3])
async def test_one_of_three_sides_is_kept_and_brought_back(
    pages: Served, client: Client, tmp_path: Path, side: int
) -> None:
    async with apart(pages, tmp_path, {b"a.txt": BASE}, *({b"a.txt": text} for text in (ONE, TWO, b"three"))) as spaces:
        page = (await client.get("/spaces/photos/conflicts/a.txt")).text
        assert page.count("Keep this one") == 3
        assert "other=3" in page
        before = await contents(pages.space)
        paths = re.findall(r'href="/spaces/photos/get/([^"]+)"', page)
        wanted = (await client.get(f"/spaces/photos/get/{paths[side - 1]}")).body
        versions = len(await pages.space.log())
        answer = await settle(client, "a.txt", "keep", ("side", str(side)))
        assert answer.status == 200
        assert f"Kept side {side} as /a.txt, and removed 2 others." in answer.json["message"]
        assert await contents(pages.space) == {"a.txt": wanted}
        assert len(await pages.space.log()) == versions + 1
        assert "Nothing stands side by side" in (await client.get("/spaces/photos/conflicts")).text
        for space in spaces[1:]:
            await space._list()
            assert await contents(space) == {"a.txt": wanted}
        assert "as a file of its own" in (await undone(client, answer)).json["message"]
        assert await contents(pages.space) == before


async def test_both_are_kept_under_two_names(pages: Served, client: Client, tmp_path: Path) -> None:
    async with apart(pages, tmp_path, {b"a.txt": BASE, b"b": b""}, {b"a.txt": ONE}, {b"a.txt": TWO}):
        page = (await client.get("/spaces/photos/conflicts/a.txt")).text
        assert 'value="a (2).txt"' in page
        before = await contents(pages.space)
        for name, code in (
            ("b", "space.already-there"),
            ("a.txt", "space.already-there"),
            ("x/y", "misuse"),
            ("", "misuse"),
        ):
            assert (await settle(client, "a.txt", "both", ("name", name))).code == code
        assert (await settle(client, "a.txt", "both")).code == "pages.bad-choice"
        assert await contents(pages.space) == before
        answer = await settle(client, "a.txt", "both", ("name", "a (2).txt"))
        assert answer.json["message"] == "Kept a.txt, and beside it a (2).txt."
        now = await contents(pages.space)
        assert sorted(now) == ["a (2).txt", "a.txt", "b"]
        assert sorted(now.values()) == sorted(before.values())
        assert now["a.txt"] == before["a.txt"]
        assert (await undone(client, answer)).status == 200
        assert await contents(pages.space) == before


async def test_an_edited_merge_takes_the_place_of_both(pages: Served, client: Client, tmp_path: Path) -> None:
    async with apart(pages, tmp_path, {b"a.txt": BASE}, {b"a.txt": ONE}, {b"a.txt": TWO}):
        page = (await client.get("/spaces/photos/conflicts/a.txt?merge=1")).text
        assert "no line is in question" in page
        assert "\none\n2\n3\n4\ntwo\n</textarea>" in page
        assert 'name="ends" value="lf"' in page
        seen = seen_of(await client.get("/spaces/photos/conflicts/a.txt"))
        fields = [("other", "2"), ("ends", "lf"), ("text", "one\r\nand\r\ntwo\r\n")]
        answer = await settle(client, "a.txt", "merge", *fields, seen=seen)
        assert answer.status == 200
        assert await contents(pages.space) == {"a.txt": b"one\nand\ntwo\n"}
        assert (await undone(client, answer)).status == 200
        assert sorted((await contents(pages.space)).values()) == sorted([ONE, TWO])


async def test_a_text_that_a_form_would_change_is_not_offered(pages: Served, client: Client, tmp_path: Path) -> None:
    mixed, lines = b"a\r\nb\nc\n", b"1\r\n2\r\n"
    one = {b"mixed": mixed, b"crlf": lines, b"bell": b"\x07\n"}
    two = {b"mixed": mixed + b"x", b"crlf": lines + b"x\r\n", b"bell": b"\x07\nx"}
    async with apart(pages, tmp_path, {b"x": b""}, one, two):
        assert "line ends of several kinds" in (await client.get("/spaces/photos/conflicts/mixed?merge=1")).text
        assert "cannot be seen in a form" in (await client.get("/spaces/photos/conflicts/bell?merge=1")).text
        assert 'name="ends" value="crlf"' in (await client.get("/spaces/photos/conflicts/crlf?merge=1")).text
    assert bytes_of("a\r\nb\n", "crlf") == b"a\r\nb\r\n"
    for text, ends in (("a", "cr"), ("\0", "lf"), ("x" * 10**6, "lf"), ("\ud800", "lf")):
        with pytest.raises(BadText):
            bytes_of(text, ends)


async def test_what_another_device_settled_meanwhile_is_left_alone(
    pages: Served, client: Client, tmp_path: Path
) -> None:
    async with apart(pages, tmp_path, {b"a": BASE}, {b"a": ONE}, {b"a": TWO}) as (mine, other):
        seen = seen_of(await client.get("/spaces/photos/conflicts/a"))
        (beside,) = [name for name in await contents(other) if name != "a"]
        await other.write("a", b"changed")
        await mine._list()
        answer = await settle(client, "a", "keep", ("side", "1"), seen=seen)
        assert (answer.status, answer.code) == (409, "pages.changed-meanwhile")
        assert (await contents(mine))["a"] == b"changed"
        seen = seen_of(await client.get("/spaces/photos/conflicts/a"))
        await other.remove(beside)
        await mine._list()
        for choice, field in (("keep", ("side", "2")), ("both", ("name", "b"))):
            body = [("seen", seen), ("choice", choice), field]
            answer = await client.post("/spaces/photos/conflicts/a", body)
            assert (answer.status, answer.code) == (409, "pages.changed-meanwhile")
            assert "settled" in answer.json["error"]["message"]
        assert await contents(mine) == {"a": b"changed"}


async def test_two_who_keep_different_sides_without_knowing_lose_neither(
    pages: Served, client: Client, tmp_path: Path
) -> None:
    async with apart(pages, tmp_path, {b"a": BASE}, {b"a": ONE}, {b"a": TWO}) as (mine, other):
        both = await contents(mine)
        (beside,) = [name for name in both if name != "a"]
        kept = both["a"]
        async with other.change() as change:  # as the page does it for the second side
            await change.remove("a")
            await change.move(beside, "a")
        assert (await settle(client, "a", "keep", ("side", "1"))).status == 200
        await mine._list()
        assert sorted((await contents(mine)).values()) == sorted([ONE, TWO])
        assert kept in (ONE, TWO)


async def test_a_folder_against_a_file(pages: Served, client: Client, tmp_path: Path) -> None:
    async with apart(pages, tmp_path, {b"x": b""}, {b"d/in": b"1", b"d/deep/er": b"2"}, {b"d": b"file"}) as (
        mine,
        other,
    ):
        page = await client.get("/spaces/photos/conflicts/d")
        assert "a folder, 3 entries inside" in page.text
        before = await contents(mine)
        await other.write("d/new", b"from elsewhere")
        await mine._list()
        answer = await settle(client, "d", "keep", ("side", "2"), seen=seen_of(page))
        assert answer.code == "pages.changed-meanwhile", "something came into the folder that would go"
        answer = await settle(client, "d", "keep", ("side", "2"))
        assert answer.status == 200
        assert await contents(mine) == {"d": b"file", "x": b""}
        assert (await undone(client, answer)).status == 200
        assert await contents(mine) == {**before, "d/new": b"from elsewhere"}


async def test_a_folder_is_kept_against_a_file(pages: Served, client: Client, tmp_path: Path) -> None:
    async with apart(pages, tmp_path, {b"x": b""}, {b"d/in": b"1"}, {b"d": b"file"}) as (mine, _):
        assert (await settle(client, "d", "keep", ("side", "1"))).status == 200
        assert await contents(mine) == {"d/in": b"1", "x": b""}


async def test_a_folder_with_too_much_in_it_does_not_go(
    pages: Served, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropewalk.pages.space.resolving.MOST_INSIDE", 1)
    async with apart(pages, tmp_path, {b"x": b""}, {b"d/in": b"1", b"d/on": b"2"}, {b"d": b"file"}) as (mine, _):
        assert (await settle(client, "d", "keep", ("side", "2"))).code == "pages.bad-choice"
        assert (await settle(client, "d", "both", ("name", "d (2)"))).status == 200
        assert await contents(mine) == {"d/in": b"1", "d/on": b"2", "d (2)": b"file", "x": b""}


async def test_what_one_removed_and_another_changed_is_there_as_changed(
    pages: Served, client: Client, tmp_path: Path
) -> None:
    async with apart(pages, tmp_path, {b"a": BASE}, {b"a": None}, {b"a": TWO}):
        assert await contents(pages.space) == {"a": TWO}
        assert "Nothing stands side by side" in (await client.get("/spaces/photos/conflicts")).text


async def test_folders_of_one_name_hold_a_conflict(pages: Served, client: Client, tmp_path: Path) -> None:
    async with apart(pages, tmp_path, {b"x": b""}, {b"new/a": ONE}, {b"new/a": TWO}) as (mine, _):
        assert "/new/a" in (await client.get("/spaces/photos/conflicts")).text
        assert (await settle(client, "new/a", "keep", ("side", "2"))).status == 200
        now = await contents(mine, "new")
        assert list(now) == ["a"]


async def test_a_choice_that_is_none_is_refused_and_written_down(
    pages: Served, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with apart(pages, tmp_path, {b"a": BASE}, {b"a": ONE}, {b"a": TWO}):
        before = await contents(pages.space)
        seen = seen_of(await client.get("/spaces/photos/conflicts/a"))
        for fields in ([("choice", "drop")], [("choice", "keep"), ("side", "3")], [("choice", "keep"), ("side", "0")]):
            answer = await client.post("/spaces/photos/conflicts/a", [("seen", seen), *fields])
            assert (answer.status, answer.code) == (400, "pages.bad-choice")
        assert (await client.post("/spaces/photos/conflicts/a", [("choice", "keep")])).code == "pages.bad-form"
        assert (await client.post("/spaces/photos/conflicts/", [("seen", seen)])).code == "pages.bad-address"
        assert (await client.get("/spaces/photos/conflicts/a?other=9")).status == 400
        assert (await client.get("/spaces/photos/conflicts/a?at=abcd")).status == 400
        assert await contents(pages.space) == before
        assert (await settle(client, "a", "keep", ("side", "2"))).status == 200
        said = [record.getMessage() for record in caplog.records if record.name == "ropewalk.pages.audit"]
        assert said[-1] == "settle /a in photos: keep: done"
        assert "settle /a in photos: keep: refused" in said


async def test_a_list_is_cut_where_it_says(
    pages: Served, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conflicts, "MOST_SHOWN", 2)
    one, two = ({f"f{at}".encode(): text for at in range(3)} for text in (ONE, TWO))
    async with apart(pages, tmp_path, {b"x": b""}, one, two):
        page = (await client.get("/spaces/photos/conflicts")).text
        assert "Only the first 2 are shown." in page
        assert "/f2" not in page


async def test_a_walk_through_what_is_in_memory_lets_others_have_their_turn(
    pages: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spaces_conflicts, "TURN", 10)
    turns, loop = 0, asyncio.get_running_loop()

    class Nothing(HistoryOf):
        async def heads(self) -> Sequence[KnownHead]:
            return []

    async def walk(_: Version) -> AsyncIterator[tuple[tuple[bytes, ...], Shown]]:
        for number in range(100):
            yield (b"%d" % number,), Shown(b"", Kind.FILE, (), ())

    async def none(*_: object) -> list[list[Shown]]:
        return []

    def turn() -> None:
        nonlocal turns
        turns += 1
        if turns < 100:
            loop.call_soon(turn)

    async with apart(pages, tmp_path, {b"x": b""}, {b"a": ONE}, {b"a": TWO}):
        version = await pages.space.current()
        monkeypatch.setattr(Version, "walk", walk)
        monkeypatch.setattr(spaces_conflicts, "groups_in", none)
        loop.call_soon(turn)
        assert [one async for one in clashes(version, Nothing(pages.space.core))] == []
        assert turns == 10


async def test_sides_that_cannot_be_read_are_shown_and_can_be_kept(
    pages: Served, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object) -> bytes:
        raise ChunkLost("a chunk is lost")

    async with apart(pages, tmp_path, {b"x": b""}, {b"a.dat": ONE}, {b"a.dat": TWO}):
        monkeypatch.setattr(ContentSource, "read", lost)
        page = await client.get("/spaces/photos/conflicts/a.dat")
        assert page.status == 200
        assert "They cannot be compared now: a chunk is lost." in page.text
        assert (await settle(client, "a.dat", "keep", ("side", "2"))).status == 200


# ---- in a browser ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("width", [1280, 360])
async def test_conflicts_in_a_browser(tmp_path: Path, width: int) -> None:
    text = "".join(f"line {at} of a text that goes on for a while\n" for at in range(30)).encode()
    one = {b"notes/a.txt": b"# Mine\n" + text, b"p.png": PNG}
    two = {b"notes/a.txt": text + b"and theirs, " * 30 + b"\n", b"p.png": PNG + b"\0"}
    size = {"width": width, "height": 800}
    async with (
        served(tmp_path) as pages,
        apart(pages, tmp_path, {b"notes/a.txt": text}, one, two),
        chromium(pages, viewport=size) as window,
    ):
        page = window.page
        for path, name in (("conflicts", "list"), ("conflicts/notes/a.txt", "text"), ("conflicts/p.png", "image"),
                           ("conflicts/notes/a.txt?merge=1", "merge"), ("files/notes", "folder")):  # fmt: skip
            await window.open(path)
            await page.screenshot(path=tmp_path / f"{name}-{width}.png", full_page=True)
        await window.open("conflicts")
        await page.get_by_role("link", name="Compare /notes/a.txt").focus()
        await page.keyboard.press("Enter")
        boxes = [await page.locator(".side").nth(at).bounding_box() for at in (0, 1)]
        assert boxes[0] is not None
        assert boxes[1] is not None
        assert (boxes[0]["y"] == boxes[1]["y"]) == (width > 640), "beside each other, or stacked"
        assert all(box is not None and box["x"] + box["width"] <= width for box in boxes)
        await page.get_by_role("button", name="Keep side 2").focus()
        await page.keyboard.press("Enter")
        await page.locator(".notice", has_text="Kept side 2").wait_for()
        await page.get_by_role("button", name="Undo").press("Enter")
        await page.locator(".notice", has_text="Undone.").wait_for()
        assert len(await contents(pages.space, "notes")) == 2
        assert window.complaints == []
