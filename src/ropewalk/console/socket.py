"""Socket: one connection to the console's Unix socket: a command, or a conversation.

Flow: connection -> whose it is -> opening -> an Interpreter, once; or a Terminal -> Host -> a Conversation
Never: answers who is neither the process's own user nor root; waits for who does not say what they want.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import pwd
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from ropewalk.auth import Channel, Identity
from ropewalk.console.rights import ALL, Operator
from ropewalk.console.wire import LONGEST_OPENING, BadFrame, Frames, Opening, frame, opening_of, size_of
from ropewalk.errors import PeerFault, Unavailable
from ropewalk.net import fault
from ropewalk.net.connection import Connection
from ropewalk.terminal import Limits, Terminal, can_edit

if TYPE_CHECKING:
    from ropewalk.console.service import ConsoleService

__all__ = ["SocketProtocol", "peer_of"]

_OPENS_WITHIN = 10.0  # seconds in which a client says what it wants
_TAKES_WITHIN = 30.0  # seconds in which a client takes something of what waits for it
_CREDENTIALS = struct.Struct("3i")  # struct ucred of sys/socket.h: process, user, group


class NotTheirs(PeerFault):
    """A console's socket is for its own user, and root."""

    code = "console.not-theirs"


class Unread(PeerFault):
    """A client of a console's socket does not take what it asked for."""

    code = "console.unread"


def peer_of(transport: asyncio.BaseTransport) -> tuple[int, int] | None:
    """Process and user at the other side of a Unix socket; None where the kernel does not tell."""
    connection = transport.get_extra_info("ropewalk.connection")
    sock = connection.socket if isinstance(connection, Connection) else None
    if sock is None or not hasattr(socket, "SO_PEERCRED"):
        return None
    try:
        found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return None
    process, user, _ = _CREDENTIALS.unpack(found)
    return process, user


class SocketProtocol(asyncio.Protocol):
    """The server's side; a carrier, once there is a conversation.

    Attributes:
        quiet: No person types at the other side: no prompt is shown.
    """

    def __init__(self, service: ConsoleService, peer: Callable[..., tuple[int, int] | None] = peer_of) -> None:
        self._service, self._peer = service, peer
        self._opening = bytearray()
        self._frames: Frames | None = None
        self._terminal: Terminal | None = None
        self._task: asyncio.Task[None] | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._writable = asyncio.Event()
        self._writable.set()
        self._timer: asyncio.TimerHandle | None = None
        self.newline = "\n"
        self.exit_status = 0  # told to the client at the end
        self.command: str | None = None  # of a conversation, which is for no command alone
        self.quiet = False
        self.identity = Identity("")
        self._over = False

    # -- asyncio's side ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        peer = self._peer(transport)
        if peer is None or peer[1] not in (os.geteuid(), 0):
            fault(self._transport, NotTheirs(f"user {peer[1] if peer else 'unknown'} is not let in"))
            return
        self.identity = Identity(_user(peer[1]), how="unix")
        self._timer = self._loop.call_later(_OPENS_WITHIN, self._too_late)

    def data_received(self, data: bytes) -> None:
        if self._over or self._transport.is_closing():
            return
        try:
            if self._frames is None:
                data = self._opened(data)
            if self._frames is not None and data:
                self._take(data)
        except BadFrame as error:
            fault(self._transport, error)

    def eof_received(self) -> bool:
        if self._terminal is not None:
            self._terminal.end()
        return self._frames is not None  # who has said what it wants may still be answered

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, _: Exception | None) -> None:
        self._over = True
        self._writable.set()
        self._cancel_timer()
        if self._terminal is not None:
            self._terminal.lost()
        elif self._task is not None:
            self._task.cancel()

    # -- as a carrier --------------------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        """Send it."""
        self._send(b"d", text)

    async def drain(self) -> None:
        """Wait until more may be written; who takes nothing for too long is cut off."""
        try:
            async with asyncio.timeout(_TAKES_WITHIN):
                await self._writable.wait()
        except TimeoutError:
            fault(self._transport, Unread(f"a client took nothing for {_TAKES_WITHIN:g} s"))
            self._transport.abort()

    def unsent(self) -> int:
        """Bytes that were written and not taken."""
        return 0 if self._over else self._transport.get_write_buffer_size()

    def echo(self, on: bool) -> None:
        """Nothing secret is asked for here."""

    def prompted(self) -> None:
        """It needs no mark."""

    def pause_reading(self) -> None:
        """Give no more."""
        with suppress(RuntimeError):
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Give more."""
        with suppress(RuntimeError):
            self._transport.resume_reading()

    def close(self) -> None:
        """Tell the status, and end the connection once that is taken; the listener cuts off who takes nothing."""
        if not self._over and not self._transport.is_closing():
            self._transport.write(frame(b"x", bytes([self.exit_status])))
            self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    def ask_to_end(self) -> None:
        """Hang up where nothing goes on; a conversation hangs up when its talk has ended, a command when it is done."""
        if self._task is None:
            self._transport.close()

    def _send(self, letter: bytes, text: str) -> None:
        if text and not self._over and not self._transport.is_closing():
            self._transport.write(frame(letter, text.encode(errors="replace")))

    # -- what was asked ------------------------------------------------------------------------------------------

    def _opened(self, data: bytes) -> bytes:
        """Take what belongs to the first line; the rest.

        Raises:
            BadFrame.
        """
        self._opening += data
        line, newline, rest = bytes(self._opening).partition(b"\n")
        if not newline:
            if len(self._opening) > LONGEST_OPENING:
                raise BadFrame(f"the first line of a client has more than {LONGEST_OPENING} bytes")
            return b""
        self._opening.clear()
        opening = opening_of(line)
        self._cancel_timer()
        self._frames = Frames(b"dwe")
        if opening.words is None:
            self._converse(opening)
        else:
            self._task = self._service.tasks.create_task(self._answer(opening), name=f"{self._service.name} command")
        return rest

    def _converse(self, opening: Opening) -> None:
        self.newline, self.quiet = ("\r\n" if opening.keys else "\n"), opening.quiet
        terminal = self._terminal = Terminal(
            self,
            name="unix",
            channel=Channel(verified=True),
            columns=opening.columns or 80,
            rows=opening.rows,
            colour=opening.colour,
            keys=opening.keys,
            term=opening.term,
            limits=Limits(idle=self._service.idle),
        )
        terminal.identity, terminal.perspective = self.identity, Operator(ALL)
        visit = self._visit(terminal)
        self._task = self._service.tasks.create_task(visit, name=f"{self._service.name} conversation")

    async def _visit(self, terminal: Terminal) -> None:
        if terminal.keys:
            await asyncio.to_thread(can_edit)  # what edits lines comes in with the first who needs it
        await self._service.host.visit(terminal, known=True)

    async def _answer(self, opening: Opening) -> None:
        """Do one command; it is cancelled where its client goes away."""
        interpreter = self._service.interpreter(self.identity, Operator(ALL), "unix", Channel(verified=True))
        try:
            outcome = await interpreter.words(opening.words or (), opening.columns)
            if outcome.python:
                outcome = self._service.no_terminal()
            self.exit_status = outcome.status
            self._send(b"d" if outcome.status == 0 else b"f", outcome.text)
        except asyncio.CancelledError:
            self.exit_status = Unavailable.status
            raise
        finally:
            self.close()

    def _take(self, data: bytes) -> None:
        assert self._frames is not None
        for letter, part in self._frames.feed(data):
            if self._terminal is None:
                continue  # a command has no more to hear
            if letter == b"d":
                self._terminal.feed(self._decoder.decode(part))
            elif letter == b"w":
                self._terminal.resize(*size_of(part))
            else:
                self._terminal.end()

    def _too_late(self) -> None:
        fault(self._transport, BadFrame(f"a client did not say what it wants within {_OPENS_WITHIN:g} s"))

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
