"""Text of others made harmless."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ropewalk.terminal import plain


def test_what_a_terminal_would_obey_is_replaced() -> None:
    assert plain("\x1b[31mred\x07 \x9b2J\r\nnew") == "\ufffd[31mred\ufffd \ufffd2J\ufffd\ufffdnew"
    assert plain("a\u202eb\u2028c\u2066d") == "a\ufffdb\ufffdc\ufffdd"


def test_what_people_write_stays() -> None:
    assert plain("Grüße, 世界 👩‍🚀!") == "Grüße, 世界 👩‍🚀!"


def test_it_is_cut_where_asked() -> None:
    assert plain("abcdef", 4) == "abc…"
    assert plain("abcd", 4) == "abcd"


@given(st.text(st.characters()))
def test_the_result_can_be_sent_and_is_one_line(text: str) -> None:
    shown = plain(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
