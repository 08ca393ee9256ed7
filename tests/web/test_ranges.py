"""Range headers against a model made of the grammar: RFC 9110 sections 14.1 and 14.2."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.web.static.files import Form, Version
from ropewalk.web.static.ranges import MOST_SPANS, Span, spans
from ropewalk.web.static.replies import Reply, Shown
from tests.web.trees_asked import OLD

SPEC = st.one_of(
    st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: f"{pair[0]}-{pair[1]}"),
    st.integers(0, 30).map(lambda first: f"{first}-"),
    st.integers(0, 30).map(lambda size: f"-{size}"),
)
BLANK = st.sampled_from(["", " ", "\t", "  "])
ALMOST = st.text("0123456789-,=; bytesBYTES\t.+x\x00é", max_size=24)


def model(header: str, length: int) -> list[set[int]] | None:
    """The positions that each specifier asks for, as the grammar has it; None where the header is ignored."""
    unit, equals, rest = header.partition("=")
    if unit.lower() != "bytes" or not equals:
        return None
    found: list[set[int]] = []
    specs = [spec for spec in (part.strip(" \t") for part in rest.split(",")) if spec]
    if not specs or len(specs) > MOST_SPANS:
        return None
    for spec in specs:
        if re.fullmatch("-[0-9]+", spec):
            size = int(spec[1:])
            if size and not length:
                return None
            found.append(set(range(max(length - size, 0), length)))
        elif re.fullmatch("[0-9]+-[0-9]*", spec):
            first, _, last = spec.partition("-")
            if last and int(last) < int(first):
                return None
            found.append(set(range(int(first), min(int(last) + 1, length) if last else length)))
        else:
            return None
    return [positions for positions in found if positions]


@given(st.lists(st.tuples(BLANK, SPEC, BLANK).map("".join), max_size=6).map(",".join), st.integers(0, 25))
def test_what_is_asked_for_is_sent_once_and_nothing_else(specs: str, length: int) -> None:
    header = f"bytes={specs}"
    found, expected = spans(header.encode(), length), model(header, length)
    if expected is None:
        assert found is None
        return
    assert found is not None
    sent = [position for span in found for position in range(span.first, span.end)]
    assert sorted(sent) == sorted(set().union(*expected))
    for one in found:
        for other in found:
            assert one is other or one.end < other.first or other.end < one.first, "spans that touch are one"


@given(ALMOST | ALMOST.map(lambda text: f"bytes={text}"), st.integers(0, 25))
def test_junk_is_ignored_and_the_rest_is_as_the_grammar_has_it(header: str, length: int) -> None:
    found, expected = spans(header.encode("latin-1"), length), model(header, length)
    assert (found is None) == (expected is None)
    assert bool(found) == bool(expected)


@given(st.binary(max_size=40), st.integers(0, 1 << 40))
def test_no_bytes_are_an_error(header: bytes, length: int) -> None:
    for span in spans(b"bytes=" + header, length) or ():
        assert 0 <= span.first < span.end <= length


def test_spans_come_in_the_order_in_which_they_were_asked_for() -> None:
    assert spans(b"bytes=8-9,0-1,4-5", 20) == [Span(8, 10), Span(0, 2), Span(4, 6)]


def test_a_span_that_meets_two_others_makes_one_of_them_in_the_place_of_the_first() -> None:
    assert spans(b"bytes=8-9,15-16,0-1,5-12,10-14", 20) == [Span(5, 17), Span(0, 2)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"bytes=0-0", [Span(0, 1)]),
        (b"BYTES=0-", [Span(0, 10)]),
        (b"bytes=-3", [Span(7, 10)]),
        (b"bytes=-100", [Span(0, 10)]),
        (b"bytes=9-100", [Span(9, 10)]),
        (b"bytes=, ,0-0,\t", [Span(0, 1)]),
        (b"bytes=10-", []),
        (b"bytes=-0", []),
        (b"bytes=10-,-0,20-30", []),
        (b"bytes=10-,5-5", [Span(5, 6)]),
        (b"bytes=" + b"9" * 900 + b"-", []),
        (b"bytes=0-" + b"9" * 900, [Span(0, 10)]),
        (b"bytes=" + b"0" * 900 + b"1-1", [Span(1, 2)]),
        (b"bytes=5-4", None),
        (b"bytes=0-0,5-4", None),
        (b"bytes=", None),
        (b"bytes=,", None),
        (b"bytes", None),
        (b"bytes 0-1", None),
        (b"lines=0-1", None),
        (b"bytes=0 -1", None),
        (b"bytes=0-1-2", None),
        (b"bytes=--1", None),
        (b"bytes=+1-2", None),
        (b"bytes=0x1-2", None),
        (b"bytes=0-1;q=1", None),
        ("bytes=١-٢".encode(), None),
        (b"bytes=0-1" + b" " * 1100, None),
        (b"bytes=" + b",".join(b"%d-%d" % (at, at) for at in range(0, 20, 4)), [Span(at, at + 1) for at in (0, 4, 8)]),
    ],
)
def test_of_ten_bytes(header: bytes, expected: list[Span] | None) -> None:
    assert spans(header, 10) == expected


def test_more_ranges_than_anybody_needs_give_the_whole() -> None:
    many = [b"%d-%d" % (at, at) for at in range(0, 4 * MOST_SPANS, 4)]
    found = spans(b"bytes=" + b",".join(many), 1000)
    assert found is not None
    assert len(found) == MOST_SPANS
    assert spans(b"bytes=" + b",".join([*many, b"900-901"]), 1000) is None


def test_the_last_bytes_of_nothing_are_the_whole_and_others_cannot_be_had() -> None:
    assert spans(b"bytes=-5", 0) is None
    assert spans(b"bytes=0-", 0) == []
    assert spans(b"bytes=-0", 0) == []


def test_a_long_header_takes_no_time() -> None:
    started = time.perf_counter()
    assert spans(b"bytes=" + b"0-1," * 20_000, 10) is None
    assert spans(b"bytes=" + b"," * 1000, 10) is None
    assert time.perf_counter() - started < 0.5


DATA = bytes(range(20))


def shown(body: bytes | None) -> Shown:
    version = Version(len(DATA), OLD * 10**9, OLD * 10**9, 1, 1)
    return Shown(Form(version, body), "identity", b"text/x", b"no-cache", varies=False, now=OLD + 10)


def body_of(reply: Reply) -> bytes:
    return b"".join(DATA[one.first : one.end] if isinstance(one, Span) else one for one in reply.pieces)


@given(
    st.lists(st.tuples(BLANK, SPEC, BLANK).map("".join), max_size=6).map(",".join) | ALMOST,
    st.sampled_from([None, "same", "other"]),
    st.sampled_from(["GET", "HEAD"]),
)
def test_an_answer_is_as_the_model_has_it_from_memory_and_from_the_disk(
    specs: str, only_if: str | None, method: str
) -> None:
    kept, read = shown(DATA), shown(None)
    header = f"bytes={specs}".encode("latin-1")
    asked = {b"range": header}
    if only_if:
        asked[b"if-range"] = kept.etag if only_if == "same" else b'"other"'
    one, other = (form.reply(method, asked, OLD + 10.0, lambda: b"BOUND") for form in (kept, read))
    assert (one.status, one.headers, body_of(one)) == (other.status, other.headers, body_of(other))
    expected, headers, body = model(header.decode("latin-1"), len(DATA)), dict(one.headers), body_of(one)
    if method == "HEAD" or expected is None or only_if == "other":
        assert (one.status, headers[b"content-length"]) == (200, b"20")
        assert body == (b"" if method == "HEAD" else DATA)
        return
    assert int(headers[b"content-length"]) == len(body)
    if not expected:
        assert (one.status, headers[b"content-range"]) == (416, b"bytes */20")
        return
    assert one.status == 206
    if headers[b"content-type"] == b"text/x":
        parts = [(headers[b"content-range"], body)]
    else:
        pieces = re.split(rb"\r\n--BOUND(?:--)?\r\n", b"\r\n" + body)
        assert (pieces[0], pieces[-1]) == (b"", b"")
        found = [piece.partition(b"\r\n\r\n") for piece in pieces[1:-1]]
        parts = [(head.rpartition(b"Content-Range: ")[2], data) for head, _, data in found]
    sent: list[int] = []
    for told, data in parts:
        first, last = re.fullmatch(rb"bytes ([0-9]+)-([0-9]+)/20", told).groups()  # type: ignore[union-attr]
        assert data == DATA[int(first) : int(last) + 1]
        sent += data
    assert sorted(sent) == sorted(set().union(*expected))
