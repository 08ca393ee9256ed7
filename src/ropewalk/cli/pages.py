"""Pages: those of a node, for a browser of this machine, as services of `ropewalk up`.

Flow: endpoint, the spaces that are kept open -> plans; once they are up -> where the file is that lets in, or a browser
Never: puts what lets somebody in on a command line.
"""

from __future__ import annotations

import asyncio
import webbrowser
from pathlib import Path

from ropewalk.errors import RopewalkError
from ropewalk.node import UpkeepService
from ropewalk.pages import HeldSpaces
from ropewalk.pages.panel import Panel, Past
from ropewalk.pages.service import PagesConfig, PagesService
from ropewalk.service import Application, Context, NoConfig, Plan, Restart
from ropewalk.spaces.home import Home

__all__ = ["open_in_browser", "page_plans", "way_in"]

_NAME = "pages"


def page_plans(url: str, home: Home, *, spaces: str | None) -> list[Plan]:
    """The pages, and what keeps figures for them.

    Args:
        url: Where they listen.
        spaces: The service that keeps spaces open; None where there is none.
    """

    def past(_: NoConfig, context: Context) -> Past:
        return Past(home.state / "history.db", context)

    def pages(config: PagesConfig, context: Context) -> PagesService:
        kept = context.services.get("past"), context.services.get(spaces or "")
        held = HeldSpaces(kept[1].upkeep.spaces if isinstance(kept[1], UpkeepService) else dict)
        past = kept[0] if isinstance(kept[0], Past) else None
        panel = Panel(context.control, _NAME, past) if context.control is not None else None
        return PagesService(config, context, held, home.state / "web", panel=panel)

    needs = ("past", *([spaces] if spaces else []))
    # The node is as good without either: what is wrong with them is in the log.
    return [
        Plan("past", past, NoConfig()),
        Plan(_NAME, pages, PagesConfig(listen=url), needs=needs, restart=Restart.NEVER),
    ]


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
