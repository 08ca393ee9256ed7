"""Peers: what else a Python program can use to call another one, each as its own users would write it.

Here is what one writes by hand on a library for messages; the complete systems are in remote_systems.py, for objects,
and remote_procedures.py.

Flow: remote.py, in the peers' interpreter -> remote_work.main -> one of these
Never: imports ropewalk; is given a setting that makes it slower than it is by default.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from remote_procedures import PROCEDURES
from remote_systems import SYSTEMS
from remote_work import HOST, WORKS, Run, Side, calls, main, many, ready

__all__ = ["COMPLETE", "SIDES"]

_LONGEST = 1 << 23  # bytes of a message, where a peer wants to be told
Pending = dict[int, "asyncio.Future[Any]"]


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def _with_many(echo: Callable[[Any], Awaitable[Any]]) -> dict[str, Run]:
    """All works, and b where one coroutine begins them all."""
    work = WORKS["b"]
    return {**calls(echo), "many b": many(lambda: echo(work.value), work.value, work.flying)}


# picows and msgspec: WebSocket frames in Cython, values in C, and nothing else.


async def serve_picows(_folder: Path) -> None:
    picows: Any = import_module("picows")
    codec: Any = import_module("msgspec").msgpack
    decode, encode = codec.Decoder().decode, codec.Encoder().encode
    binary = picows.WSMsgType.BINARY

    class Listener(picows.WSListener):  # type: ignore[misc]
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            if frame.msg_type == binary:
                transport.send(binary, encode(decode(frame.get_payload_as_memoryview())))

    server = await picows.ws_create_server(lambda _request: Listener(), HOST, 0, max_frame_size=_LONGEST)
    ready(server.sockets[0].getsockname()[1])
    await _for_ever()


async def client_picows(address: str) -> dict[str, Run]:
    picows: Any = import_module("picows")
    codec: Any = import_module("msgspec").msgpack
    decode, encode = codec.Decoder().decode, codec.Encoder().encode
    binary = picows.WSMsgType.BINARY
    pending: Pending = {}
    numbers, loop = count(), asyncio.get_running_loop()

    class Listener(picows.WSListener):  # type: ignore[misc]
        def on_ws_frame(self, _transport: Any, frame: Any) -> None:
            if frame.msg_type == binary:
                number, value = decode(frame.get_payload_as_memoryview())
                pending.pop(number).set_result(value)

    transport, _ = await picows.ws_connect(Listener, f"ws://{HOST}:{address}", max_frame_size=_LONGEST)

    def echo(value: Any) -> asyncio.Future[Any]:
        number = next(numbers)
        future = pending[number] = loop.create_future()
        transport.send(binary, encode((number, value)))
        return future

    return _with_many(echo)


# MessagePack-RPC by its published form, on asyncio's streams: a future and a task for each call.


async def serve_msgpack(_folder: Path) -> None:
    msgpack: Any = import_module("msgpack")
    tasks = set()

    async def echo(value: Any) -> Any:
        return value

    methods = {"echo": echo}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pack, unpacker = msgpack.Packer().pack, msgpack.Unpacker(max_buffer_size=1 << 28)

        async def answer(number: int, method: str, arguments: list[Any]) -> None:
            try:
                message = [1, number, None, await methods[method](*arguments)]
            except Exception as error:  # noqa: BLE001 - what a method raises goes back to its caller
                message = [1, number, str(error), None]
            writer.write(pack(message))

        while data := await reader.read(1 << 18):
            unpacker.feed(data)
            for _, number, method, arguments in unpacker:
                task = asyncio.create_task(answer(number, method, arguments))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await writer.drain()

    server = await asyncio.start_server(connected, HOST, 0, limit=1 << 22)
    ready(server.sockets[0].getsockname()[1])
    await _for_ever()


async def client_msgpack(address: str) -> dict[str, Run]:
    msgpack: Any = import_module("msgpack")
    reader, writer = await asyncio.open_connection(HOST, int(address), limit=1 << 22)
    pack, unpacker = msgpack.Packer().pack, msgpack.Unpacker(max_buffer_size=1 << 28)
    pending: Pending = {}
    numbers, loop = count(), asyncio.get_running_loop()

    async def read() -> None:
        while data := await reader.read(1 << 18):
            unpacker.feed(data)
            for _, number, error, value in unpacker:
                future = pending.pop(number)
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(RuntimeError(error))

    async def echo(value: Any) -> Any:
        number = next(numbers)
        future = pending[number] = loop.create_future()
        writer.write(pack([0, number, "echo", [value]]))
        await writer.drain()
        return await future

    _kept.append(asyncio.create_task(read()))
    return calls(echo)


_kept: list[object] = []  # tasks and files that nobody else holds


# websockets and JSON-RPC; binary goes as a message of its own, after the number of its call.


async def serve_websockets(_folder: Path) -> None:
    serve: Any = import_module("websockets.asyncio.server").serve
    methods: dict[str, Callable[..., Any]] = {"echo": lambda value: value}

    async def connected(connection: Any) -> None:
        async for message in connection:
            if isinstance(message, bytes):
                await connection.send(message[:8] + methods["echo"](message[8:]))
            else:
                asked = json.loads(message)
                result = methods[asked["method"]](*asked["params"])
                await connection.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}))

    server = await serve(connected, HOST, 0, compression=None, max_size=None)
    ready(next(iter(server.sockets)).getsockname()[1])
    await _for_ever()


async def client_websockets(address: str) -> dict[str, Run]:
    connect: Any = import_module("websockets.asyncio.client").connect
    connection = await connect(f"ws://{HOST}:{address}", compression=None, max_size=None)
    pending: Pending = {}
    numbers, loop = count(), asyncio.get_running_loop()

    async def read() -> None:
        async for message in connection:
            if isinstance(message, bytes):
                pending.pop(int.from_bytes(message[:8], "big")).set_result(message[8:])
            else:
                answer = json.loads(message)
                pending.pop(answer["id"]).set_result(answer["result"])

    async def echo(value: Any) -> Any:
        number = next(numbers)
        future = pending[number] = loop.create_future()
        if isinstance(value, bytes):
            await connection.send(number.to_bytes(8, "big") + value)
        else:
            asked = {"jsonrpc": "2.0", "id": number, "method": "echo", "params": [value]}
            await connection.send(json.dumps(asked))
        return await future

    _kept.append(asyncio.create_task(read()))
    return calls(echo)


COMPLETE = {**SYSTEMS, **PROCEDURES}
SIDES = {
    "picows, msgspec": Side(serve_picows, client_picows, "uvloop", ("picows", "msgspec", "uvloop")),
    "msgpack-rpc": Side(serve_msgpack, client_msgpack, "uvloop", ("msgpack", "uvloop")),
    "websockets, JSON-RPC": Side(serve_websockets, client_websockets, "uvloop", ("websockets", "uvloop")),
    **COMPLETE,
}

if __name__ == "__main__":
    main(SIDES, sys.argv[1:])
