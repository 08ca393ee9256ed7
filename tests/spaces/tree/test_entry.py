"""Entries: keys that sort by folder and name, values that come back byte for byte, and junk refused."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from ropewalk.errors import Misuse
from ropewalk.spaces.tree import (
    CHUNK_SIZE,
    LOST_FOLDER,
    REF_SIZE,
    ROOT_FOLDER,
    Chunks,
    Entry,
    EntryDamaged,
    EntryId,
    EntryKey,
    Inline,
    Kind,
    Offsets,
    Unknown,
    WriterId,
    check_name,
    content_refs,
    decode_entry,
    encode_entry,
    folder_range,
    name_range,
    pack_key,
    unpack_key,
)
from ropewalk.spaces.tree.entry import NO_ENTRY, content_and_extra, kind_of

pack = msgspec.msgpack.encode
ids = st.binary(min_size=16, max_size=16)
own_ids = ids.filter(lambda one: one not in {ROOT_FOLDER, LOST_FOLDER}).map(EntryId)
parents = st.just(ROOT_FOLDER) | own_ids
names = st.binary(min_size=1, max_size=255).filter(lambda n: not {0, 47} & set(n) and n not in {b".", b".."})
entry_keys = st.builds(EntryKey, parents, names, own_ids, ids.map(WriterId), st.integers(0, 2**64 - 1))

refs = st.binary(min_size=REF_SIZE, max_size=REF_SIZE)
extras = st.dictionaries(st.integers(0, 2**32), st.none() | st.binary(max_size=9) | st.lists(st.integers()), max_size=4)
common = {
    "mtime": st.integers(-(2**63), 2**63 - 1),
    "mode": st.integers(0, 2**16 - 1),
    "xattrs": st.dictionaries(st.text(max_size=9), st.binary(max_size=9), max_size=5),
    "extra": extras.filter(
        lambda e: all(not isinstance(v, list) or all(-(2**63) <= n < 2**64 for n in v) for v in e.values())
    ).map(lambda fields: pack(dict(sorted(fields.items())))),
}
content_ids = st.none() | st.binary(min_size=32, max_size=32)
chunked = st.lists(refs, min_size=1, max_size=4).flatmap(
    lambda r: st.tuples(st.just(Chunks(tuple(r))), st.integers((len(r) - 1) * CHUNK_SIZE + 1, len(r) * CHUNK_SIZE))
)
inline = st.binary(max_size=512).map(lambda data: (Inline(data), len(data)))
target = st.binary(min_size=1, max_size=4096).filter(lambda t: 0 not in t).map(lambda data: (Inline(data), len(data)))
mapped = st.tuples(refs.map(Offsets), st.integers(0, 2**63 - 1))
later = st.tuples(
    st.builds(Unknown, st.integers(3, 2**32 - 1), st.lists(refs, min_size=1, max_size=9).map(tuple)),
    st.integers(0, 2**63 - 1),
)


def of_kind(kind: st.SearchStrategy[int], content: st.SearchStrategy[tuple[object, int]]) -> st.SearchStrategy[Entry]:
    return st.builds(
        lambda kind, held, content_id, rest: Entry(kind, size=held[1], content=held[0], content_id=content_id, **rest),
        kind,
        content,
        content_ids,
        st.fixed_dictionaries(common),
    )


entries = (
    of_kind(st.just(Kind.FILE), inline | chunked | mapped | later)
    | of_kind(st.just(Kind.SYMLINK), target)
    | of_kind(st.integers(3, 2**32 - 1), inline | chunked | mapped | later | st.just((None, 0)))
    | st.builds(lambda rest: Entry(Kind.FOLDER, **rest), st.fixed_dictionaries(common))
)


@given(entry_keys)
def test_a_key_comes_back_and_lies_in_the_ranges_of_its_folder_and_name(key: EntryKey) -> None:
    data = pack_key(key)
    assert unpack_key(data) == key
    for start, stop in (folder_range(key.parent), name_range(key.parent, key.name)):
        assert start <= data < stop


@given(entry_keys, entry_keys)
def test_keys_sort_by_folder_then_name_and_ranges_hold_no_other(a: EntryKey, b: EntryKey) -> None:
    first, second = pack_key(a), pack_key(b)
    if (a.parent, a.name) != (b.parent, b.name):
        assert (first < second) == ((a.parent, a.name) < (b.parent, b.name))
        start, stop = name_range(a.parent, a.name)
        assert not start <= second < stop
    if a.parent != b.parent:
        start, stop = folder_range(a.parent)
        assert not start <= second < stop


@given(st.binary(max_size=400) | entry_keys.map(lambda key: pack_key(key)[:-1]))
def test_bytes_are_the_key_of_an_entry_or_refused(data: bytes) -> None:
    try:
        key = unpack_key(data)
    except EntryDamaged:
        return
    assert pack_key(key) == data


GOOD = EntryKey(ROOT_FOLDER, b"name", EntryId(b"e" * 16), WriterId(b"w" * 16), 7)


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, name=b""),
        replace(GOOD, name=b"."),
        replace(GOOD, name=b".."),
        replace(GOOD, name=b"a/b"),
        replace(GOOD, name=b"n" * 256),
        replace(GOOD, entry_id=ROOT_FOLDER),
        replace(GOOD, entry_id=LOST_FOLDER),
        replace(GOOD, parent=LOST_FOLDER),
    ],
)
def test_a_key_that_no_reader_takes_is_neither_written_nor_read(bad: EntryKey) -> None:
    with pytest.raises(Misuse):
        pack_key(bad)
    tail = b"".join((bad.entry_id, bad.writer, bad.sequence.to_bytes(8, "big")))
    with pytest.raises(EntryDamaged) as caught:
        unpack_key(bad.parent + bad.name + b"\0" + tail)
    assert caught.value.code == "tree.entry-damaged"


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, name=b"a\0b"),
        replace(GOOD, sequence=-1),
        replace(GOOD, sequence=2**64),
        replace(GOOD, writer=WriterId(b"short")),
        replace(GOOD, parent=EntryId(b"")),
    ],
)
def test_a_key_that_cannot_be_packed_is_misuse(bad: EntryKey) -> None:
    with pytest.raises(Misuse):
        pack_key(bad)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"/", b"a\0", b"n" * 256])
def test_unfit_names_are_misuse(name: bytes) -> None:
    with pytest.raises(Misuse, match="name"):
        check_name(name)
    with pytest.raises(Misuse, match="name"):
        name_range(ROOT_FOLDER, name)


@given(entries)
@example(
    Entry(Kind.FILE, content=Inline(b""), xattrs={"b": b"", "aa": b"", "é": b"", "\U0001f600": b"", "\uffff": b""})
)
def test_an_entry_comes_back_as_it_was_and_names_its_refs(entry: Entry) -> None:
    data = encode_entry(entry)
    assert decode_entry(data) == entry
    assert encode_entry(decode_entry(data)) == data
    assert kind_of(data) == entry.kind
    match entry.content:
        case Chunks(held) | Unknown(_, held):
            assert content_refs(data) == held
        case Offsets(root):
            assert content_refs(data) == (root,)
        case _:
            assert content_refs(data) == ()


@given(entries.map(encode_entry), st.data())
def test_damaged_bytes_are_an_entry_in_its_one_encoding_or_refused(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data) - 1))
    junk = draw.draw(
        st.sampled_from([data[:at], data + b"\0", data[:at] + b"\xcc" + data[at:], data[:at] + data[at + 1 :]])
    )
    flipped = data[:at] + bytes([data[at] ^ draw.draw(st.integers(1, 255))]) + data[at + 1 :]
    for damaged in (junk, flipped):
        with contextlib.suppress(EntryDamaged):
            assert encode_entry(decode_entry(damaged)) == damaged
        with contextlib.suppress(EntryDamaged):
            content_refs(damaged)


REF = bytes(REF_SIZE)
CID = bytes(32)


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ([0, 1, 0, 0, CID, [0, b"ab"], {}, {}], "cannot have content Inline"),
        ([0, 513, 0, 0, CID, [0, bytes(513)], {}, {}], "cannot have content Inline"),
        ([0, 0, 0, 0, None, None, {}, {}], "cannot have content NoneType"),
        ([1, 0, 0, 0, None, [0, b""], {}, {}], "cannot have content Inline"),
        ([1, 1, 0, 0, None, None, {}, {}], "folder with a size"),
        ([1, 0, 0, 0, CID, None, {}, {}], "folder with a size or a content id"),
        ([2, 0, 0, 0, None, [0, b""], {}, {}], "cannot have content Inline"),
        ([2, 3, 0, 0, None, [0, b"a\0b"], {}, {}], "cannot have content Inline"),
        ([2, 4097, 0, 0, None, [0, b"a" * 4097], {}, {}], "cannot have content Inline"),
        ([2, 1, 0, 0, None, [1, REF], {}, {}], "cannot have content Chunks"),
        ([0, 1, 0, 0, CID, [1, REF * 2], {}, {}], "cannot have content Chunks"),
        ([0, 0, 0, 0, CID, [1, REF], {}, {}], "cannot have content Chunks"),
        ([0, 5 * CHUNK_SIZE, 0, 0, CID, [1, REF * 5], {}, {}], "cannot have content Chunks"),
        ([0, 1, 0, 0, CID, [1, REF[1:]], {}, {}], "72 bytes of refs"),
        ([0, 1, 0, 0, CID, [1, b""], {}, {}], "0 bytes of refs"),
        ([0, 1, 0, 0, CID, [2, REF * 2], {}, {}], "cannot have content Unknown"),
        ([0, 1, 0, 0, CID, [-1, REF], {}, {}], "cannot have content Unknown"),
        ([0, 1, 0, 0, b"short", [1, REF], {}, {}], "content id of 5 bytes"),
        ([-1, 0, 0, 0, None, None, {}, {}], "out of range"),
        ([1, -1, 0, 0, None, None, {}, {}], "out of range"),
        ([1, 0, 0, 2**16, None, None, {}, {}], "out of range"),
        ([1, 0, 2**63, 0, None, None, {}, {}], "64 bits"),
        ([1, 0, 0, 0, None, None, {"b": b"", "a": b""}, {}], "shortest"),
        ([1, 0, 0, 0, None, None, {"a": bytes(8192)}, {}], "at most 8192"),
        ([1, 0, 0, 0, None, None, {}, {2: 0, 1: 0}], "numbered, ascending"),
        ([1, 0, 0, 0, None, None, {}, {-1: 0}], "numbered, ascending"),
        ([1, 0, 0, 0, None, None, {}, {"a": 0}], "extra fields that do not parse"),
        ([1, 0, 0, 0, None, None, {}, []], "extra fields that do not parse"),
        ([1, 0, 0, 0, None, None, {}], "does not parse"),
        ([1, 0, 0, 0, None, None, {"a": "text"}, {}], "does not parse"),
    ],
)
def test_what_is_not_an_entry_is_refused_and_said(wire: object, said: str) -> None:
    with pytest.raises(EntryDamaged, match=said):
        decode_entry(pack(wire))


@pytest.mark.parametrize(
    "damaged",
    [
        pack([1, 0, 0, 0, None, None, {}])[:-1] + b"\x80\xde\x00\x00",
        b"\x98" + pack([1, 0, 0, 0, None, None, {}])[1:] + b"\xde\x00\x00",
        b"\x98" + pack([1, 0, 0, 0, None, None, {}])[1:] + b"\x82\x01\x01\x01\x01",
        b"\x98" + pack([1, 0, 0, 0, None, None, {}])[1:] + b"\x81\x01" + b"\x91" * 8000 + b"\x01",
        b"\x98\xcc\x01" + pack([0, 0, 0, None, None, {}, {}])[1:],
    ],
)
def test_longer_encodings_repeated_numbers_and_deep_nesting_are_refused(damaged: bytes) -> None:
    with pytest.raises(EntryDamaged):
        decode_entry(damaged)


@pytest.mark.parametrize(
    "junk", [b"", b"\x91" * 9000, msgspec.msgpack.encode([0, 1, 0, 0, None, [1, b"no ref"], {}, {}])]
)
def test_what_is_no_entry_needs_no_chunks_and_has_no_kind_of_ours(junk: bytes) -> None:
    """It may stand beside entries of others, whose node is written again."""
    assert content_refs(junk) == ()
    assert kind_of(b"\x98" + b"\xcc" * 9) == kind_of(b"") == kind_of(b"\x91" * 9000) == NO_ENTRY
    with pytest.raises(EntryDamaged):
        content_and_extra(junk[:5])


@pytest.mark.parametrize(
    "bad",
    [
        Entry(Kind.FILE),
        Entry(Kind.FILE, size=3, content=Inline(b"ab")),
        Entry(Kind.FILE, size=1, content=Chunks((b"short",))),
        Entry(Kind.FILE, size=1, content=Offsets(b"short")),
        Entry(Kind.FILE, size=1, content=Unknown(2, (REF,))),
        Entry(Kind.FOLDER, mtime=2**70),
        Entry(Kind.FOLDER, xattrs={"\udcff": b""}),
        Entry(Kind.FOLDER, xattrs={"a": bytes(8192)}),
        Entry(Kind.FOLDER, extra=b""),
        Entry(Kind.FOLDER, extra=pack({1: 1}) + b"\0"),
    ],
)
def test_an_entry_that_no_reader_takes_is_not_written(bad: Entry) -> None:
    with pytest.raises(Misuse):
        encode_entry(bad)
