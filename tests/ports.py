"""Ports for servers that take no port 0: none that somebody has, or that is given to another test beside this one.

They lie below those that the system gives away: one of these would be taken by any connection of another program before
the server listens on it, and stay so for a minute after that has ended.

Flow: the worker's part of the ports -> one drawn that can be listened on -> the server
Never: holds a port.
"""

from __future__ import annotations

import os
import random
import socket
from contextlib import suppress
from pathlib import Path

__all__ = ["free_ports"]

_FIRST = 10_000
_PARTS = 8  # more workers than that share them


def free_ports(number: int) -> list[int]:
    """So many different ones."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PARTS
    size = (_first_given() - _FIRST) // _PARTS
    found: list[int] = []
    while len(found) < number:
        port = _FIRST + worker * size + random.randrange(size)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            if port not in found:
                found.append(port)
    return found


def _first_given() -> int:
    try:
        return max(11_000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    except OSError:
        return 32_768  # of other systems, mostly 49,152
