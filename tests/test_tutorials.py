"""Tutorials and how-tos do what they say: their files are written, their commands run, their outputs compared."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ports import free_ports

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).parent.parent
TUTORIALS = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
PAGES = [*TUTORIALS, *sorted((ROOT / "docs" / "howto").glob("*.md"))]  # a page may use the files of tutorials before it
_BLOCK = re.compile(r"^```(\w*) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"\b70\d\d\b")
_EARLY = re.compile(r"refused|no such file|nobody listens", re.IGNORECASE)
# Programs that a page needs and a machine may lack.
_OTHERS = ("openssl", "systemd-socket-activate", "rclone", "weed", "ssh", "ssh-keygen")
_LINK = re.compile(r"\]\(([^)#: ]*)(?:#([^) ]+))?\)")
_WITHIN = 60.0  # seconds in which a server that was started is there, and has told what it knows
_CURL = """
import sys, urllib.error, urllib.request
try:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[-1], timeout=20) as answer:
        sys.stdout.write(answer.read().decode())
except urllib.error.HTTPError as error:
    sys.stdout.write(error.read().decode())
except OSError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def bash(tmp_path: Path) -> Iterator[Path]:
    """A folder in which `python` and `ropewalk` are those of the tests, and `curl` need not be installed."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (tmp_path / "curl.py").write_text(_CURL)
    for name, words in (("python", ""), ("ropewalk", "-m ropewalk"), ("curl", f'"{tmp_path / "curl.py"}"')):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        program.chmod(0o755)
    for name in ("rclone", "weed"):  # they come with the packages for tests
        with suppress(FileNotFoundError):
            (programs / name).symlink_to((Path(sys.executable).parent / name).resolve(strict=True))
    work = tmp_path / "work"
    work.mkdir()
    yield work
    shutil.rmtree(work, ignore_errors=True)


def _run(command: str, expected: str, work: Path, env: dict[str, str]) -> str:
    """What a command says.

    One that cannot connect yet, since the server is just starting, is run again; so is one that only looks, by curl.
    """
    ends = time.monotonic() + _WITHIN
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
        said = done.stdout.strip("\n")
        early = command.startswith("curl ") or _EARLY.search(said)
        if said == expected or not early or time.monotonic() > ends:
            return said


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_does_what_it_says(page: Path, bash: Path) -> None:
    path = f"{bash.parent / 'programs'}{os.pathsep}{os.environ['PATH']}"
    for program in _OTHERS:
        if f"$ {program} " in page.read_text(encoding="utf-8") and not shutil.which(program, path=path):
            pytest.skip(f"{program} is not installed")
    for before in TUTORIALS[: PAGES.index(page)]:
        for _, name, body in _BLOCK.findall(before.read_text(encoding="utf-8")):
            if name:
                (bash / name).write_text(body, encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    fixed = sorted(set(_PORT.findall(text)))
    ports = dict(zip(fixed, free_ports(len(fixed)), strict=True))
    text = _PORT.sub(lambda port: str(ports[port[0]]), text)
    env = {
        **os.environ,
        "PATH": path,
        "XDG_DATA_HOME": str(bash.parent / "data"),
        "XDG_STATE_HOME": str(bash.parent / "state"),
    }
    servers: list[subprocess.Popen[bytes]] = []
    ran = 0
    try:
        for kind, name, body in _BLOCK.findall(text):
            assert name or kind == "console", f"a block that nobody runs: {body}"
            if name:
                (bash / name).write_text(body, encoding="utf-8")
                continue
            for step in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                command, _, expected = step.partition("\n")
                expected = expected.strip("\n")
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
                    assert _run(command, expected, bash, env) == expected, command
    finally:
        for server in servers:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(20)
    assert ran


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_each_file_of_a_page_is_used_by_a_command(page: Path) -> None:
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    commands = " ".join(body for kind, _, body in blocks if kind == "console")
    bodies = " ".join(body for _, name, body in blocks if name)
    for kind, name, _ in blocks:
        if kind == "ini":
            continue  # systemd's, which would install it
        imported = re.search(rf'from {Path(name).stem} import|"{Path(name).stem}:', bodies) if name else None
        assert not name or name in commands or imported, name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_each_page_says_what_to_read_next(page: Path) -> None:
    assert page.read_text(encoding="utf-8").strip().rsplit("\n\n", 1)[-1].startswith("Next: ")


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_links_of_a_document_lead_somewhere(page: Path) -> None:
    for place, heading in _LINK.findall(page.read_text(encoding="utf-8")):
        other = page.parent / place if place else page
        assert other.exists(), place
        if heading:
            headings = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            names = {re.sub(r"[^\w\- ]", "", said).lower().replace(" ", "-") for said in headings}
            assert heading in names, f"{place}#{heading}"


def test_the_server_of_the_readme_is_that_of_the_first_tutorial() -> None:
    shown = [
        body for kind, _, body in _BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")) if "Echo" in body
    ]
    (ours,) = [body for _, name, body in _BLOCK.findall(TUTORIALS[0].read_text(encoding="utf-8")) if name == "echo.py"]
    served = ours.replace("import sys\n", "").replace("sys.argv[1]", '"tcp://127.0.0.1:7000"').strip()
    assert [body.partition("  # or")[0].strip() for body in shown] == [served]
