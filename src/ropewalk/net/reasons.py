"""Reasons: why a listener refused, lost or ended a connection, in its metrics and, told quietly, in the log.

Flow: Listener -> refused, failed, ended -> a counter for each of few words, a line for each of them now and then
Never: lets a peer choose a word that is counted, or how much is logged.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from collections.abc import Callable
from typing import Any

from ropewalk.errors import PeerFault
from ropewalk.net.connection import Connection
from ropewalk.net.counting import Counts, QuietLog
from ropewalk.net.errors import BadProxyHeader, HandshakeFailed, WebSocketFault

__all__ = ["ProxyNotAllowed", "Reasons", "place_of"]

_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NOT_TLS = frozenset({"HTTP_REQUEST", "WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTPS_PROXY_REQUEST"})


class ProxyNotAllowed(Exception):
    """Nothing is taken from this address, not even a PROXY header."""


class Reasons:
    """What one listener tells of those whom it did not serve to their end."""

    def __init__(self, counts: Counts, log: logging.Logger, listener: str, clock: Callable[[], float]) -> None:
        self._counts = counts
        self._quiet = QuietLog(log, listener, clock)
        self.flush = self._quiet.flush

    def refused(self, reason: str, who: str, why: str = "") -> None:
        """Refused before its handshake."""
        self._counts.refused(reason).inc()
        message = f"refused {who}: {why or f'limit of {reason}'}"
        self._quiet.tell(logging.WARNING, "net.refused", reason, message)

    def not_accepting(self, error: OSError) -> None:
        """Nobody can be accepted for a moment."""
        reason = "scarce" if error.errno in _SCARCE else "accept"
        self._counts.refused(reason).inc()
        self._quiet.tell(logging.ERROR, f"net.{reason}", reason, f"cannot accept for a moment: {error.strerror}")

    def failed(self, error: Exception, who: str) -> None:
        """Lost in its handshake."""
        if isinstance(error, ProxyNotAllowed):
            self.refused("proxy-address", who, "not an address that PROXY headers are taken from")
            return
        if isinstance(error, OverflowError):
            self.refused("address", who)
            return
        reason = _reason(error)
        self._counts.failed(reason).inc()
        message = f"handshake with {who} failed, {reason}: {str(error) or type(error).__name__}"
        level = logging.ERROR if reason == "factory" else logging.INFO
        self._quiet.tell(level, "net.handshake-failed", reason, message)

    def ended(self, reason: str, connection: Connection, why: str) -> None:
        """Ended by us, after it was open."""
        self._counts.ended(reason).inc()
        self._quiet.tell(logging.INFO, "net.ended", reason, f"ended {connection.peer_text()}: {why}")

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Lost, after it was open: told where the peer broke rules, ours or those that `fault` told of."""
        error = connection.fault or error
        if isinstance(error, ssl.SSLError):
            self.ended("tls", connection, str(error))
        elif isinstance(error, PeerFault):
            self.ended("websocket" if isinstance(error, WebSocketFault) else error.code, connection, str(error))


def place_of(address: Any) -> str:
    """A peer's address, for people."""
    if isinstance(address, tuple) and len(address) >= 2:
        return f"[{address[0]}]:{address[1]}" if ":" in str(address[0]) else f"{address[0]}:{address[1]}"
    return "a local peer"


def _reason(error: Exception) -> str:
    """A handshake's failure as one of few words, for a metric's label."""
    if isinstance(error, BadProxyHeader):
        return "proxy-header"
    if isinstance(error, WebSocketFault | HandshakeFailed):
        return "websocket"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLError):
        if error.reason in _NOT_TLS:
            return "not-tls"
        return "certificate" if "CERTIFICATE" in (error.reason or "") else "tls"
    if isinstance(error, ConnectionAbortedError) and "longer than" in str(error):
        return "timeout"  # the loop's own clock was a moment faster
    return "lost" if isinstance(error, OSError | asyncio.IncompleteReadError) else "factory"
