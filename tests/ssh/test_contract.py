"""The contract of carriers, by the library's client, with a terminal and without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from ropewalk.terminal import Talk
from tests.ssh.place import WITHIN, gone, served
from tests.terminal.contract import Peer, check_terminal


class Visitor:
    """A visitor of the contract's."""

    def __init__(self, connection: asyncssh.SSHClientConnection, process: Any, enter: str) -> None:
        self._connection, self._process, self._enter = connection, process, enter
        self._heard = ""

    async def say(self, text: str) -> None:
        self._process.stdin.write(text.replace("\n", self._enter))

    async def expect(self, text: str) -> str:
        async with asyncio.timeout(WITHIN):
            while text not in self._heard:
                piece = await self._process.stdout.read(4096)
                assert piece, f"{text!r} was not shown after {self._heard!r}"
                self._heard += piece
        before, _, self._heard = self._heard.partition(text)
        return before + text

    async def interrupt(self) -> None:
        self._process.stdin.write("\x03")

    async def resize(self, columns: int, rows: int) -> None:
        self._process.change_terminal_size(columns, rows)

    async def end(self) -> None:
        self._process.stdin.write_eof()

    async def hang_up(self) -> None:
        self._connection.abort()


@pytest.mark.parametrize("term", [None, "dumb", "xterm"])
async def test_ssh_keeps_the_contract_of_carriers(term: str | None, tmp_path: Path) -> None:
    @asynccontextmanager
    async def connect(talk: Talk) -> AsyncIterator[Peer]:
        async with served(tmp_path, talk) as place:
            connection = await place.client()
            process = await connection.create_process(term_type=term)
            yield Visitor(connection, process, "\r" if term else "\n")
            await gone(connection)

    def way(talk: Talk) -> AbstractAsyncContextManager[Peer]:
        return connect(talk)

    await check_terminal(way)
