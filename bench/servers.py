"""Servers: a process in which several sides serve the same, each at an address of its own; a program of its own.

    python servers.py tcp|tls|unix|ws|collector FOLDER

Flow: network.serving -> this -> addresses as JSON; then a question a line, a figure a line, until the input ends
Never: gives a side another loop, or another work to do, than the others.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import ssl
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import uvloop
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.exceptions import ConnectionClosed

from ropewalk import net
from ropewalk.collector.collector import Collector
from ropewalk.collector.history import History

HOST = "127.0.0.1"
BACKLOG = 2048
UNLIMITED = net.Limits(connections=None)
BARE, NET = "bare protocol", "net"
PEERS = ("twisted", "aiofastnet")  # served beside ours where they are installed

_servers: list[Any] = []  # uvloop closes a Unix socket's server that nobody holds
Addresses = dict[str, int | str]  # side -> port or path; the first is what the others are compared with


class Echo(asyncio.Protocol):
    """Answers with what it gets: bare and through net."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The same with asyncio's streams."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def answer_messages(connection: ServerConnection) -> None:
    """The same with the WebSocket server that belongs to the library we use."""
    with suppress(ConnectionClosed):  # without a farewell, as the clients of the others leave too
        async for message in connection:
            await connection.send(message)


async def tcp(_folder: Path) -> Addresses:
    loop = asyncio.get_running_loop()
    return {
        BARE: _kept(await loop.create_server(Echo, HOST, 0, backlog=BACKLOG)),
        NET: await _net(f"tcp://{HOST}:0"),
        "asyncio streams": _kept(await asyncio.start_server(answer, HOST, 0, backlog=BACKLOG)),
        **_twisted(loop),
        **await _fast(loop, None),
    }


async def tls(folder: Path) -> Addresses:
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / "server.pem")
    return {
        BARE: _kept(await loop.create_server(Echo, HOST, 0, ssl=context, backlog=BACKLOG)),
        NET: await _net(f"tls://{HOST}:0", context),
        "asyncio streams": _kept(await asyncio.start_server(answer, HOST, 0, ssl=context, backlog=BACKLOG)),
        **await _fast(loop, context),
    }


async def unix(folder: Path) -> Addresses:
    bare, ours = str(folder / "bare"), str(folder / "net")
    _servers.append(await asyncio.get_running_loop().create_unix_server(Echo, bare, backlog=BACKLOG))
    await _net(f"unix://{ours}")
    return {BARE: bare, NET: ours}


async def ws(_folder: Path) -> Addresses:
    theirs = await serve_websockets(answer_messages, HOST, 0, compression=None, backlog=BACKLOG)
    return {"websockets' server": _kept(theirs), NET: await _net(f"ws://{HOST}:0")}


async def collector(folder: Path) -> Addresses:
    async def known(_source: str, _token: str) -> bool:
        return True

    kept = Collector(await History(folder / "history").__aenter__(), known)
    await kept.__aenter__()
    return {"collector": await _net(f"tcp://{HOST}:0", factory=kept.protocol)}


async def _net(
    url: str, certificates: ssl.SSLContext | None = None, factory: Callable[[], asyncio.Protocol] = Echo
) -> int:
    listener = await net.listen(url, factory, certificates=certificates, limits=UNLIMITED)
    return listener.endpoint.port or 0


def _kept(server: Any) -> int:
    """The port of a server that goes on."""
    _servers.append(server)
    port: int = server.sockets[0].getsockname()[1]
    return port


def _twisted(loop: asyncio.AbstractEventLoop) -> Addresses:
    if find_spec("twisted") is None:
        return {}
    import_module("twisted.internet.asyncioreactor").install(loop)
    protocol: Any = import_module("twisted.internet.protocol")

    class Answers(protocol.Protocol):  # type: ignore[misc]
        def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
            self.transport.setTcpNoDelay(True)  # as both loops do for theirs

        def dataReceived(self, data: bytes) -> None:  # noqa: N802
            self.transport.write(data)

    factory = protocol.Factory.forProtocol(Answers)
    port = import_module("twisted.internet.reactor").listenTCP(0, factory, BACKLOG, HOST)
    return {"Twisted": port.getHost().port}


async def _fast(loop: asyncio.AbstractEventLoop, context: ssl.SSLContext | None) -> Addresses:
    if find_spec("aiofastnet") is None:
        return {}
    fast: Any = import_module("aiofastnet")
    return {"aiofastnet": _kept(await fast.create_server(loop, Echo, HOST, 0, ssl=context, backlog=BACKLOG))}


KINDS: dict[str, Callable[[Path], Awaitable[Addresses]]] = {
    "tcp": tcp,
    "tls": tls,
    "unix": unix,
    "ws": ws,
    "collector": collector,
}


def private() -> int:
    """Bytes of memory that are this process's own."""
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Private_Dirty"):
            return int(line.split()[1]) * 1024
    return 0


async def main(kind: str, folder: Path) -> None:
    print(json.dumps(await KINDS[kind](folder)), flush=True)
    while question := await asyncio.to_thread(sys.stdin.readline):
        if question == "memory\n":
            gc.collect()
            print(private(), flush=True)
        else:
            used = resource.getrusage(resource.RUSAGE_SELF)
            print(used.ru_utime + used.ru_stime, flush=True)
    os._exit(0)  # 10,000 connections need no farewell


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2])))
