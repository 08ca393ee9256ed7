"""`ropewalk up`: the node of this machine and the upkeep of the user's spaces, in one process, until it is stopped.

Flow: node.toml, settings, device keys -> an application of services -> signals, log
Never: runs twice for one home.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.output import Voice, count
from ropewalk.cli.reach import node_file, reached
from ropewalk.cli.session import device_keys
from ropewalk.console import ConsoleConfig, ConsoleService
from ropewalk.console.place import socket_of
from ropewalk.errors import Misuse
from ropewalk.net import Endpoint
from ropewalk.net.connect import check_reachable
from ropewalk.net.metrics_page import MetricsService
from ropewalk.net.serving import ServingConfig
from ropewalk.node import LISTEN, NodeConfig, NodeService, Passports, Upkeep, UpkeepService, listening
from ropewalk.node.running import Claim, NodeRunning
from ropewalk.service import Application, Context, LogSettings, NoConfig, Plan, Restart, Settings, serve_made
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys

__all__ = ["up"]

PAGE = "tcp://127.0.0.1:8990"
UP_LOCK = "up.lock"
DEADLINE = 20.0  # seconds in which all must be down: what stores were asked for may take as long


def up(
    *,
    listen: Annotated[
        list[str] | None,
        Parameter(metavar="URL", help=f"Where the node listens; by default as node.toml says, else {LISTEN}."),
    ] = None,
    metrics: Annotated[
        str | None,
        Parameter(metavar="URL", help="A page of metrics, such as tcp://127.0.0.1:9464; else as node.toml says."),
    ] = None,
    page: Annotated[
        str | None,
        Parameter(metavar="URL", help=f"Pages for a browser of this machine, such as {PAGE}; else as node.toml says."),
    ] = None,
    collector: Annotated[
        str | None,
        Parameter(
            metavar="URL",
            help="The `page` of a collector: the pages then show its processes, too; else as node.toml says.",
        ),
    ] = None,
    browser: Annotated[bool, Parameter(negative="", help="Open the pages in a browser.")] = False,
    new: Annotated[
        bool,
        Parameter(
            negative="", help="First make what is not there yet: keys, and a space over three folders of this machine."
        ),
    ] = False,
    yes: Annotated[
        bool,
        Parameter(
            name=("--yes", "-y"), negative="", help="Do not ask whether the words of a new key were written down."
        ),
    ] = False,
    no_spaces: Annotated[
        bool, Parameter(name="--no-spaces", negative="", help="Only the node; the keys of this machine are not needed.")
    ] = False,
    no_console: Annotated[
        bool, Parameter(name="--no-console", negative="", help="No socket for `ropewalk console`.")
    ] = False,
    common: Keyed = KEYED,
) -> int:
    """Run the node of this machine, and look after your spaces: pay what stores are owed, beat, watch.

    It goes on until SIGTERM or ^C. What `ropewalk node`, `store` and `space` change counts at once; `ropewalk console`
    looks at it meanwhile.
    """
    home = Home.of_user()
    settings = node_file(home).load()
    urls = tuple(listen or settings.listen or (LISTEN,))
    config = NodeConfig(listen=urls, home="")
    counts = ServingConfig(listen=metrics or settings.metrics) if metrics or settings.metrics else None
    shown = page or settings.page or (PAGE if browser else "")
    others = collector or settings.collector
    if collector and not shown:
        raise Misuse("--collector is for the pages, and there are none", hint="give --page, too")
    if others:
        check_reachable(Endpoint.parse(others))  # what is wrong with it is told before anything starts
    if new:
        from ropewalk.cli.first import first

        first(home, common, yes=yes)
    spaces = home.load().spaces  # what is wrong with them is told before anything starts
    if listening(home.state) is not None:
        raise NodeRunning("this machine's node runs already", hint="one is enough: it takes new settings by itself")
    claim = Claim(home.state, UP_LOCK)  # for as long as this process lives: an operator may stop the node alone
    claim.take()
    device: DeviceKeys | None = None
    if not no_spaces and home.has_keys:
        device = device_keys(home, common)
    elif not no_spaces and spaces:
        raise Misuse("this device has no keys to open its spaces with", hint="`ropewalk init`, or up --no-spaces")
    if device is None and common.voice.for_people:
        common.voice.note("spaces are not looked after")

    def make() -> Application:
        plans = [*_plans(config, counts, home, device), *([] if no_console else [_console(home)])]
        if shown:
            from ropewalk.cli.pages import page_plans  # a fifth of a second, and memory, for those who want pages

            plans += page_plans(shown, home, spaces="spaces" if device is not None else None, collector=others)
        return Application("ropewalk", plans, deadline=DEADLINE)

    async def told(application: Application) -> None:
        await application.wait_up()
        page = None
        if shown:
            from ropewalk.cli.pages import way_in

            page = way_in(application)
        await _tell(home, common.voice, page, browser=browser, asked=bool(shown))

    try:
        serve_made(make, Settings(deadline=DEADLINE), LogSettings(), told)
    finally:
        claim.leave()
    return 0


def _plans(config: NodeConfig, counts: ServingConfig | None, home: Home, device: DeviceKeys | None) -> Sequence[Plan]:
    plans = [Plan("node", NodeService, config, critical=True)]
    if device is not None:
        keys = device

        def upkeep(_: NoConfig, context: Context) -> UpkeepService:
            return UpkeepService(Upkeep(home, keys), Passports(home, keys), context)

        plans.append(Plan("spaces", upkeep, NoConfig()))
    if counts is not None:
        plans.append(Plan("metrics", MetricsService, counts))
    return plans


def _console(home: Home) -> Plan:
    # Without one the node is as good, and nothing is to wait for it.
    return Plan("console", ConsoleService, ConsoleConfig(str(socket_of(home.state))), restart=Restart.NEVER)


async def _tell(home: Home, voice: Voice, page: tuple[str, Path] | None, *, browser: bool, asked: bool) -> None:
    near = reached(home)
    offers = sorted(node_file(home).load().offers)
    spaces = sorted(home.load().spaces)
    lines = [*near.addresses, f"{count(len(offers), 'offer')}, {count(len(spaces), 'space')}; ^C ends it"]
    fields = {"key": near.key, "addresses": list(near.addresses), "offers": offers, "spaces": spaces}
    if page is not None:
        url, file = page
        lines.insert(-1, f"page: {url}, by {file.as_uri()}")
        fields |= {"page": url, "opens": str(file)}
    voice.answer(lines, fields)
    sys.stdout.flush()
    if page is None and asked:
        voice.warning("the pages are not up: the log says why")
    if page is not None and browser:
        from ropewalk.cli.pages import open_in_browser

        if not await open_in_browser(page[1]):
            voice.note(f"no browser was found: open {page[1].as_uri()} in one")
