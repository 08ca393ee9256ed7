"""Packing: every chunk lies where the directory says, whatever columns are lost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.head import embed
from ropewalk.spaces.pack import packing as packing_module
from ropewalk.spaces.pack.directory import NOT_KNOWN, Directory
from ropewalk.spaces.pack.erasure import Code
from ropewalk.spaces.pack.packing import Packing
from ropewalk.spaces.pack.share import ShareName, Trailer
from tests.spaces.making import some_keys

KEYS = some_keys()


def _id(number: int) -> bytes:
    return number.to_bytes(32, "big")


@given(st.integers(1, 4), st.integers(0, 3), st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20))
def test_every_chunk_comes_back_from_any_k_columns(k: int, parity: int, chunks: list[bytes]) -> None:
    packing = Packing(k, k + parity)
    for number, sealed in enumerate(chunks):
        packing.add(_id(number), sealed)
    assert all(packing.get(_id(number)) == sealed for number, sealed in enumerate(chunks))
    pack = packing.finish(KEYS)
    assert all(packing.get(_id(number)) == sealed for number, sealed in enumerate(chunks))
    columns = {share.number: share.parts[0] for share in pack.shares}
    for kept in itertools.combinations(columns, k):
        built = Code(k, k + parity).rebuild({at: columns[at] for at in kept}, range(k), pack.manifest.longest)
        for place, sealed in zip(pack.directory.places, chunks, strict=True):
            assert built[place.column][place.offset : place.offset + place.length] == sealed
    for share in pack.shares:
        name = ShareName.decode(share.name)
        assert name is not None
        trailer = Trailer.decode(share.parts[1], name)
        assert trailer.verify(share.parts[0])
        assert Directory.open(trailer.directory, pack.name, pack.manifest.lengths, KEYS) == pack.directory
        assert share.size == len(share.parts[0]) + len(share.parts[1])


@given(
    st.lists(st.tuples(st.integers(1, 300), st.lists(st.integers(0, 400), max_size=120)), min_size=1, max_size=40),
    st.integers(1, 400),
)
def test_what_a_head_would_embed_is_never_underestimated(chunks: list[tuple[int, list[int]]], packs: int) -> None:
    packing = Packing(1, 1)
    for number, (size, children) in enumerate(chunks):
        packing.add(_id(number), bytes(size), [_id(child) for child in children])
    packs_of = {_id(child): _id(1000 + child % packs) for child in range(len(chunks), 401)}
    pack = packing.finish(KEYS, packs_of)
    embedded = embed(pack.directory.seal(pack.name, KEYS), bytes(pack.shares[0].parts[0]))
    assert len(embedded) <= packing.embedded_size


@given(
    st.tuples(st.integers(1, 4), st.integers(0, 4)),
    st.lists(st.tuples(st.integers(1, 200_000), st.lists(st.integers(0, 400), max_size=90)), min_size=1, max_size=25),
    st.integers(1_000, 300_000),
)
def test_no_share_is_larger_than_it_may_be_unless_one_chunk_is(
    columns: tuple[int, int], chunks: list[tuple[int, list[int]]], limit: int
) -> None:
    k, parity = columns
    packing = Packing(k, k + parity)
    packing.share_limit = limit
    for number, (size, children) in enumerate(chunks):
        pointed = [_id(1000 + child) for child in children]
        if packing.fits(bytes(size), pointed):
            packing.add(_id(number), bytes(size), pointed)
    packs_of = {_id(1000 + child): _id(child) for child in range(401)}
    pack = packing.finish(KEYS, packs_of)
    assert len(packing) == 1 or max(share.size for share in pack.shares) <= limit


def test_a_share_may_be_as_large_as_it_may_be() -> None:
    packing = Packing(1, 2)
    packing.share_limit = 1_001_000
    for number, size in enumerate((1_000, 999_000)):
        assert packing.fits(bytes(size))
        packing.add(_id(number), bytes(size))
    assert not packing.fits(bytes(1_000))


def test_the_same_chunks_give_the_same_objects() -> None:
    packs = []
    for _ in range(2):
        packing = Packing(2, 3)
        for number in range(9):
            packing.add(_id(number), bytes((number,)) * (number + 1))
        packs.append(packing.finish(KEYS))
    assert [(s.name, [bytes(part) for part in s.parts]) for s in packs[0].shares] == [
        (s.name, [bytes(part) for part in s.parts]) for s in packs[1].shares
    ]


def test_chunks_go_to_the_shortest_column_and_none_goes_twice() -> None:
    packing = Packing(3, 4)
    for number, size in enumerate((5, 3, 4, 1, 1, 1)):
        packing.add(_id(number), bytes(size))
    packing.add(_id(0), b"other")
    assert (len(packing), packing.size) == (6, 15)
    assert [place.column for place in packing.finish(KEYS).directory.places] == [0, 1, 2, 1, 1, 2]
    assert _id(5) in packing
    assert _id(6) not in packing
    assert packing.get(_id(6)) is None


def test_there_is_room_up_to_the_limit_and_always_for_a_first_chunk() -> None:
    packing = Packing(2, 3, limit=10)
    assert packing.fits(bytes(11))
    packing.add(_id(0), bytes(6))
    assert packing.fits(bytes(4))
    assert not packing.fits(bytes(5))


def test_a_pack_takes_no_more_chunks_than_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing_module, "MOST_CHUNKS", 3)
    packing = Packing(1, 1)
    for number in range(3):
        assert packing.fits(b"1")
        packing.add(_id(number), b"1")
    assert not packing.fits(b"1")


def test_a_pack_full_of_children_has_a_directory_that_opens() -> None:
    packing = Packing(1, 1)
    number = 0
    packs_of: dict[bytes, bytes] = {}
    while packing.fits(b"1"):
        children = [_id(1_000_000 + 1024 * number + at) for at in range(1024)]
        packs_of.update((child, child) for child in children if len(packs_of) < 70_000)
        packing.add(_id(number), b"1", children)
        number += 1
    pack = packing.finish(KEYS, packs_of)
    name = ShareName.decode(pack.shares[0].name)
    assert name is not None
    box = Trailer.decode(pack.shares[0].parts[1], name).directory
    assert Directory.open(box, pack.name, [number], KEYS) == pack.directory


def test_children_are_told_by_position_here_by_pack_elsewhere_and_by_id_alone_where_it_is_not_known() -> None:
    packing = Packing(1, 1)
    packing.add(_id(0), b"leaf")
    packing.add(_id(1), b"node", [_id(0), _id(7), _id(8)])
    assert packing.children_elsewhere() == {_id(7), _id(8)}
    directory = packing.finish(KEYS, {_id(7): b"p" * 32}).directory
    assert directory.packs == b"p" * 32
    assert directory.children == [None, [0, _id(7) + b"\0\0", _id(8) + NOT_KNOWN.to_bytes(2, "big")]]


def test_alone_holds_the_same_chunks_in_one_column() -> None:
    packing = Packing(3, 5)
    for number in range(7):
        packing.add(_id(number), bytes((number,)) * 9, [_id(0)])
    alone = packing.alone()
    assert (alone.k, alone.n, len(alone)) == (1, 1, 7)
    assert all(alone.get(_id(number)) == packing.get(_id(number)) for number in range(7))
    assert alone.finish(KEYS).directory.children == [[0]] * 7
