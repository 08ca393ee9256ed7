"""The same console by SSH and telnet, with accounts and their groups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ropewalk.auth import Accounts
from ropewalk.console import ConsoleConfig, ConsoleService
from ropewalk.net.serving import Serving
from ropewalk.service import Application, Plan
from tests.console.stage import plans

pytestmark = pytest.mark.system

ssh = pytest.importorskip("asyncssh")
pytest.importorskip("telnetlib3")


@asynccontextmanager
async def served(folder: Path, kind: Callable[..., Any], config: Any) -> AsyncIterator[tuple[Application, int]]:
    """An application with a console and one way to it; and its port."""
    users = Accounts(folder / "users.db")
    for name, groups in (("ann", {"python"}), ("bob", {"operators"}), ("eve", {"watchers"}), ("joe", {"others"})):
        users.add(name, f"the secret of {name}", frozenset(groups))
    console = Plan("console", ConsoleService, ConsoleConfig(checkers=("accounts:users.db",)))
    way = Plan("way", kind, config, ("console",))
    application = Application("shop", [*plans(), console, way], deadline=3, folder=folder)
    async with asyncio.timeout(120):
        run = asyncio.create_task(application.run())
        try:
            await application._board.until(lambda: application.stopping or application.service("way") is not None)
            up = application.service("way")
            assert isinstance(up, Serving)
            yield application, up.listeners[0].endpoint.port
        finally:
            application.stop()
            await run


@asynccontextmanager
async def by_ssh(port: int, name: str) -> AsyncIterator[Any]:
    async with ssh.connect(
        "127.0.0.1", port, username=name, password=f"the secret of {name}", known_hosts=None, client_keys=None
    ) as connection:
        yield connection


async def test_by_ssh_each_has_the_rights_of_their_groups(tmp_path: Path, audit: list[dict[str, str]]) -> None:
    from ropewalk.ssh.service import SshConfig, SshService

    config = SshConfig(listen="tcp://127.0.0.1:0", talk="ropewalk.console:talk")
    async with served(tmp_path, SshService, config) as (application, port):
        async with by_ssh(port, "bob") as connection:
            done = await connection.run("restart data")
            assert (done.stdout, done.exit_status) == ("data is up; web is up\n", 0)
            assert (await connection.run("stop dat")).exit_status == 3
            assert "no right to run Python here" in (await connection.run("python")).stdout
            assert "ends this connection" in (await connection.run("stop console")).stdout
            assert "bob" in (await connection.run("who")).stdout
        async with by_ssh(port, "eve") as connection:
            assert "no right to change" in (await connection.run("stop data")).stdout
            assert "data" in (await connection.run("services")).stdout
        with pytest.raises(ssh.PermissionDenied):
            async with by_ssh(port, "joe"):
                pass
        async with by_ssh(port, "ann") as connection, connection.create_process() as process:
            process.stdin.write("python\nsorted(services)\nexit()\nquit\n")
            said = await process.stdout.read()
            assert "['console', 'data', 'way', 'web']" in said
        assert application.control.presence.all() == []
    assert ("bob", "ssh", "restart data") in [(one["who"], one["by"], one["line"]) for one in audit]
    assert "127.0.0.1" in {one["address"] for one in audit}


async def test_by_telnet_nobody_logs_in_where_others_can_read_along(tmp_path: Path) -> None:
    from ropewalk.telnet.service import TelnetConfig, TelnetService

    config = TelnetConfig(listen="tcp://127.0.0.1:0", talk="ropewalk.console:talk", mode="line")
    async with served(tmp_path, TelnetService, config) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"ann\r\nthe secret of ann\r\nservices\r\n")
            said = await reader.read()
            assert b"is not taken by this connection" in said
            assert b"STATE" not in said
        finally:
            writer.close()
            await writer.wait_closed()


async def test_by_telnet_over_a_private_way_all_but_python(tmp_path: Path) -> None:
    from ropewalk.telnet.service import TelnetConfig, TelnetService

    path = tmp_path / "t.sock"
    config = TelnetConfig(listen=f"unix://{path}?mode=600", talk="ropewalk.console:talk", mode="line")
    async with served(tmp_path, TelnetService, config):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            for after, line in (
                (b"login: ", b"ann"),
                (b"assword: ", b"the secret of ann"),
                (b"shop> ", b"restart data"),
                (b"data is up", b""),
                (b"shop> ", b"python"),
                (b"no right to run Python here by telnet", b"quit"),
            ):
                await reader.readuntil(after)
                writer.write(line + b"\r\n" if line else b"")
            await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
