"""Auth: who is there, and what they may do; one answer for every protocol.

Flow: credentials by a channel -> Portal -> checkers -> Identity -> realm -> perspective
Never: speaks a protocol.
"""

from __future__ import annotations

from ropewalk.auth.accounts import Account, Accounts, AccountsDamaged, BadAccount, NoAccount
from ropewalk.auth.checkers import (
    AccountsChecker,
    AnonymousChecker,
    KeysChecker,
    PasswordsChecker,
    UnknownChecker,
    checker_of,
    public_key,
)
from ropewalk.auth.credentials import Anonymous, Channel, Credentials, HeldKey, Password, Token
from ropewalk.auth.interface import Checker, Denied, Identity, NoPerspective, Realm
from ropewalk.auth.limits import FailureLimits, Rate
from ropewalk.auth.passwords import Stretcher, TooBusy, is_hash, stretch
from ropewalk.auth.portal import ChannelNotVerified, Login, LoginSilent, Portal, TooManyFailures
from ropewalk.auth.proofs import ed25519_blob, verify_ed25519
from ropewalk.auth.realms import Perspectives

__all__ = [
    "Account",
    "Accounts",
    "AccountsChecker",
    "AccountsDamaged",
    "Anonymous",
    "AnonymousChecker",
    "BadAccount",
    "Channel",
    "ChannelNotVerified",
    "Checker",
    "Credentials",
    "Denied",
    "FailureLimits",
    "HeldKey",
    "Identity",
    "KeysChecker",
    "Login",
    "LoginSilent",
    "NoAccount",
    "NoPerspective",
    "Password",
    "PasswordsChecker",
    "Perspectives",
    "Portal",
    "Rate",
    "Realm",
    "Stretcher",
    "Token",
    "TooBusy",
    "TooManyFailures",
    "UnknownChecker",
    "checker_of",
    "ed25519_blob",
    "is_hash",
    "public_key",
    "stretch",
    "verify_ed25519",
]
