"""Addresses: a URL that says which node is meant, by its key.

Flow: URL -> `pinned` -> the key that the server must show; endpoint and key -> `with_node` -> an address for clients
Never: lets an address pass whose end it cannot read: what was meant to be pinned would not be.
Source: docs/spec/broker.md section 6.4.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ropewalk.broker.errors import BadArguments
from ropewalk.net import BadEndpoint, Endpoint

__all__ = ["agreed", "pinned", "with_node"]

_KEY = re.compile(r"ed25519:([0-9a-f]{64})")
_BYTES = 32  # of a key


def pinned(url: str | Endpoint) -> tuple[Endpoint, bytes | None]:
    """An address and the key of the node in it; None where it names none.

    Raises:
        BadEndpoint: It is none, or what follows ``#`` is no key.
    """
    endpoint = url if isinstance(url, Endpoint) else Endpoint.parse(url)
    if not endpoint.fragment:
        return endpoint, None
    key = _KEY.fullmatch(endpoint.fragment)
    if key is None:
        raise BadEndpoint(
            f"address {endpoint.place} has {endpoint.fragment!r:.100} after #, expected ed25519: and the node's key in"
            " 64 hexadecimal digits in lower case",
            hint="ask who runs the server for its address; without # it connects to whichever node is there",
        )
    return endpoint, bytes.fromhex(key[1])


def with_node(endpoint: Endpoint, key: bytes) -> Endpoint:
    """The same address with the key of its node in it."""
    return replace(endpoint, fragment=f"ed25519:{key.hex()}")


def agreed(address: bytes | None, given: object) -> bytes | None:
    """The key of the node that is meant, out of an address and of what was given beside it.

    Raises:
        BadArguments: What was given is no key, or another one.
    """
    if given is None:
        return address
    if not isinstance(given, bytes) or len(given) != _BYTES:
        what = f"{len(given)} bytes" if isinstance(given, bytes) else f"a {type(given).__name__}"
        raise BadArguments(
            f"got {what} as the node's key, expected {_BYTES} bytes", hint="a public key's public_bytes_raw()"
        )
    if address is not None and address != given:
        raise BadArguments(f"got the node's key {given.hex()}, and another in the address: {address.hex()}")
    return given
