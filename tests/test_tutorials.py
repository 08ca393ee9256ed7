"""The tutorials do what they say: their files are written, their commands run, their outputs compared."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]

TUTORIALS = sorted((Path(__file__).parent.parent / "docs" / "tutorial").glob("*.md"))
_BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"\b70\d\d\b")


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


@pytest.fixture
def bash(tmp_path: Path) -> Iterator[Path]:
    """A folder in which `python` and `ropewalk` are those of the tests."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, words in (("python", ""), ("ropewalk", "-m ropewalk")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        program.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    yield work
    shutil.rmtree(work, ignore_errors=True)


def _run(command: str, work: Path, env: dict[str, str]) -> str:
    """What a command says; one that only cannot connect yet, since the server is just starting, is run again."""
    ends = time.monotonic() + 30
    while True:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=work,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        early = re.search(r"refused|no such file", done.stdout, re.IGNORECASE)
        if not early or time.monotonic() > ends:
            return done.stdout


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial(tutorial: Path, bash: Path) -> None:
    ports: dict[str, str] = {}
    text = _PORT.sub(lambda port: ports.setdefault(port[0], _free_port()), tutorial.read_text(encoding="utf-8"))
    env = {
        **os.environ,
        "PATH": f"{bash.parent / 'programs'}{os.pathsep}{os.environ['PATH']}",
        "XDG_DATA_HOME": str(bash.parent / "data"),
        "XDG_STATE_HOME": str(bash.parent / "state"),
    }
    servers: list[subprocess.Popen[bytes]] = []
    ran = 0
    try:
        for kind, name, body in _BLOCK.findall(text):
            if name:
                (bash / name).write_text(body, encoding="utf-8")
            if kind != "console":
                continue
            for step in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                command, _, expected = step.partition("\n")
                ran += 1
                if command.endswith("&"):
                    servers.append(
                        subprocess.Popen(
                            ["bash", "-c", f"exec env {command.removesuffix('&')}"],
                            cwd=bash,
                            env=env,
                            stderr=subprocess.DEVNULL,
                            start_new_session=True,
                        )
                    )
                else:
                    said = expected.strip("\n")
                    assert _run(command, bash, env).strip("\n") == said, command
    finally:
        for server in servers:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(20)
    assert ran
