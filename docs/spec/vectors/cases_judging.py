"""Vectors of judging: sets of heads, and what each comes to in whatever order its heads come (groups.md 4.2 and 5).

Flow: labels -> sets of heads -> reference -> make.py -> judging.json
Never: imports ropewalk.
"""

from __future__ import annotations

from docs.spec.vectors.fixture import Case
from docs.spec.vectors.reference import made
from docs.spec.vectors.reference_judging import Signed, branch, found

__all__ = ["cases"]

_Item = tuple[bytes, int, bytes]


_labels = {bytes(32): ""}  # of what was made, to be written in its place


def _hash(label: str) -> bytes:
    return _labelled(made(f"judged head {label}", 32), label)


def _writer(label: str) -> bytes:
    return _labelled(made(f"judged writer {label}", 16), label)


def _labelled(data: bytes, label: str) -> bytes:
    _labels[data] = label
    return data


def _signed(label: str, previous: str = "", *seen: str, at: int = 0) -> Signed:
    """A head such as ``a3`` or ``a3'`` by its label; ``seen`` are labels, or items as ``NAME=LABEL``."""
    items = [one.split("=") if "=" in one else (one[0], one) for one in seen]
    vector = tuple(sorted((_named(name), int(head[1]), _hash(head)) for name, head in items))
    before = _hash(previous) if previous else bytes(32)
    return Signed(_hash(label), _writer(label[0]), at or int(label[1]), before, vector)


def _named(name: str) -> bytes:
    writer, _, of = name.partition("/")
    return _labelled(branch(_writer(writer), _hash(of)), name) if of else _writer(writer)


def cases() -> list[Case]:
    """judging.json."""
    a1, a2, twin = _signed("a1"), _signed("a2", "a1"), _signed("a1'")
    one, other, a3 = _signed("a2", "a1"), _signed("a2'", "a1"), _signed("a3", "a2")
    gap, low, high = _signed("a5", "a4"), _signed("a1"), _signed("a1'")
    b1, b2 = _signed("b1", "", "a3"), _signed("b2", "b1", "a=a1", "a/a2=a3")
    beside = _signed("b2", "b1", "a=a1", "a/a2'=a2'")
    sets: list[tuple[str, list[Signed]]] = [
        ("what was seen is there", [a1, a2, _signed("b1", "", "a2")]),
        ("what was seen is nowhere", [_signed("b1", "", "a1")]),
        ("what was seen is nowhere, and the next one names it", [a2, _signed("b1", "", "a1")]),
        ("what was seen is nowhere, and the next one names another", [_signed("a2", "a1'"), _signed("b1", "", "a1")]),
        ("what was seen is nowhere, and only a later one is there", [_signed("a3", "a2"), _signed("b1", "", "a1")]),
        ("the same, and its twin", [twin, _signed("a2", "a1'"), _signed("b1", "", "a1")]),
        ("the same, and it came", [a1, twin, _signed("a2", "a1'"), _signed("b1", "", "a1")]),
        ("what waits is waited for", [_signed("b1", "", "a1"), _signed("c1", "", "b1"), _signed("b2", "b1", "a2"), a2]),
        ("a head of another number was seen", [a1, _signed("b1", "", "a=a1"), _claims("b1'", "a", 7, "a1")]),
        ("a head of another writer was seen", [a1, _signed("b1"), _claims("c1", "a", 1, "b1")]),
        ("who has forgotten, and who follows", [a1, _signed("b1", "", "a1"), _signed("b2", "b1"), _signed("b3", "b2")]),
        ("who has forgotten behind a gap", [a1, _signed("b1", "", "a1"), _signed("b3", "b2")]),
        ("another's head as the one before", [_signed("b1"), _signed("a2", "b1"), _signed("a3", "a2")]),
        ("a fork", [a1, one, other, a3, b1]),
        ("a fork, and its branch named", [a1, one, other, a3, b1, b2]),
        ("a branch of which no fork is known", [a1, one, a3, b1, b2]),
        ("the same, and the branch begins behind a gap", [a1, a3, b1, b2]),
        ("the same, and a later fork is known", [a1, one, a3, _signed("a3'", "a2"), b1, b2]),
        ("a branch that begins elsewhere", [a1, one, other, a3, _signed("b1", "", "a/a2'=a3")]),
        ("a branch of a head of another writer", [a1, one, a3, _signed("c1"), _signed("b1", "", "a/c1=a3")]),
        ("forgotten, and another branch named", [a1, one, other, a3, b1, beside]),
        ("a fork behind a gap", [gap, low, high, _signed("b1", "", "a5")]),
        ("a fork behind a gap, and one before it", [gap, low, high, _signed("a5'", "a4'"), _signed("b1", "", "a5")]),
        ("a fork of which nobody has the head before", [_signed("a2", "a1"), other, _signed("b1", "", "a2")]),
    ]
    return [_case(why, heads) for why, heads in sets]


def _claims(label: str, writer: str, sequence: int, head: str) -> Signed:
    item = _writer(writer), sequence, _hash(head)
    return Signed(_hash(label), _writer(label[0]), int(label[1]), bytes(32), (item,))


def _case(why: str, heads: list[Signed]) -> Case:
    come_to = found(set(heads))
    for one in heads:
        _named(f"{_labels[one.writer]}/{_labels[one.hash]}")
    return {
        "what": "heads",
        "why": why,
        "heads": [
            {
                "hash": _labels[one.hash],
                "writer": _labels[one.writer],
                "sequence": one.sequence,
                "previous": _labels[one.previous],
                "vector": _told(one.vector),
            }
            for one in heads
        ],
        "waiting": sorted(_labels[digest] for digest in come_to.waiting),
        "refused": sorted(_labels[digest] for digest in come_to.refused),
        "forks": sorted([_labels[writer], sequence] for writer, sequence in come_to.forks),
        "read": {
            _labels[digest]: [_labels[name], _told(seen)] for digest, (name, seen) in sorted(come_to.read.items())
        },
    }


def _told(items: tuple[_Item, ...] | list[_Item]) -> list[list[object]]:
    return sorted([_labels[writer], sequence, _labels[digest]] for writer, sequence, digest in items)
