"""Lines put together from what is typed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.terminal.cooked import Cooked
from ropewalk.terminal.interface import Ended, LineTooLong

TYPED = st.text(
    st.one_of(st.sampled_from("ab \n\x7f\x08\x15\x17\x1b[O1;A~\tö世"), st.characters(max_codepoint=0x2FF)), max_size=60
)


def lines_of(pieces: list[str], longest: int = 20) -> tuple[list[str], str]:
    """The lines, "?" for one that was too long, "^D" for an end; and what was shown of it."""
    cooked, lines, shown = Cooked(longest), list[str](), list[str]()
    try:
        for piece in pieces:
            rest = piece
            while rest:
                line, rest = cooked.take(rest, shown.append)
                if line is not None:
                    lines.append("?" if isinstance(line, LineTooLong) else line)
    except Ended:
        lines.append("^D")
    return lines, "".join(shown)


@given(TYPED, st.lists(st.integers(0, 60)))
def test_where_text_is_cut_makes_no_difference(text: str, cuts: list[int]) -> None:
    at = [0, *sorted({cut for cut in cuts if cut < len(text)}), len(text)]
    pieces = [text[a:b] for a, b in pairwise(at)]
    assert lines_of(pieces)[0] == lines_of([text])[0]


@given(TYPED)
def test_a_line_has_no_control_character_but_the_tab_and_is_never_too_long(text: str) -> None:
    for line in lines_of([text])[0]:
        assert len(line) <= 20
        assert not any(letter != "\t" and (letter < " " or "\x7f" <= letter <= "\x9f") for letter in line)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("plain\n", "plain"),
        ("tyop\x7f\x7fpo\n", "typo"),
        ("\x7f\x08x\n", "x"),
        ("all of it\x15new\n", "new"),
        ("two words\x17x\n", "twox"),
        ("two words  \x17x\n", "twox"),
        ("a\x1b[Ab\x1b[1;5Dc\x1bOHd\x1b[3~e\n", "abcde"),
        ("a\x04b\n", "ab"),
        ("tab\there\n", "tab\there"),
        ("be\x07ll\x9b\n", "bell"),
    ],
)
def test_keys_do_what_they_do_on_a_desk(typed: str, line: str) -> None:
    assert lines_of([typed])[0] == [line]
    assert lines_of(list(typed))[0] == [line]


def test_an_end_is_one_at_the_beginning_of_a_line_only() -> None:
    assert lines_of(["one\n\x04two\n"])[0] == ["one", "^D"]


def test_what_is_typed_is_shown_and_wiped_as_wide_as_it_is() -> None:
    assert lines_of(["a世\x7f\x7fb\n"])[1] == "a世\b\b  \b\b\b \bb\n"
    assert lines_of(["e\u0301\x7f\n"])[1] == "e\u0301\n"


def test_a_line_that_is_too_long_is_dropped_and_the_next_one_read() -> None:
    assert lines_of(["x" * 21 + "\n" + "y" * 20 + "\n"])[0] == ["?", "y" * 20]


def test_a_line_without_end_takes_no_memory() -> None:
    cooked = Cooked(100)
    for _ in range(10_000):
        cooked.take("x" * 100)
    assert len(cooked._begun) + len(cooked._held) <= 100
