"""Real engines on loopback: a SeaweedFS cluster, and rclone over a folder.

SeaweedFS takes no port 0, so it is given ports that nobody had a moment ago, below those that the system gives away.

Flow: a test -> Seaweed, Rclone -> processes of their own -> killed by their ids
Never: listens anywhere but on 127.0.0.1, or leaves a process.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.ports import free_ports

__all__ = ["KEY", "PROFILE", "READER", "SECRET", "Rclone", "Seaweed", "Server", "program"]

KEY, SECRET = "ropewalk-key", "a-secret-of-no-one"
READER = "ropewalk-reader"  # a key that may look and not touch
PROFILE = f"""
[test]
access_key_id = "{KEY}"
secret_access_key = "{SECRET}"
[wrong]
access_key_id = "{KEY}"
secret_access_key = "a-guess-of-no-one"
[reader]
access_key_id = "{READER}"
secret_access_key = "{SECRET}"
"""
_WITHIN = 90.0  # seconds in which a server that was started is there
_TRIES = 3  # starts; between the choice of a port and its use somebody else may take it


def program(name: str) -> str:
    """The path of a program that came with the packages for tests."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is not installed: make setup"
    return found


class Server:
    """One process, its log, and how to end it."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._words: Sequence[str] = ()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, words: Sequence[str] = ()) -> None:
        """Start it, or start it again as it was."""
        self._words = words or self._words
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.log.parent,
            )

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    def said(self) -> str:
        """What it wrote."""
        return self.log.read_text(errors="replace")


def wait_until(there: Callable[[], bool], servers: Sequence[Server]) -> bool:
    """Whether it came to be so; False where a server ended instead."""
    ends = time.monotonic() + _WITHIN
    while not any(server.ended for server in servers):
        with suppress(OSError, ValueError):
            if there():
                return True
        assert time.monotonic() < ends, "\n".join(server.said()[-2000:] for server in servers)
        time.sleep(0.05)
    return False


class Rclone:
    """A folder, served by rclone as an object store (``s3``) or to be read over HTTP (``webdav``)."""

    def __init__(self, folder: Path, served: Path | None = None, kind: str = "s3") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = served or folder / "served"
        (self.folder / "bucket").mkdir(parents=True, exist_ok=True) if kind == "s3" else None
        self.server = Server(folder / "log")
        self._kind = kind
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.kill()

    def start(self) -> None:
        """Start it, on the port that it had before."""
        before = len(self.server.said()) if self.server.log.exists() else 0
        rights = ["--auth-key", f"{KEY},{SECRET}"] if self._kind == "s3" else ["--read-only"]
        words = [program("rclone"), "serve", self._kind, "--addr", f"127.0.0.1:{self._port}", *rights, str(self.folder)]
        self.server.start([*words, "--config", "/dev/null"])
        at = re.compile(r"http://127\.0\.0\.1:([1-9][0-9]*)/")

        def there() -> bool:
            if found := at.search(self.server.said()[before:]):
                self._port = int(found[1])
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            return found is not None

        assert wait_until(there, [self.server]), self.server.said()

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self._port}"

    def place(self, prefix: str, profile: str = "test") -> str:
        """The address of a store in it."""
        return f"s3://bucket/{prefix}?endpoint={self.endpoint}&profile={profile}"


class Seaweed:
    """A master, three volume servers that keep two copies of everything, a filer and its S3 door."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.volumes: list[Server] = []
        self._servers: list[Server] = []
        self._door = 0

    def __enter__(self) -> Self:
        for _ in range(_TRIES):
            if self._started():
                return self
            self.__exit__()
        raise AssertionError("\n".join(path.read_text(errors="replace")[-1000:] for path in self.folder.glob("*.log")))

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.kill()
        self._servers, self.volumes = [], []

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self._door}"

    def place(self, prefix: str, profile: str = "test") -> str:
        """The address of a store in it."""
        return f"s3://bucket/{prefix}?endpoint={self.endpoint}&profile={profile}"

    def live(self) -> int:
        """How many volume servers the master knows."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._master}/dir/status", timeout=5) as answer:
            topology = json.load(answer)["Topology"]
        racks = [rack for centre in topology["DataCenters"] or [] for rack in centre["Racks"] or []]
        return sum(len(rack["DataNodes"] or []) for rack in racks)

    def wait_volumes(self, number: int) -> None:
        """Until the master knows so many volume servers."""
        assert wait_until(lambda: self.live() == number, self._servers[:1])

    def _started(self) -> bool:
        ports = free_ports(12)
        self._master, self._door = ports[0], ports[4]
        weed, here = program("weed"), ["-ip=127.0.0.1"]
        config = self.folder / "s3.json"
        config.write_text(json.dumps(_IDENTITIES))
        master, filer = f"127.0.0.1:{ports[0]}.{ports[1]}", f"127.0.0.1:{ports[2]}.{ports[3]}"

        def start(name: str, *words: str) -> Server:
            (self.folder / name).mkdir(exist_ok=True)
            server = Server(self.folder / f"{name}.log")
            server.start([weed, *words])
            self._servers.append(server)
            return server

        start(
            "master",
            *("master", *here, f"-port={ports[0]}", f"-port.grpc={ports[1]}", "-mdir=master", "-peers=none"),
            *("-telemetry=false", "-volumeSizeLimitMB=64", "-defaultReplication=001"),
        )
        for number in range(3):
            port, grpc = ports[6 + 2 * number : 8 + 2 * number]
            words = ("volume", *here, f"-port={port}", f"-port.grpc={grpc}", f"-dir=v{number}", "-max=200")
            self.volumes.append(start(f"v{number}", *words, f"-master={master}"))
        start(
            "filer",
            *("filer", *here, f"-port={ports[2]}", f"-port.grpc={ports[3]}", f"-master={master}"),
            "-defaultStoreDir=filer",
        )
        start(
            "s3",
            *("s3", "-ip.bind=127.0.0.1", f"-port={ports[4]}", f"-port.grpc={ports[5]}", f"-filer={filer}"),
            *("-port.iceberg=0", "-port.lance=0", f"-config={config}"),
        )

        def there() -> bool:
            socket.create_connection(("127.0.0.1", self._door), 1).close()
            return self.live() == 3

        return wait_until(there, self._servers) and self._made_bucket(master, filer)

    def _made_bucket(self, master: str, filer: str) -> bool:
        done = subprocess.run(
            [program("weed"), "shell", f"-master={master}", f"-filer={filer}"],
            input=b"s3.bucket.create -name bucket\n",
            capture_output=True,
            timeout=_WITHIN,
            cwd=self.folder,
            check=False,
        )
        return done.returncode == 0


_IDENTITIES = {
    "identities": [
        {
            "name": "test",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": READER, "secretKey": SECRET}],
            "actions": ["Read", "List"],
        },
    ]
}
