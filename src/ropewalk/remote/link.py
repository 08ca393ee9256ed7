"""Link: one way to each node, shared by all stores of it that a process uses.

Flow: NodeAddress -> Nodes.open -> a link that comes back, and stores asked for with each login -> RemoteStore
Never: makes a call again, waits for a node that is away, or connects to one twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk import broker
from ropewalk.errors import RopewalkError
from ropewalk.net import NotVerified
from ropewalk.remote.address import NodeAddress
from ropewalk.remote.errors import LIST, answering, quoted
from ropewalk.remote.store import RemoteStore
from ropewalk.spaces.store import StoreGone

__all__ = ["NodeLink", "Nodes"]

MOST_PAUSE = 2.0  # seconds between tries: a node that is back may be the one that is needed
QUIET = 10.0  # seconds without a byte until the node is asked, and then until it is gone; a call in vain costs both
PUTS = 16  # streams to one node at a time
CONNECTS_WITHIN = 15.0  # seconds for the first session; a pool waits for no store longer


class NodeLink:
    """A link to a node, and how many use it.

    Attributes:
        ahead: What is asked for with the login of each session, by whoever uses the link.
    """

    def __init__(self, address: NodeAddress, login: Ed25519PrivateKey, backoff: broker.Backoff) -> None:
        self.place = address.endpoint.place
        self.users = 0
        self.ahead: list[Callable[[Any], None]] = []
        self.puts = asyncio.Semaphore(PUTS)  # a node takes so many of one key that more would be refused
        self._address, self._login, self._backoff = address, login, backoff
        self._owned = AsyncExitStack()
        self._link: broker.Link | None = None
        self._entering: asyncio.Task[None] | None = None  # of all who wait for the first session

    async def open(self) -> None:
        """Wait for the first session.

        Raises:
            StoreGone.
        """
        if self._entering is None:
            self._entering = asyncio.create_task(self._enter())
        await asyncio.shield(self._entering)

    async def _enter(self) -> None:
        with answering(f"node at {self.place}", LIST):
            try:
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
                        ahead=self._ask_ahead,
                    )
                )
            except NotVerified as error:
                raise self._address.another(error) from error

    def _ask_ahead(self, room: Any) -> None:
        for ask in self.ahead:
            ask(room)

    @property
    def room(self) -> Any:
        """The perspective, where there is a session now.

        Raises:
            StoreGone: There is none.
        """
        if self._link is None or not self._link.connected:
            error = self._link.error if self._link is not None else None
            why = f": {quoted(str(error))}" if error else ""
            raise StoreGone(f"node at {self.place} is not connected{why}", hint="is it running?")
        return self._link.perspective

    @property
    def sessions(self) -> int:
        """How many sessions there were: what was found in one is not there in the next."""
        return 0 if self._link is None else self._link.sessions

    async def aclose(self) -> None:
        """Leave."""
        if (entering := self._entering) is not None:
            entering.cancel()
            await asyncio.wait([entering])
            if not entering.cancelled():
                entering.exception()  # whoever waited for it was told
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
        link = self._link(address)
        store = RemoteStore(link, address.offer, lambda: self._leave(link, store.ask))
        link.ahead.append(store.ask)
        try:
            await self._open(link)
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
        link = self._link(NodeAddress.parse(text))
        try:
            await self._open(link)
            with answering(f"node at {link.place}", LIST):
                return list(await link.room.offers())
        finally:
            await self._leave(link)

    def _link(self, address: NodeAddress) -> NodeLink:
        """The link to a node, not opened yet where this is its first user; `_leave` it."""
        name = str(address.endpoint)
        if (link := self._links.get(name)) is None:
            link = self._links[name] = NodeLink(address, self.login, self.backoff)
        link.users += 1
        return link

    async def _open(self, link: NodeLink) -> None:
        try:
            await link.open()
        except RopewalkError:
            self._forget(link)  # who comes next tries anew
            raise

    def _forget(self, link: NodeLink) -> None:
        for name, one in list(self._links.items()):
            if one is link:
                del self._links[name]

    async def _leave(self, link: NodeLink, ask: Callable[[Any], None] | None = None) -> None:
        link.users -= 1
        if ask is not None:
            link.ahead.remove(ask)
        if link.users:
            return
        self._forget(link)
        await link.aclose()
