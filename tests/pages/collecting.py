"""What tests of collected numbers share: a real collector with two real processes, one that lies, and pages over them.

Flow: applications that push -> an application with a collector -> Collected -> pages -> a browser made by hand
Never: opens a port.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from ropewalk import net
from ropewalk.auth import Accounts
from ropewalk.metrics import Registry
from ropewalk.pages.panel import Collected, Panel
from ropewalk.service import Application, Context, application_of, parse
from tests.pages.browser import Client, served

WITHIN = 60.0  # seconds for what takes some tenths of one
COLLECTOR = """\
[services.collector]
kind = "collector"
listen = "memory://intake-{name}"
page = "memory://page-{name}"
[[services.collector.alerts]]
name = "<b>pushing</b>"
metric = "ropewalk_service_up"
compare = ">"
threshold = 0
"""
PUSHING = """\
[services.push]
kind = "push"
to = "memory://intake-{name}"
token_file = "{source}.token"
source = "{source}"
every = 0.05
"""


@asynccontextmanager
async def running(application: Application) -> AsyncIterator[Application]:
    """While it runs."""
    async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
        group.create_task(application.run())
        await application.wait_up()
        try:
            yield application
        finally:
            application.stop()


def collector(folder: Path, *sources: str) -> Application:
    """One that takes numbers of these; its page is `page_of` the folder."""
    accounts = Accounts(folder / "accounts.db")
    for source in sources:
        if not (token := folder / f"{source}.token").exists():
            accounts.add(source)
            token.write_text(accounts.add_token(source) + "\n")
    return application_of(parse(COLLECTOR.format(name=folder.name), folder=folder))


def page_of(folder: Path) -> str:
    return f"memory://page-{folder.name}"


def pushing(folder: Path, source: str) -> Application:
    """An application that does nothing else."""
    return application_of(parse(PUSHING.format(name=folder.name, source=source), folder=folder))


def collected(url: str, **options: object) -> Collected:
    """What asks there; it looks when it is told."""
    return Collected(url, Context("collected", "test", Registry()), **options)  # type: ignore[arg-type]


@asynccontextmanager
async def browser(folder: Path, others: Collected | None) -> AsyncIterator[Client]:
    """Somebody in front of the panel of a process that keeps no numbers itself."""
    async with running(Application("town", [])) as town:
        panel = Panel(town.control, "pages", None, others)
        async with served(folder, panel=panel) as pages:
            yield await pages.client()


@asynccontextmanager
async def liar(
    url: str, answer: Callable[[str], bytes], *, endless: bytes = b"", stays: bool = False
) -> AsyncIterator[list[str]]:
    """A server that answers a path with whatever bytes; the paths it was asked for.

    Then it hangs up, goes on for ever, or ``stays``; as it does where it has nothing to say.
    """
    asked: list[str] = []

    class Lying(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport = cast("asyncio.Transport", transport)
            self._going = asyncio.get_running_loop().call_soon(lambda: None)

        def data_received(self, data: bytes) -> None:
            target = data.split(b" ")[1].decode()
            asked.append(target)
            said = answer(target.partition("?")[0])
            if said:
                self._transport.write(said)
            if endless:
                self._go_on()
            elif said and not stays:
                self._transport.close()

        def _go_on(self) -> None:
            if not self._transport.is_closing():
                self._transport.write(endless)
                self._going = asyncio.get_running_loop().call_soon(self._go_on)

        def connection_lost(self, exc: Exception | None) -> None:
            self._going.cancel()

    async with asyncio.timeout(WITHIN), await net.listen(url, Lying):
        yield asked


def page(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    """An answer of HTTP."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def texts(html: str) -> str:
    """What people read of a page."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())
