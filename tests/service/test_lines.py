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
        (("servers",), 13),
        (("servers", "0", "port"), 14),
        (("servers", "1", "port"), 16),
        (("servers", "1", "more", "deep"), 18),
        (("nothing",), 1),
        ((), 1),
    ],
)
def test_a_key_is_found(path: tuple[str, ...], line: int) -> None:
    assert line_of(TEXT, path) == line


TRICKY = '''\
form = "\u2028 \x85"
[a]
pairs = [
  ["services"],  # ] """
  [ "x" ],
]
[b]
texts = [ """
[c]
k = 1 \\""" """, \'\'\'
[d]\'\'\' ]
quotes = """a""\\\\"""""
inline = { x = 1, y = [ { z = "]" } ] }
"a.b" . c = 1
[ e . "f g" ]
h = 1
'''


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a", "pairs"), 3),
        (("services",), 1),
        (("b",), 7),
        (("b", "quotes"), 12),
        (("b", "inline"), 13),
        (("b", "a.b", "c"), 14),
        (("e", "f g", "h"), 16),
        (("c", "k"), 1),
    ],
)
def test_what_looks_like_a_key_inside_a_value_is_none(path: tuple[str, ...], line: int, end: str) -> None:
    text = TRICKY.replace("\n", end)
    tomllib.loads(text)
    assert line_of(text, path) == line


@given(st.text(max_size=200), st.lists(st.text(max_size=5), max_size=4))
def test_any_text_has_an_answer(text: str, path: list[str]) -> None:
    """It is only asked of texts that are TOML, and yet nothing may make it fail but what tomllib refuses too."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert 1 <= line_of(text, path) <= text.count("\n") + 1


@given(st.lists(st.from_regex(r"[a-z]{1,4}", fullmatch=True), unique=True, min_size=1, max_size=8))
def test_each_key_of_a_flat_table_is_on_its_line(names: list[str]) -> None:
    text = "[t]\n" + "".join(f"{name} = {{ a = 1 }}\n" for name in names)
    assert [line_of(text, ("t", name)) for name in names] == list(range(2, len(names) + 2))


VALUES = (
    "1",
    '"k = 1 # ]"',
    '"""\n[t]\nk = 1 \\""" \n"""',
    "'''\nk = 1\n'''",
    '[\n  ["k"], # ]\n]',
    '{ k = "]}" }',
    "''",
    '""',
)


@given(st.lists(st.tuples(st.sampled_from(["a", '"b c"', "d.e", "'f'"]), st.sampled_from(VALUES), st.booleans())))
def test_each_key_is_on_its_line_whatever_stands_before_it(entries: list[tuple[str, str, bool]]) -> None:
    text, wanted, tables = "", list[tuple[tuple[str, ...], int]](), tuple[str, ...]()
    for number, (key, value, header) in enumerate(entries):
        if header:
            tables += (f"t{number}",)
            wanted.append((tables[-1:], text.count("\n") + 1))
            text += f"[t{number}] # {value[:1]}\n"
        below = tables[-1:]
        parts = tuple(part.strip("\"'") for part in key.split("."))
        name = f"n{number}"
        wanted.append(((*below, name, *parts), text.count("\n") + 1))
        text += f"{name}.{key} = {value} # {value[:1]}\n"
    tomllib.loads(text)
    assert [line_of(text, path) for path, _ in wanted] == [line for _, line in wanted]
