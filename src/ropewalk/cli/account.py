"""`ropewalk account`: names, passwords, keys and tokens that a server lets in.

Flow: words, a password that is typed or piped -> auth.Accounts -> the file that a service's configuration names
Never: takes a password from the arguments, or shows a token twice.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ropewalk.auth import Account, Accounts, BadAccount, public_key
from ropewalk.cli.asking import secret
from ropewalk.cli.options import COMMON, Common
from ropewalk.errors import Missing, Misuse

__all__ = ["add", "groups", "key", "list_accounts", "password", "remove", "token"]

_LONGEST_KEY_FILE = 64 * 1024  # bytes
_LONGEST_LINE = 4096  # characters of a password that is piped, more than one may have

File = Annotated[Path, Parameter(name="--in", metavar="FILE", help="The file of accounts; `add` makes it.")]
Name = Annotated[str, Parameter(help="The account's name.")]
Groups = Annotated[str, Parameter(help="What it belongs to, with commas between.")]


def add(
    name: Name,
    /,
    *,
    file: File,
    groups: Groups = "",
    no_password: Annotated[bool, Parameter(help="It comes in by a key or a token only.")] = False,
    common: Common = COMMON,
) -> int:
    """Make an account. The password is typed, or read from a pipe."""
    accounts = Accounts(file)
    wanted = _named(groups)
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


def groups(
    name: Name,
    groups: Annotated[str, Parameter(help="With commas between; '' for none.")],
    /,
    *,
    file: File,
    common: Common = COMMON,
) -> int:
    """Change what an account belongs to. Who is in stays as they came."""
    wanted = _named(groups)
    Accounts(file).set_groups(name, wanted)
    said = ", ".join(sorted(wanted)) or "no group"
    common.voice.done(f"account {name} belongs to {said}", {"name": name, "groups": sorted(wanted)})
    return 0


def key(
    name: Name,
    public: Annotated[
        Path | None, Parameter(name="PUBLIC_KEY", help="A public key as OpenSSH writes it: id_ed25519.pub.")
    ] = None,
    /,
    *,
    file: File,
    called: Annotated[str, Parameter(help="What it is called in the list; by default, as in the file.")] = "",
    drop: Annotated[bool, Parameter(help="Take back the keys that are called so.")] = False,
    common: Common = COMMON,
) -> int:
    """Let the holder of an SSH key in. Or take keys back."""
    if drop == (public is not None):
        raise Misuse("expected either a public key, or --drop and what it is --called")
    if public is None:
        return _dropped(Accounts(file).drop_keys(name, called), name, "key", called, common)
    line = _key_line(public)
    comment = called or (line.split(maxsplit=2)[2] if len(line.split()) > 2 else public.name)
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
    groups: Annotated[str | None, Parameter(help="It is good for these of the account's alone; '' for none.")] = None,
    drop: Annotated[bool, Parameter(help="Take back the tokens that are called so.")] = False,
    common: Common = COMMON,
) -> int:
    """Make a token for a program; it is shown this once. Or take tokens back."""
    accounts = Accounts(file)
    if drop:
        if days is not None or groups is not None:
            raise Misuse(
                "got --drop with what a new token would have", hint="tokens are dropped by what they are --called"
            )
        return _dropped(accounts.drop_tokens(name, called), name, "token", called, common)
    if days is not None and not days > 0:
        raise BadAccount(f"got {days:g} days, expected more than 0")
    limited = None if groups is None else _named(groups)
    made = accounts.add_token(name, days * 86_400 if days is not None else None, called, limited)
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


def _named(groups: str) -> frozenset[str]:
    return frozenset(group.strip() for group in groups.split(",") if group.strip())


def _dropped(dropped: int, name: str, what: str, called: str, common: Common) -> int:
    if not dropped:
        raise Missing(f"{name} has no {what} that is called {called!r}", hint="`ropewalk account list` shows them")
    common.voice.done(f"{dropped} taken back", {"name": name, "dropped": dropped})
    return 0


def _key_line(public: Path) -> str:
    """The one line of a file; a file of many keys would give one of them in the name of all."""
    try:
        with public.open(encoding="utf-8") as file:
            lines = file.read(_LONGEST_KEY_FILE).strip().split("\n")
    except FileNotFoundError:
        raise Missing(f"no file {public}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"{public} cannot be read as a public key: {error}") from None
    if len(lines) > 1:
        raise Misuse(f"{public} has {len(lines)} lines, expected one public key")
    return lines[0]


def _password() -> str:
    try:
        if not sys.stdin.isatty():
            return sys.stdin.readline(_LONGEST_LINE).removesuffix("\n")
        first = secret("password: ")
        if secret("the same again: ") != first:
            raise BadAccount("the two passwords differ", hint="nothing was changed; try again")
    except EOFError:
        raise BadAccount("no password was given") from None
    except UnicodeDecodeError:
        raise BadAccount("the password is not UTF-8") from None
    return first
