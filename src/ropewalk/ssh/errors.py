"""Errors: what can go wrong in a server of SSH; what the library raises becomes one of these here, and nowhere else.

Flow: an exception that ended the library's connection -> `of_library` -> PeerFault, or None where nobody did wrong
Never: repeats what a peer has sent.
"""

from __future__ import annotations

import logging

from ropewalk.errors import Damaged, Misuse, PeerFault, RopewalkError, Unavailable

__all__ = [
    "BadHostKey",
    "BadPacket",
    "HostKeyUnreadable",
    "LibraryBroke",
    "NoCommonAlgorithm",
    "NotInstalled",
    "TooManyTries",
    "TooMuch",
    "TooSlow",
    "of_library",
]

_log = logging.getLogger("ropewalk.ssh")
_LEAVING = frozenset({10, 11, 13, 14})  # lost, asked to, cancelled, no more ways to log in: RFC 4253 section 11.1


class NotInstalled(Misuse):
    """The library that speaks SSH is not installed."""

    code = "ssh.not-installed"


class BadHostKey(Damaged):
    """The file is not an Ed25519 key, or others than its owner can read or change it."""

    code = "ssh.bad-host-key"


class HostKeyUnreadable(Unavailable):
    """The file of the host key can be neither read nor made."""

    code = "ssh.host-key-unreadable"


class BadPacket(PeerFault):
    """Bytes that are no SSH, or not in this order, or not what their checksum says."""

    code = "ssh.bad-packet"


class NoCommonAlgorithm(PeerFault):
    """The peer has none of the algorithms that are taken here."""

    code = "ssh.no-common-algorithm"


class TooSlow(PeerFault):
    """An exchange of keys, or the login, was not over in time."""

    code = "ssh.too-slow"


class TooMuch(PeerFault):
    """More bytes before the login, or more unsent answers, than anybody needs."""

    code = "ssh.too-much"


class TooManyTries(PeerFault):
    """The login failed as often as it may on one connection."""

    code = "ssh.too-many-tries"


class LibraryBroke(Unavailable):
    """The library or what it called failed in a way that is nobody's fault but ours; the log says more."""

    code = "ssh.library-broke"


def of_library(error: BaseException | None) -> RopewalkError | None:
    """What the end of a connection of the library's means.

    Returns:
        None where it ended as connections do: closed, cut off, or asked to end by the peer.
    """
    import asyncssh

    match error:
        case RopewalkError():
            return error
        case None | OSError() | asyncssh.ConnectionLost():
            return None
        case asyncssh.KeyExchangeFailed():
            return NoCommonAlgorithm("no common algorithm", hint="this server takes what OpenSSH has had since 2014")
        case asyncssh.DisconnectError(code=code) if code in _LEAVING:
            return None
        case asyncssh.DisconnectError(code=code):
            # Of the same kind are what the library found wrong and what the peer says that we did.
            return BadPacket(f"broke the protocol, or says that we did: reason {code}")
        case UnicodeDecodeError():
            return BadPacket("text that is not what it is said to be")
    _log.error("a connection of SSH broke: %r", error, exc_info=error, extra={"code": LibraryBroke.code})
    return LibraryBroke("the connection broke on our side")
