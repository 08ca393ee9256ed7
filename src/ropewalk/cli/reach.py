"""Reach: where others find the node of this machine, what it offers, and where an invite can meet by default.

Flow: node.toml, the node that runs, this machine's address -> addresses to hand out; stores of spaces -> a mailbox
Never: says that a node runs which does not, or hands out what only this machine understands where there is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ropewalk.cli.mailboxes import Meeting, own_address
from ropewalk.cli.store_url import is_node
from ropewalk.errors import RopewalkError
from ropewalk.net import BadCertificate, BadEndpoint, Endpoint
from ropewalk.node import LISTEN, NodeFile, listening, node_key, way_in
from ropewalk.node.node import KEY_FILE, SETTINGS_FILE
from ropewalk.remote import NodeAddress
from ropewalk.spaces.home import Home
from ropewalk.spaces.invites import MOST_PATHS
from ropewalk.spaces.space import Space

__all__ = ["Reached", "meeting_near", "node_file", "offered_places", "reached"]

_EVERYWHERE = ("*", "0.0.0.0", "::")  # noqa: S104 - addresses that mean all of a machine's, and are told to nobody
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Reached:
    """How this machine's node is reached.

    Attributes:
        key: Its key, in hex.
        running: Whether a process runs it now.
        addresses: For others, with the key.
        here: One for programs on this machine; "" where it does not run.
    """

    key: str
    running: bool
    addresses: Sequence[str]
    here: str

    @property
    def outside(self) -> Sequence[str]:
        """The addresses to hand out: all that another machine can use; where there are none, those of this machine."""
        others = [one for one in self.addresses if not _only_here(Endpoint.parse(one))]
        return (others or self.addresses)[:MOST_PATHS]


def node_file(home: Home) -> NodeFile:
    """The settings of this machine's node."""
    return NodeFile(home.config / SETTINGS_FILE)


def reached(home: Home) -> Reached:
    """How this machine's node is reached, or would be.

    Raises:
        NodeSettingsDamaged, NodeKeyDamaged.
    """
    settings = node_file(home).load()
    key = node_key(home.config / KEY_FILE).public_key().public_bytes_raw()
    found = listening(home.state)
    urls = settings.reached or (found if found is not None else settings.listen or (LISTEN,))
    own = home.config / KEY_FILE
    addresses = [_keyed(way, key) for url in urls if (way := _outward(url, own)) is not None]
    here = next((_keyed(way, key) for url in found or () if (way := _inward(url, own)) is not None), "")
    return Reached(key.hex(), found is not None, addresses, here)


def offered_places(home: Home) -> dict[str, Sequence[str]]:
    """The ways of others to the stores that this machine's node offers, by their ids in hex; none without a node."""
    settings = node_file(home).load()
    if not settings.offers or not (addresses := reached(home).outside):
        return {}
    return {offer.id: [f"{one}/{name}" for one in addresses] for name, offer in settings.offers.items()}


def meeting_near(home: Home, spaces: Sequence[Space]) -> Meeting | None:
    """A mailbox that those who come into these spaces reach: at the node of a store, or at our own; None without."""
    for space in spaces:
        pool = space.core.pool
        for name, setting in zip(pool.names, home.stores(pool.names), strict=True):
            if is_node(setting.path) and pool.up(name):
                address = NodeAddress.parse(setting.path)
                url = f"{setting.path.partition('#')[0]}#ed25519:{address.key.hex()}"
                return url, [url]
    if listening(home.state) is None:
        return None
    try:
        own = reached(home)
    except RopewalkError:
        return None  # whoever runs the node is told
    if not (home.config / SETTINGS_FILE).exists() and all(_only_here(Endpoint.parse(one)) for one in own.addresses):
        return None  # nobody has said that it is to be met at, and from elsewhere it is not reached
    return (own.here, own.outside) if own.here and own.addresses else None


def _outward(url: str, own: Path) -> Endpoint | None:
    """An endpoint as others need it: this machine's address in the place of all of its addresses."""
    try:
        endpoint = Endpoint.parse(url)
        if endpoint.carrier == "tcp" and endpoint.host in _EVERYWHERE:
            endpoint = replace(endpoint, host=own_address())
        if endpoint.carrier == "unix":
            endpoint = replace(endpoint, path=str(Path(endpoint.path).absolute()))
        return None if endpoint.carrier == "memory" or not _known(endpoint) else way_in(endpoint, own)
    except (BadEndpoint, BadCertificate):
        return None  # it has no URL, such as a socket of systemd's, or cannot be listened on


def _only_here(endpoint: Endpoint) -> bool:
    return endpoint.carrier == "unix" or endpoint.host in _LOOPBACK


def _inward(url: str, own: Path) -> Endpoint | None:
    try:
        endpoint = Endpoint.parse(url)
        return way_in(endpoint, own) if endpoint.carrier != "memory" else None
    except (BadEndpoint, BadCertificate):
        return None


def _keyed(endpoint: Endpoint, key: bytes) -> str:
    return str(replace(endpoint, fragment=f"ed25519:{key.hex()}"))


def _known(endpoint: Endpoint) -> bool:
    """Whether there is a port, which the system may choose only when the node starts."""
    return endpoint.carrier != "tcp" or endpoint.port != 0
