"""Passports: what a store was seen to do, signed by the device that looked (docs/spec/passport.md).

Flow: Store -> renew -> Passport in the home -> load -> terms -> the pool
Never: believes what a store says of itself, or lets what it does not know count against a store.
"""

from __future__ import annotations

from ropewalk.spaces.passport.kept import BeingLookedAt, keep, load, renew
from ropewalk.spaces.passport.looking import NothingLeft, look
from ropewalk.spaces.passport.record import Finding, Passport, PassportDamaged, open_passport, sign
from ropewalk.spaces.passport.terms import EVERY, SOONER, due, terms

__all__ = [
    "EVERY",
    "SOONER",
    "BeingLookedAt",
    "Finding",
    "NothingLeft",
    "Passport",
    "PassportDamaged",
    "due",
    "keep",
    "load",
    "look",
    "open_passport",
    "renew",
    "sign",
    "terms",
]
