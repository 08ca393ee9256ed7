"""Session: one channel of SSH as the carrier of a terminal.

Flow: pty-req, env, shell or exec -> a Terminal -> Host.visit; data -> text -> feed; write -> bytes -> the channel
      the talk has ended -> exit status, close
Never: edits lines (the terminal does), runs a program, or lets a talk write past its peer.
Source: RFC 4254 section 6.
"""

from __future__ import annotations

import asyncio
import codecs
from typing import TYPE_CHECKING

import asyncssh

from ropewalk.auth import Identity
from ropewalk.ssh.channel import SessionChannel
from ropewalk.ssh.commands import Commands
from ropewalk.ssh.errors import TooSlow
from ropewalk.terminal import Terminal

if TYPE_CHECKING:
    from ropewalk.ssh.server import Server
    from ropewalk.ssh.wire import Wire

__all__ = ["Session"]

_LONGEST_TERM = 64
_PLAIN = frozenset({"", "dumb", "unknown", "network", "dialup", "lpr", "printer"})  # terminals that obey nothing
_CHARSETS = {
    "iso88591": "latin-1",
    "iso885915": "iso8859-15",
    "koi8r": "koi8-r",
    "cp437": "cp437",
    "cp1252": "cp1252",
}
_HANG_UP = frozenset({"HUP", "TERM", "KILL", "QUIT"})


class Session(asyncssh.SSHServerSession[bytes]):
    """A channel, and the carrier of the terminal on it.

    Attributes:
        command, exit_status: As `RunsCommands` says.
    """

    def __init__(self, server: Server, wire: Wire) -> None:
        self._server, self._wire = server, wire
        self._channel: SessionChannel | None = None
        self._terminal: Terminal | None = None
        self._term = ""
        self._size = 0, 0
        self._pty = False
        self.command: str | None = None
        self.exit_status = 0
        self._charset = "utf-8"
        self._decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""  # of a command: what may turn out to be a prompt
        self._full = self._waits = False  # the channel's window is; the connection does
        self._free = asyncio.Event()
        self._free.set()
        self._cut: asyncio.TimerHandle | None = None

    # ---- from the library ----

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        assert isinstance(chan, SessionChannel)
        self._channel = chan

    def connection_lost(self, _exc: Exception | None) -> None:
        """The channel is closed."""
        self._channel = None
        if self._cut is not None:
            self._cut.cancel()
        self._wire.closed(self)
        self._free.set()
        if self._terminal is not None:
            self._terminal.lost()

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], _modes: object) -> bool:
        """The peer has a terminal."""
        self._pty = True
        self._term = term_type[:_LONGEST_TERM].lower() if term_type.isprintable() else ""
        self._size = term_size[:2]
        return True

    def terminal_size_changed(self, width: int, height: int, _across: int, _down: int) -> None:
        """Its window has another size."""
        self._size = width, height
        if self._terminal is not None:
            self._terminal.resize(width, height)

    def shell_requested(self) -> bool:
        """A conversation."""
        return True

    def exec_requested(self, command: str) -> bool:
        """One command, where the talk takes such."""
        host = self._server.host
        fits = command.isprintable() and 0 < len(command) <= host.limits.longest_line
        if not fits or not isinstance(host.talk, Commands):
            return False
        self.command = command
        return True

    def subsystem_requested(self, _subsystem: str) -> bool:
        """There are none."""
        return False

    def session_started(self) -> None:
        """Begin the visit."""
        channel, wire, host = self._channel, self._wire, self._server.host
        if channel is None:
            return
        self._charset = _charset(channel.variable(b"LANG"))
        self._decoder = codecs.getincrementaldecoder(self._charset)("replace")
        obeys = self._pty and self.command is None and self._term not in _PLAIN
        self._terminal = terminal = Terminal(
            self,
            name="ssh",
            channel=wire.channel,
            columns=self._size[0],
            rows=self._size[1],
            colour=obeys,
            keys=self._pty and self.command is None,
            term=self._term or channel.variable(b"TERM").lower(),
            limits=host.limits,
        )
        login = self._server.login_of(wire)
        terminal.identity = login.identity if login is not None else Identity("")
        terminal.perspective = login.perspective if login is not None else None
        if self.command is not None:
            terminal.feed(f"{self.command}\n")
            terminal.end()
        if not self._server.spawn(wire, host.visit(terminal, known=True)):
            self.close()

    def data_received(self, data: bytes, _datatype: int | None) -> None:
        """Something was typed."""
        if self._terminal is not None and self.command is None:
            self._terminal.feed(self._decoder.decode(data))

    def eof_received(self) -> bool:
        """No more will be typed; what is written is still taken."""
        if self._terminal is not None:
            self._terminal.end()
        return True

    def break_received(self, _msec: int) -> bool:
        """As good as ^C."""
        if self._terminal is not None:
            self._terminal.interrupt()
        return True

    def signal_received(self, signal: str) -> None:
        """Interrupted, or to go."""
        if self._terminal is None:
            return
        if signal == "INT":
            self._terminal.interrupt()
        elif signal in _HANG_UP:
            self._terminal.lost()

    def pause_writing(self) -> None:
        """The window of the channel is full."""
        self._full = True
        self._settle()

    def resume_writing(self) -> None:
        """No longer."""
        self._full = False
        self._settle()

    # ---- from the wire ----

    def hold(self, on: bool) -> None:
        """Nothing can be sent now, on any channel; or it can again."""
        self._waits = on
        self._settle()

    # ---- for the terminal ----

    @property
    def newline(self) -> str:
        """Behind a terminal of the peer's, nobody adds a carriage return."""
        return "\r\n" if self._pty else "\n"

    def write(self, text: str) -> None:
        """Send text."""
        if self.command is None:
            self._send(text)
            return
        self._flush()
        self._held = text
        asyncio.get_running_loop().call_soon(self._flush)

    async def drain(self) -> None:
        """Wait until the peer has taken enough."""
        await self._free.wait()

    def unsent(self) -> int:
        """Bytes that have not left, those of the connection's other channels among them."""
        return 0 if self._channel is None else self._channel.get_write_buffer_size() + self._wire.unsent

    def echo(self, on: bool) -> None:
        """With a terminal of the peer's it is ours to show what is typed, without one nobody does."""

    def prompted(self) -> None:
        """A command's output has no prompts in it: what was written last is not sent."""
        self._held = ""

    def pause_reading(self) -> None:
        """Let the peer wait, once it has filled its window."""
        if self._channel is not None:
            self._channel.pause_reading()

    def resume_reading(self) -> None:
        """Take more."""
        if self._channel is not None:
            self._channel.resume_reading()

    def close(self) -> None:
        """Say how it went, and close the channel once all that was written is sent."""
        if self._channel is None or self._channel.is_closing():
            return
        self._flush()
        self._expect_end()
        self._channel.exit(self.exit_status)

    def abort(self) -> None:
        """Close the channel now."""
        if self._channel is not None:
            self._expect_end()
            self._channel.abort()

    def _expect_end(self) -> None:
        """A channel is closed when both sides have said so, and the peer may never do."""
        if self._cut is None:
            self._cut = asyncio.get_running_loop().call_later(self._wire.limits.unread, self._overdue)

    def _overdue(self) -> None:
        self._wire.fail(TooSlow(f"a channel was not closed within {self._wire.limits.unread:g} s"))

    def _flush(self) -> None:
        held, self._held = self._held, ""
        self._send(held)

    def _send(self, text: str) -> None:
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write(text.encode(self._charset, "replace"))

    def _settle(self) -> None:
        if self._channel is not None and (self._full or self._waits):
            self._free.clear()
        else:
            self._free.set()


def _charset(lang: str) -> str:
    """How a peer's text is written, as its LANG says: ``de_DE.ISO-8859-1``."""
    named = lang.partition(".")[2].partition("@")[0].lower().replace("-", "").replace("_", "")
    return _CHARSETS.get(named, "utf-8")
