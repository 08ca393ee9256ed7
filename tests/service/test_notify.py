"""What systemd is told, and how."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ropewalk.service.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@ropewalk-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind("\0" + name[1:] if name.startswith("@") else name)
        heard.settimeout(10)
        yield heard, name


def test_each_state_is_one_message(heard: tuple[socket.socket, str]) -> None:
    receiver, name = heard
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready("up: web\nREADY=0")
    notifier.reloading()
    notifier.stopping()
    notifier.status("so so")
    notifier.alive()
    said = [receiver.recv(8192).decode() for _ in range(5)]
    assert said[0] == "READY=1\nSTATUS=up: web READY=0"  # a status is one line, whatever is in it
    begun, _, since = said[1].partition("\nMONOTONIC_USEC=")
    assert begun == "RELOADING=1"
    assert since.isdecimal()
    assert said[2:] == ["STOPPING=1", "STATUS=so so", "WATCHDOG=1"]


def test_a_long_status_is_cut_so_that_the_rest_is_heard(heard: tuple[socket.socket, str]) -> None:
    """systemd passes over a message of more than 4,096 bytes."""
    receiver, name = heard
    Notifier({"NOTIFY_SOCKET": name}).ready("\u00e9" * 100_000)
    said = receiver.recv(1 << 20)
    assert len(said) <= 4096
    assert said.decode().startswith("READY=1\nSTATUS=\u00e9\u00e9")


@pytest.mark.parametrize("name", ["", "/nowhere/at/all", "@nobody-listens-here", "x" * 200, "vsock:2:1"])
def test_who_does_not_listen_is_not_told(name: str) -> None:
    Notifier({"NOTIFY_SOCKET": name}).ready("up")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_where_it_is_ours(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environment).watchdog == seconds
