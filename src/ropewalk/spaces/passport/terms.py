"""Terms: what follows from a passport (docs/spec/passport.md 4).

Flow: Passport, or None -> terms -> the pool; Passport, now -> due -> whoever looks again
Never: looks at a store or a clock.
"""

from __future__ import annotations

from ropewalk._version import __version__
from ropewalk.spaces.passport.record import Passport
from ropewalk.spaces.store import LARGEST_OBJECT, Terms

__all__ = ["EVERY", "SOONER", "due", "said_of_refused", "terms"]

EVERY = 30 * 24 * 3600 * 10**9  # nanoseconds after which a store is looked at again
SOONER = 24 * 3600 * 10**9  # the same, of one that is refused: what was wrong may have been mended


def terms(passport: Passport | None) -> Terms:
    """On what terms a store is used; without a passport it is used for everything."""
    if passport is None:
        return Terms()
    limited = [finding for finding in passport.findings if finding.verdict == "limited"]
    without = {finding.probe for finding in limited if finding.value == "no"}
    bad = [
        finding.words or f"{finding.probe} is bad"  # never "", which would refuse nothing
        for finding in passport.findings
        if finding.verdict == "bad" or (finding.probe == "writes" and "writes" in without)
    ]
    largest = passport.finding("largest")
    most = LARGEST_OBJECT
    if largest is not None and largest.verdict == "limited" and isinstance(largest.value, int):
        most = min(max(largest.value, 0), LARGEST_OBJECT)
    return Terms(
        refused=bad[0] + (f" (and {len(bad) - 1} more)" if len(bad) > 1 else "") if bad else "",
        largest=most,
        deletes="delete" not in without,
        hints="hints" not in without,
        limits=tuple(f"{finding.probe}: {finding.words}" for finding in limited),
    )


def said_of_refused(name: str, terms: Terms) -> str:
    """What people are told of a store into which nothing is put."""
    return f"store {name} is not written to: {terms.refused}; `ropewalk store passport {name}` looks at it again"


def due(passport: Passport | None, now: int, kind: str | None = None, software: str = __version__) -> bool:
    """Whether a store is to be looked at again.

    Args:
        passport: What is known, if anything.
        now: Nanoseconds since 1970.
        kind: What it is reached by now, where that is known.
        software: The version that would look.
    """
    if passport is None or passport.quick or passport.software != software:
        return True
    if kind is not None and passport.kind != kind:
        return True
    age = now - passport.time
    return not 0 <= age < (SOONER if terms(passport).refused else EVERY)
