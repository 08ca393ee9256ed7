"""The contract of a loop kind, as a test that any kind can be put to.

Flow: a test -> check_loop -> a new loop of the kind for each feature
Never: takes a feature that is not claimed for a fault, or lets one pass that is claimed and does not work.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from ropewalk.errors import RopewalkError
from ropewalk.loops import FEATURES, LoopKind, run

__all__ = ["check_loop"]

_PATIENCE = 30.0  # seconds for one check; none needs more than a moment, on a busy machine too
_LARGE = 1_000_003  # bytes; more than the buffers of a socket hold


def check_loop(kind: LoopKind, *features: str) -> None:
    """Put a kind of loop to the contract.  Called where no loop runs, in the main thread.

    Args:
        kind: Must be able to run here.
        features: Those to check; all by default.  One that the kind does not claim must be refused clearly: with
            NotImplementedError or an error of ours, before anything waits.

    Raises:
        AssertionError: The contract is broken; the message says by which feature.
    """
    reason = kind.why_not()
    assert reason is None, f"{kind.name} cannot run here: {reason}"
    assert kind.features <= FEATURES, f"{kind.name} claims features that nobody knows: {kind.features - FEATURES}"
    _ends_as_it_should(kind)
    for feature in sorted(features or FEATURES):
        claimed = feature in kind.features
        check = _CHECKS[feature] if claimed else _refuses(_CHECKS[feature])
        try:
            run(_in_time(check), loop=kind, debug=False)
            if claimed and feature == "signals":
                _interrupts(kind)
        except Exception as error:
            raise AssertionError(f"{kind.name}: {feature}: {type(error).__name__}: {error}") from error


async def _in_time(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.timeout(_PATIENCE):
        await check()


def _refuses(check: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def refused() -> None:
        try:
            await check()
        except (NotImplementedError, RopewalkError):
            return
        raise AssertionError("it works, and is not among the kind's features")

    return refused


# ---- what all kinds do ----


def _ends_as_it_should(kind: LoopKind) -> None:
    """Results, errors, tasks that are left and generators that are open, as `asyncio.run` has them."""
    seen: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            seen.append("generator closed")

    async def left() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("task cancelled")

    async def main() -> int:
        tasks.add(asyncio.create_task(left()))
        open_.append(numbers())
        await anext(open_[0])
        return 7

    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("meant")

    tasks: set[asyncio.Task[None]] = set()
    open_: list[AsyncIterator[int]] = []
    assert run(main(), loop=kind) == 7, f"{kind.name}: run gives another result than the coroutine"
    assert seen == ["task cancelled", "generator closed"], f"{kind.name}: shut down as {seen}"
    try:
        run(fails(), loop=kind)
    except LookupError:
        return
    raise AssertionError(f"{kind.name}: the coroutine's error was lost")


def _interrupts(kind: LoopKind) -> None:
    """Ctrl-C cancels the coroutine, and then is KeyboardInterrupt."""
    seen: list[str] = []

    async def main() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(_PATIENCE)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    try:
        run(main(), loop=kind)
    except KeyboardInterrupt:
        seen.append("interrupted")
    assert seen == ["cancelled", "interrupted"], f"{kind.name}: an interrupt gave {seen}"


# ---- timers, cancellation, threads, signals ----


async def _timers() -> None:
    loop = asyncio.get_running_loop()
    called: list[int] = []
    done = asyncio.Event()
    start = loop.time()
    loop.call_later(0.02, called.append, 2)
    loop.call_later(0.01, called.append, 1)
    loop.call_later(0.015, called.append, 9).cancel()
    loop.call_at(start + 0.03, done.set)
    loop.call_soon(called.append, 0)
    await done.wait()
    assert called == [0, 1, 2], f"timers came in the order {called}, expected [0, 1, 2]"
    assert loop.time() - start >= 0.0299, f"30 ms took {loop.time() - start} s"
    try:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    except TimeoutError:
        return
    raise AssertionError("a timeout did not come")


async def _cancellation() -> None:
    seen: list[str] = []
    begun = asyncio.Event()

    async def waits() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    task = asyncio.create_task(waits())
    await begun.wait()
    begun.clear()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled(), "a task that was cancelled ended otherwise"

    async def fails() -> None:
        await begun.wait()
        raise LookupError("meant")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits())
            group.create_task(fails())
    except* LookupError:
        seen.append("failed")
    assert seen == ["cleaned up", "cleaned up", "failed"], f"cancelling gave {seen}"


_where: ContextVar[str] = ContextVar("_where", default="nowhere")


async def _threads() -> None:
    loop = asyncio.get_running_loop()
    here = threading.get_ident()
    done: asyncio.Future[tuple[str, int]] = loop.create_future()

    def from_outside() -> None:
        try:
            loop.call_soon_threadsafe(lambda: done.set_result((_where.get(), threading.get_ident())))
        except BaseException as error:  # noqa: BLE001 - the check's to judge
            failed.append(error)

    failed: list[BaseException] = []
    thread = threading.Thread(target=from_outside)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    assert (await done)[1] == here, "call_soon_threadsafe called in another thread than the loop's"

    _where.set("loop")
    assert await asyncio.to_thread(_where.get) == "loop", "context did not cross into the thread"
    assert await loop.run_in_executor(None, threading.get_ident) != here, "an executor's job ran in the loop's thread"

    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    def back() -> int:
        return asyncio.run_coroutine_threadsafe(double(21), loop).result(_PATIENCE)

    assert await asyncio.to_thread(back) == 42

    def fails() -> None:
        raise LookupError("meant")

    try:
        await asyncio.to_thread(fails)
    except LookupError:
        return
    raise AssertionError("a thread's error was lost")


async def _signals() -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, came.set)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        await came.wait()
    finally:
        assert loop.remove_signal_handler(signal.SIGUSR1), "a handler that was set was not there"


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


_CHECKS: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    "cancellation": _cancellation,
    "getaddrinfo": _getaddrinfo,
    "pipes": _pipes,
    "signals": _signals,
    "start_tls": _start_tls,
    "subprocess": _subprocess,
    "tcp": _tcp,
    "threads": _threads,
    "timers": _timers,
    "tls": _tls,
    "udp": _udp,
    "unix": _unix,
}
