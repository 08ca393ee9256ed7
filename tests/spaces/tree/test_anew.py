"""Values sealed anew: what lasts of them, marks that only who has an epoch's key can make, and which of two stays."""

from __future__ import annotations

import itertools
from functools import cache

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Misuse
from ropewalk.spaces.keys import KeyRing, Secrets, SpaceKeys, hashed
from ropewalk.spaces.tree import CHUNK_SIZE, REF_SIZE, Chunks, Entry, Inline, Kind, Offsets, decode_entry, encode_entry
from ropewalk.spaces.tree.anew import is_marked, marked_by, one_of, same_write, unmarked, with_mark

OLD, NEW = Chunks((b"o" * REF_SIZE,)), Chunks((b"n" * REF_SIZE,))
FILE = Entry(Kind.FILE, 1000, 5, 0o644, b"c" * 32, OLD, {"user.a": b"1"}, msgspec.msgpack.encode({7: "later"}))


@cache
def ring(*numbers: int, label: str = "") -> KeyRing:
    """The epochs with these numbers; the last one seals."""
    made = KeyRing(bytes(32))
    for number in numbers:
        epoch = hashed("test epoch", b"%d %b" % (number, label.encode()))
        made.add(epoch, Secrets(hashed("test secret", epoch), bytes(32), bytes(32)), number)
        made.use(epoch)
    return made


def keys(number: int, label: str = "") -> SpaceKeys:
    return ring(number, label=label).members


def anew(entry: Entry, number: int, content: Chunks | Offsets = NEW) -> bytes:
    return encode_entry(with_mark(msgspec.structs.replace(entry, content=content), keys(number)))


def test_a_mark_is_kept_beside_the_fields_of_later_formats_and_replaces_the_one_before() -> None:
    twice = with_mark(with_mark(FILE, keys(2)), keys(3))
    fields = msgspec.msgpack.decode(twice.extra)
    assert fields[7] == "later"
    assert list(fields) == [1, 7]
    assert len(fields[1]) == 24
    assert decode_entry(encode_entry(twice)) == twice
    assert is_marked(encode_entry(twice), keys(3))
    assert not is_marked(encode_entry(twice), keys(2))
    full = msgspec.structs.replace(FILE, extra=msgspec.msgpack.encode({7: "x" * 1018}))
    with pytest.raises(Misuse):
        encode_entry(with_mark(full, keys(2)))


@pytest.mark.parametrize("content", [None, Inline(b"x"), OLD, Offsets(b"m" * REF_SIZE)])
def test_a_mark_is_good_for_its_epoch_and_content_alone(content: Chunks | Inline | Offsets | None) -> None:
    kind, size = (Kind.FOLDER, 0) if content is None else (Kind.FILE, 1)
    entry = Entry(kind, size, content=content)
    value = encode_entry(with_mark(entry, keys(2)))
    assert marked_by(ring(1, 2, 3))(value) == 2
    assert marked_by(ring(1, 3))(value) == 0, "not known here"
    assert not is_marked(value, keys(2, "two of one number"))
    for bit in range(8 * 24):
        fields = msgspec.msgpack.decode(with_mark(entry, keys(2)).extra)
        mark = bytearray(fields[1])
        mark[bit // 8] ^= 1 << bit % 8
        other = encode_entry(msgspec.structs.replace(entry, extra=msgspec.msgpack.encode({1: bytes(mark)})))
        assert marked_by(ring(1, 2, 3))(other) == 0
        assert not is_marked(other, keys(2))


def test_a_mark_is_not_good_for_other_content() -> None:
    marked = with_mark(FILE, keys(2))
    for content in (NEW, Offsets(b"o" * REF_SIZE)):
        moved = encode_entry(msgspec.structs.replace(marked, content=content))
        assert not is_marked(moved, keys(2))
        assert marked_by(ring(2))(moved) == 0


@pytest.mark.parametrize("claim", [1, 2, 2**60, 2**63, -1, "2", None, b"", b"2" * 24, [2], {2: 2}, True])
def test_what_somebody_claims_without_the_key_is_no_mark(claim: object) -> None:
    """A number says nothing: who was put out could have written that of any epoch to come."""
    value = encode_entry(msgspec.structs.replace(FILE, extra=msgspec.msgpack.encode({1: claim})))
    for number in (1, 2, 3):
        assert not is_marked(value, keys(number))
    assert marked_by(ring(1, 2, 3))(value) == 0


@pytest.mark.parametrize("junk", [b"", b"b", b"\x98", msgspec.msgpack.encode([0] * 7 + [{1: "9"}])])
def test_what_is_no_entry_has_no_mark(junk: bytes) -> None:
    assert marked_by(ring(1, 2))(junk) == 0
    assert not is_marked(junk, keys(2))


LASTS = {
    "kind": msgspec.structs.replace(FILE, kind=7),
    "size": msgspec.structs.replace(FILE, size=1001),
    "time": msgspec.structs.replace(FILE, mtime=6),
    "mode": msgspec.structs.replace(FILE, mode=0o600),
    "content id": msgspec.structs.replace(FILE, content_id=b"d" * 32),
    "no content id": msgspec.structs.replace(FILE, content_id=None),
    "inline": msgspec.structs.replace(FILE, size=1, content=Inline(b"x")),
    "attributes": msgspec.structs.replace(FILE, xattrs={}),
    "a later field": msgspec.structs.replace(FILE, extra=msgspec.msgpack.encode({7: "other"})),
}


@pytest.mark.parametrize("what", LASTS)
def test_of_two_writes_under_one_dot_neither_stays(what: str) -> None:
    """Not by the greater epoch, nor by the larger bytes."""
    value, other = encode_entry(FILE), encode_entry(LASTS[what])
    forged = encode_entry(with_mark(LASTS[what], keys(3)))
    for ours, theirs in itertools.permutations((value, other, forged), 2):
        if {ours, theirs} != {other, forged}:
            assert one_of(ours, theirs, marked_by(ring(1, 2, 3))) is None


def test_references_without_a_content_id_are_content() -> None:
    """Nothing tells then what new ones would lead to."""
    some = msgspec.structs.replace(FILE, content_id=None)
    assert not same_write(encode_entry(some), encode_entry(msgspec.structs.replace(some, content=NEW)))
    assert same_write(encode_entry(some), encode_entry(with_mark(some, keys(2))))


def test_of_one_write_the_one_of_the_newest_epoch_stays_and_then_the_larger_bytes() -> None:
    marked = marked_by(ring(1, 2, 3))
    claims = encode_entry(msgspec.structs.replace(FILE, extra=msgspec.msgpack.encode({1: 2**60, 7: "later"})))
    ordered = [*sorted([encode_entry(FILE), claims]), anew(FILE, 2), anew(FILE, 3, Offsets(b"a" * REF_SIZE))]
    for (at, one), (which, other) in itertools.permutations(enumerate(ordered), 2):
        assert one_of(one, other, marked) == ordered[max(at, which)]
        assert one_of(one, other, unmarked) == max(one, other)


VALUES = [
    encode_entry(FILE),
    anew(FILE, 2),
    anew(FILE, 3),
    anew(FILE, 3, Chunks((b"z" * REF_SIZE,))),
    encode_entry(LASTS["mode"]),
    b"",
    b"junk",
]


@given(st.lists(st.sampled_from(VALUES), min_size=1, max_size=5), st.data())
def test_many_values_come_to_one_in_any_order(values: list[bytes], data: st.DataObject) -> None:
    outcomes = set()
    for order in (values, data.draw(st.permutations(values)), sorted(values)):
        left: bytes | None = order[0]
        for value in order[1:]:
            left = left if left is None or left == value else one_of(left, value, marked_by(ring(2, 3)))
        outcomes.add(left)
    assert len(outcomes) == 1


def test_a_file_of_many_references_is_one_write_however_it_holds_them() -> None:
    large = msgspec.structs.replace(FILE, size=5 * CHUNK_SIZE, content=Offsets(b"m" * REF_SIZE))
    assert same_write(encode_entry(large), anew(large, 2, Offsets(b"n" * REF_SIZE)))
