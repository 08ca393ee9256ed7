"""Certificates: what a TLS listener shows, read anew when its files change, and what a client trusts.

Flow: files -> Certificates.context(), for each handshake -> the loop's TLS
      client's options -> client_context -> the loop's TLS
Never: leaves a listener without a context: files that are broken keep the one that was read before.
"""

from __future__ import annotations

import functools
import logging
import os
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ropewalk.net.endpoint import Endpoint
from ropewalk.net.errors import BadCertificate, BadEndpoint
from ropewalk.net.pins import pin_of_file

__all__ = [
    "Certificates",
    "FixedContext",
    "GivesContext",
    "certificates_of",
    "check_named",
    "client_context",
    "server_name_of",
]

_log = logging.getLogger("ropewalk.net")
_LOOK_AGAIN = 1.0  # seconds between two looks at the files' times


class GivesContext(Protocol):
    """What a TLS listener asks for each new connection."""

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake."""


class FixedContext:
    """A context that somebody else made and that does not change."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def context(self) -> ssl.SSLContext:
        """That one."""
        return self._context


class Certificates:
    """A server's certificate and key in PEM files, maybe with the authority that clients must be signed by.

    Args:
        cert: The certificate with those between it and the root.
        key: Its key; None where it is in the same file.
        client_ca: Clients must show a certificate that one of these signed.
        alpn: Protocols to agree on, best first.
        clock: Seconds; how often the files are looked at is measured by it.
        told: Called with "read" or "kept" whenever the files had changed, after the first time.

    Raises:
        BadCertificate: They cannot be read, or do not belong together.
    """

    def __init__(
        self,
        cert: Path,
        key: Path | None = None,
        *,
        client_ca: Path | None = None,
        alpn: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._alpn, self._clock, self.told = tuple(alpn), clock, told
        self._seen = self._times()
        self._context = self._read()
        self._looked = clock()

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake: of the files as they are now, looked at once a second at most."""
        now = self._clock()
        if now - self._looked >= _LOOK_AGAIN:
            self._looked = now
            if self._times() != self._seen:
                self.reload()
        return self._context

    def reload(self) -> bool:
        """Read the files anew.  Connections that are open keep what they have.

        Returns:
            Whether they could be read; else the former context stays, and why is logged.
        """
        seen = self._times()
        try:
            self._context = self._read()
        except BadCertificate as error:
            # Remembered all the same: the same broken files are not read again for each connection.
            self._seen = seen
            _log.error("certificate not reloaded, the former one stays: %s", error, extra={"code": error.code})
            outcome = "kept"
        else:
            self._seen = seen
            _log.info("certificate reloaded from %s", self._cert, extra={"code": "net.certificate-reloaded"})
            outcome = "read"
        if self.told is not None:
            self.told(outcome)
        return outcome == "read"

    def _times(self) -> tuple[tuple[int, int, int], ...]:
        found = []
        for path in (self._cert, self._key, self._client_ca):
            if path is not None:
                try:
                    status = os.stat(path)
                except OSError:
                    found.append((0, 0, 0))
                else:
                    found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)

    def _read(self) -> ssl.SSLContext:
        context = server_context(self._alpn)
        load_chain(context, self._cert, self._key)
        if self._client_ca is not None:
            load_authorities(context, self._client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def check_named(endpoint: Endpoint) -> None:
    """Refuse an endpoint that would show a certificate and does not say which; no file is looked at.

    Raises:
        BadEndpoint.
    """
    if "tls" in endpoint.layers and not (endpoint.has("cert") or endpoint.has("dev")):
        raise BadEndpoint(
            f"{endpoint.place} has no certificate to show",
            hint="name its files with cert= and key=, or use dev for one that only this user's programs trust",
        )


def certificates_of(endpoint: Endpoint, told: Callable[[str], None] | None = None) -> GivesContext:
    """What a listening endpoint shows by its options.

    Raises:
        BadEndpoint: It has no option that says which certificate.
        BadCertificate: The files cannot be read.
    """
    check_named(endpoint)
    alpn = _words(endpoint, "alpn")
    client_ca = Path(endpoint.option("client_ca")) if endpoint.has("client_ca") else None
    if endpoint.has("cert"):
        key = Path(endpoint.option("key")) if endpoint.has("key") else None
        return Certificates(Path(endpoint.option("cert")), key, client_ca=client_ca, alpn=alpn, told=told)
    from ropewalk.net.development import DevelopmentAuthority

    hosts = {"localhost", endpoint.host, endpoint.option("server_name", "localhost")} - {"", "*"}
    context = server_context(alpn)
    DevelopmentAuthority.of_user().equip(context, sorted(hosts))
    if client_ca is not None:
        load_authorities(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return FixedContext(context)


def client_context(endpoint: Endpoint) -> ssl.SSLContext:
    """What a connecting endpoint trusts and shows by its options.

    Raises:
        BadCertificate: A file cannot be read.
    """
    ca = endpoint.option("ca")
    if not ca and endpoint.has("dev"):
        from ropewalk.net.development import DevelopmentAuthority

        ca = str(DevelopmentAuthority.of_user().certificate())
    files = tuple((path, _time_of(path)) for path in (ca, endpoint.option("cert"), endpoint.option("key")))
    return _client_context(files, endpoint.has("pin") and not ca, _words(endpoint, "alpn"))


def server_name_of(endpoint: Endpoint) -> str:
    """The name that the certificate must bear: an option, or the host; localhost where there is none."""
    return endpoint.option("server_name") or endpoint.host or "localhost"


@functools.lru_cache(maxsize=64)  # reading the system's authorities takes 10 ms and more; a client reconnects
def _client_context(files: tuple[tuple[str, int], ...], pinned_only: bool, alpn: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    (ca, _), (cert, _), (key, _) = files
    if pinned_only:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the pin is compared before anybody is told of the connection
    elif ca:
        load_authorities(context, Path(ca))
    else:
        context.load_default_certs()
    if cert:
        load_chain(context, Path(cert), Path(key) if key else None)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


class ServerContext(ssl.SSLContext):
    """A server's context, which knows what it shows; OpenSSL's cannot be asked.

    Attributes:
        pin: Of the certificate's key: see `pin_of`; "" before there is one.
    """

    pin = ""


def server_context(alpn: Sequence[str] = ()) -> ServerContext:
    """A server's context without a certificate yet."""
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # which costs us more than the peer; OpenSSL 3 has it so by itself
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def load_chain(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Give a context what it shows.

    Raises:
        BadCertificate: The files cannot be read, or do not belong together.
    """
    try:
        # A password would be asked for on the terminal, by a server that has none.
        context.load_cert_chain(cert, key, password=_no_password)
        if isinstance(context, ServerContext):
            context.pin = pin_of_file(cert)
    except (OSError, ValueError) as error:
        files = f"{cert} with key {key}" if key else str(cert)
        raise BadCertificate(
            f"certificate {files} cannot be used: {_why(error)}", hint="both are PEM files, the key without a password"
        ) from error


def load_authorities(context: ssl.SSLContext, path: Path) -> None:
    """Give a context whom it trusts.

    Raises:
        BadCertificate: The file cannot be read.
    """
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError) as error:
        raise BadCertificate(f"authorities in {path} cannot be used: {_why(error)}") from error


def _why(error: Exception) -> str:
    why = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(why).replace("_", " ").lower()


def _no_password() -> str:
    raise ValueError("the key has a password")


def _words(endpoint: Endpoint, name: str) -> tuple[str, ...]:
    return tuple(endpoint.option(name).split(",")) if endpoint.has(name) else ()


def _time_of(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
