"""`ropewalk console`: one command, lines by a pipe, and a person at a real terminal."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]

APP = """
[application]
name = "shop"
deadline = 3

[services.data]
kind = "echo"
listen = "memory://console-data"

[services.console]
kind = "console"
"""
WITHIN = 60.0  # seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One with an application that runs."""
    folder = tmp_path_factory.mktemp("c")
    (folder / "app.toml").write_text(APP)
    words = [sys.executable, "-m", "ropewalk", "serve", "app.toml"]
    with (folder / "log").open("w") as log, subprocess.Popen(words, cwd=folder, stderr=log) as server:
        ends = time.monotonic() + WITHIN
        while '"shop is up' not in (folder / "log").read_text():
            assert time.monotonic() < ends, (folder / "log").read_text()
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        try:
            yield folder
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def words(*more: str) -> list[str]:
    return [sys.executable, "-m", "ropewalk", "console", "--socket", "run/console.sock", *more]


def told(folder: Path, *more: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(*more), cwd=folder, input=given, capture_output=True, text=True, timeout=WITHIN, check=False
    )


def test_one_command(folder: Path) -> None:
    done = told(folder, "service", "data")
    assert (done.returncode, done.stderr) == (0, "")
    assert "state" in done.stdout
    done = told(folder, "--json", "services")
    assert {one["name"] for one in json.loads(done.stdout)} == {"data", "console"}
    done = told(folder, "stop", "dta")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "error: no service 'dta'\nhint: did you mean data?\n"
    done = told(folder, "--json", "stop", "dta")
    assert json.loads(done.stderr)["error"]["code"] == "service.no-service"
    done = told(folder, "log", "--level", "debug")
    assert done.returncode == 2
    assert "hint: options of the console's commands come after `--`" in done.stderr
    assert told(folder, "--", "log", "--level", "debug").returncode == 0
    done = told(folder, "--", "restart", "console", "--force")
    assert (done.returncode, done.stdout) == (0, "console goes down and comes back\n")


def test_lines_by_a_pipe(folder: Path) -> None:
    ends = time.monotonic() + WITHIN  # the test before may have it restarted
    while (done := told(folder, given="python\n6 * 7\nexit()\nhelp stop\nbogus\n")).returncode != 2:
        assert time.monotonic() < ends, done
    assert done.stdout.startswith("42\nstop NAME [--force]\n")
    assert done.stdout.endswith("error: no command 'bogus'\nhint: `help` says what there is\n")
    assert ">" not in done.stdout


def test_nobody_listens(tmp_path: Path) -> None:
    done = told(tmp_path, "services")
    assert done.returncode == 3
    assert done.stderr.startswith("error: nobody listens on run/console.sock\nhint: ")


class Person:
    """Somebody at a terminal of 90 columns."""

    def __init__(self, folder: Path) -> None:
        self.process, self._terminal = pty.fork()
        if self.process == 0:  # pragma: no cover - the other program
            os.chdir(folder)
            os.environ["TERM"] = "xterm"
            os.execv(sys.executable, words())  # noqa: S606
        self.resize(90)
        self.seen = ""
        self.canonical = False  # at its end

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))

    def types(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def sees(self, text: str) -> None:
        """Wait until this is shown after what was seen before."""
        ends = time.monotonic() + WITHIN
        while text not in self.seen:
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, ends - time.monotonic()))
            assert ready, self.seen
            data = self._read()
            assert data, self.seen
            self.seen += data.decode(errors="replace")
        self.seen = self.seen.partition(text)[2]

    def leaves(self) -> int:
        """Wait for the end; its status."""
        while self._read():
            pass
        self.canonical = bool(termios.tcgetattr(self._terminal)[3] & termios.ICANON)
        _, status = os.waitpid(self.process, 0)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bytes:
        try:
            return os.read(self._terminal, 65_536)
        except OSError as error:
            if error.errno != errno.EIO:  # as Linux tells the end
                raise
            return b""


def test_a_person_at_a_terminal_with_completion_and_history(folder: Path) -> None:
    person = Person(folder)
    person.sees("`help` helps")
    person.types("upt\t")
    person.sees("ime")  # the rest of it
    person.types("\r")
    person.sees("services up")
    person.types("\x1b[A\r")  # the line before
    person.sees("services up")
    person.types("service d\t")
    person.sees("ata")
    person.types("\r")
    person.sees("needed by")
    person.types("python\r")
    person.sees(">>>")
    person.types("print(600 * 7); await asyncio.sleep(1000)\r")
    person.sees("4200")
    person.types("\x03")
    person.sees("KeyboardInterrupt")
    person.types("sorted(services)\r")
    person.sees("['console', 'data']")
    person.types("exit()\r")
    person.sees("shop")
    person.types("bogus\r")
    person.sees("no command")
    person.types("quit\r")
    assert person.leaves() == 0


def test_a_terminal_is_as_it_was_afterwards_and_a_hang_up_ends_all(folder: Path) -> None:
    person = Person(folder)
    person.sees("`help` helps")
    assert not termios.tcgetattr(person._terminal)[3] & termios.ICANON
    person.resize(60)
    os.kill(person.process, signal.SIGWINCH)
    person.types("quit\r")
    assert person.leaves() == 0
    assert person.canonical
    person = Person(folder)
    person.sees("`help` helps")
    assert "unix" in told(folder, "who").stdout
    os.close(person._terminal)
    os.waitpid(person.process, 0)
    ends = time.monotonic() + WITHIN
    while told(folder, "who").stdout != "none\n":
        assert time.monotonic() < ends


@pytest.mark.parametrize("there", [True, False])
def test_the_node_of_a_home_has_one_unless_told_otherwise(tmp_path: Path, there: bool) -> None:
    env = {**os.environ, "ROPEWALK_HOME": str(tmp_path / "h")}
    command = [sys.executable, "-m", "ropewalk"]
    more = [] if there else ["--no-console"]
    run = [*command, "up", "--no-spaces", "--listen", "tls://127.0.0.1:0", *more]
    with subprocess.Popen(run, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as node:
        try:
            assert node.stdout is not None
            assert node.stdout.readline()  # it is up
            asked = [*command, "console", "--json", "services"]
            done = subprocess.run(asked, env=env, capture_output=True, text=True, timeout=WITHIN, check=False)
        finally:
            node.send_signal(signal.SIGTERM)
            node.wait(60)
    if there:
        assert {one["name"]: one["state"] for one in json.loads(done.stdout)} == {"node": "up", "console": "up"}
    else:
        assert (done.returncode, json.loads(done.stderr)["error"]["code"]) == (3, "console.no-server")
