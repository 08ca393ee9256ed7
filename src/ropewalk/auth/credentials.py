"""Credentials: what a peer gives to say who it is, and the channel that it came by.

Flow: a server of some protocol -> one of these, and a Channel -> Portal.login -> normal -> checkers
Never: says whether they are right. Secrets are not shown by repr.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field, replace

from ropewalk.auth.names import plain

__all__ = ["Anonymous", "Channel", "Credentials", "HeldKey", "Password", "Token", "normal", "subject"]

_LONGEST_SECRET = 4096  # characters of a password or token, bytes of a key


@dataclass(frozen=True, slots=True)
class Channel:
    """How a peer is connected.

    Attributes:
        verified: Nobody but the peer and we can read or change what passes, and the peer had the means to know that it
            is us: TLS to our certificate, SSH to our host key, a Unix socket, or inside this process.
        address: Whom to hold to account when many logins fail: the peer's network address, "" where it has none.
        at_proxy: Encryption, if there was any, ended at a proxy before us. A server that learns this from its own
            protocol, as from a header of HTTP, says so by `dataclasses.replace`.
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
        return cls(private, address, at_proxy=proxied and not private)


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

    Who makes one has verified the peer's signature over a challenge of our own. A server that must say before that
    whether a key would do, as SSH's can, asks a checker: a login would give the perspective to who holds nothing.

    Attributes:
        name: Who the peer says it is; "" where the key alone tells.
        key: The public key as SSH writes it: RFC 4253 section 6.6, before base64.
    """

    name: str
    key: bytes


Credentials = Anonymous | Password | Token | HeldKey


def normal(credentials: Credentials) -> Credentials | None:
    """These, with the name in its one spelling; None: they cannot be anybody's, and are not worth a look.

    An empty password is none: directories take one as a question, and answer it with yes.
    """
    match credentials:
        case Password(name, secret) | HeldKey(name, secret):
            named = plain(name)
            if named is None or (not named and isinstance(credentials, Password)):
                return None
            credentials = replace(credentials, name=named)
        case Token(secret):
            pass
        case _:
            return credentials
    return credentials if 1 <= len(secret) <= _LONGEST_SECRET else None


def subject(credentials: Credentials) -> str:
    """Whom failures are counted against: a name where it can be guessed for, else the very key or token.

    So nobody who lacks a key can use up the tries of its holder, nor a robot with an old token those of its neighbours.
    """
    match credentials:
        case Password(name, _):
            return f"name {name}"
        case HeldKey(_, key):
            return f"key {hashlib.sha256(key).hexdigest()}"
        case Token(token):
            return f"token {hashlib.sha256(token.encode(errors='replace')).hexdigest()}"
    return ""
