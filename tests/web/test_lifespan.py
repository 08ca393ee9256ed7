"""Lifespan: what an app hears of the beginning and the end, and what becomes of one that fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ropewalk.web import Mounts, NotStarted, Site
from tests.web.talking import GET, answers, hello, hosted

CLOSE = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


class Lives:
    """An app with a life."""

    def __init__(self, told: list[str], name: str = "", *, fails: str = "") -> None:
        self.told, self.name, self.fails = told, name, fails
        self.break_now = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.told.append(f"{self.name} asked {sorted(scope['state'])}")
            scope["state"]["more"] = 1
            await hello(scope, receive, send)
            return
        assert scope == {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        assert await receive() == {"type": "lifespan.startup"}
        self.told.append(f"{self.name} starts")
        if self.fails == "says":
            await send({"type": "lifespan.startup.failed", "message": "Traceback\n  secret\nValueError: no key"})
            return
        if self.fails == "raises":
            raise ValueError("no key")
        scope["state"][f"of {self.name}"] = 1
        await send({"type": "lifespan.startup.complete"})
        if self.fails == "later":
            await self.break_now.wait()
            raise ValueError("broken")
        assert await receive() == {"type": "lifespan.shutdown"}
        self.told.append(f"{self.name} stops")
        await send({"type": "lifespan.shutdown.complete"})


async def test_an_app_lives_around_its_requests_and_each_sees_a_copy_of_its_state() -> None:
    told: list[str] = []
    async with hosted(Lives(told, "a")) as web:
        assert len(await web.asked(GET + CLOSE)) == 2
    assert told == ["a starts", "a asked ['of a']", "a asked ['of a']", "a stops"]


@pytest.mark.parametrize("fails", ["says", "raises"])
async def test_an_app_that_does_not_start_is_not_served(fails: str) -> None:
    with pytest.raises(NotStarted, match="no key") as raised:
        async with Site(Lives([], fails=fails)):
            raise AssertionError
    assert "secret" not in str(raised.value)


async def test_an_app_that_knows_no_life_is_served() -> None:
    async with hosted(hello) as web:  # it asserts that the scope is of HTTP
        assert (await web.asked(CLOSE))[0].status == 200

    async def returns(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await hello(scope, receive, send)

    async with hosted(returns) as web:
        assert (await web.asked(CLOSE))[0].status == 200


async def test_a_life_that_breaks_is_told_to_who_watches(caplog: pytest.LogCaptureFixture) -> None:
    app = Lives([], fails="later")
    async with Site(app) as site:
        watching = asyncio.create_task(site.broken())
        await asyncio.sleep(0)
        app.break_now.set()
        with pytest.raises(NotStarted, match="while it was to serve"):
            await watching
    assert "app's life failed" in caplog.text


async def test_an_app_that_does_not_stop_is_not_waited_for() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.Event().wait()

    async with Site(app) as site:
        await site.stop(0.05)


async def test_mounted_apps_live_together_and_see_only_their_own_state() -> None:
    told: list[str] = []
    async with hosted(Mounts({"/a": Lives(told, "a"), "/": Lives(told, "b"), "/c": hello})) as web:
        got = answers(await web.said(GET.replace(b"/ ", b"/a/x ", 1) + CLOSE))
    assert [one.status for one in got] == [200, 200]
    assert told == ["a starts", "b starts", "a asked ['of a']", "b asked ['of b']", "b stops", "a stops"]


async def test_where_one_of_them_does_not_start_the_others_stop() -> None:
    told: list[str] = []
    with pytest.raises(NotStarted, match=r"/b: .*no key"):
        async with Site(Mounts({"/long": Lives(told, "a"), "/b": Lives(told, "b", fails="says")})):
            raise AssertionError
    assert told == ["a starts", "b starts", "a stops"]
