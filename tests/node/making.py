"""Nodes for tests: a home of their own, offers in a folder, grants as they are wanted."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk import net
from ropewalk.broker import Backoff
from ropewalk.node import GrantSetting, Node, NodeSettings, OfferSetting
from ropewalk.remote import Nodes, RemoteStore
from ropewalk.spaces.store import DiskStore

GUEST = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes([8]) * 32)
_ids = itertools.count(1)


def public(key: Ed25519PrivateKey) -> str:
    """As node.toml has it."""
    return key.public_key().public_bytes_raw().hex()


@dataclass
class Town:
    """One node and the ways to it.

    Attributes:
        folder: Its home.
        url: Where it listens.
    """

    folder: Path
    url: str
    node: Node
    nodes: Nodes
    listener: net.Listener
    owned: list[Nodes] = field(default_factory=list)

    def grant(self, offer: str = "disk1", key: Ed25519PrivateKey | None = GUEST, **more: Any) -> str:
        """Grant something; its id."""
        name = f"{next(_ids):016x}"
        if key is not None and "space" not in more:
            more = {"keys": (public(key),), **more}
        self.node.file.update(
            lambda old: NodeSettings(
                listen=old.listen,
                offers=old.offers,
                grants=(*old.grants, GrantSetting(name, offer, **more)),
            )
        )
        return name

    async def offer(self, name: str, **more: Any) -> DiskStore:
        """Make a folder and offer it; the folder, as its owner sees it."""
        store = await DiskStore.create(self.folder / name)
        setting = OfferSetting(str(self.folder / name), store.identity.hex(), **more)
        self.node.file.update(
            lambda old: NodeSettings(listen=old.listen, offers={**old.offers, name: setting}, grants=old.grants)
        )
        await self.node.look()
        return store

    @property
    def address(self) -> str:
        """For clients."""
        return str(self.node.host.address(self.listener.endpoint.peer()))

    async def store(self, offer: str = "disk1", key: Ed25519PrivateKey = GUEST) -> RemoteStore:
        """A store of it, as somebody else sees it."""
        nodes = Nodes(key, Backoff(first=0.01, most=0.05))
        return await nodes.open(f"{self.address}/{offer}")


@asynccontextmanager
async def a_node(folder: Path, url: str = "memory://node") -> AsyncIterator[Town]:
    """A node that listens."""
    node = Node(folder, folder / "state")  # which makes the folder
    await node.open()
    full = url.replace("CERT", str(folder / "node.pem")).replace("FOLDER", str(folder))
    async with await net.listen(full, node.host.protocol) as listener:
        try:
            yield Town(folder, full, node, Nodes(GUEST), listener)
        finally:
            await node.host.close(1)
            await node.aclose()
