"""What is used of the library beyond its documented face, so that another version of it that lacks it is found."""

from __future__ import annotations

import asyncio
import inspect
import logging
import subprocess
import sys

import asyncssh

from ropewalk.auth import Perspectives, Portal
from ropewalk.ssh.channel import SessionChannel
from ropewalk.ssh.connection import Connection
from ropewalk.ssh.host_key import HostKey
from ropewalk.ssh.limits import SshLimits
from ropewalk.ssh.server import Server
from ropewalk.ssh.settings import options
from ropewalk.terminal import Host
from tests.ssh.place import ANN, People, parrot

KEY = HostKey(ANN.export_private_key(), ANN.public_data)


def test_its_connection_is_a_protocol_that_any_transport_can_carry() -> None:
    assert issubclass(asyncssh.SSHServerConnection, asyncio.Protocol)
    assert list(inspect.signature(asyncssh.SSHServerConnection.__init__).parameters)[1:3] == ["loop", "options"]
    for name in ("connection_made", "data_received", "connection_lost", "disconnect"):
        assert callable(getattr(asyncssh.SSHServerConnection, name))


def test_what_is_overridden_is_there() -> None:
    for ours, theirs in ((Connection, asyncssh.SSHServerConnection), (SessionChannel, asyncssh.SSHServerChannel)):
        own = {name for name in vars(ours) if callable(getattr(ours, name)) and not name.startswith("__")}
        missing = {name for name in own if not hasattr(theirs, name)}
        assert missing <= {"try_login", "_say", "of", "variable"}
    for name in ("reload_config", "validate_public_key", "send_packet"):
        ours_has = inspect.signature(getattr(Connection, name)).parameters
        assert list(ours_has) == list(inspect.signature(getattr(asyncssh.SSHServerConnection, name)).parameters)


def test_algorithms_that_are_weak_or_dear_are_not_offered() -> None:
    made = options(KEY, Portal(Perspectives(), [People()]), SshLimits(), asyncssh.SSHServer)
    exchanges, ciphers, macs = ({name.decode() for name in some} for some in _offered(made))
    assert {"curve25519-sha256", "ecdh-sha2-nistp256"} <= exchanges
    assert {"chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr"} <= ciphers
    assert {"hmac-sha2-256-etm@openssh.com"} <= macs
    for name in exchanges | ciphers | macs | {name.decode() for name in made.signature_algs}:
        assert not any(word in name for word in ("sha1", "md5", "cbc", "arcfour", "rc4", "diffie", "gss", "@ssh.com"))
    assert all("etm" in name and "64" not in name.replace("sha2-256", "") for name in macs)
    assert made.compression_algs == [b"none"]
    assert b"ssh-rsa" not in made.signature_algs
    assert b"ssh-dss" not in made.signature_algs


def _offered(made: asyncssh.SSHServerConnectionOptions) -> tuple[list[bytes], list[bytes], list[bytes]]:
    return list(made.kex_algs), list(made.encryption_algs), list(made.mac_algs)


def test_nothing_is_read_from_files_or_taken_that_was_not_asked_for() -> None:
    made = options(KEY, None, SshLimits(), asyncssh.SSHServer)
    assert not any((made.agent_forwarding, made.x11_forwarding, made.line_editor, made.allow_scp, made.rdns_lookup))
    assert not any((made.kbdint_auth, made.host_based_auth, made.gss_auth, made.gss_kex, made.gss_host))
    assert not any((made.public_key_auth, made.password_auth))
    assert (made.sftp_factory, made.process_factory, made.session_factory) == (None, None, None)
    assert not made.authorized_client_keys
    assert (made.login_timeout, made.keepalive_interval) == (0, 0)
    assert made.version == b"Ropewalk"


async def test_it_is_quiet_unless_somebody_wants_it() -> None:
    library = logging.getLogger("asyncssh")
    before = library.level
    try:
        library.setLevel(logging.NOTSET)
        Server(Host(parrot), KEY, asyncio.create_task)
        assert library.level == logging.WARNING
        library.setLevel(logging.DEBUG)
        Server(Host(parrot), KEY, asyncio.create_task)
        assert library.getEffectiveLevel() == logging.DEBUG
    finally:
        library.setLevel(before)


def test_it_is_not_imported_before_a_service_starts() -> None:
    code = "import sys, ropewalk.ssh, ropewalk.ssh.service, ropewalk.ssh.commands; print('asyncssh' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
