"""Entries: what one file, folder or link is, as a key and a value of the space's ordered map.

A key is ``parent id, name, NUL, entry id, writer, sequence``; the last two are the dot, which names one write for
good.  A value is the msgpack array ``[kind, size, mtime, mode, content id, content, xattrs, extra]`` in its shortest
encoding.  Content is nil or ``[tag, bytes]``: tag 0 holds the bytes themselves, every other tag a whole number of
refs, so that software which does not know a tag still knows the chunks that it needs.

Flow: Space -> [pack_key, encode_entry] -> Tree; Tree -> [unpack_key, decode_entry] -> view, Space
Never: seals or fetches content, or drops a field that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NewType

import msgspec

from ropewalk.errors import Damaged, Misuse
from ropewalk.spaces.tree.node import LARGEST_VALUE, REF_SIZE

__all__ = [
    "CHUNK_SIZE",
    "ID_SIZE",
    "LOST_FOLDER",
    "NO_ENTRY",
    "ROOT_FOLDER",
    "Chunks",
    "Content",
    "Entry",
    "EntryDamaged",
    "EntryId",
    "EntryKey",
    "Inline",
    "Kind",
    "Offsets",
    "Unknown",
    "WriterId",
    "check_name",
    "content_and_extra",
    "content_refs",
    "decode_entry",
    "encode_entry",
    "folder_range",
    "is_key",
    "kind_of",
    "name_range",
    "pack_key",
    "unpack_key",
]

EntryId = NewType("EntryId", bytes)
WriterId = NewType("WriterId", bytes)

ID_SIZE = 16  # bytes of an entry id and of a writer
ROOT_FOLDER = EntryId(bytes(ID_SIZE))  # the parent of what lies at the top; no entry has this id
LOST_FOLDER = EntryId(b"\xff" * ID_SIZE)  # what a view calls lost+found; no entry has this id or this parent
LONGEST_NAME = 255  # bytes; what file systems take
CHUNK_SIZE = 1024 * 1024  # bytes of a file that one ref covers
MOST_CHUNKS = 4  # refs in an entry; more of them go to a map of offsets, so that a listing stays short
LARGEST_INLINE = 512  # bytes of a file kept in its entry; a ref and its overhead cost about as much
LARGEST_TARGET = 4096  # bytes of a symbolic link's target; PATH_MAX of Linux
CONTENT_ID_SIZE = 32  # bytes
EMPTY_MAP = b"\x80"
LARGEST_EXTRA = 1024  # bytes

NO_ENTRY = -1  # in place of a kind, for a value that is none: one liar must not keep others from all the rest
_NOT_ENTRIES = frozenset((ROOT_FOLDER, LOST_FOLDER))
_NOT_NAMES = frozenset((b".", b".."))
_KEY_TAIL = 1 + ID_SIZE + ID_SIZE + 8  # NUL, entry id, writer, sequence


# The values below are msgspec's structs: made ten times as fast as frozen dataclasses, which a listing is made of.


class EntryDamaged(Damaged):
    """A key or value of the map is not an entry."""

    code = "tree.entry-damaged"


class Kind(IntEnum):
    """What an entry is.  Numbers from 3 on are later formats': shown, and kept as they are."""

    FILE = 0
    FOLDER = 1
    SYMLINK = 2


class Inline(msgspec.Struct, frozen=True):
    """The content itself: a file of up to 512 bytes, or a link's target of up to 4096."""

    data: bytes


class Chunks(msgspec.Struct, frozen=True):
    """Up to four refs in order; each covers 1 MiB of the file, the last what is left."""

    refs: Sequence[bytes]


class Offsets(msgspec.Struct, frozen=True):
    """The root of a map from offsets to content, for all that is larger."""

    root: bytes


class Unknown(msgspec.Struct, frozen=True):
    """Content of a later format: what it means is not known, what it needs is."""

    tag: int
    refs: Sequence[bytes]


Content = Inline | Chunks | Offsets | Unknown | None


class EntryKey(msgspec.Struct, frozen=True):
    """Where an entry stands, and the write that put it there."""

    parent: EntryId
    name: bytes  # 1 to 255 bytes, mostly UTF-8
    entry_id: EntryId  # kept for life, through edits and moves
    writer: WriterId
    sequence: int  # 0 to 2^64-1


class Entry(msgspec.Struct, frozen=True):
    """What an entry holds."""

    kind: int
    size: int = 0  # bytes
    mtime: int = 0  # nanoseconds since 1970, may be negative
    mode: int = 0  # permission and special bits, 16 of them
    content_id: bytes | None = None  # 32 bytes, equal for equal content in any epoch; never for a folder
    content: Content = None  # None for a folder only
    xattrs: Mapping[str, bytes] = msgspec.field(default_factory=dict)
    extra: bytes = EMPTY_MAP  # fields of later formats: a msgpack map from numbers to anything, kept byte for byte


_WireContent = tuple[int, bytes] | None
_Wire = tuple[int, int, int, int, bytes | None, _WireContent, dict[str, bytes], msgspec.Raw]
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Wire)
_extra_decoder = msgspec.msgpack.Decoder(dict[int, object])
# What the decoder raises for bytes that others chose.
_JUNK = (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError)
_Raw = msgspec.Raw
_fields_decoder = msgspec.msgpack.Decoder(tuple[_Raw, _Raw, _Raw, _Raw, _Raw, _Raw, _Raw, _Raw])
_content_decoder = msgspec.msgpack.Decoder(tuple[_Raw, _Raw, _Raw, _Raw, _Raw, _WireContent, _Raw, _Raw])


def check_name(name: bytes) -> bytes:
    """``name``, once it is known to be fit for an entry.

    Raises:
        Misuse: Empty, longer than 255 bytes, ``.`` or ``..``, or with a slash or NUL in it.
    """
    if fault := _name_fault(name):
        raise Misuse(f"name {name[:40]!r} {fault}")
    return name


def pack_key(key: EntryKey) -> bytes:
    """The map's key for an entry.

    Raises:
        Misuse: A field that no reader would take.
    """
    if fault := _key_fault(key):
        raise Misuse(f"entry {key.name[:40]!r} {fault}")
    return b"".join((key.parent, key.name, b"\0", key.entry_id, key.writer, key.sequence.to_bytes(8, "big")))


def unpack_key(data: bytes) -> EntryKey:
    """The entry's place and dot.

    Raises:
        EntryDamaged: It is not a key of an entry.
    """
    end = data.find(b"\0", ID_SIZE)
    if end < 0 or len(data) != end + _KEY_TAIL:
        raise EntryDamaged(f"key of {len(data)} bytes is not parent, name, NUL, entry id, writer and sequence")
    parent, entry_id, writer = EntryId(data[:ID_SIZE]), EntryId(data[-40:-24]), WriterId(data[-24:-8])
    key = EntryKey(parent, data[ID_SIZE:end], entry_id, writer, int.from_bytes(data[-8:], "big"))
    if fault := _key_fault(key):
        raise EntryDamaged(f"entry {key.name[:40]!r} {fault}")
    return key


def is_key(data: bytes) -> bool:
    """Whether this is the key of an entry; what is not is never shown or joined, whoever put it into a map."""
    end = len(data) - _KEY_TAIL
    return (
        ID_SIZE < end <= ID_SIZE + LONGEST_NAME
        and data.find(b"\0", ID_SIZE) == end
        and data[-40:-24] not in _NOT_ENTRIES
        and data[:ID_SIZE] != LOST_FOLDER
        and data.find(b"/", ID_SIZE, end) < 0
        and data[ID_SIZE:end] not in _NOT_NAMES
    )


def folder_range(parent: EntryId) -> tuple[bytes, bytes]:
    """First key of a folder's entries, and the key that all of them are below."""
    return bytes(parent), parent + b"\xff" * LONGEST_NAME + b"\xff"


def name_range(parent: EntryId, name: bytes) -> tuple[bytes, bytes]:
    """First key of the entries with this name in a folder, and the key that all of them are below.

    Raises:
        Misuse: The name is not fit.
    """
    start = parent + check_name(name)
    return start + b"\0", start + b"\1"


def encode_entry(entry: Entry) -> bytes:
    """The map's value for an entry.

    Raises:
        Misuse: A field that no reader would take, or more than 8 KiB in all.
    """
    try:
        data = _encode(entry)
    except (*_JUNK, OverflowError) as error:
        raise Misuse(f"entry cannot be encoded: {error}") from error
    if fault := _entry_fault(entry, len(data)):
        raise Misuse(f"entry {fault}")
    return data


def decode_entry(data: bytes) -> Entry:
    """The entry that a value holds; encoding it again gives the same bytes.

    Raises:
        EntryDamaged: It is not an entry in its shortest encoding.
    """
    try:
        kind, size, mtime, mode, content_id, wire, xattrs, extra = _decoder.decode(data)
    except _JUNK as error:
        raise EntryDamaged(f"entry does not parse: {error}") from error
    entry = Entry(kind, size, mtime, mode, content_id, _content(wire), xattrs, bytes(extra))
    if fault := _entry_fault(entry, len(data)):
        raise EntryDamaged(f"entry {fault}")
    if _encode(entry) != data:
        raise EntryDamaged("entry is not in its shortest encoding")
    return entry


def content_refs(value: bytes) -> Sequence[bytes]:
    """The refs of the chunks that an entry needs, read without the rest; those of unknown kinds and tags too.

    None where the value is no entry: whoever writes what stands beside it must not stumble over it.
    """
    try:
        wire = _content_decoder.decode(value)[5]
        return () if wire is None or wire[0] == 0 else _refs(wire[1])
    except (*_JUNK, EntryDamaged):
        return ()


def content_and_extra(value: bytes) -> tuple[bytes, dict[int, object]]:
    """The bytes of an entry's content field and its extra fields, read without the rest.

    Raises:
        EntryDamaged: It is not an entry.
    """
    try:
        fields = _fields_decoder.decode(value)
        return bytes(fields[5]), _extra_decoder.decode(fields[7])
    except _JUNK as error:
        raise EntryDamaged(f"entry does not parse: {error}") from error


def kind_of(value: bytes) -> int:
    """The kind of an entry, read without the rest; `NO_ENTRY` for what is seen to be none."""
    if len(value) > 1 and value[1] < 0x80:
        return value[1]
    try:
        return decode_entry(value).kind
    except EntryDamaged:
        return NO_ENTRY


def _encode(entry: Entry) -> bytes:
    wire: tuple[int, bytes] | None = None
    match entry.content:
        case Inline(data):
            wire = 0, data
        case Chunks(refs):
            wire = 1, b"".join(refs)
        case Offsets(root):
            wire = 2, root
        case Unknown(tag, refs):
            wire = tag, b"".join(refs)
        case None:
            pass
    xattrs = entry.xattrs if len(entry.xattrs) < 2 else dict(sorted(entry.xattrs.items(), key=_encoded_name))
    extra = msgspec.Raw(entry.extra)
    kind = int(entry.kind)
    return _encoder.encode((kind, entry.size, entry.mtime, entry.mode, entry.content_id, wire, xattrs, extra))


def _encoded_name(xattr: tuple[str, bytes]) -> bytes:
    return _encoder.encode(xattr[0])  # maps are sorted by encoded keys, so short names come first


def _content(wire: _WireContent) -> Content:
    if wire is None:
        return None
    tag, data = wire
    if tag == 0:
        return Inline(data)
    refs = _refs(data)
    if tag == 1:
        return Chunks(refs)
    return Offsets(data) if tag == 2 and len(refs) == 1 else Unknown(tag, refs)


def _refs(data: bytes) -> Sequence[bytes]:
    if not data or len(data) % REF_SIZE:
        raise EntryDamaged(f"entry has {len(data)} bytes of refs, expected a multiple of {REF_SIZE}")
    return tuple(data[i : i + REF_SIZE] for i in range(0, len(data), REF_SIZE))


def _name_fault(name: bytes) -> str:
    if not 1 <= len(name) <= LONGEST_NAME:
        return f"has {len(name)} bytes, expected 1 to {LONGEST_NAME}"
    if b"\0" in name or b"/" in name or name in _NOT_NAMES:
        return "is not a name: expected no NUL, no slash, and not '.' or '..'"
    return ""


def _key_fault(key: EntryKey) -> str:
    if not len(key.parent) == len(key.entry_id) == len(key.writer) == ID_SIZE:
        return f"has an id that is not {ID_SIZE} bytes"
    if key.entry_id in _NOT_ENTRIES or key.parent == LOST_FOLDER:
        return "has an id that is kept for the root or for lost+found"
    if not 0 <= key.sequence < 2**64:
        return f"has sequence {key.sequence}, expected 0 to 2^64-1"
    return _name_fault(key.name)


def _entry_fault(entry: Entry, encoded: int) -> str:
    """What is wrong with an entry, or "" for nothing; the last step of both encoding and decoding."""
    if encoded > LARGEST_VALUE:
        return f"takes {encoded} bytes, expected at most {LARGEST_VALUE}"
    if not (0 <= entry.kind < 2**32 and 0 <= entry.size < 2**63 and 0 <= entry.mode < 2**16):
        return f"has kind {entry.kind}, size {entry.size} or mode {entry.mode} out of range"
    if not -(2**63) <= entry.mtime < 2**63:
        return f"has time {entry.mtime}, expected a signed number of 64 bits"
    if entry.content_id is not None and len(entry.content_id) != CONTENT_ID_SIZE:
        return f"has a content id of {len(entry.content_id)} bytes, expected {CONTENT_ID_SIZE}"
    return _content_fault(entry) or _extra_fault(entry.extra)


def _content_fault(entry: Entry) -> str:
    content, size = entry.content, entry.size
    match entry.kind, content:
        case Kind.FOLDER, None:
            return "" if size == 0 and entry.content_id is None else "is a folder with a size or a content id"
        case Kind.FILE, Inline(data) if len(data) == size <= LARGEST_INLINE:
            return ""
        case Kind.SYMLINK, Inline(data) if len(data) == size and 0 < size <= LARGEST_TARGET and b"\0" not in data:
            return ""
        case Kind.FILE, Chunks(refs) if len(refs) == -(-size // CHUNK_SIZE) <= MOST_CHUNKS:
            return _refs_fault(refs)
        case Kind.FILE, Offsets(root):
            return _refs_fault([root])
        case Kind.FILE, Unknown(tag, refs) if tag > 2:
            return _refs_fault(refs)
        case kind, Unknown(tag, refs) if kind > 2 and 2 <= tag < 2**32:
            return _refs_fault(refs)
        case kind, _ if kind > 2:
            return ""
    return f"of kind {entry.kind} and size {size} cannot have content {type(content).__name__}"


def _refs_fault(refs: Sequence[bytes]) -> str:
    fits = refs and all(len(ref) == REF_SIZE for ref in refs)
    return "" if fits else f"has refs that are not {REF_SIZE} bytes each"


def _extra_fault(extra: bytes) -> str:
    if extra == EMPTY_MAP:
        return ""
    try:
        fields = _extra_decoder.decode(extra)
    except _JUNK as error:
        return f"has extra fields that do not parse: {error}"
    numbers = list(fields)
    if len(extra) > LARGEST_EXTRA:
        return f"has extra fields of {len(extra)} bytes, expected at most {LARGEST_EXTRA}"
    if numbers != sorted(numbers) or min(numbers, default=0) < 0 or msgspec.msgpack.encode(fields) != extra:
        return "has extra fields that are not numbered, ascending and in their shortest encoding"
    return ""
