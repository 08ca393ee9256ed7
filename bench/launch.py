"""Launch: how long a program waits for `import ropewalk`, and a service manager for an application of no services.

Flow: processes in turn -> a Figure of each -> goals
Never: lets a start compile: an installed package has its bytecode.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from figures import Load, in_turns
from measure import Command, Failed, run
from report import Goal, Report

__all__ = ["measure", "until_ready"]

BARE, IMPORT = "bare interpreter", "import ropewalk"
VERSION, SERVE = "ropewalk --version", "ropewalk serve, until READY=1"
PATIENCE = 30.0  # seconds for a process to begin, and as many to end
LOOK = 0.5  # seconds after which we look whether it has ended instead


def measure(report: Report, load: Load, folder: Path) -> None:
    """All of them, in turns."""
    application = folder / "app.toml"
    application.touch()

    def program(*words: str) -> Callable[[], float]:
        return lambda: run(Command([sys.executable, *words]), folder).seconds * 1000

    sides = {
        BARE: program("-c", "pass"),
        IMPORT: program("-c", "import ropewalk"),
        VERSION: program("-m", "ropewalk", "--version"),
        SERVE: lambda: until_ready(application) * 1000,
    }
    found = in_turns("start of a process", "ms", sides, load.starts)
    report.figures += found.values()
    ours, bare, serving = (found[side] for side in (IMPORT, BARE, SERVE))
    over = median(one - other for one, other in zip(ours.values, bare.values, strict=True))
    span = f"{min(serving.values):.0f} to {max(serving.values):.0f} ms"
    report.goals += [
        Goal("import ropewalk, the interpreter's start included", ours.median, 60, "ms"),
        Goal("import ropewalk, over a bare interpreter", over, 60, "ms", f"{ours.shown} beside {bare.shown}"),
        Goal("start of an empty application until it is ready", serving.median, 400, "ms", span),
    ]


def until_ready(application: Path) -> float:
    """Seconds from the start of a process until it says that all is up; it is ended then."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    words = [sys.executable, "-m", "ropewalk", "serve", str(application)]
    with (
        tempfile.TemporaryDirectory() as folder,  # a socket's name must be short
        tempfile.TemporaryFile() as log,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
    ):
        env["NOTIFY_SOCKET"] = str(Path(folder, "notify"))
        told.bind(env["NOTIFY_SOCKET"])
        told.settimeout(LOOK)
        started = time.perf_counter()
        process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stderr=log)
        try:
            while not _ready(told):
                if process.poll() is not None or time.perf_counter() > started + PATIENCE:
                    log.seek(0)
                    raise Failed(f"{' '.join(words)} was not ready: {log.read(2000).decode(errors='replace').strip()}")
            return time.perf_counter() - started
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _ready(told: socket.socket) -> bool:
    try:
        return b"READY=1" in told.recv(4096).split(b"\n")
    except TimeoutError:
        return False
