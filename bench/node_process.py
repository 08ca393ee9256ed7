"""Node process: one node with one offer, as a process of its own; or a bare TLS stream, to compare with.

    python node_process.py node FOLDER KEY    offers FOLDER/disk to KEY; prints address and identity
    python node_process.py raw FOLDER SIZE    sends SIZE bytes to whoever connects; prints port
    python node_process.py sink FOLDER PORT   takes all that comes from there; prints seconds

Flow: nodes.py -> this, as processes -> lines on standard output
Never: measures a node together with its clients.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from pathlib import Path
from typing import cast

import uvloop

import ropewalk
from ropewalk import net
from ropewalk.node import KEY_FILE, GrantSetting, Node, NodeSettings, OfferSetting
from ropewalk.node.certificate import node_key
from ropewalk.spaces.store import DiskStore

BLOCK = 1 << 20


async def node(folder: Path, key: str) -> None:
    """Serve until it is ended."""
    made = Node(folder, folder / "state")
    store = await DiskStore.create(folder / "disk")
    identity = store.identity.hex()
    await store.aclose()
    offers = {"disk": OfferSetting(str(folder / "disk"), identity)}
    made.file.update(lambda _: NodeSettings(offers=offers, grants=(GrantSetting("0" * 16, "disk", (key,)),)))
    await made.open()
    async with await net.listen(f"tls://127.0.0.1:0?cert={folder / KEY_FILE}", made.host.protocol) as listener:
        print(f"{made.host.address(listener.endpoint.peer())}/disk {identity}", flush=True)
        await made.work()


class Sends(asyncio.Protocol):
    """The bare stream."""

    def __init__(self, size: int) -> None:
        self.left, self.block = size, bytes(BLOCK)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class
        self.resume_writing()

    def pause_writing(self) -> None:
        """Wait."""
        self.paused = True

    def resume_writing(self) -> None:
        """Go on, to the end."""
        self.paused = False
        while self.left and not self.paused:
            self.left -= min(self.left, BLOCK)
            self.transport.write(self.block)
        if not self.left:
            self.transport.close()


class Takes(asyncio.BufferedProtocol):
    """The other end of it."""

    def __init__(self, ended: asyncio.Future[None]) -> None:
        self.buffer, self.ended = bytearray(BLOCK), ended

    def get_buffer(self, _sizehint: int) -> bytearray:
        """One, again and again."""
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Look at nothing."""

    def connection_lost(self, _exc: Exception | None) -> None:
        """Over."""
        self.ended.set_result(None)


async def raw(folder: Path, size: int) -> None:
    """Serve the bare stream until it is ended."""
    node_key(folder / KEY_FILE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / KEY_FILE)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sends(size), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def sink(_: Path, port: int) -> None:
    """Take the bare stream once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    began = time.perf_counter()
    await loop.create_connection(lambda: Takes(ended), "127.0.0.1", port, ssl=context)
    await ended
    print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    ropewalk.keep_freed()
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "node":
        uvloop.run(node(folder, sys.argv[3]))
    elif what == "raw":
        uvloop.run(raw(folder, int(sys.argv[3])))
    else:
        uvloop.run(sink(folder, int(sys.argv[3])))
