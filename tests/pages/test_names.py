"""Names: each has one address and one text, and no address leads anywhere else."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.pages.names import BadAddress, amount, quoted, shown, unquoted

NAMES = st.binary(min_size=1, max_size=60).map(lambda name: name.replace(b"/", b"~").replace(b"\0", b"\xff"))


@given(st.lists(NAMES.filter(lambda name: name not in (b".", b"..")), max_size=5))
def test_an_address_leads_back_to_its_path(parts: list[bytes]) -> None:
    address = quoted(parts)
    assert address.isascii()
    unquote(address, errors="strict")  # UTF-8, as servers want it
    assert not {".", ".."} & set(address.split("/"))
    assert unquoted(address) == unquoted(address.encode()) == tuple(parts)


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_junk_is_a_path_or_refused(address: str | bytes) -> None:
    try:
        parts = unquoted(address)
    except BadAddress:
        return
    assert not any(part in (b"", b".", b"..") or b"/" in part or b"\0" in part for part in parts)


@pytest.mark.parametrize("address", ["..", "a/../b", "%2e%2e", "a%2Fb", "a~2Fb", "~2E~2E", "a%00", "~00", "x" * 256])
def test_what_no_name_can_be_is_refused(address: str) -> None:
    with pytest.raises(BadAddress):
        unquoted(address)


@given(st.binary(max_size=60))
def test_what_is_shown_stays_in_its_line_and_direction(name: bytes) -> None:
    assert shown(name).isprintable()


@given(st.text(max_size=30).filter(str.isprintable))
def test_what_can_be_shown_is_shown_as_it_is(name: str) -> None:
    assert shown(name) == name


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**80, "1048576.0 EiB")])
def test_an_amount_has_a_unit(size: int, text: str) -> None:
    assert amount(size) == text
