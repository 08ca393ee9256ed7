"""Link: one way to each node, shared by all stores of it that a process uses.

Flow: NodeAddress -> Nodes.open -> a link that comes back -> RemoteStore
Never: makes a call again, or waits for a node that is away.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk import broker
from ropewalk.errors import RopewalkError
from ropewalk.remote.address import NodeAddress
from ropewalk.remote.errors import LIST, answering
from ropewalk.remote.store import RemoteStore
from ropewalk.spaces.store import StoreGone

__all__ = ["NodeLink", "Nodes"]

MOST_PAUSE = 2.0  # seconds between tries: a node that is back may be the one that is needed
QUIET = 10.0  # seconds without a byte until the node is asked, and then until it is gone; a call in vain costs both
PUTS = 16  # streams to one node at a time
CONNECTS_WITHIN = 15.0  # seconds for the first session; a pool waits for no store longer


class NodeLink:
    """A link to a node, and how many use it."""

    def __init__(self, address: NodeAddress, login: Ed25519PrivateKey, backoff: broker.Backoff) -> None:
        self.place = address.endpoint.place
        self.users = 0
        self.puts = asyncio.Semaphore(PUTS)  # a node takes so many of one key that more would be refused
        self._address, self._login, self._backoff = address, login, backoff
        self._owned = AsyncExitStack()
        self._link: broker.Link | None = None

    async def open(self) -> None:
        """The first session.

        Raises:
            StoreGone.
        """
        with answering(f"node at {self.place}", LIST):
            self._link = await self._owned.enter_async_context(
                broker.reconnecting(
                    self._address.endpoint,
                    broker.Key(self._login),
                    wanted="store",
                    deadline=CONNECTS_WITHIN,
                    patience=0,
                    limits=broker.Limits(quiet=QUIET),
                    backoff=self._backoff,
                    insist=False,
                )
            )

    @property
    def room(self) -> Any:
        """The perspective, where there is a session now.

        Raises:
            StoreGone: There is none.
        """
        if self._link is None or not self._link.connected:
            why = self._link.error if self._link is not None else None
            raise StoreGone(f"node at {self.place} is not connected{f': {why}' if why else ''}", hint="is it running?")
        return self._link.perspective

    @property
    def sessions(self) -> int:
        """How many sessions there were: what was found in one is not there in the next."""
        return 0 if self._link is None else self._link.sessions

    async def aclose(self) -> None:
        """Leave."""
        await self._owned.aclose()


@dataclass(slots=True)
class Nodes:
    """The nodes that a process is linked to.

    Args:
        login: The key by which we are known to them: that of this device.
        backoff: How long to wait before trying a lost link again.
    """

    login: Ed25519PrivateKey
    backoff: broker.Backoff = field(default_factory=lambda: broker.Backoff(first=0.2, most=MOST_PAUSE))
    _links: dict[str, NodeLink] = field(default_factory=dict)

    async def open(self, text: str, identity: bytes | None = None) -> RemoteStore:
        """The store at an address, which must be ``identity`` where that is given.

        Raises:
            BadEndpoint: The text is no address of a store.
            StoreGone: It is not reached, is not offered to us, or is another one.
        """
        address = NodeAddress.parse(text)
        link = await self._link(address)
        store = RemoteStore(link, address.offer, lambda: self._leave(link))
        try:
            await store.find(identity)
        except BaseException:
            await store.aclose()
            raise
        return store

    async def offers(self, text: str) -> list[Any]:
        """What a node offers to us (docs/spec/node.md 2).

        Raises:
            BadEndpoint, StoreGone.
        """
        link = await self._link(NodeAddress.parse(text))
        try:
            with answering(f"node at {link.place}", LIST):
                return list(await link.room.offers())
        finally:
            await self._leave(link)

    async def _link(self, address: NodeAddress) -> NodeLink:
        name = str(address.endpoint)
        if (link := self._links.get(name)) is not None:
            link.users += 1
            return link
        link = NodeLink(address, self.login, self.backoff)
        try:
            await link.open()
        except RopewalkError:
            await link.aclose()
            raise
        if (other := self._links.get(name)) is not None:  # somebody else was as fast
            await link.aclose()
            link = other
        self._links[name] = link
        link.users += 1
        return link

    async def _leave(self, link: NodeLink) -> None:
        link.users -= 1
        if link.users:
            return
        for name, one in list(self._links.items()):
            if one is link:
                del self._links[name]
        await link.aclose()
