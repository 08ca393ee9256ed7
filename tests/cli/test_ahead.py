"""Keys that are opened while a command is still being parsed: when, for whom, and that nobody sees a difference."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ropewalk.cli.ahead import BEGUN, keys_ahead
from ropewalk.cli.commands import COMMANDS, named, needs_keys
from ropewalk.spaces import identity
from tests.cli.conftest import Run


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, str]]:
    """Each time that Argon2id ran: whether in the main thread, and for which passphrase."""
    seen: list[tuple[bool, str]] = []
    stretch = identity._stretch

    def watched(passphrase: str, salt: bytes, memory: int, passes: int, lanes: int) -> bytes:
        seen.append((threading.current_thread() is threading.main_thread(), passphrase))
        return stretch(passphrase, salt, memory, passes, lanes)

    monkeypatch.setattr(identity, "_stretch", watched)
    return seen


@pytest.fixture
def word(photos: Path) -> Path:
    """A passphrase file beside a space."""
    path = photos / "word"
    path.write_text("one two three\r\nand more\n")
    return path


def test_a_command_is_named_by_its_first_words() -> None:
    for name, *_ in COMMANDS:
        assert named([*name.split(), "--json", "x"]) == name
    assert named([]) is None
    assert named(["store"]) is None
    assert named(["store add", "x"]) is None
    assert named(["--json", "put"]) is None


def test_commands_that_work_in_a_space_need_keys_unless_only_help_is_asked() -> None:
    assert [name for name, *_ in COMMANDS if needs_keys([*name.split(), "x"])] == [
        *("put", "get", "ls", "cat", "find", "du", "mkdir", "mv", "rm", "conflicts", "merge"),
        *("log", "diff", "restore", "watch", "audit", "status", "check", "repair"),
    ]
    for words in (["put"], ["put", "--help"], ["ls", "-h"], ["--help"], ["puts", "x"], []):
        assert not needs_keys(words)


def test_keys_are_opened_once_and_beside(run: Run, photos: Path, openings: list[tuple[bool, str]]) -> None:
    run("mkdir", "photos:/a")
    assert openings == [(False, "one two three")]


@pytest.mark.parametrize("words", [["--passphrase-file", "word"], ["--passphrase-file=word"]])
def test_a_passphrase_file_comes_first(
    run: Run, word: Path, openings: list[tuple[bool, str]], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROPEWALK_PASSPHRASE", "another")
    run("ls", "photos", *words)
    assert openings == [(False, "one two three")]


def test_a_passphrase_that_comes_through_a_pipe_is_read_once(
    run: Run, photos: Path, openings: list[tuple[bool, str]]
) -> None:
    read, write = os.pipe()
    os.write(write, b"one two three\n")
    os.close(write)
    run("ls", "photos", "--passphrase-file", f"/dev/fd/{read}")
    os.close(read)
    assert openings == [(True, "one two three")]


def test_a_wrong_guess_changes_nothing(run: Run, word: Path, openings: list[tuple[bool, str]]) -> None:
    """What looks like an option behind ``--`` is a place; the passphrase is another one then."""
    word.write_text("another\n")
    result = run("cat", "--", "photos:/a", "--passphrase-file=word", status=2)
    assert "--passphrase-file=word" in result.err
    run("ls", "photos")
    assert openings[-1] == (False, "one two three")


@pytest.mark.parametrize("words", [["space", "list"], ["ls", "--help"], ["--help"], ["init", "--help"]])
def test_no_thread_where_no_keys_are_needed(
    run: Run, photos: Path, openings: list[tuple[bool, str]], words: list[str]
) -> None:
    run(*words)
    assert not openings


def test_no_thread_where_the_passphrase_must_be_asked(
    run: Run, photos: Path, openings: list[tuple[bool, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROPEWALK_PASSPHRASE")
    assert "no passphrase was given" in run("ls", "photos", status=2).err
    assert not openings


def test_what_is_wrong_is_told_in_the_old_order(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROPEWALK_PASSPHRASE", "wrong")
    assert run("ls", "photos", "--colour", "--json", status=2).error["code"] == "cli.bad-arguments"
    assert run("ls", "films", "--json", status=3).error["code"] == "home.unknown-name"
    assert run("ls", "photos", "--json", status=4).error["code"] == "identity.wrong-passphrase"
    keys = photos.parent / "home" / "device.keys"
    keys.write_bytes(b"junk")
    assert run("ls", "films", "--json", status=3).error["code"] == "home.unknown-name"
    assert run("ls", "photos", "--json", status=6).error["code"] == "identity.keys-damaged"
    missing = ("ls", "photos", "--json", "--passphrase-file", "nowhere")
    assert "no passphrase file nowhere" in run(*missing, status=3).err
    keys.unlink()
    assert run(*missing, status=3).error["code"] == "home.not-set-up"


def test_nothing_stays_begun(run: Run, photos: Path) -> None:
    with keys_ahead(["ls", "films"]):
        assert BEGUN.get() is not None
    assert BEGUN.get() is None
    run("ls", "films", status=3)
    assert BEGUN.get() is None


def test_a_whole_process_ends_well_with_keys_that_nobody_asked_for(photos: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ropewalk", "ls", "films"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error: no space is called 'films'")
