"""Unlock: where the passphrase of the device keys comes from when nobody types it.

Flow: an argument, $ROPEWALK_PASSPHRASE or the system's keyring -> passphrase -> Home.open_keys -> DeviceKeys
Never: asks anybody, or takes a passphrase from a command's arguments, which every user of a machine can see.
"""

from __future__ import annotations

import os
from types import ModuleType

from ropewalk.errors import Misuse, Unavailable
from ropewalk.spaces.home import Home, write_file
from ropewalk.spaces.identity import DeviceKeys, KeysAhead, WrongPassphrase

__all__ = [
    "VARIABLE",
    "KeyringSilent",
    "NoPassphrase",
    "checked_passphrase",
    "forget_keyring",
    "known_passphrase",
    "lock_with_keyring",
    "unlock",
]

VARIABLE = "ROPEWALK_PASSPHRASE"
SERVICE = "ropewalk"
_ACCOUNT = "keyring.account"  # the file that says that the passphrase is in the keyring, and under which name


class NoPassphrase(Misuse):
    """There is no passphrase to open the device keys with."""

    code = "unlock.no-passphrase"


class KeyringSilent(Unavailable):
    """The system's keyring does not do what it is asked."""

    code = "unlock.keyring-silent"


def checked_passphrase(passphrase: str, source: str) -> str:
    """``passphrase``, once it is known to be one.

    Raises:
        NoPassphrase: It is empty, or not UTF-8.
    """
    if not passphrase:
        raise NoPassphrase(f"the passphrase from {source} is empty")
    try:
        passphrase.encode()
    except UnicodeEncodeError:
        raise NoPassphrase(f"the passphrase from {source} is not UTF-8") from None
    return passphrase


def known_passphrase(home: Home) -> tuple[str, str] | None:
    """A passphrase that need not be asked for, and where it comes from; None where there is none.

    Raises:
        NoPassphrase: There is one that cannot be right.
        KeyringSilent: It is in the keyring, which does not give it.
    """
    if (given := os.environ.get(VARIABLE)) is not None:
        return checked_passphrase(given, f"${VARIABLE}"), f"${VARIABLE}"
    try:
        account = (home.config / _ACCOUNT).read_text().strip()
    except FileNotFoundError:
        return None
    return _from_keyring(account), "the system's keyring"


def unlock(
    home: Home, passphrase: str | None = None, source: str = "the caller", ahead: KeysAhead | None = None
) -> DeviceKeys:
    """The device keys.

    Args:
        home: Where they are.
        passphrase: Opens them; one that is known, by default.
        source: Where the passphrase comes from, for people.
        ahead: Has perhaps begun to open them.

    Raises:
        NotSetUp, NoPassphrase, WrongPassphrase, KeysDamaged, KeyringSilent.
    """
    if passphrase is None:
        known = known_passphrase(home) if home.has_keys else ("", "")
        if known is None:
            raise NoPassphrase("no passphrase is known", hint=f"give it, or set {VARIABLE}")
        passphrase, source = known
    try:
        return home.open_keys(passphrase, ahead)
    except WrongPassphrase as error:
        raise WrongPassphrase(str(error), hint=f"the passphrase came from {source}") from None


def lock_with_keyring(home: Home) -> str:
    """A new random passphrase, kept in the system's keyring.

    Raises:
        KeyringSilent: There is no keyring, or it does not take it.
    """
    import secrets

    passphrase, account = secrets.token_urlsafe(32), f"device-{secrets.token_hex(8)}"
    ring = _keyring()
    try:
        ring.set_password(SERVICE, account, passphrase)
    except Exception as error:
        raise _silent(error) from error
    if _from_keyring(account) != passphrase:
        raise KeyringSilent(
            "the system's keyring does not give back what was put into it", hint="use a passphrase instead"
        )
    home.config.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_file(home.config / _ACCOUNT, account.encode() + b"\n")
    return passphrase


def forget_keyring(home: Home) -> None:
    """From now on the passphrase is not in the keyring: new keys were sealed with another."""
    (home.config / _ACCOUNT).unlink(missing_ok=True)


def _from_keyring(account: str) -> str:
    try:
        found = _keyring().get_password(SERVICE, account)
    except Exception as error:
        raise _silent(error) from error
    if found is None:
        raise KeyringSilent(
            f"the system's keyring has no passphrase for {account}",
            hint="is this the login that ran `ropewalk init`? the paper key helps if it is lost",
        )
    return str(found)


def _keyring() -> ModuleType:
    try:
        import keyring
    except ImportError:
        raise KeyringSilent("the keyring package is not installed", hint="pip install 'ropewalk[keyring]'") from None
    return keyring


def _silent(error: Exception) -> KeyringSilent:
    said = str(error).splitlines() or [type(error).__name__]
    return KeyringSilent(f"the system's keyring does not answer: {said[0]}", hint="use a passphrase instead")
