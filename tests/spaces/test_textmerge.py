"""Texts merged by lines: what one side changed is taken, what both did is shown with both, and no line is lost."""

from __future__ import annotations

import random
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces import textmerge
from ropewalk.spaces.textmerge import LARGEST_TEXT, Clash, Merged, NotMergeable, merge_texts

line = st.sampled_from(["a\n", "b\n", "c\n", "d\r\n", "\n", "é\n", "x" * 40 + "\n"])
text = st.builds(
    lambda lines, end: ("".join(lines) + end).encode(), st.lists(line, max_size=14), st.sampled_from(["", "e"])
)


def joined(merged: Merged, side: str) -> bytes:
    """What is left when one side is taken in each clash."""
    return b"".join(part if isinstance(part, bytes) else getattr(part, side) for part in merged.parts)


@given(text, text)
def test_what_one_side_alone_changed_is_taken(base: bytes, changed: bytes) -> None:
    for merged in (merge_texts(base, changed, base), merge_texts(base, base, changed)):
        assert (merged.clashes, merged.text()) == (0, changed)


@given(text, text)
def test_what_both_changed_alike_is_taken_once(base: bytes, changed: bytes) -> None:
    assert merge_texts(base, changed, changed).text() == changed


@given(text, text, text)
def test_sides_may_be_swapped(base: bytes, ours: bytes, theirs: bytes) -> None:
    one, other = merge_texts(base, ours, theirs), merge_texts(base, theirs, ours)
    swapped = [Clash(part.theirs, part.base, part.ours) if isinstance(part, Clash) else part for part in other.parts]
    assert list(one.parts) == swapped


@given(text, text, text)
def test_a_clash_carries_both_sides_and_what_they_were(base: bytes, ours: bytes, theirs: bytes) -> None:
    merged = merge_texts(base, ours, theirs)
    for part in merged.parts:
        if isinstance(part, Clash):
            assert part.ours != part.theirs
            assert part.base not in (None, part.ours, part.theirs)
            assert part.ours in ours
            assert part.base is not None
            assert part.base in base
            assert part.theirs in theirs
    kept = joined(merged, "ours").splitlines()
    assert set(ours.splitlines()) - set(base.splitlines()) <= set(kept), "what a side added is there"
    assert set(theirs.splitlines()) - set(base.splitlines()) <= set(joined(merged, "theirs").splitlines())


@given(text, text)
def test_without_a_base_all_that_differs_is_a_clash(ours: bytes, theirs: bytes) -> None:
    merged = merge_texts(None, ours, theirs)
    assert (joined(merged, "ours"), joined(merged, "theirs")) == (ours, theirs)
    assert (merged.clashes == 0) == (ours == theirs)


@given(st.lists(st.integers(0, 8), min_size=2, max_size=8), st.data())
def test_edits_that_do_not_touch_are_merged_without_a_clash(gaps: list[int], data: st.DataObject) -> None:
    base: list[str] = []
    sides: list[list[str]] = [[], []]
    merged: list[str] = []
    for number, gap in enumerate(gaps):
        kept = [f"kept {number} {at}\n" for at in range(gap + 1)]
        old = [f"old {number} {at}\n" for at in range(data.draw(st.integers(0, 2)))]
        new = [f"new {number} {at}\n" for at in range(data.draw(st.integers(0, 2)))]
        whose = data.draw(st.integers(0, 1))
        base += kept + old
        for which, side in enumerate(sides):
            side += kept + (new if which == whose else old)
        merged += kept + new
    texts = ["".join(lines).encode() for lines in (base, *sides)]
    found = merge_texts(*texts)
    assert (found.clashes, found.text()) == (0, "".join(merged).encode())


def test_a_clash_is_shown_between_the_names_of_its_sides() -> None:
    merged = merge_texts(b"1\n2\n3\n", b"1\nours\n3\n", b"1\ntheirs\n3\n")
    assert merged.text("anna\n", "base", "bob") == (
        b"1\n<<<<<<< anna \nours\n||||||| base\n2\n=======\ntheirs\n>>>>>>> bob\n3\n"
    )
    assert merge_texts(None, b"a", b"b").text() == b"<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n"


def test_a_removal_beside_an_edit_is_a_clash() -> None:
    merged = merge_texts(b"1\n2\n3\n", b"1\n3\n", b"1\nnew\n3\n")
    assert list(merged.parts) == [b"1\n", Clash(b"", b"2\n", b"new\n"), b"3\n"]


@pytest.mark.parametrize("bad", [b"\xff", b"a\0b", b"x" * (LARGEST_TEXT + 1)])
@pytest.mark.parametrize("place", range(3))
def test_what_is_no_text_or_too_large_is_refused(bad: bytes, place: int) -> None:
    texts = [b"a\n", b"b\n", b"c\n"]
    texts[place] = bad
    with pytest.raises(NotMergeable) as refused:
        merge_texts(*texts)
    assert refused.value.code == "textmerge.not-mergeable"
    assert refused.value.hint


@given(st.lists(line, max_size=30), st.lists(line, max_size=30))
def test_matches_are_of_equal_lines_and_in_order_in_both(one: list[str], other: list[str]) -> None:
    ours, theirs = [value.encode() for value in one], [value.encode() for value in other]
    found = textmerge._matches(ours, theirs)
    assert all(ours[x : x + count] == theirs[y : y + count] and count for x, y, count in found)
    assert all(x + count <= u and y + count <= v for (x, y, count), (u, v, _) in pairwise(found))


class Counted(bytes):
    """A line that counts how often it is compared with another."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return bytes.__eq__(self, other)

    __hash__ = bytes.__hash__


@pytest.mark.parametrize("shape", ["two lines in any order", "nested", "all other", "moved"])
def test_the_work_is_bounded_whatever_the_texts_are(shape: str, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(textmerge, "MOST_STEPS", 200_000)
    chance = random.Random(seed)
    size = 20_000
    if shape == "two lines in any order":
        ours, theirs = ([chance.choice((b"a\n", b"b\n")) for _ in range(size)] for _ in range(2))
    elif shape == "nested":  # a line is there once only within what the one before it left over
        ours = [b"%d\n" % (at // 2) for at in range(size)]
        theirs = [b"%d\n" % ((at + 1) // 2) for at in range(size)]
    elif shape == "all other":
        ours, theirs = [b"o%d\n" % at for at in range(size)], [b"t%d\n" % at for at in range(size)]
    else:
        ours = [b"%d\n" % at for at in range(size)]
        theirs = chance.sample(ours, size)
    worked = 0

    class Watched(SequenceMatcher[bytes]):
        def find_longest_match(self, *args: int, **kwargs: int) -> object:  # type: ignore[override]
            nonlocal worked
            texts: Any = self
            alo, ahi, blo, bhi = args
            worked += sum(blo <= y < bhi for at in range(alo, ahi) for y in texts.b2j.get(texts.a[at], ()))
            return super().find_longest_match(*args, **kwargs)

    monkeypatch.setattr(textmerge, "SequenceMatcher", Watched)
    Counted.compared = 0
    found = textmerge._matches([Counted(one) for one in ours], [Counted(one) for one in theirs])
    assert all(ours[x : x + count] == theirs[y : y + count] for x, y, count in found)
    assert worked <= 200_000
    assert Counted.compared <= 12 * (200_000 + 2 * size)


def test_past_the_bound_lines_count_as_changed_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textmerge, "MOST_STEPS", -1000)
    base, ours, theirs = b"x\ny\nx\ny\n", b"y\nx\nx\ny\nq\n", b"y\ny\nx\nx\nr\n"
    merged = merge_texts(base, ours, theirs)
    assert list(merged.parts) == [Clash(ours, base, theirs)]
