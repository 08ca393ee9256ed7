"""Where in a TOML text a key stands."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.service.lines import line_of

TEXT = '''\
# [services.comment]
name = "x"

[services.echo]   # a header
kind = "echo"
"listen on" = "tcp://:0"
text = """
[services.hidden]
kind = "no"
"""
limits.connections = 3

[[servers]]
port = 1
[[servers]]
port = 2
[servers.more]
deep = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 2),
        (("services", "echo"), 4),
        (("services", "echo", "kind"), 5),
        (("services", "echo", "listen on"), 6),
        (("services", "echo", "limits", "connections"), 11),
        (("services", "echo", "not there"), 4),
        (("services", "hidden"), 1),
        (("servers", "0", "port"), 14),
        (("servers", "1", "port"), 16),
        (("servers", "1", "more", "deep"), 18),
        (("nothing",), 1),
        ((), 1),
    ],
)
def test_a_key_is_found(path: tuple[str, ...], line: int) -> None:
    assert line_of(TEXT, path) == line


@given(st.text(max_size=200), st.lists(st.text(max_size=5), max_size=4))
def test_any_text_has_an_answer(text: str, path: list[str]) -> None:
    """It is only asked of texts that are TOML, and yet nothing may make it fail but what tomllib refuses too."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert 1 <= line_of(text, path) <= max(1, len(text.splitlines()))


@given(st.lists(st.from_regex(r"[a-z]{1,4}", fullmatch=True), unique=True, min_size=1, max_size=8))
def test_each_key_of_a_flat_table_is_on_its_line(names: list[str]) -> None:
    text = "[t]\n" + "".join(f"{name} = {{ a = 1 }}\n" for name in names)
    assert [line_of(text, ("t", name)) for name in names] == list(range(2, len(names) + 2))
