"""Text told from commands, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.telnet.commands import (
    LONGEST_SUBNEGOTIATION,
    Command,
    Commands,
    Negotiation,
    Subnegotiation,
    SubnegotiationTooLong,
)

Item = bytes | Command | Negotiation | Subnegotiation
BYTES = st.lists(
    st.sampled_from([b"\xff", b"\xfa", b"\xf0", b"\xfb", b"\xfd", b"\xf4", b"a", b"\x18", b"\r", b"\n"])
).map(b"".join) | st.binary(max_size=80)


def items_of(pieces: list[bytes]) -> list[Item]:
    """All items, with text that was cut joined again."""
    commands, items = Commands(), list[Item]()
    for piece in pieces:
        for item in commands.feed(piece):
            if isinstance(item, bytes) and items and isinstance(before := items[-1], bytes):
                items[-1] = before + item
            else:
                items.append(item)
    return items


@given(BYTES, st.lists(st.integers(0, 80)))
def test_where_bytes_are_cut_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    at = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    assert items_of([data[a:b] for a, b in pairwise(at)]) == items_of([data])


ITEMS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=10),
        st.integers(241, 249).map(Command),
        st.tuples(st.integers(251, 254), st.integers(0, 255)).map(lambda pair: Negotiation(bytes(pair))),
        st.binary(min_size=1, max_size=10).map(Subnegotiation),
    )
)


@given(ITEMS)
def test_what_was_put_together_comes_apart_the_same(items: list[Item]) -> None:
    wire = b""
    expected: list[Item] = []
    for item in items:
        match item:
            case bytes():
                wire += item.replace(b"\xff", b"\xff\xff")
                if expected and isinstance(before := expected[-1], bytes):
                    expected[-1] = before + item
                    continue
            case Command(code):
                wire += bytes((255, code))
            case Negotiation(said):
                wire += b"\xff" + said
            case Subnegotiation(said):
                wire += b"\xff\xfa" + said.replace(b"\xff", b"\xff\xff") + b"\xff\xf0"
        expected.append(item)
    assert items_of([wire]) == expected


def test_a_subnegotiation_that_is_broken_off_says_nothing_and_what_broke_it_counts() -> None:
    assert items_of([b"\xff\xfa\x18\x00xte\xff\xf4rm"]) == [Subnegotiation(b""), Command(244), b"rm"]


def test_a_subnegotiation_may_be_as_long_as_the_bound_and_no_longer() -> None:
    said = b"\x18" * LONGEST_SUBNEGOTIATION
    assert items_of([b"\xff\xfa" + said + b"\xff\xf0"]) == [Subnegotiation(said)]
    with pytest.raises(SubnegotiationTooLong, match="longer than 4096 bytes"):
        items_of([b"\xff\xfa" + said + b"x\xff\xf0"])


def test_a_subnegotiation_without_end_takes_no_memory() -> None:
    commands = Commands()
    list(commands.feed(b"\xff\xfa\x18"))
    for _ in range(4):
        list(commands.feed(b"\xff\xff" * 500))
    with pytest.raises(SubnegotiationTooLong):
        list(commands.feed(b"\xff\xff" * 500))
    assert not commands._held
