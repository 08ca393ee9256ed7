"""Chunks: plain bytes to sealed bytes with a reference, and back (docs/spec/space.md 4).

Flow: file or node -> seal -> (Reference, sealed bytes) -> pack; sealed bytes -> open_chunk -> file or node
Never: does I/O, knows where a chunk lies, or returns a byte that its reference does not vouch for.
"""

from __future__ import annotations

import enum
import struct
import threading
from typing import NamedTuple

import zstandard

from ropewalk.errors import Damaged
from ropewalk.spaces.keys import (
    TAG_SIZE,
    BoxDamaged,
    Buffer,
    KeyRing,
    aead_open,
    aead_seal,
    hashed,
    keyed,
    keyed_stream,
)

__all__ = [
    "CHUNK_SIZE",
    "REFERENCE_SIZE",
    "ChunkDamaged",
    "ChunkType",
    "Reference",
    "Sealed",
    "chunk_id",
    "content_id",
    "open_chunk",
    "padme",
    "plain_hash",
    "seal",
]

CHUNK_SIZE = 1 << 20  # bytes of plain text at most; files are cut at its multiples
_LEVEL = 3  # zstd: the level where text shrinks well and a core still does some 300 MB/s
_ZSTD = 1  # flag: the body is a zstd frame
_TRIED_WHOLE = 1 << 18  # bytes; of longer cuts a sample is tried first: media and archives cost a tenth of the time
_SAMPLES, _SAMPLE = 16, 1 << 12  # pieces and bytes of each: no run of a sixteenth, the least that pays, lies between
_REFERENCE = struct.Struct(">32s32sIIB")
REFERENCE_SIZE = _REFERENCE.size  # 73


class ChunkDamaged(Damaged):
    """The bytes are not those that the reference names."""

    code = "chunk.damaged"


class ChunkType(enum.IntEnum):
    """What a chunk holds; sealed into it, so that one kind never passes for another."""

    DATA = 1
    NODE = 2
    MAP = 3
    INDEX = 4


class Reference(NamedTuple):
    """All it takes to check and open a chunk, and nothing of where it lies."""

    id: bytes
    key: bytes
    size: int  # plain bytes
    body: int  # bytes after compression
    flags: int

    def encode(self) -> bytes:
        """73 bytes."""
        return _REFERENCE.pack(*self)

    @classmethod
    def decode(cls, data: Buffer) -> Reference:
        """Parse 73 bytes.

        Raises:
            ChunkDamaged: Another length, an unknown flag, or sizes that no chunk can have.
        """
        if len(data) != REFERENCE_SIZE:
            raise ChunkDamaged(f"reference has {len(data)} bytes, expected {REFERENCE_SIZE}")
        self = cls(*_REFERENCE.unpack(data))
        if self.flags > _ZSTD:
            raise ChunkDamaged(f"reference has flags {self.flags:#x}, known are 0 and 1")
        if not 0 < self.size <= CHUNK_SIZE or not 0 < self.body <= self.size:
            raise ChunkDamaged(f"reference has sizes {self.size} and {self.body}, expected 1 to {CHUNK_SIZE}")
        if self.flags == 0 and self.body != self.size:
            raise ChunkDamaged(f"reference has body {self.body} for {self.size} bytes that are not compressed")
        return self


class Sealed(NamedTuple):
    """What `seal` gives."""

    reference: Reference
    data: bytes
    plain_hash: bytes


class _Zstd(threading.local):
    # One for each thread: a zstd context that two threads share ends the process.
    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=False, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 23)


_zstd = _Zstd()


def padme(length: int) -> int:
    """``length`` rounded up so that it tells O(log log) bits, at most 12 % more (PURBs, PETS 2019)."""
    if length < 8:
        return length
    exponent = length.bit_length() - 1
    zeros = exponent - exponent.bit_length()
    return (length + (1 << zeros) - 1) >> zeros << zeros


def _context(kind: ChunkType, keys: KeyRing) -> bytes:
    return b"ropewalk chunk 1\0" + bytes((kind,)) + keys.space_id


def chunk_id(sealed: Buffer) -> bytes:
    """The name of a chunk: the hash of its sealed bytes."""
    return hashed("chunk id", sealed)


def plain_hash(plain: Buffer, keys: KeyRing) -> bytes:
    """The epoch-free keyed hash of one cut of a file."""
    return keyed(keys.plain, plain)


def content_id(size: int, hashes: bytes, keys: KeyRing) -> bytes:
    """The epoch-free id of a file's content, from the joined plain hashes of its cuts."""
    return keyed(keys.content, size.to_bytes(8, "big"), hashes)


def seal(plain: Buffer, kind: ChunkType, keys: KeyRing, *, padded: bool = False) -> Sealed:
    """Compress where it helps, pad where asked, encrypt.

    The same plain bytes give the same chunk, as long as the compressor gives the same frame.

    Args:
        plain: 1 to ``CHUNK_SIZE`` bytes.
        padded: From privacy level 2.
    """
    size = len(plain)
    if not 0 < size <= CHUNK_SIZE:
        raise ValueError(f"a chunk holds 1 to {CHUNK_SIZE} bytes, got {size}")
    plainly = keyed(keys.plain, plain)
    body, flags = plain, 0
    # Nodes stay as they are: their roots must not depend on whose compressor made them.
    if kind is ChunkType.DATA and (frame := _compressed(plain)) is not None:
        body, flags = frame, _ZSTD
    length = len(body)
    if padded and (more := padme(length) - length):
        body = b"".join((body, keyed_stream(keys.members.pad, more, bytes((kind,)), body)))
    context = _context(kind, keys)
    digest = plainly if body is plain else keyed(keys.plain, body)
    key = keyed(keys.chunk, context + digest)
    data = aead_seal(key, body, context)
    return Sealed(Reference(chunk_id(data), key, size, length, flags), data, plainly)


def _compressed(plain: Buffer) -> bytes | None:
    """The frame of ``plain``, or None where it would not save a sixteenth."""
    size, compress = len(plain), _zstd.compressor.compress
    if size > _TRIED_WHOLE:
        view, apart = memoryview(plain), size // _SAMPLES
        sample = b"".join([view[at * apart : at * apart + _SAMPLE] for at in range(_SAMPLES)])
        if len(compress(sample)) >= len(sample):
            return None
    frame = compress(plain)
    return frame if 16 * len(frame) <= 15 * size else None


def open_chunk(sealed: Buffer, reference: Reference, kind: ChunkType, keys: KeyRing) -> bytes:
    """The plain bytes, exactly ``reference.size`` of them.

    Raises:
        ChunkDamaged: The bytes are not the chunk that the reference names.
    """
    if not reference.body <= len(sealed) - TAG_SIZE <= padme(reference.body):
        raise ChunkDamaged(f"chunk has {len(sealed)} bytes, its reference says {reference.body} and a tag")
    if (got := chunk_id(sealed)) != reference.id:
        raise ChunkDamaged(f"chunk is {got.hex()[:8]}, expected {reference.id.hex()[:8]}")
    try:
        body = aead_open(reference.key, sealed, _context(kind, keys))
    except BoxDamaged:
        raise ChunkDamaged(f"chunk {reference.id.hex()[:8]} does not open with its key") from None
    if len(body) != reference.body:
        body = body[: reference.body]
    return _inflate(body, reference) if reference.flags & _ZSTD else body


def _inflate(body: bytes, reference: Reference) -> bytes:
    # The frame must state the very size: else a few bytes could ask for any amount of memory.
    try:
        frame = zstandard.get_frame_parameters(body)
        if frame.content_size != reference.size or frame.dict_id or frame.window_size > CHUNK_SIZE:
            raise ChunkDamaged(f"chunk {reference.id.hex()[:8]} inflates to another size than {reference.size}")
        plain = _zstd.decompressor.decompress(body, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ChunkDamaged(f"chunk {reference.id.hex()[:8]} is not one whole zstd frame: {error}") from None
    if len(plain) != reference.size:
        raise ChunkDamaged(f"chunk {reference.id.hex()[:8]} inflates to {len(plain)} bytes, expected {reference.size}")
    return plain
