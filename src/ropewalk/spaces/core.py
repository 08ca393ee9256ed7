"""Core: what all work on an open space needs, put together once.

Flow: opening -> Core -> publish, learning, rebuild, mend, check, space
Never: does anything by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from ropewalk.spaces.chunk import ChunkType
from ropewalk.spaces.content import ContentSource, Nodes, Unsaved, offset_map
from ropewalk.spaces.head import writer_id
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.ledger import Ledger
from ropewalk.spaces.members import Membership
from ropewalk.spaces.pool.pool import Pool
from ropewalk.spaces.reader import Reader
from ropewalk.spaces.tree.entry import content_refs
from ropewalk.spaces.tree.prolly import Tree
from ropewalk.spaces.tree.source import NodeCache
from ropewalk.spaces.tree.view import SETTLED, Settled
from ropewalk.spaces.version import Version
from ropewalk.spaces.writer import Writer

__all__ = ["Core"]


@dataclass(slots=True)
class Core:
    """An open space's parts."""

    membership: Membership
    device: DeviceKeys
    keys: KeyRing
    pool: Pool
    ledger: Ledger
    cpu: Executor
    incarnation: bytes
    now: Callable[[], int]  # nanoseconds since 1970
    writer: Writer | None = None  # while a change is being made
    told: int = 0  # stores that answered when they were last asked for new heads
    asked: int = 0  # stores that were up then
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what is worth knowing and no cause for worry
    passed_over: set[str] = field(default_factory=set)  # names of records that are kept and do not count
    reader: Reader = field(init=False)
    nodes: Nodes = field(init=False)
    cache: NodeCache = field(init=False)
    tree: Tree = field(init=False)  # the empty one; `tree.at(root)` gives the others
    maps: Tree = field(init=False)
    content: ContentSource = field(init=False)

    def __post_init__(self) -> None:
        self.reader = Reader(self.keys, self.pool, self.ledger, self.cpu)
        self.nodes = Nodes(ChunkType.NODE, self.keys, self.reader, lambda: self.writer, padded=self.padded)
        maps = Nodes(ChunkType.MAP, self.keys, self.reader, lambda: self.writer, padded=self.padded)
        self.cache = NodeCache()
        self.tree = Tree(self.nodes, self.keys.boundary, None, content_refs, self.cache)
        self.maps = offset_map(maps, self.keys, self.cache)
        self.content = ContentSource(self.reader, self.maps)

    @property
    def space_id(self) -> bytes:
        """32 bytes."""
        return self.keys.space_id

    @property
    def padded(self) -> bool:
        """Whether sizes are hidden."""
        return self.membership.privacy >= 2

    @property
    def writer_id(self) -> bytes:
        """Who we are in heads and dots."""
        return writer_id(self.device.public().id, self.incarnation)

    @property
    def head_floor(self) -> int:
        """Copies of a head that must be durable."""
        return min(self.membership.policy.floor, len(self.pool.names))

    @property
    def fresh_read(self) -> int:
        """Stores to ask so that no acknowledged head can be missed."""
        return min(len(self.pool.names) - self.head_floor + 1 + self.membership.lying, len(self.pool.names))

    def looked_at(self) -> Tree:
        """An empty tree whose new nodes go nowhere: for joins that nobody publishes."""
        return Tree(Unsaved(self.nodes), self.keys.boundary, None, content_refs, self.cache)

    def version(self, root: bytes | None, settled: Settled = SETTLED) -> Version:
        """The version with this root."""
        return Version(self.tree.at(root), self.content, settled)
