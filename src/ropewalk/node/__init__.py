"""Node: stores of this machine, offered to those whom its owner names.

Flow: node.toml, records in the stores -> who may do what -> sessions over the broker -> folders
Never: opens what it keeps, believes a client about what it may, or deletes at once.
"""

from __future__ import annotations

from ropewalk.node.certificate import node_key
from ropewalk.node.grants import Act, Grant
from ropewalk.node.node import KEY_FILE, Node
from ropewalk.node.notices import NodeBusy
from ropewalk.node.offered import Vetoed
from ropewalk.node.passports import Passports
from ropewalk.node.register import OverQuota
from ropewalk.node.rights import NotGranted
from ropewalk.node.running import NodeRunning, listening
from ropewalk.node.service import LISTEN, NodeConfig, NodeService, way_in
from ropewalk.node.settings import GrantSetting, NodeFile, NodeSettings, OfferSetting
from ropewalk.node.upkeep import Upkeep, UpkeepService

__all__ = [
    "KEY_FILE",
    "LISTEN",
    "Act",
    "Grant",
    "GrantSetting",
    "Node",
    "NodeBusy",
    "NodeConfig",
    "NodeFile",
    "NodeRunning",
    "NodeService",
    "NodeSettings",
    "NotGranted",
    "OfferSetting",
    "OverQuota",
    "Passports",
    "Upkeep",
    "UpkeepService",
    "Vetoed",
    "listening",
    "node_key",
    "way_in",
]
