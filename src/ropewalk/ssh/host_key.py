"""Host key: the Ed25519 key by which clients know this server again, in a file that is made once.

Flow: path -> `host_key`: the file that is there, or a new one, durable before it has its name -> HostKey
Never: replaces a file, or takes one that others can read.
Source: RFC 8709; OpenSSH's PROTOCOL.key for the form of the file.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)

from ropewalk.auth.keys import ed25519_blob
from ropewalk.ssh.errors import BadHostKey, HostKeyUnreadable

__all__ = ["HostKey", "host_key"]

_LONGEST = 16 * 1024  # bytes of a file; one has about 400


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host key.

    Attributes:
        private: As OpenSSH keeps it.
        public: As SSH writes it: RFC 4253 section 6.6.
    """

    private: bytes = field(repr=False)
    public: bytes

    @property
    def fingerprint(self) -> str:
        """As clients show it: SHA256: and 43 characters."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.public).digest()).decode().rstrip("=")

    @property
    def line(self) -> str:
        """The public key as a line of known_hosts has it after the name: ``ssh-ed25519 AAAA...``."""
        return f"ssh-ed25519 {base64.b64encode(self.public).decode()}"


def host_key(path: Path, *, make: bool = True) -> HostKey:
    """The key in a file, which is made where there is none, readable for nobody else.

    Args:
        path: The file.
        make: Where it is not there, make it.

    Raises:
        BadHostKey: The file is not such a key, or others can get at it.
        HostKeyUnreadable: It can be neither read nor made.
    """
    try:
        if make and not path.exists():
            _make(path)
        return _read(path)
    except OSError as error:
        raise HostKeyUnreadable(f"host key {path} can be neither read nor made: {error.strerror or error}") from error


def _read(path: Path) -> HostKey:
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        found = os.fstat(file.fileno())
        _check(path, found)
        data = file.read(_LONGEST + 1)
    try:
        key = load_ssh_private_key(data[:_LONGEST], password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey) or len(data) > _LONGEST:
        raise BadHostKey(
            f"{path} is not an Ed25519 key as OpenSSH keeps it without a passphrase",
            hint="name a file that is not there yet, and it is made",
        )
    return HostKey(data, ed25519_blob(key.public_key().public_bytes_raw()))


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BadHostKey(f"{path} is not a file")
    if os.name != "posix":
        return
    if found.st_mode & 0o077:
        raise BadHostKey(f"{path} can be read by others, mode is {found.st_mode & 0o777:o}", hint=f"chmod 600 {path}")
    if found.st_uid not in (0, os.geteuid()):
        raise BadHostKey(f"{path} belongs to user {found.st_uid}, expected the user of this process")


def _make(path: Path) -> None:
    data = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):  # somebody else made one just now: that is the server's
            os.link(new, path)
    finally:
        new.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
