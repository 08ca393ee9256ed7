"""The control panel: what a process does is seen in a browser, and services start and stop from there."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ropewalk import net
from ropewalk.net.echo import Echo, EchoService
from ropewalk.net.serving import ServingConfig
from ropewalk.pages.panel import Panel, Past
from ropewalk.pages.panel.down import down_of
from ropewalk.service import Application, Context, NoConfig, Plan, Service
from ropewalk.service.control import ServiceShown
from ropewalk.service.recent import RECENT
from tests.pages.browser import Client, Served, served
from tests.pages.chromium import chromium

WITHIN = 60.0  # seconds for what takes some tenths of one
VIEWS = [
    "",
    "/services/echo",
    "/connections",
    "/tasks",
    "/log",
    "/figures",
    "/figures/process_cpu_seconds_total",
    "/alerts",
]


class Idle(Service):
    """Stands for the service of the pages, and for whatever else runs."""


@dataclass
class Process:
    application: Application
    client: Client
    url: str
    served: Served

    def state(self, name: str) -> str:
        return next(str(one.state) for one in self.application.standings if one.name == name)


@asynccontextmanager
async def process(tmp_path: Path, *, kept: bool = True) -> AsyncIterator[Process]:
    url = f"memory://panel-{tmp_path.name}"

    def past(_: NoConfig, context: Context) -> Past:
        return Past(tmp_path / "past.db", context, every=0.05)

    plans = [
        Plan("pages", Idle, NoConfig()),
        Plan("echo", EchoService, ServingConfig(listen=url)),
        Plan("leaning", Idle, NoConfig(), needs=("echo",)),
        Plan("<b>bold</b>", Idle, NoConfig()),
        *([Plan("past", past, NoConfig())] if kept else []),
    ]
    application = Application("town", plans)
    async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
        group.create_task(application.run())
        await application.wait_up()
        found = application.service("past")
        panel = Panel(application.control, "pages", found if isinstance(found, Past) else None)
        try:
            async with served(tmp_path, panel=panel) as pages:
                yield Process(application, await pages.client(), url, pages)
        finally:
            application.stop()


def texts(page: str) -> str:
    """What people read of a page."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


async def test_services_are_seen_with_their_state_and_stopped_and_started(tmp_path: Path) -> None:
    async with process(tmp_path) as one:
        page = await one.client.get("/process")
        assert page.status == 200
        assert "Services of town" in texts(page.text)
        assert "<b>bold</b>" not in page.text, "names are text"
        assert "&lt;b&gt;bold&lt;/b&gt;" in page.text
        done = await one.client.post("/process/services/echo/stop")
        assert (done.status, done.headers["location"]) == (303, "/process")
        assert one.state("echo") == "stopped"
        page = await one.client.get("/process")
        assert "stopped by hand" in page.text
        assert "waits for echo" in page.text
        assert (await one.client.post("/process/services/echo/start")).status == 303
        assert (one.state("echo"), one.state("leaning")) == ("up", "up")
        began = next(standing.starts for standing in one.application.standings if standing.name == "echo")
        assert (await one.client.post("/process/services/echo/restart")).status == 303
        assert next(standing.starts for standing in one.application.standings if standing.name == "echo") == began + 1


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/process/services/pages/stop", 403, "service.cuts-off"),
        ("/process/services/nothing/stop", 404, "service.no-service"),
        ("/process/services/echo/kill", 404, "pages.no-such-verb"),
        ("/process/connections/99999/close", 404, "service.no-connection"),
        (f"/process/connections/{'9' * 5000}/close", 404, "service.no-connection"),
        ("/process/connections/-1/close", 404, "pages.no-such-page"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_its_code(
    tmp_path: Path, target: str, status: int, code: str
) -> None:
    async with process(tmp_path) as one:
        answer = await one.client.post(target)
        assert (answer.status, answer.code) == (status, code)
        assert one.state("pages") == "up"


async def test_nothing_is_seen_or_done_by_who_is_not_in_or_without_the_mark(tmp_path: Path) -> None:
    async with process(tmp_path) as one:
        stranger = Client(one.client.app)
        for view in VIEWS:
            answer = await stranger.get(f"/process{view}")
            assert answer.status == 403
            assert "echo" not in answer.text
        for client, mark in ((stranger, one.client.csrf), (one.client, "0" * 64)):
            client.csrf = mark
            assert (await client.post("/process/services/echo/stop")).status == 403
        assert one.state("echo") == "up"
        assert (await one.client.get("/process/services/echo/stop")).status in (404, 405)


async def test_connections_are_listed_and_closed(tmp_path: Path) -> None:
    async with process(tmp_path) as one:
        assert "Nobody is connected" in (await one.client.get("/process/connections")).text
        lost = asyncio.get_running_loop().create_future()

        class Peer(Echo):
            def connection_lost(self, exc: Exception | None) -> None:
                lost.set_result(exc)

        await net.connect(one.url, Peer)
        page = (await one.client.get("/process/connections")).text
        (number,) = re.findall(r'<td class="number">(\d+)<td><bdi>echo</bdi>', page)
        assert (await one.client.post(f"/process/connections/{number}/close")).status == 303
        await lost
        assert "<bdi>echo</bdi>" not in (await one.client.get("/process/connections")).text


async def test_tasks_and_log_are_seen_and_loggers_say_more_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with process(tmp_path) as one:
        assert "keep echo" in texts((await one.client.get("/process/tasks")).text)
        record = logging.LogRecord("ropewalk.test", logging.WARNING, "", 0, "<i>said</i> \x1b[31m", None, None)
        RECENT.emit(record)
        page = (await one.client.get("/process/log?logger=ropewalk.test")).text
        assert "&lt;i&gt;said&lt;/i&gt;" in page
        assert "said" not in (await one.client.get("/process/log?logger=ropewalk.test&level=error")).text
        logger = logging.getLogger("ropewalk.service")
        before = logger.level
        fields = [("logger", "ropewalk.service"), ("level", "debug")]
        assert (await one.client.post("/process/log/level", fields)).status == 303
        assert logger.level == logging.DEBUG
        assert "ropewalk.service debug" in texts((await one.client.get("/process/log")).text)
        assert (await one.client.post("/process/log/level", [*fields[:1], ("level", "")])).status == 303
        assert logger.level == before
        assert (
            await one.client.post("/process/log/level", [*fields[:1], ("level", "loud")])
        ).code == "service.bad-level"
        assert (await one.client.post("/process/log/level")).code == "pages.nothing-said"


async def test_every_deed_leaves_a_line_that_says_who(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with process(tmp_path) as one:
        silent = [("logger", "ropewalk"), ("level", "error")]
        assert (await one.client.post("/process/log/level", silent)).status == 303
        await one.client.post("/process/services/echo/stop")
        await one.client.post("/process/services/pages/stop")
    lines = [record for record in caplog.records if record.name == "ropewalk.pages.audit"]
    assert [line.getMessage() for line in lines] == [
        "log level of ropewalk error: done",
        "stop echo: done",
        "stop pages: refused",
    ], "what is said to loggers does not silence it"
    assert all((vars(line)["who"], vars(line)["by"]) == ("the owner", "web") for line in lines)


async def test_figures_are_drawn_from_what_was_kept(tmp_path: Path) -> None:
    async with process(tmp_path) as one:
        while "<svg" not in (page := await one.client.get("/process/figures")).text:
            assert "no numbers yet" in page.text
        assert 'aria-label="Memory: ' in page.text
        assert "/process/figures/ropewalk_loop_tasks" in page.text
        for span in ("day", "week", "month"):
            assert "<svg" in (await one.client.get(f"/process/figures/ropewalk_loop_tasks?span={span}")).text
        wrong = await one.client.ask("GET", "/process/figures?span=age", {"accept": "application/json"})
        assert (wrong.status, wrong.code) == (400, "pages.bad-span")
        assert "All is well" in (await one.client.get("/process/alerts")).text


async def test_all_views_work_where_nobody_keeps_numbers(tmp_path: Path) -> None:
    async with process(tmp_path, kept=False) as one:
        for view in VIEWS:
            assert (await one.client.get(f"/process{view}")).status == 200
        assert "Nobody keeps the numbers" in (await one.client.get("/process/figures")).text
        assert "nothing but its services is watched" in (await one.client.get("/process/alerts")).text


async def test_a_service_that_is_down_is_an_alert_wherever_one_looks(tmp_path: Path) -> None:
    async with process(tmp_path) as one:
        await one.client.post("/process/services/echo/stop")
        page = texts((await one.client.get("/process/alerts")).text)
        assert "All is well" not in page
        assert "The service echo was stopped by hand (" in page
        assert "Without it is down, too: leaning ." in page
        for view in VIEWS:
            assert "Alerts 1 to look at" in texts((await one.client.get(f"/process{view}")).text)
        await one.client.post("/process/services/echo/start")
        page = texts((await one.client.get("/process/alerts")).text)
        assert "All is well" in page
        assert "to look at" not in page


SHOWN = ServiceShown("a", "up", 3.0, "a <b>fault</b>", 1, 1, False, False, "always", (), ("b",), (), "x:y", {})


@pytest.mark.parametrize(
    ("state", "halted", "words"),
    [
        ("up", False, None),
        ("starting", False, None),
        ("stopping", False, None),
        ("waiting", False, None),  # for another, which is told
        ("ended", False, None),  # by itself, as it may
        ("failed", False, "failed, and is not started again by itself"),
        ("pausing", False, "failed, and is started again soon"),
        ("stopped", False, "was stopped"),
        ("stopped", True, "was stopped by hand"),
        ("stopping", True, "was stopped by hand"),
    ],
)
def test_which_services_are_down(state: str, halted: bool, words: str | None) -> None:
    found = down_of([replace(SHOWN, state=state, halted=halted)])
    assert [one.words for one in found] == ([] if words is None else [words])


async def test_secrets_of_a_configuration_are_not_shown(tmp_path: Path) -> None:
    async with process(tmp_path) as one:
        page = texts((await one.client.get("/process/services/echo")).text)
        assert f"listen {one.url}" in page
        assert "kind ropewalk.net.echo:EchoService" in page


@pytest.mark.system
async def test_what_changes_is_brought_up_to_date_in_a_browser(tmp_path: Path) -> None:
    async with process(tmp_path) as one, chromium(one.served) as window:
        await window.page.goto(f"{window.url}/process/connections")
        await window.page.get_by_text("Nobody is connected.").wait_for()
        transport, _ = await net.connect(one.url, Echo)
        await window.page.locator("#connections td", has_text="echo").first.wait_for()
        transport.close()
        await window.page.get_by_text("Nobody is connected.").wait_for()
        assert window.complaints == []
