"""Proof: files that show a stranger what a device signed, or what somebody says a store did (docs/spec/groups.md 6).

In the order to read them: ``forms``, ``checking``, ``making``.
"""

from ropewalk.spaces.proof.checking import accusation, seen_less, verify
from ropewalk.spaces.proof.forms import LARGEST_PROOF_FILE, Kind, ProofDamaged, Statement, Verdict, digest
from ropewalk.spaces.proof.making import introductions, listing, opened_exhibit, prove, signed_exhibit

__all__ = [
    "LARGEST_PROOF_FILE",
    "Kind",
    "ProofDamaged",
    "Statement",
    "Verdict",
    "accusation",
    "digest",
    "introductions",
    "listing",
    "opened_exhibit",
    "prove",
    "seen_less",
    "signed_exhibit",
    "verify",
]
