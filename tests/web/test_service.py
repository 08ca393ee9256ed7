"""The service kind ``web``: from its configuration to its drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ropewalk.metrics import Registry
from ropewalk.service import Context
from ropewalk.web import BadApp, NotStarted
from ropewalk.web.service import WebConfig, WebService
from tests.web.talking import GET, Hosted, answers, at_work, echo, hello, simulated

HERE = "tests.web.test_service"
CLOSE = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def made(context: Context) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": context.name.encode()})

    return app


async def made_later(context: Context) -> Any:
    await asyncio.sleep(0)
    return made(context)


def made_wrong(context: Context) -> Any:
    return 5


async def no_start(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no key"})


async def slow(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await asyncio.sleep(5)
    await hello(scope, receive, send)


NOT_AN_APP = 5
__all__ = ["echo", "hello"]  # which configurations name


@asynccontextmanager
async def running(folder: Path = Path(), **keys: Any) -> AsyncIterator[tuple[WebService, Hosted]]:
    config = msgspec.convert({"listen": "memory://service", **keys}, WebConfig)
    service = WebService(config, Context("pages", "shop", Registry(), folder=folder))
    async with AsyncExitStack() as service.owned:
        await service.start()
        yield service, Hosted(service.site, service.listeners[0])
        await service.stop(10)


@pytest.mark.parametrize(
    ("keys", "body"),
    [
        ({"app": f"{HERE}:hello"}, b"hello"),
        ({"app": f"{HERE}:made", "factory": True}, b"pages"),
        ({"app": f"{HERE}:made_later", "factory": True}, b"pages"),
        ({"mounts": {"/": {"app": f"{HERE}:made", "factory": True}}}, b"pages"),
    ],
)
async def test_it_serves_what_it_is_told(keys: dict[str, Any], body: bytes) -> None:
    async with running(**keys) as (service, web):
        (got,) = await web.asked(CLOSE)
        assert got.body == body
        assert got.headers["x-content-type-options"] == "nosniff"
        assert service.statistics() == {"connections": 0, "running": 0, "websockets": 0}


async def test_all_keys_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.txt").write_text("a file")
    keys: dict[str, Any] = {
        "app": f"{HERE}:hello",
        "mounts": {"/echo": {"app": f"{HERE}:echo", "body": 5}, "/files": {"tree": "pages", "options": {}}},
        "web_limits": {"target": 50, "idle": 1.5},
        "hosts": ["here"],
        "access_log": True,
        "policy": "default-src 'none'",
    }
    async with running(tmp_path, **keys) as (service, web):
        assert (service.site.limits.target, service.site.limits.idle) == (50, 1.5)
        (got,) = await web.asked(CLOSE)
        assert (got.body, got.headers["content-security-policy"]) == (b"hello", "default-src 'none'")
        (file,) = await web.asked(CLOSE.replace(b"/ ", b"/files/a.txt?token=secret ", 1))
        assert (file.status, file.body, file.headers["content-security-policy"]) == (
            200,
            b"a file",
            "default-src 'none'",
        )
        (large,) = await web.asked(
            CLOSE.replace(b"GET / ", b"POST /echo ").replace(b"\r\n\r\n", b"\r\nContent-Length: 6\r\n\r\n123456")
        )
        assert large.status == 413
        assert (await web.asked(CLOSE.replace(b"here", b"there")))[0].status == 421
        assert (await web.asked(CLOSE.replace(b"/ ", b"/" + b"a" * 50 + b" ", 1)))[0].status == 414
    lines = [one for one in caplog.records if one.name == "ropewalk.web.access"]
    assert [one.__dict__["status"] for one in lines] == [200, 200]
    assert [one.__dict__["path"] for one in lines] == ["/", "/files/a.txt"]
    assert "secret" not in caplog.text


def test_it_counts() -> None:
    async def main() -> None:
        async with running(app=f"{HERE}:slow") as (service, web):
            peer = await web.peer(CLOSE)
            await at_work(web)
            read = {one.name: one.series for one in service.context.registry.read()}
            assert read["ropewalk_web_running"] == {("pages",): 1}
            await peer.all()
            await web.said(b"junk\r\n\r\n")
            read = {one.name: one.series for one in service.context.registry.read()}
            assert read["ropewalk_web_running"] == {("pages",): 0}
            assert read["ropewalk_web_requests_total"]["pages", "2xx"] == 1
            assert read["ropewalk_web_refused_total"] == {("pages", "400"): 1}
            assert read["ropewalk_web_sent_bytes_total"] == {("pages",): 5}
            seconds: Any = read["ropewalk_web_request_seconds"]["pages",]
            assert seconds.sum == pytest.approx(5, abs=0.1)

    simulated(main())


def test_it_lets_what_runs_end_and_then_stops() -> None:
    async def main() -> None:
        async with running(app=f"{HERE}:slow") as (_, web):
            peer = await web.peer(CLOSE)
            idle = await web.peer()
            await at_work(web)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=0.2)
        assert answers(peer.data)[0].status == 200
        assert idle.ended

    simulated(main())


async def test_an_app_that_does_not_start_fails_the_service() -> None:
    with pytest.raises(NotStarted, match="no key"):
        async with running(app=f"{HERE}:no_start"):
            raise AssertionError


async def test_a_function_that_gives_no_app_fails_the_service() -> None:
    with pytest.raises(BadApp):
        async with running(app=f"{HERE}:made_wrong", factory=True):
            raise AssertionError


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "nothing to serve"),
        ({"app": f"{HERE}:missing"}, "app: "),
        ({"app": f"{HERE}:NOT_AN_APP"}, "app: "),
        ({"mounts": {"/a/": {"app": f"{HERE}:hello"}}}, "mounts: "),
        ({"mounts": {"/a": {}}}, "an app and a tree"),
        ({"mounts": {"/a": {"app": f"{HERE}:hello", "tree": "x"}}}, "an app and a tree"),
        ({"mounts": {"/a": {"app": f"{HERE}:hello", "options": {"index": "x"}}}}, "options: "),
        ({"mounts": {"/a": {"tree": "x", "options": {"nonsense": 1}}}}, "options: "),
        ({"app": f"{HERE}:hello", "mounts": {"/": {"app": f"{HERE}:hello"}}}, "taken by app"),
        ({"app": f"{HERE}:hello", "hosts": ["a:80"]}, "hosts: "),
        ({"app": f"{HERE}:hello", "web_limits": {"head": 0}}, "web_limits"),
        ({"app": f"{HERE}:hello", "listen": "nonsense"}, "listen: "),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_before_anything_starts(keys: dict[str, Any], says: str) -> None:
    with pytest.raises((BadApp, msgspec.ValidationError, Exception), match=says):
        msgspec.convert({"listen": "memory://service", **keys}, WebConfig)
