"""Several sites at one endpoint: each request gets the app of its name, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ropewalk import broker
from ropewalk.web import Answer, Asked, BadApp, BadHostName, BodyLimit, ByHost, Mounts, SecurityHeaders
from ropewalk.web.broker_mount import RemoteObjects
from ropewalk.web.service import WebConfig
from tests.broker.hosts import House
from tests.web.sockets import ASKED, Talks
from tests.web.talking import hello, hosted, part, start
from tests.web.test_service import HERE, running


def saying(what: bytes) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        await send(part(what))

    return app


def asking(host: str, first: str = "GET / HTTP/1.1") -> bytes:
    return f"{first}\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


APPS = {"a.org": saying(b"a"), "B.org": saying(b"b"), "*.a.org": saying(b"*.a"), "*.x.a.org": saying(b"*.x.a")}


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("a.org", b"a"),
        ("A.ORG.:80", b"a"),
        ("b.org:8080", b"b"),
        ("w.a.org", b"*.a"),
        ("v.w.a.org", b"*.a"),
        ("x.a.org", b"*.a"),
        ("y.x.a.org", b"*.x.a"),
        *((host, None) for host in ("", "c.org", "w.b.org", "xa.org", "a.org.evil", "org", "127.0.0.1", "[::1]:80")),
    ],
)
async def test_each_name_has_its_app_and_any_other_is_421(host: str, said: bytes | None) -> None:
    async with hosted(SecurityHeaders(BodyLimit(ByHost(APPS), 10))) as web:
        (got,) = await web.asked(asking(host))
        assert (got.status, got.body) == ((200, said) if said else (421, b"this name is not served here\n"))
        assert got.headers["x-content-type-options"] == "nosniff"
        (got,) = await web.asked(asking("c.org", f"GET http://{host or 'c.org'}/ HTTP/1.1"))
        assert got.body == (said or b"this name is not served here\n"), "the target counts more than the header"


async def test_who_names_no_host_is_421_and_one_connection_may_ask_for_several() -> None:
    async with hosted(ByHost(APPS)) as web:
        assert (await web.asked(b"GET / HTTP/1.0\r\n\r\n"))[0].status == 421
        kept = asking("a.org").replace(b"Connection: close\r\n", b"")
        got = await web.asked(kept, kept.replace(b"a.org", b"c.org"), asking("b.org"))
        assert [(one.status, one.body[:1]) for one in got] == [(200, b"a"), (421, b"t"), (200, b"b")]


class Quickly:
    """Answers quickly, and only so."""

    def quick(self, asked: Asked) -> Answer | None:
        return Answer(200, b"content-length: 5\r\n", b"quick")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError


async def test_a_quick_answer_is_of_its_own_name() -> None:
    async with hosted(ByHost({"q.org": Quickly(), "a.org": hello})) as web:
        told = [(await web.asked(asking(host)))[0] for host in ("q.org", "a.org", "c.org")]
        assert [(one.status, one.body[:5]) for one in told] == [(200, b"quick"), (200, b"hello"), (421, b"this ")]


async def test_websockets_and_objects_are_of_their_own_name() -> None:
    house = House()
    apps: dict[str, Any] = {"127.0.0.1": Mounts({"/objects": RemoteObjects(house)}), "here": Talks(), "a.org": hello}
    async with hosted(ByHost(apps), "tcp://127.0.0.1:0") as web:
        session = await broker.opened(f"ws://127.0.0.1:{web.port}/objects")
        me: Any = await broker.login(session)
        assert await me.echo("x") == "x"
        session.close()
        await session.wait_closed()
        peer = await web.peer(ASKED)
        assert (await peer.until(text=b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        peer.transport.abort()
        for_none = ASKED.replace(b"Host: here", b"Host: c.org").replace(b"/socket", b"/objects")
        assert (await web.said(for_none)).startswith(b"HTTP/1.1 421 ")
        assert (await web.said(for_none.replace(b"c.org", b"a.org"))).startswith(b"HTTP/1.1 500 ")  # it takes none


async def test_each_app_is_started_once_and_has_its_own_state() -> None:
    told: list[str] = []

    def living(name: str) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                await saying(scope["state"]["name"].encode())(scope, receive, send)
                return
            for what in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{what}"
                told.append(f"{name} {what}")
                scope["state"]["name"] = name
                await send({"type": f"lifespan.{what}.complete"})

        return app

    one, two = living("one"), living("two")
    async with hosted(ByHost({"a.org": one, "b.org": two, "www.a.org": one})) as web:
        said = [(await web.asked(asking(host)))[0].body for host in ("a.org", "b.org", "www.a.org")]
        assert said == [b"one", b"two", b"one"]
    assert sorted(told) == ["one shutdown", "one startup", "two shutdown", "two startup"]


@pytest.mark.parametrize("names", [[], ["a:80"], ["*"], ["a.org", "A.org"], ["http://a"]])
def test_names_that_cannot_be_are_refused(names: list[str]) -> None:
    with pytest.raises((BadHostName, BadApp)):
        ByHost(dict.fromkeys(names, hello))


async def test_a_service_has_them_by_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/a.txt").write_text("a file")
    keys: dict[str, Any] = {
        "names": {
            "a.org": {"app": f"{HERE}:made", "factory": True, "mounts": {"/echo": {"app": f"{HERE}:echo"}}},
            "*.files.org": {"mounts": {"/": {"tree": "pages"}}},
        }
    }
    async with running(tmp_path, **keys) as (_, web):
        for host, path, status, body in (
            ("a.org", "/", 200, b"pages"),
            ("a.org", "/echo", 200, b"GET /echo "),
            ("my.files.org", "/a.txt", 200, b"a file"),
            ("files.org", "/a.txt", 421, b"this name is not served here\n"),
            ("a.org", "/a.txt", 200, b"pages"),
        ):
            (got,) = await web.asked(asking(host, f"GET {path} HTTP/1.1"))
            assert (got.status, got.body) == (status, body)
            assert got.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"names": {"a.org": {}}}, "nothing to serve"),
        ({"names": {"a:80": {"app": f"{HERE}:hello"}}}, "names: "),
        ({"names": {"a.org": {"app": f"{HERE}:hello"}}, "app": f"{HERE}:hello"}, "beside them"),
        ({"names": {"a.org": {"app": f"{HERE}:hello"}}, "hosts": ["a.org"]}, "beside them"),
        ({"names": {"a.org": {"app": f"{HERE}:missing"}}}, "app: "),
        ({"names": {"a.org": {"app": f"{HERE}:hello", "hosts": []}}}, "hosts"),
    ],
)
def test_a_configuration_of_names_that_cannot_be_is_refused(keys: dict[str, Any], says: str) -> None:
    with pytest.raises((BadApp, BadHostName, msgspec.ValidationError), match=says):
        msgspec.convert({"listen": "memory://service", **keys}, WebConfig)
