"""Every kind of endpoint keeps the contract of a transport, on each loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ropewalk import net
from ropewalk.testing.transports import Factory, Pair, check_transport, pair_of
from tests.net.loops import FACTORIES

TLS = "cert={cert}&key={key}&ca={ca}"
URLS = {
    "tcp": "tcp://127.0.0.1:0",
    "tcp over IPv6": "tcp://[::1]:0",
    "tls": f"tls://127.0.0.1:0?{TLS}",
    "unix": "unix://{folder}/socket",
    "tls over unix": f"tls+unix://{{folder}}/socket?{TLS}",
    "ws": "ws://127.0.0.1:0/path",
    "wss": f"wss://127.0.0.1:0/?{TLS}",
    "ws over unix": "ws+unix://{folder}/socket?path=/path",
    "memory": "memory://name",
    "ws over memory": "ws+memory://name",
    "proxy": "proxy://127.0.0.1:0",
    "proxied tls": f"tls+proxy://127.0.0.1:0?{TLS}&version=1",
    "all at once": f"wss+proxy+unix://{{folder}}/socket?{TLS}",
}


def socketpairs() -> Pair:
    """fd:// at both ends of a socketpair."""

    @asynccontextmanager
    async def pair(first: Factory, second: Factory) -> AsyncIterator[None]:
        one, other = socket.socketpair()
        async with await net.listen(f"fd://{other.detach()}", second):
            transport, _ = await net.connect(f"fd://{one.detach()}", first)
            try:
                yield
            finally:
                transport.abort()

    return pair


def bare() -> Pair:
    """The loop's own, without us: what the contract asks must be what asyncio does."""

    @asynccontextmanager
    async def pair(first: Factory, second: Factory) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(second, "127.0.0.1", 0)
        transport, _ = await loop.create_connection(first, *server.sockets[0].getsockname()[:2])
        try:
            yield
        finally:
            if not transport.is_closing():
                transport.abort()
            server.close()
            await server.wait_closed()

    return pair


def check(loop: str, pair: Pair) -> None:
    with asyncio.Runner(loop_factory=FACTORIES[loop]) as runner:
        runner.run(check_transport(pair))


@pytest.mark.parametrize("loop", FACTORIES)
@pytest.mark.parametrize("kind", URLS)
def test_endpoint_keeps_the_contract(kind: str, loop: str, tmp_path: Path, files: dict[str, str]) -> None:
    check(loop, pair_of(URLS[kind].format(folder=tmp_path, **files)))


@pytest.mark.parametrize("loop", FACTORIES)
def test_inherited_sockets_keep_the_contract(loop: str) -> None:
    check(loop, socketpairs())


@pytest.mark.parametrize("loop", FACTORIES)
def test_counting_for_an_idle_limit_keeps_the_contract(loop: str, tmp_path: Path) -> None:
    check(loop, pair_of(f"unix://{tmp_path}/socket", limits=net.Limits(idle=3600)))


@pytest.mark.parametrize(
    ("part", "spoil"),
    [
        ("flushes_on_close", lambda link: setattr(link.real, "close", link.real.abort)),
        ("holds_writers_back", lambda link: setattr(link, "pause_reading", lambda: None)),
        ("carries_bytes", lambda link: setattr(link, "writelines", lambda parts: None)),
    ],
)
async def test_contract_is_not_kept_by_a_transport_that(part: str, spoil: Callable[[Any], None]) -> None:
    """The contract itself has teeth."""

    @asynccontextmanager
    async def pair(first: Factory, second: Factory) -> AsyncIterator[None]:
        async with await net.listen("memory://name", second) as listener:
            transport, _ = await net.connect(listener.endpoint, first)
            spoil(transport)
            yield
            transport.abort()

    with pytest.raises(AssertionError, match=part):
        await check_transport(pair, deadline=1)
