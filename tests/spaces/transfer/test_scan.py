"""Scan: everything in a local tree is given, in order, with its reason where it cannot be kept."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from ropewalk.spaces.transfer.scan import Found, absolute, measure, scan, why_not


def _names(top: Path) -> list[tuple[bytes, ...]]:
    return [found.names for found in scan(absolute(top))]


def test_gives_a_folder_before_what_is_in_it_and_names_in_byte_order(tmp_path: Path) -> None:
    for name in ("b/x", "b/a", "a", "B", "\N{LATIN SMALL LETTER E WITH ACUTE}"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert _names(tmp_path) == [(), (b"B",), (b"a",), (b"b",), (b"b", b"a"), (b"b", b"x"), ("é".encode(),)]


def test_gives_kind_size_time_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    path.chmod(0o4751)
    os.utime(path, ns=(1, 1_234_567_890_123_456_789))
    assert list(scan(os.fsencode(path))) == [
        Found(os.fsencode(path), (), stat.S_IFREG, 5, 1_234_567_890_123_456_789, 0o4751)
    ]


def test_names_that_are_not_utf_8_are_kept_as_they_are(tmp_path: Path) -> None:
    name = b"\xff\xfe caf\xe9"
    with open(os.fsencode(tmp_path) + b"/" + name, "wb"):
        pass
    assert _names(tmp_path) == [(), (name,)]


def test_a_link_to_a_folder_is_a_link_and_nothing_beyond_it_is_seen(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    assert [(found.names, found.kind) for found in scan(absolute(tmp_path / "tree"))] == [
        ((), stat.S_IFDIR),
        ((b"link",), stat.S_IFLNK),
    ]


def test_a_link_at_the_top_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert [found.kind for found in scan(absolute(tmp_path / "link"))] == [stat.S_IFLNK]


def test_pipes_and_sockets_are_given_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert [(found.names, found.why) for found in scan(absolute(tmp_path))] == [
            ((), ""),
            ((b"pipe",), "a pipe"),
            ((b"socket",), "a socket"),
        ]


def test_a_device_is_given_with_the_reason() -> None:
    assert [found.why for found in scan(b"/dev/null")] == ["a device"]


def test_what_is_not_there_is_given_with_the_reason(tmp_path: Path) -> None:
    (found,) = scan(absolute(tmp_path / "nothing"))
    assert (found.kind, found.why) == (0, "no such file or directory")


def test_a_folder_that_cannot_be_listed_is_given_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "open").mkdir()
    real = os.listdir

    def refuse(path: bytes) -> list[bytes]:
        if path.endswith(b"closed"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "listdir", refuse)
    found = list(scan(absolute(tmp_path)))
    assert [(one.names[:1], one.why) for one in found] == [
        ((), ""),
        ((b"closed",), ""),
        ((b"closed",), "permission denied"),
        ((b"open",), ""),
    ]


def test_paths_longer_than_the_system_takes_are_given_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        os.mkdir("n" * 250)
        os.chdir("n" * 250)
    found = list(scan(absolute(tmp_path)))
    assert found[-1].why == "file name too long"
    assert all(not one.why for one in found[:-1])
    assert 14 <= len(found) <= 18


def test_measure_counts_files_and_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(b"123")
    (tmp_path / "b").write_bytes(b"45")
    (tmp_path / "link").symlink_to("b")
    (tmp_path / "to folder").symlink_to("folder")
    assert measure(absolute(tmp_path)) == (2, 5)
    assert measure(absolute(tmp_path / "b")) == (1, 2)
    assert measure(absolute(tmp_path / "link")) == measure(absolute(tmp_path / "nothing")) == (0, 0)


def test_an_error_is_told_in_the_systems_words() -> None:
    assert why_not(PermissionError(13, "Permission denied")) == "permission denied"
    assert why_not(OSError("odd")) == "odd"
