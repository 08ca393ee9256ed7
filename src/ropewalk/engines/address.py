"""Addresses of engines: which kind, which bucket, where in it, and whose credentials.

    s3://BUCKET/PREFIX?endpoint=https://host:port&region=NAME&profile=NAME
    gs://BUCKET/PREFIX?profile=NAME
    az://CONTAINER/PREFIX?account=NAME&endpoint=https://host&profile=NAME
    https://host/FOLDER?profile=NAME    to read only, from a server that lists folders by WebDAV

Flow: settings, command line -> EngineAddress -> credentials, bucket
Never: holds a secret: an address stands in settings, listings and error texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from ropewalk.errors import Misuse

__all__ = ["SCHEMES", "BadEngineAddress", "EngineAddress"]

SCHEMES = ("s3", "gs", "az", "https", "http")
LONGEST = 512  # characters of a bucket's prefix; with the longest name it stays below the 1,024 of every engine

_OPTIONS = {
    "s3": ("endpoint", "region", "profile"),
    "gs": ("endpoint", "profile"),
    "az": ("account", "endpoint", "profile"),
    "https": ("profile",),
    "http": ("profile",),
}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}\Z")  # of the kinds, the widest rule
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")
_OPTION = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class BadEngineAddress(Misuse):
    """The address of an object store cannot be understood."""

    code = "engine.bad-address"


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where an engine is, and which part of it is the store."""

    scheme: str
    bucket: str  # or host[:port] of a server that is only read
    prefix: str  # without slashes around it
    endpoint: str = ""
    region: str = ""
    account: str = ""
    profile: str = ""

    @classmethod
    def parse(cls, url: str, *, endpoint: str = "", region: str = "") -> EngineAddress:
        """What a URL says.

        Args:
            url: As above.
            endpoint: Stands in for the option of that name.
            region: The same.

        Raises:
            BadEngineAddress: It is none, or holds a secret.
        """
        split, port = _split(url)
        scheme, given = split.scheme, _options(split)
        for name, said in (("endpoint", endpoint), ("region", region)):
            if said and name not in _OPTIONS[scheme]:
                raise BadEngineAddress(f"{scheme}:// has no option {name}")
            if said and given.setdefault(name, said) != said:
                raise BadEngineAddress(f"{name} is {given[name]!r} in the address and {said!r} beside it")
        if scheme in ("http", "https"):
            if scheme == "http" and not _is_here(split.hostname or ""):
                raise BadEngineAddress("http:// is taken on this machine alone", hint="use https://")
        elif port is not None or not _BUCKET.match(split.netloc):
            raise BadEngineAddress(f"bucket is {split.netloc[:80]!r}: want lower-case letters, digits, . _ -")
        if "endpoint" in given:
            _check_endpoint(scheme, given["endpoint"])
        return cls(scheme, split.netloc, _prefix(split.path), **given)

    @property
    def read_only(self) -> bool:
        """Whether it can only be read."""
        return self.scheme in ("http", "https")

    def format(self) -> str:
        """The URL, which `parse` gives this address for."""
        given = {name: getattr(self, name) for name in _OPTIONS[self.scheme] if getattr(self, name)}
        path = f"/{self.prefix}" if self.prefix else ""
        return urlunsplit((self.scheme, self.bucket, path, urlencode(given, quote_via=quote, safe=":/"), ""))

    def __str__(self) -> str:
        """The URL without its options, for people."""
        return f"{self.scheme}://{self.bucket}{'/' if self.prefix else ''}{self.prefix}"


def _split(url: str) -> tuple[SplitResult, int | None]:
    """The parts of a URL of a known scheme, and its port."""
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port
    except ValueError:
        raise BadEngineAddress("address of an object store is not a URL") from None
    if "@" in split.netloc:
        # The address itself is not repeated: what stands before the @ may be a password.
        raise BadEngineAddress(
            "address of an object store has a user or password in it: want none",
            hint="addresses are kept and shown in the open; put credentials into a profile",
        )
    if split.scheme not in SCHEMES or not host:
        raise BadEngineAddress(f"want {', '.join(f'{scheme}://' for scheme in SCHEMES)} and a name, got {url[:80]!r}")
    if split.fragment:
        raise BadEngineAddress("address of an object store has a part after #: want none")
    return split, port


def _options(split: SplitResult) -> dict[str, str]:
    known = _OPTIONS[split.scheme]
    given: dict[str, str] = {}
    try:
        pairs = parse_qsl(split.query, keep_blank_values=True, strict_parsing=bool(split.query), max_num_fields=8)
    except ValueError:
        raise BadEngineAddress("options of an object store's address are not NAME=VALUE&..") from None
    for name, value in pairs:
        if name not in known:
            raise BadEngineAddress(
                f"{split.scheme}:// has no option {name[:40]!r}: known are {', '.join(known)}",
                hint="credentials stand in a profile, never in an address",
            )
        if given.setdefault(name, value) != value or not value:
            raise BadEngineAddress(f"option {name} is empty, or there twice")
        if name != "endpoint" and not _OPTION.match(value):
            raise BadEngineAddress(f"option {name} is {value[:80]!r}: want letters, digits, . _ -")
    return given


def _prefix(path: str) -> str:
    prefix = path.strip("/")
    if len(prefix) > LONGEST or (prefix and not all(_SEGMENT.match(part) for part in prefix.split("/"))):
        raise BadEngineAddress(
            f"prefix {prefix[:80]!r} is not fit: want letters, digits, . _ - in segments, at most {LONGEST} long"
        )
    return prefix


def _check_endpoint(scheme: str, endpoint: str) -> None:
    try:
        split = urlsplit(endpoint)
        host, _, user = split.hostname, split.port, "@" in split.netloc
    except ValueError:
        raise BadEngineAddress("endpoint is not a URL") from None
    if user:
        raise BadEngineAddress("endpoint has a user or password in it: want none")
    if split.scheme not in ("http", "https") or not host or split.query or split.fragment:
        raise BadEngineAddress(f"endpoint is {endpoint[:120]!r}, expected https://HOST[:PORT]")
    if split.scheme == "http" and scheme != "s3" and not _is_here(host):
        # S3's requests are signed, so the key itself is never sent; the others send what lets anybody in.
        raise BadEngineAddress(f"endpoint of {scheme}:// is http://, which shows its credentials: want https://")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
