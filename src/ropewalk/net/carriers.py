"""Carriers that are not sockets of ours: memory, stdio, and those of third parties.

Flow: an endpoint's carrier -> carrier_of -> listen, connect
      an unknown carrier -> entry point group ropewalk.transports -> the object there
Never: keeps a file of what it found; entry points are only looked at for a name that is not known.

A third party's package says, in its pyproject.toml::

    [project.entry-points."ropewalk.transports"]
    serial = "my_package:SerialCarrier"

and `SerialCarrier()` is then asked for ``serial://...`` with the two methods of `Carrier`.  Its transports must keep
the contract of ``ropewalk.testing.check_transport``; ``ws+serial://`` comes by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Protocol, cast

from ropewalk.net.endpoint import Endpoint
from ropewalk.net.errors import NotCarried

__all__ = ["Carrier", "Listening", "carrier_names", "carrier_of"]

_GROUP = "ropewalk.transports"


class Listening(Protocol):
    """What a carrier gives for being listened on."""

    @property
    def endpoint(self) -> Endpoint:
        """Where clients come to: with whatever the carrier chose itself."""

    def close(self) -> None:
        """Take no more connections; those that are there stay."""


class Carrier(Protocol):
    """What carries bytes, by some name in a URL."""

    async def listen(self, endpoint: Endpoint, factory: Callable[[], asyncio.BaseProtocol]) -> Listening:
        """Connect whoever comes to a protocol of the factory.

        The factory raises `Overloaded` or `ConnectionRefused` where it takes no more: end that connection, and go on.
        What it gives counts as connected until its `connection_lost` is called, so do not ask it in advance.
        """

    async def connect(
        self, endpoint: Endpoint, factory: Callable[[], asyncio.BaseProtocol]
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect a protocol of the factory; its `connection_made` has been called when this returns."""


def carrier_names() -> set[str]:
    """The carriers of third parties."""
    return {point.name for point in entry_points(group=_GROUP)}


def carrier_of(name: str) -> Carrier:
    """The carrier of this name.

    Raises:
        NotCarried: There is none, or it cannot be loaded.
    """
    if name == "memory":
        from ropewalk.net.memory import MemoryCarrier

        return MemoryCarrier()
    if name == "stdio":
        from ropewalk.net.stdio import StdioCarrier

        return StdioCarrier()
    for point in entry_points(group=_GROUP, name=name):
        try:
            return cast(Carrier, point.load()())
        except Exception as error:
            raise NotCarried(f"carrier {name!r} of {point.value} cannot be loaded: {error}") from error
    raise NotCarried(f"no carrier is called {name!r}")
