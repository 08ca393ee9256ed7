"""Real apps and real clients: Starlette with what it is used for, urllib, http.client, browsers' habits."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypedDict

import pytest

from ropewalk import net
from ropewalk.web import Site
from tests.net.loops import each_loop
from tests.net.peers import certificate
from tests.web.talking import at_work, hosted

starlette = pytest.importorskip("starlette")

from starlette.applications import Starlette  # noqa: E402 - only where it is
from starlette.background import BackgroundTask  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: E402
from starlette.requests import ClientDisconnect, Request  # noqa: E402
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse  # noqa: E402
from starlette.routing import Mount, Route, WebSocketRoute  # noqa: E402
from starlette.websockets import WebSocket  # noqa: E402


class State(TypedDict):
    word: str


class Told:
    """What the app did."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.background = asyncio.Event()
        self.gone = asyncio.Event()


def app_of(told: Told) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        told.done.append("up")
        yield {"word": "kept"}
        told.done.append("down")

    async def see(request: Request) -> Response:
        return JSONResponse(
            {
                "word": request.state.word,
                "path": request.url.path,
                "query": dict(request.query_params),
                "id": request.path_params,
            }
        )

    async def upload(request: Request) -> Response:
        size = 0
        try:
            async for piece in request.stream():
                size += len(piece)
        except ClientDisconnect:
            told.gone.set()
            raise
        return PlainTextResponse(str(size))

    async def stream(_: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                for number in range(1000):
                    yield b"%d," % number
                    await asyncio.sleep(0)
            finally:
                told.done.append("streamed")

        return StreamingResponse(pieces())

    async def later(_: Request) -> Response:
        async def work() -> None:
            await asyncio.sleep(0)
            told.background.set()

        return PlainTextResponse("now", background=BackgroundTask(work))

    async def file(_: Request) -> Response:
        return FileResponse(__file__)

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text.upper())

    async def added(request: Request, go_on: Any) -> Response:
        response: Response = await go_on(request)
        response.headers["x-added"] = "1"
        return response

    routes = [
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/later", later),
        Route("/file", file),
        Mount("/sub", routes=[Route("/see/{id:int}", see)]),
        WebSocketRoute("/socket", socket),
    ]
    return Starlette(routes=routes, lifespan=lifespan, middleware=[Middleware(BaseHTTPMiddleware, dispatch=added)])


def fetched(port: int, path: str, data: bytes | None = None) -> tuple[int, bytes, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data)
    try:
        with urllib.request.urlopen(request, timeout=20) as got:  # noqa: S310 - ours
            return got.status, got.read(), got.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


@each_loop
async def test_a_starlette_app_does_all_that_it_does_elsewhere() -> None:
    told = Told()
    async with hosted(app_of(told), "tcp://127.0.0.1:0") as web:

        async def fetch(path: str, data: bytes | None = None) -> tuple[int, bytes, Any]:
            return await asyncio.to_thread(fetched, web.port, path, data)

        status, body, headers = await fetch("/sub/see/7?a=%20b")
        assert (status, headers["x-added"]) == (200, "1")
        assert json.loads(body) == {"word": "kept", "path": "/sub/see/7", "query": {"a": " b"}, "id": {"id": 7}}
        assert (await fetch("/upload", bytes(1_000_000)))[1] == b"1000000"
        assert (await fetch("/stream"))[1] == b"".join(b"%d," % number for number in range(1000))
        assert (await fetch("/later"))[1] == b"now"
        await told.background.wait()
        with open(__file__, "rb") as ours:  # noqa: ASYNC230 - a test
            assert (await fetch("/file"))[1] == ours.read()
        assert (await fetch("/nothing"))[0] == 404
        assert (await fetch("/upload"))[0] == 405
        from websockets.asyncio.client import connect

        async with connect(f"ws://127.0.0.1:{web.port}/socket") as client:
            await client.send("hello")
            assert await client.recv() == "HELLO"
    assert told.done == ["up", "streamed", "down"]


async def test_an_upload_that_is_cut_half_way_is_told_to_the_app(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    async with hosted(app_of(told), "tcp://127.0.0.1:0") as web:
        peer = await web.peer(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000))
        await at_work(web)
        peer.transport.close()
        await told.gone.wait()
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


async def test_over_tls_an_app_is_told_so(tmp_path: Path) -> None:
    import ssl

    from websockets.asyncio.client import connect

    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] != "lifespan"
        seen.append(scope["scheme"])
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "bytes": b"safe"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"safe"})

    files = certificate(tmp_path, "localhost", "127.0.0.1")
    url = f"tls://127.0.0.1:0?cert={files['cert']}&key={files['key']}"
    trust = ssl.create_default_context(cafile=files["ca"])
    async with Site(app) as site, await net.listen(url, site.protocol) as listener:
        port = listener.endpoint.port
        reader, writer = await asyncio.open_connection("localhost", port, ssl=trust)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"\r\n\r\nsafe")
        writer.close()
        await writer.wait_closed()
        async with connect(f"wss://localhost:{port}/", ssl=trust) as client:
            assert await client.recv() == b"safe"
    assert seen == ["https", "wss"]


async def test_a_client_of_the_standard_library_keeps_its_connection() -> None:
    async with hosted(app_of(Told()), "tcp://127.0.0.1:0") as web:

        def many() -> list[int]:
            connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
            sizes = []
            connection.connect()
            sock = connection.sock
            for number in range(5):
                connection.request("POST", "/upload", body=iter([bytes(1000)] * number))
                sizes.append(int(connection.getresponse().read()))
            assert connection.sock is sock
            connection.close()
            return sizes

        assert await asyncio.to_thread(many) == [0, 1000, 2000, 3000, 4000]


def test_two_sites_run_in_two_threads() -> None:
    ports: list[int] = []
    failures: list[BaseException] = []

    def serve(wait: Callable[[], Any], ready: Callable[[], Any]) -> None:
        async def main() -> None:
            async with Site(app_of(Told())) as site, await net.listen("tcp://127.0.0.1:0", site.protocol) as listener:
                ports.append(listener.endpoint.port)
                ready()
                await asyncio.to_thread(wait)

        try:
            asyncio.run(main())
        except BaseException as error:
            failures.append(error)
            raise

    over, both = threading.Event(), threading.Barrier(3)
    threads = [threading.Thread(target=serve, args=(over.wait, both.wait)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        both.wait(20)
        assert [fetched(port, "/sub/see/1")[0] for port in ports] == [200, 200]
    finally:
        over.set()
        for thread in threads:
            thread.join(20)
    assert not failures
