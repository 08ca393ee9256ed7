"""Shares: a trailer is that of its share and column, or it is refused."""

from __future__ import annotations

import struct
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.keys import hashed
from ropewalk.spaces.pack.packing import Pack, Packing
from ropewalk.spaces.pack.roots import LEAF_SIZE, column_root, leaf_hashes
from ropewalk.spaces.pack.share import FOOTER_SIZE, Manifest, ShareDamaged, ShareName, Trailer
from tests.spaces.making import flips, some_keys, truncations

pack = msgspec.msgpack.encode
names = st.builds(
    ShareName,
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 63),
    st.binary(min_size=16, max_size=16),
)


def _pack(size: int = 200_000) -> Pack:
    packing = Packing(2, 4)
    for at in range(3):
        packing.add(bytes((at,)) * 32, bytes((at,)) * (size + at))
    return packing.finish(some_keys())


PACK = _pack()


def _share(number: int) -> tuple[ShareName, bytes, bytes]:
    share = PACK.shares[number]
    name = ShareName.decode(share.name)
    assert name is not None
    return name, bytes(share.parts[0]), share.parts[1]


@given(names)
def test_names_come_back(name: ShareName) -> None:
    assert ShareName.decode(name.encode()) == name


@given(st.text(max_size=200) | names.map(lambda name: name.encode()[:-1]) | names.map(lambda name: name.encode() + "0"))
def test_fuzz_other_names_are_no_shares(name: str) -> None:
    assert ShareName.decode(name) is None


def test_names_that_only_look_like_a_shares_are_none() -> None:
    name = PACK.shares[1].name
    for other in (name.upper(), name.replace("-01-", "-40-"), name.replace("-01-", "-1-"), name + "\n", "/" + name):
        assert ShareName.decode(other) is None


@pytest.mark.parametrize("number", range(4))
def test_a_trailer_comes_back_and_verifies_its_column(number: int) -> None:
    name, column, encoded = _share(number)
    assert Trailer.size_from_footer(encoded[-FOOTER_SIZE:], name, len(column) + len(encoded)) == len(encoded)
    trailer = Trailer.decode(encoded, name)
    assert trailer.encode() == encoded
    assert trailer.manifest == PACK.manifest
    assert trailer.verify(column)
    assert trailer.verify(column[LEAF_SIZE:], 1)
    assert not trailer.verify(column[LEAF_SIZE:], 0)
    assert not trailer.verify(column[:-1])
    for at in range(0, 8 * len(column), 40_009):
        flipped = bytearray(column)
        flipped[at // 8] ^= 1 << at % 8
        assert not trailer.verify(flipped)


def test_no_bit_and_no_length_of_a_trailer_can_change_even_under_a_name_that_fits() -> None:
    name, column, encoded = _share(2)
    for changed in (*flips(encoded), *truncations(encoded)):
        with pytest.raises(ShareDamaged, match="not the one that its name says"):
            Trailer.decode(changed, name)
        try:
            trailer = Trailer.decode(changed, replace(name, check=Trailer.check(changed)))
        except ShareDamaged:
            continue
        # What is left are bits of the directory, which is sealed, and of this share's own parity root's neighbours.
        assert trailer.number == 2
        assert trailer.leaves == leaf_hashes(column)
        assert trailer.manifest.roots[2] == PACK.manifest.roots[2]
        assert trailer.directory != PACK.shares[2].parts[1] or trailer.manifest != PACK.manifest


@given(st.binary(max_size=120))
def test_fuzz_junk_is_no_trailer(junk: bytes) -> None:
    name = replace(_share(0)[0], check=Trailer.check(junk))
    with pytest.raises(ShareDamaged):
        Trailer.decode(junk, name)
    with pytest.raises(ShareDamaged):
        Trailer.size_from_footer(junk, name, len(junk))


@given(st.integers(0, 2**16 - 1), *[st.integers(0, 2**32 - 1)] * 4, st.binary(max_size=80))
def test_fuzz_a_footer_of_any_numbers_is_refused(
    number: int, column: int, leaves: int, manifest: int, directory: int, junk: bytes
) -> None:
    data = junk + struct.pack(">8sHQIII", b"rwshare1", number, column, leaves, manifest, directory)
    with pytest.raises(ShareDamaged):
        Trailer.decode(data, replace(_share(0)[0], check=Trailer.check(data)))


@pytest.mark.parametrize("wrong", [0, 1, FOOTER_SIZE, -1])
def test_a_footer_must_add_up_to_the_size_that_is_listed(wrong: int) -> None:
    name, column, encoded = _share(1)
    size = wrong if wrong >= 0 else len(column) + len(encoded) - 1
    with pytest.raises(ShareDamaged, match="its footer says"):
        Trailer.size_from_footer(encoded[-FOOTER_SIZE:], name, size)


def test_shares_do_not_pass_for_one_another() -> None:
    for number in range(4):
        name, _, _ = _share(number)
        other = _share((number + 1) % 4)[2]
        with pytest.raises(ShareDamaged):
            Trailer.decode(other, name)
        with pytest.raises(ShareDamaged, match="another pack"):
            Trailer.decode(other, replace(name, check=Trailer.check(other)))
        with pytest.raises(ShareDamaged, match="no footer of its own"):
            Trailer.size_from_footer(other[-FOOTER_SIZE:], name, 10**6)
    others = _pack(100).shares[0]
    with pytest.raises(ShareDamaged, match="another pack"):
        Trailer.decode(others.parts[1], replace(_share(0)[0], check=Trailer.check(others.parts[1])))


def test_leaf_hashes_must_give_the_root() -> None:
    name, column, _ = _share(3)
    leaves = leaf_hashes(column[:-1] + b"!")
    forged = Trailer(3, leaves, PACK.manifest, b"").encode()
    with pytest.raises(ShareDamaged, match="do not give the root"):
        Trailer.decode(forged, replace(name, check=Trailer.check(forged)))
    short = Trailer(3, leaves[:32], PACK.manifest, b"").encode()
    with pytest.raises(ShareDamaged, match="1 leaf hashes"):
        Trailer.decode(short, replace(name, check=Trailer.check(short)))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    k = draw(st.integers(1, 64))
    n = draw(st.integers(k, 64))
    lengths = draw(st.lists(st.integers(0, 1 << 32), min_size=k, max_size=k))
    return Manifest(k, n, lengths, [hashed("root", bytes((at,))) for at in range(n)])


@given(manifests())
def test_a_manifest_comes_back(manifest: Manifest) -> None:
    assert Manifest.decode(manifest.encode()) == manifest
    assert len(manifest.encode()) <= 8 * 1024
    assert all(manifest.column_length(number) == manifest.longest for number in range(manifest.k, manifest.n))


@pytest.mark.parametrize(
    "fields",
    [
        [2, 1, 1, [5], bytes(32), {}],
        [1, 0, 1, [], bytes(32), {}],
        [1, 2, 1, [5, 5], bytes(32), {}],
        [1, 1, 65, [5], bytes(32 * 65), {}],
        [1, 2, 2, [5], bytes(64), {}],
        [1, 1, 2, [5], bytes(63), {}],
        [1, 1, 1, [-1], bytes(32), {}],
        [1, 1, 1, [(1 << 32) + 1], bytes(32), {}],
        [1, 1, 1, [5], bytes(32), {0: bytes(2000)}],
        [1, 1, 1, [5], bytes(32)],
    ],
)
def test_a_manifest_that_cannot_be_is_refused(fields: list[object]) -> None:
    with pytest.raises(ShareDamaged):
        Manifest.decode(pack(fields))


@given(st.binary(max_size=200))
def test_fuzz_junk_is_no_manifest(junk: bytes) -> None:
    with pytest.raises(ShareDamaged):
        Manifest.decode(junk)


def test_an_empty_column_has_a_root_and_verifies() -> None:
    assert column_root(0, b"") != column_root(1, b"")
    packing = Packing(3, 4)
    packing.add(bytes(32), b"alone")
    made = packing.finish(some_keys())
    name = ShareName.decode(made.shares[1].name)
    assert name is not None
    assert Trailer.decode(made.shares[1].parts[1], name).verify(b"")
