"""Collector, page and agent as services of two applications, over TLS."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from ropewalk import net
from ropewalk.auth import Accounts
from ropewalk.collector.agent import Agent
from ropewalk.errors import Misuse
from ropewalk.metrics import Registry
from ropewalk.service import BadConfig, application_of, parse

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


async def test_an_application_with_push_alone_tells_of_its_process_and_its_loop(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.db")
    accounts.add("shop")
    (tmp_path / "token").write_text(accounts.add_token("shop") + "\n")
    told = COLLECTOR.replace("tls://127.0.0.1:0?dev", "memory://intake").replace("tcp://127.0.0.1:0", "memory://page")
    applications = [
        application_of(parse(told, folder=tmp_path)),
        application_of(parse(PUSHING.format(to="memory://intake"), folder=tmp_path)),
    ]
    page = net.Endpoint.parse("memory://page")
    async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(application.run()) for application in applications]
        await applications[0].wait_up()
        for name in ("process_cpu_seconds_total", "ropewalk_loop_tasks", "ropewalk_loop_lag_seconds_count"):
            found: object = {"series": []}
            while isinstance(found, dict) and not found["series"]:
                found = await _asked(page, f"/series?name={name}&source=shop")
        for application in applications:
            application.stop()
        await asyncio.gather(*running)


PLAIN = "tokens of agents would come in over"
ALERT = '[[services.collector.alerts]]\nname = "gone"\nmetric = "up"\n'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tls://127.0.0.1:0?dev", "tcp://192.0.2.1:1", f"app.toml:3: services.collector.listen: {PLAIN}"),
        ("tls://127.0.0.1:0?dev", "ws://*:1", f"app.toml:3: services.collector.listen: {PLAIN}"),
        ("tls://127.0.0.1:0?dev", "proxy://collector.example:1", "over proxy://collector.example:1, which"),
        ("tls://127.0.0.1:0?dev", "stdio:", "over stdio:, which"),
        ("tls://127.0.0.1:0?dev", "tls://*:1", "app.toml:3: services.collector.listen: tls://*:1 has no certificate"),
        ("tcp://127.0.0.1:0", "tcp://127.0.0.1:999999", "app.toml:4: services.collector.page: endpoint"),
        ("tcp://127.0.0.1:0", "tcp://127.0.0.1:1?x", "app.toml:4: services.collector.page: endpoint"),
        (
            "tcp://127.0.0.1:0",
            "tls://127.0.0.1:1",
            "app.toml:4: services.collector.page: tls://127.0.0.1:1 has no cert",
        ),
        (
            "[[",
            f'{ALERT}compare = "<"\nthreshold = 1\nclear = 0\n[[',
            "app.toml:5: services.collector.alerts.0: clear of gone is 0.0, expected a number that is not < 1.0",
        ),
        ("threshold = 0", "threshold = nan", "alerts.0: threshold of echo is used is nan, expected a number"),
        ("threshold = 0", "threshold = 0\nseconds = inf", "alerts.0: seconds of echo is used are inf, expected 0 or"),
        ("threshold = 0", "threshold = 0\ncear = 1", "app.toml:10: services.collector.alerts.0.cear: unknown key"),
        (
            "[[",
            f'{ALERT}compare = "<"\nthreshold = 1\n{ALERT}compare = "<"\nthreshold = 1\n[[',
            "app.toml:5: services.collector.alerts: rule gone is there twice",
        ),
    ],
)
def test_what_is_wrong_with_a_collector_is_found_by_a_check(old: str, new: str, message: str) -> None:
    assert old in COLLECTOR
    with pytest.raises(BadConfig) as caught:
        parse(COLLECTOR.replace(old, new, 1), "app.toml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "url", ["tcp://127.0.0.1:1", "ws+proxy://[::1]:1", "tcp://localhost:1", "unix:/x", "systemd:agents", "memory://x"]
)
def test_a_collector_may_listen_where_nobody_reads_along(url: str) -> None:
    assert parse(COLLECTOR.replace("tls://127.0.0.1:0?dev", url)).plans


async def test_what_a_collector_inherits_must_be_private_too(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as everywhere:  # noqa: S104 - nobody connects
        url = f"fd://{everywhere.fileno()}"
        application = application_of(parse(COLLECTOR.replace("tls://127.0.0.1:0?dev", url), folder=tmp_path))
        async with asyncio.timeout(20):
            with pytest.raises(Misuse, match=r"would come in over tcp://0\.0\.0\.0:"):
                await application.run()


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("tcp://127.0.0.1:1", "app.toml:3: services.push.to: a token is not sent to tcp://127.0.0.1:1"),
        ("ws://127.0.0.1:1", "app.toml:3: services.push.to: a token is not sent to ws://127.0.0.1:1"),
        ("fd://7", "services.push.to: a token is not sent to fd://7"),
        ("tls://127.0.0.1", "app.toml:3: services.push.to: endpoint"),
        ("tls://*:1", "services.push.to: cannot connect to tls://*:1"),
        ("tls://127.0.0.1:0", "services.push.to: cannot connect to tls://127.0.0.1:0: it has no port"),
    ],
)
def test_where_a_token_would_be_sent_is_found_by_a_check(to: str, message: str) -> None:
    with pytest.raises(BadConfig) as caught:
        parse(PUSHING.format(to=to), "app.toml")
    assert message in str(caught.value)


def test_a_source_that_no_collector_would_take_is_found_by_a_check() -> None:
    with pytest.raises(BadConfig, match=r"app\.toml:5: services\.push\.source: expected `str` matching regex"):
        parse(PUSHING.format(to="unix:/x").replace("shop", "a shop"), "app.toml")


async def test_an_agent_sends_no_token_over_a_connection_that_is_not_private() -> None:
    heard, refused = bytearray(), asyncio.Event()

    class Listening(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            heard.extend(data)

    async def sleep(seconds: float) -> None:
        refused.set()
        await asyncio.get_running_loop().create_future()

    registry = Registry()
    async with asyncio.timeout(20), await net.listen("tcp://127.0.0.1:0", Listening) as listener:
        for connect in (
            lambda factory: net.connect(listener.endpoint, factory),
            lambda factory: asyncio.get_running_loop().create_connection(factory, "127.0.0.1", listener.endpoint.port),
        ):
            task = asyncio.create_task(Agent(connect, "shop", "secret", registry=registry, sleep=sleep)._push())
            await refused.wait()
            refused.clear()
            task.cancel()
            await asyncio.wait([task])
    assert not heard
    reasons = registry.counter("ropewalk_collector_agent_failures_total", "", ("reason",)).read().series
    assert reasons == {("collector.not-private",): 2}


@pytest.mark.parametrize("text", ["", "\n", None])
async def test_a_token_that_is_not_there(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "token").write_text(text)
    config = PUSHING.format(to="memory://nobody") + "critical = true\n"
    with pytest.raises(Misuse, match="token"):
        await application_of(parse(config, folder=tmp_path)).run()
