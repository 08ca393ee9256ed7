"""Limits: what one connection of SSH may take.

Flow: configuration -> SshLimits -> Wire, Connection, Session
Never: bounds what belongs to the listener or to the terminal; those have limits of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from ropewalk.errors import Misuse

__all__ = ["BadLimit", "SshLimits"]


class BadLimit(Misuse):
    """A limit that no connection could keep."""

    code = "ssh.bad-limit"


@dataclass(frozen=True, slots=True)
class SshLimits:
    """Bounds of one connection.

    Attributes:
        handshake: Seconds for each exchange of keys, the first counted from the beginning.
        login_within: Seconds from the beginning to the end of the login.
        login_bytes: That a peer may send before it is logged in; a login of ten tries takes 20 KB.
        tries: Logins that may fail.
        channels: Open at a time.
        unused: Seconds without a channel after the login.
        unread: Seconds in which a peer must take some of what is sent to it, while there is more than it takes at once;
            and in which it must close a channel that we have closed, once it has taken what was written.
        rekey_bytes: Sent under one key.
        rekey_seconds: For which one key is used.
    """

    handshake: float = 10.0
    login_within: float = 60.0
    login_bytes: int = 128 * 1024
    tries: int = 6
    channels: int = 8
    unused: float = 300.0
    unread: float = 60.0
    rekey_bytes: int = 1 << 30
    rekey_seconds: float = 3600.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not value > 0:
                raise BadLimit(f"limit {name} is {value}, expected more than 0")
