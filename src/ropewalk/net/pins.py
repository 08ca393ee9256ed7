"""Pins: trust in one public key instead of in whoever signs certificates.

Flow: certificate -> pin_of -> sha256:HEX in a URL -> check_pin, before the protocol is told of the connection
Never: looks at names or dates: who pins a key has decided that it is the one.

A pin is the SHA-256 of the SubjectPublicKeyInfo, as in RFC 7469: a renewed certificate of the same key keeps it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from pathlib import Path

from ropewalk.net.errors import BadCertificate, NotVerified

__all__ = ["check_pin", "pin_of", "pin_of_file", "shown_pin"]


def pin_of(certificate: bytes) -> str:
    """The pin of a certificate in DER.

    Raises:
        BadCertificate: It is none.
    """
    return _pin(_public(certificate))


def _pin(public: bytes) -> str:
    return f"sha256:{hashlib.sha256(public).hexdigest()}"


def _public(certificate: bytes) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except ValueError as error:
        raise BadCertificate(f"certificate cannot be read: {error}") from error


def pin_of_file(path: Path | str) -> str:
    """The pin of the first certificate of a PEM file.

    Raises:
        BadCertificate: There is none.
    """
    import ssl

    try:
        text = Path(path).read_text("ascii", "replace")  # there may be words of people between the blocks
        end = "-----END CERTIFICATE-----"
        first = text[text.index("-----BEGIN CERTIFICATE-----") : text.index(end) + len(end)]
        return pin_of(ssl.PEM_cert_to_DER_cert(first))
    except (OSError, ValueError) as error:
        raise BadCertificate(f"no certificate can be read from {path}: {error}") from error


def shown_pin(transport: asyncio.BaseTransport) -> str:
    """The pin of the key that the server of a TLS connection has shown, at either end; "" where it is not known.

    Who signs it binds what is signed to this connection: RFC 5929 section 4, in a form that outlasts a renewal.
    """
    session = transport.get_extra_info("ssl_object")
    if session is None:
        return ""
    if session.server_side:
        return str(getattr(transport.get_extra_info("sslcontext") or session.context, "pin", ""))
    certificate = session.getpeercert(binary_form=True)
    return pin_of(certificate) if certificate else ""


def check_pin(transport: asyncio.Transport, pins: str, where: str) -> None:
    """Compare the key of the other side with the pins, of which any one may fit.

    Raises:
        NotVerified: It is another key.
    """
    session = transport.get_extra_info("ssl_object")
    certificate = None if session is None else session.getpeercert(binary_form=True)
    if not certificate:
        raise NotVerified(f"{where} showed no certificate, expected one with the pinned key")
    public = _public(certificate)
    found = _pin(public)
    if not any(hmac.compare_digest(found, pin) for pin in pins.split(",")):
        error = NotVerified(
            f"key of {where} is {found}, expected {pins}",
            hint="it was replaced, or somebody stands between: ask its owner which",
        )
        error.shown = public
        raise error
