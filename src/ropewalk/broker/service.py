"""Service: a server of remote objects as a part of an application.

Flow: configuration -> the application's own function -> Host -> a session for each connection -> GOAWAY, drained
Never: ends a session whose calls could still be answered within the deadline.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

from ropewalk.broker.host import Host
from ropewalk.broker.session import Session
from ropewalk.errors import Misuse
from ropewalk.net.listener import Listener
from ropewalk.net.serving import Serving, ServingConfig, of_key
from ropewalk.service import Context
from ropewalk.service.kinds import imported

__all__ = ["BadHost", "BrokerConfig", "BrokerService"]

_REST = 0.1  # of the seconds of a stop: for work that does not end with its connection


class BadHost(Misuse):
    """What a configuration names as a host cannot be imported, or gives none."""

    code = "broker.bad-host"


class BrokerConfig(ServingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys of kind ``broker``.

    Attributes:
        host: ``package.module:name`` of a function that is called with the service's `Context` and gives a `Host`, may
            be as a coroutine, or as an asynchronous context manager that is left when the service has stopped.
    """

    host: str

    def __post_init__(self) -> None:
        """The function is there too."""
        super().__post_init__()
        with of_key("host"):
            _maker(self.host)


class BrokerService(Serving):
    """Kind ``broker``.

    Attributes:
        host: While it is up.
    """

    Config = BrokerConfig
    config: BrokerConfig
    host: Host

    def __init__(self, config: BrokerConfig, context: Context) -> None:
        super().__init__(config, context)

    async def start(self) -> None:
        """Make the host, then listen."""
        made = _maker(self.config.host)(self.context)
        if isinstance(made, AbstractAsyncContextManager):
            made = await self.owned.enter_async_context(made)
        elif inspect.isawaitable(made):
            made = await made
        if not isinstance(made, Host):
            raise BadHost(f"{self.config.host} gave a {type(made).__name__}, expected a Host")
        self.host = made
        await super().start()

    def protocol(self) -> Session:
        """A session."""
        return self.host.protocol()

    async def stop(self, seconds: float) -> None:
        """Take no more sessions, let what was asked be answered, and wait for what runs."""
        await super().stop(seconds)
        await self.host.close(seconds * _REST)

    async def ask_to_end(self, listener: Listener, seconds: float) -> int:
        """Say GOAWAY to each session of a listener."""
        return await listener.drain(seconds, lambda _, protocol: cast(Session, protocol).close("the server stops"))

    def statistics(self) -> Mapping[str, float]:
        """How many are connected, and how many calls run."""
        there = [session for session in self.host.sessions if session.error is None]
        return {"sessions": len(there), "answers": sum(len(one.broker.answering.answers) for one in there)}


def _maker(where: str) -> Callable[[Context], Any]:
    found = imported(where, BadHost)
    if not callable(found):
        raise BadHost(f"{where} cannot be called, expected what makes a host")
    return cast("Callable[[Context], Any]", found)
