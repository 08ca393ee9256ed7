"""Checkers and accounts: what people keep in files, and what is refused of it."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ropewalk import argon2
from ropewalk.auth import (
    Account,
    Accounts,
    AccountsChecker,
    AccountsDamaged,
    Anonymous,
    AnonymousChecker,
    BadAccount,
    Channel,
    Denied,
    HeldKey,
    Identity,
    KeysChecker,
    NoAccount,
    Password,
    PasswordsChecker,
    Perspectives,
    Portal,
    Stretcher,
    Token,
    UnknownChecker,
    checker_of,
    is_hash,
    public_key,
    stretch,
)
from ropewalk.errors import Misuse, RopewalkError, Unavailable

HASH = stretch("right")  # once: it takes a tenth of a second


def key_line(comment: str = "anna@desk") -> str:
    key = Ed25519PrivateKey.generate().public_key()
    return f"{key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {comment}"


DESK = public_key(key_line())


def accounts(tmp_path: Path, now: list[float] | None = None) -> Accounts:
    made = Accounts(tmp_path / "users.db", (lambda: now[0]) if now else (lambda: 0.0))
    made.add("anna", "right", frozenset({"staff", "chess"}))
    return made


async def test_passwords_of_accounts(tmp_path: Path) -> None:
    checker = AccountsChecker(accounts(tmp_path))
    assert await checker.check(Password("anna", "right")) == Identity("anna", frozenset({"staff", "chess"}), "password")
    for wrong in (
        Password("anna", "wrong"),
        Password("bob", "right"),
        Password("anna", "\udc80"),
        Password("anna", "\ud800"),
        Password("a\udc80", "right"),
        Anonymous(),
    ):
        with pytest.raises(Denied):
            await checker.check(wrong)


async def test_a_name_that_is_not_known_takes_a_stretch_like_any_other(tmp_path: Path) -> None:
    """So that time does not tell which names there are."""

    class Counting(Stretcher):
        tried = 0

        def _agree(self, password: str, kept: str | None, like: str | None) -> bool:
            self.tried += 1
            return super()._agree(password, kept, like)

    path = tmp_path / "users"
    path.write_text(f"anna:{HASH}\n")
    for make in (lambda s: AccountsChecker(accounts(tmp_path), s), lambda s: PasswordsChecker(path, s)):
        stretcher = Counting()
        checker = make(stretcher)
        for name in ("anna", "nobody"):
            with pytest.raises(Denied):
                await checker.check(Password(name, "wrong"))
        assert stretcher.tried == 2


async def test_failures_are_alike_across_the_checkers_of_a_portal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is known to the first, to the second, to none, or has no password: two stretches and the same words."""
    compared: list[str] = []
    agrees = argon2.agrees

    def counting(password: bytes, phc: str) -> bool:
        compared.append(phc)
        return agrees(password, phc)

    monkeypatch.setattr(argon2, "agrees", counting)
    held = accounts(tmp_path)
    held.add("robot")
    (tmp_path / "users").write_text(f"bob:{HASH}\n")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "carl").write_text("damaged")
    checkers = [checker_of(one, tmp_path) for one in ("keys:keys", "accounts:users.db", "passwords:users")]
    portal = Portal(Perspectives(), checkers, step=0.001)
    told = set()
    for name in ("anna", "bob", "robot", "nobody", "carl"):
        compared.clear()
        with pytest.raises(RopewalkError) as caught:
            await portal.login(Password(name, "wrong"), Identity, Channel(verified=True, address="192.0.2.1"))
        told.add((type(caught.value), str(caught.value), caught.value.hint, len(compared)))
        with pytest.raises(RopewalkError) as caught:
            await portal.login(HeldKey(name, DESK), Identity, Channel(verified=False, address="192.0.2.2"))
        told.add((type(caught.value), str(caught.value), caught.value.hint, 2))
    assert told == {(Denied, "login failed", "", 2)}


async def test_tokens(tmp_path: Path) -> None:
    now = [1000.0]
    held = accounts(tmp_path, now)
    forever, short = held.add_token("anna", comment="laptop"), held.add_token("anna", 60, "visit")
    checker = AccountsChecker(held)
    assert (await checker.check(Token(short))).name == "anna"
    now[0] += 61
    with pytest.raises(Denied):
        await checker.check(Token(short))
    assert (await checker.check(Token(forever))).how == "token"
    assert held.drop_tokens("anna", "laptop") == 1
    for token in (forever, "made up", "\udc80", "\ud800"):
        with pytest.raises(Denied):
            await checker.check(Token(token))


async def test_keys_of_accounts(tmp_path: Path) -> None:
    held, key = accounts(tmp_path), public_key(key_line())
    held.add("bob")
    held.add_key("anna", key, "desk")
    checker = AccountsChecker(held)
    for name in ("", "anna"):
        assert (await checker.check(HeldKey(name, key))).name == "anna"
    for wrong in (HeldKey("bob", key), HeldKey("", public_key(key_line()))):
        with pytest.raises(Denied):
            await checker.check(wrong)
    with pytest.raises(BadAccount, match="belongs to an account already"):
        held.add_key("bob", key)


def test_accounts_are_kept_without_their_secrets(tmp_path: Path) -> None:
    held = accounts(tmp_path)
    token = held.add_token("anna", comment="laptop")
    held.add_key("anna", DESK, "desk")
    assert held.all() == [Account("anna", frozenset({"staff", "chess"}), True, ("desk",), ("laptop",))]
    data = held.path.read_bytes()
    assert b"right" not in data
    assert token.encode() not in data
    assert held.path.stat().st_mode & 0o777 == 0o600
    held.remove("anna")
    assert held.all() == []
    assert held.holder_of(DESK) is None
    assert held.bearer_of(token) is None


async def test_a_password_that_is_changed_or_taken_away(tmp_path: Path) -> None:
    held = accounts(tmp_path)
    checker = AccountsChecker(held)
    held.set_password("anna", "new")
    await checker.check(Password("anna", "new"))
    held.set_password("anna", None)
    with pytest.raises(Denied):
        await checker.check(Password("anna", "new"))


@pytest.mark.parametrize("name", ["", "a b", "a:b", "x" * 65, "a\n", "ä/..", "\x00"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadAccount):
        accounts(tmp_path).add(name)


@pytest.mark.parametrize("password", ["", "x" * 1025, "a\x07b", "\udc80"])
def test_passwords_that_cannot_be(tmp_path: Path, password: str) -> None:
    with pytest.raises(BadAccount):
        accounts(tmp_path).set_password("anna", password)


def test_accounts_that_are_not_there(tmp_path: Path) -> None:
    held = accounts(tmp_path)
    for call in (
        lambda: held.remove("bob"),
        lambda: held.set_password("bob", "x"),
        lambda: held.add_key("bob", DESK),
        lambda: held.add_token("bob"),
    ):
        with pytest.raises(NoAccount, match="no account 'bob'"):
            call()
    with pytest.raises(BadAccount, match="there is an account 'anna' already"):
        held.add("anna")


async def test_a_file_that_is_not_one_of_accounts(tmp_path: Path) -> None:
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_bytes(b"not a database, but longer than a header of one would be" * 20)
    with sqlite3.connect(other) as file:
        file.execute("create table t (x)")
    file.close()
    for path in (text, other):
        with pytest.raises(AccountsDamaged):
            Accounts(path).add("anna")
        with pytest.raises(AccountsDamaged):
            await AccountsChecker(Accounts(path)).check(Password("anna", "right"))
    with pytest.raises(Unavailable):
        await AccountsChecker(Accounts(tmp_path / "none.db")).check(Token("x"))


async def test_a_text_file_of_passwords_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"# people\n\nanna:{HASH}:staff,chess\n")
    checker = PasswordsChecker(path)
    assert (await checker.check(Password("anna", "right"))).groups == {"staff", "chess"}
    path.write_text(f"bob:{HASH}\n")
    assert (await checker.check(Password("bob", "right"))).groups == frozenset()
    with pytest.raises(Denied):
        await checker.check(Password("anna", "right"))
    path.unlink()
    with pytest.raises(Unavailable, match="cannot be read: no such file"):
        await checker.check(Password("bob", "right"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("anna:secret", ":1: expected name:$argon2id"),
        ("anna", ":1: expected name:$argon2id"),
        (f"anna:{HASH}\nanna:{HASH}", ":2: 'anna' was there before"),
        (f"a b:{HASH}", ":1: got 'a b', expected a name"),
        (f"anna:{HASH}:x y", ":1: got 'x y', expected a group"),
        (f"anna:{HASH.replace('m=65536', 'm=9999999')}", ":1: expected name:$argon2id"),
        ("\udcff", "not UTF-8 at byte 0"),
    ],
)
async def test_a_text_file_that_is_wrong_lets_nobody_in(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "users"
    path.write_text(f"{text}\nbob:{HASH}\n", errors="surrogateescape")
    checker = PasswordsChecker(path)
    for _ in range(2):  # nor at the second try
        with pytest.raises(AccountsDamaged) as caught:
            await checker.check(Password("bob", "right"))
        assert message in str(caught.value)


async def test_keys_in_files_as_openssh_has_them(tmp_path: Path) -> None:
    mine, other = key_line(), key_line()
    (tmp_path / "anna").write_text(f"# keys\n{mine}\n")
    (tmp_path / ".hidden").write_text(f"{mine}\n")
    checker = KeysChecker(tmp_path)
    assert (await checker.check(HeldKey("anna", public_key(mine)))).name == "anna"
    for wrong in (
        HeldKey("anna", public_key(other)),
        HeldKey("bob", public_key(mine)),
        HeldKey("", public_key(mine)),
        HeldKey("../anna", public_key(mine)),
        HeldKey(".hidden", public_key(mine)),
        HeldKey("..", public_key(mine)),
        Anonymous(),
    ):
        with pytest.raises(Denied):
            await checker.check(wrong)


def test_keys_that_are_not_taken() -> None:
    for line in (
        "",
        "ssh-ed25519",
        "ssh-ed25519 !!!",
        "ssh-ed25519 AAAA",
        "ssh-dss AAAAB3NzaC1kc3M=",
        "ssh-rsa " + key_line().split()[1],
    ):
        with pytest.raises(Misuse):
            public_key(line)


@given(st.text(max_size=100))
def test_any_line_is_a_key_or_refused(line: str) -> None:
    with suppress(Misuse):
        assert public_key(line)


@given(st.text(max_size=80))
def test_any_text_is_a_hash_or_not(text: str) -> None:
    assert not is_hash(text)
    assert is_hash(HASH)


def test_checkers_by_their_descriptions(tmp_path: Path) -> None:
    assert isinstance(checker_of("accounts:users.db", tmp_path), AccountsChecker)
    assert isinstance(checker_of("passwords:users"), PasswordsChecker)
    assert isinstance(checker_of("keys:folder"), KeysChecker)
    assert isinstance(checker_of("anonymous:"), AnonymousChecker)
    for wrong, message in (
        ("accounts:", "expected accounts: and a path"),
        ("ldap:x", "no checker 'ldap', known are: accounts, anonymous, keys, passwords"),
        ("anonymous:x", "no checker 'anonymous'"),
        ("", "no checker ''"),
    ):
        with pytest.raises(UnknownChecker, match=message):
            checker_of(wrong)


class Point:
    """An entry point."""

    def __init__(self, value: str, found: object) -> None:
        self.name, self.value, self._found = "mine", value, found

    def load(self) -> object:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


class Points(list[Point]):
    names = frozenset({"mine"})


def _none(told: str, folder: Path) -> object:
    return object()


def _raises(told: str, folder: Path) -> object:
    raise KeyError(told)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            [Point("a:b", ImportError("no module named ldap"))],
            "checker 'mine' of a:b cannot be made: no module named ldap",
        ),
        ([Point("a:b", SyntaxError("odd"))], "cannot be made: odd"),
        ([Point("a:b", _raises)], "checker 'mine' of a:b cannot be made: 'told'"),
        ([Point("a:b", _none)], "checker 'mine' of a:b has no check"),
        ([Point("a:b", _none), Point("c:d", _none)], "checker 'mine' is given by a:b and by c:d"),
    ],
)
def test_plug_ins_that_cannot_be_used(points: list[Point], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: Points(points))
    with pytest.raises(UnknownChecker, match=message):
        checker_of("mine:told")


def test_a_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    def make(rest: str, folder: Path) -> AnonymousChecker:
        told.extend((rest, folder))
        if rest == "wrong":
            raise BadAccount("got wrong")
        return AnonymousChecker()

    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: Points([Point("a:b", make)]))
    assert isinstance(checker_of("mine:a:b", tmp_path), AnonymousChecker)
    assert told == ["a:b", tmp_path]
    with pytest.raises(BadAccount):  # its own words, where it has some of our families
        checker_of("mine:wrong")
    with pytest.raises(UnknownChecker, match="known are: accounts, anonymous, keys, mine, passwords"):
        checker_of("other:")
