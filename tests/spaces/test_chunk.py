"""Chunks: what was sealed comes back, or nothing does."""

from __future__ import annotations

import random
import struct

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.spaces import chunk
from ropewalk.spaces.chunk import (
    CHUNK_SIZE,
    REFERENCE_SIZE,
    ChunkDamaged,
    ChunkType,
    Reference,
    chunk_id,
    content_id,
    open_chunk,
    padme,
    plain_hash,
    seal,
)
from ropewalk.spaces.keys import TAG_SIZE, aead_seal
from tests.spaces.making import flips, some_keys, truncations

KEYS = some_keys()
kinds = st.sampled_from(ChunkType)
plains = st.binary(min_size=1, max_size=2000) | st.binary(min_size=1, max_size=9).map(lambda part: part * 500)


@given(plains, kinds, st.booleans())
def test_a_chunk_comes_back_and_equal_plain_bytes_give_equal_chunks(
    plain: bytes, kind: ChunkType, padded: bool
) -> None:
    sealed = seal(plain, kind, KEYS, padded=padded)
    assert open_chunk(sealed.data, sealed.reference, kind, KEYS) == plain
    assert open_chunk(memoryview(sealed.data), sealed.reference, kind, KEYS) == plain
    assert seal(memoryview(plain), kind, KEYS, padded=padded) == sealed
    assert sealed.plain_hash == plain_hash(plain, KEYS)
    assert sealed.reference.id == chunk_id(sealed.data)
    assert Reference.decode(sealed.reference.encode()) == sealed.reference
    length = padme(sealed.reference.body) if padded else sealed.reference.body
    assert len(sealed.data) == length + TAG_SIZE


@given(plains, kinds)
def test_only_data_is_compressed_and_only_where_it_helps(plain: bytes, kind: ChunkType) -> None:
    reference = seal(plain, kind, KEYS).reference
    assert reference.flags == (reference.body != reference.size)
    if reference.flags:
        assert kind is ChunkType.DATA
        assert 16 * reference.body <= 15 * reference.size


@pytest.mark.parametrize("size", [CHUNK_SIZE, CHUNK_SIZE - 1, 300_000])
@given(st.data())
@settings(max_examples=15)
def test_a_long_run_that_compresses_is_found_wherever_it_lies(size: int, data: st.DataObject) -> None:
    numbers = random.Random(data.draw(st.integers(0, 9)))
    run = size // 10
    at = data.draw(st.integers(0, size - run))
    plain = b"".join((numbers.randbytes(at), bytes(run), numbers.randbytes(size - run - at)))
    sealed = seal(plain, ChunkType.DATA, KEYS)
    assert sealed.reference.flags == 1
    assert open_chunk(sealed.data, sealed.reference, ChunkType.DATA, KEYS) == plain


def test_of_a_long_chunk_that_does_not_compress_only_a_sample_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    class Compressor:
        def compress(self, data: bytes) -> bytes:
            tried.append(len(data))
            return zstandard.ZstdCompressor().compress(data)

    monkeypatch.setattr(chunk._zstd, "compressor", Compressor())
    plain = random.Random(1).randbytes(CHUNK_SIZE)
    assert seal(plain, ChunkType.DATA, KEYS).reference.flags == 0
    assert seal(plain[:200_000], ChunkType.DATA, KEYS).reference.flags == 0
    assert tried == [1 << 16, 200_000]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("plain", [b"a chunk of no use to zstd", b"compress " * 40])
def test_no_bit_and_no_length_of_a_chunk_can_change(plain: bytes, padded: bool) -> None:
    sealed = seal(plain, ChunkType.DATA, KEYS, padded=padded)
    for changed in (*flips(sealed.data), *truncations(sealed.data)):
        with pytest.raises(ChunkDamaged):
            open_chunk(changed, sealed.reference, ChunkType.DATA, KEYS)


@given(st.binary(max_size=300))
def test_fuzz_junk_is_no_chunk(junk: bytes) -> None:
    reference = seal(b"a chunk", ChunkType.DATA, KEYS).reference
    with pytest.raises(ChunkDamaged):
        open_chunk(junk, reference, ChunkType.DATA, KEYS)


@given(st.binary(max_size=REFERENCE_SIZE + 10) | st.binary(min_size=REFERENCE_SIZE, max_size=REFERENCE_SIZE))
def test_fuzz_bytes_are_a_reference_or_refused(junk: bytes) -> None:
    try:
        reference = Reference.decode(junk)
    except ChunkDamaged:
        return
    assert reference.encode() == junk
    assert 0 < reference.body <= reference.size <= CHUNK_SIZE


@pytest.mark.parametrize(
    "reference",
    [
        Reference(bytes(32), bytes(32), 0, 0, 0),
        Reference(bytes(32), bytes(32), 5, 0, 1),
        Reference(bytes(32), bytes(32), CHUNK_SIZE + 1, 5, 1),
        Reference(bytes(32), bytes(32), 5, 6, 1),
        Reference(bytes(32), bytes(32), 5, 4, 0),
        Reference(bytes(32), bytes(32), 5, 5, 2),
    ],
)
def test_a_reference_that_no_chunk_can_have_is_refused(reference: Reference) -> None:
    with pytest.raises(ChunkDamaged):
        Reference.decode(reference.encode())


def test_a_chunk_of_one_kind_or_space_is_none_of_another() -> None:
    sealed = seal(b"a node", ChunkType.NODE, KEYS)
    with pytest.raises(ChunkDamaged, match="does not open"):
        open_chunk(sealed.data, sealed.reference, ChunkType.MAP, KEYS)
    with pytest.raises(ChunkDamaged, match="does not open"):
        open_chunk(sealed.data, sealed.reference, ChunkType.NODE, some_keys("two"))
    assert seal(b"a node", ChunkType.NODE, some_keys("two")).reference.id != sealed.reference.id


def test_a_key_meets_one_message_whatever_is_sealed() -> None:
    """The nonce is always zero: two sealed messages under one key would break both."""
    plains = [bytes((value,)) * size for value in range(8) for size in (1, 40, 400, 4000)]
    sealed = [
        seal(plain, kind, KEYS, padded=padded) for plain in plains for kind in ChunkType for padded in (False, True)
    ]
    by_key: dict[bytes, set[bytes]] = {}
    for one in sealed:
        by_key.setdefault(one.reference.key, set()).add(one.data)
    assert all(len(messages) == 1 for messages in by_key.values())


@pytest.mark.parametrize("size", [0, CHUNK_SIZE + 1])
def test_a_chunk_of_a_size_that_cannot_be_is_not_sealed(size: int) -> None:
    with pytest.raises(ValueError):
        seal(bytes(size), ChunkType.DATA, KEYS)


def test_a_full_chunk_comes_back() -> None:
    plain = random.Random(1).randbytes(CHUNK_SIZE)
    for padded in (False, True):
        sealed = seal(plain, ChunkType.DATA, KEYS, padded=padded)
        assert open_chunk(sealed.data, sealed.reference, ChunkType.DATA, KEYS) == plain


def _framed(body: bytes, size: int) -> tuple[bytes, Reference]:
    """A member's own chunk whose body is said to be a zstd frame."""
    key = b"k" * 32
    data = aead_seal(key, body, b"ropewalk chunk 1\0" + bytes((ChunkType.DATA,)) + KEYS.space_id)
    return data, Reference(chunk_id(data), key, size, len(body), 1)


def _bomb(stated: int, blocks: int) -> bytes:
    frame = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", stated)
    for block in range(blocks):
        frame += (int(block == blocks - 1) | 1 << 1 | 131072 << 3).to_bytes(3, "little") + b"x"
    return frame


FRAME = zstandard.ZstdCompressor(write_content_size=True).compress(b"plain " * 100)


@pytest.mark.parametrize(
    ("why", "body", "size"),
    [
        ("no frame", b"not a frame at all", 600),
        (
            "a size that is not stated",
            zstandard.ZstdCompressor(write_content_size=False).compress(b"plain " * 100),
            600,
        ),
        ("another size", FRAME, 599),
        ("bytes after it", FRAME + b"\0", 600),
        ("two frames", FRAME + FRAME, 600),
        ("its end cut off", FRAME[:-1], 600),
        ("far more than it states", _bomb(131072, 500), 131072),
        ("less than it states", _bomb(262144, 1), 262144),
        ("a window over 1 MiB", b"\x28\xb5\x2f\xfd\x80\x60" + struct.pack("<I", 600) + FRAME[6:], 600),
    ],
)
def test_a_frame_that_a_reader_must_refuse(why: str, body: bytes, size: int) -> None:
    data, reference = _framed(body, max(size, len(body)))
    with pytest.raises(ChunkDamaged):
        open_chunk(data, reference._replace(size=size), ChunkType.DATA, KEYS)


@given(st.binary(min_size=1, max_size=400) | st.sampled_from(flips(FRAME)))
def test_fuzz_a_frame_gives_what_it_states_or_is_refused(body: bytes) -> None:
    data, reference = _framed(body, 600)
    try:
        plain = open_chunk(data, reference, ChunkType.DATA, KEYS)
    except ChunkDamaged:
        return
    assert len(plain) == 600


@given(st.integers(0, 1 << 40))
def test_padding_grows_a_length_by_at_most_an_eighth_and_hides_what_it_was(length: int) -> None:
    padded = padme(length)
    assert length <= padded <= length * 1.12 + 1
    assert padme(padded) == padded


def test_padded_lengths_are_few() -> None:
    assert len({padme(length) for length in range(1, 100_000)}) < 400


def test_the_content_id_tells_size_and_cuts_apart() -> None:
    assert content_id(1, bytes(32), KEYS) != content_id(2, bytes(32), KEYS)
    assert content_id(1, bytes(32), KEYS) != content_id(1, bytes(64), KEYS)
    assert content_id(1, bytes(32), KEYS) != content_id(1, bytes(32), some_keys("two"))
