"""Pages: those of a node, for a browser of this machine, as services of `ropewalk up`.

Flow: endpoint, the spaces that are kept open -> plans; once they are up -> where the file is that lets in, or a browser
Never: puts what lets somebody in on a command line.
"""

from __future__ import annotations

import asyncio
import os
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from ropewalk.cli.mailboxes import MAILBOX, invites_of, meeting_place
from ropewalk.cli.reach import meeting_near, node_file, offered_places
from ropewalk.console import ConsoleService, Operator, Right
from ropewalk.errors import RopewalkError
from ropewalk.net import Endpoint
from ropewalk.net.connect import check_reachable
from ropewalk.net.serving import listening, of_key
from ropewalk.node import LISTEN, NodeConfig, NodeSettings, UpkeepService
from ropewalk.pages import HeldSpaces
from ropewalk.pages.panel import Collected, Desk, Panel, Past, Subject
from ropewalk.pages.panel.editing import NotWritten
from ropewalk.pages.service import PagesConfig, PagesService
from ropewalk.pages.space.invitations import Inviting
from ropewalk.service import Application, Context, Control, NoConfig, Plan, Restart
from ropewalk.spaces.home import Home
from ropewalk.spaces.space import Space
from ropewalk.terminal import Host

__all__ = ["desk_of", "node_settings", "open_in_browser", "page_plans", "way_in"]

_NAME = "pages"
_HELD = 5.0  # seconds to wait for another process that changes node.toml


def page_plans(url: str, home: Home, *, spaces: str | None, collector: str = "") -> list[Plan]:
    """The pages, and what keeps figures for them.

    Args:
        url: Where they listen.
        spaces: The service that keeps spaces open; None where there is none.
        collector: The page of a collector that knows other processes, too; "" for none.
    """

    def past(_: NoConfig, context: Context) -> Past:
        return Past(home.state / "history.db", context)

    def collected(_: NoConfig, context: Context) -> Collected:
        return Collected(collector, context)

    def pages(config: PagesConfig, context: Context) -> PagesService:
        kept = context.services.get("past"), context.services.get(spaces or "")
        held = HeldSpaces(kept[1].upkeep.spaces if isinstance(kept[1], UpkeepService) else dict)
        past = kept[0] if isinstance(kept[0], Past) else None
        control = context.control
        found = context.services.get("collected")
        others = found if isinstance(found, Collected) else None
        panel = None
        if control is not None:
            settings = {"node": node_settings(home)}
            panel = Panel(control, _NAME, past, others, desk=desk_of(control, _NAME), settings=settings)
        return PagesService(config, context, held, home.state / "web", panel=panel, inviting=_inviting(home))

    needs = ("past", *([spaces] if spaces else []), *(["collected"] if collector else []))
    # The node is as good without either: what is wrong with them is in the log.
    return [
        Plan("past", past, NoConfig()),
        *([Plan("collected", collected, NoConfig())] if collector else []),
        Plan(_NAME, pages, PagesConfig(listen=url), needs=needs, restart=Restart.NEVER),
    ]


def node_settings(home: Home) -> Subject:
    """node.toml, of which offers and grants are for `ropewalk node`, and the rest for whoever starts `ropewalk up`."""
    file = node_file(home)

    def check(text: str) -> None:
        settings = file.read(text.encode())
        with of_key("listen"):
            for url in settings.listen:
                Endpoint.parse(url)
        NodeConfig(listen=settings.listen or (LISTEN,), home="")  # as `ropewalk up` does, which else does not start
        for key, url in (("metrics", settings.metrics), ("page", settings.page)):
            if url:
                with of_key(key):
                    listening(url)
        if settings.collector:
            with of_key("collector"):
                check_reachable(Endpoint.parse(settings.collector))

    def kind(text: str) -> type[NodeSettings]:
        file.read(text.encode())  # and no more: what else is wrong can be mended by the form
        return NodeSettings

    @contextmanager
    def guard() -> Iterator[None]:
        with ExitStack() as held:
            try:
                held.enter_context(file.locked(_HELD))
            except TimeoutError:
                why = f"{file.path} is being changed by another process, for more than {_HELD:g} seconds"
                raise NotWritten(why, hint="see which `ropewalk` runs, and save again") from None
            yield

    return Subject("node.toml", file.path, (), kind, check, ("format",), "format = 1\n", guard)


def desk_of(control: Control, by: str) -> Callable[[], Desk | None]:
    """The application's console for visitors who come by the pages: all but the Python prompt, as in the panel.

    Args:
        control: Of the application.
        by: The service of the pages, which is not stopped by mistake.
    """
    made: tuple[ConsoleService, Host] | None = None
    operator = Operator(frozenset({Right.LOOK, Right.ACT}))

    def desk() -> Desk | None:
        nonlocal made
        for one in control.live().values():
            if isinstance(one, ConsoleService):
                if made is None or made[0] is not one:  # it was restarted: its conversations have ended with it
                    made = one, one.host_of(by)
                return Desk(made[1], operator)
        return None

    return desk


def _inviting(home: Home) -> Inviting:
    """Invites of this home; they meet where those of `ropewalk invite` do."""

    @asynccontextmanager
    async def meeting(spaces: Sequence[Space]) -> AsyncIterator[tuple[Endpoint, Sequence[str]]]:
        url = os.environ.get(MAILBOX)
        async with meeting_place((url, [url]) if url else meeting_near(home, spaces)) as place:
            yield place

    return Inviting(home, invites_of(home), meeting, lambda: offered_places(home))


def way_in(application: Application) -> tuple[str, Path] | None:
    """Where the pages are, and the file that lets in; None where they are not up."""
    service = application.service(_NAME)
    if not isinstance(service, PagesService) or (address := service.address()) is None:
        return None
    return address, service.pages.entrance.file


async def open_in_browser(file: Path) -> bool:
    """Have the user's browser open the file that lets in; whether there is one."""
    try:
        async with asyncio.timeout(10):
            while not await asyncio.to_thread(file.exists):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
            return await asyncio.to_thread(webbrowser.open, file.as_uri())
    except (TimeoutError, OSError, RopewalkError, webbrowser.Error):
        return False
