"""A certificate authority for development: made once for each user, trusted only by who says `dev`.

Flow: tls://..?dev listening -> DevelopmentAuthority -> a certificate signed at start, whose key never is in a file
      tls://..?dev connecting -> the authority's certificate
Never: is trusted by the system or a browser, or used where the URL does not ask for it.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import secrets
import ssl
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ropewalk.net.certificates import load_chain
from ropewalk.net.errors import BadCertificate

__all__ = ["DevelopmentAuthority"]

_AUTHORITY_DAYS = 3650
_SERVER_DAYS = 397  # what browsers take; a process that runs for longer is no development
_FILE = "development-ca.pem"  # key and certificate in one file, so that they cannot fall apart
_PUBLIC = "development-ca.crt"


class DevelopmentAuthority:
    """An authority in a folder; made there when it is first needed.

    Args:
        folder: Only this user can read it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of_user(cls) -> DevelopmentAuthority:
        """The one in the user's state folder."""
        from platformdirs import user_state_path

        return cls(user_state_path("ropewalk"))

    def certificate(self) -> Path:
        """Where the authority's certificate is, for clients.

        Raises:
            BadCertificate: It cannot be made or read.
        """
        _, certificate = self._both()
        path = self._folder / _PUBLIC
        pem = certificate.public_bytes(Encoding.PEM)
        try:
            if not path.exists() or path.read_bytes() != pem:
                _write(path, pem, replace=True)
        except OSError as error:
            raise BadCertificate(f"development authority cannot be written to {path}: {error.strerror}") from error
        return path

    def equip(self, context: ssl.SSLContext, hosts: Sequence[str]) -> None:
        """Sign a certificate for these hosts and this machine, and load it.

        Raises:
            BadCertificate: The authority cannot be made or read.
        """
        pem = self.signed(hosts)
        with tempfile.NamedTemporaryFile(prefix="ropewalk-", suffix=".pem") as file:  # mode 600; gone at once
            file.write(pem)
            file.flush()
            load_chain(context, Path(file.name), None)

    def signed(self, hosts: Sequence[str]) -> bytes:
        """A fresh key and a certificate for it and these hosts, in PEM.

        Raises:
            BadCertificate: The authority cannot be made or read.
        """
        key, authority = self._both()
        own = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = []
        for host in dict.fromkeys((*hosts, "localhost", "127.0.0.1", "::1")):
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host.partition("%")[0])))
            except ValueError:
                names.append(x509.DNSName(host))
        certificate = (
            _named(f"ropewalk development on {hosts[0] if hosts else 'localhost'}", _SERVER_DAYS)
            .issuer_name(authority.subject)
            .public_key(own.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return _pem(own, certificate)

    def _both(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        path = self._folder / _FILE
        try:
            if not path.exists():
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _write(path, _new_authority(), replace=False)
            pem = path.read_bytes()
            key, certificate = load_pem_private_key(pem, None), x509.load_pem_x509_certificate(pem)
        except (OSError, ValueError, TypeError) as error:
            raise BadCertificate(
                f"development authority in {path} cannot be used: {error}", hint=f"remove {path}; a new one is made"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise BadCertificate(f"development authority in {path} has another kind of key", hint=f"remove {path}")
        if certificate.not_valid_after_utc <= dt.datetime.now(dt.UTC):
            raise BadCertificate(
                f"development authority in {path} is too old", hint=f"remove {path}; a new one is made"
            )
        return key, certificate


def _new_authority() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = f"ropewalk development authority {secrets.token_hex(4)}"
    certificate = (
        _named(name, _AUTHORITY_DAYS)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))  # it signs itself
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(key, certificate)


def _named(name: str, days: int) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))  # clocks of virtual machines are behind
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _pem(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bytes:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def _write(path: Path, content: bytes, *, replace: bool) -> None:
    """Write a file whole or not at all; without `replace`, who comes first wins."""
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        if replace:
            os.replace(name, path)
        else:
            with suppress(FileExistsError):
                os.link(name, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
