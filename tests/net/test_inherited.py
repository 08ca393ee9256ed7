"""Inherited sockets and pipes: fd, systemd and stdio, in processes of their own where they must be."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ropewalk import net
from ropewalk.net import binding
from ropewalk.net.inherited import inherited, inherited_names
from ropewalk.testing.recorder import Recorder
from tests.net.loops import each_loop
from tests.net.peers import Echo, echoed

SERVER = """
import asyncio, sys
from ropewalk import net

class Echo(asyncio.Protocol):
    def __init__(self):
        self.lost = asyncio.get_running_loop().create_future()
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(data)
    def connection_lost(self, error):
        self.lost.set_result(None)

async def main():
    echo = Echo()
    async with await net.listen(sys.argv[1], lambda: echo) as listener:
        print(listener.endpoint, file=sys.stderr, flush=True)
        await echo.lost

asyncio.run(main())
"""

STARTER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[2:]])
"""


def test_names_are_systemds() -> None:
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "web:web"}
    assert inherited_names(environ, 7) == [("web", 3), ("web", 4), ("unknown", 5)]
    assert inherited_names(environ, 8) == []
    assert inherited_names({}, 7) == []
    for junk in ("", "-1", "x", "1e3", "99999", "²"):
        assert inherited_names(environ | {"LISTEN_FDS": junk}, 7) == []


def test_sockets_are_found_by_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        number = sock.fileno()
        environ = {"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
        (copy,) = inherited("web", environ, 7, first=number)
        with copy:
            assert copy.getsockname() == sock.getsockname()
            assert copy.fileno() != number
        with pytest.raises(net.NoSuchSocket, match="web"):
            inherited("other", environ, 7, first=number)
    with pytest.raises(net.NoSuchSocket, match="no socket at all"):
        inherited("", {}, 7)


@pytest.mark.system
def test_socket_of_systemd_is_served(tmp_path: Path) -> None:
    """As systemd starts a service: descriptor 3, and its name in the environment."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        command = [sys.executable, "-c", STARTER, str(sock.fileno()), SERVER, "systemd:web"]
        with subprocess.Popen(command, pass_fds=[sock.fileno()], stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            assert process.stderr.readline().decode().strip() == f"unix://{path}"
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(str(path))
                client.sendall(b"hello")
                assert client.recv(100) == b"hello"
            assert process.wait(20) == 0
    assert path.exists()  # it is systemd's


@each_loop
async def test_listening_descriptor_is_served_again_and_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        for _ in range(2):
            async with await net.listen(f"fd://{sock.fileno()}", Echo) as listener:
                assert str(listener.endpoint) == f"tcp://127.0.0.1:{sock.getsockname()[1]}"
                assert await echoed(listener.endpoint) == b"hello"


async def test_descriptors_that_are_none_are_told() -> None:
    for connects in (net.listen, net.connect):
        with pytest.raises(net.NoSuchSocket, match="not open"):
            await connects("fd://9999", Recorder)
        reading, writing = os.pipe()
        with pytest.raises(net.NoSuchSocket, match="not a socket"):
            await connects(f"fd://{reading}", Recorder)
        os.close(reading)
        os.close(writing)
    with socket.socket() as sock, pytest.raises(net.NotCarried, match="neither"):
        await net.listen(f"fd://{os.dup(sock.fileno())}", Echo)
    with socket.create_server(("127.0.0.1", 0)) as sock, pytest.raises(net.NotCarried, match="listening"):
        await net.connect(f"fd://{sock.fileno()}", Recorder)


@pytest.mark.system
def test_stdio_is_one_connection() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVER, "stdio:"], input=b"hello", capture_output=True, timeout=30, check=True
    )
    assert done.stdout == b"hello"


@pytest.mark.system
def test_stdio_from_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    with path.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-c", SERVER, "stdio:"], stdin=file, capture_output=True, timeout=30, check=False
        )
    assert b"NotCarried" in done.stderr
    assert b"expected a pipe" in done.stderr


@each_loop
async def test_pipes_carry_both_ways_and_half_close() -> None:
    to_server, from_server = os.pipe(), os.pipe()
    served = Recorder(keep=True)
    listener = await net.listen(f"stdio:?read={to_server[0]}&write={from_server[1]}", lambda: served)
    os.close(to_server[0])
    os.close(from_server[1])
    transport, protocol = await net.connect(f"stdio:?read={from_server[0]}&write={to_server[1]}", Recorder)
    os.close(from_server[0])
    os.close(to_server[1])
    transport.write(b"q" * 200_000)
    transport.write_eof()
    await served.until(lambda: "eof_received" in served.calls)
    assert len(served.received) == 200_000
    served.transport.write(b"a" * 200_000)
    served.transport.close()
    assert len(await protocol.until_received(200_000)) == 200_000
    assert await served.until_lost() is None
    assert await protocol.until_lost() is None
    async with asyncio.timeout(5):
        await listener.drain(1)


@each_loop
async def test_output_that_nobody_reads_any_more_ends_it_at_once() -> None:
    into, out = os.pipe(), os.pipe()
    os.close(out[0])
    served = Recorder()
    listener = await net.listen(f"stdio:?read={into[0]}&write={out[1]}", lambda: served)
    assert isinstance(await served.until_lost(), BrokenPipeError)
    assert served.calls[0] == "connection_made"
    await listener.drain(1)
    for number in (*into, out[1]):
        os.close(number)


async def test_sockets_of_systemd_of_which_one_cannot_be_listened_on_are_all_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as good, socket.socket() as bad:
        copies = [os.dup(sock.fileno()) for sock in (good, bad, good)]
        found = [socket.socket(fileno=number) for number in copies]
        monkeypatch.setattr(binding, "inherited", lambda *_: found)
        with pytest.raises(net.NotCarried, match="not a listening one"):
            await net.listen("systemd:", Echo)
        assert [sock.fileno() for sock in found] == [-1, -1, -1]


async def test_more_sockets_than_systemd_passed_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1024")
    with pytest.raises(net.NoSuchSocket):
        await net.listen("systemd:", Echo)
