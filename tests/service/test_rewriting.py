"""Rewriting: values of a TOML text change, and nothing else does."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.service.rewriting import CannotRewrite, rewritten

TEXT = """\
# The whole.
[application]
name = "shop"   # of ours

[services.echo]
  kind = "echo"
  listen = "tcp://127.0.0.1:7081"  # for all
  limits.idle = 5

# The front door.
[services.front]
kind = 'protocol'
hosts = [
    # ours
    "a.example",  # the first
    "b.example"   # the second

    # theirs
]
inline = { one = 1, two = { three = "[3] # no" } }
# end of front

[services.front.limits]  # of it
connections = 1_000

[[services.watch.alerts]]
name = "x"
"""


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        ("application name", "store", 'name = "shop"   # of ours', 'name = "store"   # of ours'),
        ("services echo listen", ["a", "b"], '"tcp://127.0.0.1:7081"  # for', '["a", "b"]  # for'),
        ("services echo limits idle", None, "  limits.idle = 5\n", ""),
        ("services echo limits rate", 2.5, "limits.idle = 5\n", "limits.idle = 5\n  limits.rate = 2.5\n"),
        ("services front limits connections", 5, "1_000", "5"),
        ("services front limits idle", True, "= 1_000\n", "= 1_000\nidle = true\n"),
        ("services front inline one", 2, "{ one = 1,", "{ one = 2,"),
        ("services front inline two three", None, '{ three = "[3] # no" }', "{}"),
        ("services front new key", "a b", 'no" } }\n', 'no" } }\nnew.key = "a b"\n'),
        ("services front hosts", ["b.example"], '    "a.example",  # the first\n    "b.example" ', '    "b.example", '),
        ("services front hosts", ["a.example"], '    "b.example"   # the second\n', ""),
        (
            "services front hosts",
            ["a.example", "c", "b.example", "d"],
            '    "b.example"   # the second\n',
            '    "c",\n    "b.example",   # the second\n    "d",\n',
        ),
        ("services front hosts", [], '    "a.example",  # the first\n    "b.example"   # the second\n', ""),
    ],
)
def test_one_place_changes_and_the_rest_stays(path: str, value: Any, old: str, new: str) -> None:
    assert TEXT.count(old) == 1
    for text, told in ((TEXT, new), (TEXT.replace("\n", "\r\n"), new.replace("\n", "\r\n"))):
        before = old.replace("\n", "\r\n") if "\r" in text else old
        assert rewritten(text, {tuple(path.split()): value}) == text.replace(before, told)


@pytest.mark.parametrize(
    ("text", "path", "value", "new"),
    [
        ("", ("a",), 1, "a = 1\n"),
        ("[a]", ("a", "b"), 1, "[a]\nb = 1\n"),
        ("[x.y]\n", ("x", "z"), 1, "x.z = 1\n\n[x.y]\n"),
        ("a = 1", ("b",), [], "a = 1\nb = []\n"),
        ('["a b"]\nc = 1\n', ("a b", "d e"), {"f": 1}, '["a b"]\nc = 1\n"d e" = { f = 1 }\n'),
        ("a = '''\n[x]\nb = 1\n''' # c\n", ("a",), "d", 'a = "d" # c\n'),
        ("a = [ # r\n 1, 2, # s\n]\n", ("a",), [1], None),
        ("a = [1, # r\n 2]\n", ("a",), [1], None),
        ("a = [ # r\n 1\n]\n", ("a",), "one", None),
        ("a = [ # r\n 1\n]\n", ("a",), None, None),
        ("a = { b = [ # r\n 1\n], c = 1 }\n", ("a", "c"), 2, None),
        ("a = { b = [ # r\n 1\n], c = 1 }\n", ("a", "c"), None, None),
        ("[[a]]\nb = 1\n", ("a", "b"), 2, None),
        ("[a]\nb = 1\n", ("a",), None, None),
        ("a = 1\n", ("a", "b"), 2, None),
    ],
)
def test_edges(text: str, path: tuple[str, ...], value: Any, new: str | None) -> None:
    if new is None:
        with pytest.raises(CannotRewrite):
            rewritten(text, {path: value})
    else:
        assert rewritten(text, {path: value}) == new


def test_values_that_are_given_stay_as_they_are() -> None:
    table = {"b": {"c": 1}}
    rewritten("", {("a",): table, ("a", "b", "c"): 2})
    assert table == {"b": {"c": 1}}


@pytest.mark.parametrize("value", [1, 1.0, True, [1.0], [True]])
def test_what_is_equal_and_of_another_type_is_another_value(value: Any) -> None:
    for old in ("1", "1.0", "true", "[1]"):
        made = tomllib.loads(rewritten(f"a = {old}\n", {("a",): value}))
        assert repr(made) == repr({"a": value})


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=5),
)
PATHS = st.sampled_from(
    [
        ("application", "name"),
        ("services", "echo", "listen"),
        ("services", "echo", "limits", "idle"),
        ("services", "echo", "limits", "new"),
        ("services", "front", "hosts"),
        ("services", "front", "inline", "one"),
        ("services", "front", "inline", "two", "three"),
        ("services", "front", "limits", "connections"),
        ("services", "third", "a b", ""),
        ("log", "level"),
    ]
)


@given(st.dictionaries(PATHS, VALUES | st.none()), st.booleans())
def test_any_values_are_there_afterwards_and_so_are_all_remarks(
    changes: dict[tuple[str, ...], Any], windows: bool
) -> None:
    text = TEXT.replace("\n", "\r\n") if windows else TEXT
    try:
        made = rewritten(text, changes)
    except CannotRewrite:
        hosts = changes.get(("services", "front", "hosts"), [])
        assert None in changes.values() or not isinstance(hosts, list), "but what is not there, or takes remarks along"
        return
    tree = tomllib.loads(made)
    for path, value in changes.items():
        level: Any = tree
        for key in path[:-1]:
            level = level.get(key, {})
        assert repr(level.get(path[-1])) == repr(value)
    for remark in ("# The whole.", "# The front door.", "# end of front", "# of it", "# ours", "# theirs"):
        assert remark in made
    lines = made.splitlines()
    assert lines.index("[services.front]") == lines.index("# The front door.") + 1
