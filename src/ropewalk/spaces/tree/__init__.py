"""The ordered map of a space: entries, versions that cost what changed, joins that lose nothing, and what is seen.

In the order to read them: ``entry`` (what a key and a value are), ``node`` and ``boundary`` (the format), ``prolly``
with ``source``, ``walk`` and ``rewrite`` (the map), ``anew``, ``join``, ``relabel``, ``view``, ``settling``.
"""

from __future__ import annotations

from ropewalk.spaces.tree.boundary import LIMITS, Boundary, Limits
from ropewalk.spaces.tree.entry import (
    CHUNK_SIZE,
    LOST_FOLDER,
    ROOT_FOLDER,
    Chunks,
    Content,
    Entry,
    EntryDamaged,
    EntryId,
    EntryKey,
    Inline,
    Kind,
    Offsets,
    Unknown,
    WriterId,
    check_name,
    content_refs,
    decode_entry,
    encode_entry,
    folder_range,
    name_range,
    pack_key,
    unpack_key,
)
from ropewalk.spaces.tree.join import Vector, join, join_vectors
from ropewalk.spaces.tree.node import REF_SIZE, Node, NodeDamaged, decode_node, encode_node
from ropewalk.spaces.tree.prolly import Batch, Change, Tree
from ropewalk.spaces.tree.settling import settle
from ropewalk.spaces.tree.source import NodeCache, NodeStore
from ropewalk.spaces.tree.view import SETTLED, Settled, Shown, show_folder
from ropewalk.spaces.tree.walk import Difference

__all__ = [
    "CHUNK_SIZE",
    "LIMITS",
    "LOST_FOLDER",
    "REF_SIZE",
    "ROOT_FOLDER",
    "SETTLED",
    "Batch",
    "Boundary",
    "Change",
    "Chunks",
    "Content",
    "Difference",
    "Entry",
    "EntryDamaged",
    "EntryId",
    "EntryKey",
    "Inline",
    "Kind",
    "Limits",
    "Node",
    "NodeCache",
    "NodeDamaged",
    "NodeStore",
    "Offsets",
    "Settled",
    "Shown",
    "Tree",
    "Unknown",
    "Vector",
    "WriterId",
    "check_name",
    "content_refs",
    "decode_entry",
    "decode_node",
    "encode_entry",
    "encode_node",
    "folder_range",
    "join",
    "join_vectors",
    "name_range",
    "pack_key",
    "settle",
    "show_folder",
    "unpack_key",
]
