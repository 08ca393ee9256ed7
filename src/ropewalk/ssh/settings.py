"""Settings: what one connection of SSH may take, and which algorithms it may choose.

Flow: configuration -> SshLimits; SshLimits, HostKey, what the portal takes -> `options` for the library
Never: lets the library read a file of its own, or offer what a stranger could make dear or weak.
Source: RFC 4253, RFC 8332, RFC 9142.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import asyncssh
from asyncssh.encryption import get_default_encryption_algs
from asyncssh.kex import get_default_kex_algs
from asyncssh.mac import get_default_mac_algs

from ropewalk.auth import HeldKey, Password, Portal
from ropewalk.ssh.host_key import HostKey
from ropewalk.ssh.limits import SshLimits

__all__ = ["SIGNATURES", "options"]

# Left out of the library's defaults are: everything with SHA-1; GSS, RSA key exchange and secp256k1; Diffie-Hellman in
# finite fields and curve448, since a stranger could keep the loop busy with them; MACs of 64 bits and those that are
# made before encryption; the variants of ssh.com. Compression is off: what a kilobyte unpacks to has no bound.
_EXCHANGES = frozenset(
    {
        "mlkem768x25519-sha256",
        "sntrup761x25519-sha512",
        "sntrup761x25519-sha512@openssh.com",
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
    }
)
_CIPHERS = frozenset(
    {
        "chacha20-poly1305@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-gcm@openssh.com",
        "aes256-ctr",
        "aes192-ctr",
        "aes128-ctr",
    }
)
_MACS = frozenset({"umac-128-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"})
SIGNATURES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)

_WINDOW = 64 * 1024  # bytes that a peer may send on a channel unread; each may come in a packet of its own
_PACKET = 16 * 1024


def options(
    key: HostKey, portal: Portal | None, limits: SshLimits, owner: Callable[[], asyncssh.SSHServer]
) -> asyncssh.SSHServerConnectionOptions:
    """What the library is told about each connection.

    Args:
        key: By which clients know us again.
        portal: Its checkers say which ways of logging in are offered.
        limits: Of a connection.
        owner: Makes what the library asks about a connection.
    """
    takes = portal.takes if portal is not None else frozenset()
    return asyncssh.SSHServerConnectionOptions(
        server_factory=owner,
        server_version="Ropewalk",
        server_host_keys=[asyncssh.import_private_key(key.private)],
        kex_algs=_those(_EXCHANGES, get_default_kex_algs()),
        encryption_algs=_those(_CIPHERS, get_default_encryption_algs()),
        mac_algs=_those(_MACS, get_default_mac_algs()),
        signature_algs=SIGNATURES,
        compression_algs=[],
        public_key_auth=HeldKey in takes,
        password_auth=Password in takes,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        gss_kex=False,
        gss_auth=False,
        authorized_client_keys=None,
        x509_trusted_certs=None,
        rdns_lookup=False,
        agent_forwarding=False,
        x11_forwarding=False,
        allow_pty=True,
        line_editor=False,
        encoding=None,
        window=_WINDOW,
        max_pktsize=_PACKET,
        rekey_bytes=limits.rekey_bytes,
        rekey_seconds=limits.rekey_seconds,
        login_timeout=0,  # `Wire` has deadlines of its own, which say what was late
        keepalive_interval=0,
        config=None,
    )


def _those(taken: frozenset[str], known: Sequence[bytes]) -> list[str]:
    """Those of what the library knows by default that are taken, in its order."""
    return [name for name in (algorithm.decode() for algorithm in known) if name in taken]
