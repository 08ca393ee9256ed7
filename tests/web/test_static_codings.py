"""Accept-Encoding by RFC 9110 section 12.5.3, and what a name's ending promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.web.static.codings import CODINGS, IDENTITY, preferred
from ropewalk.web.static.media import content_type

NAME = st.sampled_from([*CODINGS, IDENTITY, "*", "deflate"])
WEIGHT = st.integers(0, 1000)


@given(st.dictionaries(NAME, WEIGHT, max_size=6))
def test_the_best_liked_comes_first_and_what_is_refused_never(weights: dict[str, int]) -> None:
    header = ", ".join(f"{name};q={weight / 1000:.3f}" for name, weight in weights.items())
    found = preferred(header.encode())
    others = weights.get("*", 0)
    liked = {name: weights.get(name, others) for name in CODINGS}
    assert found[-1] == IDENTITY
    best = found[:-1]
    assert set(best) == {name for name, weight in liked.items() if weight > 0 and weight >= weights.get(IDENTITY, 0)}
    keys = [(-liked[name], list(CODINGS).index(name)) for name in best]
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("gzip, deflate, br, zstd", ["br", "zstd", "gzip"]),
        ("gzip", ["gzip"]),
        ("GZip", ["gzip"]),
        ("x-gzip", ["gzip"]),
        ("*", ["br", "zstd", "gzip"]),
        ("*;q=0", []),
        ("br;q=0, *", ["zstd", "gzip"]),
        ("gzip;q=1.0, br;q=0.5", ["gzip", "br"]),
        ("gzip ; q=0.001", ["gzip"]),
        ("identity;q=1, *;q=0", []),
        ("identity;q=0.5, gzip;q=0.4, br;q=0.6", ["br"]),
        ("identity;q=0, gzip;q=0", []),
        (",, gzip ,", ["gzip"]),
        ("gzip;q=2", []),
        ("gzip;q=0.1234", []),
        ("gzip;level=9", []),
        ("gzip br", []),
        ("br, \x00", []),
        ("gzip, " * 400, []),
    ],
)
def test_headers_that_are_sent_and_that_are_not_as_the_grammar_has_it(header: str, expected: list[str]) -> None:
    assert preferred(header.encode("latin-1")) == (*expected, IDENTITY)


@given(st.binary(max_size=60))
def test_any_bytes_give_an_answer(header: bytes) -> None:
    assert preferred(header)[-1] == IDENTITY


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.CSS", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.wasm", "application/wasm"),
        ("a.md", "text/markdown; charset=utf-8"),
        ("a.js.gz", "application/gzip"),
        ("a.tar.gz", "application/gzip"),
        ("a.tgz", "application/gzip"),
        ("a.txt.br", "application/octet-stream"),
        ("a.zst", "application/zstd"),
        ("noend", "application/octet-stream"),
        ("data:text/html,x", "application/octet-stream"),
        ("x:a.html", "text/html; charset=utf-8"),
        ("a?.html", "text/html; charset=utf-8"),
        ("", "application/octet-stream"),
    ],
)
def test_content_is_of_the_kind_that_its_name_promises(name: str, kind: str) -> None:
    assert content_type(name, "utf-8") == kind.encode()


def test_without_a_charset_none_is_said() -> None:
    assert content_type("a.html", "") == b"text/html"
