"""Counts: what a site does, in the registry of the application, through series that are bound once.

Flow: a request ends -> `ended`; refused -> `refused`; how many run is read off the site when metrics are asked for
Never: has a label that a peer can choose.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from ropewalk.metrics import Counter, Registry

__all__ = ["Counts"]

_CLASSES = ("0xx", "1xx", "2xx", "3xx", "4xx", "5xx")


class Counts:
    """The counts of one site."""

    def __init__(
        self, registry: Registry, service: str, running: Callable[[], int], sockets: Callable[[], int]
    ) -> None:
        label = ("service",)
        requests = registry.counter(
            "ropewalk_web_requests_total", "requests by class of the answer's status", ("service", "status")
        )
        self._service = service
        self._by_class = [requests.of(service, name) for name in _CLASSES]
        self._refused = registry.counter(
            "ropewalk_web_refused_total", "requests refused by the host, by status", ("service", "status")
        )
        self._seconds = registry.histogram(
            "ropewalk_web_request_seconds", "from a request's head to the end of its answer", label
        ).of(service)
        self.received = registry.counter("ropewalk_web_received_bytes_total", "bytes of bodies received", label).of(
            service
        )
        self._bytes = registry.counter("ropewalk_web_sent_bytes_total", "bytes of bodies sent", label).of(service)
        self.opened = registry.counter("ropewalk_web_websockets_total", "WebSockets opened", label).of(service)
        self.failures = registry.counter(
            "ropewalk_web_failures_total", "apps that raised or sent what cannot be sent", label
        ).of(service)
        running_now = registry.gauge("ropewalk_web_running", "apps at work for a request or WebSocket", label).of(
            service
        )
        sockets_now = registry.gauge("ropewalk_web_websockets_open", "WebSockets that are open", label).of(service)

        # Numbers of one loop, which cost no call; the registry has them when it is read, in whatever thread that is.
        self._ended, self._told = [0] * len(_CLASSES), [0] * len(_CLASSES)
        self._sent = self._sent_told = 0
        self._telling = Lock()

        def read() -> None:
            running_now.set(running())
            sockets_now.set(sockets())
            self._tell()

        self._forget = registry.before_collect(read)

    def forget(self) -> None:
        """Tell the registry the last of it, and be asked no more."""
        self._tell()
        self._forget()

    def ended(self, status: int, seconds: float, sent: int) -> None:
        """An answer ended, so long after its request began."""
        self._ended[status // 100 if status < 600 else 0] += 1
        if status != 101:  # a conversation may last for days
            self._seconds.observe(seconds)
        self._sent += sent

    def _tell(self) -> None:
        with self._telling:
            ended, sent = self._ended.copy(), self._sent
            for counter, now, told in zip(self._by_class, ended, self._told, strict=True):
                counter.inc(now - told)
            self._bytes.inc(sent - self._sent_told)
            self._told, self._sent_told = ended, sent

    def refused(self, status: int) -> Counter:
        """The counter of requests that the host refused with this status."""
        return self._refused.of(self._service, str(status))
