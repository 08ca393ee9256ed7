"""Sessions over what a process is born with: sockets by their numbers or from systemd, standard input and output."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ropewalk import broker, net
from ropewalk.net import binding
from ropewalk.net.inherited import inherited
from tests.broker.hosts import Desk, House, served, until
from tests.net.loops import each_loop

LONG = 3_000_000
SERVER = """
import asyncio, sys
from ropewalk import broker, net
from tests.broker.hosts import House, Me

async def main():
    over = asyncio.Event()

    class Last(Me):
        def left(self):
            over.set()

    house = House(make=Last)
    async with await net.listen(sys.argv[1], house.protocol):
        await over.wait()
        await house.close(20)

asyncio.run(main())
"""
STARTER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="desk")
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[2:]])
"""


async def used(house: House | None, url: str | net.Endpoint) -> None:
    """Small calls and long ones, references, streams, and the end."""
    async with broker.connect(url) as me:
        assert await me.echo(5) == 5
        assert await me.desk("gold").quote("x") == "gold: x"
        assert await me.ask(Desk("mine")) == "mine: you"
        assert await me.echo(b"x" * LONG) == b"x" * LONG
        assert [number async for number in await me.count(300)] == list(range(300))
    if house is not None:
        assert house.given[-1].gone == 1
        await until(lambda: not house.sessions)


@asynccontextmanager
async def listening() -> AsyncIterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@each_loop
async def test_a_listening_socket_by_its_number() -> None:
    house = House()
    async with listening() as sock, served(house, f"fd://{sock.fileno()}") as listener:
        for _ in range(2):
            await used(house, listener.endpoint.peer())


@each_loop
async def test_connected_sockets_by_their_numbers() -> None:
    house = House()
    one, other = socket.socketpair()
    async with served(house, f"fd://{one.detach()}"):
        await used(house, f"fd://{other.detach()}")


@each_loop
async def test_a_socket_that_systemd_passed() -> None:
    house = House()
    async with listening() as sock:
        environ = {"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "desk"}
        found = inherited("desk", environ, 7, first=sock.fileno())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(binding, "inherited", lambda *_: found)
            async with served(house, "systemd:desk") as listener:
                await used(house, listener.endpoint.peer())


@each_loop
async def test_two_pipes() -> None:
    house = House()
    there, back = os.pipe(), os.pipe()
    async with served(house, f"stdio:?read={there[0]}&write={back[1]}"):
        os.close(there[0])
        os.close(back[1])
        url = f"stdio:?read={back[0]}&write={there[1]}"
        await used(house, url)
        os.close(back[0])
        os.close(there[1])


@pytest.mark.system
def test_the_standard_input_and_output_of_a_program() -> None:
    command = [sys.executable, "-c", SERVER, "stdio:"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asyncio.run(used(None, f"stdio:?read={process.stdout.fileno()}&write={process.stdin.fileno()}"))
        assert process.wait(20) == 0


@pytest.mark.system
def test_a_program_that_systemd_starts(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        command = [sys.executable, "-c", STARTER, str(sock.fileno()), SERVER, "systemd:desk"]
        with subprocess.Popen(command, pass_fds=[sock.fileno()]) as process:
            asyncio.run(used(None, f"unix://{path}"))
            assert process.wait(20) == 0
