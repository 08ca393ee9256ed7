"""PROXY protocol, versions 1 and 2: the header that a proxy puts before a connection, to bytes and back.

Flow: peeked bytes -> HeaderReader.take, how many of them are header -> parse_header -> Proxied; connect -> encode
Never: touches a socket, or takes a byte that is not the header's.

As in HAProxy's doc/proxy-protocol.txt, with the CRC-32C that a header may carry.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass, field
from functools import cache

from ropewalk.net.errors import BadProxyHeader

__all__ = ["LONGEST_HEADER", "HeaderReader", "Proxied", "crc32c", "encode_header", "parse_header"]

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V1 = b"PROXY "
_LONGEST_V1 = 107  # bytes with the line's end, as the document says; one less than the buffer that it asks for
LONGEST_HEADER = 16 + 4096  # bytes of version 2; a client certificate's names and a cloud's identifiers fit
_V2 = struct.Struct("!12sBBH")
_NO_FAMILY, _INET, _INET6, _UNIX = 0, 1, 2, 3
_STREAM = 1
_UNIX_PATH = 108  # bytes
_CRC32C = 0x03  # PP2_TYPE_CRC32C
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, bits reversed (RFC 3720, B.4)

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Proxied:
    """What the header says.

    Attributes:
        source: Who connected to the proxy, or None where it does not say: a health check, or another kind of socket.
        destination: Where they connected to.
        extras: Type and value of what version 2 adds, such as 0x02 the server name that was asked for.
    """

    source: Address | None = None
    destination: Address | None = None
    extras: tuple[tuple[int, bytes], ...] = field(default=())


class HeaderReader:
    """Says of bytes that are looked at which of them are still the header's."""

    def __init__(self) -> None:
        self.header = b""
        self.done = False

    def take(self, peeked: bytes) -> int:
        """How many of these bytes, that follow what was taken before, to take; they must then be taken.

        Raises:
            BadProxyHeader: What is there is no header, or too long.
        """
        seen = self.header + peeked
        if SIGNATURE.startswith(seen[: len(SIGNATURE)]):
            end = self._end_of_v2(seen)
        elif _V1.startswith(seen[: len(_V1)]):
            end = self._end_of_v1(seen)
        else:
            raise BadProxyHeader("connection begins without a PROXY header")
        taken = min(len(seen), end) - len(self.header)
        self.header = seen[:end]
        return taken

    def _end_of_v1(self, seen: bytes) -> int:
        at = seen.find(b"\n", 0, _LONGEST_V1)
        if at >= 0:
            self.done = True
            return at + 1
        if len(seen) >= _LONGEST_V1:
            raise BadProxyHeader(f"PROXY header has no end within {_LONGEST_V1} bytes")
        return _LONGEST_V1

    def _end_of_v2(self, seen: bytes) -> int:
        if len(seen) < _V2.size:
            return _V2.size
        end = _V2.size + int(_V2.unpack_from(seen)[3])
        if end > LONGEST_HEADER:
            raise BadProxyHeader(f"PROXY header is {end} bytes long, expected at most {LONGEST_HEADER}")
        self.done = len(seen) >= end
        return end


def parse_header(header: bytes) -> Proxied:
    """What a whole header says.

    Raises:
        BadProxyHeader: It is none.
    """
    if header.startswith(SIGNATURE):
        return _parse_v2(header)
    if header.startswith(_V1):
        return _parse_v1(header)
    raise BadProxyHeader("header does not begin as a PROXY header does")


def encode_header(source: Address | None, destination: Address | None, *, version: int = 2) -> bytes:
    """The header for a connection between these; LOCAL or UNKNOWN where they are not given."""
    if version == 1:
        if source is None or destination is None:
            return b"PROXY UNKNOWN\r\n"
        family = "TCP6" if ":" in source[0] else "TCP4"
        return f"PROXY {family} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()
    if source is None or destination is None:
        return _V2.pack(SIGNATURE, 0x20, 0, 0)
    number = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
    body = socket.inet_pton(number, source[0]) + socket.inet_pton(number, destination[0])
    body += struct.pack("!HH", source[1], destination[1])
    kind = (_INET6 if number == socket.AF_INET6 else _INET) << 4 | _STREAM
    return _V2.pack(SIGNATURE, 0x21, kind, len(body)) + body


def _parse_v1(header: bytes) -> Proxied:
    if not header.endswith(b"\r\n") or len(header) > _LONGEST_V1:
        raise BadProxyHeader(f"PROXY header does not end in CR LF within {_LONGEST_V1} bytes")
    try:
        words = header[:-2].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise BadProxyHeader("PROXY header has bytes that are not ASCII") from None
    if words[1] == "UNKNOWN":
        return Proxied()
    if words[1] not in {"TCP4", "TCP6"} or len(words) != 6:
        raise BadProxyHeader("PROXY header is not: PROXY, TCP4 or TCP6, two addresses, two ports")
    kind = ipaddress.IPv4Address if words[1] == "TCP4" else ipaddress.IPv6Address
    try:
        # A zone is not of the header's form, and Python would take anything at all for its name.
        source, destination = (str(kind(word.replace("%", " "))) for word in words[2:4])
    except ValueError:
        raise BadProxyHeader(f"PROXY header has an address that is not one of {words[1]}") from None
    return Proxied((source, _port(words[4])), (destination, _port(words[5])))


def _port(word: str) -> int:
    if not (word.isascii() and word.isdigit()) or len(word) > 5 or int(word) > 65535 or str(int(word)) != word:
        raise BadProxyHeader("PROXY header has a port that is no number from 0 to 65535")
    return int(word)


def _parse_v2(header: bytes) -> Proxied:
    if len(header) < _V2.size:
        raise BadProxyHeader(f"PROXY header has {len(header)} bytes, expected at least {_V2.size}")
    _, command, kind, length = _V2.unpack_from(header)
    body = header[_V2.size :]
    if len(body) != length:
        raise BadProxyHeader(f"PROXY header has {len(body)} bytes after its length, which says {length}")
    if command >> 4 != 2 or command & 15 > 1:
        raise BadProxyHeader(f"PROXY header has version and command {command:#04x}, expected 0x20 or 0x21")
    if command & 15 == 0:  # LOCAL: the proxy itself; what follows is to be passed over
        return Proxied()
    family, transport = kind >> 4, kind & 15
    if family > _UNIX or transport > 2:
        raise BadProxyHeader(f"PROXY header has the family {kind:#04x}, expected one of the document's")
    if family == _NO_FAMILY:  # what follows has no known shape, and is to be passed over too
        return Proxied()
    size = {_INET: 12, _INET6: 36, _UNIX: 2 * _UNIX_PATH}[family]
    if len(body) < size:
        raise BadProxyHeader(f"PROXY header has {len(body)} bytes of addresses, expected {size}")
    extras = _extras(body[size:])
    _check_sum(header, _V2.size + size, extras)
    if transport != _STREAM or family not in {_INET, _INET6}:
        return Proxied(extras=extras)
    each = 4 if family == _INET else 16
    name = socket.AF_INET if family == _INET else socket.AF_INET6
    from_port, to_port = struct.unpack_from("!HH", body, 2 * each)
    source = socket.inet_ntop(name, body[:each]), from_port
    return Proxied(source, (socket.inet_ntop(name, body[each : 2 * each]), to_port), extras)


def _extras(rest: bytes) -> tuple[tuple[int, bytes], ...]:
    found: list[tuple[int, bytes]] = []
    while rest:
        if len(rest) < 3:
            raise BadProxyHeader("PROXY header ends within an addition's length")
        kind, length = struct.unpack_from("!BH", rest)
        if len(rest) < 3 + length:
            raise BadProxyHeader("PROXY header ends within an addition")
        found.append((kind, rest[3 : 3 + length]))
        rest = rest[3 + length :]
    return tuple(found)


def _check_sum(header: bytes, at: int, extras: tuple[tuple[int, bytes], ...]) -> None:
    """Compare the CRC-32C, where there is one, with that of the header whose own field is zeros (section 2.2.3)."""
    if sum(kind == _CRC32C for kind, _ in extras) > 1:
        raise BadProxyHeader("PROXY header has more than one checksum")
    for kind, value in extras:
        at += 3
        if kind == _CRC32C:
            if len(value) != 4:
                raise BadProxyHeader(f"PROXY header has a checksum of {len(value)} bytes, expected 4")
            found = crc32c(header[:at] + bytes(4) + header[at + 4 :])
            if found != int.from_bytes(value):
                raise BadProxyHeader(f"PROXY header has the checksum {value.hex()}, expected {found:08x}")
        at += len(value)


def crc32c(data: bytes) -> int:
    """The checksum of Castagnoli."""
    crc, table = 0xFFFFFFFF, _crc_table()
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


@cache
def _crc_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (_POLYNOMIAL if value & 1 else 0) for value in table]
    return table
