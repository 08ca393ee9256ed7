"""The service kind ``telnet``: in an application, from its configuration to its farewell."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest

from ropewalk.metrics import Registry
from ropewalk.service import Context
from ropewalk.telnet import NoTelnet, TelnetConfig, TelnetService
from ropewalk.terminal import Talk, Terminal
from tests.telnet.clients import IAC, SGA, TTYPE, WILL, Raw, raw

HERE = "tests.telnet.test_service"
ended: list[str] = []


async def hear(terminal: Terminal) -> None:
    """Says back what it reads."""
    terminal.write(f"ready, keys={terminal.keys}\n")
    async for line in terminal:
        terminal.write(f"<{line}>\n")
    ended.append(terminal.name)


def talk(context: Context) -> Talk:
    return hear


def config(**more: Any) -> TelnetConfig:
    return msgspec.convert({"listen": "memory://telnet", "talk": f"{HERE}:talk", **more}, TelnetConfig)


@asynccontextmanager
async def running(**more: Any) -> AsyncIterator[tuple[TelnetService, Raw]]:
    service = TelnetService(config(**more), Context("desk", "shop", Registry()))
    async with AsyncExitStack() as service.owned, asyncio.TaskGroup() as service.tasks:
        await service.start()
        async with raw(service.listeners[0].endpoint) as client:
            yield service, client
            await service.stop(5)


async def test_it_greets_talks_and_says_good_bye() -> None:
    ended.clear()
    async with running(greeting="welcome") as (service, client):
        client.send(b"on\n")
        await client.expect(b"welcome\r\nready, keys=False\r\n<on>\r\n")
        assert service.statistics() == {"connections": 1, "visitors": 1}
        await asyncio.wait_for(service.stop(5), 5)
        assert (await client.wait_lost()).endswith(b"\r\nthe server stops: good-bye\r\n")
        assert service.statistics() == {"connections": 0, "visitors": 0}
    assert ended == ["telnet"]


async def test_who_was_not_talked_to_yet_is_closed_at_stop() -> None:
    async with running() as (service, client):
        await client.expect(IAC)
        await asyncio.wait_for(service.stop(5), 5)
        assert b"ready" not in await client.wait_lost()


@pytest.mark.parametrize(("mode", "offered"), [("line", False), ("character", True)])
async def test_the_mode_is_what_was_configured(mode: str, offered: bool) -> None:
    async with running(mode=mode) as (_, client):
        client.send(IAC, WILL, TTYPE)
        await client.expect(b"ready")
        assert (IAC + WILL + SGA in client.heard) is offered


async def test_it_is_in_line_mode_where_nothing_edits_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ropewalk.terminal.editing", None)
    async with running() as (_, client):
        client.send(IAC, WILL, TTYPE)
        await client.expect(IAC + b"\xfa" + TTYPE)
        client.send(IAC, b"\xfa", TTYPE, b"\0xterm", IAC, b"\xf0")
        await client.expect(b"ready")
        assert IAC + WILL + SGA not in client.heard


async def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "telnetlib3.stream_writer", None)
    service = TelnetService(config(), Context("desk", "shop", Registry()))
    with pytest.raises(NoTelnet) as raised:
        await service.start()
    assert raised.value.hint == "pip install 'ropewalk[telnet]'"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"talk": "nowhere"}, "talk: "),
        ({"talk": f"{HERE}:no_such"}, "talk: "),
        ({"encoding": "klingon"}, "encoding: got 'klingon', expected an encoding of text"),
        ({"encoding": "base64"}, "encoding: got 'base64', expected an encoding of text"),
        ({"encoding": "utf-16"}, "encoding: got 'utf-16', expected an encoding that has ASCII in it"),
        ({"mode": "full"}, "mode"),
        ({"colour": True}, "colour"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(more: dict[str, Any], said: str) -> None:
    with pytest.raises((msgspec.ValidationError, Exception), match=said):
        config(**more)
