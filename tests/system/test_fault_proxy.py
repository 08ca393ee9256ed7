"""The fault proxy does what it says, so that a test behind it can mean something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ropewalk.testing.fault_proxy import FaultProxy

pytestmark = pytest.mark.system


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def _proxied(seed: int) -> AsyncIterator[tuple[FaultProxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with server, FaultProxy.before(server.sockets[0].getsockname()[1], seed) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        try:
            yield proxy, reader, writer
        finally:
            writer.transport.abort()


async def _through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    async def send() -> None:
        writer.write(data)
        await writer.drain()

    back, _ = await asyncio.gather(reader.readexactly(len(data)), send())
    return back


async def test_without_faults_all_passes(seed: int) -> None:
    async with _proxied(seed) as (proxy, reader, writer):
        data = bytes(range(256)) * 4096
        assert await _through(reader, writer, data) == data
        assert proxy.passed == 2 * len(data)
        writer.write_eof()
        assert await reader.read() == b""


async def test_a_delay_costs_time_and_no_throughput(seed: int) -> None:
    async with _proxied(seed) as (proxy, reader, writer):
        proxy.faults.delay = 0.1
        loop = asyncio.get_running_loop()
        began = loop.time()
        data = bytes(4 << 20)
        assert await _through(reader, writer, data) == data
        took = loop.time() - began
        assert took >= 0.2, "there and back"
        assert took < 0.1 * len(data) / 65536, "each piece waited for the one before"


async def test_bits_flip_and_are_counted(seed: int) -> None:
    async with _proxied(seed) as (proxy, reader, writer):
        proxy.faults.flip = 1.0
        data = bytes(10_000)
        back = await _through(reader, writer, data)
        assert proxy.flipped >= 2
        assert 1 <= sum(byte.bit_count() for byte in back) <= proxy.flipped


async def test_a_cut_is_a_cut(seed: int) -> None:
    async with _proxied(seed) as (proxy, reader, writer):
        await _through(reader, writer, b"x")
        proxy.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await _through(reader, writer, b"x")
        proxy.faults.refuse = True
        again, other = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await _through(again, other, b"x")
        other.close()


async def test_what_a_black_hole_holds_comes_out_when_it_is_over(seed: int) -> None:
    async with _proxied(seed) as (proxy, reader, writer):
        proxy.faults.black_hole = True
        writer.write(b"x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.readexactly(1)
        proxy.faults.black_hole = False
        async with asyncio.timeout(10):
            assert await reader.readexactly(1) == b"x"
