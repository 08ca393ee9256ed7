"""Codes: said aloud, typed by somebody else, and told apart from what they are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.invites import BadCode, Code, complete
from ropewalk.spaces.invites.code import MOST_NUMBER

codes = st.builds(Code, st.integers(1, MOST_NUMBER), st.binary(min_size=2, max_size=3))


@given(codes, st.sampled_from(["-", " ", "  ", " - "]), st.booleans())
def test_what_was_said_is_what_was_meant(code: Code, between: str, capitals: bool) -> None:
    said = str(code).replace("-", between)
    assert Code.parse(said.upper() if capitals else said) == code


def test_the_example_of_the_document() -> None:
    assert str(Code(7, bytes([0x3C, 0x3B]))) == "7-crossover-clockwork"
    assert Code.of_slot(bytes([0, 0, 0, 7]), 2, lambda size: bytes([0x3C, 0x3B])[:size]).slot == bytes([0, 0, 0, 7])


@given(codes)
def test_a_swap_of_two_words_is_no_code(code: Code) -> None:
    number, first, second, *rest = str(code).split("-")
    with pytest.raises(BadCode):
        Code.parse("-".join([number, second, first, *rest]))


@given(codes)
def test_a_dropped_word_is_no_code(code: Code) -> None:
    number, _, *rest = str(code).split("-")
    with pytest.raises(BadCode):
        Code.parse("-".join([number, *rest]))


@given(st.text(max_size=60) | st.from_regex(r"[0-9]{0,8}(-[a-z]{0,12}){0,4}", fullmatch=True))
def test_anything_else_is_refused(text: str) -> None:
    try:
        code = Code.parse(text)
    except BadCode:
        return
    assert Code.parse(str(code)) == code


def test_a_beginning_that_one_word_has_is_enough() -> None:
    assert Code.parse("7 cross clockw") == Code(7, bytes([0x3C, 0x3B]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7-c-clockwork", "which may be"),
        ("7-clockwork-crossover", "cannot be word 1"),
        ("7-crossoverr-clockwork", "no word of a code"),
        ("0-crossover-clockwork", "begins with a number"),
        ("07-crossover-clockwork", "begins with a number"),
        ("٧-crossover-clockwork", "begins with a number"),
        ("1000000-crossover-clockwork", "of 1 to 999,999"),
        ("crossover-clockwork", "begins with a number"),
        ("7-crossover", "got 1"),
        ("7" * 300, "300 characters"),
        ("", "begins with a number"),
    ],
)
def test_what_is_wrong_is_told(text: str, said: str) -> None:
    with pytest.raises(BadCode, match=said):
        Code.parse(text)


def test_a_near_word_is_offered() -> None:
    with pytest.raises(BadCode) as caught:
        Code.parse("7-crosover-clockwork")
    assert "crossover" in caught.value.hint


@given(codes)
def test_each_word_can_be_completed(code: Code) -> None:
    parts = str(code).split("-")
    for place in range(1, len(parts)):
        for size in range(len(parts[place]) + 1):
            typed = "-".join(parts[:place]) + "-" + parts[place][:size]
            assert parts[place] in complete(typed)


def test_nothing_completes_a_number_or_what_is_whole() -> None:
    assert complete("7") == complete("") == complete("7-crossover-clockwork-crossover-") == complete("x" * 999) == []


def test_a_secret_is_not_shown() -> None:
    shown = repr(Code.parse("7-crossover-clockwork"))
    assert not [part for part in ("crossover", "clockwork", "<", "3c") if part in shown]


@pytest.mark.parametrize(("number", "secret"), [(0, b"ab"), (MOST_NUMBER + 1, b"ab"), (7, b"a"), (7, b"\x9a\xf7y\x81")])
def test_what_cannot_be_said_is_no_code(number: int, secret: bytes) -> None:
    with pytest.raises(BadCode):
        Code(number, secret)
