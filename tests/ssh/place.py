"""A server of SSH to be visited, its people, and ways to it: sockets, memory, a proxy that cuts what passes.

Flow: `served` -> Place: a listener, its connections; `Place.client` -> the library's client, `Place.raw` -> bytes
Never: leaves a task, a connection or a login behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import asyncssh

from ropewalk import net
from ropewalk.auth import Credentials, Denied, HeldKey, Identity, Password, Perspectives, Portal, Visit
from ropewalk.errors import Refused
from ropewalk.ssh.host_key import host_key
from ropewalk.ssh.limits import SshLimits
from ropewalk.ssh.server import Server
from ropewalk.terminal import Host, Talk, Terminal

WITHIN = 30.0  # seconds in which what is waited for must come

ANN, BOB, MALLORY = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))


class NotBob(Refused):
    """A realm's own reason."""

    code = "tests.not-bob"


class People:
    """A checker that knows two, and counts what it is asked."""

    takes: tuple[type[Credentials], ...] = (Password, HeldKey)

    def __init__(self) -> None:
        self.asked: list[Credentials] = []
        self.keys = {ANN.public_data: "ann", BOB.public_data: "bob"}

    async def check(self, credentials: Credentials) -> Identity:
        self.asked.append(credentials)
        match credentials:
            case Password("ann", "right"):
                return Identity("ann", how="password")
            case HeldKey(name, key) if name and self.keys.get(key) == name:
                return Identity(name, how="key", key=key)
        raise Denied


@dataclass
class Place:
    """What `served` gives."""

    server: Server
    listener: net.Listener
    people: People
    left: list[str] = field(default_factory=list)  # names, as their logins end
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    known_hosts: Any = None

    @property
    def url(self) -> str:
        return str(self.listener.endpoint.peer())

    async def client(self, username: str = "ann", **options: Any) -> asyncssh.SSHClientConnection:
        """A client of the library's, that checks the host key."""
        return await client(self.url, username, known_hosts=self.known_hosts, **options)

    async def raw(self) -> Raw:
        """A client that knows no SSH."""
        _, protocol = await net.connect(self.url, Raw)
        return protocol

    async def empty(self) -> None:
        """Wait until no connection is left, and what was begun for them has ended."""
        async with asyncio.timeout(WITHIN):
            while self.server.wires:
                await next(iter(self.server.wires)).lost.wait()
                await asyncio.sleep(0)
            while self.tasks:
                await asyncio.wait(self.tasks)


async def client(url: str, username: str = "ann", **options: Any) -> asyncssh.SSHClientConnection:
    """A client of the library's, over any endpoint."""
    options.setdefault("client_keys", [ANN])
    options.setdefault("known_hosts", None)
    async with asyncio.timeout(WITHIN):
        return await asyncssh.connect(
            "localhost", username=username, tunnel=Way(url), config=None, agent_path=None, **options
        )


class Way:
    """What the library takes for another connection of SSH to go through."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int) -> tuple[Any, Any]:
        return await net.connect(self._url, factory)

    def close(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass


class Raw(asyncio.Protocol):
    """Bytes to and fro."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.got = b""
        self.lost = asyncio.Event()
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.got += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self._news.set()

    async def until(self, text: bytes) -> bytes:
        """Wait until this has come."""
        async with asyncio.timeout(WITHIN):
            while text not in self.got:
                assert not self.lost.is_set(), self.got
                self._news.clear()
                await self._news.wait()
        return self.got

    async def ended(self) -> bytes:
        """Wait until the server has closed; all that came."""
        async with asyncio.timeout(WITHIN):
            await self.lost.wait()
        return self.got


async def parrot(terminal: Terminal) -> None:
    """Says who is there, then everything twice."""
    terminal.write(f"hello {terminal.identity.name}\n")
    async for line in terminal:
        terminal.write(f"{line} {line}\n")


@asynccontextmanager
async def served(
    folder: Path,
    talk: Talk | Host = parrot,
    *,
    url: str = "memory://ssh",
    limits: SshLimits | None = None,
    net_limits: net.Limits | None = None,
    portal: Callable[[Perspectives, People], Portal] | None = None,
    around: Callable[[asyncio.Protocol], asyncio.Protocol] = lambda protocol: protocol,
) -> AsyncIterator[Place]:
    """A server, until the end of the test; then nothing may be left of it."""
    people, realm, tasks = People(), Perspectives(), set[asyncio.Task[None]]()
    left: list[str] = []

    def perspective(visit: Visit) -> object:
        if visit.identity.name == "bob":
            raise NotBob("bob has no business here")
        visit.owned.callback(left.append, visit.identity.name)
        return object()

    realm.give(object, perspective)
    chosen = portal(realm, people) if portal else Portal(realm, [people], step=0.01)
    host = talk if isinstance(talk, Host) else Host(talk, chosen, grace=1.0)

    def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    key = host_key(folder / "host_key")
    server = Server(host, key, start, limits)
    listener = await net.listen(url, lambda: around(server.protocol()), name="ssh", limits=net_limits or net.Limits())
    place = Place(server, listener, people, left, tasks)
    place.known_hosts = ([asyncssh.import_public_key(key.line)], [], [])
    try:
        yield place
    finally:
        failed = [task for task in tasks if task.done() and not task.cancelled() and task.exception()]
        await host.close(2.0)
        await listener.drain(2.0, lambda _, wire: cast(Any, wire).close("the test is over"))
        await place.empty()
        assert not failed
        assert not server._logins
        assert not server._tasks


async def said(process: asyncssh.SSHClientProcess[Any], text: str) -> str:
    """Read from a session until this has come."""
    heard = ""
    async with asyncio.timeout(WITHIN):
        while text not in heard:
            piece = await process.stdout.read(4096)
            assert piece, f"{text!r} was not said after {heard!r}"
            heard += str(piece)
    return heard


async def gone(connection: asyncssh.SSHClientConnection) -> None:
    """Close a client, and wait until it is."""
    connection.close()
    with suppress(asyncssh.Error, OSError):
        async with asyncio.timeout(WITHIN):
            await connection.wait_closed()


class Counting:
    """Lets so many bytes of a client's through, then cuts the line."""

    def __init__(self, most: int) -> None:
        self.most, self.sent = most, 0


async def cut_client(place: Place, counting: Counting) -> asyncssh.SSHClientConnection:
    class Cut(asyncio.Protocol):
        """Between the transport and the library's client."""

        def __init__(self, inner: asyncio.Protocol) -> None:
            self.inner = inner

        def connection_made(self, transport: Any) -> None:
            write = transport.write

            def cut(data: bytes) -> None:
                left = counting.most - counting.sent
                counting.sent += len(data)
                write(data[:left])
                if len(data) > left:
                    transport.close()

            transport.write = cut
            self.inner.connection_made(transport)

        def data_received(self, data: bytes) -> None:
            self.inner.data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            self.inner.connection_lost(exc)

    class Way:
        async def create_connection(self, factory: Any, host: str, port: int) -> tuple[Any, Any]:
            transport, protocol = await net.connect(place.url, lambda: Cut(factory()))
            return transport, protocol.inner

        def close(self) -> None:
            pass

        async def wait_closed(self) -> None:
            pass

    async with asyncio.timeout(WITHIN):
        return await asyncssh.connect(
            "localhost",
            username="ann",
            client_keys=[ANN],
            known_hosts=None,
            config=None,
            agent_path=None,
            tunnel=Way(),
        )
