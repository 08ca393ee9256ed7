"""What waits to be read."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ropewalk.terminal.typed import Typed


def all_of(typed: Typed) -> str:
    """Read it."""
    text = ""
    while typed.first:
        text += typed.first[:700]
        typed.left(typed.first[700:])
    assert typed.amount == 0
    return text


@given(st.text(st.sampled_from("ab\r\n\0\x03"), max_size=40), st.lists(st.integers(0, 40)))
def test_where_text_is_cut_makes_no_difference(text: str, cuts: list[int]) -> None:
    whole, cut = Typed(), Typed()
    at = [0, *sorted({place for place in cuts if 0 < place < len(text)}), len(text)]
    interrupts = [bool(cut.add(text[a:b])) for a, b in pairwise(at) if a < b]
    assert (bool(whole.add(text)) if text else False) is any(interrupts)
    assert whole.amount == cut.amount
    assert all_of(whole) == all_of(cut)


def test_line_ends_become_one() -> None:
    typed = Typed()
    typed.add("a\rb\nc\r\nd\r\0e\r\r\n")
    assert all_of(typed) == "a\nb\nc\nd\ne\n\n"


def test_it_is_read_in_order_however_much_there_is() -> None:
    typed = Typed()
    text = "".join(map(str, range(3000)))
    for at in range(0, len(text), 37):
        typed.add(text[at : at + 37])
    assert typed.amount == len(text)
    assert len(typed.first) < 2000
    while typed.lengthen():
        pass
    assert all_of(typed) == text
