"""Clients of telnet: raw sockets that know a few commands, and telnetlib3's own.

Flow: serving(talk, url) -> an endpoint -> raw, real -> a peer of the contract
Never: waits without a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import telnetlib3

from ropewalk import net
from ropewalk.telnet import Telnet
from ropewalk.terminal import Host, Talk, Terminal

WITHIN = 10.0  # seconds in which anything is there that comes at all
IAC, WILL, WONT, DO, DONT, SB, SE = b"\xff", b"\xfb", b"\xfc", b"\xfd", b"\xfe", b"\xfa", b"\xf0"
ECHO, SGA, TTYPE, NAWS, CHARSET, ENVIRON, LINEMODE = b"\x01", b"\x03", b"\x18", b"\x1f", b"\x2a", b"\x27", b"\x22"


@asynccontextmanager
async def serving(
    talk: Talk | Host, url: str = "tcp://127.0.0.1:0", *, keys: bool | None = None, settle: float = 0.05
) -> AsyncIterator[net.Listener]:
    """A listener for a talk."""
    host = talk if isinstance(talk, Host) else Host(talk, grace=0.1)
    async with asyncio.TaskGroup() as tasks:

        def begin(terminal: Terminal) -> None:
            tasks.create_task(host.visit(terminal))

        async with await net.listen(url, lambda: Telnet(host, begin, keys=keys, settle=settle)) as listener:
            yield listener
            await host.close(1)


class Raw(asyncio.Protocol):
    """A client that answers nothing by itself."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost = False
        self.error: Exception | None = None
        self._read = 0
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost, self.error = True, exc
        self._news.set()

    def eof_received(self) -> bool:
        return False

    def send(self, *pieces: bytes) -> None:
        """Send bytes."""
        self.transport.write(b"".join(pieces))

    async def expect(self, data: bytes) -> bytes:
        """Wait until this has come after what was expected before."""
        async with asyncio.timeout(WITHIN):
            while (at := self.heard.find(data, self._read)) < 0:
                assert not self.lost, f"{data!r} did not come, but {self.heard[self._read :][-300:]!r}"
                self._news.clear()
                await self._news.wait()
        begun, self._read = self._read, at + len(data)
        return self.heard[begun : self._read]

    async def wait_lost(self) -> bytes:
        """Wait until the server has closed; gives all that came."""
        async with asyncio.timeout(WITHIN):
            while not self.lost:
                self._news.clear()
                await self._news.wait()
        return self.heard


@asynccontextmanager
async def raw(endpoint: net.Endpoint) -> AsyncIterator[Raw]:
    """A raw client."""
    transport, client = await net.connect(endpoint, Raw)
    try:
        yield client
    finally:
        transport.abort()


class RawPeer:
    """A raw client as a peer of the contract: in line mode, with what a telnet client sends for keys."""

    def __init__(self, client: Raw) -> None:
        self._client = client

    async def say(self, text: str) -> None:
        self._client.send(text.encode().replace(b"\n", b"\r\n"))

    async def expect(self, text: str) -> str:
        return (await self._client.expect(text.encode())).decode(errors="replace")

    async def interrupt(self) -> None:
        self._client.send(IAC, b"\xf4")

    async def resize(self, columns: int, rows: int) -> None:
        size = columns.to_bytes(2, "big") + rows.to_bytes(2, "big")
        self._client.send(IAC, WILL, NAWS, IAC, SB, NAWS, size.replace(IAC, IAC * 2), IAC, SE)

    async def end(self) -> None:
        self._client.send(IAC, b"\xec")

    async def hang_up(self) -> None:
        self._client.transport.abort()


class RealPeer:
    """telnetlib3's client as a peer of the contract."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self.reader, self.writer = reader, writer
        self._heard = ""

    async def say(self, text: str) -> None:
        self.writer.write(text.replace("\n", "\r\n" if self.writer.mode == "local" else "\r"))

    async def expect(self, text: str) -> str:
        async with asyncio.timeout(WITHIN):
            while text not in self._heard:
                more = await self.reader.read(4096)
                assert more, f"{text!r} did not come, but {self._heard[-300:]!r}"
                self._heard += more
        before, found, self._heard = self._heard.partition(text)
        return before + found

    async def interrupt(self) -> None:
        if self.writer.mode == "local":
            self.writer.send_iac(IAC + b"\xf4")
        else:
            self.writer.write("\x03")

    async def resize(self, columns: int, rows: int) -> None:
        self.writer.handle_send_naws = lambda: (rows, columns)
        self.writer.set_ext_send_callback(NAWS, lambda: (rows, columns))
        self.writer._send_naws()

    async def end(self) -> None:
        if self.writer.mode == "local":
            self.writer.send_iac(IAC + b"\xec")
        else:
            self.writer.write("\x04")

    async def hang_up(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def real(endpoint: net.Endpoint, term: str, **options: Any) -> AsyncIterator[RealPeer]:
    """telnetlib3's client, which says that its terminal is ``term``."""
    reader, writer = await telnetlib3.open_connection(
        "127.0.0.1", endpoint.port, term=term, encoding="utf8", cols=100, rows=30, connect_minwait=0, **options
    )
    try:
        yield RealPeer(reader, writer)
    finally:
        writer.close()
        await asyncio.sleep(0)
