"""The small web server: right answers in order, and whatever a peer sends stays its own trouble."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.metrics import Registry
from ropewalk.metrics.page import HEAD_LIMIT, Page, Pages, Request


async def until(done: Callable[[], object]) -> None:
    """Let the loop turn until something is so; whoever calls has a deadline."""
    while not done():  # noqa: ASYNC110 - what is waited for is inside the other side, which tells nobody
        await asyncio.sleep(0)


async def echo(request: Request) -> Page | None:
    match request.path:
        case "/missing":
            return None
        case "/broken":
            raise ZeroDivisionError
        case "/hang":
            await asyncio.get_running_loop().create_future()
        case "/big":
            return Page(b"x" * (8 << 20))
    return Page(f"{request.path} {dict(request.query)} {request.accept}".encode())


@asynccontextmanager
async def served(**options: object) -> AsyncIterator[tuple[Pages, Registry, int]]:
    registry = Registry()
    async with asyncio.timeout(30):
        async with Pages(echo, registry=registry, **options) as pages:  # type: ignore[arg-type]
            server = await asyncio.get_running_loop().create_server(pages.protocol, "127.0.0.1", 0)
            try:
                yield pages, registry, server.sockets[0].getsockname()[1]
            finally:
                server.close()
        await until(lambda: not pages.connections)


async def exchange(port: int, *parts: bytes, half_close: bool = False) -> bytes:
    """All that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if half_close:
            writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


CLOSE = "Connection: close"


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def bodies(answer: bytes) -> list[bytes]:
    got = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
        got.append(rest[:size])
        answer = rest[size:]
    return got


async def test_pages_are_answered_in_the_order_they_were_asked_for() -> None:
    async with served() as (_, registry, port):
        asked = [get(f"/{number}?a={number}&b=%20", "Accept: text/x") for number in range(100)]
        answer = await exchange(port, b"".join(asked), get("/last", CLOSE))
    assert statuses(answer) == [200] * 101
    assert bodies(answer)[:2] == [b"/0 {'a': '0', 'b': ' '} text/x,", b"/1 {'a': '1', 'b': ' '} text/x,"]
    assert [body.split()[0] for body in bodies(answer)] == [*(b"/%d" % n for n in range(100)), b"/last"]
    assert registry.counter("ropewalk_metrics_page_requests_total", "", ("status",)).of("200").value == 101


async def test_head_has_the_length_and_no_body() -> None:
    async with served() as (_, _, port):
        answer = await exchange(port, get("/a", CLOSE, method="HEAD"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (body, b"Content-Length: 6" in head, b"Connection: close" in head) == (b"", True, True)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/missing"), 404),
        (get("/broken"), 500),
        (get("/a", method="POST"), 405),
        (get("/a", method="DELETE"), 405),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /a HTTP/1.1\r\n\r\n", 400),  # no host
        (b"GET /a HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS on a plain port
        (b"SSH-2.0-OpenSSH\r\n", 400),
        (get("/%ff"), 400),
        (get("/a?b=%ff"), 400),
        (get("/a?b=1&b=2"), 400),
        (get("/a?" + "&".join(f"k{n}=" for n in range(40))), 400),
        (get("/a", "Content-Length: 5") + b"12345", 413),
        (get("/a", "Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n", 413),
        (get("/a", "Content-Length: -1"), 400),
        (get("/" + "x" * HEAD_LIMIT), 431),
        (get("/a", "X: " + "y" * HEAD_LIMIT), 431),
        (get("/a", *["X: y"] * 2_000), 431),
        (b"GET /" + b"x" * 40_000, 431),  # that never ends
        (b"\r\n" * 20_000, 431),
    ],
)
async def test_what_is_wrong_gets_its_status(request_: bytes, status: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ropewalk.metrics"):
        async with served() as (_, _, port):
            answer = await exchange(port, request_, half_close=status in (404, 500))
            assert statuses(await exchange(port, get("/good", CLOSE))) == [200]
    assert statuses(answer)[:1] == [status]
    if status not in (404, 500):
        assert caplog.records[0].__dict__["reason"] == status
        assert b"Connection: close" in answer
    assert (b"Allow: GET, HEAD" in answer) == (status == 405)


async def test_what_was_asked_before_the_fault_is_still_answered() -> None:
    async with served() as (_, _, port):
        assert statuses(await exchange(port, get("/a") + get("/b") + b"\x00junk" + get("/c"))) == [200, 200, 400]


async def test_an_upgrade_is_not_taken() -> None:
    async with served() as (_, _, port):
        answer = await exchange(port, get("/a", "Connection: Upgrade", "Upgrade: h2c") + b"\x00\x00junk")
    assert statuses(answer) == [200]
    assert b"Connection: close" in answer


async def test_an_old_reader_is_answered_and_left() -> None:
    async with served() as (_, _, port):
        assert statuses(await exchange(port, b"GET /a HTTP/1.0\r\n\r\n")) == [200]


async def test_a_half_closed_reader_gets_all_it_asked_for() -> None:
    async with served() as (_, _, port):
        answer = await exchange(port, get("/a") * 50, half_close=True)
    assert statuses(answer) == [200] * 50


async def test_a_request_that_does_not_end_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    async with served(deadline=0.1) as (_, _, port):
        assert statuses(await exchange(port, b"GET /a HTT")) == [408]
        assert await exchange(port, b"") == b""  # one that never asks
        assert statuses(await exchange(port, get("/a"))) == [200]  # one that asks no more
        assert statuses(await exchange(port, get("/hang", CLOSE))) == [503]


async def test_an_answer_that_nobody_takes_is_given_up() -> None:
    async with served(deadline=0.2) as (pages, _, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(get("/big") * 4)
        await until(lambda: pages.connections)
        await until(lambda: not pages.connections)
        writer.transport.abort()


async def test_a_slow_reader_holds_no_more_than_one_answer() -> None:
    async with served() as (pages, _, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(get("/big") * 200 + get("/a", CLOSE))
        await until(lambda: any(each._unfed and not each._can_write.is_set() for each in pages.connections))
        (connection,) = pages.connections
        assert connection.transport.get_write_buffer_size() < 9 << 20
        assert len(connection._waiting) < 8 + 4096 // 20
        writer.transport.abort()


async def test_a_flood_of_small_requests_is_parsed_bit_by_bit() -> None:
    async with served() as (pages, _, port):
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max([most, *(len(each._waiting) for each in pages.connections)])
                await asyncio.sleep(0)

        watcher = asyncio.create_task(watch())
        answer = await exchange(port, b"GET / HTTP/1.1\r\nHost:\r\n\r\n" * 5_000, get("/", CLOSE))
        watcher.cancel()
    assert len(statuses(answer)) == 5_001
    assert most < 8 + 4096 // 20


async def test_closing_lets_the_present_answer_out() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Page:
        begun.set()
        await go_on.wait()
        return Page(b"done")

    async with asyncio.timeout(10):
        async with Pages(slow, registry=Registry()) as pages:
            server = await asyncio.get_running_loop().create_server(pages.protocol, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            asked = asyncio.create_task(exchange(port, get("/a") * 3))
            idle = asyncio.create_task(exchange(port))
            await begun.wait()
            asyncio.get_running_loop().call_soon(go_on.set)
        assert bodies(await asked) == [b"done"]
        assert await idle == b""
        late = await exchange(port, get("/a"))
        assert late == b""
        server.close()


class FakeTransport(asyncio.Transport):
    """Takes all and gives nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.taken, self.closed = bytearray(), False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.taken += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def answered(chunks: list[bytes]) -> tuple[bytes, bool]:
    async with Pages(echo, registry=Registry()) as pages:
        protocol, transport = pages.protocol(), FakeTransport()
        protocol.connection_made(transport)
        for chunk in chunks:
            if not transport.closed:
                protocol.data_received(chunk)
            for _ in range(3):
                await asyncio.sleep(0)
        for _ in range(500):
            await asyncio.sleep(0)
        closed = transport.closed
        protocol.connection_lost(None)
        return bytes(transport.taken), closed


def undated(answer: bytes) -> bytes:
    return b"\r\n".join(line for line in answer.split(b"\r\n") if not line.startswith(b"Date:"))


async def test_where_the_bytes_are_cut_does_not_matter() -> None:
    asked = get("/a?b=c", "Accept: d") + get("/e", method="HEAD") + get("/f", "X: y") + b"PUT / HTTP/1.1\r\n\r\n"
    whole = await answered([asked])
    assert statuses(whole[0]) == [200, 200, 200, 405]
    assert whole[1]
    for at in range(1, len(asked)):
        cut = await answered([asked[:at], asked[at:]])
        assert (undated(cut[0]), cut[1]) == (undated(whole[0]), whole[1]), at
    single = await answered([asked[at : at + 1] for at in range(len(asked))])
    assert undated(single[0]) == undated(whole[0])


PIECES = st.sampled_from(
    [
        b"GET ",
        b"POST ",
        b"/",
        b" HTTP/1.1\r\n",
        b"Host: x\r\n",
        b"\r\n",
        b"Content-Length: 3\r\n",
        get("/a"),
        get("/b?c"),
    ]
)


@given(st.lists(st.binary(max_size=30) | PIECES, max_size=20))
def test_junk_is_refused_and_never_raises(chunks: list[bytes]) -> None:
    answer, closed = asyncio.run(answered(chunks))
    got = statuses(answer)
    assert set(got) <= {200, 400, 405, 413, 431, 404}
    assert all(status in (200, 404) for status in got[:-1])
    assert closed or not got or got[-1] in (200, 404)


@given(st.binary(max_size=200))
def test_junk_inside_a_good_request_is_contained(junk: bytes) -> None:
    answer, _ = asyncio.run(answered([b"GET /", junk, b" HTTP/1.1\r\nHost: x\r\nAccept: ", junk, b"\r\n\r\n"]))
    assert set(statuses(answer)) <= {200, 400, 404, 405, 413, 500} - {500}


def test_it_works_on_uvloop_too() -> None:
    async def main() -> None:
        await test_pages_are_answered_in_the_order_they_were_asked_for()
        await test_a_half_closed_reader_gets_all_it_asked_for()
        await test_an_answer_that_nobody_takes_is_given_up()

    uvloop.run(main())
