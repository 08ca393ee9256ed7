"""Greeting: the first frame of each end.

Flow: nonce, node, limits -> `greeting` -> the other end; its first frame -> `Greeting.read`
Never: takes anything else for a hello.
Source: docs/spec/broker.md section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from ropewalk.broker.errors import BadFrame, WrongVersion
from ropewalk.broker.limits import Limits, told
from ropewalk.broker.outbox import encode

__all__ = ["HELLO", "Greeting", "greeting"]

HELLO = 4096  # bytes of the longest first frame
_VERSION = 1
_decode = msgspec.msgpack.Decoder().decode


def greeting(nonce: bytes, node: bytes | None, limits: Limits) -> bytes:
    """The body of a hello."""
    hello: dict[str, Any] = {
        "ropewalk": "broker",
        "version": _VERSION,
        "least": _VERSION,
        "nonce": nonce,
        "limits": told(limits),
    }
    return encode(hello if node is None else hello | {"node": node})


class Greeting(NamedTuple):
    """What the other end has said of itself."""

    nonce: bytes
    node: bytes | None
    limits: Any

    @classmethod
    def read(cls, body: bytes | memoryview, segments: Sequence[bytes]) -> Greeting:
        """A hello.

        Raises:
            BadFrame: It is none.
            WrongVersion: There is no version that both ends speak.
        """
        try:
            hello = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadFrame("a hello is not as MessagePack writes it") from None
        if segments or type(hello) is not dict or hello.get("ropewalk") != "broker":
            raise BadFrame("the first frame is no hello", hint="does the other end speak another protocol?")
        highest, least, nonce, node = (hello.get(key) for key in ("version", "least", "nonce", "node"))
        if type(highest) is not int or type(least) is not int or type(nonce) is not bytes or len(nonce) != 32:
            raise BadFrame("a hello lacks version, least or nonce")
        if node is not None and (type(node) is not bytes or len(node) != 32):
            raise BadFrame("a hello has a node that is no key of 32 bytes")
        if highest < _VERSION or least > _VERSION:
            raise WrongVersion(f"the other end speaks versions {least} to {highest}, this one {_VERSION}")
        return cls(nonce, node, hello.get("limits", {}))
