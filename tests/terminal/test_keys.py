"""Keys by their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.terminal.keys import next_key


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("a", "a"),
        ("ß", "ß"),
        ("\n", "enter"),
        ("\t", "tab"),
        ("\x7f", "backspace"),
        ("\x01", "ctrl-a"),
        ("\x00", "ctrl-space"),
        ("\x1b", "escape"),
        ("\x1b[A", "up"),
        ("\x1bOB", "down"),
        ("\x1b[1;5C", "right"),
        ("\x1b[3~", "delete"),
        ("\x1b[5~", "page-up"),
        ("\x1b[Z", "shift-tab"),
        ("\x1b[99~", "unknown"),
        ("\x1b[?1;2c", "unknown"),
        ("\x1bx", "escape"),
    ],
)
def test_each_has_its_name(sent: str, key: str) -> None:
    assert next_key(sent, whole=True)[0] == key


def test_an_escape_may_be_the_beginning_of_more() -> None:
    assert next_key("\x1b", whole=False) == ("", "\x1b")
    assert next_key("\x1b[1;", whole=False) == ("", "\x1b[1;")
    assert next_key("\x1b[1;5Dx", whole=False) == ("left", "x")


@given(st.text(st.sampled_from("\x1b[O019;~ABZ?x\n\x00\x01é"), min_size=1))
def test_all_that_is_sent_comes_to_an_end(text: str) -> None:
    while text:
        key, rest = next_key(text, whole=True)
        assert key
        assert len(rest) < len(text)
        text = rest
