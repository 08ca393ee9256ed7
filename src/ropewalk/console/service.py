"""Service: the console of an application: its own Unix socket, and what telnet, SSH and web sockets talk by.

Flow: configuration -> commands, rights, portal -> the socket -> SocketProtocol; `talk` of another service -> Host
Never: lets anybody in who is neither the process's user, nor root, nor known to a checker.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast
from weakref import WeakSet

import msgspec

from ropewalk.auth import Channel, Identity, Perspectives, Portal, checker_of
from ropewalk.console.acting import ACTING
from ropewalk.console.asking import Ask
from ropewalk.console.commands import Commands
from ropewalk.console.conversation import Conversation
from ropewalk.console.errors import BadCommand, BadSocket, NotAllowed
from ropewalk.console.interpreter import Interpreter, Outcome
from ropewalk.console.looking import LOOKING
from ropewalk.console.rights import Groups, Operator, rights_by
from ropewalk.console.socket import SocketProtocol
from ropewalk.errors import Misuse
from ropewalk.net import Limits, Listener, listen
from ropewalk.net.connection import Connection
from ropewalk.net.endpoint import Endpoint
from ropewalk.net.serving import of_key
from ropewalk.service import Context, Control, Service
from ropewalk.service.kinds import imported
from ropewalk.ssh.commands import Commands as TalkOrCommand
from ropewalk.ssh.commands import exit_status
from ropewalk.terminal import Host, Terminal
from ropewalk.terminal import Limits as TerminalLimits

__all__ = ["ConsoleConfig", "ConsoleService", "NoConsole", "talk"]

_CONNECTIONS = 32  # to the socket: of one user, by hand and from scripts
_SHARE = 0.8  # of the seconds of a stop: for conversations; what is left is for connections

Seconds = Annotated[float, msgspec.Meta(gt=0, le=7 * 86_400)]


class NoConsole(Misuse):
    """A service talks by a console that it does not need, or that lets nobody in."""

    code = "console.no-console"


class ConsoleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of kind ``console``.

    Attributes:
        socket: Path of the Unix socket; "" for none.
        checkers: Who comes in by telnet, SSH or the web: descriptions as ``accounts:users.db``.
        groups: Which groups of theirs have which right.
        commands: ``package.module:NAME`` of registries with commands of one's own.
        idle: Seconds after which somebody who says nothing is shown out.
    """

    socket: str = "run/console.sock"
    checkers: tuple[str, ...] = ()
    groups: Groups = Groups()
    commands: tuple[str, ...] = ()
    idle: Seconds = 3600.0

    def __post_init__(self) -> None:
        """The registries are there, and have no command twice."""
        with of_key("commands"):
            _commands(self.commands)


class ConsoleService(Service):
    """Kind ``console``.

    Attributes:
        host: Of conversations by the socket, while it is up.
        portal: Lets in who comes otherwise; None where no checker is configured.
    """

    Config = ConsoleConfig
    config: ConsoleConfig
    host: Host

    def __init__(self, config: ConsoleConfig, context: Context) -> None:
        super().__init__(config, context)
        self._commands = _commands(config.commands)
        self._listener: Listener | None = None
        self.portal: Portal | None = None
        self._hosts: WeakSet[Host] = WeakSet()  # of all who talk by this

    @property
    def control(self) -> Control:
        """Of the application.

        Raises:
            NoConsole: It runs in none.
        """
        if self.context.control is None:
            raise NoConsole("a console runs within an application, and is nothing without one")
        return self.context.control

    @property
    def idle(self) -> float:
        """Seconds for which somebody may be silent."""
        return self.config.idle

    async def start(self) -> None:
        """Make what lets people in, then listen."""
        config, folder = self.config, self.context.folder
        _ = self.control
        if config.checkers:
            realm = Perspectives()
            realm.give(Operator, config.groups.operator)
            self.portal = Portal(realm, [checker_of(one, folder) for one in config.checkers])
        self.host = self.host_of(self.name)
        if config.socket:
            path = (folder / config.socket).absolute()
            await asyncio.to_thread(_prepare, path.parent)
            endpoint = replace(Endpoint((), "unix"), path=str(path), options=(("mode", "600"),))
            limits = replace(Limits(), connections=_CONNECTIONS, rate=None, per_address=None)
            listener = await listen(endpoint, self._protocol, name=self.name, limits=limits)
            self._listener = await self.owned.enter_async_context(listener)

    async def stop(self, seconds: float) -> None:
        """Say good-bye to everybody, and let commands end."""
        async with asyncio.TaskGroup() as tasks:
            for host in list(self._hosts):
                tasks.create_task(host.close(seconds * _SHARE))
            if self._listener is not None:
                tasks.create_task(
                    self._listener.drain(seconds * _SHARE, lambda _, one: cast(SocketProtocol, one).ask_to_end())
                )

    def peers(self) -> list[Connection]:
        """Connections to the socket."""
        return self._listener.peers() if self._listener is not None else []

    def statistics(self) -> Mapping[str, float]:
        """How many are connected to the socket."""
        return {"connections": self._listener.connections if self._listener is not None else 0}

    def host_of(self, service: str, portal: Portal | None = None) -> Host:
        """A host of conversations that come by a service; they end when this does.

        Args:
            service: Its name, by which it is not stopped by mistake.
            portal: Lets people in; None where the service has done so.
        """

        async def talk(terminal: Terminal) -> None:
            conversation = Conversation(self.control, self._commands, terminal, service)
            try:
                await conversation.go_on()
            finally:
                exit_status(terminal, conversation.status)

        limits = TerminalLimits(idle=self.config.idle)
        host = Host(TalkOrCommand(talk), portal, wanted=Operator, limits=limits)
        self._hosts.add(host)
        return host

    def interpreter(self, identity: Identity, operator: Operator, by: str, channel: Channel) -> Interpreter:
        """For single commands of somebody."""
        rights = rights_by(operator, by, channel)
        return Interpreter(
            Ask(self.control, identity, rights, by, self._commands, channel.address, self.name if by == "unix" else "")
        )

    def no_terminal(self) -> Outcome:
        """What becomes of the Python prompt where there is no conversation."""
        error = NotAllowed("the Python prompt is not for one command", hint="`ropewalk console`, then `python`")
        return Outcome(f"error: {error}\nhint: {error.hint}\n", error.status)

    def _protocol(self) -> SocketProtocol:
        return SocketProtocol(self)


def talk(context: Context) -> Host:
    """The console, as the ``talk`` of a service of kind telnet or ssh, which needs one service of kind ``console``.

    Raises:
        NoConsole: It needs none or several, or that one knows nobody.
    """
    found = [one for one in context.services.values() if isinstance(one, ConsoleService)]
    if len(found) != 1:
        raise NoConsole(
            f"service {context.name!r} needs {len(found)} consoles, expected one",
            hint='kind = "console" is one: name it in `needs`',
        )
    if found[0].portal is None:
        raise NoConsole(
            f"the console {found[0].name!r} knows nobody who may come by {context.name!r}",
            hint='it has a key for that: checkers = ["accounts:users.db"]',
        )
    return found[0].host_of(context.name, found[0].portal)


def _commands(names: tuple[str, ...]) -> Commands:
    others = []
    for name in names:
        found = imported(name, BadCommand)
        if not isinstance(found, Commands):
            raise BadCommand(f"{name} is a {type(found).__name__}, expected a registry of commands")
        others.append(found)
    return LOOKING.with_those_of(ACTING, *others)


def _prepare(folder: Path) -> None:
    """Make the folder of a socket, for its user alone, or see that nobody else can change what is in it.

    Raises:
        BadSocket.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
    except OSError as error:
        raise BadSocket(f"no folder {folder} for a socket: {(error.strerror or str(error)).lower()}") from error
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if found.st_uid not in (os.geteuid(), 0) or others:
        raise BadSocket(f"folder {folder} can be changed by others", hint="a socket needs one of its user's own: 0700")
