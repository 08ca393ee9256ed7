"""Network: what serving through `ropewalk.net` costs, beside the bare event loop and other libraries on it.

Flow: a server's process with an address for each side -> clients here, in short turns -> a Figure of each side
Never: compares two processes: where memory and cores happen to lie makes a fifth more or less of the same code.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from select import select
from statistics import median
from tempfile import TemporaryDirectory

from figures import Figure, Load
from measure import Failed, say, turned
from report import Goal, Report, beside
from servers import BARE, NET, PEERS

__all__ = ["PATIENCE", "accept", "echo", "idle", "serving"]

KINDS = {"tcp": "TCP", "tls": "TLS", "unix": "Unix", "ws": "WebSocket"}
PATIENCE = 30  # seconds that a client waits for an answer
DATA = b"x" * 64
FRAME = b"\x82\xc0\0\0\0\0" + DATA  # a binary WebSocket message; a mask of zeros changes nothing
HEADER = 2  # bytes before an answer that is as short
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
STEP = 1_000  # connections, after which the server is asked something, so that it keeps up

Address = int | str


class Server:
    """A server's process: where its sides are, and how it is doing."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.addresses: dict[str, Address] = json.loads(self._line())

    def ask(self, question: str) -> float:
        """Bytes of "memory", or seconds of "cpu" so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{question}\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        if not select([self._process.stdout], [], [], PATIENCE)[0]:
            raise Failed(f"a server said nothing for {PATIENCE} s")
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"a server ended with {self._process.wait(PATIENCE)}")
        return line


@contextmanager
def serving(kind: str, folder: Path) -> Iterator[Server]:
    """A server for as long as the context lasts; ``kind`` is one of those in servers.py."""
    if kind == "tls":
        _certify(folder)
    words = [sys.executable, str(Path(__file__).with_name("servers.py")), kind, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Server(process)
            process.communicate(timeout=PATIENCE)  # the end of its input is its own
        finally:
            process.kill()


@contextmanager
def one_core() -> Iterator[None]:
    """Client and server share a core meanwhile: to wake another one takes longer than what is measured, or does not."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})  # a child has it from here; the first core has the interrupts
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def echo(report: Report, load: Load, _folder: Path) -> None:
    """Round trips of 64 bytes on one connection."""
    missing = [f"{name} is not installed: its rows are missing" for name in PEERS if find_spec(name) is None]
    report.notes += [note for note in missing if note not in report.notes]
    for kind, title in KINDS.items():
        sides = _rates(report, load, f"{title} echo", kind, partial(_echoes, kind, load.echoes), load.echoes)
        if kind in {"tcp", "tls"}:
            what = f"{title} echo through net on uvloop, beside the bare protocol"
            report.goals.append(beside(what, sides[NET], sides[BARE], 0.95, least=True))


def accept(report: Report, load: Load, _folder: Path) -> None:
    """Connections, each with one message there and back."""
    for kind, title in KINDS.items():
        _rates(report, load, f"{title} accept", kind, partial(_accepts, kind, load.accepts), load.accepts)


def idle(report: Report, load: Load, folder: Path) -> None:
    """Memory that a server needs for connections that do nothing."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a server's process has it from here
    count = min(load.idle, most - STEP)
    work = f"{count:,} idle connections, memory of each"
    with serving("tcp", folder) as server:
        sides = list(server.addresses)
    for side in sides:
        with serving("tcp", folder) as server:
            before, socks = server.ask("memory"), []
            for at in range(count):
                socks.append(_connected("tcp", server.addresses[side]))
                if at % STEP == STEP - 1:
                    server.ask("memory")
            each = (server.ask("memory") - before) / count / 1024
            for sock in socks:
                sock.close()
        report.figures.append(Figure(work, side, "KiB", [each]))
        say(f"{work}: {side} {each:.2f} KiB")
        if side == NET:
            what = f"one of {count:,} idle connections through net, memory of the server"
            report.goals.append(Goal(what, each, 6, "KiB"))


def _rates(
    report: Report, load: Load, work: str, kind: str, act: Callable[[Address], None], count: int
) -> dict[str, Figure]:
    """Every side in short turns, each round in a new process: a rate of each round."""
    figures: dict[str, Figure] = {}
    costs: dict[str, list[float]] = {}
    for _ in range(load.rounds):
        # A socket's name must be short.
        with one_core(), TemporaryDirectory() as inside, serving(kind, Path(inside)) as server:
            rates: dict[str, list[float]] = {side: [] for side in server.addresses}
            for turn in range(load.turns + 1):
                for side in turned(list(rates), turn):
                    spent, started = server.ask("cpu"), time.perf_counter()
                    act(server.addresses[side])
                    took = time.perf_counter() - started
                    spent = server.ask("cpu") - spent
                    if turn:  # the first one warms up
                        rates[side].append(count / took)
                        costs.setdefault(side, []).append(spent / count)
        for side, found in rates.items():
            figures.setdefault(side, Figure(work, side, "/s")).values.append(median(found))
    for side, figure in figures.items():
        figure.more = f"server's CPU {median(costs[side]) * 1e6:.1f} us each"
    report.figures += figures.values()
    say(f"{work}: {', '.join(f'{side} {figure.shown}' for side, figure in figures.items())}")
    return figures


def _echoes(kind: str, count: int, address: Address) -> None:
    with _connected(kind, address) as sock:
        for _ in range(count):
            _exchange(kind, sock)


def _accepts(kind: str, count: int, address: Address) -> None:
    for _ in range(count):
        with _connected(kind, address) as sock:
            _exchange(kind, sock)


def _connected(kind: str, address: Address) -> socket.socket:
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address)
    else:
        sock = socket.create_connection(("127.0.0.1", address))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # The kernel's own deadline: Python's would be one more system call for each of ours.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE, 0))
    if kind == "tls":
        return _CONTEXT.wrap_socket(sock)
    if kind == "ws":
        sock.sendall(UPGRADE)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += _received(sock, 4096)
    return sock


def _exchange(kind: str, sock: socket.socket) -> None:
    sock.sendall(FRAME if kind == "ws" else DATA)
    left = len(DATA) + HEADER if kind == "ws" else len(DATA)
    while left:
        left -= len(_received(sock, left))


def _received(sock: socket.socket, most: int) -> bytes:
    data = sock.recv(most)
    if not data:
        raise Failed("a server closed the connection")
    return data


def _certify(folder: Path) -> None:
    """Certificate and key for the server, by our own development authority."""
    from ropewalk.net.development import DevelopmentAuthority

    (folder / "server.pem").write_bytes(DevelopmentAuthority(folder).signed(["localhost"]))


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_CONTEXT = _unverified()
