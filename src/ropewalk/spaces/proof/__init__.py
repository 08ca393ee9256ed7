"""Proof: files that show a stranger what a device signed, or what somebody says a store did (docs/spec/groups.md 6).

In the order to read them: ``forms``, ``telling``, ``checking``, ``making``.
"""

from ropewalk.spaces.proof.checking import accusation, seen_less, verify
from ropewalk.spaces.proof.forms import LARGEST_PROOF_FILE, Kind, ProofDamaged, Statement, Verdict, digest
from ropewalk.spaces.proof.making import (
    exhibit_of,
    introductions,
    listing,
    listing_without,
    opened_exhibit,
    prove,
    signed_exhibit,
)
from ropewalk.spaces.proof.telling import RecordSays, record_says

__all__ = [
    "LARGEST_PROOF_FILE",
    "Kind",
    "ProofDamaged",
    "RecordSays",
    "Statement",
    "Verdict",
    "accusation",
    "digest",
    "exhibit_of",
    "introductions",
    "listing",
    "listing_without",
    "opened_exhibit",
    "prove",
    "record_says",
    "seen_less",
    "signed_exhibit",
    "verify",
]
