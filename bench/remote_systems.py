"""Systems: complete ways to call objects or procedures of another program, each as its own manual does it.

Flow: remote_peers.SIDES -> one of these
Never: imports ropewalk; is given a setting that makes it slower than it is by default.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import deque
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from remote_work import HOST, LARGE, RECORD, WORKS, Run, Side, calls, expect, ready

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
    defer: Any = import_module("twisted.internet.defer")
    reactor: Any = import_module("twisted.internet.reactor")
    factory = pb.PBClientFactory()
    reactor.connectTCP(HOST, int(address), factory)
    root = await factory.getRootObject()

    async def together(work: Iterable[Any]) -> None:
        await defer.gatherResults([defer.ensureDeferred(one) for one in work])

    halves = [LARGE[: len(LARGE) // 2], LARGE[len(LARGE) // 2 :]]
    return calls(lambda value: root.callRemote("echo", value), together, {"e": halves})


# gRPC's asyncio interface.

_PROTO = """syntax = "proto3";
message Number { int64 value = 1; }
message Order {
  int64 order = 1; string customer = 2; string mail = 3; bool paid = 4; double total = 5;
  int32 items = 6; string town = 7; int64 placed = 8; repeated string labels = 9; repeated int64 prices = 10;
}
message Binary { bytes value = 1; }
service Echo {
  rpc number(Number) returns (Number);
  rpc order(Order) returns (Order);
  rpc binary(Binary) returns (Binary);
}
"""


def _stubs() -> tuple[Any, Any]:
    folder = tempfile.TemporaryDirectory()
    _kept.append(folder)
    Path(folder.name, "remote_echo.proto").write_text(_PROTO)
    words = ["protoc", f"-I{folder.name}", f"--python_out={folder.name}", f"--grpc_python_out={folder.name}"]
    if import_module("grpc_tools.protoc").main([*words, "remote_echo.proto"]):
        raise SystemExit("protoc failed")
    sys.path.insert(0, folder.name)
    return import_module("remote_echo_pb2"), import_module("remote_echo_pb2_grpc")


async def serve_grpc(_folder: Path) -> None:
    grpc: Any = import_module("grpc")
    _, stubs = _stubs()

    class Servicer(stubs.EchoServicer):  # type: ignore[misc,name-defined]
        async def number(self, request: Any, _context: Any) -> Any:
            return request

        async def order(self, request: Any, _context: Any) -> Any:
            return request

        async def binary(self, request: Any, _context: Any) -> Any:
            return request

    server = grpc.aio.server()
    stubs.add_EchoServicer_to_server(Servicer(), server)
    ready(server.add_insecure_port(f"{HOST}:0"))
    await server.start()
    await _for_ever()


async def client_grpc(address: str) -> dict[str, Run]:
    grpc: Any = import_module("grpc")
    messages, stubs = _stubs()
    stub = stubs.EchoStub(grpc.aio.insecure_channel(f"{HOST}:{address}"))

    async def echo(value: Any) -> Any:
        if isinstance(value, bytes):
            return (await stub.binary(messages.Binary(value=value))).value
        if isinstance(value, dict):
            order = await stub.order(messages.Order(**value))
            return {name: getattr(order, name) for name in value}
        return (await stub.number(messages.Number(value=value))).value

    return calls(echo)


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
    "gRPC aio": Side(serve_grpc, client_grpc, "asyncio", ("grpc", "grpc_tools")),
}
