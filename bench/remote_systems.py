"""Systems: complete ways to call objects of another program, each as its own manual does it.

What calls procedures only is in remote_procedures.py.

Flow: remote_peers.SIDES -> one of these
Never: imports ropewalk; is given a setting that makes it slower than it is by default.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections import deque
from importlib import import_module
from pathlib import Path
from typing import Any

from remote_work import HOST, LARGE, RECORD, WORKS, Run, Side, calls, expect, ready, together_twisted

__all__ = ["SYSTEMS"]

_kept: list[object] = []  # what nobody else holds


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


# Twisted's Perspective Broker. Its longest string has 640 KiB, so 1 MiB goes as two.


def serve_pb(_folder: Path) -> None:
    pb: Any = import_module("twisted.spread.pb")
    reactor: Any = import_module("twisted.internet.reactor")

    class Root(pb.Root):  # type: ignore[misc]
        def remote_echo(self, value: Any) -> Any:
            return value

    ready(reactor.listenTCP(0, pb.PBServerFactory(Root()), interface=HOST).getHost().port)


async def client_pb(address: str) -> dict[str, Run]:
    pb: Any = import_module("twisted.spread.pb")
    reactor: Any = import_module("twisted.internet.reactor")
    factory = pb.PBClientFactory()
    reactor.connectTCP(HOST, int(address), factory)
    root = await factory.getRootObject()

    halves = [LARGE[: len(LARGE) // 2], LARGE[len(LARGE) // 2 :]]
    return calls(lambda value: root.callRemote("echo", value), together_twisted, {"e": halves})


# Foolscap: what came after Perspective Broker. It has no way to do without TLS.


def serve_foolscap(_folder: Path) -> None:
    foolscap: Any = import_module("foolscap.api")
    reactor: Any = import_module("twisted.internet.reactor")
    adopted: Any = import_module("twisted.internet.endpoints").AdoptedStreamServerEndpoint

    class Root(foolscap.Referenceable):  # type: ignore[misc]
        def remote_echo(self, value: Any) -> Any:
            return value

    tub = foolscap.Tub()
    tub.startService()
    listening = socket.create_server((HOST, 0))  # since a tub wants to be told its port
    listening.setblocking(False)
    tub.setLocation(f"tcp:{HOST}:{listening.getsockname()[1]}")
    tub.listenOn(adopted(reactor, listening.detach(), socket.AF_INET))
    ready(tub.registerReference(Root(), "echo"))


async def client_foolscap(address: str) -> dict[str, Run]:
    tub = import_module("foolscap.api").Tub()
    tub.startService()
    _kept.append(tub)
    root = await tub.getReference(address)
    return calls(lambda value: root.callRemote("echo", value), together_twisted)


# Pyro5. It has no calls in flight but in a batch: one message with all of them, one with all answers.


def serve_pyro(_folder: Path) -> None:
    api: Any = import_module("Pyro5.api")
    api.config.SERIALIZER = "msgpack"  # its default writes binary as text

    @api.expose
    class Root:
        def echo(self, value: Any) -> Any:
            return value

    daemon = api.Daemon(host=HOST, port=0)
    ready(daemon.register(Root(), "echo"))
    daemon.requestLoop()


def client_pyro(address: str) -> dict[str, Run]:
    api: Any = import_module("Pyro5.api")
    api.config.SERIALIZER = "msgpack"
    proxy = api.Proxy(address)

    def one_by_one(total: int) -> None:
        for _ in range(total):
            expect(proxy.echo(WORKS["a"].value), WORKS["a"].value)

    def batches(value: Any, flying: int) -> Run:
        def run(total: int) -> None:
            for _ in range(0, total, flying):
                batch = api.BatchProxy(proxy)
                for _ in range(flying):
                    batch.echo(value)
                for answer in batch():
                    expect(answer, value)

        return run

    runs = {name: batches(work.value, work.flying) for name, work in WORKS.items() if name != "a"}
    return {"a": one_by_one, **runs, "many b": runs["b"]}


# RPyC. It passes dictionaries and lists by reference, so the record goes as a tuple of pairs.


def serve_rpyc(_folder: Path) -> None:
    rpyc: Any = import_module("rpyc")

    class Service(rpyc.Service):  # type: ignore[misc]
        def exposed_echo(self, value: Any) -> Any:
            return value

    server = import_module("rpyc.utils.server").ThreadedServer(Service(), hostname=HOST, port=0)
    ready(server.port)
    server.start()


def client_rpyc(address: str) -> dict[str, Run]:
    rpyc: Any = import_module("rpyc")
    connection = rpyc.connect(HOST, int(address))
    echo = connection.root.echo
    begin = rpyc.async_(echo)
    record = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in RECORD.items())

    def one_by_one(total: int) -> None:
        for _ in range(total):
            expect(echo(WORKS["a"].value), WORKS["a"].value)

    def window(value: Any, flying: int) -> Run:
        def run(total: int) -> None:
            waiting: deque[Any] = deque()
            left = total
            while left or waiting:
                while left and len(waiting) < flying:
                    waiting.append(begin(value))
                    left -= 1
                expect(waiting.popleft().value, value)

        return run

    runs = {name: window(work.value, work.flying) for name, work in WORKS.items() if name != "a"}
    return {"a": one_by_one, **runs, "c": window(record, WORKS["c"].flying), "many b": runs["b"]}


# pycapnp: Cap'n Proto's own event loop inside asyncio. On uvloop its server crashes.

_SCHEMA = """@0xd5f0c1a96b2e8347;
struct Order {
  order @0 :Int64; customer @1 :Text; mail @2 :Text; paid @3 :Bool; total @4 :Float64;
  items @5 :Int32; town @6 :Text; placed @7 :Int64; labels @8 :List(Text); prices @9 :List(Int64);
}
interface Echo {
  number @0 (value :Int64) -> (value :Int64);
  order @1 (value :Order) -> (value :Order);
  binary @2 (value :Data) -> (value :Data);
}
"""


def _schema() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "echo.capnp")
        path.write_text(_SCHEMA)
        return import_module("capnp").load(str(path))


async def serve_capnp(_folder: Path) -> None:
    capnp: Any = import_module("capnp")

    class Root(_schema().Echo.Server):  # type: ignore[misc]
        async def number(self, value: Any, **_rest: Any) -> Any:
            return value

        async def order(self, value: Any, **_rest: Any) -> Any:
            return value

        async def binary(self, value: Any, **_rest: Any) -> Any:
            return value

    async def connected(stream: Any) -> None:
        await capnp.TwoPartyServer(stream, bootstrap=Root()).on_disconnect()

    server = await capnp.AsyncIoStream.create_server(connected, HOST, 0)
    ready(server.sockets[0].getsockname()[1])
    await _for_ever()


async def client_capnp(address: str) -> dict[str, Run]:
    capnp: Any = import_module("capnp")
    stream = await capnp.AsyncIoStream.create_connection(HOST, int(address))
    client = capnp.TwoPartyClient(stream)
    _kept.append(client)
    root = client.bootstrap().cast_as(_schema().Echo)

    async def echo(value: Any) -> Any:
        if isinstance(value, bytes):
            return (await root.binary(value=value)).value
        if isinstance(value, dict):
            return (await root.order(value=value)).value.to_dict()
        return (await root.number(value=value)).value

    return calls(echo)


SYSTEMS = {
    "Pyro5, batch": Side(serve_pyro, client_pyro, "", ("Pyro5", "msgpack")),
    "pycapnp": Side(serve_capnp, client_capnp, "asyncio", ("capnp",), within=lambda: import_module("capnp").kj_loop()),
    "RPyC": Side(serve_rpyc, client_rpyc, "", ("rpyc",)),
    "Twisted PB": Side(serve_pb, client_pb, "twisted", ("twisted",)),
    "Foolscap": Side(serve_foolscap, client_foolscap, "twisted", ("foolscap", "twisted")),
}
