"""Client: the other side of the console's socket: a person's terminal, a script's lines, or one command.

All editing is the server's, so that it is the same by every way in, with one completion and one history: this side puts
the terminal into character mode, passes on what is typed and how large the window is, and puts the terminal back.

Flow: standard input -> frames -> the socket -> frames -> standard output, standard error, exit status
Never: speaks to a socket that belongs to somebody else; leaves the terminal as it was not.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import struct
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from ropewalk.console.wire import MOST_DATA, BadFrame, Frames, Opening, frame, window
from ropewalk.errors import Missing, Refused, Unavailable

__all__ = ["NoServer", "NotOurs", "converse", "told"]

_CREDENTIALS = struct.Struct("3i")
_CONNECTS_WITHIN = 5.0  # seconds
_ANSWERS_WITHIN = 300.0  # seconds for one command: a restart may take two deadlines and a start


class NoServer(Missing):
    """Nobody listens on a console's socket."""

    code = "console.no-server"


class NotOurs(Refused):
    """A console's socket belongs to another user."""

    code = "console.not-ours"


class HungUp(Unavailable):
    """The process at the other side of a console's socket has ended the conversation without a word."""

    code = "console.hung-up"


def told(path: Path, words: Sequence[str], columns: int) -> int:
    """Give one command; the exit status.

    Args:
        path: Of the socket.
        words: The command.
        columns: Of a line; 0 for as many as it takes.

    Raises:
        NoServer, NotOurs, HungUp, BadFrame.
    """
    with _connected(path) as sock:
        sock.settimeout(_ANSWERS_WITHIN)
        _open(sock, Opening(tuple(words), columns=columns))
        return _shown(lambda: _received(sock))


def converse(path: Path) -> int:
    """Let somebody talk to the console by this process's own standard streams; the exit status of the last line.

    Where they are a terminal's, it is in character mode meanwhile; else lines are read, and no prompts are shown.

    Raises:
        NoServer, NotOurs, HungUp, BadFrame.
    """
    person = sys.stdin.isatty() and sys.stdout.isatty()
    columns, rows = _size()
    term = os.environ.get("TERM", "")
    colour = person and term not in ("", "dumb") and not os.environ.get("NO_COLOR")
    with _connected(path) as sock:
        _open(sock, Opening(None, columns, rows, term[:64], keys=person, colour=colour, quiet=not person))
        if not person:
            return _pumped(sock)
        with _raw(), _window_changes(sock):
            return _pumped(sock)


def _pumped(sock: socket.socket) -> int:
    """Pass on what is typed until the other side has said its last."""
    typing = [sys.stdin.fileno()]

    def next_data() -> bytes:
        while True:
            ready, _, _ = select.select([sock, *typing], [], [])
            if typing and typing[0] in ready:
                data = _typed(typing[0])
                with suppress(BrokenPipeError, ConnectionResetError):  # what it said before is still to be read
                    sock.sendall(frame(b"d", data) if data else frame(b"e"))
                if not data:
                    typing.clear()
            if sock in ready:
                return _received(sock)

    return _shown(next_data)


def _shown(next_data: Callable[[], bytes]) -> int:
    frames = Frames(b"dfx")
    while True:
        data = next_data()
        if not data:
            raise HungUp("the console has hung up", hint="its process may have ended; its log says more")
        for letter, part in frames.feed(data):
            if letter == b"x":
                if len(part) != 1:
                    raise BadFrame(f"an exit status of {len(part)} bytes")
                return part[0]
            _write(1 if letter == b"d" else 2, part)


def _typed(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, MOST_DATA)
    except OSError:  # a terminal that has hung up
        return b""


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(64 * 1024)
    except ConnectionResetError:
        return b""
    except TimeoutError:
        raise HungUp(f"the console did not answer within {_ANSWERS_WITHIN:g} s") from None


@contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    """A connection to the socket, if it is our own user's, or root's."""
    hint = "`ropewalk up` has one, and so has an application with a service of kind console: --socket PATH"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_CONNECTS_WITHIN)
        try:
            if not stat.S_ISSOCK(path.stat().st_mode):
                raise NoServer(f"{path} is no socket", hint=hint)
            sock.connect(str(path))
            owner = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1]
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise NoServer(f"nobody listens on {path}", hint=hint) from None
        except PermissionError:
            raise NotOurs(f"{path} is another user's") from None
        except OSError as error:
            raise NoServer(f"no console by {path}: {error.strerror or error}") from None
        if owner not in (os.geteuid(), 0):
            raise NotOurs(f"user {owner} listens on {path}, expected ourselves or root")
        sock.settimeout(None)
        yield sock


def _open(sock: socket.socket, opening: Opening) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it is full, and has said so, or will hang up
        sock.sendall(msgspec.json.encode(opening) + b"\n")


@contextmanager
def _raw() -> Iterator[None]:
    """Character mode, and the terminal as it was afterwards."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    ended = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)
        yield
    finally:
        with suppress(termios.error):  # it has hung up
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        signal.signal(signal.SIGTERM, ended)


@contextmanager
def _window_changes(sock: socket.socket) -> Iterator[None]:
    def changed(*_: object) -> None:
        with suppress(OSError):
            sock.sendall(window(*_size()))

    before = signal.signal(signal.SIGWINCH, changed)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _size() -> tuple[int, int]:
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return 80, 24
    return size.columns, size.lines
