"""The contract of carriers, on the one that is there for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ropewalk.terminal import Talk
from ropewalk.terminal.memory import Visitor, visiting
from tests.terminal.contract import Peer, check_terminal


class Scripted:
    """A visitor of the contract's."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor

    async def say(self, text: str) -> None:
        self._visitor.press(text.replace("\n", "\r"))

    async def expect(self, text: str) -> str:
        return await self._visitor.expect(text)

    async def interrupt(self) -> None:
        self._visitor.press("\x03")

    async def resize(self, columns: int, rows: int) -> None:
        self._visitor.terminal.resize(columns, rows)

    async def end(self) -> None:
        self._visitor.end()

    async def hang_up(self) -> None:
        self._visitor.hang_up()


@pytest.mark.parametrize("keys", [False, True])
async def test_a_scripted_visitor_keeps_the_contract(keys: bool) -> None:
    @asynccontextmanager
    async def connect(talk: Talk) -> AsyncIterator[Peer]:
        async with visiting(talk, keys=keys) as visitor:
            yield Scripted(visitor)

    await check_terminal(connect)


@pytest.mark.parametrize("keys", [False, True])
async def test_it_keeps_the_contract_where_nothing_edits_lines(keys: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ropewalk.terminal.terminal.Terminal._edits", lambda _: None)
    await test_a_scripted_visitor_keeps_the_contract(keys)
