"""Hosts: by which names these pages may be called, and which of them are for previews.

A page of another site can have its own name lead to this machine (DNS rebinding) and is then, for the browser, of one
origin with us.  It cannot have the browser send one of our names.

Flow: the header Host of a request -> Hosts.ask -> Asked: pages or previews, and their origins
Never: answers to a name that it was not given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from ropewalk.errors import Misuse

__all__ = ["PREVIEW_NAME", "Asked", "ForeignHost", "Hosts", "is_loopback", "one_header"]

PREVIEW_NAME = "preview.localhost"  # browsers lead every name below localhost to this machine, without asking any DNS
_LOCAL = ("127.0.0.1", "[::1]", "localhost")
_HOST = re.compile(r"(\[[0-9a-f:]{2,45}\]|[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)(?::([0-9]{1,5}))?\Z")
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class ForeignHost(Misuse):
    """The request is for a name that is not ours."""

    code = "pages.foreign-host"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked for.

    Attributes:
        preview: Previews, and not the pages.
        local: By a name that means this machine to the browser itself.
        origin: Of what was asked for, as browsers write it.
        previews: The origin of the previews that go with these pages; "" where there is none.
        pages: For previews, the origins of pages that may show them.
    """

    preview: bool
    local: bool
    origin: str
    previews: str = ""
    pages: tuple[str, ...] = ()


class Hosts:
    """The names.

    Args:
        names: Besides those of this machine: ``files.example.org``, with a port where it is not 443; over TLS alone.
        preview: The name for previews that goes with them, which must be no name of the pages; without it such pages
            show no previews.
    """

    def __init__(self, names: Sequence[str] = (), preview: str | None = None) -> None:
        self._names = frozenset(_parsed(name) for name in names)
        self._preview = _parsed(preview) if preview is not None else None
        if self._preview in self._names:
            raise Misuse(f"{preview} is given for the pages and for previews", hint="previews need a name of their own")

    def ask(self, scope: Mapping[str, Any]) -> Asked:
        """Who a request is for.

        Raises:
            ForeignHost.
        """
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        header = one_header(scope, b"host")
        found = _HOST.match(header.decode("latin-1").lower()) if header is not None else None
        if found is None:
            raise ForeignHost("the request does not say for whom it is: expected one header Host")
        host, port = found[1], int(found[3] or _PORTS[scheme])
        server = scope.get("server") or (None, None)
        at = f":{port}" if port != _PORTS[scheme] else ""
        if server[1] == port and host in (*_LOCAL, PREVIEW_NAME):
            pages = tuple(f"{scheme}://{name}{at}" for name in _LOCAL if name[0] != "[")  # a policy cannot say such
            previews = f"{scheme}://{PREVIEW_NAME}{at}"
            return Asked(
                host == PREVIEW_NAME, local=True, origin=f"{scheme}://{host}{at}", previews=previews, pages=pages
            )
        if scheme == "https" and (host, port) in self._names | {self._preview}:
            pages = tuple(_origin(name) for name in sorted(self._names))
            previews = _origin(self._preview) if self._preview is not None else ""
            return Asked((host, port) == self._preview, False, f"https://{host}{at}", previews, pages)
        raise ForeignHost(f"{host}{at} is no name of these pages", hint="open them by the address that they were given")


def one_header(scope: Mapping[str, Any], name: bytes) -> bytes | None:
    """The value of a header; None where there is none, or more than one."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0] if len(values) == 1 else None


def is_loopback(scope: Mapping[str, Any]) -> bool:
    """Whether the request came over the network from this machine to itself."""
    client = scope.get("client")
    try:
        return client is not None and ip_address(client[0]).is_loopback
    except ValueError:
        return False


def _parsed(name: str) -> tuple[str, int]:
    found = _HOST.match(name.lower())
    if found is None:
        raise Misuse(f"{name!r} is no name of a host", hint="as in files.example.org, or files.example.org:8443")
    return found[1], int(found[3] or 443)


def _origin(name: tuple[str, int]) -> str:
    return f"https://{name[0]}" + (f":{name[1]}" if name[1] != 443 else "")
