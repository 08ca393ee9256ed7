"""What tests of WebSockets share: a handshake, frames of a client, and an app that talks.

Flow: ASKED, frame(...) -> a peer's bytes; Talks -> what an app has heard
Never: opens a connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.frames import Frame, Opcode

ASK = (
    b"GET /socket?q HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
)
ASKED = ASK + b"\r\n"


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


class Talks:
    """An app that says back what it hears, and keeps what it was told."""

    def __init__(self, *, subprotocol: str | None = None, headers: Any = ()) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        self.errors: list[BaseException] = []
        self.ended = asyncio.Event()
        self._accept = {"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        self.scopes.append(scope)
        try:
            assert (await receive())["type"] == "websocket.connect"
            await send(self._accept)
            while True:
                message = await receive()
                self.heard.append(message)
                if message["type"] == "websocket.disconnect":
                    return
                await send({**message, "type": "websocket.send"})
        except OSError as error:
            self.errors.append(error)
        finally:
            self.ended.set()
