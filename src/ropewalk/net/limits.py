"""Limits: what one peer, or all of them together, may take from a listener, and the book of who is in.

Flow: a new connection -> Admission.enter -> "" or the reason to refuse it -> Admission.leave once it is gone
Never: keeps anything of an address once its last connection has gone.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from ropewalk.errors import Misuse

__all__ = ["Admission", "BadLimit", "Limits", "TokenBucket", "address_key"]


class BadLimit(Misuse):
    """A limit that no listener could keep."""

    code = "net.bad-limit"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one listener.  None means no bound.

    Attributes:
        connections: Open at a time, those whose handshake is under way among them.
        per_address: Open at a time from one address; the /64 of an IPv6 address counts as one, since that is what one
            customer is given.  Behind a PROXY header the address is the one in the header.
        rate: New connections a second, with as many at once after a quiet second.
        handshake: Seconds for PROXY header, TLS and WebSocket together.
        idle: Seconds without a byte in either direction.  Looked at four times in that span.
        close: Seconds to wait for the peer's part of a TLS or WebSocket close; and after a close, seconds in which the
            peer must take some of what is written and not yet sent: who takes nothing for so long, or at most twice as
            long, is cut off.
    """

    connections: int | None = 10_000  # with 6 KiB each, 60 MB
    per_address: int | None = None  # a proxy or a university is one address; only the user knows
    rate: float | None = None
    handshake: float = 10.0  # a mobile phone far away takes 2; who takes 10 has gone
    idle: float | None = None
    close: float = 5.0

    def __post_init__(self) -> None:
        for name in ("connections", "per_address", "rate", "handshake", "idle", "close"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise BadLimit(f"limit {name} is {value}, expected more than 0")


class TokenBucket:
    """So many a second, and as many at once after a quiet second."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate, self._most = rate, max(1.0, rate)
        self._tokens, self._then = self._most, now

    def take(self, now: float) -> bool:
        """Whether one more may come at this moment."""
        self._tokens = min(self._most, self._tokens + (now - self._then) * self._rate)
        self._then = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def address_key(host: str) -> bytes:
    """What counts as one address: an IPv4 address, also inside IPv6, or the /64 of an IPv6 address."""
    if ":" not in host:
        return host.encode()
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    if packed.startswith(b"\0" * 10 + b"\xff\xff"):
        return socket.inet_ntoa(packed[12:]).encode()
    return packed[:8]


class Admission:
    """Who is in, counted, and whether one more may come."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits, self._clock = limits, clock
        self._bucket = None if limits.rate is None else TokenBucket(limits.rate, clock())
        self._by_address: dict[bytes, int] = {}
        self.inside = 0

    def enter(self) -> str:
        """Count one more in; otherwise why not: connections or rate."""
        if self._limits.connections is not None and self.inside >= self._limits.connections:
            return "connections"
        if self._bucket is not None and not self._bucket.take(self._clock()):
            return "rate"
        self.inside += 1
        return ""

    def leave(self, address: bytes | None) -> None:
        """Count one out that `enter` let in, with what `claim` gave for its address."""
        self.inside -= 1
        if address is not None:
            left = self._by_address[address] - 1
            if left:
                self._by_address[address] = left
            else:
                del self._by_address[address]

    def claim(self, host: str) -> bytes | None:
        """Count one more of this address: give the key to leave with.

        Raises:
            OverflowError: The address has as many as it may.
        """
        if self._limits.per_address is None:
            return None
        key = address_key(host)
        count = self._by_address.get(key, 0)
        if count >= self._limits.per_address:
            raise OverflowError
        self._by_address[key] = count + 1
        return key
