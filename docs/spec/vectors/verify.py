"""The reference's word on every case: what must open does, what must be refused is; and all of tree.py and erasure.py.

Flow: cases -> reference -> the same cases, or AssertionError
Never: asks ropewalk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from blake3 import blake3

from docs.spec.vectors import erasure as erasure_cases
from docs.spec.vectors import tree as tree_cases
from docs.spec.vectors.cases_heads import DEVICES, object_of
from docs.spec.vectors.fixture import SPACE, Case
from docs.spec.vectors.reference import open_box, open_chunk, parse_reference, words_to_seed
from docs.spec.vectors.reference_heads import open_head
from docs.spec.vectors.reference_packs import Manifest, open_directory, open_share, parity, rebuild
from docs.spec.vectors.reference_records import Pairs, Refused, pack
from docs.spec.vectors.reference_tree import (
    Item,
    build,
    entry_key,
    join,
    mark,
    parse_key,
    parse_node,
    parse_value,
    splits,
    stays,
)

__all__ = ["all_of", "erasure", "tree"]


def _hex(case: Case, field: str) -> bytes:
    return bytes.fromhex(str(case[field]))


def _open(case: Case) -> object:
    """What the reference makes of a case that is opened; None for cases that are not."""
    data = _hex(case, "bytes") if "bytes" in case else b""
    openers: dict[object, Callable[[], object]] = {
        "box": lambda: (
            open_box(_hex(case, "key"), _hex(case, "epoch"), _hex(case, "context"), data).hex() == case["plain"]
        ),
        "words": lambda: words_to_seed(str(case["words"])).hex() == case["seed"],
        "reference": lambda: bool(parse_reference(data)),
        "open": lambda: open_chunk(SPACE, int(str(case["type"])), _hex(case, "reference"), data).hex() == case["plain"],
        "manifest": lambda: Manifest.decode(data).name.hex() == case["name"],
        "directory": lambda: bool(open_directory(SPACE, _hex(case, "name"), _lengths(case), data)),
        "share": lambda: bool(open_share(str(case["name"]), data)),
        "head": lambda: open_head(SPACE, str(case["name"]), object_of(case), DEVICES).hash.hex() == case["hash"],
        "entry-key": lambda: entry_key(*parse_key(data)) == data,
        "entry-value": lambda: bool(parse_value(data)),
        "node": lambda: bool(parse_node(data)),
    }
    opener = openers.get(case.get("what"))
    return opener() if opener else None


def _lengths(case: Case) -> list[int]:
    lengths = case["lengths"]
    assert isinstance(lengths, list)
    return lengths


def all_of(made: dict[str, object]) -> None:
    """Open every case that can be."""
    for held in made.values():
        for case in held if isinstance(held, list) else ():
            said: object = None
            refused = ""
            try:
                said = _open(case)
            except Refused as error:
                refused = error.code
            assert refused == case.get("error", ""), (case, refused)
            assert said is not False, case


def erasure() -> list[Case]:
    """The cases of erasure.py, each parity column and each rebuild computed again."""
    cases = erasure_cases.cases()
    for case in cases:
        k, n, length = (int(str(case[name])) for name in ("k", "n", "length"))
        data = [bytes.fromhex(column) for column in _texts(case["data"])]
        columns = [column.ljust(length, b"\0") for column in data] + parity(data, n)
        assert [column.hex() for column in columns[k:]] == case["parity"]
        rebuilds = case["rebuilds"]
        assert isinstance(rebuilds, list)
        for one in rebuilds:
            start, stop = one["offset"], one["offset"] + one["length"]
            found = rebuild(k, {i: columns[i][start:stop] for i in one["present"]}, one["length"])
            found += parity(found, n)
            assert [found[i].hex() for i in one["wanted"]] == one["columns"]
    return cases


def _texts(field: object) -> Iterable[str]:
    assert isinstance(field, list)
    return field


def tree() -> list[Case]:
    """The cases of tree.py: boundaries, maps, joins, nodes and values made again.

    Views are not: their rules are not in space.md.
    """
    cases = tree_cases.cases()
    for case in cases:
        if "error" not in case and (check := _TREE.get(str(case["what"]))):
            check(case)
    return cases


def _check_key(case: Case) -> None:
    parent, name, entry, writer = (_hex(case, field) for field in ("parent", "name", "entry_id", "writer"))
    assert entry_key(parent, name, entry, writer, int(str(case["sequence"]))).hex() == case["bytes"]


def _check_value(case: Case) -> None:
    kind, size, mtime, mode, content_id, content, xattrs, extra = parse_value(_hex(case, "bytes"))
    assert [kind, size, mtime, mode] == [case[name] for name in ("kind", "size", "mtime", "mode")]
    assert (content_id.hex() if isinstance(content_id, bytes) else None) == case["content_id"]
    assert isinstance(xattrs, Pairs)
    assert {name: value.hex() for name, value in xattrs if isinstance(value, bytes)} == case["xattrs"]
    assert pack(extra).hex() == case["extra"]
    match content:
        case [0, bytes(data)]:
            assert data.hex() == case["inline"]
        case [int(), bytes(data)]:
            assert [data[at : at + 73].hex() for at in range(0, len(data), 73)] == case["refs"]


def _check_node(case: Case) -> None:
    level, items = parse_node(_hex(case, "bytes"))
    assert level == case["level"]
    assert [key.hex() for key, _, _ in items] == case["keys"]
    assert [value.hex() for _, value, _ in items] == case["values"]
    assert [count for _, _, count in items] == case["counts"]


def _check_boundary(case: Case) -> None:
    level, z, f = (int(str(case[name])) for name in ("level", "size", "fill"))
    assert splits(_hex(case, "boundary_key"), level, _hex(case, "key"), z, f) is case["ends"]


def _check_map(case: Case) -> None:
    def save(node: bytes, _: list[Item]) -> bytes:
        return blake3(node).digest() + bytes(41)

    items = tree_cases.map_items(int(str(case["items"])), int(str(case["value_size"])))
    root = build(_hex(case, "boundary_key"), items, save)
    assert (root.hex() if root else None) == case["root"]


def _check_join(case: Case) -> None:
    def vector(name: str) -> dict[bytes, int]:
        seen = case[name]
        assert isinstance(seen, dict)
        return {bytes.fromhex(writer): sequence for writer, sequence in seen.items()}

    a, b = ({bytes.fromhex(key): b"v" for key in _texts(case[side])} for side in ("a", "b"))
    joined, seen = join(a, vector("seen_a"), b, vector("seen_b"))
    assert [key.hex() for key in joined] == case["joined"]
    assert seen == vector("seen")


def _check_mark(case: Case) -> None:
    assert mark(*(_hex(case, field) for field in ("epoch", "secret", "content"))).hex() == case["mark"]


def _check_two_values(case: Case) -> None:
    known = case["epochs"]
    assert isinstance(known, list)
    epochs = [(number, bytes.fromhex(epoch), bytes.fromhex(secret)) for number, epoch, secret in known]
    one, other = _hex(case, "a"), _hex(case, "b")
    for pair in ((one, other), (other, one)):
        left = stays(*pair, epochs)
        assert (left.hex() if left is not None else None) == case["stays"], case["why"]


_TREE: dict[str, Callable[[Case], None]] = {
    "entry-key": _check_key,
    "entry-value": _check_value,
    "node": _check_node,
    "boundary": _check_boundary,
    "map": _check_map,
    "join": _check_join,
    "mark": _check_mark,
    "two-values": _check_two_values,
}
