"""What serving through `ropewalk.net` costs, beside the bare event loop.

Flow: a server's process with two ports, one of the bare loop and one of net -> clients here, in short turns -> medians
Never: compares two processes: where memory and cores happen to lie makes a fifth more or less of the same code.

    python bench/network.py [--rounds 7] [--idle 10000] [--only echo]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

ECHOES = 1_500  # round trips in one turn: a tenth of a second
ACCEPTS = 100  # connections in one turn
TURNS = 6  # of each in one process, after one that warms up


class Echo(asyncio.Protocol):
    """The same protocol for both."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


# ---- the server's process --------------------------------------------------------------------------------------------


def rss() -> int:
    """Bytes of memory that are this process's own."""
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Private_Dirty"):
            return int(line.split()[1]) * 1024
    return 0


async def serve(kind: str, pem: str) -> None:
    """Serve tcp or tls, bare and through net, until the standard input ends; a line on it asks how it is."""
    from ropewalk import net

    loop = asyncio.get_running_loop()
    context = None
    if kind == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(pem)
    server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=context, backlog=2048)
    listener = await net.listen(
        f"{kind}://127.0.0.1:0", Echo, certificates=context, limits=net.Limits(connections=None)
    )
    print(server.sockets[0].getsockname()[1], listener.endpoint.port, flush=True)
    while question := await loop.run_in_executor(None, sys.stdin.readline):
        used = resource.getrusage(resource.RUSAGE_SELF)
        if question == "memory\n":
            gc.collect()
            print(rss(), flush=True)
        else:
            print(used.ru_utime + used.ru_stime, flush=True)
    os._exit(0)  # 10,000 connections need no farewell


class Server:
    """A server's process: its ports, bare and through net, and how it is doing."""

    def __init__(self, kind: str, pem: str) -> None:
        command = [sys.executable, __file__, "--serve", kind, "--pem", pem]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.ports = [int(port) for port in self.process.stdout.readline().split()]

    def ask(self, question: str) -> float:
        """Bytes of memory, or seconds of CPU so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{question}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


# ---- clients ---------------------------------------------------------------------------------------------------------


def connected(port: int, context: ssl.SSLContext | None) -> socket.socket:
    """A client's socket."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(sock) if context else sock


def echoes(port: int, context: ssl.SSLContext | None) -> int:
    """Round trips of 64 bytes on one connection; how many."""
    data = b"x" * 64
    with connected(port, context) as sock:
        for _ in range(ECHOES):
            sock.sendall(data)
            sock.recv(64)
    return ECHOES


def accepts(port: int, context: ssl.SSLContext | None) -> int:
    """Connections with one byte there and back; how many."""
    for _ in range(ACCEPTS):
        with connected(port, context) as sock:
            sock.sendall(b"x")
            sock.recv(1)
    return ACCEPTS


def beside(
    title: str,
    kind: str,
    pem: str,
    measure: Callable[[int, ssl.SSLContext | None], int],
    context: ssl.SSLContext | None,
    rounds: int,
) -> None:
    """Measure both in turns, each round in a new process; print the medians of all turns and of the rounds' ratios."""
    rates: tuple[list[float], list[float]] = ([], [])
    costs: tuple[list[float], list[float]] = ([], [])
    ratios: list[float] = []
    for _ in range(rounds):
        server = Server(kind, pem)
        times: tuple[list[float], list[float]] = ([], [])
        for turn in range(TURNS + 1):
            for which in (0, 1) if turn % 2 else (1, 0):
                spent, started = server.ask("cpu"), time.perf_counter()
                count = measure(server.ports[which], context)
                took = time.perf_counter() - started
                if turn:  # the first one warms up
                    times[which].append(took)
                    rates[which].append(count / took)
                    costs[which].append((server.ask("cpu") - spent) / count)
        server.stop()
        ratios.append(statistics.median(times[0]) / statistics.median(times[1]))
    bare, net = (statistics.median(found) for found in rates)
    cpu = [statistics.median(found) * 1e6 for found in costs]
    print(
        f"{title:10} bare {bare:8,.0f}/s  net {net:8,.0f}/s  ratio {statistics.median(ratios):.3f}"
        f" ({min(ratios):.3f} to {max(ratios):.3f})   server CPU {cpu[0]:.1f} and {cpu[1]:.1f} us",
        flush=True,
    )


def idle(title: str, which: int, pem: str, count: int) -> None:
    """Memory of connections that do nothing."""
    server = Server("tcp", pem)
    before = server.ask("memory")
    socks = []
    for at in range(count):
        socks.append(connected(server.ports[which], None))
        if at % 1000 == 999:
            server.ask("memory")  # so that it keeps up
    used = (server.ask("memory") - before) / count / 1024
    print(f"{title:10} {count:,} idle connections: {used:.2f} KiB each", flush=True)
    for sock in socks:
        sock.close()
    server.stop()


def self_signed(folder: Path) -> str:
    """Certificate and key for the servers, by our own development authority."""
    from ropewalk.net.development import DevelopmentAuthority

    path = folder / "server.pem"
    path.write_bytes(DevelopmentAuthority(folder).signed(["localhost"]))
    return str(path)


def main() -> None:
    """Measure all and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--only", default="")
    parser.add_argument("--serve", default="")
    parser.add_argument("--pem", default="")
    chosen = parser.parse_args()
    if chosen.serve:
        import uvloop

        uvloop.run(serve(chosen.serve, chosen.pem))
        return
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        pem = self_signed(Path(folder))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        for title, kind, measure, using in (
            ("TCP echo", "tcp", echoes, None),
            ("TLS echo", "tls", echoes, context),
            ("TCP accept", "tcp", accepts, None),
            ("TLS accept", "tls", accepts, context),
        ):
            if chosen.only in title:
                beside(title, kind, pem, measure, using, chosen.rounds)
        for which, title in enumerate(("bare", "net")):
            if chosen.only in "idle":
                idle(title, which, pem, min(chosen.idle, most - 1000))


if __name__ == "__main__":
    main()
