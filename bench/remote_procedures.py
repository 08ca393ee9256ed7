"""Procedures: complete ways to call procedures of another program, each as its own manual does it.

Flow: remote_peers.SIDES -> one of these
Never: imports ropewalk; is given a setting that makes it slower than it is by default.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from remote_work import BULK, HOST, INTEGER, LARGE, RECORD, WORKS, Run, Side, calls, expect, ready, together_twisted

__all__ = ["PROCEDURES"]

_kept: list[object] = []  # what nobody else holds


# gRPC: its own library with the asyncio interface, and grpclib, which is HTTP/2 in Python; one schema for both.

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


def _made(output: str, module: str) -> tuple[Any, Any]:
    """Modules made of the schema: its messages, and what an option of protoc makes of its service."""
    folder = tempfile.TemporaryDirectory()
    _kept.append(folder)
    Path(folder.name, "remote_echo.proto").write_text(_PROTO)
    plugin = Path(sys.executable).with_name("protoc-gen-grpclib_python")  # on the path only of an activated environment
    words = ["protoc", f"-I{folder.name}", f"--python_out={folder.name}", f"--{output}={folder.name}"]
    words += [f"--plugin={plugin.name}={plugin}"] * plugin.exists()
    if import_module("grpc_tools.protoc").main([*words, "remote_echo.proto"]):
        raise SystemExit("protoc failed")
    sys.path.insert(0, folder.name)
    return import_module("remote_echo_pb2"), import_module(module)


def _calling(stub: Any, messages: Any) -> Callable[[Any], Awaitable[Any]]:
    async def echo(value: Any) -> Any:
        if isinstance(value, bytes):
            return (await stub.binary(messages.Binary(value=value))).value
        if isinstance(value, dict):
            order = await stub.order(messages.Order(**value))
            return {name: getattr(order, name) for name in value}
        return (await stub.number(messages.Number(value=value))).value

    return echo


async def serve_grpc(_folder: Path) -> None:
    grpc: Any = import_module("grpc")
    _, made = _made("grpc_python_out", "remote_echo_pb2_grpc")

    class Servicer(made.EchoServicer):  # type: ignore[misc,name-defined]
        async def number(self, request: Any, _context: Any) -> Any:
            return request

        async def order(self, request: Any, _context: Any) -> Any:
            return request

        async def binary(self, request: Any, _context: Any) -> Any:
            return request

    server = grpc.aio.server()
    made.add_EchoServicer_to_server(Servicer(), server)
    ready(server.add_insecure_port(f"{HOST}:0"))
    await server.start()
    await asyncio.get_running_loop().create_future()


async def client_grpc(address: str) -> dict[str, Run]:
    grpc: Any = import_module("grpc")
    messages, made = _made("grpc_python_out", "remote_echo_pb2_grpc")
    return calls(_calling(made.EchoStub(grpc.aio.insecure_channel(f"{HOST}:{address}")), messages))


async def serve_grpclib(_folder: Path) -> None:
    _, made = _made("grpclib_python_out", "remote_echo_grpc")

    class Servicer(made.EchoBase):  # type: ignore[misc,name-defined]
        async def number(self, stream: Any) -> None:
            await stream.send_message(await stream.recv_message())

        order = binary = number

    server = import_module("grpclib.server").Server([Servicer()])
    listening = socket.create_server((HOST, 0))
    await server.start(sock=listening)
    ready(listening.getsockname()[1])
    await server.wait_closed()


async def client_grpclib(address: str) -> dict[str, Run]:
    messages, made = _made("grpclib_python_out", "remote_echo_grpc")
    channel = import_module("grpclib.client").Channel(HOST, int(address))
    _kept.append(channel)
    return calls(_calling(made.EchoStub(channel), messages))


# Twisted's AMP. A value has at most 65,535 bytes, so binary goes as several, cut before the time is taken.

_PIECE = 65_535


def _pieces(value: bytes) -> dict[str, bytes]:
    return {f"piece{at}": value[at : at + _PIECE] for at in range(0, len(value), _PIECE)}


def _commands() -> dict[str, Any]:
    """The command of each work."""
    amp: Any = import_module("twisted.protocols.amp")
    texts, numbers = amp.ListOf(amp.Unicode()), amp.ListOf(amp.Integer())

    class Number(amp.Command):  # type: ignore[misc]
        arguments = response = ((b"value", amp.Integer()),)

    class Order(amp.Command):  # type: ignore[misc]
        arguments = response = (
            (b"order", amp.Integer()),
            (b"customer", amp.Unicode()),
            (b"mail", amp.Unicode()),
            (b"paid", amp.Boolean()),
            (b"total", amp.Float()),
            (b"items", amp.Integer()),
            (b"town", amp.Unicode()),
            (b"placed", amp.Integer()),
            (b"labels", texts),
            (b"prices", numbers),
        )

    class Bulk(amp.Command):  # type: ignore[misc]
        arguments = response = tuple((name.encode(), amp.String()) for name in _pieces(BULK))

    class Large(amp.Command):  # type: ignore[misc]
        arguments = response = tuple((name.encode(), amp.String()) for name in _pieces(LARGE))

    return {"a": Number, "b": Number, "c": Order, "d": Bulk, "e": Large}


def serve_amp(_folder: Path) -> None:
    amp: Any = import_module("twisted.protocols.amp")
    factory: Any = import_module("twisted.internet.protocol").Factory
    reactor: Any = import_module("twisted.internet.reactor")
    commands = _commands()

    class Server(amp.AMP):  # type: ignore[misc]
        @commands["a"].responder  # type: ignore[untyped-decorator]
        def number(self, value: int) -> dict[str, int]:
            return {"value": value}

        @commands["c"].responder  # type: ignore[untyped-decorator]
        @commands["d"].responder  # type: ignore[untyped-decorator]
        @commands["e"].responder  # type: ignore[untyped-decorator]
        def fields(self, **values: Any) -> dict[str, Any]:
            return values

    ready(reactor.listenTCP(0, factory.forProtocol(Server), interface=HOST).getHost().port)


async def client_amp(address: str) -> dict[str, Run]:
    amp: Any = import_module("twisted.protocols.amp")
    endpoints: Any = import_module("twisted.internet.endpoints")
    reactor: Any = import_module("twisted.internet.reactor")
    there = endpoints.TCP4ClientEndpoint(reactor, HOST, int(address))
    connection = await endpoints.connectProtocol(there, amp.AMP())
    number = {"value": INTEGER}
    sent = {"a": number, "b": number, "c": RECORD, "d": _pieces(BULK), "e": _pieces(LARGE)}

    async def echo(asked: tuple[Any, dict[str, Any]]) -> Any:
        command, values = asked
        return command, await connection.callRemote(command, **values)

    commands = _commands()
    return calls(echo, together_twisted, {name: (commands[name], values) for name, values in sent.items()})


# zerorpc: messages of ZeroMQ, and greenlets that wait for their answers. It is faster without its heartbeats.


def serve_zerorpc(_folder: Path) -> None:
    class Root:
        def echo(self, value: Any) -> Any:
            return value

    server = import_module("zerorpc").Server(Root(), heartbeat=None)
    (bound,) = server.bind(f"tcp://{HOST}:*")
    ready(bound.addr)
    server.run()


def client_zerorpc(address: str) -> dict[str, Run]:
    client = import_module("zerorpc").Client(address, heartbeat=None)
    spawn, join = (getattr(import_module("gevent"), name) for name in ("spawn", "joinall"))

    def window(value: Any, flying: int) -> Run:
        def run(total: int) -> None:
            left = total

            def worker() -> None:
                nonlocal left
                while left > 0:
                    left -= 1
                    expect(client.echo(value), value)

            if flying == 1:
                worker()
            else:
                join([spawn(worker) for _ in range(flying)], raise_error=True)

        return run

    return {name: window(work.value, work.flying) for name, work in WORKS.items()}


PROCEDURES = {
    "gRPC aio": Side(serve_grpc, client_grpc, "asyncio", ("grpc", "grpc_tools")),
    "grpclib": Side(serve_grpclib, client_grpclib, "uvloop", ("grpclib", "grpc_tools", "uvloop")),
    "Twisted AMP": Side(serve_amp, client_amp, "twisted", ("twisted",)),
    "zerorpc": Side(serve_zerorpc, client_zerorpc, "", ("zerorpc", "gevent", "zmq")),
}
