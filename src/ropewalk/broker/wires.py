"""Wires: what is known of the connection below a session, for who logs in over it.

Flow: transport -> Wire: is it private, what binds a login to it
Never: calls a channel private on the word of the other end.
Source: docs/spec/broker.md section 6.1 and 6.2.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from ropewalk.auth import Channel
from ropewalk.net import shown_pin

__all__ = ["NONE", "Wire", "wire_of"]

NONE = bytes(32)  # the binding of a connection without TLS


class Wire(NamedTuple):
    """A connection as a login sees it.

    Attributes:
        channel: As `auth` has it.
        binding: SHA-256 of the public key of the certificate that the server showed; zeros without TLS.
    """

    channel: Channel
    binding: bytes


def wire_of(transport: asyncio.BaseTransport) -> Wire:
    """What a transport of ours says of itself."""
    pin = shown_pin(transport)
    return Wire(Channel.of(transport), bytes.fromhex(pin.removeprefix("sha256:")) if pin else NONE)
