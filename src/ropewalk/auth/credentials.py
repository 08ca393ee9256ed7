"""Credentials: what a peer gives to say who it is, and the channel that it came by.

Flow: a server of some protocol -> one of these, and a Channel -> Portal.login
Never: says whether they are right. Secrets are not shown by repr.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

__all__ = ["Anonymous", "Channel", "Credentials", "HeldKey", "Password", "Token", "too_long"]

_LONGEST_NAME, _LONGEST_SECRET = 256, 4096  # characters


@dataclass(frozen=True, slots=True)
class Channel:
    """How a peer is connected.

    Attributes:
        verified: Nobody but the peer and we can read or change what passes, and the peer had the means to know that it
            is us: TLS to our certificate, SSH to our host key, a Unix socket, or inside this process.
        address: Whom to hold to account when many logins fail: the peer's network address, "" where it has none.
        at_proxy: Encryption ended at a proxy before us.
    """

    verified: bool
    address: str = ""
    at_proxy: bool = False

    @classmethod
    def of(cls, transport: asyncio.BaseTransport) -> Channel:
        """The channel of a transport of asyncio's, by what it knows of itself."""
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        encrypted = transport.get_extra_info("ssl_object") is not None
        proxied = transport.get_extra_info("ropewalk.proxy") is not None
        # Of net's own transports: nobody between the two can read along. Any other is only believed for its TLS.
        private = bool(transport.get_extra_info("ropewalk.private", encrypted))
        return cls(private, address, at_proxy=proxied and not encrypted)


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nothing; for where a realm lets everybody in."""

    @property
    def name(self) -> str:
        """Nobody's."""
        return ""


@dataclass(frozen=True, slots=True)
class Password:
    """A name and a password."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A random word that was given out before; who has it is whom it was given to."""

    token: str = field(repr=False)

    @property
    def name(self) -> str:
        """Not known before the token is checked."""
        return ""


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A public key whose private half the peer has shown to hold.

    Who makes one has verified the peer's signature over a challenge of our own, or lets nothing happen before it has.

    Attributes:
        name: Who the peer says it is; "" where the key alone tells.
        key: The public key as SSH writes it: RFC 4253 section 6.6, before base64.
    """

    name: str
    key: bytes


Credentials = Anonymous | Password | Token | HeldKey


def too_long(credentials: Credentials) -> bool:
    """Whether these cannot be anybody's, and are not worth a look."""
    match credentials:
        case Password(_, secret) | Token(secret):
            length = len(secret)
        case HeldKey(_, key):
            length = len(key)
        case _:
            length = 0
    return len(credentials.name) > _LONGEST_NAME or length > _LONGEST_SECRET
