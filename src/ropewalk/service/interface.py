"""Service: what starts, runs and stops inside a process, and what it is given.

Flow: an application makes a service with its Context -> start -> run, until it is to stop -> stop
Never: knows of other services than those it needs, or of how it is restarted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ropewalk.metrics import Registry
from ropewalk.service.control import Control
from ropewalk.service.peers import Peer

__all__ = ["Context", "NoConfig", "Service"]


class NoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For services that have nothing to be told."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a service may know of where it runs.

    Attributes:
        name: The service's, unique in its application.
        application: The application's name.
        registry: Where it counts.
        services: Those it needs, by name; all of them are up for as long as it is.
        folder: Where relative paths of its configuration begin.
        control: Of the application, for services by which operators reach it; None outside of one.
    """

    name: str
    application: str
    registry: Registry
    services: Mapping[str, Service] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)
    control: Control | None = None


class Service:
    """Something that starts and stops inside one process. Subclasses override what they need.

    A service is used once: when it is restarted, a new one is made.

    Args:
        config: A value of ``Config``.
        context: Where it runs.

    Attributes:
        tasks: Its tasks: one that fails is the failure of the service, and all are cancelled when it has stopped.
        owned: Closed after that, and after a start that failed; for listeners, files, connections.
    """

    Config: type[msgspec.Struct] = NoConfig
    tasks: asyncio.TaskGroup
    owned: AsyncExitStack

    def __init__(self, config: msgspec.Struct, context: Context) -> None:
        self.config = config
        self.context = context

    @property
    def name(self) -> str:
        """Its name in the application."""
        return self.context.name

    async def start(self) -> None:
        """Become ready to serve; what fails here has to be cleaned up here, or was entered in ``owned``."""

    async def run(self) -> None:
        """Work until there is no more: to return is to have ended by itself. By default, until it is stopped."""
        await asyncio.get_running_loop().create_future()

    async def stop(self, seconds: float) -> None:
        """Stop taking work and finish what was begun, in so many seconds; then it is cancelled."""

    async def reload(self) -> None:
        """Look again at what is outside the configuration: certificates, for one."""

    def statistics(self) -> Mapping[str, float]:
        """Figures for people who look at it now; what has a history is counted in metrics."""
        return {}

    def peers(self) -> Iterable[Peer]:
        """The connections that it has accepted and that are open, for who looks at them or ends one."""
        return ()
