"""Options of endpoints: which layer or carrier knows which, and what values they take.

Flow: Endpoint.parse -> check_options -> BadEndpoint that names what is known
Never: reads a file or asks the system; a path is a path here, whatever is there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping

from ropewalk.net.errors import BadEndpoint

__all__ = ["CARRIERS", "LAYERS", "LISTENING_ONLY", "check_options", "networks"]

CARRIERS = ("tcp", "unix", "memory", "fd", "systemd", "stdio")
LAYERS = ("ws", "tls", "proxy")  # in the order in which they may stand, nearest to the protocol first
LARGEST_MESSAGE = 1 << 30  # bytes; a frame is held whole before it is passed on

# What only the listening side needs: left out of the URL that clients are given.
LISTENING_ONLY = frozenset({"cert", "key", "client_ca", "mode", "reuse_port", "from", "origin", "backlog"})


def _any(value: str) -> str:
    return "" if value else "something"


def _flag(value: str) -> str:
    return "" if value in {"", "1", "yes"} else "no value (its presence says yes)"


def _number(least: int, most: int) -> Callable[[str], str]:
    def check(value: str) -> str:
        fits = value.isascii() and value.isdigit() and len(value) <= 12 and least <= int(value) <= most
        return "" if fits else f"a number from {least} to {most}"

    return check


def _mode(value: str) -> str:
    return "" if re.fullmatch(r"0?[0-7]{3}", value) else "three octal digits, such as 660"


def _pin(value: str) -> str:
    fits = all(re.fullmatch(r"sha256:[0-9a-f]{64}", pin) for pin in value.split(","))
    return "" if fits else "sha256: and 64 hexadecimal digits in lower case"


def _words(value: str) -> str:
    return "" if all(re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", word) for word in value.split(",")) else "words"


def _alpn(value: str) -> str:
    fits = all(re.fullmatch(r"[!-+.-~-]{1,255}", word) for word in value.split(","))
    return "" if fits else "names of protocols such as h2,http/1.1"


def _origins(value: str) -> str:
    return "" if all(re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/ ,]+", one) for one in value.split(",")) else "origins"


def _path(value: str) -> str:
    return "" if value.startswith("/") else "a path that begins with /"


def _from(value: str) -> str:
    try:
        networks(value)
    except ValueError:
        return "networks such as 10.0.0.0/8,fd00::/8"
    return ""


def _one_of(*values: str) -> Callable[[str], str]:
    return lambda value: "" if value in values else " or ".join(values)


_KNOWN: Mapping[str, Mapping[str, Callable[[str], str]]] = {
    "ws": {"path": _path, "subprotocol": _words, "origin": _origins, "max_message": _number(125, LARGEST_MESSAGE)},
    "tls": {
        "cert": _any,
        "key": _any,
        "client_ca": _any,
        "ca": _any,
        "pin": _pin,
        "dev": _flag,
        "server_name": _any,
        "alpn": _alpn,
    },
    "proxy": {"from": _from, "version": _one_of("1", "2")},
    "tcp": {"reuse_port": _flag, "family": _one_of("4", "6"), "backlog": _number(1, 65535)},
    "unix": {"mode": _mode, "backlog": _number(1, 65535)},
    "memory": {},
    "fd": {},
    "systemd": {},
    "stdio": {"read": _number(0, 1 << 20), "write": _number(0, 1 << 20)},
}


def networks(value: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """The networks of a ``from=`` option.

    Raises:
        ValueError: One of them is none.
    """
    return tuple(ipaddress.ip_network(one) for one in value.split(","))


def check_options(url: str, parts: Iterable[str], options: Mapping[str, str], *, path_taken: bool) -> None:
    """Refuse options that no part of the endpoint knows.

    Args:
        url: What was parsed, for the message.
        parts: Layers and carrier; a carrier of a third party checks its own options.
        options: What is to be checked.
        path_taken: The path of a WebSocket is in the URL, and so cannot be an option.

    Raises:
        BadEndpoint: One is unknown or has a value that it cannot have.
    """
    known: dict[str, Callable[[str], str]] = {}
    for part in parts:
        if part not in _KNOWN:
            return
        known.update(_KNOWN[part])
    if path_taken:
        known.pop("path", None)
    for name, value in options.items():
        if name not in known:
            names = ", ".join(sorted(known)) or "none at all"
            raise BadEndpoint(f"endpoint {url!r} has the option {name!r}, expected one of: {names}")
        if expected := known[name](value):
            raise BadEndpoint(f"option {name!r} of endpoint {url!r} is {value!r}, expected {expected}")
