"""Names: one spelling, one script, and what is no name."""

from __future__ import annotations

import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.auth import BadAccount
from ropewalk.auth.names import checked_name, plain


@pytest.mark.parametrize(
    "name", ["anna", "Anna", "a.b-c_d+e@host", "björn", "анна", "άννα", "安娜", "あんナ安ー", "x1"]
)
def test_names(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "expected a name of 1 to 64"),
        ("x" * 65, "expected a name"),
        ("a b", "expected a name"),
        ("a\u200db", "expected a name"),  # a joiner that nobody sees
        ("a\u202eb", "expected a name"),  # turns what follows around
        ("a\nb", "expected a name"),
        ("\udc80", "expected a name"),
        ("bjo\u0308rn", "expected a name"),
        ("\uff41nna", "has characters that stand for others"),  # full width
        ("ﬁn", "stand for others"),
        ("x²", "stand for others"),
        ("аnna", "mixes scripts: CYRILLIC, LATIN"),
        ("αnna", "mixes scripts"),
        ("anna١", "mixes scripts"),
    ],
)
def test_names_that_look_like_others_or_are_none(name: str, message: str) -> None:
    with pytest.raises(BadAccount, match=message):
        checked_name(name)


@given(st.text(max_size=70))
def test_what_is_a_name_is_plain(name: str) -> None:
    with suppress(BadAccount):
        assert checked_name(name) == plain(name)


def test_spellings_of_one_name_are_one() -> None:
    for spelling in (unicodedata.normalize("NFD", "björn"), "ｂjörn", "björn"):
        assert plain(spelling) == "björn"


@pytest.mark.parametrize("name", ["a\x00", "a\nb", "\udc80", "a\u202eb", "x" * 257, "\ufdfa" * 20])
def test_what_nobody_is_called(name: str) -> None:
    """The last grows eighteenfold when it is spelled out."""
    assert plain(name) is None
