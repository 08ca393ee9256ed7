"""Service: the pages of spaces as a part of an application, such as `ropewalk up`.

Flow: configuration, open spaces -> SpacePages -> Site on each endpoint; the address -> the file that lets the owner in
Never: opens a space, or lets in over an address that others can reach but by a portal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ropewalk.auth import Portal
from ropewalk.net.listener import Listener
from ropewalk.net.serving import Serving, ServingConfig, of_key
from ropewalk.pages.app import SpacePages
from ropewalk.pages.hosts import Hosts
from ropewalk.pages.opened import Spaces
from ropewalk.pages.panel import Panel
from ropewalk.pages.space.invitations import Inviting
from ropewalk.service import Context
from ropewalk.web import Site
from ropewalk.web.protocol import Connection

__all__ = ["LISTEN", "PagesConfig", "PagesService"]

LISTEN = "tcp://127.0.0.1:8990"
_REQUESTS = 0.8  # of the seconds of a stop; what is left is for what the app owns
_LOCAL = frozenset({"127.0.0.1", "localhost", "0.0.0.0", "*"})  # noqa: S104 - by these 127.0.0.1 is reached


class PagesConfig(ServingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the pages are told.

    Attributes:
        names: By which they may be called over TLS, besides those of this machine.
        preview: The name for previews that goes with these.
    """

    listen: str | tuple[str, ...] = LISTEN
    names: tuple[str, ...] = ()
    preview: str | None = None

    def __post_init__(self) -> None:
        """The names are names."""
        super().__post_init__()
        with of_key("names"):
            self.hosts()

    def hosts(self) -> Hosts:
        """Who they answer to."""
        return Hosts(self.names, self.preview)


class PagesService(Serving):
    """The pages, while it is up.

    Args:
        config: Where to listen.
        context: Where it runs.
        spaces: What they show.
        folder: For the file that lets the owner in.
        portal: Lets others in.
        panel: Shows the process, too.
        inviting: What it takes to invite.

    Attributes:
        pages: The app.
        site: What serves it.
    """

    Config: type[msgspec.Struct] = PagesConfig
    config: PagesConfig
    site: Site

    def __init__(
        self,
        config: PagesConfig,
        context: Context,
        spaces: Spaces,
        folder: Path,
        portal: Portal | None = None,
        panel: Panel | None = None,
        inviting: Inviting | None = None,
    ) -> None:
        super().__init__(config, context)
        self.pages = SpacePages(spaces, folder, hosts=config.hosts(), portal=portal, panel=panel, inviting=inviting)

    async def start(self) -> None:
        """Listen."""
        site = Site(self.pages, name=self.name, registry=self.context.registry)
        self.site = await self.owned.enter_async_context(site)
        await super().start()

    async def run(self) -> None:
        """Let the owner in, where there is an endpoint for this machine; and invites wait."""
        await self.pages.work(self.address())

    def address(self) -> str | None:
        """What a browser on this machine calls; None where there is no such endpoint."""
        for listener in self.listeners:
            endpoint = listener.endpoint
            if not endpoint.layers and endpoint.carrier == "tcp" and endpoint.host in _LOCAL:
                return f"http://127.0.0.1:{endpoint.port}"
        return None

    def protocol(self) -> Connection:
        """One of HTTP."""
        return self.site.protocol()

    async def stop(self, seconds: float) -> None:
        """Take no more requests, and let those that run be answered."""
        self.site.stopping = True
        await super().stop(seconds * _REQUESTS)
        await self.site.stop(seconds * (1 - _REQUESTS))

    async def ask_to_end(self, listener: Listener, seconds: float) -> int:
        """Ask each connection in the way of what it speaks."""

        def ask(transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
            if not self.site.ask(protocol):
                transport.close()

        return await listener.drain(seconds, ask)

    def statistics(self) -> Mapping[str, float]:
        """How many are connected, and how many are in."""
        return {**super().statistics(), "sessions": len(self.pages.sessions)}
