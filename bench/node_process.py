"""Node process: one node with one offer, as a process of its own; or a bare TLS stream, to compare with.

    python node_process.py node FOLDER KEY    offers FOLDER/disk to KEY; prints address and identity
    python node_process.py raw FOLDER SIZE    sends SIZE bytes to whoever connects; prints port
    python node_process.py sink FOLDER PORT   takes all that comes from there; prints seconds
    python node_process.py file FOLDER PORT   the same, and does to each MiB what nobody can do without who gets a file
                                              of a space: decrypts it, hashes it and writes it, in two threads
    python node_process.py takes FOLDER SIZE  takes a column of a file of SIZE bytes from whoever connects; prints port
    python node_process.py gives FOLDER FILE PORT..
                                              puts a file to five of these, and does what it must; prints seconds

Flow: nodes.py -> this, as processes -> lines on standard output
Never: measures a node together with its clients.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import uvloop
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nodes_floor import gives, takes

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

    async def done(self) -> None:
        """All is taken."""
        await self.ended

    def get_buffer(self, _sizehint: int) -> bytearray | memoryview:
        """One, again and again."""
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Look at nothing."""

    def connection_lost(self, _exc: Exception | None) -> None:
        """Over."""
        self.ended.set_result(None)


class Keeps(Takes):
    """The other end that keeps what comes in a file."""

    def __init__(self, ended: asyncio.Future[None], path: Path) -> None:
        super().__init__(ended)
        self.cipher, self.have, self.offset = AESGCM(bytes(32)), 0, 0
        self.file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        self.threads = ThreadPoolExecutor(2)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """What is left of a block."""
        return memoryview(self.buffer)[self.have :]

    def buffer_updated(self, nbytes: int) -> None:
        """Each whole block is somebody else's."""
        self.have += nbytes
        if self.have == BLOCK:
            self.threads.submit(self.keep, self.buffer, self.offset)
            self.buffer, self.have = bytearray(BLOCK), 0
            self.offset += BLOCK

    def keep(self, block: bytearray, offset: int) -> None:
        """One block: to encrypt it costs what to decrypt it does."""
        blake3(block)
        os.pwrite(self.file, self.cipher.encrypt(bytes(12), bytes(block), None)[:BLOCK], offset)

    async def done(self) -> None:
        """All is in the file."""
        await self.ended
        await asyncio.to_thread(self.threads.shutdown)


async def raw(folder: Path, size: int) -> None:
    """Serve the bare stream until it is ended."""
    context = _of_server(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sends(size), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def sink(folder: Path, port: int, *, keep: bool = False) -> None:
    """Take the bare stream once."""
    context = _of_client()
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    began = time.perf_counter()
    takes = Keeps(ended, folder / "kept") if keep else Takes(ended)
    await loop.create_connection(lambda: takes, "127.0.0.1", port, ssl=context)
    await takes.done()
    print(time.perf_counter() - began, flush=True)


def _of_server(folder: Path) -> ssl.SSLContext:
    node_key(folder / KEY_FILE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / KEY_FILE)
    return context


def _of_client() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


if __name__ == "__main__":
    ropewalk.keep_freed()
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "node":
        uvloop.run(node(folder, sys.argv[3]))
    elif what == "raw":
        uvloop.run(raw(folder, int(sys.argv[3])))
    elif what == "takes":
        uvloop.run(takes(folder, int(sys.argv[3]), _of_server(folder)))
    elif what == "gives":
        uvloop.run(gives(Path(sys.argv[3]), [int(port) for port in sys.argv[4:]], _of_client()))
    else:
        uvloop.run(sink(folder, int(sys.argv[3]), keep=what == "file"))
