"""`ropewalk init`: passphrases from everywhere, the paper key, the keyring, a machine that is set up again."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import NoKeyringError

from ropewalk.spaces.home import Home
from tests.cli.conftest import Run


class FakeKeyring(KeyringBackend):
    """A keyring in memory."""

    priority = 1.0

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.broken = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.broken:
            raise NoKeyringError("no keyring here")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.broken:
            raise NoKeyringError("no keyring here")
        self.kept[service, username] = password


@pytest.fixture
def ring() -> Iterator[FakeKeyring]:
    before = keyring.get_keyring()
    fake = FakeKeyring()
    keyring.set_keyring(fake)
    yield fake
    keyring.set_keyring(before)


@pytest.fixture
def home(user: Path) -> Path:
    return user.parent / "home"


def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROPEWALK_PASSPHRASE")


def words_of(out: str) -> list[str]:
    """The paper key, from the table of numbered words."""
    table = [line.split() for line in out.splitlines() if line.startswith("  ")]
    numbered = {int(row[at]): row[at + 1] for row in table for at in range(0, len(row), 2)}
    return [numbered[number] for number in range(1, 25)]


def test_words_are_shown_and_the_day_is_kept(run: Run, home: Path) -> None:
    result = run("init", "--yes")
    assert len(words_of(result.out)) == 24
    assert 'paper_shown = "20' in (home / "settings.toml").read_text()
    assert (home / "device.keys").stat().st_mode & 0o077 == 0
    for file in home.iterdir():
        assert not any(word.encode() in file.read_bytes() for word in (" ".join(words_of(result.out)), "one two three"))


def test_a_second_time_changes_nothing(run: Run, home: Path) -> None:
    run("init", "--yes")
    before = (home / "device.keys").read_bytes()
    result = run("init", "--yes", status=2)
    assert "is there already" in result.err
    assert "hint: " in result.err
    assert (home / "device.keys").read_bytes() == before


def test_json_gives_the_words(run: Run) -> None:
    answer = run("init", "--yes", "--json").json
    assert len(answer["paper_key"].split()) == 24
    assert len(answer["device"]) == 32


def test_nobody_there_to_confirm(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run("init", "--json", status=2).error["hint"] == "in a script: --yes"
    assert not home.exists()


def test_no_passphrase_anywhere(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_environment(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    result = run("init", "--yes", "--json", status=2)
    assert result.error["code"] == "unlock.no-passphrase"
    assert "ROPEWALK_PASSPHRASE" in result.error["hint"]
    assert not home.exists()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder in which nobody can make another")
def test_a_home_that_cannot_be_is_told_before_any_words(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROPEWALK_HOME", "/proc/ropewalk")
    result = run("init", "--yes", status=3)
    assert "error: /proc/ropewalk: no such file" in result.err
    assert result.out == ""


@pytest.mark.parametrize(("content", "why"), [(b"", "is empty"), (b"\n\n", "is empty"), (b"\xff\xfe", "is not UTF-8")])
def test_a_passphrase_file_that_holds_none(run: Run, user: Path, content: bytes, why: str) -> None:
    (user / "pass").write_bytes(content)
    assert why in run("init", "--yes", "--passphrase-file", "pass", status=2).err


def test_a_passphrase_file_that_is_not_there(run: Run) -> None:
    assert "no passphrase file pass" in run("init", "--yes", "--passphrase-file", "pass", status=3).err


def test_the_passphrase_of_a_file_opens(run: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user / "pass").write_bytes("schöne Wörter\r\nnot this\n".encode())
    run("init", "--yes", "--passphrase-file", "pass")
    add_and_create(run, user)
    assert "$ROPEWALK_PASSPHRASE" in run("ls", "photos", status=4).err
    assert run("ls", "photos", "--passphrase-file", "pass").out == ""
    monkeypatch.setenv("ROPEWALK_PASSPHRASE", "schöne Wörter")
    assert run("ls", "photos").out == ""


def add_and_create(run: Run, user: Path) -> None:
    for name in "abc":
        run("store", "add", name, str(user / name))
    words = ["--passphrase-file", "pass"] if (user / "pass").exists() else []
    run("space", "create", "photos", "--stores", "a,b,c", "--survive", "1", *words)


def test_the_keyring_opens(run: Run, user: Path, ring: FakeKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    no_environment(monkeypatch)
    run("init", "--yes", "--keyring")
    assert len(ring.kept) == 1
    add_and_create(run, user)
    assert run("ls", "photos").out == ""
    ring.kept.clear()
    result = run("ls", "photos", "--json", status=5)
    assert result.error["code"] == "unlock.keyring-silent"
    assert "paper key" in result.error["hint"]


def test_no_keyring(run: Run, home: Path, ring: FakeKeyring) -> None:
    ring.broken = True
    result = run("init", "--yes", "--keyring", status=5)
    assert "the system's keyring does not answer: no keyring here" in result.err
    assert not (home / "device.keys").exists()


def test_another_machine_goes_on_with_the_paper_key(run: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = words_of(run("init", "--yes").out)
    add_and_create(run, user)
    (user / "file").write_text("kept")
    run("put", "file", "photos:/file")

    monkeypatch.setenv("ROPEWALK_HOME", str(user / "other"))
    typed = "\n".join([" ".join(words[:12]).upper(), "", " ".join(words[12:])]) + "\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    restored = run("init", "--restore", "--json").json
    assert restored["paper_key"] is None
    for name in "abc":
        assert run("store", "add", name, str(user / name), "--json").json["made"] is False
    (space,) = Home(user.parent / "home", user).load().spaces.values()
    assert run("space", "attach", "mine", "--id", space.id, "--json").json["stores"] == ["a", "b", "c"]
    assert run("cat", "mine:/file").out == "kept"
    run("put", "file", "mine:/second")
    refused = run("space", "create", "more", "--stores", "a,b,c", "--survive", "1", status=4)
    assert "paper key" in refused.err

    monkeypatch.setenv("ROPEWALK_HOME", str(user.parent / "home"))
    assert run("ls", "photos").out.split() == ["file", "second"]


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("", "not the words of a paper key"),
        ("abandon " * 24, "not the words of a paper key"),
        ("abandon " * 11 + "about", "a paper key has 24 words, got 12"),
        ("nosuchword " * 24, "not the words of a paper key"),
    ],
)
def test_wrong_words(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, typed: str, why: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert why in run("init", "--restore", status=2).err
    assert not home.exists()


_ON_ITS_TERMINAL = """
import fcntl, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children are born deaf to it
from ropewalk.cli.main import main
sys.exit(main())
"""


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, home: Path, *words: str, program: str = _ON_ITS_TERMINAL) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "ROPEWALK_PASSPHRASE"}
        self._ours, theirs = pty.openpty()
        self.command = subprocess.Popen(
            [sys.executable, "-c", program, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment, "ROPEWALK_HOME": str(home)},
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def answer(self, prompt: str, text: str) -> None:
        """Wait for a prompt, then type."""
        while prompt not in self.seen:
            self.seen += self._read()
        self.seen = self.seen.partition(prompt)[2]
        os.write(self._ours, text.encode())

    def end(self) -> tuple[int, str]:
        """The exit status, and all that was said since the last answer."""
        try:
            while more := self._read():
                self.seen += more
        except OSError:
            pass  # the other end is closed
        os.close(self._ours)
        return self.command.wait(), self.seen.replace("\r\n", "\n")

    def _read(self) -> str:
        if not select.select([self._ours], [], [], 60)[0]:
            self.command.kill()
            self.command.wait()
            os.close(self._ours)
            raise AssertionError(f"it says nothing more, after {self.seen!r}")
        return os.read(self._ours, 65536).decode(errors="replace")


@pytest.mark.system
def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    home = tmp_path / "home"
    terminal = Terminal(home, "init")
    terminal.answer("new passphrase: ", "pass word\n")
    terminal.answer("the same again: ", "pass word\n")
    terminal.answer("written", "")
    terminal.answer("(yes/no) ", "yes\n")
    status, said = terminal.end()
    assert status == 0, said
    assert "sealed with your passphrase" in said
    assert "pass word" not in said
    assert (home / "device.keys").exists()
    assert tomllib.loads((home / "settings.toml").read_text())["paper_shown"]


@pytest.mark.system
def test_what_is_not_written_down_is_not_kept(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "home", "init")
    terminal.answer("new passphrase: ", "pass\n")
    terminal.answer("the same again: ", "pass\n")
    terminal.answer("(yes/no) ", "no\n")
    status, said = terminal.end()
    assert status == 2
    assert "nothing was set up" in said
    assert os.listdir(tmp_path / "home") == []


@pytest.mark.system
def test_two_passphrases_that_differ(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "home", "init")
    terminal.answer("new passphrase: ", "pass\n")
    terminal.answer("the same again: ", "Pass\n")
    status, said = terminal.end()
    assert status == 2
    assert "the two passphrases differ" in said


_ASKS_IN_A_LOOP = """
import asyncio, fcntl, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)
from ropewalk import loops
from ropewalk.cli.asking import agreed, secret

async def ask():
    {"secret": secret, "agreed": agreed}[sys.argv[1]]("well? ")

try:
    loops.run(ask(), loop=sys.argv[2])
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.system
def test_stopped_while_it_asks(tmp_path: Path) -> None:
    for prompt, before in (("new passphrase: ", ()), ("(yes/no) ", ("new passphrase: ", "the same again: "))):
        terminal = Terminal(tmp_path / "home", "init")
        for earlier in before:
            terminal.answer(earlier, "pass\n")
        terminal.answer(prompt, "\x03")
        status, said = terminal.end()
        assert status == 130, said
        assert "error:" in said
        assert "Traceback" not in said


@pytest.mark.system
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("what", ["secret", "agreed"])
def test_stopped_while_it_asks_inside_an_event_loop(tmp_path: Path, loop: str, what: str) -> None:
    """`join`, for one, asks in the middle of its work."""
    terminal = Terminal(tmp_path / "home", what, loop, program=_ASKS_IN_A_LOOP)
    terminal.answer("well? ", "\x03")
    status, said = terminal.end()
    assert status == 130, said
    assert "Traceback" not in said
