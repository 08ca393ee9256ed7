"""Service: an ASGI app, or several at their paths, as a part of an application.

Flow: configuration -> apps, trees -> Mounts, ByHost -> SecurityHeaders -> Site -> a connection each -> drained, ended
Never: serves before the app has said that it is ready.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec

from ropewalk.net.listener import Listener
from ropewalk.net.serving import Serving, ServingConfig, of_key
from ropewalk.service import Context
from ropewalk.service.kinds import imported
from ropewalk.web.body_limit import BodyLimit
from ropewalk.web.by_host import ByHost
from ropewalk.web.errors import BadApp
from ropewalk.web.headers import SecurityHeaders
from ropewalk.web.hosts import Hosts
from ropewalk.web.limits import WebLimitsConfig
from ropewalk.web.mounts import Mounts
from ropewalk.web.protocol import Connection
from ropewalk.web.quick import App
from ropewalk.web.site import Site

if TYPE_CHECKING:
    from ropewalk.web.static import TreeConfig

__all__ = ["MountConfig", "NameConfig", "WebConfig", "WebService"]

_REQUESTS = 0.8  # of the seconds of a stop; what is left is for the app's own end

Count = Annotated[int, msgspec.Meta(ge=0)]


class MountConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``mounts."/path"`` of a service: an app or a folder.

    Attributes:
        app: ``package.module:name`` of an ASGI app.
        factory: It is a function that gives the app, called with the service's `Context`.
        tree: A folder.
        options: Of the folder; see `TreeConfig`.
        body: Bytes of a request's body that this app takes, instead of the site's.
    """

    app: str = ""
    factory: bool = False
    tree: str = ""
    options: dict[str, Any] = {}
    body: Count | None = None

    def __post_init__(self) -> None:
        """Find here what can be found without starting."""
        if bool(self.app) == bool(self.tree):
            raise BadApp("a mount has an app and a tree, or none of them, expected one")
        if self.options and not self.tree:
            raise BadApp("options: they are for a tree, and this mount has none")
        if self.app:
            with of_key("app"):
                _found(self.app)
        else:
            with of_key("options"):
                self.tree_config()

    def tree_config(self) -> TreeConfig:
        """What `options` say."""
        from ropewalk.web.static import TreeConfig

        try:
            return msgspec.convert(self.options, TreeConfig)
        except msgspec.ValidationError as error:
            raise BadApp(str(error)) from None


class NameConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``names."www.example.org"`` of a service: what is served by this name alone, with the same keys as there."""

    app: str = ""
    factory: bool = False
    mounts: dict[str, MountConfig] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """The apps are there."""
        _check(self)


class WebConfig(ServingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys of kind ``web``.

    Attributes:
        app: ``package.module:name`` of an ASGI app, for all paths that no mount has.
        factory: It is a function that gives the app, called with the service's `Context`; may be as a coroutine.
        mounts: Apps and folders by the path where they begin.
        names: Other apps by the name that a request is for, instead of these; see `ByHost`.
        web_limits: What a peer may take, beside the limits of the listener.
        hosts: Names that requests may be for; all, where there are none.
        access_log: One line for each request.
        security_headers: Each answer has them, where it does not say otherwise.
        policy: The content security policy among them.
    """

    app: str = ""
    factory: bool = False
    mounts: dict[str, MountConfig] = msgspec.field(default_factory=dict)
    names: dict[str, NameConfig] = msgspec.field(default_factory=dict)
    web_limits: WebLimitsConfig = WebLimitsConfig()
    hosts: tuple[str, ...] = ()
    access_log: bool = False
    security_headers: bool = True
    policy: str = ""

    def __post_init__(self) -> None:
        """The apps are there, and the names are names."""
        super().__post_init__()
        with of_key("hosts"):
            Hosts(self.hosts)
        if not self.names:
            _check(self)
            return
        with of_key("names"):
            ByHost(dict.fromkeys(self.names, _nothing))
            if self.app or self.mounts or self.hosts:
                raise BadApp("there are app, mounts or hosts beside them, expected those in each name alone")


class WebService(Serving):
    """Kind ``web``.

    Attributes:
        site: While it is up.
    """

    Config = WebConfig
    config: WebConfig
    site: Site

    def __init__(self, config: WebConfig, context: Context) -> None:
        super().__init__(config, context)

    async def start(self) -> None:
        """Make the apps, start them, listen."""
        config = self.config
        self.site = await self.owned.enter_async_context(
            Site(
                await self._app(),
                name=self.name,
                limits=config.web_limits.limits(),
                hosts=config.hosts,
                log_requests=config.access_log,
                registry=self.context.registry,
            )
        )
        await super().start()

    async def run(self) -> None:
        """Until the app says that it cannot go on."""
        await self.site.broken()

    def protocol(self) -> Connection:
        """One of HTTP."""
        return self.site.protocol()

    async def stop(self, seconds: float) -> None:
        """Take no more requests, let those that run be answered, then have the app stop."""
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
        """How many are connected, and how many apps are at work."""
        return {**super().statistics(), "running": self.site.running, "websockets": self.site.sockets}

    async def _app(self) -> App:
        config = self.config
        app: App
        if config.names:
            app = ByHost({name: await self._one(one) for name, one in config.names.items()})
        else:
            app = await self._one(config)
        return SecurityHeaders(app, policy=config.policy or None) if config.security_headers else app

    async def _one(self, config: NameConfig | WebConfig) -> App:
        apps: dict[str, App] = {}
        if config.app:
            apps["/"] = await self._made(config.app, factory=config.factory)
        for path, mount in config.mounts.items():
            app = await self._mounted(mount)
            apps[path] = app if mount.body is None else BodyLimit(app, mount.body)
        return apps["/"] if set(apps) == {"/"} else Mounts(apps)

    async def _mounted(self, mount: MountConfig) -> App:
        if mount.app:
            return await self._made(mount.app, factory=mount.factory)
        from ropewalk.web.static import Tree

        return Tree(self.context.folder / mount.tree, mount.tree_config(), registry=self.context.registry)

    async def _made(self, where: str, *, factory: bool) -> App:
        found = _found(where)
        if not factory:
            return cast("App", found)
        made = found(self.context)
        if inspect.isawaitable(made):
            made = await made
        if not callable(made):
            raise BadApp(f"{where} gave a {type(made).__name__}, expected an ASGI app")
        return cast("App", made)


def _found(where: str) -> Callable[..., Any]:
    found = imported(where, BadApp)
    if not callable(found):
        raise BadApp(f"{where} cannot be called, expected an ASGI app or what makes one")
    return cast("Callable[..., Any]", found)


def _check(config: NameConfig | WebConfig) -> None:
    """Whether there is something to serve, and no path has two of it."""
    if not config.app and not config.mounts:
        raise BadApp("there is nothing to serve, expected app or mounts")
    if config.app:
        with of_key("app"):
            _found(config.app)
    with of_key("mounts"):
        Mounts(dict.fromkeys((*config.mounts, *(["/"] if config.app else [])), _nothing))
        if config.app and not {"", "/"}.isdisjoint(config.mounts):
            raise BadApp('"/" is taken by app')


async def _nothing(scope: object, receive: object, send: object) -> None:
    """Stands for an app where only its path is looked at."""
