"""Collector, page and agent as services of two applications, over TLS."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ropewalk import net
from ropewalk.auth import Accounts
from ropewalk.errors import Misuse
from ropewalk.service import application_of, parse

COLLECTOR = """\
[services.collector]
kind = "collector"
listen = "tls://127.0.0.1:0?dev"
page = "tcp://127.0.0.1:0"
[[services.collector.alerts]]
name = "echo is used"
metric = "ropewalk_service_up"
compare = ">"
threshold = 0
"""
PUSHING = """\
[services.push]
kind = "push"
to = "{to}"
token_file = "token"
source = "shop"
every = 0.05
"""


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "user"))


class Reader(asyncio.Protocol):
    """Reads until the other side hangs up."""

    def __init__(self) -> None:
        self.heard = b""
        self.over = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def _asked(endpoint: net.Endpoint, path: str) -> object:
    transport, reader = await net.connect(endpoint.peer(), Reader)
    transport.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert isinstance(reader, Reader)
    await reader.over
    head, _, body = reader.heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    return json.loads(body)


async def test_counts_of_one_application_are_read_at_another(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.db")
    accounts.add("shop")
    (tmp_path / "token").write_text(accounts.add_token("shop") + "\n")
    collector = application_of(parse(COLLECTOR, folder=tmp_path))
    async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(collector.run())]
        await collector.wait_up()
        service = collector.service("collector")
        assert service is not None
        to, page = service.listeners[0].endpoint.peer(), service._page.endpoint  # type: ignore[attr-defined]
        pushing = application_of(parse(PUSHING.format(to=to), folder=tmp_path))
        running.append(tasks.create_task(pushing.run()))
        series: object = []
        while not series:
            found = await _asked(page, "/series?name=ropewalk_service_up")
            assert isinstance(found, dict)
            series = found["series"]
        sources = await _asked(page, "/sources")
        assert isinstance(sources, dict)
        assert [(one["name"], one["state"]) for one in sources["sources"]] == [("shop", "alive")]
        for application in (pushing, collector):
            application.stop()
        await asyncio.gather(*running)


@pytest.mark.parametrize("to", ["tcp://127.0.0.1:1", "ws://127.0.0.1:1"])
async def test_a_token_is_not_sent_where_others_can_read_along(tmp_path: Path, to: str) -> None:
    (tmp_path / "token").write_text("secret")
    with pytest.raises(Misuse, match="a token is not sent to"):
        await application_of(parse(PUSHING.format(to=to), folder=tmp_path)).run()


@pytest.mark.parametrize("text", ["", "\n", None])
async def test_a_token_that_is_not_there(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "token").write_text(text)
    config = PUSHING.format(to="memory://nobody") + "critical = true\n"
    with pytest.raises(Misuse, match="token"):
        await application_of(parse(config, folder=tmp_path)).run()
