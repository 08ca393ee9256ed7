"""The pages as a service: reached over a real socket, by the file it keeps, until it stops."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from ropewalk.errors import Misuse
from ropewalk.metrics import Registry
from ropewalk.pages import HeldSpaces
from ropewalk.pages.service import LISTEN, PagesConfig, PagesService
from ropewalk.service import Context
from tests.pages.browser import word_in


async def say(address: str, request: str) -> str:
    """What one connection is answered."""
    where = urlsplit(address)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(request.replace("\n", "\r\n").encode())
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer.decode(errors="replace")


async def test_it_lets_its_owner_in_and_nobody_once_it_has_stopped(tmp_path: Path) -> None:
    config = PagesConfig(listen="tcp://127.0.0.1:0")
    service = PagesService(config, Context("pages", "up", Registry()), HeldSpaces(dict), tmp_path / "web")
    async with contextlib.AsyncExitStack() as service.owned:
        await service.start()
        running = asyncio.create_task(service.run())
        address = service.address()
        assert address is not None
        file = service.pages.entrance.file
        async with asyncio.timeout(30):
            while not file.exists():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
        host = urlsplit(address).netloc
        plain = await say(address, f"GET / HTTP/1.1\nHost: {host}\nConnection: close\n\n")
        assert plain.startswith("HTTP/1.1 403 ")
        assert (await say(address, "GET / HTTP/1.1\nHost: evil.example\nConnection: close\n\n")).startswith(
            "HTTP/1.1 421 "
        )
        form = f"word={word_in(service.pages)}"
        entered = await say(
            address,
            f"POST /enter HTTP/1.1\nHost: {host}\nOrigin: null\nContent-Type: application/x-www-form-urlencoded\n"
            f"Content-Length: {len(form)}\nConnection: close\n\n{form}",
        )
        assert entered.startswith("HTTP/1.1 200 ")
        [cookie] = [line for line in entered.splitlines() if line.lower().startswith("set-cookie:")]
        cookie = cookie.partition(":")[2].partition(";")[0].strip()
        head = await say(address, f"HEAD / HTTP/1.1\nHost: {host}\nCookie: {cookie}\nConnection: close\n\n")
        assert head.startswith("HTTP/1.1 200 ")
        assert head.endswith("\r\n\r\n")
        assert service.statistics()["sessions"] == 1
        await service.stop(5)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert not file.exists()
    assert service.statistics()["sessions"] == 0


async def test_without_an_endpoint_for_this_machine_there_is_no_file(tmp_path: Path) -> None:
    config = PagesConfig(listen="memory://pages")
    service = PagesService(config, Context("pages", "up", Registry()), HeldSpaces(dict), tmp_path / "web")
    async with contextlib.AsyncExitStack() as service.owned:
        await service.start()
        assert service.address() is None
        await service.stop(5)
    assert not (tmp_path / "web").exists()


def test_its_configuration_is_checked() -> None:
    assert PagesConfig().urls == (LISTEN,)
    for keys in ({"names": ["a b"]}, {"names": ["a.b"], "preview": "a.b"}, {"listen": "what"}, {"other": 1}):
        with pytest.raises((Misuse, msgspec.ValidationError)):
            msgspec.convert(keys, PagesConfig)
