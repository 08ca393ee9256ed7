"""Ours: the broker as a side of the benchmark, and the bare stream that all sides stand beside.

    python remote_ours.py references ADDRESS COUNT   bytes that a held reference takes
    python remote_ours.py sessions ADDRESS COUNT     opens sessions, says so, and holds them until its input ends
    python remote_ours.py NAME ...                   see remote_work.py

Flow: remote.py -> remote_work.main -> a Host with an anonymous login, or an echo of bytes, on TCP and on TLS
Never: leaves out a limit, a count or a check that a program gets by default.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvloop
from remote_work import HOST, INTEGER, WORKS, Run, Side, calls, expect, main, many, private, ready, workers

from ropewalk import broker, keep_freed, net
from ropewalk.auth import Anonymous, Credentials, Identity, Perspectives, Portal
from ropewalk.net.development import DevelopmentAuthority

__all__ = ["BARE", "CHAIN", "OURS", "SIDES", "TUNED"]

BARE, OURS, TUNED = "raw uvloop", "ropewalk", "ropewalk, keep_freed"
CHAIN = 8  # calls, each of what the one before gives
AWAY = 0.01  # seconds that bytes take in each direction between ends that are far apart
BATCH = 2_000  # references in one answer
DEADLINE = 600.0  # seconds, which no section reaches


# The bare stream: no frames, no messages. What the loop and the kernel can do.


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = cast(asyncio.Transport, transport).write

    def data_received(self, data: bytes) -> None:
        self.write(data)


class Stream(asyncio.Protocol):
    """Keeps so many messages in flight; each that has come back is followed by another, all of a turn in one write."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = cast(asyncio.Transport, transport).write

    async def run(self, total: int, size: int, flying: int) -> None:
        """Send so many, and wait until all are back."""
        self.size, self.left, self.back, self.odd, self.total = size, total, 0, 0, total
        self.message = b"x" * size
        self.done = asyncio.get_running_loop().create_future()
        self.send(flying)
        await self.done

    def send(self, count: int) -> None:
        count = min(count, self.left)
        self.left -= count
        if self.size < len(WORKS["d"].value):
            self.write(self.message * count)
        else:
            for _ in range(count):
                self.write(self.message)

    def data_received(self, data: bytes) -> None:
        count, self.odd = divmod(self.odd + len(data), self.size)
        self.back += count
        if self.back == self.total:
            self.done.set_result(None)
        elif count:
            self.send(count)


async def serve_bare(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certified(folder))
    servers = [await loop.create_server(Echo, HOST, 0, ssl=one) for one in (None, context)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    ready(json.dumps([*ports, str(_authority(folder))]))
    await loop.create_future()


async def client_bare(address: str) -> dict[str, Run]:
    plain, encrypted, authority = json.loads(address)
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(cafile=authority)
    runs: dict[str, Run] = {}
    for prefix, port, tls in (("", plain, None), ("tls ", encrypted, context)):
        _, stream = await loop.create_connection(Stream, HOST, port, ssl=tls)
        for name, work in WORKS.items():
            runs[prefix + name] = partial(stream.run, size=work.bare, flying=work.flying)
    return {**runs, "many b": runs["b"]}


def _authority(folder: Path) -> Path:
    return DevelopmentAuthority(folder).certificate()


def _certified(folder: Path) -> Path:
    """Certificate and key for a server, by a development authority of this run."""
    path = folder / "server.pem"
    path.write_bytes(DevelopmentAuthority(folder).signed([HOST]))
    return path


# The broker.


class Link(broker.Object):
    """What a chain of calls goes through."""

    @broker.remote
    def next(self) -> Link:
        return Link()


class Echoes(broker.Perspective):
    """What everybody who logs in gets."""

    @broker.remote
    def echo(self, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - so it is not checked at the door
        return value

    @broker.remote
    def number(self, value: int) -> int:
        return value

    @broker.remote
    async def later(self, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return value

    @broker.remote
    def next(self) -> Link:
        return Link()

    @broker.remote
    def links(self, count: int) -> list[Link]:
        return [Link() for _ in range(count)]


class Everybody:
    """Checks nothing."""

    takes = (Anonymous,)

    async def check(self, _credentials: Credentials) -> Identity:
        return Identity("", how="anonymous")


async def serve_ours(folder: Path) -> None:
    realm = Perspectives()
    realm.give(Echoes, lambda _visit: Echoes())
    host = broker.Host(Portal(realm, [Everybody()]), {"": Echoes})
    limits = net.Limits(connections=None)  # all come from one address
    urls = [f"tcp://{HOST}:0", f"tls://{HOST}:0?cert={_certified(folder)}"]
    listeners = [await net.listen(url, host.protocol, limits=limits) for url in urls]
    ports = [listener.endpoint.port for listener in listeners]
    ready(json.dumps([*ports, str(_authority(folder))]))
    await asyncio.get_running_loop().create_future()


async def client_ours(address: str) -> dict[str, Run]:
    plain, encrypted, authority = json.loads(address)
    me = await _logged_in(f"tcp://{HOST}:{plain}")
    runs = {**_runs(me.echo), **_far(await _logged_in(f"tcp://{HOST}:{await _relay(plain)}"))}
    private_me = await _logged_in(f"tls://{HOST}:{encrypted}?ca={authority}")
    runs |= {f"tls {name}": run for name, run in _runs(private_me.echo).items()}
    for name, method in (("typed", me.number), ("async", me.later)):
        runs[f"{name} b"] = calls(method)["b"]
    in_time = {"deadline a": "a", "deadline b": "b", "many deadline b": "many b", "deadline c": "c"}
    in_time["tls deadline a"] = "tls a"
    return runs | {timed: _in_time(runs[name]) for timed, name in in_time.items()}


def _runs(echo: Callable[..., Any]) -> dict[str, Run]:
    work = WORKS["b"]
    return {**calls(echo), "many b": many(lambda: echo(work.value), work.value, work.flying)}


def _in_time(run: Run) -> Run:
    async def timed(total: int) -> None:
        async with broker.deadline(DEADLINE):
            await run(total)

    return timed


def _far(me: Any) -> dict[str, Run]:
    async def one() -> None:
        expect(await me.echo(INTEGER), INTEGER)

    async def chain() -> None:
        link = me.next()
        for _ in range(CHAIN - 1):
            link = link.next()
        await link

    return {"far a": workers(one, 1), "far chain a": workers(chain, 1)}


async def _logged_in(url: str) -> Any:
    return await broker.login(await broker.opened(url))


class Relay(asyncio.Protocol):
    """Sends on what comes, some time later."""

    def __init__(self, other: Relay | None = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []  # came when there was nobody yet to send it to

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        assert self.other is not None
        self.transport.writelines(self.other.early)

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(AWAY, self._on, data)

    def _on(self, data: bytes) -> None:
        assert self.other is not None
        if self.other.transport is None:
            self.early.append(data)
        else:
            self.other.transport.write(data)


async def _relay(port: int) -> int:
    """A port behind which another one is far away; for one connection."""
    loop = asyncio.get_running_loop()
    away = Relay()
    here = away.other = Relay(away)
    server = await loop.create_server(lambda: here, HOST, 0)
    await loop.create_connection(lambda: away, HOST, port)
    _kept.append(server)
    return int(server.sockets[0].getsockname()[1])


_kept: list[object] = []


# The same in processes that keep what they free, as `ropewalk serve` does.


async def serve_tuned(folder: Path) -> None:
    keep_freed()
    await serve_ours(folder)


async def client_tuned(address: str) -> dict[str, Run]:
    keep_freed()
    runs = await client_ours(address)
    return {name: runs[name] for name in ("c", "d", "e", "tls d", "tls e")}


# Memory.


async def references(address: str, count: int) -> None:
    me = await _logged_in(f"tcp://{HOST}:{json.loads(address)[0]}")
    expect(len(await me.links(BATCH)), BATCH)  # whatever is made once is there
    before = private()
    held: list[Any] = []
    while len(held) < count:
        held += await me.links(BATCH)
    print(json.dumps((private() - before) / len(held)), flush=True)


async def sessions(address: str, count: int) -> None:
    url = f"tcp://{HOST}:{json.loads(address)[0]}"
    _kept.extend([await _logged_in(url) for _ in range(count)])
    print(json.dumps(len(_kept)), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


SIDES = {
    BARE: Side(serve_bare, client_bare, "uvloop"),
    OURS: Side(serve_ours, client_ours, "uvloop"),
    TUNED: Side(serve_tuned, client_tuned, "uvloop"),
}


def _main(words: Sequence[str]) -> None:
    match words:
        case ["references", address, count]:
            uvloop.run(references(address, int(count)))
        case ["sessions", address, count]:
            uvloop.run(sessions(address, int(count)))
        case _:
            main(SIDES, list(words))


if __name__ == "__main__":
    _main(sys.argv[1:])
