"""Forms with files: where the bytes are cut makes no difference, and what is no form is refused."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.pages.multipart import BadForm, Parts, boundary_of
from tests.pages.browser import form

FIELDS = st.lists(
    st.tuples(
        st.text(st.characters(codec="utf-8", exclude_characters='"\r\n%\\'), min_size=1, max_size=8),
        st.none() | st.text(st.characters(codec="utf-8", exclude_characters="%"), max_size=12),
        st.binary(max_size=40) | st.sampled_from([b"\r\n--xX", b"\r\n--xXxy", b"--xXx--", b"\r\n\r\n", b"\r"]),
    ).filter(
        lambda part: b"\r\n--xXx" not in b"\r\n" + part[2] and (part[1] is None or part[1] == part[1].strip("\0"))
    ),
    max_size=5,
)
Read = list[tuple[str, bytes | None, bytes]]


def read(pieces: list[bytes], boundary: bytes = b"xXx") -> Read:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def all_parts() -> Read:
        parts = Parts(body(), boundary)
        found: Read = []
        while (part := await parts.next()) is not None:
            found.append((part.name, part.file, b"".join([piece async for piece in part.pieces()])))
        return found

    return asyncio.run(all_parts())


@given(FIELDS, st.lists(st.integers(0, 400), max_size=8))
def test_a_form_is_read_as_it_was_written_wherever_it_is_cut(
    fields: list[tuple[str, str | None, bytes]], cuts: list[int]
) -> None:
    _, body = form(fields)
    ends = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    pieces = [body[start:stop] for start, stop in itertools.pairwise(ends)]
    expected = [(name, None if file is None else file.encode(), data) for name, file, data in fields]
    assert read(pieces) == expected


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_junk_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises(BadForm):
        read([b"x", *pieces])


@given(st.integers(0, 150))
def test_a_form_that_is_cut_is_refused(size: int) -> None:
    _, body = form([("a", None, b"1"), ("file", "b", b"2" * 30)])
    whole = body.rindex(b"--\r\n") + 2
    with pytest.raises(BadForm):
        read([body[: min(size, whole - 1)]])


@pytest.mark.parametrize(
    "head",
    [
        b"", b"Content-Type: text/plain", b'Content-Disposition: attachment; name="a"',
        b"Content-Disposition: form-data", b'Content-Disposition: form-data; name="a"; name="b"',
        b'Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="a"',
        b'Content-Disposition: form-data; name="' + b"x" * 9000 + b'"',
    ],
)  # fmt: skip
def test_a_part_must_say_its_name_once_and_briefly(head: bytes) -> None:
    with pytest.raises(BadForm):
        read([b"--xXx\r\n" + head + b"\r\n\r\nx\r\n--xXx--\r\n"])


def test_a_field_is_short_and_text() -> None:
    async def text(data: bytes) -> str:
        async def body() -> AsyncIterator[bytes]:
            yield form([("a", None, data)])[1]

        part = await Parts(body(), b"xXx").next()
        assert part is not None
        return await part.text()

    assert asyncio.run(text("é".encode())) == "é"
    for data in (b"\xff", b"x" * 20_000):
        with pytest.raises(BadForm):
            asyncio.run(text(data))


def test_many_parts_are_too_many() -> None:
    with pytest.raises(BadForm):
        read([form([("a", None, b"")] * 20_001)[1]])


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data;boundary="a b"', b"a b"),
        ("multipart/mixed; boundary=abc", None),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=" + "x" * 71, None),
        ("multipart/form-data; boundary=a; boundary=b", None),
    ],
)
def test_the_boundary_is_what_the_type_says(kind: str, boundary: bytes | None) -> None:
    assert boundary_of(kind) == boundary
