"""Telnet: a conversation over one connection, on any transport.

Flow: bytes -> Commands -> text -> decoder -> Terminal; commands -> Options -> answers; Terminal.write -> bytes
Never: reads on while its answers are not taken; waits for a client that does not negotiate; answers a flood.
Source: RFC 854.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable
from typing import cast

from ropewalk.auth import Channel
from ropewalk.errors import PeerFault
from ropewalk.net import fault
from ropewalk.telnet.commands import Command, Commands, Negotiation, Subnegotiation, SubnegotiationTooLong
from ropewalk.telnet.negotiation import Options
from ropewalk.terminal import Host, Terminal

__all__ = ["SETTLE", "Telnet", "TooManyCommands"]

SETTLE = 0.25  # seconds that a client has to say what it is, before it is talked to; it may say so later too
_BURST = 300  # commands at once: a negotiation takes 40, a window that is dragged 60 a second
_RATE = 60.0  # commands a second for ever
_INTERRUPTS = frozenset({238, 243, 244})  # abort, break, interrupt process
_END_OF_FILE, _ARE_YOU_THERE, _ERASE_CHARACTER, _ERASE_LINE = 236, 246, 247, 248


class TooManyCommands(PeerFault):
    """The peer sends commands faster than anybody needs to."""

    code = "telnet.too-many-commands"

    def __init__(self) -> None:
        super().__init__(f"more than {_BURST} telnet commands at once, or {_RATE:g} a second")


class Telnet(asyncio.Protocol):
    """One connection. It is a `ropewalk.terminal` carrier too.

    Args:
        host: Whose visitor this is.
        begin: Makes a task of a visit, and owns it.
        keys: Whether character mode is wanted: None where the client's terminal decides.
        encoding: Of text until another is agreed on.
        settle: Seconds that a client has to negotiate before it is talked to.
    """

    newline = "\r\n"
    transport: asyncio.Transport

    def __init__(
        self,
        host: Host,
        begin: Callable[[Terminal], object],
        *,
        keys: bool | None = None,
        encoding: str = "utf-8",
        settle: float = SETTLE,
    ) -> None:
        self._host, self._begin, self._keys, self._encoding, self._settle = host, begin, keys, encoding, settle
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._commands = Commands()
        self._budget = float(_BURST)
        self._begun = self._told_to_pause = False
        self._can_write = asyncio.Event()
        self._can_write.set()

    # ---- the transport's side ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type
        self._loop = asyncio.get_running_loop()
        self._refilled = self._loop.time()
        self.terminal = Terminal(self, name="telnet", channel=Channel.of(transport), limits=self._host.limits)
        self._options = Options(self.transport, self, keys=self._keys, encoding=self._encoding)
        self._options.begin()
        self._timer = self._loop.call_later(self._settle, self.settled)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the listener tells it
        self._timer.cancel()
        self._can_write.set()
        self.terminal.lost()

    def eof_received(self) -> bool:
        """A half-closed reader still gets its answers, but for TLS, which has no half."""
        self.settled()
        self.terminal.end()
        return self.transport.get_extra_info("ssl_object") is None

    def data_received(self, data: bytes) -> None:
        try:
            for item in self._commands.feed(data):
                if isinstance(item, bytes):
                    self.terminal.feed(self._decoder.decode(item))
                    if not self._options.answered:
                        self.settled()  # what speaks before it negotiates will not
                    continue
                self._pay()
                match item:
                    case Command(code):
                        self._obey(code)
                    case Negotiation(said):
                        self._options.negotiated(said)
                    case Subnegotiation(said):
                        self._options.told(said)
                if self.transport.is_closing():
                    return
        except (SubnegotiationTooLong, TooManyCommands) as error:
            self.terminal.lost()
            fault(self.transport, error)

    def pause_writing(self) -> None:
        self._can_write.clear()
        self._mind_reading()

    def resume_writing(self) -> None:
        self._can_write.set()
        self._mind_reading()

    def ask_to_end(self) -> None:
        """The server stops: what is visited ends with its visit."""
        if not self._begun:
            self.transport.close()

    # ---- what the options tell ----

    def sized(self, columns: int, rows: int) -> None:
        """The client's window."""
        self.terminal.resize(columns, rows)

    def named(self, term: str, colour: bool) -> None:
        """The client's terminal."""
        self.terminal.term, self.terminal.colour = term, colour

    def encoded(self, encoding: str) -> None:
        """The client's text."""
        if encoding != self._encoding:
            self._encoding = encoding
            self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def in_keys(self, on: bool) -> None:
        """How the client sends what is typed."""
        self.terminal.use_keys(on)

    def settled(self) -> None:
        """Enough is known, or it has taken long enough: talk."""
        self._timer.cancel()
        if not self._begun and not self.transport.is_closing():
            self._begun = True
            self._begin(self.terminal)

    # ---- as a carrier ----

    def write(self, text: str) -> None:
        """Send text; what the encoding lacks becomes a question mark."""
        data = text.encode(self._encoding, "replace").replace(b"\xff", b"\xff\xff")
        if b"\r" in data and not self._options.binary:
            data = data.replace(b"\r", b"\r\0").replace(b"\r\0\n", b"\r\n")
        self.transport.write(data)

    async def drain(self) -> None:
        """Wait until more may be written."""
        await self._can_write.wait()

    def unsent(self) -> int:
        """Bytes that the transport still has."""
        return self.transport.get_write_buffer_size()

    def echo(self, on: bool) -> None:
        """Whether the client shows what is typed."""
        self._options.echo(on)

    def prompted(self) -> None:
        """Tell clients that care."""
        self._options.prompted()

    def pause_reading(self) -> None:
        """Read no more."""
        self._told_to_pause = True
        self._mind_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._told_to_pause = False
        self._mind_reading()

    def close(self) -> None:
        """End once all is sent; the listener's limits cut off who takes too long."""
        self.transport.close()

    def abort(self) -> None:
        """End now."""
        self.transport.abort()

    # ---- inside ----

    def _mind_reading(self) -> None:
        if self.transport.is_closing():
            return
        if self._told_to_pause or not self._can_write.is_set():
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _pay(self) -> None:
        now = self._loop.time()
        self._budget = min(_BURST, self._budget + (now - self._refilled) * _RATE) - 1
        self._refilled = now
        if self._budget < 0:
            raise TooManyCommands

    def _obey(self, code: int) -> None:
        if code in _INTERRUPTS:
            self.terminal.interrupt()
        elif code == _END_OF_FILE:
            self.terminal.end()
        elif code == _ARE_YOU_THERE:
            self.terminal.write("[yes]\n")
        elif code == _ERASE_CHARACTER:
            self.terminal.feed("\x7f")
        elif code == _ERASE_LINE:
            self.terminal.feed("\x15")
