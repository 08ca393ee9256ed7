"""The host key: made once, whole or not at all, and taken from nobody who let others see it."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncssh
import pytest

from ropewalk.ssh.errors import BadHostKey, HostKeyUnreadable
from ropewalk.ssh.host_key import host_key


def test_it_is_made_once_for_nobody_else_to_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    key = host_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert host_key(path) == key
    assert list(path.parent.iterdir()) == [path]
    assert "PRIVATE" not in repr(key)


def test_the_library_reads_the_same_key(tmp_path: Path) -> None:
    key = host_key(tmp_path / "key")
    read = asyncssh.import_private_key(key.private)
    assert read.public_data == key.public
    assert read.get_fingerprint() == key.fingerprint
    assert asyncssh.import_public_key(key.line).public_data == key.public


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="OpenSSH's tools are not there")
def test_openssh_makes_it_and_shows_it(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    key = host_key(ours)
    shown = subprocess.run(["ssh-keygen", "-lf", ours], capture_output=True, text=True, check=True).stdout
    assert shown.split()[:2] == ["256", key.fingerprint]
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", theirs], check=True)
    assert host_key(theirs).line == " ".join(theirs.with_suffix(".pub").read_text().split()[:2])


def test_many_that_make_it_at_once_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: host_key(tmp_path / "key"), range(32)))
    assert len({key.public for key in keys}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_who_comes_second_has_the_first_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = host_key(tmp_path / "key")
    monkeypatch.setattr(Path, "exists", lambda self: False)  # as it was a moment ago
    assert host_key(tmp_path / "key") == first
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        asyncssh.generate_private_key("ssh-rsa", key_size=2048).export_private_key(),
        asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_private_key(),
        asyncssh.generate_private_key("ssh-ed25519").export_private_key("pkcs8-pem", passphrase="x"),
        asyncssh.generate_private_key("ssh-ed25519").export_public_key(),
        asyncssh.generate_private_key("ssh-ed25519").export_private_key() + b"\n" * 20_000,
    ],
    ids=["empty", "junk", "hollow", "rsa", "ecdsa", "sealed", "public", "long"],
)
def test_what_is_no_such_key_is_damaged_and_stays(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(BadHostKey, match="is not an Ed25519 key"):
        host_key(path)
    assert path.read_bytes() == data


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o777])
def test_what_others_can_read_or_change_is_not_taken(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "key"
    host_key(path)
    path.chmod(mode)
    with pytest.raises(BadHostKey, match="can be read by others"):
        host_key(path)


def test_what_is_no_file_is_not_taken(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(BadHostKey, match="is not a file"):
        host_key(tmp_path / "pipe")
    with pytest.raises((BadHostKey, HostKeyUnreadable)):
        host_key(tmp_path)


def test_where_it_cannot_be_made_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostKeyUnreadable, match="can be neither read nor made"):
        host_key(tmp_path / "file" / "key")
    with pytest.raises(HostKeyUnreadable):
        host_key(tmp_path / "none", make=False)
    assert not (tmp_path / "none").exists()
