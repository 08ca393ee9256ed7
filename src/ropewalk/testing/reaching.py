"""What a loop must do with the world outside: streams, datagrams, names, processes, pipes.

Flow: check_loop -> a check of REACHING, inside a loop of the kind
Never: reaches farther than this machine.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["REACHING"]

_LARGE = 1_000_003  # bytes; more than the buffers of a socket hold


# ---- streams ----


async def _tcp() -> None:
    async with _echo(await asyncio.start_server(_answer, "127.0.0.1", 0)) as address:
        await _converse(*await asyncio.open_connection(*address))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        try:
            await asyncio.open_connection(*closed.getsockname())
        except OSError:
            return
        raise AssertionError("a connection to nobody was made")


async def _unix() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        async with _echo(await asyncio.start_unix_server(_answer, path)):
            await _converse(*await asyncio.open_unix_connection(path))


async def _tls() -> None:
    server_side, client_side = _contexts()
    async with _echo(await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=server_side)) as address:
        reader, writer = await asyncio.open_connection(*address, ssl=client_side, server_hostname="localhost")
        await _converse(reader, writer, half_close=False)
        try:
            await asyncio.open_connection(*address, ssl=ssl.create_default_context(), server_hostname="localhost")
        except ssl.SSLCertVerificationError:
            return
        raise AssertionError("a certificate of nobody was trusted")


async def _start_tls() -> None:
    server_side, client_side = _contexts()

    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(4) == b"tls?"
        writer.write(b"yes.")
        await writer.drain()
        await writer.start_tls(server_side)
        await _answer(reader, writer)

    async with _echo(await asyncio.start_server(upgrade, "127.0.0.1", 0)) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"tls?")
        assert await reader.readexactly(4) == b"yes."
        await writer.start_tls(client_side, server_hostname="localhost")
        await _converse(reader, writer, half_close=False)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def _echo(server: asyncio.AbstractServer) -> AsyncIterator[Any]:
    sockets: Any = getattr(server, "sockets", ())
    address = sockets[0].getsockname()
    try:
        yield address[:2] if isinstance(address, tuple) else address
    finally:
        server.close()
        await server.wait_closed()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, half_close: bool = True) -> None:
    """Small and large pieces to an echo and back, and its end."""
    try:
        for size in (1, 1000):
            writer.write(b"x" * size)
            assert len(await reader.readexactly(size)) == size
        large = bytes(range(256)) * (_LARGE // 256) + b"end"
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(reader.readexactly(len(large)))
            writer.write(large)
            group.create_task(writer.drain())
        assert answer.result() == large, "other bytes came back than were sent"
        if half_close:
            writer.write_eof()
            assert await reader.read() == b"", "bytes after the end"
    finally:
        writer.close()
        await writer.wait_closed()


@cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server called localhost, and of a client that trusts it alone."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=24))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder, "both.pem")
        both.touch(0o600)
        both.write_bytes(secret + certificate)
        server_side.load_cert_chain(both)
    return server_side, ssl.create_default_context(cadata=certificate.decode())


# ---- datagrams, names, processes, pipes ----


async def _udp() -> None:
    loop = asyncio.get_running_loop()
    came: asyncio.Future[bytes] = loop.create_future()

    class Answers(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(data.upper(), addr)

    class Asks(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002 - asyncio's shape
            if not came.done():
                came.set_result(data)

    answering, _ = await loop.create_datagram_endpoint(Answers, local_addr=("127.0.0.1", 0))
    asking, _ = await loop.create_datagram_endpoint(Asks, remote_addr=answering.get_extra_info("sockname")[:2])
    try:
        asking.sendto(b"word")
        assert await came == b"WORD"
    finally:
        asking.close()
        answering.close()
        await asyncio.sleep(0.01)  # they close a turn later


async def _getaddrinfo() -> None:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    assert [entry[4] for entry in found] == [("127.0.0.1", 80)], f"127.0.0.1 is {found}"
    host, _ = await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    assert host == "127.0.0.1"


async def _subprocess() -> None:
    program = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data[::-1]); sys.exit(3)"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdin=pipe, stdout=pipe)
    out, _ = await process.communicate(b"abc")
    assert (out, process.returncode) == (b"cba", 3), f"got {out!r} and status {process.returncode}"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=pipe)
    process.kill()
    assert await process.wait() != 0, "a process that was killed ended well"


async def _pipes() -> None:
    loop = asyncio.get_running_loop()
    down, up = os.pipe()
    with open(down, "rb", 0) as readable, open(up, "wb", 0) as writable:  # noqa: ASYNC230 - pipes that are open already
        reader = asyncio.StreamReader()
        reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), readable)
        writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, writable)
        writing.write(b"through")
        assert await reader.readexactly(7) == b"through"
        writing.close()
        assert await reader.read() == b"", "bytes after the end"
        reading.close()
        await asyncio.sleep(0.01)  # they close a turn later


REACHING: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    "getaddrinfo": _getaddrinfo,
    "pipes": _pipes,
    "start_tls": _start_tls,
    "subprocess": _subprocess,
    "tcp": _tcp,
    "tls": _tls,
    "udp": _udp,
    "unix": _unix,
}
