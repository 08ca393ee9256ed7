"""Auth: who is there, and what they may do; one answer for every protocol.

Flow: credentials by a channel -> Portal -> checkers -> Identity -> realm -> perspective, until logout
Never: speaks a protocol.
"""

from __future__ import annotations

from ropewalk.auth.accounts import Account, Accounts, AccountsBusy, AccountsDamaged, KeptPassword, NoAccount
from ropewalk.auth.checkers import AccountsChecker, AnonymousChecker, UnknownChecker, checker_of
from ropewalk.auth.credentials import Anonymous, Channel, Credentials, HeldKey, Password, Token
from ropewalk.auth.files import FileSilent, KeysChecker, PasswordsChecker
from ropewalk.auth.interface import Checker, Denied, Identity, NoPerspective, Realm, Visit
from ropewalk.auth.keys import BadKey, ed25519_blob, public_key
from ropewalk.auth.limits import FailureLimits, Rate
from ropewalk.auth.names import BadAccount
from ropewalk.auth.passwords import Stretcher, TooBusy, is_hash, stretch
from ropewalk.auth.portal import ChannelNotVerified, Login, LoginSilent, Portal, TooManyFailures
from ropewalk.auth.proofs import KeyChallenge, proof_message, verify_ed25519
from ropewalk.auth.realms import Perspectives

__all__ = [
    "Account",
    "Accounts",
    "AccountsBusy",
    "AccountsChecker",
    "AccountsDamaged",
    "Anonymous",
    "AnonymousChecker",
    "BadAccount",
    "BadKey",
    "Channel",
    "ChannelNotVerified",
    "Checker",
    "Credentials",
    "Denied",
    "FailureLimits",
    "FileSilent",
    "HeldKey",
    "Identity",
    "KeptPassword",
    "KeyChallenge",
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
    "Visit",
    "checker_of",
    "ed25519_blob",
    "is_hash",
    "proof_message",
    "public_key",
    "stretch",
    "verify_ed25519",
]
