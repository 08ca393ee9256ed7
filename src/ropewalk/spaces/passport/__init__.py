"""Passports: what a store was seen to do, signed by the device that looked (docs/spec/passport.md).

Flow: Store -> renew -> Passport in the home -> load -> terms -> the pool
Never: believes what a store says of itself, or lets what it does not know count against a store.
"""

from __future__ import annotations

from ropewalk.spaces.passport.ground import left_prefix, prefix_of
from ropewalk.spaces.passport.joining import joined
from ropewalk.spaces.passport.kept import BeingLookedAt, keep, kind_of, load, mark, renew, terms_of
from ropewalk.spaces.passport.looking import NothingLeft, look
from ropewalk.spaces.passport.record import Finding, Passport, PassportDamaged, open_passport, sign
from ropewalk.spaces.passport.terms import EVERY, SOONER, due, said_of_refused, terms

__all__ = [
    "EVERY",
    "SOONER",
    "BeingLookedAt",
    "Finding",
    "NothingLeft",
    "Passport",
    "PassportDamaged",
    "due",
    "joined",
    "keep",
    "kind_of",
    "left_prefix",
    "load",
    "look",
    "mark",
    "open_passport",
    "prefix_of",
    "renew",
    "said_of_refused",
    "sign",
    "terms",
    "terms_of",
]
