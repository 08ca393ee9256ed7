"""The console by the pages: over real sockets, with a real client, and in Chromium."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ropewalk import net
from ropewalk.auth import Channel
from ropewalk.cli.pages import desk_of
from ropewalk.console import Answer, Ask, Commands, ConsoleConfig, ConsoleService, Operator, Right
from ropewalk.console.acting import ACTING
from ropewalk.console.audit import LOGGER
from ropewalk.console.looking import LOOKING
from ropewalk.metrics import Registry
from ropewalk.pages import sessions
from ropewalk.pages.panel import Desk, Panel
from ropewalk.pages.panel.carrying import BURST, Carrying
from ropewalk.pages.panel.console import MOST, PATH
from ropewalk.pages.panel.saying import LONGEST_MESSAGE, BadMessage, Columns, Complete, Interrupt, Line, heard, text
from ropewalk.service import Application, NoConfig, Plan, Service
from ropewalk.terminal import Limits
from ropewalk.web import Site
from tests.console.stage import Audit, plans
from tests.pages.browser import Client, Served, served
from tests.pages.chromium import chromium

pytestmark = pytest.mark.system

WITHIN = 60.0  # seconds for what takes some tenths of one
MORE = Commands()


@MORE.command(name="stand-still")
async def stand_still(ask: Ask) -> Answer:
    """Wait for ever."""
    ask.control.application.stands.set()  # type: ignore[attr-defined] # of these tests
    await asyncio.get_running_loop().create_future()
    return Answer.said("", None)


@MORE.command()
async def shout(_: Ask, *, much: int = 1) -> Answer:
    """Say much, with what a terminal would obey."""
    return Answer.said("\n".join(["\x1b[31m<b>loud</b>\u202e" + "x" * 900] * much), None)


class Idle(Service):
    """Stands for the service of the pages."""


class Talker:
    """Somebody at the page, without the page."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.said, self.prompts = socket, "", 0

    async def say(self, **message: Any) -> None:
        await self.socket.send(msgspec.json.encode(message).decode())

    async def next(self) -> dict[str, Any]:
        message: dict[str, Any] = msgspec.json.decode(await self.socket.recv())
        if message["what"] == "text":
            self.said += message["text"]
        elif message["what"] == "prompt":
            self.prompts += 1
        return message

    async def ready(self) -> str:
        """What was said until a line is waited for."""
        self.said = ""
        while (await self.next())["what"] != "prompt":
            pass
        return self.said

    async def line(self, line: str) -> str:
        """What is answered to a line."""
        await self.say(what="line", text=line)
        return await self.ready()

    async def end(self) -> tuple[int, str]:
        """Code and reason of the end."""
        try:
            while True:
                await self.next()
        except ConnectionClosed:
            return self.socket.close_code or 0, self.socket.close_reason or ""


@dataclass
class Town:
    """An application with a console and pages, on a port."""

    application: Application
    served: Served
    client: Client
    url: str

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    @asynccontextmanager
    async def socket(self, **headers: str | None) -> AsyncIterator[ClientConnection]:
        cookies = "; ".join(f"{key}={value}" for key, value in self.client.cookies.items())
        sent = {"Cookie": cookies, "Origin": self.url, **headers}
        given = {key: value for key, value in sent.items() if value is not None}
        async with connect(f"ws://{self.host}{PATH}", additional_headers=given, compression=None) as socket:
            yield socket

    @asynccontextmanager
    async def talker(self) -> AsyncIterator[Talker]:
        """Somebody who is in, and was greeted."""
        async with self.socket() as socket:
            talker = Talker(socket)
            assert "`help` helps" in await talker.ready()
            yield talker

    async def empty(self) -> None:
        """Wait until nobody is at the console by the pages."""
        while self.application.control.presence.all():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


@asynccontextmanager
async def town(
    folder: Path, *, console: bool = True, idle: float = 3600, perspective: object = None, limits: Limits | None = None
) -> AsyncIterator[Town]:
    config = ConsoleConfig(commands=(f"{__name__}:MORE",), idle=idle)
    more = [Plan("console", ConsoleService, config)] if console else []
    application = Application("town", [*plans(), Plan("pages", Idle, NoConfig()), *more], deadline=5, folder=folder)
    application.stands = asyncio.Event()  # type: ignore[attr-defined]
    async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
        group.create_task(application.run())
        try:
            await application._board.until(lambda: bool(application.control.live().keys() >= {"pages", "web"}))
            while console and application.service("console") is None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
            desk = desk_of(application.control, "pages")

            def at_hand() -> Desk | None:
                found = desk()
                if found is not None and limits is not None:
                    found.host.limits = limits
                return Desk(found.host, perspective) if found is not None and perspective is not None else found

            panel = Panel(application.control, "pages", desk=at_hand)
            async with served(folder, panel=panel) as pages:
                site = Site(pages.app, registry=Registry())
                async with site, await net.listen("tcp://127.0.0.1:0", site.protocol) as listener:
                    port = listener.endpoint.port or 0
                    client = Client(pages.app, port=port)
                    pages.app.entrance.renew()
                    assert (await client.enter(pages.word)).status == 200
                    await client.get("/")
                    yield Town(application, pages, client, f"http://127.0.0.1:{port}")
        finally:
            application.stop()


# ---- who is let in ----


async def test_who_shows_no_session_or_comes_from_another_page_is_refused(tmp_path: Path) -> None:
    async with town(tmp_path) as one:
        for headers in (
            {"Cookie": None},
            {"Cookie": f"ropewalk-{one.client.port}={'A' * 43}"},
            {"Origin": None},
            {"Origin": "null"},
            {"Origin": "http://evil.example"},
            {"Origin": f"http://localhost:{one.client.port}"},
            {"Origin": "http://127.0.0.1:1"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with one.socket(**headers):
                    pass
            assert refused.value.response.status_code == 403
        assert one.application.control.presence.all() == []
        async with one.talker():
            assert [who.by for who in one.application.control.presence.all()] == ["web"]


async def test_other_addresses_take_no_websocket_and_the_page_is_for_who_is_in(tmp_path: Path) -> None:
    async with town(tmp_path) as one:
        origin = {"origin": one.url}
        assert (await one.client.ask("GET", "/process/console", origin, kind="websocket")).status == 4404
        assert (await one.client.ask("GET", "/process/log", origin, kind="websocket")).status == 4404
        page = await one.client.get("/process/console")
        assert page.status == 200
        assert "<noscript>" in page.text
        assert "ropewalk console" in page.text
        assert f'data-address="{PATH}"' in page.text
        assert (await one.client.get(PATH)).status == 404
        stranger = Client(one.client.app, port=one.client.port)
        assert (await stranger.get("/process/console")).status == 403


async def test_without_a_console_the_page_says_so_and_the_socket_is_closed(tmp_path: Path) -> None:
    async with town(tmp_path, console=False) as one:
        page = await one.client.get("/process/console")
        assert "No console of this process is up" in page.text
        assert "console.js" not in page.text
        async with one.socket() as socket:
            assert await Talker(socket).end() == (4404, "the console is not up")


# ---- what can be said ----


@pytest.mark.parametrize("operator", [None, Operator(frozenset(Right))])
async def test_there_is_no_python_whatever_somebody_may_do(tmp_path: Path, operator: Operator | None) -> None:
    async with town(tmp_path, perspective=operator) as one, one.talker() as talker:
        for line in ("python", "python --json", "'python'", "python --help"):
            said = await talker.line(line)
            assert "no right to run Python here" in said or "Open a Python prompt" in said
            assert "at hand" not in said
        assert "2 + 40" not in await talker.line("help")
        assert "no command '2'" in await talker.line("2 + 40")
        await talker.say(what="complete", text="pyth", number=1)
        assert (await talker.next())["words"] == []


async def test_each_command_of_the_console_is_one_here_too(tmp_path: Path, audit: list[dict[str, str]]) -> None:
    given = {"service": "service data", "start": "start data", "stop": "stop data", "restart": "restart data"}
    given |= {"close": "close 999999", "reload": "reload"}
    async with town(tmp_path) as one, one.talker() as talker:
        for command in LOOKING.with_those_of(ACTING):
            said = await talker.line(given.get(command.name, command.name))
            if command.name == "close":
                assert "no connection 999999" in said
            elif command.name == "python":
                assert "no right to run Python here by web" in said
            elif command.name != "reload":
                assert said
                assert "error:" not in said, command.name
            helped = await talker.line(f"{command.name} --help")
            assert command.usage in helped
        assert "the owner" in await talker.line("who --json")
        lines = {(line["who"], line["by"], line["address"], line["line"], line["outcome"]) for line in audit}
        assert ("the owner", "web", "127.0.0.1", "restart data", "done") in lines
        assert ("the owner", "web", "127.0.0.1", "python", "console.not-allowed") in lines


async def test_the_pages_are_not_stopped_by_mistake_and_a_table_fits_the_page(tmp_path: Path) -> None:
    async with town(tmp_path) as one, one.talker() as talker:
        assert "ends this connection" in await talker.line("stop pages")
        assert one.application.service("pages") is not None
        await talker.say(what="columns", number=40)
        assert max(map(len, (await talker.line("services")).splitlines())) <= 40
        await talker.say(what="columns", number=120)
        assert max(map(len, (await talker.line("services")).splitlines())) > 40


async def test_what_runs_is_stopped_and_words_are_completed(tmp_path: Path, audit: list[dict[str, str]]) -> None:
    async with town(tmp_path) as one, one.talker() as talker:
        await talker.say(what="line", text="stand-still")
        await one.application.stands.wait()  # type: ignore[attr-defined]
        await talker.say(what="complete", text="ser", number=6)
        assert (await talker.next())["words"] == [], "nothing is read while something runs"
        await talker.say(what="interrupt")
        assert await talker.ready() == "interrupted\n"
        assert [line["outcome"] for line in audit if line["line"] == "stand-still"] == ["interrupted"]
        await talker.say(what="complete", text="ser", number=7)
        assert await talker.next() == {"what": "words", "number": 7, "words": ["service", "services"]}
        await talker.say(what="complete", text="stop da", number=8)
        assert (await talker.next())["words"] == ["data"]


async def test_what_is_shown_is_text_without_what_a_terminal_obeys(tmp_path: Path) -> None:
    async with town(tmp_path) as one, one.talker() as talker:
        said = await talker.line("shout")
        assert "<b>loud</b>" in said
        assert "\x1b" not in said
    assert msgspec.json.decode(text("a\x1b[31mb\x1b]0;x\x07c\r\x00\td\n\ud800")) == {
        "what": "text",
        "text": "abc\td\n?",
    }


# ---- what ends it ----


async def test_leaving_or_a_session_that_lapses_ends_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path) as one:
        async with one.talker() as talker:
            await talker.say(what="line", text="stand-still")
            await one.application.stands.wait()  # type: ignore[attr-defined]
            assert (await one.client.post("/leave")).status == 200
            assert await talker.end() == (4401, "the session has ended")
        await one.empty()
        monkeypatch.setattr(sessions, "IDLE", 0.01)
        for longest in (24 * 3600, 0.005):
            monkeypatch.setattr(sessions, "LONGEST", longest)
            one.client.cookies = {f"ropewalk-{one.client.port}": await one.served.app.sessions.begin()}
            async with one.talker() as talker:
                one.served.clock.seconds += 1
                assert await talker.end() == (4401, "the session has ended")


async def test_who_types_is_not_silent(tmp_path: Path) -> None:
    async with town(tmp_path) as one, one.talker() as talker:
        session = next(iter(one.served.app.sessions._held.values()))
        before = session.idle
        one.served.clock.seconds += 100
        await talker.line("uptime")
        assert session.idle == before + 100
        assert session.until - one.served.clock() < 24 * 3600 - 99, "a day and a night it is nevertheless"


async def test_it_ends_with_quit_with_the_console_and_when_nothing_is_typed(tmp_path: Path) -> None:
    async with town(tmp_path) as one:
        async with one.talker() as talker:
            await talker.say(what="line", text="quit")
            assert await talker.end() == (1000, "the conversation has ended")
        async with one.talker() as talker:
            stopping = asyncio.create_task(one.application.control.stop("console"))
            assert await talker.end() == (1000, "the conversation has ended: stopped")
            assert "good-bye" in talker.said
            await stopping
        assert "No console of this process is up" in (await one.client.get("/process/console")).text
        await one.application.control.start("console")
        async with one.talker() as talker:
            assert "town: for" in await talker.line("uptime")
    async with town(tmp_path / "quick", idle=0.05) as one, one.socket() as socket:
        assert await Talker(socket).end() == (1000, "the conversation has ended: idle")


async def test_who_goes_away_stops_what_they_began(tmp_path: Path, audit: list[dict[str, str]]) -> None:
    async with town(tmp_path) as one:
        async with one.talker() as talker:
            await talker.say(what="line", text="stand-still")
            await one.application.stands.wait()  # type: ignore[attr-defined]
        await one.empty()
        assert [line["outcome"] for line in audit if line["line"] == "stand-still"] == ["interrupted"]


# ---- who means harm ----


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("", 1008),
        ("junk", 1008),
        ("[]", 1008),
        ('{"what":"python"}', 1008),
        ('{"what":"line"}', 1008),
        ('{"what":"line","text":"a\\nb"}', 1008),
        ('{"what":"line","text":"\\u0003"}', 1008),
        ('{"what":"columns","number":100000}', 1008),
        ("[" * LONGEST_MESSAGE, 1008),
        ("x" * (LONGEST_MESSAGE + 1), 1009),
        (b'{"what":"interrupt"}', 1003),
    ],
)
async def test_junk_closes_it_with_a_reason(tmp_path: Path, sent: str | bytes, code: int) -> None:
    async with town(tmp_path) as one:
        async with one.talker() as talker:
            await talker.socket.send(sent)
            closed, reason = await talker.end()
            assert closed == code
            assert reason.startswith("a message")
        await one.empty()


async def test_a_huge_line_is_dropped_and_a_huge_message_closes(tmp_path: Path) -> None:
    async with town(tmp_path) as one:
        async with one.talker() as talker:
            assert "more than 4096 characters" in await talker.line("x" * 5000)
            assert "town: for" in await talker.line("uptime")
        async with one.socket() as socket:
            await socket.send("x" * (2 << 20))  # the web server's own bound
            assert (await Talker(socket).end())[0] == 1009


async def test_a_flood_is_cut_off_and_nobody_else_is_harmed(tmp_path: Path) -> None:
    async with town(tmp_path) as one, one.talker() as other:
        async with one.talker() as talker:
            with suppress(ConnectionClosed):
                for _ in range(100 * BURST):  # so that it is a flood on a slow machine, too
                    await talker.say(what="interrupt")
            assert await talker.end() == (1008, "more than 100 messages at once, or 20 a second")
        async with one.talker() as talker:
            await talker.say(what="line", text="stand-still")
            await one.application.stands.wait()  # type: ignore[attr-defined]
            for _ in range(6):
                await talker.say(what="line", text="x" * 4000)
            assert await talker.end() == (1008, "more was typed ahead than is kept")
        assert "town: for" in await other.line("uptime")


async def test_who_reads_nothing_is_cut_off_within_bounds(tmp_path: Path) -> None:
    async with town(tmp_path, limits=Limits(untaken=2.0)) as one:
        async with one.socket() as socket:
            socket.transport.pause_reading()
            for _ in range(80):  # each answer is more than a megabyte
                await socket.send(msgspec.json.encode({"what": "line", "text": "shout --much 1500"}).decode())
            await one.empty()
            socket.transport.resume_reading()
            talker = Talker(socket)
            assert (await talker.end())[0] in (1008, 1006)
            assert len(talker.said) < 32 << 20, "of a hundred: what the sockets of this machine take, and a little"
        async with one.talker() as talker:
            assert len(await talker.line("shout --much 1500")) > 1 << 20, "who reads gets such an answer whole"


async def test_a_hundred_connections_get_as_many_consoles_as_there_may_be(tmp_path: Path) -> None:
    async with town(tmp_path) as one:
        ends = []

        async def come(there: asyncio.Event) -> None:
            async with one.socket() as socket:
                talker = Talker(socket)
                try:
                    await talker.ready()
                except ConnectionClosed:
                    ends.append(await talker.end())
                    return
                finally:
                    came.release()
                await there.wait()

        came, gone = asyncio.Semaphore(0), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(come(gone))
            for _ in range(100):
                await came.acquire()
            assert len(one.application.control.presence.all()) == MOST
            gone.set()
        assert ends == [(1013, "too many consoles now")] * (100 - MOST)
        await one.empty()
        async with one.talker() as talker:
            assert "town: for" in await talker.line("uptime")


async def test_who_asks_for_a_line_once_nobody_is_there_takes_nothing_back(tmp_path: Path) -> None:
    """As a conversation does whose command was interrupted while the page went away."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    carrying = Carrying(receive, send, Channel(True, ""), Limits(), lambda: None)
    carrying.terminal.write("town> ")
    carrying.prompted()
    telling = asyncio.create_task(carrying.tell())
    await carrying.drain()
    await carrying.hear()
    carrying.prompted()
    await carrying.hang_up()
    carrying.prompted()
    telling.cancel()
    assert [msgspec.json.decode(one["text"])["what"] for one in sent] == ["prompt"] * len(sent)


def test_messages_that_were_agreed() -> None:
    assert heard('{"what":"line","text":"a\\tb","later":1}') == Line("a\tb")
    assert heard('{"what":"interrupt"}') == Interrupt()
    assert heard('{"what":"complete","text":"","number":0}') == Complete("", 0)
    assert heard('{"what":"columns","number":80}') == Columns(80)


@given(
    st.text() | st.dictionaries(st.text(), st.text() | st.integers()).map(lambda one: msgspec.json.encode(one).decode())
)
def test_other_messages_are_refused(message: str) -> None:
    with pytest.raises(BadMessage):
        heard(message)


# ---- in a browser ----


async def test_in_a_browser(tmp_path: Path) -> None:
    expect = pytest.importorskip("playwright.async_api").expect
    async with town(tmp_path) as one, chromium(one.served) as window:
        page = window.page
        await page.goto(f"{window.url}/process/console")
        said, line = page.get_by_role("log"), page.get_by_label("A line for the console")
        await page.get_by_text("`help` helps").wait_for()
        await line.fill("services")
        await line.press("Enter")
        await said.get_by_text("FAILURES").wait_for()
        await line.fill("uptim")
        await line.press("Tab")
        await expect(line).to_have_value("uptime ")
        await line.press("Enter")
        await said.get_by_text("town: for").wait_for()
        await line.press("ArrowUp")
        assert await line.input_value() == "uptime "
        await line.press("ArrowUp")
        assert await line.input_value() == "services"
        await line.press("ArrowDown")
        await line.press("ArrowDown")
        assert await line.input_value() == ""
        await line.press("Tab")
        assert not await line.evaluate("one => one === document.activeElement"), "an empty field is left by Tab"
        await line.fill("st")
        await line.press("Tab")
        await said.get_by_text("stand-still  start  stop").wait_for()
        await line.press("Escape")
        await line.press("Tab")
        assert not await line.evaluate("one => one === document.activeElement"), "so is one with text, after Escape"
        await line.fill("stand-still")
        await line.press("Enter")
        await one.application.stands.wait()  # type: ignore[attr-defined]
        await page.get_by_role("button", name="Stop").click()
        await said.get_by_text("interrupted").wait_for()
        await line.fill("stand-still")
        await line.press("Enter")
        await page.get_by_text("Something runs.").wait_for()
        await line.press("Control+c")
        await expect(page.locator(".said .mine")).to_have_count(4)
        await page.get_by_text("Something runs.").wait_for(state="hidden")
        await line.fill("shout --much 1999")
        await line.press("Enter")
        await line.fill("shout")
        await line.press("Enter")
        await expect(page.locator(".said > div")).to_have_count(2000)
        assert await page.locator(".said b").count() == 0, "what is said is text"
        assert window.complaints == []
        await page.get_by_role("button", name="Leave").click()
        await one.empty()
        await page.goto(f"{window.url}/process/console")
        assert await page.locator("#console").count() == 0


@pytest.fixture
def audit() -> Any:
    """What is audited, in order."""
    logger, handler = logging.getLogger(LOGGER), Audit()
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)
