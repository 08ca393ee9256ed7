"""Conditional requests against a model of RFC 9110 section 13.2.2; dates and tags by their grammars."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ropewalk.web.static.conditions import parse_date, range_wanted, status_of

ETAG, NOW = b'"abc"', 1_800_000_000.0
DATES = st.one_of(
    st.integers(0, 2_000_000_000).map(lambda second: formatdate(second, usegmt=True)),
    st.sampled_from(["", "yesterday", "Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 31 Feb 1994 08:49:37 GMT", "0"]),
)
TAG = st.sampled_from(['"abc"', 'W/"abc"', '"abd"', '""', '"a,b"', 'W/""'])
TAGS = st.one_of(
    st.just("*"),
    st.lists(TAG | st.just(""), max_size=4).map(", ".join),
    st.lists(TAG, max_size=3).map(",".join),
    st.sampled_from(["abc", '"abc', 'abc"', '*, "abc"', '"abc" "abc"', 'w/"abc"', '"abc";x', "**"]),
)
ASKED = st.fixed_dictionaries(
    {},
    optional={
        "if-match": TAGS,
        "if-none-match": TAGS,
        "if-modified-since": DATES,
        "if-unmodified-since": DATES,
    },
)


def date_of(text: str) -> int | None:
    """IMF-fixdate alone, which is all that the strategies above make."""
    try:
        return int(datetime.strptime(f"{text} +0000", "%a, %d %b %Y %H:%M:%S GMT %z").timestamp())
    except ValueError:
        return None


def matched(header: str, *, weak: bool) -> bool:
    if header == "*":
        return True
    tags, left = [], header
    while left.strip(" ,"):
        found = re.match(r'[ ,]*((?:W/)?"[^"]*")[ ]*(?:,|$)', left)
        if not found:
            return False
        tags.append(found[1])
        left = left[found.end() :]
    return '"abc"' in tags or (weak and 'W/"abc"' in tags)


def model(asked: dict[str, str], modified: int) -> int:
    """The steps of 13.2.2, in their order, for GET."""
    if "if-match" in asked:
        if not matched(asked["if-match"], weak=False):
            return 412
    elif "if-unmodified-since" in asked:
        date = date_of(asked["if-unmodified-since"])
        if date is not None and modified > date:
            return 412
    if "if-none-match" in asked:
        return 304 if matched(asked["if-none-match"], weak=True) else 200
    if "if-modified-since" in asked:
        date = date_of(asked["if-modified-since"])
        if date is not None and modified <= date:
            return 304
    return 200


@given(ASKED, st.integers(0, 2_000_000_000))
def test_conditions_are_taken_in_the_order_of_the_standard(asked: dict[str, str], modified: int) -> None:
    given_ = {name.encode(): value.encode() for name, value in asked.items()}
    assert status_of(given_, ETAG, modified, NOW) == model(asked, modified)


@given(st.integers(0, 2_000_000_000), st.integers(-1, 1))
def test_a_date_is_compared_by_the_second(second: int, more: int) -> None:
    date = formatdate(second, usegmt=True).encode()
    assert status_of({b"if-modified-since": date}, ETAG, second + more, NOW) == (304 if more <= 0 else 200)
    assert status_of({b"if-unmodified-since": date}, ETAG, second + more, NOW) == (412 if more > 0 else 200)


@given(st.integers(0, 4_000_000_000))
def test_all_three_forms_of_a_date_are_read(second: int) -> None:
    moment = datetime.fromtimestamp(second, UTC)
    assert parse_date(moment.strftime("%a, %d %b %Y %H:%M:%S GMT").encode(), NOW) == second
    assert parse_date(f"{moment:%a %b} {moment.day:2d} {moment:%H:%M:%S %Y}".encode(), NOW) == second
    if abs(moment.year - 2027) < 50:
        assert parse_date(moment.strftime("%A, %d-%b-%y %H:%M:%S GMT").encode(), NOW) == second


def test_a_year_of_two_digits_is_at_most_fifty_years_ahead() -> None:
    def year(digits: int) -> int:
        second = parse_date(f"Sunday, 06-Nov-{digits:02d} 08:49:37 GMT".encode(), NOW)
        assert second is not None
        return datetime.fromtimestamp(second, UTC).year

    assert datetime.fromtimestamp(NOW, UTC).year == 2027
    assert [year(94), year(27), year(77), year(78), year(0)] == [1994, 2027, 2077, 1978, 2000]


@given(st.text("SunMo, 0123456789Nov-:GTJa\x00٣", max_size=32) | st.text(max_size=32))
@example("Sun, 06 Nov 1994 08:49:37 GMT ")
@example("sun, 06 nov 1994 08:49:37 gmt")
@example("Sun, 6 Nov 1994 08:49:37 GMT")
@example("Sun, 06 Nov 1994 24:00:00 GMT")
@example("Sun, 06 Nov 1994 08:49:61 GMT")
@example("Sun, 06 Nov 0000 08:49:37 GMT")
@example("Sun, ٠٦ Nov 1994 08:49:37 GMT")
@example("Sun, 06 Nov 1994 08:49:37 GMT\n")
def test_what_is_no_date_is_none(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    found = parse_date(data, NOW)
    assert found is None or re.fullmatch(r"[A-Z][a-z]+,? [\w: -]+", text), text


def test_a_leap_second_is_the_last_of_its_minute() -> None:
    assert parse_date(b"Sat, 31 Dec 2016 23:59:60 GMT", NOW) == parse_date(b"Sat, 31 Dec 2016 23:59:59 GMT", NOW)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, True),
        (ETAG, True),
        (b'W/"abc"', False),
        (b'"abd"', False),
        (b'"abc", "abd"', False),
        (b"*", False),
        (b"", False),
        (formatdate(1000, usegmt=True).encode(), True),
        (formatdate(1001, usegmt=True).encode(), False),
        (formatdate(999, usegmt=True).encode(), False),
        (b"junk", False),
    ],
)
def test_a_range_is_sent_only_of_the_very_same(header: bytes | None, wanted: bool) -> None:
    assert range_wanted(header, ETAG, 1000, NOW) is wanted


def test_the_date_of_what_was_changed_just_now_is_not_enough_for_a_range() -> None:
    date = formatdate(int(NOW) - 1, usegmt=True).encode()
    assert not range_wanted(date, ETAG, int(NOW) - 1, NOW)


def test_a_weak_tag_never_matches_strongly() -> None:
    weak = b'W/"abc"'
    assert status_of({b"if-match": weak}, weak, 0, NOW) == 412
    assert status_of({b"if-match": ETAG}, weak, 0, NOW) == 412
    assert status_of({b"if-match": b"*"}, weak, 0, NOW) == 200
    assert status_of({b"if-none-match": weak}, weak, 0, NOW) == 304
    assert status_of({b"if-none-match": ETAG}, weak, 0, NOW) == 304
    assert not range_wanted(weak, weak, 0, NOW)


def test_a_very_long_list_of_tags_is_not_looked_at() -> None:
    assert status_of({b"if-none-match": b'"x", ' * 5000 + ETAG}, ETAG, 0, NOW) == 200
    assert status_of({b"if-match": b'"x", ' * 5000 + ETAG}, ETAG, 0, NOW) == 412
