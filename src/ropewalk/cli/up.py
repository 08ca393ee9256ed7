"""`ropewalk up`: the node of this machine and the upkeep of the user's spaces, in one process, until it is stopped.

Flow: node.toml, settings, device keys -> an application of services -> signals, log
Never: runs twice for one home.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.output import Voice, count
from ropewalk.cli.reach import node_file, reached
from ropewalk.cli.session import device_keys
from ropewalk.errors import Misuse
from ropewalk.net.metrics_page import MetricsService
from ropewalk.net.serving import ServingConfig
from ropewalk.node import LISTEN, NodeConfig, NodeService, Passports, Upkeep, UpkeepService, listening
from ropewalk.node.running import NodeRunning
from ropewalk.service import Application, Context, LogSettings, NoConfig, Plan, Settings, serve_made
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys

__all__ = ["up"]

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
    no_spaces: Annotated[
        bool, Parameter(name="--no-spaces", negative="", help="Only the node; the keys of this machine are not needed.")
    ] = False,
    common: Keyed = KEYED,
) -> int:
    """Run the node of this machine, and look after your spaces: pay what stores are owed, beat, watch.

    It goes on until SIGTERM or ^C. What `ropewalk node`, `store` and `space` change counts at once.
    """
    home = Home.of_user()
    settings = node_file(home).load()
    urls = tuple(listen or settings.listen or (LISTEN,))
    config = NodeConfig(listen=urls, home="")
    page = ServingConfig(listen=metrics or settings.metrics) if metrics or settings.metrics else None
    spaces = home.load().spaces  # what is wrong with them is told before anything starts
    if listening(home.state) is not None:
        raise NodeRunning("this machine's node runs already", hint="one is enough: it takes new settings by itself")
    device: DeviceKeys | None = None
    if not no_spaces and home.has_keys:
        device = device_keys(home, common)
    elif not no_spaces and spaces:
        raise Misuse("this device has no keys to open its spaces with", hint="`ropewalk init`, or up --no-spaces")
    if device is None and common.voice.for_people:
        common.voice.note("spaces are not looked after")

    def make() -> Application:
        return Application("ropewalk", _plans(config, page, home, device), deadline=DEADLINE)

    async def told(application: Application) -> None:
        await application.wait_up()
        _tell(home, common.voice)

    serve_made(make, Settings(deadline=DEADLINE), LogSettings(), told)
    return 0


def _plans(config: NodeConfig, page: ServingConfig | None, home: Home, device: DeviceKeys | None) -> Sequence[Plan]:
    plans = [Plan("node", NodeService, config, critical=True)]
    if device is not None:
        keys = device

        def upkeep(_: NoConfig, context: Context) -> UpkeepService:
            return UpkeepService(Upkeep(home, keys), Passports(home, keys), context)

        plans.append(Plan("spaces", upkeep, NoConfig()))
    if page is not None:
        plans.append(Plan("metrics", MetricsService, page))
    return plans


def _tell(home: Home, voice: Voice) -> None:
    near = reached(home)
    offers = sorted(node_file(home).load().offers)
    spaces = sorted(home.load().spaces)
    voice.answer(
        [*near.addresses, f"{count(len(offers), 'offer')}, {count(len(spaces), 'space')}; ^C ends it"],
        {"key": near.key, "addresses": list(near.addresses), "offers": offers, "spaces": spaces},
    )
    sys.stdout.flush()
