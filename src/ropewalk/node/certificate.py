"""Certificate: the key of a node, and the certificate that it signs itself with it (docs/spec/node.md 1).

Flow: node.pem, made once -> tls endpoints, and the broker's proof
Never: says a name or a date that means anything: who has the node's address has its key.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from ropewalk.errors import Damaged

__all__ = ["NodeKeyDamaged", "node_key"]

_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_UNTIL = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 4.1.2.5: no good expiration date


class NodeKeyDamaged(Damaged):
    """The file does not hold the key that it must."""

    code = "node.key-damaged"


def node_key(path: Path) -> Ed25519PrivateKey:
    """The key in a PEM file, which also holds its certificate; made where there is none, durably.

    Raises:
        NodeKeyDamaged: The file cannot be read, or holds something else.
    """
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        _make(path)
        pem = path.read_bytes()
    except OSError as error:
        raise NodeKeyDamaged(f"{path} cannot be read: {error}") from None
    try:
        key = load_pem_private_key(pem, None)
        shown = x509.load_pem_x509_certificate(pem).public_key()
    except (ValueError, TypeError) as error:
        raise NodeKeyDamaged(f"{path} holds no key and certificate: {error}", hint=_HINT) from None
    if not isinstance(key, Ed25519PrivateKey) or shown != key.public_key():
        raise NodeKeyDamaged(f"{path} holds a key and a certificate that do not belong together", hint=_HINT)
    return key


_HINT = "restore it from a backup; with a new one the node has a new address, and every store in it is to be added anew"


def _make(path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ropewalk node")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .sign(key, None)
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):  # somebody else made one just now: that is the node's
            os.link(new, path)
    finally:
        new.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
