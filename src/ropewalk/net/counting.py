"""Counting: the metrics of a listener, and logs that a flood cannot flood.

Flow: listen -> Counts(listener's name) -> the registry of the application; refusals -> QuietLog -> the log
Never: does anything for each read or write.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ropewalk.metrics import Counter, current_registry

__all__ = ["Counts", "QuietLog", "connect_counter"]

_PERIOD = 10.0  # seconds in which a reason is logged once; what came meanwhile is told by its number
_LONG = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 86400.0)  # seconds; connections live from milliseconds to days


class Counts:
    """What one listener counts."""

    def __init__(self, listener: str) -> None:
        registry = current_registry()
        self._listener = listener
        label = ("listener",)
        self._refused = registry.counter(
            "ropewalk_net_refused_total", "connections refused before their handshake", ("listener", "reason")
        )
        self._failed = registry.counter(
            "ropewalk_net_handshake_failures_total", "connections lost in their handshake", ("listener", "reason")
        )
        self._ended = registry.counter(
            "ropewalk_net_ended_total", "connections that we ended for a reason", ("listener", "reason")
        )
        self._reloads = registry.counter(
            "ropewalk_net_certificate_reloads_total", "certificates read anew", ("listener", "outcome")
        )
        self.accepted = registry.counter("ropewalk_net_connections_total", "connections accepted", label).of(listener)
        self.open = registry.gauge("ropewalk_net_connections_open", "connections open", label).of(listener)
        self.received = registry.counter(
            "ropewalk_net_received_bytes_total", "bytes received, TLS and the like included", label
        ).of(listener)
        self.sent = registry.counter("ropewalk_net_sent_bytes_total", "bytes sent and acknowledged", label).of(listener)
        self.seconds = registry.histogram(
            "ropewalk_net_connection_seconds", "how long connections lasted", label, buckets=_LONG
        ).of(listener)
        self.before_collect = registry.before_collect

    def refused(self, reason: str) -> Counter:
        """The counter of a reason to refuse."""
        return self._refused.of(self._listener, reason)

    def failed(self, reason: str) -> Counter:
        """The counter of a reason why handshakes fail."""
        return self._failed.of(self._listener, reason)

    def ended(self, reason: str) -> Counter:
        """The counter of a reason to end connections."""
        return self._ended.of(self._listener, reason)

    def reloads(self, outcome: str) -> Counter:
        """The counter of certificates read anew."""
        return self._reloads.of(self._listener, outcome)


def connect_counter(carrier: str, outcome: str) -> Counter:
    """The counter of connections that we asked for, by how it went."""
    family = current_registry().counter("ropewalk_net_connects_total", "connections asked for", ("carrier", "outcome"))
    return family.of(carrier, outcome)


class QuietLog:
    """A log that tells each reason once in ten seconds, and then how many came between."""

    def __init__(self, log: logging.Logger, listener: str, clock: Callable[[], float]) -> None:
        self._log, self._listener, self._clock = log, listener, clock
        self._told: dict[str, tuple[float, int]] = {}  # reason -> when it was told, how many since

    def tell(self, level: int, code: str, reason: str, message: str) -> None:
        """Log it now, or count it for the next line of this reason."""
        now = self._clock()
        when, since = self._told.get(reason, (now - _PERIOD, 0))
        if now - when < _PERIOD:
            self._told[reason] = (when, since + 1)
            return
        self._told[reason] = (now, 0)
        more = f" ({since} more like it since the last line)" if since else ""
        extra = {"code": code, "listener": self._listener, "reason": reason}
        self._log.log(level, "%s: %s%s", self._listener, message, more, extra=extra)

    def flush(self) -> None:
        """Tell what was counted and not yet told."""
        for reason, (_, since) in self._told.items():
            if since:
                extra = {"code": "net.closed", "listener": self._listener, "reason": reason}
                self._log.info("%s: %s: %d more", self._listener, reason, since, extra=extra)
        self._told.clear()
