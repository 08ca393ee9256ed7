"""Anew: content that is sealed again in a newer epoch: what of a value lasts then, and what shows that it was done.

A mark in a value names the epoch that its content was sealed in, and is made with that epoch's key.  So who was put
out cannot have marked anything as sealed in an epoch that came after.

Flow: entry, keys -> with_mark -> map; two values of one key -> one_of -> join, relabel; value -> is_marked -> reseal
Never: seals anything, or lets the bytes of a value win over another write's.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import cache

import msgspec

from ropewalk.spaces.keys import EPOCH_SIZE, KeyRing, SpaceKeys, hashed, keyed_stream
from ropewalk.spaces.tree.entry import (
    Entry,
    EntryDamaged,
    Inline,
    content_and_extra,
    decode_entry,
    encode_entry,
)

__all__ = ["Marked", "is_marked", "marked_by", "one_of", "same_write", "unmarked", "with_mark"]

MARK = 1  # in extra
PROOF_SIZE = 16  # bytes of a mark after the epoch's tag; to guess one takes 2^128 tries, each with a member's answer

Marked = Callable[[bytes], int]  # from a value to the number of the epoch that its mark is of; 0 without a good one


def with_mark(entry: Entry, keys: SpaceKeys) -> Entry:
    """An entry that says that its content is sealed in the epoch of these keys.

    Raises:
        Misuse: It is no entry, or has no room for a mark.
    """
    content, fields = content_and_extra(encode_entry(entry))
    marked = {**fields, MARK: _mark(content, keys)}
    return msgspec.structs.replace(entry, extra=msgspec.msgpack.encode(dict(sorted(marked.items()))))


def is_marked(value: bytes, keys: SpaceKeys) -> bool:
    """Whether a value says, with the key of this very epoch, that its content is sealed in it."""
    try:
        content, fields = content_and_extra(value)
    except EntryDamaged:
        return False
    mark = fields.get(MARK)
    return isinstance(mark, bytes) and hmac.compare_digest(mark, _mark(content, keys))


def marked_by(ring: KeyRing) -> Marked:
    """Tells of values by the epochs that a ring knows."""

    def marked(value: bytes) -> int:
        try:
            mark = content_and_extra(value)[1].get(MARK)
        except EntryDamaged:
            return 0
        if not isinstance(mark, bytes):
            return 0
        return max((number for number, keys in ring.tagged(mark[:EPOCH_SIZE]) if is_marked(value, keys)), default=0)

    return marked


def unmarked(_value: bytes) -> int:
    """For maps in which nothing was ever sealed anew."""
    return 0


def one_of(ours: bytes, theirs: bytes, marked: Marked) -> bytes | None:
    """What stays of two different values of one key; None where they are not of one write.

    Whichever comes first, and however often, the outcome for many values is the same.
    """
    if not same_write(ours, theirs):
        return None  # nobody can put a value under the dot of somebody else's write: that is as good as a removal
    return max(ours, theirs, key=lambda value: (marked(value), value))


def same_write(one: bytes, other: bytes) -> bool:
    """Whether two values are the same, or differ in nothing but what sealing one anew changes."""
    return one == other or _lasting(one) == _lasting(other)


def _lasting(value: bytes) -> object:
    """What of a value stays for as long as its dot; of what is no entry, all of it."""
    try:
        entry = decode_entry(value)
    except EntryDamaged:
        return value
    _, fields = content_and_extra(value)
    extra = msgspec.msgpack.encode({number: field for number, field in fields.items() if number != MARK})
    by_reference = not (entry.content is None or isinstance(entry.content, Inline))
    # References change with the epoch; the content id tells what they lead to, whatever they are.
    content = None if by_reference and entry.content_id is not None else entry.content
    return by_reference, msgspec.structs.replace(entry, content=content, extra=extra)


def _mark(content: bytes, keys: SpaceKeys) -> bytes:
    return keys.epoch + keyed_stream(_key(keys.chunk), PROOF_SIZE, content)


@cache
def _key(chunk: bytes) -> bytes:
    return hashed("sealed anew", chunk)
