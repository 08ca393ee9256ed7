"""Service: a talk by telnet as a part of an application.

Flow: configuration -> the application's own function -> Host -> a Telnet for each connection -> farewell, drained
Never: lets a visit outlast the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal, cast

from ropewalk.errors import Misuse
from ropewalk.net.listener import Listener
from ropewalk.net.serving import Serving, ServingConfig, of_key
from ropewalk.service import Context
from ropewalk.telnet.negotiation import check_installed
from ropewalk.telnet.protocol import Telnet
from ropewalk.terminal import Host, Terminal, can_edit, check_talk, hosted

__all__ = ["BadEncoding", "TelnetConfig", "TelnetService"]

_KEYS = {"auto": None, "line": False, "character": True}
_SHARE = 0.7  # of the seconds of a stop: for talks to come to an end, before their connections are cut


class BadEncoding(Misuse):
    """Text cannot be encoded so."""

    code = "telnet.bad-encoding"


class TelnetConfig(ServingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys of kind ``telnet``.

    Attributes:
        talk: ``package.module:name`` of a function that is called with the service's `Context` and gives a talk, or a
            `Host`, may be as a coroutine, or as an asynchronous context manager that is left when the service has
            stopped.
        mode: How lines are typed: "character", edited by us where the client agrees; "line", edited by the client;
            "auto", by what the client's terminal is. Without the extra ``console`` it is "line" unless said otherwise.
        encoding: Of text, until a client agrees on another.
        greeting: Shown first.
    """

    talk: str
    mode: Literal["auto", "line", "character"] = "auto"
    encoding: str = "utf-8"
    greeting: str = ""

    def __post_init__(self) -> None:
        """The function is there, and the encoding."""
        super().__post_init__()
        with of_key("talk"):
            check_talk(self.talk)
        with of_key("encoding"):
            _check_encoding(self.encoding)


class TelnetService(Serving):
    """Kind ``telnet``.

    Attributes:
        host: While it is up.
    """

    Config = TelnetConfig
    config: TelnetConfig
    host: Host

    def __init__(self, config: TelnetConfig, context: Context) -> None:
        super().__init__(config, context)
        self._keys = _KEYS[config.mode]

    async def start(self) -> None:
        """Make the host, then listen."""
        await asyncio.to_thread(check_installed)
        if self._keys is None and not can_edit():
            self._keys = False
        self.host = await hosted(self.config.talk, self.context, self.owned, greeting=self.config.greeting)
        await super().start()

    def protocol(self) -> Telnet:
        """A conversation."""
        return Telnet(self.host, self._visit, keys=self._keys, encoding=self.config.encoding)

    async def stop(self, seconds: float) -> None:
        """Take no more visitors, say good-bye to those that are there, and wait for their talks."""
        await asyncio.gather(super().stop(seconds), self.host.close(seconds * _SHARE))

    async def ask_to_end(self, listener: Listener, seconds: float) -> int:
        """Close what nobody talks to yet; the others are closed when their talk has ended."""
        return await listener.drain(seconds, lambda _, protocol: cast(Telnet, protocol).ask_to_end())

    def statistics(self) -> Mapping[str, float]:
        """How many are connected, and how many are talked to."""
        return {**super().statistics(), "visitors": len(self.host.terminals)}

    def _visit(self, terminal: Terminal) -> None:
        self.tasks.create_task(self.host.visit(terminal), name=f"{self.name} visit")


def _check_encoding(name: str) -> None:
    try:
        found = "a\r\n".encode(name)
    except (LookupError, ValueError) as error:
        raise BadEncoding(f"got {name!r}, expected an encoding of text such as utf-8") from error
    if found != b"a\r\n":
        raise BadEncoding(f"got {name!r}, expected an encoding that has ASCII in it, such as utf-8")
