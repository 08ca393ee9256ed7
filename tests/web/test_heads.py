"""Heads of answers: what is remembered of them, and that it makes no difference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.web import heads
from ropewalk.web.errors import BrokenAnswer
from ropewalk.web.heads import AnswerHead, head_of

PLAIN = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
NAMES = st.sampled_from(
    [b"content-type", b"Content-Length", b"vary", b"server", b"set-cookie", b"connection", b"date", b"x"]
)
VALUES = st.sampled_from([b"5", b"close", b"a", b"", b"a\r\nb: c", b"a\0", b"\n"])


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing is remembered before, or after."""
    heads._known.clear()
    yield
    heads._known.clear()


def said(make: Any, status: int, headers: Any) -> object:
    """All that can be known of a head."""
    try:
        head = make(status, headers)
        told = head.status, head.length, head.close, head.bodiless
        return told, [head.encode(b"date: x\r\n", 5, chunked=chunked, keep=b"") for chunked in (False, True)]
    except BrokenAnswer as error:
        return str(error)


def test_what_is_said_again_is_not_taken_apart_again() -> None:
    first = head_of(200, PLAIN)
    assert head_of(200, list(PLAIN)) is first
    assert head_of(404, PLAIN) is not first
    assert head_of(200, [*PLAIN, (b"vary", b"cookie")]) is not first
    assert head_of(200, PLAIN[:1]).length is None


@given(
    st.lists(st.tuples(st.sampled_from([200, 204, 404]), st.lists(st.tuples(NAMES, VALUES), max_size=6)), max_size=9)
)
def test_remembered_or_not_it_is_the_same(answers: list[tuple[int, list[tuple[bytes, bytes]]]]) -> None:
    for status, headers in answers + answers:
        assert said(head_of, status, headers) == said(AnswerHead, status, headers)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"set-cookie", b"session=secret")],
        [(b"location", b"/?word=secret")],
        [(b"content-type", b"text/plain"), (b"x-token", b"secret")],
        [(b"vary", b"a")] * 5,
        ((b"vary", b"a"),),
        [(b"content-type", b"x" * 201)],
    ],
)
def test_what_may_be_a_persons_is_not_remembered_nor_what_is_long(headers: Any) -> None:
    head_of(200, headers)
    assert not heads._known


def test_a_head_that_an_app_changes_afterwards_is_another() -> None:
    headers: Any = [[b"content-type", b"text/plain"]]
    first = head_of(200, headers)
    headers[0][1] = b"text/html"
    assert b"text/html" in head_of(200, headers).encode(b"", None, chunked=False, keep=b"")
    assert b"text/plain" in first.encode(b"", None, chunked=False, keep=b"")
    changing: Any = [(b"content-type", bytearray(b"text/plain"))]
    head_of(200, changing)
    changing[0][1][:] = b"text/html"
    assert b"text/html" in head_of(200, changing).encode(b"", None, chunked=False, keep=b"")


def test_a_head_that_is_broken_is_broken_each_time() -> None:
    for _ in range(3):
        with pytest.raises(BrokenAnswer, match="line end"):
            head_of(200, [(b"content-type", b"a\r\nb: c")]).encode(b"", None, chunked=False, keep=b"")
        with pytest.raises(BrokenAnswer, match="not one number"):
            head_of(200, [(b"content-length", b"-1")])


def test_no_more_than_a_few_are_remembered() -> None:
    for number in range(1000):
        head_of(200, [(b"content-length", b"%d" % number)])
        assert len(heads._known) <= 64
    assert heads._known


def test_headers_that_can_be_gone_through_but_once_are_taken() -> None:
    for _ in range(2):
        head = head_of(200, [map(str.encode, ("content-type", "a")), iter((b"vary", bytearray(b"b")))])  # type: ignore[list-item]
        assert b"content-type: a\r\nvary: b" in head.encode(b"", None, chunked=False, keep=b"")
