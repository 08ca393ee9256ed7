"""The sample protocol, over whatever carries it. Run with: python -m pytest"""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from sample import LONGEST, Sample

from ropewalk import loops, net


class Peer(asyncio.Protocol):
    """The other side: sends what it was told to, and keeps what it gets."""

    def __init__(self, said: bytes) -> None:
        self.said = said
        self.heard = b""
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say everything."""
        cast("asyncio.Transport", transport).write(self.said)

    def data_received(self, data: bytes) -> None:
        """Keep it, until as many lines have come as were said."""
        self.heard += data
        if self.heard.count(b"\n") >= self.said.count(b"\n"):
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        """The server hung up."""
        self._end()

    def _end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


def heard(url: str, said: bytes) -> bytes:
    """What a peer hears who says this."""

    async def main() -> bytes:
        peer = Peer(said)
        async with asyncio.timeout(10), await net.listen(url, Sample) as listener:
            transport, _ = await net.connect(listener.endpoint.peer(), lambda: peer)
            await peer.over
            transport.close()
            return peer.heard

    return loops.run(main())


@pytest.mark.parametrize("url", ["memory://sample", "tcp://127.0.0.1:0", "ws://127.0.0.1:0"])
def test_lines_are_answered_in_order(url: str) -> None:
    assert heard(url, b"hello\r\nthere\n") == b"HELLO\nTHERE\n"


def test_a_line_that_is_too_long_ends_the_connection_once_those_before_are_answered() -> None:
    assert heard("memory://sample", b"one\n" + b"x" * (LONGEST + 1) + b"\n") == b"ONE\nerror: line too long\n"
