"""`ropewalk new`: what it writes works as it stands. `ropewalk account`: who may log in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ropewalk.auth import AccountsChecker, Password, Token
from ropewalk.auth.accounts import Accounts


def _run(*words: str, cwd: Path, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd,
        input=said,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(cwd)},
    )


@pytest.mark.system
@pytest.mark.parametrize("template", ["protocol", "service"])
def test_what_is_written_passes_its_tests_and_can_be_served(tmp_path: Path, template: str) -> None:
    assert _run("ropewalk", "new", template, "my_chat", cwd=tmp_path).returncode == 0
    folder = tmp_path / "my_chat"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "app.toml", "my_chat.py", "test_my_chat.py"]
    assert "sample" not in "".join(path.read_text().lower() for path in folder.iterdir())
    tests = _run("pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider", cwd=folder)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    checked = _run("ropewalk", "serve", "--check", "app.toml", "--json", cwd=folder)
    assert [service["name"] for service in json.loads(checked.stdout)["services"]] == ["my_chat", "metrics"]


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.parametrize("template", ["protocol", "service"])
def test_what_is_written_is_strictly_typed(tmp_path: Path, template: str) -> None:
    assert _run("ropewalk", "new", template, "my_chat", cwd=tmp_path).returncode == 0
    typed = _run("mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), ".", cwd=tmp_path / "my_chat")
    assert typed.returncode == 0, typed.stdout


@pytest.mark.parametrize("name", ["", "9x", "a b", "../x", "Über", "x" * 42])
def test_names_that_no_module_can_have(tmp_path: Path, name: str) -> None:
    done = _run("ropewalk", "new", "protocol", "--", name, cwd=tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "expected a name of small letters" in done.stderr


@pytest.mark.parametrize("name", ["class", "asyncio", "ropewalk", "pytest", "sys"])
def test_names_that_would_hide_a_module(tmp_path: Path, name: str) -> None:
    done = _run("ropewalk", "new", "service", name, cwd=tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert f"error: {name} is a word or a module of Python's, or of a package here" in done.stderr


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "chat").mkdir()
    done = _run("ropewalk", "new", "service", "chat", cwd=tmp_path)
    assert done.returncode == 2
    assert "chat is there already" in done.stderr
    assert list((tmp_path / "chat").iterdir()) == []


async def test_accounts_from_the_command_line(tmp_path: Path) -> None:
    def account(*words: str, said: str = "") -> subprocess.CompletedProcess[str]:
        return _run("ropewalk", "account", *words, "--in", "users.db", cwd=tmp_path, said=said)

    assert account("add", "anna", "--groups", "staff,chess", said="right\n").returncode == 0
    assert account("add", "robot", "--no-password").returncode == 0
    token = account("token", "robot", "--called", "nightly").stdout.strip()
    public = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    (tmp_path / "id.pub").write_text(f"{public} anna@desk\n")
    assert account("key", "anna", "id.pub").returncode == 0
    assert account("list").stdout == "anna (chess, staff): password, key anna@desk\nrobot: token nightly\n"
    checker = AccountsChecker(Accounts(tmp_path / "users.db"))
    assert (await checker.check(Password("anna", "right"))).groups == {"staff", "chess"}
    assert (await checker.check(Token(token))).name == "robot"
    assert account("token", "robot", "--drop", "--called", "nightly").returncode == 0
    assert account("password", "anna", "--none").returncode == 0
    assert account("remove", "robot").returncode == 0
    assert account("list").stdout == "anna (chess, staff): key anna@desk\n"
    for wrong, status in (
        (("add", "anna"), 2),
        (("add", "a b"), 2),
        (("remove", "nobody"), 3),
        (("key", "anna", "none.pub"), 3),
        (("key", "anna", "users.db"), 2),
        (("token", "anna", "--drop", "--called", "x"), 3),
        (("token", "anna", "--days", "0"), 2),
    ):
        done = account(*wrong, said="x\n")
        assert (done.returncode, done.stderr.startswith("error: ")) == (status, True), (wrong, done.stderr)


@pytest.mark.system
def test_a_bad_name_gets_a_hint_of_one_that_is_taken(tmp_path: Path) -> None:
    done = _run("ropewalk", "new", "service", "a b", cwd=tmp_path)
    assert done.returncode == 2
    assert "hint: `ropewalk new service a_b`" in done.stderr
    assert list(tmp_path.iterdir()) == []
