"""Nodes as processes: each with its own home and folder, started, killed and started again.

Flow: set_up -> node.toml, a folder -> `ropewalk serve`, in its own namespaces where that is asked for -> its port
Never: ends a process that it did not start, or waits for one without a bound.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import tomli_w
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ropewalk.node import KEY_FILE, GrantSetting, NodeFile, OfferSetting
from ropewalk.spaces.store import DiskStore

__all__ = ["OFFER", "NoStart", "NodeProcess", "run", "start_apart", "within_net"]

OFFER = "disk"
STARTS_WITHIN = 60.0  # seconds; a machine may be busy
_NET = "198.18.7"  # RFC 2544: for tests, and in nobody's network
_SAID = 50  # last lines of what a node says that are kept for whoever wants to know why


class NoStart(AssertionError):
    """A node did not come up; with what it said."""


@dataclass
class NodeProcess:
    """One node.

    Attributes:
        name: Of the store too, at the clients.
        folder: All that is its own.
        port: Where it listens, once it has.
        host: On which address.
        said: The last lines that it said.
    """

    name: str
    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    identity: bytes = b""
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_SAID))
    _process: asyncio.subprocess.Process | None = None
    _listening: asyncio.Task[None] | None = None

    @property
    def home(self) -> Path:
        """Of its settings, key and register."""
        return self.folder / "home"

    @property
    def disk(self) -> Path:
        """The folder that it offers."""
        return self.folder / "disk"

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether its process was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def set_up(self, guest: bytes, quota: int | None = None) -> None:
        """Make its folder, and grant all of it to one key."""
        self.folder.mkdir()
        store = await DiskStore.create(self.disk)
        self.identity = store.identity
        await store.aclose()
        offer = OfferSetting(str(self.disk), self.identity.hex(), quota)
        grant = GrantSetting(f"{1:016x}", OFFER, (guest.hex(),))
        NodeFile(self.home / "node.toml").update(
            lambda old: msgspec.structs.replace(old, offers={OFFER: offer}, grants=(grant,))
        )

    async def start(self, bent: Sequence[str] = (), within: str = "") -> None:
        """Start it, and wait until it listens: at the port it had, or at any.

        Args:
            bent: How it is to misbehave; see `bent_node`.
            within: Shell commands that come first, in namespaces of its own: ``net`` or ``mount`` and a colon before.

        Raises:
            NoStart.
        """
        assert not self.runs
        file = self.folder / "app.toml"
        service = {"kind": "node", "listen": f"tls://{self.host}:{self.port}", "home": str(self.home)}
        file.write_text(tomli_w.dumps({"services": {"node": service}}))
        module = ["ropewalk.testing.outages.bent_node", *bent] if bent else ["ropewalk", "serve"]
        words = [sys.executable, "-m", *module, str(file)]
        if within:
            kind, _, before = within.partition(":")
            words = ["unshare", f"--{kind}", "sh", "-ec", f'{before}\nexec "$@"', "sh", *words]
        self._process = await asyncio.create_subprocess_exec(
            *words,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"NO_COLOR": "1"},
        )
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._listening = asyncio.create_task(self._hear(self._process, listening))
        try:
            async with asyncio.timeout(STARTS_WITHIN):
                self.port = await listening
        except (TimeoutError, EOFError):
            await self.kill()
            raise NoStart(f"node {self.name} does not listen:\n" + "\n".join(self.said)) from None

    async def kill(self) -> None:
        """End its process at once, as a power cut would: it hears of nothing."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._listening is not None:
            await self._listening
            self._listening = None

    def count(self) -> int:
        """How many files its folder has."""
        return sum(file.is_file() for file in self.disk.rglob("*"))

    async def back_up(self, where: Path) -> None:
        """Copy its folder and its register, as they are now; it must not run."""
        assert not self.runs
        await asyncio.to_thread(shutil.copytree, self.disk, where / "disk", symlinks=True)
        await asyncio.to_thread(shutil.copytree, self.home, where / "home")

    async def restore(self, where: Path) -> None:
        """Take back what `back_up` copied, and forget all since; it must not run."""
        assert not self.runs
        for mine, copy in ((self.disk, where / "disk"), (self.home, where / "home")):
            await asyncio.to_thread(shutil.rmtree, mine)
            await asyncio.to_thread(shutil.copytree, copy, mine, symlinks=True)

    def address(self, port: int | None = None) -> str:
        """Of its store, for clients, who may come by another port of this machine."""
        key = load_pem_private_key((self.home / KEY_FILE).read_bytes(), None).public_key()
        host = "127.0.0.1" if port else self.host
        return f"tls://{host}:{port or self.port}#ed25519:{key.public_bytes_raw().hex()}/{OFFER}"  # type: ignore[union-attr]

    async def _hear(self, process: asyncio.subprocess.Process, listening: asyncio.Future[int]) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            text = line.decode(errors="replace").rstrip()
            self.said.append(text)
            if not listening.done() and "listening on tls://" in text:
                listening.set_result(int(text.partition("listening on tls://")[2].partition(":")[2].split('"')[0]))
        if not listening.done():
            listening.set_exception(EOFError())
            listening.exception()  # fetched: nobody may be waiting


async def run(*words: str) -> None:
    """Run a command of the system, which must succeed."""
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 0, f"{' '.join(words)}: {said.decode(errors='replace')}"


async def within_net(node: NodeProcess, *words: str) -> None:
    """Run a command in the network namespace of a node."""
    await run("nsenter", f"--target={node.pid}", "--net", *words)


async def start_apart(node: NodeProcess, number: int) -> None:
    """Start a node in a network namespace, at the other end of a wire that begins in ours.

    Args:
        node: The node.
        number: Of its wire, below 64.
    """
    node.host, ours, wire = f"{_NET}.{4 * number + 2}", f"{_NET}.{4 * number + 1}", f"wire{number}"
    await node.start(
        within="net: ip link set lo up\n"
        f"ip link add eth0 type veth peer name {wire} netns {os.getpid()}\n"
        f"ip addr add {node.host}/30 dev eth0\nip link set eth0 up"
    )
    await run("ip", "addr", "add", f"{ours}/30", "dev", wire)
    await run("ip", "link", "set", wire, "up")
