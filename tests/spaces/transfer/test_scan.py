"""Scan: everything in a local tree is given, in order, with its reason where it cannot be kept."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from ropewalk.spaces.transfer import scan as scan_module
from ropewalk.spaces.transfer.scan import MOST_OPEN, Scanned, absolute, measure, scan, why_not


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
        Scanned(os.fsencode(path), (), stat.S_IFREG, 5, 1_234_567_890_123_456_789, 0o4751)
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


@pytest.mark.parametrize("at", ["folder", "folder/inner"])
def test_a_folder_that_is_swapped_for_a_link_once_it_was_found_is_not_gone_into(tmp_path: Path, at: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_bytes(b"")
    (tmp_path / "tree" / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "last").write_bytes(b"")
    swapped = tmp_path / "tree" / at
    seen = []
    for found in scan(absolute(tmp_path / "tree")):
        seen.append((b"/".join(found.names), found.why))
        if found.path == os.fsencode(swapped) and not swapped.is_symlink():
            swapped.rename(tmp_path / "moved")
            swapped.symlink_to(tmp_path / "elsewhere")
    name = os.fsencode(at)
    above = [(b"folder", "")] if at != "folder" else []
    assert seen == [(b"", ""), *above, (name, ""), (name + b"/", "not a directory"), (b"last", "")]


def test_folders_deeper_than_a_space_goes_are_not_gone_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "DEEPEST", 3)
    _deep(tmp_path, 6)
    found = [(len(one.names), one.why) for one in scan(absolute(tmp_path)) if one.names[-1:] != (b"e",)]
    assert found == [(0, ""), (1, ""), (2, ""), (3, ""), (4, ""), (5, "it lies too deep")]


def _deep(top: Path, levels: int) -> Path:
    inner = top / "/".join(["d"] * levels)
    inner.mkdir(parents=True)
    for folder in (inner, *inner.parents):
        if folder.is_relative_to(top):
            (folder / "e").write_bytes(b"")
    return inner


def test_folders_in_each_other_are_gone_through_with_few_of_them_open(tmp_path: Path) -> None:
    levels = MOST_OPEN + 9
    _deep(tmp_path, levels)
    before, most = len(os.listdir("/dev/fd")), 0
    depths = []
    for found in scan(absolute(tmp_path)):
        most = max(most, len(os.listdir("/dev/fd")))
        depths.append((len(found.names), found.why))
    assert depths == [(depth, "") for depth in (*range(levels + 1), *range(levels + 1, 0, -1))]
    assert most - before <= MOST_OPEN + 2
    del found
    assert len(os.listdir("/dev/fd")) == before


def test_a_folder_that_is_replaced_while_it_is_closed_is_given_with_the_reason(tmp_path: Path) -> None:
    inner = _deep(tmp_path / "tree", MOST_OPEN + 2)
    replaced = inner.parent.parent  # the first that is closed while those in it are gone through
    seen = []
    for found in scan(absolute(tmp_path / "tree")):
        seen.append((len(found.names), found.why))
        if found.path == os.fsencode(inner):
            replaced.rename(tmp_path / "moved")
            replaced.mkdir()
            (replaced / "d").mkdir()
            (replaced / "e").write_bytes(b"")
    assert [one for one in seen if one[1]] == [
        (MOST_OPEN + 2, "it was replaced while it was put"),
        (MOST_OPEN + 1, "it was replaced while it was put"),
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
    real = os.open

    def refuse(path: bytes, flags: int, *, dir_fd: int | None = None) -> int:
        if path.endswith(b"closed"):
            raise PermissionError(13, "Permission denied")
        return real(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    found = list(scan(absolute(tmp_path)))
    assert [(one.names[:1], one.why) for one in found] == [
        ((), ""),
        ((b"closed",), ""),
        ((b"closed",), "permission denied"),
        ((b"open",), ""),
    ]


def test_paths_longer_than_the_system_takes_are_gone_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        os.mkdir("n" * 250)
        os.chdir("n" * 250)
    found = list(scan(absolute(tmp_path)))
    assert [(len(one.names), one.why) for one in found] == [(depth, "") for depth in range(21)]


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
