"""Notify: telling systemd how the process is (sd_notify), where it was started by systemd.

Flow: state -> one datagram to the socket that $NOTIFY_SOCKET names
Never: fails the process: who does not listen is not told.
Source: sd_notify(3).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

__all__ = ["Notifier"]

_MOST = 4096  # bytes of a message: systemd passes over longer ones as a whole


class Notifier:
    """Says how the process is, to the service manager that started it.

    Args:
        environment: Where the socket's name and the watchdog's time stand; the process's own by default.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._watchdog = environment.get("WATCHDOG_USEC", "")
        self._watched = environment.get("WATCHDOG_PID", "")

    @property
    def watchdog(self) -> float | None:
        """Seconds within which `alive` must be said again; None where nobody waits for it."""
        ours = self._watched in ("", str(os.getpid()))
        return int(self._watchdog) / 1e6 if ours and self._watchdog.isdecimal() and int(self._watchdog) else None

    def ready(self, status: str = "") -> None:
        """All is up, for the first time or after a reload."""
        self._say("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It is about to end."""
        self._say("STOPPING=1")

    def status(self, status: str) -> None:
        """A line for people."""
        self._say(f"STATUS={status}")

    def alive(self) -> None:
        """It does not hang."""
        self._say("WATCHDOG=1")

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(line.replace("\n", " ") for line in lines).encode()
        # The status comes last, and may be cut: what else there is counts more.
        message = message[:_MOST].decode(errors="ignore").encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier:
                notifier.setblocking(False)
                notifier.sendto(message, address)
        except OSError:
            return  # it listens no longer, or is not quick enough: our work is not hers to stop
