"""The vectors of the ordered map hold for the code, and do not change by accident."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from docs.spec.vectors.tree import cases, map_items, node_ref
from ropewalk.errors import Damaged
from ropewalk.spaces.keys import KeyRing, Secrets
from ropewalk.spaces.tree import (
    ROOT_FOLDER,
    Boundary,
    EntryId,
    Inline,
    NodeCache,
    Tree,
    WriterId,
    content_refs,
    decode_entry,
    decode_node,
    encode_entry,
    encode_node,
    join,
    settle,
    show_folder,
    unpack_key,
)
from ropewalk.spaces.tree.anew import is_marked, marked_by, one_of

DIGEST = "c40e83483c6c7c856318c0f859721d05c012e3890124c5a1ea66a465645deb00"


class Plain:
    """Nodes under the refs that the vectors use."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}

    async def load(self, ref: bytes) -> bytes:
        return self.nodes[ref]

    async def load_many(self, refs: Sequence[bytes]) -> Sequence[bytes]:
        return [self.nodes[ref] for ref in refs]

    async def save(self, node: bytes, refs: Sequence[bytes]) -> bytes:
        self.nodes[node_ref(node)] = node
        return node_ref(node)


def of(what: str) -> list[Any]:
    return [pytest.param(case, id=str(case["why"])) for case in cases() if case["what"] == what]


def test_the_format_has_not_changed() -> None:
    """Whoever changes this digest changes what is stored: readers of old spaces must go on reading."""
    digest = hashlib.sha256(json.dumps(cases(), sort_keys=True).encode()).hexdigest()
    assert digest == DIGEST


def test_each_kind_of_vector_is_run_here() -> None:
    assert {case["what"] for case in cases()} == {
        *("entry-key", "entry-value", "node", "boundary", "map", "join", "mark", "two-values", "view")
    }


@pytest.mark.parametrize("case", of("entry-key"))
def test_entry_keys(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["bytes"])
    if "error" in case:
        with pytest.raises(Damaged) as caught:
            unpack_key(data)
        assert caught.value.code == case["error"]
        return
    key = unpack_key(data)
    assert [key.parent.hex(), key.name.hex(), key.entry_id.hex(), key.writer.hex(), key.sequence] == [
        case[field] for field in ("parent", "name", "entry_id", "writer", "sequence")
    ]


@pytest.mark.parametrize("case", of("entry-value"))
def test_entry_values(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["bytes"])
    if "error" in case:
        with pytest.raises(Damaged) as caught:
            decode_entry(data)
        assert caught.value.code == case["error"]
        return
    entry = decode_entry(data)
    assert encode_entry(entry) == data
    assert [entry.kind, entry.size, entry.mtime, entry.mode, entry.extra.hex()] == [
        case[field] for field in ("kind", "size", "mtime", "mode", "extra")
    ]
    assert [ref.hex() for ref in content_refs(data)] == case["refs"]
    assert (entry.content.data.hex() if isinstance(entry.content, Inline) else None) == case["inline"]
    assert {name: value.hex() for name, value in entry.xattrs.items()} == case["xattrs"]
    assert (entry.content_id.hex() if entry.content_id else None) == case["content_id"]


@pytest.mark.parametrize("case", of("node"))
def test_nodes(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["bytes"])
    if "error" in case:
        with pytest.raises(Damaged) as caught:
            decode_node(data)
        assert caught.value.code == case["error"]
        return
    node = decode_node(data)
    assert node.level == case["level"]
    assert [key.hex() for key in node.keys] == case["keys"]
    assert [value.hex() for value in node.values] == case["values"]
    assert node.count == sum(case["counts"])
    assert encode_node(node.level, node.keys, node.values, node.counts) == data


@pytest.mark.parametrize("case", of("boundary"))
def test_boundaries(case: dict[str, Any]) -> None:
    boundary = Boundary(bytes.fromhex(case["boundary_key"]))
    assert boundary.ends(case["level"], bytes.fromhex(case["key"]), case["size"], case["fill"]) is case["ends"]


def test_boundary_vectors_show_both_outcomes() -> None:
    outcomes = [case["ends"] for case in cases() if case["what"] == "boundary"]
    assert 4 <= outcomes.count(True) <= len(outcomes) - 4


@pytest.mark.parametrize("case", of("map"))
async def test_maps(case: dict[str, Any]) -> None:
    key = bytes.fromhex(case["boundary_key"])
    empty = Tree(Plain(), key, None, lambda value: (), NodeCache())
    tree = await empty.apply(map_items(case["items"], case["value_size"]))
    assert (tree.root.hex() if tree.root else None) == case["root"]


@pytest.mark.parametrize("case", of("join"))
async def test_joins(case: dict[str, Any]) -> None:
    empty = Tree(Plain(), bytes(32), None, lambda value: (), NodeCache())

    def seen(vector: dict[str, int]) -> dict[WriterId, int]:
        return {WriterId(bytes.fromhex(writer)): sequence for writer, sequence in vector.items()}

    a, b = [await empty.apply((bytes.fromhex(key), b"v") for key in sorted(case[side])) for side in ("a", "b")]
    for first, second in (((a, "seen_a"), (b, "seen_b")), ((b, "seen_b"), (a, "seen_a"))):
        tree, vector = await join(first[0], seen(case[first[1]]), second[0], seen(case[second[1]]))
        assert [key.hex() async for batch in tree.scan() for key, _ in batch] == case["joined"]
        assert vector == seen(case["seen"])


def ring_of(epochs: Sequence[tuple[int, str, str]]) -> KeyRing:
    ring = KeyRing(bytes(32))
    for number, epoch, secret in epochs:
        ring.add(bytes.fromhex(epoch), Secrets(bytes.fromhex(secret), bytes(32), bytes(32)), number)
        ring.use(bytes.fromhex(epoch))
    return ring


@pytest.mark.parametrize("case", of("mark"))
def test_marks(case: dict[str, Any]) -> None:
    parts = [b"\0", b"\0", b"\0", b"\0", b"\xc0", bytes.fromhex(case["content"]), b"\x80"]
    extra = b"\x81\x01\xc4\x18" + bytes.fromhex(case["mark"])
    assert is_marked(b"\x98" + b"".join(parts) + extra, ring_of([(1, case["epoch"], case["secret"])]).members)


@pytest.mark.parametrize("case", of("two-values"))
def test_two_values_of_one_key(case: dict[str, Any]) -> None:
    left = one_of(bytes.fromhex(case["a"]), bytes.fromhex(case["b"]), marked_by(ring_of(case["epochs"])))
    assert (left.hex() if left is not None else None) == case["stays"]


@pytest.mark.parametrize("case", of("view"))
def test_views(case: dict[str, Any]) -> None:
    items = [(bytes.fromhex(key), bytes.fromhex(value)) for key, value in case["entries"]]
    settled = settle(items)
    paths: list[str] = []

    def enter(path: str, folders: Sequence[EntryId]) -> None:
        for one in show_folder(folders, [item for item in items if item[0][:16] in folders], settled):
            paths.append(path + one.name.decode())
            enter(f"{paths[-1]}/", one.folders)

    enter("", [ROOT_FOLDER])
    assert sorted(paths) == case["paths"]
