"""PROXY headers: both versions, cut anywhere, and what is none."""

from __future__ import annotations

import ipaddress
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.net import BadProxyHeader, Proxied
from ropewalk.net.proxy import LONGEST_HEADER, SIGNATURE, HeaderReader, crc32c, encode_header, parse_header

ports = st.integers(0, 65535)
fours = st.tuples(st.ip_addresses(v=4).map(str), ports)
sixes = st.tuples(st.ip_addresses(v=6).map(str), ports)
pairs = st.tuples(fours, fours) | st.tuples(sixes, sixes)


def v2(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack("!12sBBH", SIGNATURE, command, family, len(body) if length is None else length) + body


def read(pieces: list[bytes]) -> tuple[bytes, bytes]:
    """Header and rest, as a socket would give them that has these pieces one after the other."""
    reader, waiting = HeaderReader(), b""
    for number, piece in enumerate(pieces):
        waiting += piece
        while waiting and not reader.done:
            taken = reader.take(waiting)
            assert 0 < taken <= len(waiting)
            waiting = waiting[taken:]
        if reader.done:
            return reader.header, waiting + b"".join(pieces[number + 1 :])
    raise EOFError


@given(pairs, st.sampled_from([1, 2]))
def test_header_says_what_was_written(pair: tuple[tuple[str, int], tuple[str, int]], version: int) -> None:
    found = parse_header(encode_header(*pair, version=version))
    for got, expected in zip((found.source, found.destination), pair, strict=True):
        assert got is not None
        assert (ipaddress.ip_address(got[0]), got[1]) == (ipaddress.ip_address(expected[0]), expected[1])


@pytest.mark.parametrize("version", [1, 2])
def test_header_of_no_addresses_says_none(version: int) -> None:
    assert parse_header(encode_header(None, None, version=version)) == Proxied()


@pytest.mark.parametrize("version", [1, 2])
def test_cut_at_every_byte_it_is_the_same_and_nothing_after_it_is_taken(version: int) -> None:
    header = encode_header(("192.0.2.1", 4711), ("198.51.100.2", 443), version=version)
    stream = header + b"\x16\x03\x01 and what follows"
    for cut in range(1, len(stream)):
        assert read([stream[:cut], stream[cut:]]) == (header, stream[len(header) :])
    assert read([bytes([byte]) for byte in stream])[0] == header
    for cut in range(len(header)):
        with pytest.raises(EOFError):
            read([header[:cut]])


def parsed(pieces: list[bytes]) -> object:
    try:
        header, rest = read(pieces)
    except (BadProxyHeader, EOFError) as error:
        return type(error)
    try:
        return parse_header(header), rest
    except BadProxyHeader:
        return BadProxyHeader, rest


@given(
    st.binary(max_size=300)
    | st.binary(max_size=300).map(lambda tail: SIGNATURE + tail)
    | st.binary(max_size=120).map(lambda tail: b"PROXY " + tail)
    | st.text("PROXYTCP46UNKNOWN 0123456789abcdef.:\r\n", max_size=120).map(lambda tail: f"PROXY {tail}".encode()),
    st.lists(st.integers(1, 40), max_size=8),
)
def test_fuzz_where_the_bytes_are_cut_makes_no_difference(junk: bytes, cuts: list[int]) -> None:
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(junk[at : at + cut])
        at += cut
    assert parsed([piece for piece in (*pieces, junk[at:]) if piece]) == parsed([junk] if junk else [])


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=80))
def test_fuzz_version_2_of_any_numbers_is_parsed_or_refused(command: int, family: int, body: bytes) -> None:
    with suppress(BadProxyHeader):
        parse_header(v2(command, family, body))


@given(st.binary(max_size=110))
def test_fuzz_version_1_of_any_bytes_is_parsed_or_refused(body: bytes) -> None:
    try:
        found = parse_header(b"PROXY " + body)
    except BadProxyHeader:
        return
    assert found.source is None or 0 <= found.source[1] <= 65535


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (b"GET / HTTP/1.1\r\n", "without a PROXY header"),
        (b"\x16\x03\x01\x02\x00", "without a PROXY header"),
        (b"PROXY " + b"x" * 200, "no end within 107"),
        (v2(0x21, 0x11, b"", length=5000), f"at most {LONGEST_HEADER}"),
    ],
)
def test_what_is_no_header_is_refused_before_it_is_whole(stream: bytes, why: str) -> None:
    with pytest.raises(BadProxyHeader, match=why):
        read([stream])


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
        b"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP6 ::1 fe80::1%\x1b[2J 1 2\r\n",
        b"PROXY \xff\r\n",
        b"PROXY \r\n",
        v2(0x11, 0x11, bytes(12)),
        v2(0x22, 0x11, bytes(12)),
        v2(0x21, 0x41, bytes(12)),
        v2(0x21, 0x13, bytes(12)),
        v2(0x21, 0x11, bytes(11)),
        v2(0x21, 0x21, bytes(12)),
        v2(0x21, 0x31, bytes(100)),
        v2(0x21, 0x11, bytes(12) + b"\x02\x00"),
        v2(0x21, 0x11, bytes(12) + b"\x02\x00\x09abc"),
        v2(0x21, 0x11, bytes(12) + b"\x03\x00\x04\x00\x00\x00\x00"),
        v2(0x21, 0x11, bytes(12) + b"\x03\x00\x03\x00\x00\x00"),
        SIGNATURE,
    ],
)
def test_what_lies_is_refused(header: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        parse_header(header)


def test_additions_of_version_2_are_kept() -> None:
    body = bytes([1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10]) + b"\x02\x00\x03abc" + b"\x04\x00\x00"
    assert parse_header(v2(0x21, 0x11, body)) == Proxied(("1.2.3.4", 9), ("5.6.7.8", 10), ((2, b"abc"), (4, b"")))


def test_other_kinds_of_version_2_have_no_address() -> None:
    assert parse_header(v2(0x20, 0x11, bytes(12))) == Proxied()
    assert parse_header(v2(0x21, 0x00, b"anything")) == Proxied()
    assert parse_header(v2(0x21, 0x31, bytes(216))) == Proxied()
    assert parse_header(v2(0x21, 0x12, bytes(12))) == Proxied()


def summed(body: bytes) -> bytes:
    """A header with the checksum that it must have, between two other additions."""
    before, after = b"\x04\x00\x00", b"\x02\x00\x01x"
    header = v2(0x21, 0x11, body + before + b"\x03\x00\x04" + bytes(4) + after)
    at = len(header) - len(after) - 4
    return header[:at] + struct.pack("!I", crc32c(header)) + header[at + 4 :]


def test_checksum_is_that_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value that catalogues give for CRC-32C
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(bytes(range(32))) == 0x46DD794E


@given(st.binary(min_size=12, max_size=12), st.data())
def test_checksum_finds_any_byte_that_changed(body: bytes, data: st.DataObject) -> None:
    header = summed(body)
    assert [kind for kind, _ in parse_header(header).extras] == [4, 3, 2]
    at = data.draw(st.integers(16, len(header) - 1))
    changed = bytearray(header)
    changed[at] ^= data.draw(st.integers(1, 255))
    with suppress(BadProxyHeader):  # else the change was of the kind or length of an addition
        assert 3 not in [kind for kind, _ in parse_header(bytes(changed)).extras]


def test_two_checksums_are_refused() -> None:
    with pytest.raises(BadProxyHeader, match="more than one"):
        parse_header(v2(0x21, 0x11, bytes(12) + b"\x03\x00\x04abcd" * 2))
