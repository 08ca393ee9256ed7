"""Serving: protocols as services of an application: where to listen and what to allow comes from its configuration.

Flow: configuration -> Serving.start: a listener for each URL -> protocol() for each connection -> stop: drained
Never: knows what the protocol does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, cast

import msgspec

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.net.certificates import Certificates, check_named
from ropewalk.net.connection import Connection
from ropewalk.net.endpoint import Endpoint
from ropewalk.net.limits import Limits
from ropewalk.net.listen import listen
from ropewalk.net.listener import Listener
from ropewalk.service import Context, Service
from ropewalk.service.kinds import imported

__all__ = [
    "BadFactory",
    "LimitsConfig",
    "ProtocolConfig",
    "ProtocolService",
    "Serving",
    "ServingConfig",
    "listening",
    "of_key",
    "within",
]

_FILES = frozenset({"cert", "key", "client_ca", "ca"})
_DRAINED = 0.8  # of the seconds that a stop may take: what is left is for the service itself

Count = Annotated[int, msgspec.Meta(ge=1)]
Amount = Annotated[float, msgspec.Meta(gt=0)]


class BadFactory(Misuse):
    """What a configuration names as a protocol cannot be imported, or makes none."""

    code = "net.bad-factory"


class LimitsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``limits`` of a service that listens; see `Limits`. A key that is left out has its default there."""

    connections: Count | None = None
    per_address: Count | None = None
    rate: Amount | None = None
    handshake: Amount | None = None
    idle: Amount | None = None
    close: Amount | None = None

    def limits(self) -> Limits:
        """The bounds that a listener takes."""
        return replace(Limits(), **{name: value for name, value in msgspec.structs.asdict(self).items() if value})


class ServingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of a service that listens.

    Attributes:
        listen: One endpoint or several.
        limits: Of each listener.
    """

    listen: str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    limits: LimitsConfig = LimitsConfig()

    def __post_init__(self) -> None:
        """Find here what can be found without listening: a check and a reload then find it too."""
        for url in self.urls:
            with of_key("listen"):
                listening(url)

    @property
    def urls(self) -> tuple[str, ...]:
        """Where to listen."""
        return (self.listen,) if isinstance(self.listen, str) else self.listen


class Serving(Service):
    """A service that serves one protocol on some endpoints. Subclasses say which protocol.

    Attributes:
        listeners: One for each endpoint, while it is up.
    """

    Config: type[msgspec.Struct] = ServingConfig
    config: ServingConfig

    def __init__(self, config: ServingConfig, context: Context) -> None:
        super().__init__(config, context)
        self.listeners: list[Listener] = []

    def protocol(self) -> asyncio.BaseProtocol:
        """The protocol of a new connection."""
        raise NotImplementedError

    async def start(self) -> None:
        """Listen."""
        urls = self.config.urls
        limits = self.config.limits.limits()
        for number, url in enumerate(urls, 1):
            name = self.name if len(urls) == 1 else f"{self.name}/{number}"
            endpoint = within(self.context, Endpoint.parse(url))
            listener = await listen(endpoint, self.protocol, name=name, limits=limits)
            self.listeners.append(await self.owned.enter_async_context(listener))

    async def stop(self, seconds: float) -> None:
        """Take no more connections, and let those that are there end."""
        drains = [self.ask_to_end(listener, seconds * _DRAINED) for listener in self.listeners]
        await asyncio.gather(*drains)

    async def ask_to_end(self, listener: Listener, seconds: float) -> int:
        """Drain one listener.

        How a connection is asked to end is its protocol's to know; here it is closed.
        """
        return await listener.drain(seconds)

    async def reload(self) -> None:
        """Read certificates again, all of them, even where some are wrong."""
        errors: list[RopewalkError] = []
        for listener in self.listeners:
            if isinstance(listener.certificates, Certificates):
                try:
                    listener.certificates.reload()
                except RopewalkError as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def peers(self) -> list[Connection]:
        """The connections of all listeners."""
        return [connection for listener in self.listeners for connection in listener.peers()]

    def statistics(self) -> Mapping[str, float]:
        """How many are connected."""
        return {"connections": sum(listener.connections for listener in self.listeners)}


class ProtocolConfig(ServingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys of kind ``protocol``.

    Attributes:
        factory: ``package.module:name`` of what gives an asyncio protocol when it is called.
    """

    factory: str

    def __post_init__(self) -> None:
        """The factory is there too."""
        super().__post_init__()
        with of_key("factory"):
            _factory(self.factory)


class ProtocolService(Serving):
    """Kind ``protocol``: any asyncio protocol there is, served without a line of code."""

    Config = ProtocolConfig

    def __init__(self, config: ProtocolConfig, context: Context) -> None:
        super().__init__(config, context)
        self._factory = _factory(config.factory)

    def protocol(self) -> asyncio.BaseProtocol:
        """What the factory makes."""
        return self._factory()


def within(context: Context, endpoint: Endpoint) -> Endpoint:
    """The endpoint with the paths of its files below the configuration's folder, where they are relative."""
    options = tuple(
        (name, str(context.folder / value) if name in _FILES else value) for name, value in endpoint.options
    )
    return replace(endpoint, options=options)


def listening(url: str) -> Endpoint:
    """An endpoint to listen on, as far as that can be told without listening.

    Raises:
        BadEndpoint.
    """
    endpoint = Endpoint.parse(url)
    check_named(endpoint)
    return endpoint


@contextmanager
def of_key(key: str) -> Iterator[None]:
    """What is wrong is wrong with the value of this key, which the configuration then names with its line."""
    try:
        yield
    except Misuse as error:
        error.args = (f"{key}: {error}",)
        raise


def _factory(where: str) -> Callable[[], asyncio.BaseProtocol]:
    found = imported(where, BadFactory)
    if not callable(found):
        raise BadFactory(f"{where} cannot be called, expected what makes a protocol")
    return cast("Callable[[], asyncio.BaseProtocol]", found)
