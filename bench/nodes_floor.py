"""Nodes' floor: a put that does what nobody can do without, by the product's own cipher and code, and nothing else.

Each MiB is read, hashed, tried to compress and sealed; two parity columns are made for three; the five are sent over
TLS; at the other ends each is written as it comes and synced once.  No index, no directory, no rights, no retries.

Flow: node_process.py -> `takes`, five processes; `gives`, one more -> seconds
Never: does what a put could be without, or keeps what it took longer than the measuring lasts.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from asyncio import StreamWriter
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

from ropewalk.spaces.chunk import ChunkType, seal
from ropewalk.spaces.keys import TAG_SIZE, KeyRing, Secrets
from ropewalk.spaces.pack.erasure import Code

__all__ = ["COUNT", "gives", "takes"]

BLOCK = 1 << 20
DATA, COUNT = 3, 5  # columns with data, and in all
AHEAD = 3  # blocks of all columns that are made before the first of them is sent


def _column(size: int) -> int:
    """Bytes of each column for so many of a file; up to two of the file are left out."""
    column = size // DATA
    return column + TAG_SIZE * -(-column // BLOCK)


class Stores(asyncio.BufferedProtocol):
    """One column: to a file as it comes, synced once, and then forgotten."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.left, self.buffer = path, _column(size), bytearray(BLOCK)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class
        self.file = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)

    def get_buffer(self, _sizehint: int) -> bytearray:
        """One, again and again."""
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Write; the end of the connection says that all is kept."""
        os.write(self.file, memoryview(self.buffer)[:nbytes])
        self.left -= nbytes
        if not self.left:
            os.fsync(self.file)
            self.transport.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Over."""
        os.close(self.file)
        self.path.unlink()


async def takes(folder: Path, size: int, context: ssl.SSLContext) -> None:
    """Take columns until it is ended; prints its port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stores(folder / "column", size), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def gives(source: Path, ports: list[int], context: ssl.SSLContext) -> None:
    """Put a file once; prints the seconds."""
    keys = KeyRing.derive(bytes(32), bytes(32), Secrets(bytes(32), bytes(32), bytes(32)))
    file = os.open(source, os.O_RDONLY)
    column = os.fstat(file).st_size // DATA
    code, threads, jobs = Code(DATA, COUNT), ThreadPoolExecutor(2), deque[asyncio.Future[list[bytes | bytearray]]]()

    def made(at: int) -> list[bytes | bytearray]:
        size = min(BLOCK, column - at)
        plain = [os.pread(file, size, number * column + at) for number in range(DATA)]
        sealed = [seal(one, ChunkType.DATA, keys).data for one in plain]
        return [*sealed, *code.encode(sealed, size + TAG_SIZE)]

    async def sent() -> None:
        for writer, data in zip(writers, await jobs.popleft(), strict=True):
            writer.write(data)
        for writer in writers:
            await writer.drain()

    began = time.perf_counter()
    ends = [await asyncio.open_connection("127.0.0.1", port, ssl=context) for port in ports]
    writers: list[StreamWriter] = [writer for _, writer in ends]
    for writer in writers:
        writer.transport.set_write_buffer_limits(AHEAD * BLOCK)  # one that is slow for a moment does not hold up all
    for at in range(0, column, BLOCK):
        jobs.append(asyncio.get_running_loop().run_in_executor(threads, made, at))
        if len(jobs) == AHEAD:
            await sent()
    while jobs:
        await sent()
    for reader, _ in ends:
        await reader.read()
    print(time.perf_counter() - began, flush=True)
