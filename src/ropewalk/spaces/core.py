"""Core: what all work on an open space needs, put together once.

Flow: opening -> Core -> publish, learning, rebuild, mend, check, space
Never: does anything by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Self

from ropewalk.spaces.cache import Cache
from ropewalk.spaces.chunk import ChunkType
from ropewalk.spaces.content import ContentSource, Nodes, Unsaved, offset_map
from ropewalk.spaces.head import writer_id
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import KeyRing, MembersOnly
from ropewalk.spaces.ledger import Ledger
from ropewalk.spaces.members import Membership, Role
from ropewalk.spaces.offline import QueueFiles
from ropewalk.spaces.pool.pool import Pool
from ropewalk.spaces.reader import Reader
from ropewalk.spaces.tree.entry import content_refs
from ropewalk.spaces.tree.prolly import Tree
from ropewalk.spaces.tree.source import NodeCache
from ropewalk.spaces.tree.view import SETTLED, Settled
from ropewalk.spaces.version import Version
from ropewalk.spaces.warnings import Warnings
from ropewalk.spaces.writer import Writer

__all__ = ["Core"]


@dataclass(frozen=True, slots=True)
class _Contents:
    """What members read and write, and a steward has none of."""

    nodes: Nodes
    cache: NodeCache
    tree: Tree
    maps: Tree
    content: ContentSource

    @classmethod
    def of(cls, core: Core) -> Self:
        keys, cache = core.keys, NodeCache()
        nodes, maps = [
            Nodes(kind, keys, core.reader, lambda: core.writer, padded=core.padded)
            for kind in (ChunkType.NODE, ChunkType.MAP)
        ]
        offsets = offset_map(maps, keys, cache)
        return cls(
            nodes, cache, Tree(nodes, keys.members.boundary, None, content_refs, cache), offsets,
            ContentSource(core.reader, offsets, core.keys),
        )  # fmt: skip


@dataclass(slots=True)
class Core:
    """An open space's parts.

    All that is made of content is refused to a steward with `MembersOnly`: the trees, versions.
    """

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
    warnings: list[str] = field(default_factory=Warnings)
    notes: list[str] = field(default_factory=list)  # what is worth knowing and no cause for worry
    passed_over: set[str] = field(default_factory=set)  # names of records that are kept and do not count
    markers: Mapping[str, bytes] = field(default_factory=dict)  # ids of stores, by name
    queue: QueueFiles | None = None  # where changes wait that too few stores could take
    offline: bool = False  # whether new ones may
    stuck: str = ""  # why they were not published when that was last tried though enough stores answered
    lost: bool = False  # whether no store can change that
    untended: bool = False  # whether a fork came to light that nothing was done about yet
    cache: Cache | None = None
    told_away: set[str] = field(default_factory=set)  # stores of which it was said that they are not there
    reader: Reader = field(init=False)
    _made: _Contents | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.warnings = Warnings(self.warnings)
        self.reader = Reader(self.keys, self.pool, self.ledger, self.cpu, self.queue, self.cache)

    @property
    def reads(self) -> bool:
        """Whether this device reads what is in the space; a steward does not."""
        return self.keys.reads and self.membership.state.role_of(self.device.public().id) is not Role.STEWARD

    def check_reads(self) -> None:
        """See whether it does.

        Raises:
            MembersOnly: It is a steward's, or has not been given the keys of members yet.
        """
        if self.reads:
            return
        role = self.membership.state.role_of(self.device.public().id)
        if role is None or role is Role.STEWARD:
            raise MembersOnly
        raise MembersOnly(
            f"this device is a {role.name.lower()}'s now, and has not been given the keys to read yet",
            hint="they come with the next change that a device of another member makes",
        )

    @property
    def _contents(self) -> _Contents:
        self.check_reads()
        if self._made is None:
            self._made = _Contents.of(self)
        return self._made

    @property
    def nodes(self) -> Nodes:
        """Where nodes of trees come from and go to."""
        return self._contents.nodes

    @property
    def tree(self) -> Tree:
        """The empty one; `tree.at(root)` gives the others."""
        return self._contents.tree

    @property
    def maps(self) -> Tree:
        """The same, from offsets to cuts."""
        return self._contents.maps

    @property
    def content(self) -> ContentSource:
        """Gives what entries hold."""
        return self._contents.content

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

    def tell_away(self) -> None:
        """Warn of the stores that turned out not to be there, each once."""
        for name, why in self.pool.missing().items():
            if name not in self.told_away:
                self.told_away.add(name)
                self.warnings.append(f"store {name} is not there: {why}")

    def looked_at(self) -> Tree:
        """An empty tree whose new nodes go nowhere: for joins that nobody publishes."""
        contents = self._contents
        return Tree(Unsaved(contents.nodes), self.keys.members.boundary, None, content_refs, contents.cache)

    def version(self, root: bytes | None, settled: Settled = SETTLED) -> Version:
        """The version with this root."""
        return Version(self.tree.at(root), self.content, settled)
