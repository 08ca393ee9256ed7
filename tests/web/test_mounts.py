"""Mounts and wrappers: who is asked, and what every answer carries."""

from __future__ import annotations

from typing import Any

import pytest

from ropewalk.web import Answer, Asked, BadApp, BrokenAnswer, Mounts
from ropewalk.web.body_limit import BodyLimit
from ropewalk.web.headers import SecurityHeaders
from tests.web.talking import GET, TEXT, answers, echo, hosted, part, start


def asking(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: here\r\n{more}Connection: close\r\n\r\n".encode()


async def where(scope: Any, receive: Any, send: Any) -> None:
    """Says where it is."""
    assert scope["type"] == "http"
    await send(start())
    await send(part(f"{scope['root_path']}|{scope['path']}|{scope['raw_path'].decode()}".encode()))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/", "|/|/"),
        ("/a", "/a|/a|/a"),
        ("/a/", "/a|/a/|/a/"),
        ("/a/b", "/a/b|/a/b|/a/b"),
        ("/a/b/c", "/a/b|/a/b/c|/a/b/c"),
        ("/a/bc", "/a|/a/bc|/a/bc"),
        ("/ab", "|/ab|/ab"),
        ("/%61/c", "/a|/a/c|/%61/c"),
    ],
)
async def test_the_longest_prefix_of_whole_segments_has_it(path: str, said: str) -> None:
    async with hosted(Mounts({"/": where, "/a": where, "/a/b": where})) as web:
        (got,) = await web.asked(asking(path))
    assert got.body.decode() == said


async def test_mounts_stand_in_mounts() -> None:
    async with hosted(Mounts({"/a": Mounts({"/b": where})})) as web:
        (got,) = await web.asked(asking("/a/b/c"))
        (none,) = await web.asked(asking("/a/c"))
    assert (got.body, none.status) == (b"/a/b|/a/b/c|/a/b/c", 404)


async def test_what_nobody_has_is_404_and_says_nothing() -> None:
    async with hosted(Mounts({"/a": where})) as web:
        (got,) = await web.asked(asking("/<script>".replace("<", "%3C").replace(">", "%3E")))
    assert (got.status, got.body) == (404, b"there is nothing here\n")


@pytest.mark.parametrize("prefix", ["a", "/a/", "//", "/a//b", "/a?b", "/%61", "/a b", "/a#"])
def test_a_prefix_that_cannot_be_is_refused(prefix: str) -> None:
    with pytest.raises(BadApp):
        Mounts({prefix: where})


def test_two_apps_for_all_other_paths_are_refused() -> None:
    with pytest.raises(BadApp):
        Mounts({"": where, "/": where})


class Quickly:
    """Answers some paths quickly."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.ran = 0

    def quick(self, asked: Asked) -> Answer | None:
        self.asked.append(asked)
        if asked.path == "/broken":
            raise ValueError("secret")
        if asked.path == "/none":
            return Answer(304, b"etag: x\r\n", b"")
        return Answer(200, b"content-length: 5\r\nx-own: 1\r\n", b"quick") if asked.path == "/quick" else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        self.ran += 1
        await where(scope, receive, send)


async def test_a_quick_answer_is_given_without_running_the_app() -> None:
    app = Quickly()
    async with hosted(Mounts({"/a": app})) as web:
        (got,) = await web.asked(asking("/a/quick", "X: y\r\n"))
        assert (got.status, got.body, got.headers["connection"]) == (200, b"quick", "close")
        assert "date" in got.headers
        assert (b"x", b"y") in app.asked[0].headers
        assert (app.asked[0].method, app.asked[0].path, app.ran) == ("GET", "/quick", 0)
        assert (await web.said(asking("/a/quick").replace(b"GET", b"HEAD"))).endswith(b"\r\n\r\n")
        assert (await web.asked(asking("/a/none")))[0].status == 304
        assert (await web.asked(asking("/a/slow")))[0].body == b"/a|/a/slow|/a/slow"
        many = await web.asked(GET.replace(b"/ ", b"/a/quick ") * 300 + asking("/a/slow"))
        assert [one.body for one in many] == [b"quick"] * 300 + [b"/a|/a/slow|/a/slow"]


async def test_what_may_be_read_in_two_ways_or_has_a_body_does_not_go_the_quick_way() -> None:
    app = Quickly()
    async with hosted(app) as web:
        await web.asked(asking("/qu%69ck"))
        await web.asked(asking("/quick", "Content-Length: 1\r\n") + b"x")
        await web.asked(asking("/quick").replace(b"GET", b"POST"))
    assert (app.asked, app.ran) == ([], 3)


async def test_a_quick_way_that_raises_is_500_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with hosted(Quickly()) as web:
        said = await web.said(asking("/broken"))
    assert answers(said)[0].status == 500
    assert b"secret" not in said
    assert len([one for one in caplog.records if one.levelname == "ERROR" and one.exc_info]) == 1


async def test_every_answer_has_the_headers_unless_it_says_otherwise() -> None:
    async def own(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start(headers=[*TEXT, (b"Referrer-Policy", b"origin")]))
        await send(part(b""))

    app = SecurityHeaders(
        Mounts({"/own": own, "/": Quickly()}),
        policy="default-src 'self'",
        headers={"x-a": "b", "cross-origin-opener-policy": None},
    )
    async with hosted(app) as web:
        (own_said,) = await web.asked(asking("/own"))
        (quick,) = await web.asked(asking("/quick"))
        (none,) = await web.asked(asking("/other"))
    for got in (own_said, quick, none):
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["content-security-policy"] == "default-src 'self'"
        assert got.headers["x-a"] == "b"
        assert "cross-origin-opener-policy" not in got.headers
    assert [one.headers["referrer-policy"] for one in (own_said, quick)] == ["origin", "no-referrer"]


@pytest.mark.parametrize("given", [{"x": "a\r\nb"}, {"x:y": "a"}, {"": "a"}])
def test_headers_that_cannot_be_are_refused(given: dict[str, str | None]) -> None:
    with pytest.raises(BrokenAnswer):
        SecurityHeaders(echo, headers=given)


async def test_an_app_may_take_larger_or_only_smaller_bodies() -> None:
    sent = b"POST /%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 20000000\r\n\r\n"
    async with hosted(Mounts({"/large": BodyLimit(echo, 10**9), "/": BodyLimit(echo, 10)})) as web:
        (large,) = await web.asked(sent % b"large", bytes(20_000_000))
        (small,) = await web.asked(sent.replace(b"20000000", b"11") % b"small", bytes(11))
    assert (large.status, len(large.body), small.status) == (200, 20_000_012, 413)
