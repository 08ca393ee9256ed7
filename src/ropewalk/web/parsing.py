"""Parsing: what is checked of a request's head that llhttp lets through, and what an app's scope says of it.

Flow: method, version, target, headers, as llhttp gave them -> Head, or BadRequest with the status of its answer
Never: mends a request: what can be read in two ways is refused.
Source: RFC 9112, sections 3 and 6; RFC 9110, sections 7.2 and 10.1.1.

llhttp refuses by itself: obsolete folding, bare CR and LF, a space before a colon, names and values with characters
that they cannot have, two lengths, a length beside a transfer coding, sizes of chunks that are none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from ropewalk.web.errors import BadRequest

__all__ = ["Head", "host_name", "read_head"]

_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?\Z")
_ABSOLUTE = re.compile(rb"https?://([^/?]+)(.*)\Z", re.IGNORECASE | re.DOTALL)
_FOREIGN = frozenset(  # of RTSP and ICE, which llhttp takes for HTTP's
    b"ANNOUNCE DESCRIBE FLUSH GET_PARAMETER PAUSE PLAY RECORD REDIRECT SET_PARAMETER SETUP SOURCE TEARDOWN".split()
)
_ONCE = (b"host", b"transfer-encoding", b"expect", b"content-length")

_TELLING = frozenset({b"transfer-encoding", b"expect", b"content-length", b"upgrade"})
_SHORT = 100  # bytes of a target and of a host that are remembered: most requests of a server are for the same few

Headers = Sequence[tuple[bytes, bytes]]


class Head(NamedTuple):
    """A head that was found right.

    Attributes:
        path: With its %-codes decoded.
        raw_path: As it came.
        query: What follows the first question mark.
        host: Of the target, if it names one, else of the header; None where there is none.
        absolute: The target names the host: the header does not count.
        length: Of the body; None where it comes in chunks.
        expects: The peer waits for a word before it sends the body.
        upgrade: What it would rather speak, in lower case, or b"".
    """

    path: str
    raw_path: bytes
    query: bytes
    host: bytes | None
    absolute: bool
    length: int | None
    expects: bool
    upgrade: bytes


def read_head(method: bytes, version: str, target: bytes, headers: Headers) -> Head:
    """Check a head.

    Args:
        headers: Names in lower case.

    Raises:
        BadRequest.
    """
    found = dict(headers)
    if len(found) == len(headers):
        if len(target) < _SHORT and b"?" not in target and _TELLING.isdisjoint(found):
            host = found.get(b"host")
            if host is None or len(host) < _SHORT:
                return _short_head(method, version, target, host)
    else:
        names = [name for name, _ in headers]
        for name in _ONCE:
            if names.count(name) > 1:
                raise BadRequest(400, f"there is more than one {name.decode()} header")
    return _head(method, version, target, found)


def _head(method: bytes, version: str, target: bytes, found: dict[bytes, bytes]) -> Head:
    if version not in {"1.1", "1.0"}:
        raise BadRequest(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if method == b"CONNECT" or method in _FOREIGN:
        raise BadRequest(501, "this method is not known here")
    host = found.get(b"host")
    if host is None:
        if version == "1.1":
            raise BadRequest(400, "there is no host header")
    elif not _HOST.match(host):
        raise BadRequest(400, "the host header is no host")
    if target.startswith(b"/"):
        path, raw, query = _path(target)
        absolute = False
    else:
        path, raw, query, named = _other_form(method, target)
        absolute = named is not None
        host = host if named is None else named
    length = _length(version, found)
    expects = False
    if expected := found.get(b"expect"):
        if expected.lower() != b"100-continue":
            raise BadRequest(417, "this cannot be expected here")
        expects = version == "1.1" and length != 0
    upgrade = found.get(b"upgrade", b"").lower()
    return Head(path, raw, query, host, absolute, length, expects, upgrade)


@lru_cache(maxsize=256)
def _short_head(method: bytes, version: str, target: bytes, host: bytes | None) -> Head:
    """The head of a request without a query, which may be secret, and whose headers tell nothing more."""
    return _head(method, version, target, {} if host is None else {b"host": host})


def host_name(host: bytes) -> str:
    """The name in a host header that was found right, without its port, in lower case."""
    name = host.partition(b"]")[0] + b"]" if host.startswith(b"[") else host.partition(b":")[0]
    return name.decode("ascii").lower().rstrip(".")


def _length(version: str, found: dict[bytes, bytes]) -> int | None:
    coding = found.get(b"transfer-encoding")
    if coding is None:
        return int(found.get(b"content-length", b"0"))
    if version == "1.0":
        raise BadRequest(400, "HTTP/1.0 has no transfer codings")
    if coding.lower() != b"chunked":
        raise BadRequest(501, "this transfer coding is not known here")
    return None


def _path(target: bytes) -> tuple[str, bytes, bytes]:
    if b"#" in target:
        raise BadRequest(400, "the target has a fragment")
    raw, _, query = target.partition(b"?")
    if b"%" not in raw:
        return raw.decode("ascii"), raw, query
    if _ESCAPE.search(raw):
        raise BadRequest(400, "the path has a % that two hexadecimal digits do not follow")
    try:
        path = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise BadRequest(400, "the path has %-codes that are not UTF-8") from None
    if "\0" in path:
        raise BadRequest(400, "the path has a zero byte")
    return path, raw, query


def _other_form(method: bytes, target: bytes) -> tuple[str, bytes, bytes, bytes | None]:
    """A target that is no path: ``*``, or with scheme and host."""
    if target == b"*":
        if method != b"OPTIONS":
            raise BadRequest(400, "the target * is for OPTIONS alone")
        return "*", b"*", b"", None
    match = _ABSOLUTE.match(target)
    if match is None or not _HOST.match(match[1]):
        raise BadRequest(400, "the target is neither a path nor a URL of http")
    path, raw, query = _path(match[2] if match[2].startswith(b"/") else b"/" + match[2])
    return path, raw, query, match[1]
