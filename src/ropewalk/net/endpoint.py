"""Endpoints: a URL that says what carries bytes and how, as a value.

Flow: text -> Endpoint.parse -> listen, connect -> str(endpoint), the same text in its one canonical form
Never: asks the system, reads a file, or resolves a name.

A scheme names layers from the one nearest to the protocol down to the carrier: ``ws+tls+unix``.  Layers stand in the
order ws, tls, proxy, each at most once; where no carrier is named it is tcp.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import quote, unquote_to_bytes

from ropewalk.net.errors import BadEndpoint
from ropewalk.net.options import CARRIERS, LAYERS, LISTENING_ONLY, check_options

__all__ = ["Endpoint"]

_LONGEST = 4096  # characters of a URL; room for two paths, and nothing that a person would write is longer
_SCHEME = re.compile(r"[a-z][a-z0-9-]*(\+[a-z][a-z0-9-]*)*\Z")
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\Z")  # host names; also of memory and systemd
_KEPT = "/:@!$'()*,;=~+[]"  # characters that stand for themselves in a path, an option's value and a fragment
_ANYWHERE = {"*": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound to


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where bytes come from and go to.

    Attributes:
        layers: What stands between protocol and carrier, nearest to the protocol first: ws, tls, proxy.
        carrier: tcp, unix, memory, fd, systemd, stdio, or one that a third party adds.
        host: For tcp the host (``*`` is every address), for memory, fd and systemd the name; else "".
        port: For tcp; 0 lets the system choose.
        path: For unix the socket's path (``@name`` is abstract); for ws over tcp the path of the request.
        options: Pairs of name and value, sorted.
        fragment: What follows ``#``; ours to keep, the user's to give a meaning.
    """

    layers: tuple[str, ...]
    carrier: str
    host: str = ""
    port: int = 0
    path: str = ""
    options: tuple[tuple[str, str], ...] = ()
    fragment: str = ""

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Take a URL apart.

        Raises:
            BadEndpoint: It is none; the message names what is wrong.
        """
        if len(url) > _LONGEST:
            raise BadEndpoint(f"endpoint has {len(url)} characters, expected at most {_LONGEST}")
        if not url.isprintable() or " " in url:
            raise BadEndpoint(f"endpoint {url!r} has spaces or control characters, expected them as %20 and so on")
        scheme, colon, rest = url.partition(":")
        if not colon:
            raise BadEndpoint(
                f"endpoint {url!r} has no scheme",
                hint=f"write tcp://{url}" if url else "for example tcp://localhost:8000",
            )
        layers, carrier = _layers(url, scheme)
        rest, _, fragment = rest.partition("#")
        rest, _, query = rest.partition("?")
        options = _options(url, query)
        host, port, path = _place(url, layers, carrier, rest)
        path_taken = carrier == "tcp" or "ws" not in layers
        check_options(url, (*layers, carrier), options, path_taken=path_taken)
        return cls(layers, carrier, host, port, path, tuple(sorted(options.items())), _decoded(url, fragment))

    def __str__(self) -> str:
        """The one URL of this endpoint: parsed, it gives the same endpoint again."""
        text = self.place
        if self.options:
            text += "?" + "&".join(f"{name}={_encoded(value)}" if value else name for name, value in self.options)
        return f"{text}#{_encoded(self.fragment)}" if self.fragment else text

    @property
    def place(self) -> str:
        """The URL without options and fragment: what logs and metrics call it."""
        names = self.layers if self.layers and self.carrier == "tcp" else (*self.layers, self.carrier)
        scheme = "+".join(names).replace("ws+tls", "wss")  # as browsers call it
        path = _encoded(self.path)
        if self.carrier in {"unix", "systemd", "stdio"}:
            name = path if self.carrier == "unix" else self.host
            return f"{scheme}://{name}" if name.startswith("/") else f"{scheme}:{name}"
        if self.carrier in {"memory", "fd"}:
            return f"{scheme}://{self.host}"
        host = f"[{_encoded(self.host)}]" if ":" in self.host else self.host
        return (
            f"{scheme}://{host}:{self.port}{path}" if self.port or self.carrier == "tcp" else f"{scheme}://{host}{path}"
        )

    def option(self, name: str, default: str = "") -> str:
        """The value of an option; a flag that is there and has no value is ``yes``."""
        for known, value in self.options:
            if known == name:
                return value or "yes"
        return default

    def has(self, name: str) -> bool:
        """Whether an option is there."""
        return any(known == name for known, _ in self.options)

    @property
    def request_path(self) -> str:
        """What a WebSocket client asks for."""
        return (self.path if self.carrier == "tcp" else self.option("path")) or "/"

    def within(self, **changes: str) -> Endpoint:
        """The same endpoint with these options set."""
        options = dict(self.options) | changes
        return replace(self, options=tuple(sorted(options.items())))

    def peer(self, host: str | None = None, *, port: int | None = None, pin: str | None = None) -> Endpoint:
        """What a client needs to come to this listening endpoint.

        What only the listening side needs (its certificate and key among that) is left out; ca, pin and the like are
        kept.  An address that means every address becomes this machine's own.

        Args:
            host: What clients call the host, where it is not what is listened on.
            port: The port that clients see, where something forwards it.
            pin: Trust this key of the certificate, as ``pins.of_file`` gives it.

        Raises:
            BadEndpoint: A listener of this kind has no other side that could be named.
        """
        if self.carrier in {"fd", "systemd", "stdio"}:
            raise BadEndpoint(
                f"{self.place} has no URL for its other side",
                hint="ask the listener: listener.endpoint names the socket that was inherited",
            )
        options = {name: value for name, value in self.options if name not in LISTENING_ONLY}
        if pin is not None:
            options["pin"] = pin
        if self.carrier == "tcp":
            host = host or _ANYWHERE.get(self.host, self.host)
        return replace(
            self,
            host=host or self.host,
            port=self.port if port is None else port,
            options=tuple(sorted(options.items())),
        )


def _layers(url: str, scheme: str) -> tuple[tuple[str, ...], str]:
    if not _SCHEME.match(scheme):
        raise BadEndpoint(f"scheme of endpoint {url!r} is {scheme!r}, expected names in lower case joined by +")
    names = [name for part in scheme.split("+") for name in (("ws", "tls") if part == "wss" else (part,))]
    if names[-1] in LAYERS:
        names.append("tcp")
    *layers, carrier = names
    if carrier not in CARRIERS:
        from ropewalk.net.carriers import carrier_names

        if carrier not in carrier_names():
            known = ", ".join((*LAYERS, *CARRIERS))
            raise BadEndpoint(f"scheme of endpoint {url!r} has {carrier!r}, expected names among: wss, {known}")
    for name in layers:
        if name not in LAYERS:
            raise BadEndpoint(f"scheme of endpoint {url!r} has {name!r} before its end, expected: {', '.join(LAYERS)}")
    if sorted(set(layers), key=LAYERS.index) != layers:
        raise BadEndpoint(
            f"layers of endpoint {url!r} are {'+'.join(layers)}, expected each once in the order ws+tls+proxy"
        )
    if carrier not in {"tcp", "unix", "fd", "systemd"} and not set(layers) <= {"ws"}:
        raise BadEndpoint(
            f"endpoint {url!r} has {layers[-1]} over {carrier}, expected it over a socket: tcp, unix, fd, systemd"
        )
    return tuple(layers), carrier


def _place(url: str, layers: tuple[str, ...], carrier: str, rest: str) -> tuple[str, int, str]:
    """Host, port and path out of what stands between scheme and options."""
    if carrier == "unix":
        return "", 0, _unix_path(url, rest)
    if carrier in {"systemd", "stdio"}:
        return _inherited(url, carrier, rest), 0, ""
    if not rest.startswith("//"):
        raise BadEndpoint(f"endpoint {url!r} has no // after its scheme")
    authority, slash, path = rest[2:].partition("/")
    path = _decoded(url, slash + path)
    if carrier in {"memory", "fd"}:
        if path:
            raise BadEndpoint(f"endpoint {url!r} has the path {path!r}, expected none")
        if carrier == "fd" and not re.fullmatch(r"0|[1-9][0-9]{0,6}", authority):
            raise BadEndpoint(f"endpoint {url!r} has {authority!r}, expected the number of a file descriptor")
        return _named(url, authority), 0, ""
    if path and "ws" not in layers and carrier == "tcp":
        if path != "/":
            raise BadEndpoint(f"endpoint {url!r} has the path {path!r}, expected none, since only ws has one")
        path = ""
    host, port = _authority(url, layers, carrier, authority)
    return host, port, "" if path == "/" else path


def _unix_path(url: str, rest: str) -> str:
    path = _decoded(url, rest)
    if path.startswith("//"):
        path = path[2:]
        if path and not path.startswith(("/", "@")):
            raise BadEndpoint(
                f"endpoint {url!r} names the host {path.partition('/')[0]!r}, expected a path",
                hint=f"three slashes: unix:///{path}",
            )
    if path in {"", "@"} or path.endswith("/") or "\0" in path:
        raise BadEndpoint(f"endpoint {url!r} has the path {path!r}, expected that of a socket")
    # One slash at the start: the canonical form is told from a host by its three.
    return "/" + path.lstrip("/") if path.startswith("/") else path


def _inherited(url: str, carrier: str, rest: str) -> str:
    name = rest.removeprefix("//")
    if carrier == "stdio":
        if name:
            raise BadEndpoint(f"endpoint {url!r} has {name!r} after its scheme, expected stdio: alone")
        return ""
    return _named(url, name) if name else ""


def _named(url: str, name: str) -> str:
    if not _NAME.match(name):
        raise BadEndpoint(f"endpoint {url!r} has the name {name!r}, expected letters, digits and . _ - between them")
    return name


def _authority(url: str, layers: tuple[str, ...], carrier: str, authority: str) -> tuple[str, int]:
    if "@" in authority:
        raise BadEndpoint(f"endpoint {url!r} has a user's name, expected host:port")
    if authority.startswith("["):
        inner, bracket, tail = authority[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise BadEndpoint(f"endpoint {url!r} has {authority!r}, expected [IPv6 address]:port")
        host, port = _address(url, inner), tail[1:]
    else:
        host, _, port = authority.partition(":")
        if ":" in port:
            raise BadEndpoint(
                f"endpoint {url!r} has {authority!r}, expected an IPv6 address in brackets: [{host}...]:port"
            )
        if not (host == "*" or _NAME.match(host)):
            raise BadEndpoint(f"endpoint {url!r} has the host {host!r}, expected a name, an address or *")
        host = host.lower()
    if not port:
        if carrier != "tcp":
            return host, 0
        if "ws" not in layers:
            raise BadEndpoint(f"endpoint {url!r} has no port, expected one (0 lets the system choose when listening)")
        return host, 443 if "tls" in layers else 80
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise BadEndpoint(f"endpoint {url!r} has the port {port!r}, expected a number from 0 to 65535")
    return host, int(port)


def _address(url: str, text: str) -> str:
    address, percent, zone = _decoded(url, text).partition("%")
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        raise BadEndpoint(f"endpoint {url!r} has [{text}], expected an IPv6 address in the brackets") from None
    if percent and not _NAME.match(zone):
        raise BadEndpoint(f"endpoint {url!r} has the zone {zone!r}, expected the name of an interface")
    return f"{parsed.compressed}{percent}{zone}"


def _options(url: str, query: str) -> Mapping[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise BadEndpoint(f"endpoint {url!r} has an option called {name!r}, expected a name in lower case")
        if name in options:
            raise BadEndpoint(f"endpoint {url!r} has the option {name!r} twice")
        options[name] = _decoded(url, value)
    return MappingProxyType(options)


def _decoded(url: str, text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise BadEndpoint(f"endpoint {url!r} has a % that two hexadecimal digits do not follow")
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise BadEndpoint(f"endpoint {url!r} has %-codes that are not UTF-8") from None
    if "\0" in decoded:
        raise BadEndpoint(f"endpoint {url!r} has a zero byte")
    return decoded


def _encoded(text: str) -> str:
    return quote(text, safe=_KEPT)
