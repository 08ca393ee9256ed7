"""The vectors of judging, and the reference beside the package over any heads (docs/spec/groups.md 4.2 and 5)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.spec.vectors.reference import made
from docs.spec.vectors.reference_judging import Signed, branch, found
from ropewalk.spaces.conduct import branch_writer
from ropewalk.spaces.state import ACKED, BROKEN, KnownHead
from tests.spaces.judged import ALL, FakeMembers, FakeState, Room, device, record

CASES: list[dict[str, Any]] = json.loads(Path("docs/spec/vectors/judging.json").read_text())


def _room() -> Room:
    return Room(FakeMembers([FakeState(ALL)]))


def _known_head(one: Signed) -> KnownHead:
    vector = {writer: (sequence, digest) for writer, sequence, digest in one.vector}
    return KnownHead(
        name=one.hash.hex(),
        hash=one.hash,
        writer=one.writer,
        sequence=one.sequence,
        previous=one.previous,
        time=0,
        root=None,
        entries=0,
        note="",
        vector={**vector, one.writer: (one.sequence, one.hash)},
        embedded=False,
        state=ACKED,
        device=device("a"),
        feature=2,
        frontier=(record(0),),
    )


def _come_to(heads: Sequence[Signed]) -> tuple[object, ...]:
    here = _room()
    for one in heads:
        here.come(_known_head(one))
    states = here.settle()
    return (
        {one.hash for one in here.waiting},
        {digest for digest, state in states.items() if state == BROKEN},
        {(writer, sequence) for writer, places in here.places.items() for sequence in places},
        {
            one.hash: (here.branches.name(one), sorted((name, *item) for name, item in vector.items()))
            for one in here.heads.values()
            for vector in [here.branches.vector(one.vector)]
        },
    )


def _hash(label: str) -> bytes:
    return made(f"judged head {label}", 32) if label else bytes(32)


def _writer(label: str) -> bytes:
    name, _, began = label.partition("/")
    writer = made(f"judged writer {name}", 16)
    return branch_writer(writer, _hash(began)) if began else writer


def _items(told: Sequence[tuple[str, int, str]]) -> list[tuple[bytes, int, bytes]]:
    return sorted((_writer(writer), sequence, _hash(digest)) for writer, sequence, digest in told)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["why"]))
def test_each_set_of_heads_comes_to_what_the_vectors_say(case: dict[str, Any]) -> None:
    heads = [
        Signed(
            _hash(one["hash"]),
            _writer(one["writer"]),
            one["sequence"],
            _hash(one["previous"]),
            tuple(_items(one["vector"])),
        )
        for one in case["heads"]
    ]
    expected = (
        set(map(_hash, case["waiting"])),
        set(map(_hash, case["refused"])),
        {(_writer(writer), sequence) for writer, sequence in case["forks"]},
        {_hash(one): (_writer(name), _items(seen)) for one, (name, seen) in case["read"].items()},
    )
    assert _come_to(heads) == expected
    assert _come_to(heads[::-1]) == expected


@st.composite
def sets_of_heads(draw: st.DrawFn) -> list[Signed]:
    """Heads of three writers that name each other, by any names, with any numbers, and what is nowhere."""
    heads: list[Signed] = []
    for at in range(draw(st.integers(1, 8))):
        writer = made(f"judged writer {draw(st.sampled_from('abc'))}", 16)
        own = [one for one in heads if one.writer == writer]
        before = draw(st.sampled_from([None, *own, *own, *own]))
        sequence = before.sequence + 1 if before else draw(st.sampled_from([1, 1, 1, 2, 3]))
        nowhere = made(f"nowhere {sequence}", 32) if sequence > 1 else bytes(32)
        others = [one for one in heads if one.writer != writer]
        kept = before.vector if before and draw(st.integers(0, 5)) else ()
        vector = {name: (last, digest) for name, last, digest in kept}
        for one in draw(st.lists(st.sampled_from(others), max_size=3)) if others else []:
            root = draw(st.sampled_from([None, None, None, *heads]))
            name = (
                branch(one.writer, root.hash) if root else draw(st.sampled_from([one.writer] * 5 + [others[0].writer]))
            )
            vector[name] = one.sequence + (draw(st.integers(0, 9)) == 0), one.hash
        heads.append(
            Signed(
                made(f"judged head {at}", 32),
                writer,
                sequence,
                before.hash if before else nowhere,
                tuple((name, *item) for name, item in sorted(vector.items())),
            )
        )
    return [one for one in heads if draw(st.integers(0, 5))]


@given(sets_of_heads(), st.data())
def test_any_heads_come_to_what_the_reference_says_in_any_order(heads: list[Signed], data: st.DataObject) -> None:
    wanted = found(set(heads))
    expected = (wanted.waiting, wanted.refused, wanted.forks, wanted.read)
    assert _come_to(data.draw(st.permutations(heads))) == expected
