"""Remote: stores that nodes on other machines offer, used as any other store is.

Flow: address with the node's key -> one link to the node -> RemoteStore
Never: trusts a node with more than bytes, or takes one for another.
"""

from __future__ import annotations

from ropewalk.remote.address import NodeAddress
from ropewalk.remote.entry import open_remote
from ropewalk.remote.link import Nodes
from ropewalk.remote.store import RemoteStore, Trashed

__all__ = ["NodeAddress", "Nodes", "RemoteStore", "Trashed", "open_remote"]
