"""Plain peers that speak to a listener byte by byte, and what a listener counted."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import trustme

from ropewalk import net
from ropewalk.metrics import Registry


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def echoed(endpoint: net.Endpoint, data: bytes = b"hello") -> bytes:
    """What comes back of some bytes, over a connection of their own."""
    from ropewalk.testing.recorder import Recorder

    transport, protocol = await net.connect(endpoint, Recorder)
    transport.write(data)
    received = await protocol.until_received(len(data))
    transport.close()
    await protocol.until_lost()
    return received


async def raw(endpoint: net.Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A plain connection to where an endpoint listens, whatever its layers."""
    if endpoint.carrier == "unix":
        return await asyncio.open_unix_connection(endpoint.path)
    return await asyncio.open_connection(endpoint.host, endpoint.port)


async def answer(endpoint: net.Endpoint, *pieces: bytes, end: bool = False) -> bytes:
    """All that a listener says to these bytes until it ends the connection."""
    got = b""
    try:
        reader, writer = await raw(endpoint)
    except ConnectionError:
        return got
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if end:
            writer.write_eof()
        while part := await reader.read(65536):
            got += part
    except (ConnectionError, BrokenPipeError):
        pass
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return got


def counted(registry: Registry, name: str, **labels: str) -> float:
    """The value of a counter or gauge, 0 where it was never counted."""
    for reading in registry.read():
        if reading.name == name:
            for values, value in reading.series.items():
                pairs = dict(zip(reading.labels, values, strict=True))
                if labels.items() <= pairs.items() and isinstance(value, int | float):
                    return float(value)
    return 0.0


async def until(condition: Callable[[], object]) -> None:
    """Give the loop turns until something is so, which it has to be within a minute."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is looked at has no event
            await asyncio.sleep(0)


def certificate(folder: Path, *names: str, ca: trustme.CA | None = None) -> dict[str, str]:
    """Files of a certificate that our own code did not make: cert, key, ca."""
    authority = ca or trustme.CA()
    made = authority.issue_cert(*names, not_after=dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    files = {"cert": folder / "cert.pem", "key": folder / "key.pem", "ca": folder / "ca.pem"}
    files["cert"].write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    made.private_key_pem.write_to_path(str(files["key"]))
    authority.cert_pem.write_to_path(str(files["ca"]))
    return {name: str(path) for name, path in files.items()}
