"""Service: conversations over SSH as a part of an application.

Flow: configuration -> host key, the talk's Host, Server -> listeners -> Wire for each connection -> good-bye, drained
Never: begins with a key that others can read, or makes another one while it is up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, cast

import msgspec

from ropewalk.net.limits import Limits
from ropewalk.net.listener import Listener
from ropewalk.net.serving import Amount, Count, LimitsConfig, Serving, ServingConfig, of_key
from ropewalk.service import Context
from ropewalk.ssh.errors import NotInstalled
from ropewalk.ssh.host_key import HostKey, host_key
from ropewalk.ssh.limits import SshLimits
from ropewalk.terminal import can_edit, check_talk, hosted

if TYPE_CHECKING:
    from ropewalk.ssh.server import Server
    from ropewalk.ssh.wire import Wire

__all__ = ["SshConfig", "SshLimitsConfig", "SshService"]

_log = logging.getLogger("ropewalk.ssh")
_TALKS = 0.6  # of the seconds of a stop: for talks to end; what is left is for connections


class SshLimitsConfig(LimitsConfig, frozen=True, forbid_unknown_fields=True):
    """``limits`` of an SSH service: those of each listener, and of each connection; see `Limits` and `SshLimits`.

    ``handshake`` is for what comes before SSH, and once more for each exchange of keys.
    """

    login_within: Amount | None = None
    login_bytes: Annotated[int, msgspec.Meta(ge=16 * 1024)] | None = None
    tries: Count | None = None
    channels: Count | None = None
    unused: Amount | None = None
    unread: Amount | None = None
    rekey_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] | None = None
    rekey_seconds: Annotated[float, msgspec.Meta(ge=60)] | None = None

    def limits(self) -> Limits:
        """The bounds that a listener takes."""
        given = {field.name: getattr(self, field.name) for field in fields(Limits)}
        return Limits(**{name: value for name, value in given.items() if value})

    def of_connection(self) -> SshLimits:
        """The bounds of a connection."""
        given = {field.name: getattr(self, field.name) for field in fields(SshLimits)}
        return SshLimits(**{name: value for name, value in given.items() if value})


class SshConfig(ServingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys of kind ``ssh``.

    Attributes:
        talk: ``package.module:name`` of a function that is called with the service's `Context` and gives a `Host` or a
            talk; see `hosted`.
        host_key: The file with the server's key; it is made where there is none.
        limits: Of each listener and connection.
    """

    talk: str
    host_key: str = "ssh_host_key"
    limits: SshLimitsConfig = SshLimitsConfig()

    def __post_init__(self) -> None:
        """The talk is there too."""
        super().__post_init__()
        with of_key("talk"):
            check_talk(self.talk)


class SshService(Serving):
    """Kind ``ssh``.

    Attributes:
        server: While it is up.
    """

    Config = SshConfig
    config: SshConfig
    server: Server

    def __init__(self, config: SshConfig, context: Context) -> None:
        super().__init__(config, context)

    @property
    def key(self) -> HostKey:
        """The key that clients know it by, while it is up."""
        return self.server.key

    async def start(self) -> None:
        """Find or make the key, make the host, then listen."""
        made = await asyncio.to_thread(_library)
        await asyncio.to_thread(can_edit)
        key = await asyncio.to_thread(self._key)
        host = await hosted(self.config.talk, self.context, self.owned)
        self.server = made(host, key, self.tasks.create_task, self.config.limits.of_connection())
        self._tell(key)
        await super().start()

    def protocol(self) -> Wire:
        """The protocol of a new connection."""
        return self.server.protocol()

    async def stop(self, seconds: float) -> None:
        """Take no more connections, let the talks say good-bye, then let the connections end."""
        for listener in self.listeners:
            listener.close()
        await self.server.host.close(seconds * _TALKS)
        await super().stop(seconds * (1 - _TALKS))

    async def ask_to_end(self, listener: Listener, seconds: float) -> int:
        """Say why to each connection of a listener, and close it."""
        return await listener.drain(seconds, lambda _, wire: cast("Wire", wire).close("the server stops"))

    async def reload(self) -> None:
        """Read the host key again, for connections from now on, and certificates."""
        key = await asyncio.to_thread(self._key, make=False)
        if key.public != self.key.public:
            self.server.use_key(key)
            self._tell(key)
        await super().reload()

    def statistics(self) -> Mapping[str, float]:
        """How many are connected, and how many channels they have."""
        return {**super().statistics(), "channels": self.server.channels}

    def _key(self, *, make: bool = True) -> HostKey:
        return host_key(self.context.folder / self.config.host_key, make=make)

    def _tell(self, key: HostKey) -> None:
        _log.info("host key of %s: %s", self.name, key.fingerprint, extra={"service": self.name})


def _library() -> type[Server]:
    """Import the library, which takes some tenths of a second, and what is built on it.

    Raises:
        NotInstalled.
    """
    try:
        import asyncssh  # noqa: F401 - whether it is there
    except ModuleNotFoundError as error:
        raise NotInstalled(
            "the library that speaks SSH is not installed", hint="pip install 'ropewalk[ssh]'"
        ) from error
    from ropewalk.ssh.server import Server

    return Server
