"""Answers of apps: how they go out, and what becomes of those that cannot be, or that an app breaks off."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from ropewalk.web import BrokenAnswer
from tests.web.talking import GET, answering, answers, hello, hosted, part, start

CLOSE = b"GET /last HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


async def test_an_answer_of_one_part_has_a_length_and_of_several_parts_comes_in_chunks() -> None:
    parts = answering(start(), part(b"one", more=True), part(b"", more=True), part(b"two", more=True), part(b""))
    async with hosted(parts) as web:
        said = await web.said(CLOSE)
        (old,) = await web.asked(b"GET / HTTP/1.0\r\n\r\n")
    (got,) = answers(said)
    assert (got.body, got.headers["transfer-encoding"]) == (b"onetwo", "chunked")
    assert said.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert (old.body, "transfer-encoding" in old.headers) == (b"onetwo", False)


async def test_parts_go_out_as_they_are_sent() -> None:
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        await send(part(b"first", more=True))
        await go_on.wait()
        await send(part(b"second"))

    async with hosted(app) as web:
        peer = await web.peer(CLOSE)
        await peer.until(text=b"first")
        go_on.set()
        assert (await peer.all()).endswith(b"second\r\n0\r\n\r\n")


async def test_head_gets_the_head_alone() -> None:
    head = CLOSE.replace(b"GET", b"HEAD")
    async with hosted(hello) as web:
        said = await web.said(head)
    assert said.endswith(b"content-length: 5\r\nconnection: close\r\n\r\n")
    async with hosted(answering(start(), part(b"one", more=True), part(b"two"))) as web:
        assert (await web.said(head)).endswith(b"\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize(("status", "length"), [(204, None), (304, "5")])
async def test_answers_that_have_no_body_get_none(status: int, length: str | None) -> None:
    given = answering(start(status, [(b"content-length", b"5")]), part(b"hello"))
    async with hosted(given) as web:
        said = await web.said(GET + CLOSE)
    first, second = answers(said)
    assert (first.headers.get("content-length"), second.status) == (length, status)
    assert b"hello" not in said


async def test_what_an_app_does_after_its_answer_holds_up_nobody() -> None:
    first, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await hello(scope, receive, send)
        if scope["path"] == "/":
            first.set()
            await go_on.wait()

    async with hosted(app) as web:
        peer = await web.peer(GET)
        await first.wait()
        peer.transport.write(CLOSE)
        assert len(answers(await peer.all())) == 2
        assert web.site.running == 1
        go_on.set()


async def test_time_outs_and_groups_of_tasks_work_inside_an_app() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        await hello(scope, receive, send)

    async with hosted(app) as web:
        assert [one.status for one in await web.asked(GET + CLOSE)] == [200, 200]


async def test_what_one_app_cancels_does_not_meet_the_next_request(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        else:
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
        await hello(scope, receive, send)

    async with hosted(app) as web:
        assert [one.status for one in await web.asked(GET + CLOSE)] == [200, 200]
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


BROKEN: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "no answer": ([], False),
    "a body before the head": ([part(b"x")], False),
    "a line end in a header": ([start(headers=[(b"x", b"a\r\nset-cookie: b")]), part(b"x")], False),
    "a line end in a name": ([start(headers=[(b"x\n", b"a")]), part(b"x")], False),
    "a zero byte": ([start(headers=[(b"x", b"a\0")]), part(b"x")], False),
    "two heads": ([start(), start()], False),
    "two lengths": ([start(headers=[(b"content-length", b"1")] * 2), part(b"x")], False),
    "a length that is none": ([start(headers=[(b"content-length", b"-1")]), part(b"x")], False),
    "more than the length": ([start(headers=[(b"content-length", b"1")]), part(b"xy")], False),
    "a message that is none": ([{"type": "http.response.nonsense"}], False),
    "trailers": ([{**start(), "trailers": True}, part(b"x")], False),
    "a status of the host's own": ([start(101), part(b"x")], False),
    "a head alone": ([start()], False),
    "less than the length": ([start(headers=[(b"content-length", b"9")]), part(b"x", more=True), part(b"y")], True),
    "no end": ([start(), part(b"xy", more=True)], True),
    "more than the length, later": (
        [start(headers=[(b"content-length", b"3")]), part(b"xy", more=True), part(b"zz")],
        True,
    ),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_an_answer_that_cannot_be_is_500_or_a_cut_connection(what: str, caplog: pytest.LogCaptureFixture) -> None:
    messages, begun = BROKEN[what]
    async with hosted(answering(*messages)) as web:
        got = await web.asked(GET + CLOSE)
    errors = [one for one in caplog.records if one.levelname == "ERROR"]
    assert len(errors) == 1
    assert errors[0].exc_info
    assert isinstance(errors[0].exc_info[1], BrokenAnswer)
    if begun:
        assert [one.whole for one in got] in ([False], [])
    else:
        assert [(one.status, one.keep) for one in got] == [(500, False)]
        assert got[0].body == b"something went wrong here\n"


@pytest.mark.parametrize("error", [ValueError("secret"), SystemExit(3), asyncio.CancelledError("secret")])
async def test_what_an_app_raises_is_in_the_log_and_not_in_the_answer(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        raise error

    async with hosted(app) as web:
        said = await web.said(GET)
        assert b"secret" not in said
        assert answers(said)[0].status == 500
        assert answers(await web.said(CLOSE))[0].status == 500
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 2


async def test_an_app_that_raises_in_the_middle_is_cut_and_nobody_takes_it_for_whole() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        await send(part(b"half", more=True))
        raise ValueError

    async with hosted(app) as web:
        got = await web.asked(GET)
    assert [one.whole for one in got] in ([False], [])
