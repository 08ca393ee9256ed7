"""Records: each value has one encoding, and nothing else is read."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.records import NO_EXTRA, Format, RecordMalformed, encode
from tests.spaces.making import flips, truncations


class Sample(msgspec.Struct, frozen=True, array_like=True):
    number: int
    name: str
    data: bytes
    more: list[bytes | int]
    by_name: dict[str, int]
    extra: msgspec.Raw = NO_EXTRA


FORMAT = Format(Sample, 4096, "sample")
pack = msgspec.msgpack.encode
samples = st.builds(
    Sample,
    st.integers(-(2**63), 2**64 - 1),
    st.text(max_size=40),
    st.binary(max_size=40),
    st.lists(st.binary(max_size=20) | st.integers(0, 2**64 - 1), max_size=8),
    st.dictionaries(st.text(max_size=10), st.integers(0, 2**32), max_size=8),
)
GOOD = encode(Sample(7, "name", b"data", [1, b"2"], {"a": 1, "b": 2}))


@given(samples)
def test_a_record_comes_back_as_it_was(sample: Sample) -> None:
    assert FORMAT.decode(encode(sample)) == sample
    assert FORMAT.decode(memoryview(encode(sample))) == sample


@given(st.binary(max_size=100) | samples.map(encode).flatmap(lambda good: st.sampled_from([*flips(good), good])))
def test_fuzz_bytes_are_a_record_in_its_one_encoding_or_malformed(data: bytes) -> None:
    try:
        record = FORMAT.decode(data)
    except RecordMalformed:
        return
    assert encode(record) == data


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("a length that is not the shortest", b"\xdc\x00\x06" + GOOD[1:]),
        ("a number that is not the shortest", GOOD[:1] + b"\xcc\x07" + GOOD[2:]),
        ("map keys that do not ascend", GOOD.replace(b"\xa1a\x01\xa1b\x02", b"\xa1b\x02\xa1a\x01")),
        ("one field too few", pack([7, "name", b"data", [], {}])),
        ("one field too many", pack([7, "name", b"data", [], {}, {}, 0])),
        ("text that is not UTF-8", GOOD.replace(b"name", b"n\xffme")),
        ("another type", pack([7, b"name", b"data", [], {}, {}])),
        ("bytes after it", GOOD + b"\0"),
        ("an extra that is no map", pack([7, "name", b"data", [], {}, []])),
        ("an extra that is too long", pack([7, "name", b"data", [], {}, {0: bytes(1024)}])),
        ("an extra that is nested without end", GOOD[:-1] + b"\x81\x00" + b"\x91" * 3000 + b"\x00"),
        ("a list that promises more than there is", b"\x96\x07\xa0\xc4\x00\xdd\xff\xff\xff\xff"),
        ("nothing", b""),
    ],
)
def test_what_a_record_must_not_have(why: str, data: bytes) -> None:
    with pytest.raises(RecordMalformed, match="sample"):
        FORMAT.decode(data)


def test_fields_of_later_versions_are_kept() -> None:
    data = pack([7, "name", b"data", [], {}, {9: "later"}])
    assert encode(FORMAT.decode(data)) == data


def test_the_limit_is_exact() -> None:
    fits = encode(Sample(0, "", bytes(4096 - len(encode(Sample(0, "", bytes(300), [], {}))) + 300), [], {}))
    assert len(fits) == 4096
    FORMAT.decode(fits)
    with pytest.raises(RecordMalformed, match="expected at most 4096"):
        FORMAT.decode(fits + b"\0")


def test_every_truncation_is_malformed() -> None:
    for changed in truncations(GOOD):
        with pytest.raises(RecordMalformed):
            FORMAT.decode(changed)
