"""OpenSSH's own client: logs in by key and by password, sees its terminal, interrupts, resizes, runs commands."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from ropewalk.ssh.commands import Commands
from ropewalk.ssh.limits import SshLimits
from tests.ssh.place import ANN, MALLORY, WITHIN, Place, parrot, served
from tests.ssh.test_visits import runs, shows

pytestmark = [pytest.mark.system, pytest.mark.skipif(not shutil.which("ssh"), reason="OpenSSH's client is not there")]


class Client:
    """How to start it."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place, self.folder = place, folder
        port = place.listener.endpoint.port
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {place.server.key.line}\n")
        self._words = ["ssh", "-F", "none", "-p", str(port), "-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR"]
        self._words += ["-o", f"UserKnownHostsFile={folder / 'known_hosts'}", "-o", "GlobalKnownHostsFile=/dev/null"]
        self._words += ["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]

    def words(self, *more: str, key: asyncssh.SSHKey | None = ANN, name: str = "ann") -> list[str]:
        if key is not None:
            path = self.folder / "id"
            path.write_bytes(key.export_private_key())
            path.chmod(0o600)
            more = ("-i", str(path), "-o", "BatchMode=yes", *more)
        return [*self._words, *more[:-1], "-l", name, "127.0.0.1", *([more[-1]] if more[-1] else [])]

    async def run(
        self, *more: str, stdin: bytes = b"", env: dict[str, str] | None = None, key: asyncssh.SSHKey | None = ANN
    ) -> tuple[int, bytes, bytes]:
        """Status, output, errors. The last of the words is the command, "" for none."""
        process = await asyncio.create_subprocess_exec(
            *self.words(*more, key=key),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **(env or {})},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(WITHIN):
                out, err = await process.communicate(stdin)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, out, err


class Window:
    """A pseudo-terminal, and the client in it."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self._master, self.process = master, process
        self.heard = b""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    async def until(self, text: bytes) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(WITHIN):
            while text not in self.heard:
                ready = loop.create_future()
                loop.add_reader(self._master, ready.set_result, None)
                try:
                    await ready
                finally:
                    loop.remove_reader(self._master)
                self.heard += os.read(self._master, 4096)


@asynccontextmanager
async def window(client: Client, term: str) -> AsyncIterator[Window]:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 33, 101, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *client.words("-tt", ""),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={"PATH": os.environ["PATH"], "HOME": str(client.folder), "TERM": term},
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Window(master, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        os.close(master)


async def test_openssh_logs_in_by_key_and_talks(tmp_path: Path) -> None:
    async with served(tmp_path, url="tcp://127.0.0.1:0") as place:
        done = await Client(place, tmp_path).run("", stdin="Grüße\n".encode())
        assert done == (0, "hello ann\nGrüße Grüße\n".encode(), b"")
        await place.empty()
        assert place.left == ["ann"]


async def test_openssh_logs_in_by_password(tmp_path: Path) -> None:
    async with served(tmp_path, url="tcp://127.0.0.1:0") as place:
        asking = tmp_path / "ask"
        asking.write_text("#!/bin/sh\necho right\n")
        asking.chmod(0o700)
        env = {"SSH_ASKPASS": str(asking), "SSH_ASKPASS_REQUIRE": "force"}
        assert await Client(place, tmp_path).run("", key=None, env=env) == (0, b"hello ann\n", b"")
        asking.write_text("#!/bin/sh\necho wrong\n")
        status, out, err = await Client(place, tmp_path).run("", key=None, env=env)
        assert (status, out) == (255, b"")
        assert b"Permission denied (publickey,password)" in err


async def test_openssh_with_a_wrong_key_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path, url="tcp://127.0.0.1:0", limits=SshLimits(tries=1)) as place:
        status, _, err = await Client(place, tmp_path).run("", key=MALLORY)
        assert status == 255
        assert b"too many logins failed" in err


async def test_openssh_does_not_talk_to_another_host_key(tmp_path: Path) -> None:
    async with served(tmp_path, url="tcp://127.0.0.1:0") as place:
        client = Client(place, tmp_path)
        (tmp_path / "host_key").unlink()
        from ropewalk.ssh.host_key import host_key

        place.server.use_key(host_key(tmp_path / "host_key"))
        status, _, err = await client.run("")
        assert status == 255
        assert b"REMOTE HOST IDENTIFICATION HAS CHANGED" in err
        assert place.people.asked == []


async def test_openssh_runs_a_command_and_gets_its_status(tmp_path: Path) -> None:
    async with served(tmp_path, Commands(runs), url="tcp://127.0.0.1:0") as place:
        assert await Client(place, tmp_path).run("end with 9") == (9, b"end with 9 of ann, False, True\nno more\n", b"")
    async with served(tmp_path, parrot, url="tcp://127.0.0.1:0") as place:
        status, out, err = await Client(place, tmp_path).run("ls")
        assert (status, out) == (255, b"")
        assert b"exec request failed" in err


@pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
async def test_openssh_has_a_terminal(term: str, tmp_path: Path) -> None:
    async with served(tmp_path, shows, url="tcp://127.0.0.1:0") as place:
        async with window(Client(place, tmp_path), term) as seen:
            await seen.until(f"101x33 '{term}' {term != 'dumb'} True\r\n".encode())
            seen.type("typed\r")
            await seen.until(b"'typed' 101x33")
            seen.resize(64, 20)
            seen.type("x\x03")
            await seen.until(b"'^C'")
            while b"64x20" not in seen.heard:  # a size may come after what was typed later
                seen.type("more\r")
                await seen.until(b"'more'")
                seen.heard = seen.heard.replace(b"'more'", b"")
            seen.type("\x04")
            async with asyncio.timeout(WITHIN):
                assert await seen.process.wait() == 0
        await place.empty()
