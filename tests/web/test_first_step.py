"""The first step of an app is taken within the read, in the name of the connection's task, and nobody can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from ropewalk.web import Site
from ropewalk.web.own_context import OwnContext
from tests.web.talking import GET, Peer, answers, hello, hosted

CLOSE = b"GET /last HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
SECOND = b"GET /second HTTP/1.1\r\nHost: here\r\n\r\n"
WITHIN = 30.0
App = Callable[[Any, Any, Any], Any]
_begin = OwnContext.begin
asked_by: ContextVar[str] = ContextVar("asked_by", default="nobody")


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        pass

    abort = close


async def until(true: Callable[[], Any]) -> None:
    """Let others go on until it is so."""
    while not true():  # noqa: ASYNC110 - what is looked at tells nobody
        await asyncio.sleep(0)


async def called(what: Callable[..., Any], *args: Any) -> Any:
    """What a callback of the loop gets, in which no task is the current one."""
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: future.set_result(what(*args)))
    return await future


async def talk(app: App, *after: bytes) -> list[Any]:
    """A first request, whose task then rests, and others, each after the answer before it; the answers."""
    begun = 0

    def begin(*args: Any) -> bool:
        nonlocal begun
        begun += 1
        return _begin(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OwnContext, "begin", begin)
        got = await _talk(app, *after)
    assert begun, "the way that is tested was taken"
    return got


async def _talk(app: App, *after: bytes) -> list[Any]:
    async with asyncio.timeout(WITHIN), hosted(app) as web:
        peer: Peer = await web.peer(GET)
        await peer.until(text=b"\r\n\r\n")
        for number, one in enumerate(after, 2):
            peer.transport.write(one)
            while peer.data.count(b"HTTP/1.1 ") < number or not answers(peer.data)[-1].whole:
                await peer.until(size=len(peer.data) + 1)
        return answers(peer.data)


def second_alone(act: Callable[[Any, Any, Any], Any]) -> App:
    """An app that does something at the path /second, and answers at all others."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (act if scope.get("path") == "/second" else hello)(scope, receive, send)

    return app


async def test_an_app_that_waits_for_nothing_has_answered_when_the_read_ends() -> None:
    tasks: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.current_task())
        await hello(scope, receive, send)

    async with Site(second_alone(app)) as site:
        connection, wire = site.protocol(), Wire()
        connection.connection_made(wire)
        connection.data_received(GET)
        await until(lambda: wire.written)
        await asyncio.sleep(0)

        def read(data: bytes) -> int:
            connection.data_received(data)
            return len(answers(wire.written))

        for count in (2, 3, 4):
            assert await called(read, SECOND) == count, "within the read"
        connection.data_received(SECOND)  # within a task of somebody else: it is not that one's
        await until(lambda: len(answers(wire.written)) == 5)
        assert len(set(tasks)) == 1
        assert tasks[0] not in (None, asyncio.current_task())
        assert await called(asyncio.current_task) is None
        connection.connection_lost(None)


async def test_an_app_that_waits_goes_on_in_the_same_task_and_context() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(asked_by.get())
        asked_by.set("second")
        before = asyncio.current_task()
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        waits = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(waits.set_result, "came")
        seen.extend([await waits, asked_by.get(), asyncio.current_task() is before])
        await hello(scope, receive, send)

    assert [one.status for one in await talk(second_alone(app), SECOND, SECOND, CLOSE)] == [200] * 4
    assert seen == ["nobody", "came", "second", True] * 2
    assert asked_by.get() == "nobody"


async def test_what_it_waits_for_first_may_be_there_before_the_task_goes_on() -> None:
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        loop = asyncio.get_running_loop()
        done, fails = loop.create_future(), loop.create_future()
        done.set_result(1)
        loop.call_soon(fails.set_exception, ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            await fails
        got.append(await done)
        await hello(scope, receive, send)

    assert [one.status for one in await talk(second_alone(app), SECOND, CLOSE)] == [200] * 3
    assert got == [1]


@pytest.mark.parametrize("seconds", [0.0, 0.001])
async def test_time_outs_and_groups_that_begin_in_the_first_step(seconds: float) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()
        with pytest.raises(ExceptionGroup):
            await grouped()
        await hello(scope, receive, send)

    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())
            await asyncio.Event().wait()

    async def failing() -> None:
        raise ValueError

    assert [one.status for one in await talk(second_alone(app), SECOND, SECOND, CLOSE)] == [200] * 4


@pytest.mark.parametrize("caught", [True, False])
async def test_an_app_that_cancels_itself_in_its_first_step_is_cancelled_where_it_waits(caught: bool) -> None:
    waited: list[asyncio.Future[None]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        waited.append(asyncio.get_running_loop().create_future())
        try:
            await waited[-1]
        except asyncio.CancelledError:
            if not caught:
                raise
        assert task.cancelling() == 1
        await hello(scope, receive, send)

    async def calm(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0, "what one app asked for does not meet the next one"
        await hello(scope, receive, send)

    async def both(scope: Any, receive: Any, send: Any) -> None:
        await (app if scope.get("path") == "/second" else calm)(scope, receive, send)

    after = [SECOND, GET, SECOND, CLOSE] if caught else [SECOND]
    got = await talk(both, *after)
    assert [one.status for one in got] == ([200] * 5 if caught else [200, 500])
    assert all(one.cancelled() for one in waited), "what it waits for is cancelled, as in any task"


async def test_an_app_that_cancels_itself_and_never_waits_harms_no_later_request() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    assert [one.status for one in await talk(second_alone(app), SECOND, SECOND, GET, CLOSE)] == [200] * 5


async def test_what_an_app_does_after_its_answer_holds_up_nobody_in_a_later_request_either() -> None:
    ended: list[str] = []
    free = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        await free.wait()
        ended.append("it")

    async def last(scope: Any, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        free.set()

    async def both(scope: Any, receive: Any, send: Any) -> None:
        where = scope.get("path")
        await (app if where == "/second" else last if where == "/last" else hello)(scope, receive, send)

    assert [one.status for one in await talk(both, SECOND, SECOND, GET, SECOND, CLOSE)] == [200] * 6
    assert len(ended) == 3
    free.clear()
    async with asyncio.timeout(WITHIN), hosted(both) as web:  # what comes in one piece, too
        peer = await web.peer(GET)
        await peer.until(text=b"hello")
        peer.transport.write(SECOND + CLOSE)
        assert [one.status for one in answers(await peer.all())] == [200] * 3
    assert len(ended) == 4


@pytest.mark.parametrize("pipelined", [SECOND + CLOSE, SECOND * 3 + CLOSE, GET + SECOND + CLOSE])
async def test_requests_that_come_together_are_answered_in_order(pipelined: bytes) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.001)
        body = scope["path"].encode()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": body})

    async def quick(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] != "/second":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": scope["path"].encode()})
        else:
            await (app if scope["type"] == "http" else hello)(scope, receive, send)

    async with asyncio.timeout(WITHIN), hosted(quick) as web:
        peer = await web.peer(GET)
        await peer.until(text=b"\r\n\r\n/")
        peer.transport.write(pipelined)
        got = answers(await peer.all())
    targets = [line.split()[1] for line in (GET + pipelined).split(b"\r\n") if line.startswith(b"GET ")]
    assert [one.body for one in got] == targets


async def test_a_peer_that_goes_between_the_first_step_and_the_next_is_noticed() -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        await asyncio.sleep(0)
        told.append((await receive())["type"])

    async with asyncio.timeout(WITHIN), Site(second_alone(app)) as site:
        connection, wire = site.protocol(), Wire()
        connection.connection_made(wire)
        connection.data_received(GET)
        await until(lambda: wire.written)
        await asyncio.sleep(0)

        def read_and_lose() -> None:
            connection.data_received(SECOND)
            connection.connection_lost(None)

        await called(read_and_lose)
        await until(lambda: told)
        assert told == ["http.disconnect"]
        await until(lambda: not site.running)


async def test_a_site_that_ends_between_the_first_step_and_the_next_cancels_the_app() -> None:
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("it")

    async with asyncio.timeout(WITHIN), Site(second_alone(app)) as site:
        connection, wire = site.protocol(), Wire()
        connection.connection_made(wire)
        connection.data_received(GET)
        await until(lambda: wire.written)
        await asyncio.sleep(0)

        def read_and_stop() -> asyncio.Task[None]:
            connection.data_received(SECOND)
            return asyncio.get_running_loop().create_task(site.stop(0))

        await (await called(read_and_stop))
    assert ended == ["it"]
    connection.connection_lost(None)


async def test_an_own_context_that_was_begun_goes_on_as_one_that_was_not() -> None:
    steps: list[str] = []

    async def work(fails: bool) -> None:
        asked_by.set("work")
        for _ in range(3):
            steps.append(asked_by.get())
            with suppress(TimeoutError):
                async with asyncio.timeout(0):
                    await asyncio.get_running_loop().create_future()
        if fails:
            raise ValueError("at its end")

    async def task(begun: bool, fails: bool) -> None:
        one = OwnContext(work(fails), copy_context())
        if begun:
            me = asyncio.current_task()
            assert me is not None
            loop = asyncio.get_running_loop()
            asyncio.tasks._leave_task(loop, me)
            try:
                assert one.begin(me, loop)
                assert asyncio.current_task() is None
            finally:
                asyncio.tasks._enter_task(loop, me)
        await one
        assert asked_by.get() == "nobody"

    for begun in (False, True):
        await asyncio.create_task(task(begun, fails=False))
        with pytest.raises(ValueError, match="at its end"):
            await asyncio.create_task(task(begun, fails=True))
    assert steps == ["work"] * 12


async def test_a_first_step_that_is_the_last_leaves_nothing_to_wait_for() -> None:
    async def work() -> None:
        asked_by.set("work")

    async def broken() -> None:
        raise ValueError("at once")

    loop = asyncio.get_running_loop()
    waits = loop.create_task(asyncio.sleep(0))
    assert await called(lambda: OwnContext(work(), copy_context()).begin(waits, loop)) is False
    with pytest.raises(ValueError, match="at once"):
        await called_safely(lambda: OwnContext(broken(), copy_context()).begin(waits, loop))
    assert await called(asyncio.current_task) is None
    await waits


async def called_safely(what: Callable[[], Any]) -> Any:
    """As `called`, for what may raise."""
    found: list[BaseException] = []

    def tried() -> Any:
        try:
            return what()
        except ValueError as error:
            found.append(error)

    got = await called(tried)
    if found:
        raise found[0]
    return got
