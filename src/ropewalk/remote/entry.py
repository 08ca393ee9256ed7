"""Entry: stores of nodes for whoever opens stores by their places.

Flow: place, the device's key -> the links of this event loop and key -> RemoteStore
Never: shares a link between devices, or between event loops.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from ropewalk.remote.link import Nodes
from ropewalk.remote.store import RemoteStore
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys

__all__ = ["open_remote"]

_NODES: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bytes, Nodes]] = WeakKeyDictionary()


async def open_remote(place: str, identity: bytes | None, _home: Home, device: DeviceKeys) -> RemoteStore:
    """The store of a node; see `Nodes.open`."""
    nodes = _NODES.setdefault(asyncio.get_running_loop(), {})
    return await nodes.setdefault(device.public().id, Nodes(device.login)).open(place, identity)
