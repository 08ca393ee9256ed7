"""`ropewalk serve` as a process: signals, logs, systemd, and services that fail."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

KINDS = """\
from __future__ import annotations

import asyncio
import time

from ropewalk.service import Service


class Idle(Service):
    pass


class BadStart(Service):
    async def start(self):
        raise RuntimeError("broken at start")


class BadMiddle(Service):
    async def run(self):
        await asyncio.sleep(0.01)
        raise RuntimeError("broken in the middle")


class BadStop(Service):
    async def stop(self, seconds):
        raise RuntimeError("broken at stop")


class SlowStop(Service):
    async def stop(self, seconds):
        await asyncio.sleep(1000)


class StuckStop(Service):
    async def stop(self, seconds):
        time.sleep(1000)


class Stubborn(Service):
    async def run(self):
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                pass


class SlowStart(Service):
    async def start(self):
        await asyncio.sleep(1000)


class Blocking(Service):
    async def run(self):
        time.sleep(0.4)
        await super().run()
"""


class Served:
    """A running `ropewalk serve`."""

    def __init__(self, process: subprocess.Popen[str], notified: socket.socket) -> None:
        self.process, self.notified = process, notified
        self.log: list[dict[str, object]] = []

    def until(self, *words: str) -> dict[str, object]:
        """The line of the log whose message has all these words, now or later."""
        assert self.process.stderr is not None
        for line in self.log:
            if all(word in str(line["message"]) for word in words):
                return line
        for text in self.process.stderr:
            self.log.append(json.loads(text))
            if all(word in str(self.log[-1]["message"]) for word in words):
                return self.log[-1]
        raise AssertionError(f"{words} not in {self.log}")

    def told(self) -> str:
        """What systemd is told next."""
        return self.notified.recv(4096).decode()

    def end(self) -> int:
        """The exit status."""
        assert self.process.stderr is not None
        self.log += [json.loads(line) for line in self.process.stderr if line.startswith("{")]
        return self.process.wait(20)

    def signal(self, which: signal.Signals) -> None:
        self.process.send_signal(which)


@contextmanager
def serving(tmp_path: Path, config: str) -> Iterator[Served]:
    (tmp_path / "kinds.py").write_text(KINDS)
    (tmp_path / "app.toml").write_text(config)
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(address)
        notified.settimeout(20)
        process = subprocess.Popen(
            [sys.executable, "-m", "ropewalk", "serve", "app.toml"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "NOTIFY_SOCKET": address},
            stderr=subprocess.PIPE,
            text=True,
        )
        late = threading.Timer(40, process.kill)  # ends its log too, so that nobody waits for a line for ever
        late.start()
        try:
            yield Served(process, notified)
        finally:
            late.cancel()
            process.kill()
            process.wait(20)
            assert process.stderr is not None
            process.stderr.close()


ECHO = '[services.echo]\nkind = "echo"\nlisten = "tcp://127.0.0.1:0"\n'


def _port(served: Served) -> int:
    message = str(served.until("echo: listening on")["message"])
    return int(message.rpartition(":")[2])


def _echoed(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        peer.sendall(b"hello")
        return peer.recv(5, socket.MSG_WAITALL)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_0(tmp_path: Path, loop: str, which: signal.Signals) -> None:
    with serving(tmp_path, f'[application]\nname = "demo"\nloop = "{loop}"\n{ECHO}') as served:
        port = _port(served)
        assert served.told() == "READY=1\nSTATUS=up: echo"
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            peer.sendall(b"hello")
            assert peer.recv(5, socket.MSG_WAITALL) == b"hello"
            served.signal(which)
            assert served.told() == "STOPPING=1"
            assert peer.recv(1) == b""  # asked to end, and not reset
        assert served.end() == 0
        assert f"demo stops on {which.name}" in [line["message"] for line in served.log]


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, '[services.slow]\nkind = "kinds:SlowStop"\n') as served:
        served.until("ropewalk is up")
        served.signal(signal.SIGTERM)
        served.until("stops on SIGTERM")
        served.signal(signal.SIGTERM)
        assert served.end() == -signal.SIGTERM


def test_a_stop_takes_no_longer_than_its_deadline(tmp_path: Path) -> None:
    config = '[application]\ndeadline = 0.2\n[services.slow]\nkind = "kinds:SlowStop"\n'
    with serving(tmp_path, config) as served:
        served.until("ropewalk is up")
        served.signal(signal.SIGTERM)
        served.until("service slow failed at stop: it did not stop within 0.2 s")
        assert served.end() == 0


@pytest.mark.parametrize(("kind", "phase"), [("BadStart", "start"), ("BadMiddle", "run"), ("BadStop", "stop")])
def test_a_service_that_fails_harms_no_other(tmp_path: Path, kind: str, phase: str) -> None:
    config = f'[services.bad]\nkind = "kinds:{kind}"\nrestart = "never"\n[services.more]\nkind = "kinds:Idle"\n{ECHO}'
    with serving(tmp_path, config) as served:
        port = _port(served)
        if phase != "stop":
            failed = served.until(f"service bad failed at {phase}: RuntimeError: broken")
            assert "RuntimeError" in str(failed["stack"])
        assert _echoed(port) == b"hello"
        served.signal(signal.SIGTERM)
        if phase == "stop":
            served.until("service bad failed at stop: RuntimeError: broken at stop")
        assert served.end() == 0


def test_sighup_reads_the_file_again(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO) as served:
        port = _port(served)
        served.told()
        config = tmp_path / "app.toml"
        config.write_text(ECHO + '[services.more]\nkind = "kinds:Idle"\n')
        served.signal(signal.SIGHUP)
        served.until("service more is up")
        assert served.told().startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert served.told() == "READY=1\nSTATUS=reloaded"
        assert _echoed(port) == b"hello"  # what did not change went on
        config.write_text(ECHO + "[services.more]\nkimd = 1\n")
        served.signal(signal.SIGHUP)
        refused = served.until("not reloaded: app.toml:4: services.more: missing")
        assert refused["code"] == "service.bad-config"
        assert [served.told()[:9], served.told()] == ["RELOADING", "READY=1\nSTATUS=not reloaded: see the log"]
        assert _echoed(port) == b"hello"


@pytest.mark.parametrize(("kind", "loop"), [("StuckStop", "asyncio"), ("Stubborn", "uvloop")])
def test_a_process_that_cannot_go_down_is_ended_and_says_where_it_was(tmp_path: Path, kind: str, loop: str) -> None:
    """A service may block the loop, or not heed that it is cancelled."""
    config = f'[application]\nloop = "{loop}"\ndeadline = 0.1\n[services.bad]\nkind = "kinds:{kind}"\n'
    with serving(tmp_path, config) as served:
        served.until("ropewalk is up")
        served.signal(signal.SIGTERM)
        overdue = served.until("the process is not down after 3.1 s, and is ended")
        assert overdue["code"] == "service.overdue"
        assert ("time.sleep(1000)" if kind == "StuckStop" else "loops/kinds.py") in str(overdue["message"])
        assert served.end() == 5


def test_a_stop_during_the_start_is_heeded_at_once(tmp_path: Path) -> None:
    config = f'[application]\ndeadline = 600\n[services.slow]\nkind = "kinds:SlowStart"\n{ECHO}'
    with serving(tmp_path, config) as served:
        _port(served)
        served.signal(signal.SIGTERM)
        assert served.told() == "STOPPING=1"
        assert served.end() == 0
        assert not [line for line in served.log if line["level"] == "error"]


def test_a_reload_before_it_is_up_does_not_say_that_it_is(tmp_path: Path) -> None:
    config = f'[services.slow]\nkind = "kinds:SlowStart"\n{ECHO}'
    with serving(tmp_path, config) as served:
        _port(served)
        (tmp_path / "app.toml").write_text(config + '[services.more]\nkind = "kinds:Idle"\n')
        served.signal(signal.SIGHUP)
        served.until("service more is up")
        (tmp_path / "app.toml").write_text(ECHO)
        served.signal(signal.SIGHUP)
        assert served.told() == "READY=1\nSTATUS=up: echo"


def test_signals_that_come_thick_and_fast(tmp_path: Path) -> None:
    """Reloads that overlap, and a stop in the middle of them."""
    with serving(
        tmp_path, f'{ECHO}[services.slow]\nkind = "kinds:SlowStop"\n[application]\ndeadline = 0.5\n'
    ) as served:
        served.until("ropewalk is up")
        served.told()
        (tmp_path / "app.toml").write_text(f'{ECHO}[services.more]\nkind = "kinds:Idle"\n')
        for _ in range(20):
            served.signal(signal.SIGHUP)
        assert served.told().startswith("RELOADING=1")
        served.until("[application] has changed, which takes effect only when the process is started again")
        served.signal(signal.SIGTERM)
        told = [served.told()]
        while told[-1] != "STOPPING=1":
            told.append(served.told())
        assert served.end() == 0
        assert not any(line["level"] == "error" and "slow" not in str(line["message"]) for line in served.log)


def test_a_reload_that_names_a_broken_module_changes_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO) as served:
        port = _port(served)
        served.until("ropewalk is up")
        (tmp_path / "wrong.py").write_text("def (\n")
        (tmp_path / "app.toml").write_text(f'{ECHO}[services.more]\nkind = "wrong:Service"\n')
        served.signal(signal.SIGHUP)
        refused = served.until("not reloaded: app.toml:5: services.more.kind: wrong:Service cannot be imported: Syntax")
        assert refused["code"] == "service.bad-config"
        assert _echoed(port) == b"hello"


def test_the_watchdog_of_systemd_is_fed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    with serving(tmp_path, '[services.idle]\nkind = "kinds:Idle"\n') as served:
        said = {served.told() for _ in range(4)}
        assert said == {"WATCHDOG=1", "READY=1\nSTATUS=up: idle"}


def test_a_critical_service_that_fails_ends_the_process(tmp_path: Path) -> None:
    config = f'[services.bad]\nkind = "kinds:BadMiddle"\ncritical = true\n{ECHO}'
    with serving(tmp_path, config) as served:
        assert any(served.told() == "STOPPING=1" for _ in range(2))
        assert served.end() == 5
        assert any("service 'bad': RuntimeError: broken in the middle" in str(line["message"]) for line in served.log)


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = f'[services.echo]\nkind = "echo"\nlisten = "tcp://127.0.0.1:{port}"\ncritical = true\n'
        with serving(tmp_path, config) as served:
            failed = served.until("service echo failed at start", str(port))
            assert failed["code"] == "net.address-in-use"
            assert served.end() != 0


def test_what_blocks_the_loop_is_named(tmp_path: Path) -> None:
    with serving(tmp_path, '[services.blocking]\nkind = "kinds:Blocking"\n') as served:
        blocked = served.until("the event loop")
        assert blocked["code"] == "threads.loop-blocked"
        assert "time.sleep(0.4)" in json.dumps(blocked)


def test_a_wrong_file_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.toml").write_text("[services.echo]\nkind = 'echo'\nlisten = 'tcp://:0'\nlimts = {}\n")
    for more in ([], ["--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ropewalk", "serve", "app.toml", *more],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 2
        assert "error: app.toml:4: services.echo.limts: unknown key\nhint: did you mean limits?" in done.stderr
