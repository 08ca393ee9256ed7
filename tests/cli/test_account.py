"""`ropewalk account`: what is taken back, what a token is good for, and what is refused of files and pipes."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ropewalk.auth import Accounts, public_key
from tests.cli.conftest import Run


def key_line(comment: str = "anna@desk") -> str:
    key = Ed25519PrivateKey.generate().public_key()
    return f"{key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {comment}"


def piped(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said), encoding="utf-8"))


@pytest.fixture
def anna(run: Run, user: Path) -> Accounts:
    """An account without a password, in two groups."""
    run("account", "add", "anna", "--no-password", "--groups", "staff, chess", "--in", "users.db")
    return Accounts(user / "users.db")


def test_keys_are_taken_back(run: Run, user: Path, anna: Accounts) -> None:
    lines = [key_line(), key_line("")]
    for name, line in zip(("desk.pub", "laptop.pub"), lines, strict=True):
        (user / name).write_text(f"{line.strip()}\n")
        run("account", "key", "anna", name, "--in", "users.db")
    phone = key_line("a comment that nobody likes")
    (user / "phone.pub").write_text(phone)
    run("account", "key", "anna", "phone.pub", "--called", "phone", "--in", "users.db")
    assert sorted(anna.all()[0].keys) == ["anna@desk", "laptop.pub", "phone"]
    run("account", "key", "anna", "--drop", "--called", "phone", "--in", "users.db")
    assert anna.holder_of(public_key(phone)) is None
    assert anna.holder_of(public_key(lines[0])) is not None
    gone = run("account", "key", "anna", "--drop", "--called", "phone", "--in", "users.db", "--json", status=3)
    assert gone.error["message"] == "anna has no key that is called 'phone'"
    for words in (("anna",), ("anna", "desk.pub", "--drop")):
        run("account", "key", *words, "--in", "users.db", status=2)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (f"{key_line()}\n{key_line()}\n".encode(), "has 2 lines, expected one public key"),
        (b"x" * 70_000, "expected one of ecdsa"),
        (b"\xff\xfe", "cannot be read as a public key"),
        (key_line("\x1b[2J").encode(), "got the comment '\\x1b[2J'"),
        (b"", "expected one of ecdsa"),
    ],
    ids=["two lines", "endless", "not text", "a comment that clears a terminal", "empty"],
)
def test_files_that_are_no_key(run: Run, user: Path, anna: Accounts, data: bytes, said: str) -> None:
    (user / "id.pub").write_bytes(data)
    assert said in run("account", "key", "anna", "id.pub", "--in", "users.db", status=2).err
    assert anna.all()[0].keys == ()


def test_tokens_for_some_groups(run: Run, anna: Accounts) -> None:
    def token(*words: str) -> str:
        return run("account", "token", "anna", *words, "--in", "users.db").out.strip()

    assert anna.bearer_of(token()) == ("anna", frozenset({"staff", "chess"}))
    assert anna.bearer_of(token("--groups", "chess,admin")) == ("anna", frozenset({"chess"}))
    assert anna.bearer_of(token("--groups", "")) == ("anna", frozenset())
    run("account", "token", "anna", "--drop", "--days", "1", "--in", "users.db", status=2)
    run("account", "token", "anna", "--days", "nan", "--in", "users.db", status=2)


def test_groups_are_changed(run: Run, anna: Accounts) -> None:
    run("account", "groups", "anna", "admin", "--in", "users.db")
    assert run("account", "list", "--in", "users.db").out == "anna (admin): no way in\n"
    assert "belongs to no group" in run("account", "groups", "anna", "", "--in", "users.db").out
    assert anna.all()[0].groups == frozenset()
    run("account", "groups", "bob", "admin", "--in", "users.db", status=3)


def test_a_slip_in_the_name_of_the_file_makes_none(run: Run, user: Path, anna: Accounts) -> None:
    for words in (("remove", "anna"), ("password", "anna", "--none"), ("token", "anna"), ("list",)):
        done = run("account", *words, "--in", "user.db", status=5)
        assert "no file of accounts user.db" in done.err
    assert not (user / "user.db").exists()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"", "got a password of 0 characters"),
        (b"\n", "got a password of 0 characters"),
        (b"\xff\n", "the password is not UTF-8"),
        (b"x" * 100_000, "expected 1 to 1,024"),
        (b"a\tb\n", "has characters that nobody can type"),
    ],
)
def test_pipes_that_give_no_password(
    run: Run, anna: Accounts, monkeypatch: pytest.MonkeyPatch, said: bytes, message: str
) -> None:
    piped(monkeypatch, said)
    assert message in run("account", "password", "anna", "--in", "users.db", status=2).err
    assert anna.password_of("anna").kept is None


def test_a_password_by_a_pipe(run: Run, anna: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    for said in (b"right one\r\n", "pässword".encode()):
        piped(monkeypatch, said)
        run("account", "password", "anna", "--in", "users.db")
        assert anna.password_of("anna").kept
