"""`ropewalk account`: names, passwords, keys and tokens that a server lets in.

Flow: words, a password that is typed or piped -> auth.Accounts -> the file that a service's configuration names
Never: takes a password from the arguments, or shows a token twice.
"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ropewalk.auth import Account, Accounts, BadAccount, public_key
from ropewalk.cli.options import COMMON, Common
from ropewalk.errors import Missing, Misuse

__all__ = ["add", "key", "list_accounts", "password", "remove", "token"]

File = Annotated[Path, Parameter(name="--in", metavar="FILE", help="The file of accounts; `add` makes it.")]
Name = Annotated[str, Parameter(help="The account's name.")]


def add(
    name: Name,
    /,
    *,
    file: File,
    groups: Annotated[str, Parameter(help="What it belongs to, with commas between.")] = "",
    no_password: Annotated[bool, Parameter(help="It comes in by a key or a token only.")] = False,
    common: Common = COMMON,
) -> int:
    """Make an account. The password is typed, or read from a pipe."""
    accounts = Accounts(file)
    wanted = frozenset(group for group in groups.split(",") if group)
    accounts.add(name, None if no_password else _password(), wanted)
    common.voice.done(f"account {name} is in {file}", {"name": name, "groups": sorted(wanted)})
    return 0


def remove(name: Name, /, *, file: File, common: Common = COMMON) -> int:
    """Take an account away, with its keys and tokens."""
    Accounts(file).remove(name)
    common.voice.done(f"account {name} is gone", {"name": name})
    return 0


def password(
    name: Name,
    /,
    *,
    file: File,
    none: Annotated[bool, Parameter(name="--none", help="No password opens it any more.")] = False,
    common: Common = COMMON,
) -> int:
    """Change an account's password."""
    Accounts(file).set_password(name, None if none else _password())
    common.voice.done(f"account {name} has {'no' if none else 'a new'} password", {"name": name, "password": not none})
    return 0


def key(
    name: Name,
    public: Annotated[Path, Parameter(help="A public key as OpenSSH writes it: id_ed25519.pub.")],
    /,
    *,
    file: File,
    common: Common = COMMON,
) -> int:
    """Let the holder of an SSH key in."""
    try:
        line = public.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise Missing(f"no file {public}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"{public} cannot be read as a public key: {error}") from None
    comment = line.split(maxsplit=2)[2] if len(line.split()) > 2 else public.name
    Accounts(file).add_key(name, public_key(line), comment)
    common.voice.done(f"the holder of {comment} comes in as {name}", {"name": name, "key": comment})
    return 0


def token(
    name: Name,
    /,
    *,
    file: File,
    days: Annotated[float | None, Parameter(help="How long it is good; without this, until it is dropped.")] = None,
    called: Annotated[str, Parameter(help="What it is for: it is dropped by this word.")] = "",
    drop: Annotated[bool, Parameter(help="Take back the tokens that are called so.")] = False,
    common: Common = COMMON,
) -> int:
    """Make a token for a program; it is shown this once. Or take tokens back."""
    accounts = Accounts(file)
    if drop:
        dropped = accounts.drop_tokens(name, called)
        if not dropped:
            raise Missing(f"{name} has no token that is called {called!r}", hint="`ropewalk account list` shows them")
        common.voice.done(f"{dropped} taken back", {"name": name, "dropped": dropped})
        return 0
    if days is not None and not days > 0:
        raise BadAccount(f"got {days:g} days, expected more than 0")
    made = accounts.add_token(name, days * 86_400 if days is not None else None, called)
    common.voice.answer([made], {"name": name, "token": made})
    return 0


def list_accounts(*, file: File, common: Common = COMMON) -> int:
    """Show who there is, and how they come in."""
    found = Accounts(file).all()
    common.voice.answer([_line(account) for account in found], {"accounts": [_fields(account) for account in found]})
    return 0


def _line(account: Account) -> str:
    ways = ["password"] if account.has_password else []
    ways += [f"key {comment}" for comment in account.keys]
    ways += [f"token {comment}".rstrip() for comment in account.tokens]
    groups = f" ({', '.join(sorted(account.groups))})" if account.groups else ""
    return f"{account.name}{groups}: {', '.join(ways) or 'no way in'}"


def _fields(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "groups": sorted(account.groups),
        "password": account.has_password,
        "keys": list(account.keys),
        "tokens": list(account.tokens),
    }


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().removesuffix("\n")
    try:
        first = getpass.getpass("password: ")
        if getpass.getpass("the same again: ") != first:
            raise BadAccount("the two passwords differ", hint="nothing was changed; try again")
    except EOFError:
        raise BadAccount("no password was given") from None
    return first
