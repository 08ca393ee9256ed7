"""Accounts in SQLite: what two processes do to each other, what an upgrade does, and what is taken back."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ropewalk import argon2
from ropewalk.auth import (
    Accounts,
    AccountsBusy,
    AccountsChecker,
    AccountsDamaged,
    BadAccount,
    BadKey,
    Denied,
    HeldKey,
    NoAccount,
    Password,
    Stretcher,
    Token,
    is_hash,
    public_key,
    stretch,
)
from ropewalk.auth.passwords import is_current
from tests.auth.test_checkers import key_line

HASH = stretch("right")
CHEAP = "$argon2id$v=19$m=19456,t=2,p=1$"


def made(tmp_path: Path, *names: str) -> Accounts:
    accounts = Accounts(tmp_path / "users.db", lambda: 1000.0)
    for name in names:
        accounts.add(name, groups=frozenset({"staff", "chess"}))
    return accounts


def keep(accounts: Accounts, name: str, kept: str) -> None:
    with sqlite3.connect(accounts.path) as file:
        file.execute("update account set password = ? where name = ?", (kept, name))
    file.close()


def test_only_add_makes_a_file(tmp_path: Path) -> None:
    """Else a file name with a slip leaves an empty file that looks like one without accounts."""
    accounts = made(tmp_path)
    for call in (
        lambda: accounts.remove("anna"),
        lambda: accounts.set_password("anna", None),
        lambda: accounts.set_groups("anna", frozenset()),
        lambda: accounts.add_key("anna", public_key(key_line())),
        lambda: accounts.add_token("anna"),
        lambda: accounts.drop_tokens("anna", ""),
        lambda: accounts.drop_keys("anna", ""),
        accounts.all,
        lambda: accounts.bearer_of("x"),
    ):
        with pytest.raises(AccountsBusy, match="no file of accounts"):
            call()
    assert list(tmp_path.iterdir()) == []


def _add(path: str, start: object, number: int) -> None:
    getattr(start, "wait")()  # noqa: B009 - a barrier of the other process has no type that is said
    for n in range(5):
        Accounts(Path(path)).add(f"name{number}.{n}")


def test_processes_that_make_the_file_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    workers = [context.Process(target=_add, args=(str(tmp_path / "users.db"), start, n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(Accounts(tmp_path / "users.db").all()) == 15


def test_a_file_whose_making_was_cut_off_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is marked as ours, but has no tables, would be of no use for ever."""
    accounts = made(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("ropewalk.auth.accounts._TABLES", ("create table account (name text)", "no SQL at all"))
        with pytest.raises(AccountsBusy):
            accounts.add("anna")
    accounts.add("anna")
    assert [account.name for account in accounts.all()] == ["anna"]


def test_what_goes_wrong_in_a_call_changes_nothing(tmp_path: Path) -> None:
    accounts = made(tmp_path, "anna")
    with pytest.raises(BadAccount):
        accounts.add("Anna")  # differs in its case alone
    assert [account.name for account in accounts.all()] == ["anna"]


def test_an_account_that_goes_while_it_gets_a_key(tmp_path: Path) -> None:
    """Two writers: whoever looks first writes first, so it is an account that is not there, and no damage."""
    accounts, found = made(tmp_path, *(f"name{n}" for n in range(40))), []
    gate = threading.Barrier(2)

    def both(call: object, n: int) -> None:
        gate.wait(20)
        try:
            if call == "add":
                accounts.add_token(f"name{n}")
            else:
                accounts.remove(f"name{n}")
        except NoAccount as error:
            found.append(error)

    with ThreadPoolExecutor(2) as threads:
        for n in range(40):
            for future in [threads.submit(both, call, n) for call in ("add", "remove")]:
                future.result(30)
    assert accounts.all() == []


def test_a_file_that_another_writes_to_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = made(tmp_path, "anna")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **{**options, "timeout": 0}))
    other = connect(accounts.path, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(AccountsBusy, match="locked"):
        accounts.add("bob")
    assert accounts.password_of("anna").groups == {"staff", "chess"}  # readers go on
    other.execute("rollback")
    other.close()
    accounts.add("bob")


def test_what_a_writer_left_half_done_is_undone_by_the_next_reader(tmp_path: Path) -> None:
    """As after a loss of power: a server that only reads must not wait for somebody to write."""
    accounts = made(tmp_path, "anna")
    cut = tmp_path / "cut.db"
    with closing(sqlite3.connect(accounts.path, isolation_level=None)) as file:
        file.execute("pragma cache_size = 1")  # so that pages are written before the transaction ends
        file.execute("begin immediate")
        file.execute("update account set groups = 'admin'")
        for n in range(200):
            file.execute("insert into account values (?, ?, ?, '')", (f"name{n}", f"name{n}", "x" * 500))
        for end in ("", "-journal"):
            shutil.copy(f"{accounts.path}{end}", f"{cut}{end}")
        file.execute("rollback")
    found = Accounts(cut).all()
    assert [(account.name, account.groups) for account in found] == [("anna", frozenset({"staff", "chess"}))]


def test_a_file_of_another_version_or_that_anybody_can_write_to(tmp_path: Path) -> None:
    accounts = made(tmp_path, "anna")
    accounts.path.chmod(0o666)
    with pytest.raises(AccountsDamaged, match="can be changed by anybody"):
        accounts.bearer_of("x")
    accounts.path.chmod(0o600)
    with sqlite3.connect(accounts.path) as file:
        file.execute("pragma user_version = 2")
    file.close()
    with pytest.raises(AccountsDamaged, match="of version 2, expected 1"):
        accounts.all()


async def test_a_password_of_other_costs_is_stretched_anew_at_login(tmp_path: Path) -> None:
    accounts = made(tmp_path, "anna")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("MEMORY", 19456), ("PASSES", 2), ("LANES", 1)):
            patch.setattr(argon2, name, value)
        old = stretch("right")
    assert old.startswith(CHEAP)
    keep(accounts, "anna", old)
    checker = AccountsChecker(accounts)
    with pytest.raises(Denied):
        await checker.check(Password("anna", "wrong"))
    assert accounts.password_of("anna").kept == old
    assert (await checker.check(Password("anna", "right"))).name == "anna"
    new = accounts.password_of("anna").kept
    assert new is not None
    assert is_current(new)
    await checker.check(Password("anna", "right"))
    assert accounts.password_of("anna").kept == new
    # Who changed the password meanwhile is not undone.
    accounts.stretched_anew("anna", old, HASH)
    assert accounts.password_of("anna").kept == new


async def test_a_login_does_not_hang_on_being_stretched_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def busy(*_: object) -> None:
        raise AccountsBusy("read only")

    accounts = made(tmp_path, "anna")
    monkeypatch.setattr("ropewalk.auth.checkers.is_current", lambda kept: False)
    monkeypatch.setattr(accounts, "stretched_anew", busy)
    keep(accounts, "anna", HASH)
    assert (await AccountsChecker(accounts).check(Password("anna", "right"))).name == "anna"
    assert "a password was not stretched anew: read only" in caplog.text


async def test_a_name_that_is_not_there_costs_what_its_neighbours_do(tmp_path: Path) -> None:
    accounts = made(tmp_path, "bob", "dora")
    assert accounts.password_of("anna").like is None
    dear = HASH.replace("m=65536,t=3", "m=131072,t=4")
    keep(accounts, "bob", dear)
    for name in ("anna", "carl", "zoe", "\udc80"):
        found = accounts.password_of(name)
        assert (found.kept, found.like, found.groups) == (None, dear, frozenset())
    assert is_hash(dear)
    assert dear not in repr(accounts.password_of("bob"))


async def test_a_token_for_some_groups(tmp_path: Path) -> None:
    accounts = made(tmp_path, "anna")
    checker = AccountsChecker(accounts)
    some = accounts.add_token("anna", groups=frozenset({"chess", "admin"}))
    none, every = accounts.add_token("anna", groups=frozenset()), accounts.add_token("anna")
    assert (await checker.check(Token(some))).groups == {"chess"}
    assert (await checker.check(Token(none))).groups == frozenset()
    assert (await checker.check(Token(every))).groups == {"chess", "staff"}
    accounts.set_groups("anna", frozenset({"admin"}))  # what the account loses or gains, its tokens do
    assert [(await checker.check(Token(token))).groups for token in (some, none, every)] == [
        {"admin"},
        frozenset(),
        {"admin"},
    ]
    for call in (
        lambda: accounts.add_token("anna", groups=frozenset({"a b"})),
        lambda: accounts.set_groups("anna", frozenset({"a b"})),
        lambda: accounts.add_token("anna", 0),
        lambda: accounts.add_token("anna", float("nan")),
    ):
        with pytest.raises(BadAccount):
            call()
    with pytest.raises(NoAccount):
        accounts.set_groups("bob", frozenset())


async def test_keys_are_taken_back(tmp_path: Path) -> None:
    accounts, key = made(tmp_path, "anna"), public_key(key_line())
    accounts.add_key("anna", key, "lost laptop")
    checker = AccountsChecker(accounts)
    identity = await checker.check(HeldKey("", key))
    assert (identity.name, identity.key) == ("anna", key)
    assert accounts.drop_keys("anna", "desk") == 0
    assert accounts.drop_keys("anna", "lost laptop") == 1
    with pytest.raises(Denied):
        await checker.check(HeldKey("", key))


@pytest.mark.parametrize("comment", ["two\nlines", "\x1b[2J", "x" * 129, "\udc80", "a\u202eb"])
def test_comments_that_would_lead_a_terminal(tmp_path: Path, comment: str) -> None:
    accounts = made(tmp_path, "anna")
    for call in (
        lambda: accounts.add_token("anna", comment=comment),
        lambda: accounts.add_key("anna", public_key(key_line()), comment),
    ):
        with pytest.raises(BadAccount, match="got the comment"):
            call()


def test_names_that_no_query_can_carry(tmp_path: Path) -> None:
    accounts = made(tmp_path, "anna")
    for call in (
        lambda: accounts.remove("\udc80"),
        lambda: accounts.set_password("\udc80", None),
        lambda: accounts.add_token("\udc80"),
    ):
        with pytest.raises(NoAccount):
            call()
    assert accounts.drop_tokens("\udc80", "x") == 0


def _line(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | dsa.DSAPublicKey) -> str:
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def test_kinds_of_keys(tmp_path: Path) -> None:
    accounts = made(tmp_path, "anna")
    good = [_line(rsa.generate_private_key(65537, 2048).public_key()), key_line()]
    good += [_line(ec.generate_private_key(curve).public_key()) for curve in (ec.SECP256R1(), ec.SECP384R1())]
    for line in good:
        accounts.add_key("anna", public_key(line))
    weak = _line(rsa.generate_private_key(65537, 1024).public_key())  # noqa: S505 - it is to be refused
    with pytest.raises(BadKey, match="got an RSA key of 1,024 bits, expected 2,048"):
        public_key(weak)
    kind, blob = good[1].split()[:2]
    for line in (
        f"ssh-ed25519-cert-v01@openssh.com {blob}",  # a certificate is a statement by another key
        f"sk-ssh-ed25519@openssh.com {blob}",
        f"ssh-rsa {blob}",
        f"{kind} {blob[:-8]}",
        f"{kind} {good[0].split()[1]}",
        f'command="ls" {kind} {blob}',
        f"{kind} AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",  # of small order
    ):
        with pytest.raises(BadKey):
            public_key(line)
    for raw in (b"", b"key", b"\xff" * 51, bytes(9000)):
        with pytest.raises(BadKey):
            accounts.add_key("anna", raw)


async def test_one_stretcher_serves_as_many_checkers_as_share_it(tmp_path: Path) -> None:
    stretcher, accounts = Stretcher(), made(tmp_path, "anna")
    accounts.set_password("anna", "pass word")
    for _ in range(2):
        assert (await AccountsChecker(accounts, stretcher).check(Password("anna", "pass\u00a0word"))).name == "anna"
