"""Files that an app names: sent by the kernel, by way of memory, whole, in parts, and never where nobody takes them."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ropewalk import net
from ropewalk.web import Site, sending
from tests.net.loops import each_loop
from tests.net.peers import certificate
from tests.web.talking import GET, answers, at_work, body_of, hosted, start

SIZE = 3_000_001
DATA = bytes(range(251)) * (SIZE // 251 + 1)
DATA = DATA[:SIZE]
CLOSE = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    return path


def by_path(path: Path, *, length: bool = True) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        size = path.stat().st_size  # noqa: ASYNC240 - a test
        await send(start(headers=[(b"content-length", b"%d" % size)] if length else []))
        await send({"type": "http.response.pathsend", "path": str(path)})

    return app


def by_parts(path: Path, *, length: bool = True) -> Any:
    """Two parts of a file and a word between them."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start(headers=[(b"content-length", b"%d" % (SIZE + 1))] if length else []))
        with path.open("rb") as opened:
            await send(
                {
                    "type": "http.response.zerocopysend",
                    "file": opened,
                    "offset": 0,
                    "count": 2_000_000,
                    "more_body": True,
                }
            )
            await send({"type": "http.response.body", "body": b"|", "more_body": True})
            opened.seek(2_000_000)
            await send({"type": "http.response.zerocopysend", "file": opened})

    return app


@each_loop
async def test_a_file_is_sent_whole(file: Path) -> None:
    async with hosted(by_path(file), "tcp://127.0.0.1:0") as web:
        first, second = answers(await web.said(GET + CLOSE))
    assert (first.body, second.body) == (DATA, DATA)


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:0", "memory://web", "unix://{}/web.sock"])
@pytest.mark.parametrize("length", [True, False])
async def test_parts_of_a_file_come_in_order(file: Path, url: str, length: bool) -> None:
    async with hosted(by_parts(file, length=length), url.format(file.parent)) as web:
        (got,) = answers(await web.said(CLOSE))
    assert got.body == DATA[:2_000_000] + b"|" + DATA[2_000_000:]
    assert ("content-length" in got.headers) is length


async def test_for_head_no_file_is_read(file: Path) -> None:
    async with hosted(by_path(file), "tcp://127.0.0.1:0") as web:
        said = await web.said(CLOSE.replace(b"GET", b"HEAD"))
    assert said.endswith(b"\r\n\r\n")
    assert b"content-length: %d" % SIZE in said


async def test_the_kernel_copies_over_tcp_and_memory_does_over_tls(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct: list[int] = []
    send = sending.DirectSending.send

    async def noted(self: sending.DirectSending, opened: int, offset: int, count: int) -> int:
        direct.append(count)
        return await send(self, opened, offset, count)

    monkeypatch.setattr(sending.DirectSending, "send", noted)
    async with hosted(by_path(file), "tcp://127.0.0.1:0") as web:
        assert answers(await web.said(CLOSE))[0].body == DATA
    assert direct == [SIZE]
    files = certificate(tmp_path, "localhost", "127.0.0.1")
    url = f"tls://127.0.0.1:0?cert={files['cert']}&key={files['key']}"
    async with Site(by_path(file)) as site, await net.listen(url, site.protocol) as listener:
        trust = ssl.create_default_context(cafile=files["ca"])

        def fetch() -> bytes:
            address = f"https://localhost:{listener.endpoint.port}/"
            with urllib.request.urlopen(address, timeout=20, context=trust) as got:
                body: bytes = got.read()
                return body

        assert await asyncio.to_thread(fetch) == DATA
    assert direct == [SIZE]


@pytest.mark.parametrize("how", [by_path, by_parts])
@each_loop
async def test_a_peer_that_goes_in_the_middle_harms_nobody(file: Path, how: Callable[[Path], Any]) -> None:
    ended = asyncio.Event()
    app = how(file)

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        try:
            await app(scope, receive, send)
        finally:
            ended.set()

    file.write_bytes(DATA * 20)  # noqa: ASYNC240 - a test
    async with hosted(noted if how is by_path else by_path(file), "tcp://127.0.0.1:0") as web:
        peer = await web.peer(GET)
        await peer.until(size=100)
        peer.transport.pause_reading()
        peer.transport.abort()
        if how is by_path:
            await ended.wait()
        await at_work(web, 0)


async def test_a_file_that_is_not_there_is_500_and_one_that_shrank_is_cut(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def gone(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        await send({"type": "http.response.pathsend", "path": str(file) + "x"})

    async def shrank(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await body_of(receive)
        await send(start(headers=[(b"content-length", b"%d" % SIZE)]))
        with file.open("rb") as opened:
            file.write_bytes(b"short")  # noqa: ASYNC240 - a test
            await send({"type": "http.response.zerocopysend", "file": opened, "offset": 0, "count": SIZE})

    async with hosted(gone, "tcp://127.0.0.1:0") as web:
        assert [one.status for one in answers(await web.said(CLOSE))] == [500]
    async with hosted(shrank, "tcp://127.0.0.1:0") as web:
        assert not any(one.whole for one in answers(await web.said(CLOSE)))
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 2


async def test_a_slow_reader_gets_all_of_a_file(file: Path) -> None:
    async with hosted(by_path(file), "tcp://127.0.0.1:0") as web:

        def slowly() -> bytes:
            connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
            connection.request("GET", "/")
            got = connection.getresponse()
            body = b"".join(iter(lambda: got.read(1000), b""))
            connection.close()
            return body

        assert await asyncio.to_thread(slowly) == DATA
