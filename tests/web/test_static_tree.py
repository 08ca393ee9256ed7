"""A tree as an ASGI app: what is answered, and what it says of it."""

from __future__ import annotations

import os
import re
from email import message_from_bytes, policy
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from ropewalk.metrics import Registry, using
from ropewalk.web.quick import Asked
from ropewalk.web.static import Tree
from tests.web.trees_asked import OLD, Told, ask, make_site, put, quick, tree_of

ZERO, BY_PATH = "http.response.zerocopysend", "http.response.pathsend"
WAYS = [(), (ZERO,), (BY_PATH,), (ZERO, BY_PATH)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site")


async def test_a_file_comes_with_all_that_is_known_of_it(folder: Path) -> None:
    told = await ask(tree_of(folder), "/a%20b.txt")
    etag = told.headers.pop("etag")
    assert re.fullmatch(r'"[\w-]{16}"', etag)
    assert (told.status, told.body, told.headers) == (
        200,
        b"0123456789",
        {
            "content-type": "text/plain; charset=utf-8",
            "content-length": "10",
            "cache-control": "no-cache",
            "last-modified": formatdate(OLD, usegmt=True),
            "accept-ranges": "bytes",
            "x-content-type-options": "nosniff",
        },
    )


async def test_a_head_is_the_same_without_the_body(folder: Path) -> None:
    tree = tree_of(folder)
    for path in ("/a%20b.txt", "/large.bin", "/nothing", "/"):
        got, head = await ask(tree, path), await ask(tree, path, "HEAD")
        assert (head.status, head.headers, head.body) == (got.status, got.headers, b"")
        assert int(head.headers["content-length"]) == len(got.body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "get"])
async def test_other_methods_are_told_which_there_are(folder: Path, method: str) -> None:
    told = await ask(tree_of(folder), "/a%20b.txt", method)
    assert (told.status, told.headers["allow"]) == (405, "GET, HEAD")


async def test_a_folder_is_its_index_and_is_sent_for_with_a_slash(folder: Path) -> None:
    tree = tree_of(folder)
    assert (await ask(tree, "/")).body == b"<p>home"
    assert (await ask(tree, "/docs/")).body == b"<p>docs"
    told = await ask(tree, "/docs", query=b"a=1&b=%20")
    assert (told.status, told.headers["location"]) == (301, "./docs/?a=1&b=%20")
    assert (await ask(tree, "/docs", query=b"a=1\r\nx: y")).headers["location"] == "./docs/"
    put(folder / "a:b ü/index.html", "odd")
    assert (await ask(tree, "/a:b%20%C3%BC")).headers["location"] == "./a%3Ab%20%C3%BC/"


async def test_a_folder_without_an_index_is_not_there(folder: Path) -> None:
    """Not even by being sent elsewhere."""
    tree = tree_of(folder)
    assert [(await ask(tree, path)).status for path in ("/bare/", "/bare", "/a%20b.txt/", "/nothing")] == [404] * 4
    assert (await ask(tree_of(folder, index=""), "/")).status == 404


async def test_the_mount_itself_is_sent_for_with_a_slash(folder: Path) -> None:
    tree = tree_of(folder)
    assert (await ask(tree, "", root="/deep/static")).headers["location"] == "./static/"
    assert (await ask(tree, "/docs/", root="/deep/static")).body == b"<p>docs"
    assert (await ask(tree, "/docs", root="/deep/static")).headers["location"] == "./docs/"


async def test_names_are_listed_only_where_that_is_wanted(folder: Path) -> None:
    put(folder / "bare/.hidden", "")
    put(folder / 'bare/<img src=x>"&.txt', "")
    put(folder / "bare/a:b/c", "")
    (folder / "bare/link").symlink_to("file.txt")
    os.mkfifo(folder / "bare/pipe")
    (folder / "bare" / os.fsdecode(b"\xff")).write_bytes(b"")
    told = await ask(tree_of(folder, listing=True), "/bare/")
    assert told.headers["content-security-policy"].startswith("default-src 'none'")
    assert told.headers["content-type"] == "text/html; charset=utf-8"
    shown = re.findall(r'<a href="([^"]*)">([^<]*)</a>', told.body.decode())
    assert shown == [
        ("../", "../"),
        ("./a%3Ab/", "a:b/"),
        ("./%3Cimg%20src%3Dx%3E%22%26.txt", "&lt;img src=x&gt;&quot;&amp;.txt"),
        ("./file.txt", "file.txt"),
    ]
    assert b"<img" not in told.body
    tree = tree_of(folder, listing=True, index="")
    assert b"../" not in (await ask(tree, "/")).body
    assert (await ask(tree, "/bare")).headers["location"] == "./bare/"


async def test_a_long_listing_says_how_much_it_leaves_out(folder: Path) -> None:
    for number in range(1005):
        (folder / f"bare/{number:04}").touch()
    told = await ask(tree_of(folder, listing=True), "/bare/")
    assert told.body.count(b"<li>") == 1001
    assert b"<p>and 6 more</p>" in told.body


# ---- ranges and conditions ----


@pytest.mark.parametrize("extensions", WAYS, ids=["read", "zero copy", "by path", "both"])
@pytest.mark.parametrize("name", ["a%20b.txt", "large.bin", "empty.css"])
async def test_ranges_are_the_bytes_of_the_file(folder: Path, name: str, extensions: tuple[str, ...]) -> None:
    tree, data = tree_of(folder), (folder / name.replace("%20", " ")).read_bytes()

    async def got(header: str) -> Told:
        told = await ask(tree, f"/{name}", extensions=extensions, range=header)
        assert int(told.headers["content-length"]) == len(told.body)
        assert told.whole
        return told

    whole = await got("lines=1-2")
    assert (whole.status, whole.body) == (200, data)
    if not data:
        assert (await got("bytes=-5")).status == 200
        assert (await got("bytes=0-")).headers["content-range"] == "bytes */0"
        return
    for header, first, end in (("3-6", 3, 7), ("-4", len(data) - 4, len(data)), ("2-", 2, len(data))):
        told = await got(f"bytes={header}")
        assert (told.status, told.body) == (206, data[first:end])
        assert told.headers["content-range"] == f"bytes {first}-{end - 1}/{len(data)}"
    told = await got(f"bytes={len(data)}-")
    assert (told.status, told.headers["content-range"]) == (416, f"bytes */{len(data)}")


@pytest.mark.parametrize("extensions", [(), (ZERO,)], ids=["read", "zero copy"])
@pytest.mark.parametrize("name", ["a%20b.txt", "large.bin"])
async def test_several_ranges_are_parts_that_a_mail_parser_reads(
    folder: Path, name: str, extensions: tuple[str, ...]
) -> None:
    tree, data = tree_of(folder), (folder / name.replace("%20", " ")).read_bytes()
    told = await ask(tree, f"/{name}", extensions=extensions, range="bytes=-1, 0-1, 4-5, 1-1")
    assert told.status == 206
    assert int(told.headers["content-length"]) == len(told.body)
    mail = f"Content-Type: {told.headers['content-type']}\r\n\r\n".encode() + told.body
    parsed = message_from_bytes(mail, policy=policy.HTTP)
    expected = [(len(data) - 1, len(data)), (0, 2), (4, 6)]
    parts = list(parsed.iter_parts())
    assert [part["content-range"] for part in parts] == [f"bytes {a}-{b - 1}/{len(data)}" for a, b in expected]
    pieces = told.body.split(b"--BOUNDARY")[1:-1]
    assert [piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for piece in pieces] == [
        data[a:b] for a, b in expected
    ]
    assert told.body.endswith(b"\r\n--BOUNDARY--\r\n")


async def test_what_parts_several_ranges_is_another_each_time(folder: Path) -> None:
    with using(Registry()):
        tree = Tree(folder)
    kinds = {(await ask(tree, "/a%20b.txt", range="bytes=0-0,5-5")).headers["content-type"] for _ in range(3)}
    assert len(kinds) == 3


async def test_conditions_hold_for_files_in_memory_and_on_the_disk(folder: Path) -> None:
    tree = tree_of(folder)
    for path in ("/a%20b.txt", "/a%20b.txt", "/large.bin"):
        first = await ask(tree, path)
        etag, date = first.headers["etag"], first.headers["last-modified"]
        same = await ask(tree, path, if_none_match=f'"x", W/{etag}', range="bytes=0-0")
        assert (same.status, same.body) == (304, b"")
        assert same.headers == {name: first.headers[name] for name in ("etag", "cache-control", "last-modified")}
        assert (await ask(tree, path, if_modified_since=date)).status == 304
        assert (await ask(tree, path, if_match='"x"')).status == 412
        assert (await ask(tree, path, if_match=etag, range="bytes=0-0")).status == 206
        assert (await ask(tree, path, if_range=etag, range="bytes=0-0")).status == 206
        assert (await ask(tree, path, if_range=date, range="bytes=0-0")).status == 206
        assert (await ask(tree, path, if_range='"x"', range="bytes=0-0")).body == first.body
        assert (await ask(tree, path, "HEAD", range="bytes=0-0")).status == 200


async def test_headers_given_twice_are_one_list(folder: Path) -> None:
    tree = tree_of(folder)
    etag = (await ask(tree, "/a%20b.txt")).headers["etag"].encode()
    pairs = [(b"if-none-match", b'"x"'), (b"if-none-match", etag)]
    answer = tree.quick(Asked("GET", "/a b.txt", pairs))
    assert answer
    assert answer.status == 304
    twice = [(b"range", b"bytes=0-0"), (b"range", b"bytes=0-0")]
    answer = tree.quick(Asked("GET", "/a b.txt", twice))
    assert answer
    assert answer.status == 200


async def test_a_file_of_just_now_is_known_by_its_bytes_only_weakly(folder: Path) -> None:
    """It may be changed once more within the same tick of the file system's clock."""
    (folder / "new.txt").write_text("new")
    with using(Registry()):
        tree = Tree(folder, now=lambda: (folder / "new.txt").stat().st_mtime + 1)
    told = await ask(tree, "/new.txt")
    assert told.headers["etag"].startswith('W/"')
    assert (await ask(tree, "/new.txt", if_range=told.headers["etag"], range="bytes=0-0")).status == 200
    assert (await ask(tree, "/new.txt", if_none_match=told.headers["etag"])).status == 304


async def test_no_file_is_said_to_be_of_the_future(folder: Path) -> None:
    put(folder / "future.txt", "x", at=OLD + 3_000_000_000)
    told = await ask(tree_of(folder), "/future.txt")
    assert "last-modified" not in told.headers
    put(folder / "past.txt", "x", at=-5)
    assert (await ask(tree_of(folder), "/past.txt")).status == 200


# ---- compressed siblings ----


async def test_a_compressed_sibling_is_sent_to_who_takes_it(folder: Path) -> None:
    put(folder / "app.js", "plain plain plain")
    put(folder / "app.js.gz", "GZ")
    put(folder / "app.js.br", "BR")
    tree = tree_of(folder)
    plain = await ask(tree, "/app.js")
    assert (plain.body, plain.headers["vary"]) == (b"plain plain plain", "accept-encoding")
    assert "content-encoding" not in plain.headers
    seen = {plain.headers["etag"]}
    for accepted, coding, body in (("gzip, br", "br", b"BR"), ("gzip;q=1, br;q=0.5", "gzip", b"GZ")):
        told = await ask(tree, "/app.js", accept_encoding=accepted)
        assert (told.headers["content-encoding"], told.body) == (coding, body)
        assert told.headers["content-type"] == "text/javascript; charset=utf-8"
        assert told.headers["vary"] == "accept-encoding"
        seen.add(told.headers["etag"])
        same = await ask(tree, "/app.js", accept_encoding=accepted, if_none_match=told.headers["etag"])
        assert (same.status, same.headers["vary"]) == (304, "accept-encoding")
    assert len(seen) == 3
    assert (await ask(tree, "/app.js", accept_encoding="gzip;q=0, zstd")).body == plain.body
    part = await ask(tree, "/app.js", accept_encoding="br", range="bytes=1-1")
    assert (part.body, part.headers["content-range"], part.headers["content-encoding"]) == (b"R", "bytes 1-1/2", "br")
    itself = await ask(tree, "/app.js.gz", accept_encoding="gzip")
    assert (itself.body, itself.headers["content-type"]) == (b"GZ", "application/gzip")
    assert "content-encoding" not in itself.headers


async def test_a_large_file_has_a_small_sibling(folder: Path) -> None:
    put(folder / "large.bin.gz", "GZ")
    tree = tree_of(folder)
    assert (await ask(tree, "/large.bin", accept_encoding="gzip")).body == b"GZ"
    assert quick(tree, "/large.bin", accept_encoding="gzip")
    assert quick(tree, "/large.bin") is None
    assert len((await ask(tree, "/large.bin")).body) == (folder / "large.bin").stat().st_size


@pytest.mark.parametrize(
    ("plain", "sibling", "good"),
    [
        (OLD, OLD, True),
        (OLD, OLD - 1, False),
        (OLD + 0.5, OLD, True),
        (OLD + 0.5, OLD + 0.25, False),
        (OLD, OLD + 9, True),
    ],
)
async def test_a_sibling_of_an_older_file_is_passed_over(
    folder: Path, plain: float, sibling: float, good: bool
) -> None:
    put(folder / "app.js", "plain", at=plain)
    put(folder / "app.js.gz", "GZ", at=sibling)
    told = await ask(tree_of(folder), "/app.js", accept_encoding="gzip")
    assert told.body == (b"GZ" if good else b"plain")


async def test_a_sibling_that_is_a_link_or_alone_is_not_there(folder: Path) -> None:
    put(folder / "app.js", "plain")
    (folder / "app.js.gz").symlink_to("a b.txt")
    put(folder / "only.js.gz", "GZ")
    tree = tree_of(folder)
    assert (await ask(tree, "/app.js", accept_encoding="gzip")).body == b"plain"
    assert (await ask(tree, "/only.js", accept_encoding="gzip")).status == 404


async def test_a_web_socket_is_closed_and_a_life_is_lived(folder: Path) -> None:
    sent: list[str] = []
    tree = tree_of(folder)

    async def run(scope: str, *events: str) -> None:
        left = list(events)

        async def receive() -> dict[str, Any]:
            return {"type": left.pop(0)}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await tree({"type": scope}, receive, send)

    await run("websocket", "websocket.connect")
    await run("lifespan", "lifespan.startup", "lifespan.shutdown")
    assert sent == ["websocket.close", "lifespan.startup.complete", "lifespan.shutdown.complete"]
