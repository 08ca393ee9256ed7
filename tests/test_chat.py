"""The chat of examples/: what is said by one way is heard by all the others, and what is wrong is refused by each."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import cast

import asyncssh
import pytest

from ropewalk import broker
from ropewalk.net.serving import Serving
from ropewalk.service import Application, load

CHAT = Path(__file__).parent.parent / "examples" / "chat"
WITHIN = 30.0  # seconds for what takes milliseconds

pytestmark = pytest.mark.system


@asynccontextmanager
async def chat(folder: Path) -> AsyncIterator[Callable[[str], int]]:
    """The chat as its file has it, but for the ports; gives the port of a service."""
    shutil.copytree(CHAT, folder / "chat")
    file = folder / "chat" / "chat.toml"
    file.write_text(re.sub(r"127\.0\.0\.1:\d+\"", '127.0.0.1:0"', file.read_text()))
    read = load(file)
    application = Application("chat", read.plans, folder=read.folder)

    def port(name: str) -> int:
        port = cast(Serving, application.service(name)).listeners[0].endpoint.port
        assert port
        return port

    async with asyncio.TaskGroup() as group:
        group.create_task(application.run())
        await application.wait_up()
        try:
            yield port
        finally:
            application.stop()


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(CHAT))
    monkeypatch.delitem(sys.modules, "chat", raising=False)


@dataclass
class Page:
    status: int
    headers: Mapping[str, str]
    body: str


async def ask(port: int, method: str, path: str, said: object = None, kind: str = "application/json") -> Page:
    def asked() -> Page:
        connection = HTTPConnection("127.0.0.1", port, timeout=WITHIN)
        try:
            connection.request(method, path, json.dumps(said) if said is not None else None, {"Content-Type": kind})
            with connection.getresponse() as answer:
                return Page(answer.status, dict(answer.getheaders()), answer.read().decode())
        finally:
            connection.close()

    return await asyncio.to_thread(asked)


async def test_what_is_said_by_one_way_is_heard_by_all_the_others(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN), chat(tmp_path) as port:
        events, asking = await asyncio.open_connection("127.0.0.1", port("web"))
        asking.write(b"GET /rooms/lobby HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", port("telnet"))
        writer.write(b"tom\r\nlobby\r\n")
        async with (
            asyncssh.connect(
                "127.0.0.1", port("ssh"), known_hosts=None, username="sue", client_keys=None, config=None
            ) as ssh,
            broker.connect(f"tcp://127.0.0.1:{port('objects')}") as lobby,
        ):
            shell = await ssh.create_process(term_type="dumb", encoding="utf-8")
            shell.stdin.write("sue\rlobby\r")
            room = await lobby.room("lobby")
            heard = await room.listen()
            page = await ask(port("web"), "POST", "/rooms/lobby", {"who": "will", "text": "by the web"})
            assert page.status == 204
            await room.say("ben", "by \x1b[31mobjects")
            writer.write(b"by telnet\r\n")
            assert [await anext(heard), await anext(heard)] == ["will: by the web", "ben: by \ufffd[31mobjects"]
            assert await anext(heard) == "tom: by telnet"
            shell.stdin.write("by ssh\r")
            assert await anext(heard) == "sue: by ssh"
            for line in ("will: by the web", "ben: by ", "tom: by telnet", "sue: by ssh"):
                await reader.readuntil(line.encode())
                await events.readuntil(line.encode())
            shown = ""
            while "tom: by telnet" not in shown:
                shown += await shell.stdout.read(1000)
            metrics = (await ask(port("metrics"), "GET", "/metrics")).body
            assert "\nchat_lines_total 4.0\n" in metrics
            assert "\nchat_listeners 4.0\n" in metrics
        for one in (writer, asking):
            one.close()
            await one.wait_closed()


async def test_the_page_is_there_and_names_are_checked_by_each_way(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN), chat(tmp_path) as port:
        for path, kind in (("/", "text/html"), ("/chat.js", "text/javascript"), ("/chat.css", "text/css")):
            page = await ask(port("web"), "GET", path)
            assert page.status == 200
            assert page.headers["content-type"].startswith(kind)
            assert "script-src 'self'" in page.headers["content-security-policy"]
        for said, kind in (({"who": " ", "text": "x"}, "application/json"), ({"who": "a", "text": "x"}, "text/plain")):
            page = await ask(port("web"), "POST", "/rooms/lobby", said, kind)
            assert page.status == 400
        async with broker.connect(f"tcp://127.0.0.1:{port('objects')}") as lobby:
            with pytest.raises(Exception, match="expected a name of up to 24 letters") as wrong:
                await lobby.room("\x1b")
            assert getattr(wrong.value, "code", "") == "chat.bad-name"
            for number in range(99):  # and the lobby
                await lobby.room(f"room {number}")
            with pytest.raises(Exception, match="there are 100 rooms"):
                await lobby.room("one more")


async def test_a_client_that_is_not_told_who_and_where_says_how_it_is_used() -> None:
    for words in ((), ("anna",), ("anna", "lobby", "tcp://127.0.0.1:1", "more")):
        told = await asyncio.create_subprocess_exec(
            sys.executable, CHAT / "client.py", *words, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(WITHIN):
            _, said = await told.communicate()
        assert told.returncode == 1
        assert said.startswith(b"usage: python client.py YOUR-NAME ROOM")


async def test_who_comes_is_told_how_to_leave(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN), chat(tmp_path) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port("telnet"))
        writer.write(b"tom\r\nlobby\r\n")
        await reader.readuntil(b"^C or ^D leaves")
        writer.write(b"\x03")
        await reader.readuntil(b"bye")
        assert await reader.read() is not None
        writer.close()
        await writer.wait_closed()


def test_it_is_short() -> None:
    assert len((CHAT / "chat.py").read_text().splitlines()) < 150
