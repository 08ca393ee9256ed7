"""Services: the collector, its page and the agent, as parts of an application.

Flow: configuration -> CollectorService: agents come in by `listen`, people and panels ask at `page`
      configuration -> PushService: this application's own counts go to a collector
Never: takes numbers of a source whose token it does not know, or sends a token where others can read it.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ropewalk.auth import Accounts
from ropewalk.collector.agent import Agent, NotPrivate
from ropewalk.collector.alerts import Alerts, BadRule, Rule
from ropewalk.collector.collector import Collector
from ropewalk.collector.history import History, Retention
from ropewalk.collector.queries import Queries
from ropewalk.collector.wire import Source
from ropewalk.errors import Misuse
from ropewalk.metrics.page import Pages
from ropewalk.net import Endpoint, Listener, connect, listen
from ropewalk.net.connect import check_reachable
from ropewalk.net.connection import Connection
from ropewalk.net.serving import Serving, ServingConfig, listening, of_key, within
from ropewalk.service import Context, Service

__all__ = ["CollectorConfig", "CollectorService", "PushConfig", "PushService"]

_PRIVATE = frozenset({"unix", "memory"})  # carriers within this machine
_INHERITED = frozenset({"fd", "systemd"})  # what they carry is known once they are listened on

Positive = Annotated[float, msgspec.Meta(gt=0)]


class NoToken(Misuse):
    """The file that should have the agent's token has none."""

    code = "collector.no-token"


class RuleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of ``alerts``; see `Rule`."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    metric: str
    compare: Literal[">", ">=", "<", "<="]
    threshold: float
    labels: dict[str, str] = {}
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    clear: float | None = None

    def __post_init__(self) -> None:
        """It can work."""
        try:
            self.rule()
        except BadRule as error:
            raise ValueError(str(error)) from None  # to which is added where in the list it stands

    def rule(self) -> Rule:
        """The rule that a collector takes."""
        return Rule(**msgspec.structs.asdict(self))


class CollectorConfig(ServingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys of kind ``collector``.

    Attributes:
        history: The SQLite file.
        accounts: The accounts whose tokens let a source of the same name in; see `ropewalk account token`.
        page: Where queries are answered, by whoever reaches it; nothing listens without it.
        keep_days, keep_minutes_days, keep_hours_days: How long numbers are kept as they came, by minute, by hour.
        most_bytes: What the file may grow to.
        alerts: When to raise one.
    """

    history: str = "metrics.db"
    accounts: str = "accounts.db"
    page: str = ""
    keep_days: Positive = 2
    keep_minutes_days: Positive = 30
    keep_hours_days: Positive = 730
    most_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 2 << 30
    alerts: tuple[RuleConfig, ...] = ()

    def __post_init__(self) -> None:
        """Agents' tokens come in by private ways only, and page and alerts can be."""
        super().__post_init__()
        with of_key("listen"):
            for url in self.urls:
                _check_intake(Endpoint.parse(url))
        if self.page:
            with of_key("page"):
                listening(self.page)
        with of_key("alerts"):
            Alerts(rule.rule() for rule in self.alerts)


class CollectorService(Serving):
    """Kind ``collector``."""

    Config = CollectorConfig
    _collector: Collector
    _page: Listener | None = None

    def __init__(self, config: CollectorConfig, context: Context) -> None:
        super().__init__(config, context)
        self._told = config
        self._rules = [rule.rule() for rule in config.alerts]

    async def start(self) -> None:
        """Open the history, then listen for agents and for those who ask."""
        told, folder, day = self._told, self.context.folder, 86_400.0
        retention = Retention(
            told.keep_days * day, told.keep_minutes_days * day, told.keep_hours_days * day, told.most_bytes
        )
        history = await self.owned.enter_async_context(History(folder / told.history, retention))
        accounts = Accounts(folder / told.accounts)

        async def known(source: str, token: str) -> bool:
            bearer = await asyncio.to_thread(accounts.bearer_of, token)
            return bearer is not None and bearer[0] == source

        self._collector = await self.owned.enter_async_context(
            Collector(history, known, rules=self._rules, registry=self.context.registry)
        )
        if told.page:
            pages = await self.owned.enter_async_context(Pages(Queries(self._collector).answer))
            endpoint = within(self.context, Endpoint.parse(told.page))
            self._page = await listen(endpoint, pages.protocol, name=f"{self.name}/page")
            await self.owned.enter_async_context(self._page)
        await super().start()
        for listener in self.listeners:
            _check_intake(listener.endpoint)

    async def run(self) -> None:
        """Judge and tidy up."""
        await self._collector.run()

    def peers(self) -> list[Connection]:
        """Agents, and who asks."""
        return [*super().peers(), *(self._page.peers() if self._page is not None else ())]

    def protocol(self) -> asyncio.BaseProtocol:
        """What an agent speaks with."""
        return self._collector.protocol()


class PushConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of kind ``push``.

    Attributes:
        to: The collector's endpoint, by which nobody else can read along: tls, wss, unix, memory.
        token_file: Its first line is the token, from `ropewalk account token`.
        source: What this process is called there; the name of the token's account.
        every: Seconds between pushes.
    """

    to: str
    token_file: str
    source: Source
    every: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 10.0

    def __post_init__(self) -> None:
        """The token would be sent to nobody but the collector."""
        with of_key("to"):
            endpoint = Endpoint.parse(self.to)
            check_reachable(endpoint)
            if "tls" not in endpoint.layers and endpoint.carrier not in _PRIVATE:
                raise NotPrivate(f"a token is not sent to {endpoint.place}", hint="use tls://, wss:// or unix://")


class PushService(Service):
    """Kind ``push``."""

    Config = PushConfig

    def __init__(self, config: PushConfig, context: Context) -> None:
        super().__init__(config, context)
        self._told = config
        self._to = within(context, Endpoint.parse(config.to))

    async def run(self) -> None:
        """Push for as long as it is up."""
        token = await asyncio.to_thread(_first_line, self.context.folder / self._told.token_file)

        async def connected(
            factory: Callable[[], asyncio.Protocol],
        ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
            return await connect(self._to, factory)

        registry, every = self.context.registry, self._told.every
        await Agent(connected, self._told.source, token, registry=registry, every=every).run()


def _check_intake(endpoint: Endpoint) -> None:
    """Refuse to have tokens come in where others can read along.

    Raises:
        NotPrivate.
    """
    if "tls" in endpoint.layers or endpoint.carrier in _PRIVATE | _INHERITED or _is_loopback(endpoint):
        return
    raise NotPrivate(
        f"tokens of agents would come in over {endpoint.place}, which others can read",
        hint="use tls://, wss:// or unix://; or listen on 127.0.0.1, behind something that ends TLS on this machine",
    )


def _is_loopback(endpoint: Endpoint) -> bool:
    if endpoint.carrier != "tcp":
        return False
    try:
        return ipaddress.ip_address(endpoint.host.partition("%")[0]).is_loopback
    except ValueError:
        return endpoint.host == "localhost"


def _first_line(path: Path) -> str:
    try:
        line = path.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoToken(f"{path} cannot be read: {error}") from None
    if not line:
        raise NoToken(f"{path} has no token in its first line", hint="`ropewalk account token` makes one")
    return line
