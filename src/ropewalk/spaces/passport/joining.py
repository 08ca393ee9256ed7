"""Joining: what is kept of a store once it was looked at again (docs/spec/passport.md 3).

Flow: Passport that was known, the new one -> joined -> Passport to keep
Never: forgets that a store was bad before that was tried again, or lets a quick look take anything back.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from ropewalk.spaces.passport.record import MOST_FINDINGS, Finding, Passport
from ropewalk.spaces.passport.terms import due
from ropewalk.spaces.store import LARGEST_OBJECT

__all__ = ["joined"]

_LASTING = "durability"  # a look takes over by itself what it did not try of it


def joined(known: Passport | None, new: Passport) -> Passport:
    """What is kept.

    Args:
        known: What was, by the same device.
        new: What a look has found since.
    """
    if known is None:
        return new
    if not new.quick:
        return _with(new, [one for one in known.findings if one.verdict == "bad" and not _tried_again(one, new)])
    fuller = not known.quick and not due(known, new.time, new.kind, new.software)
    if fuller and not any(_worse(one, known.finding(one.probe)) for one in new.findings):
        lasting = new.finding(_LASTING)
        return replace(_with(known, [lasting] if lasting is not None else []), left=new.left)
    return _with(new, [one for one in known.findings if _worse(one, new.finding(one.probe))])


def _with(passport: Passport, others: Iterable[Finding]) -> Passport:
    """A passport with other findings in the place of its own, or besides."""
    findings = {finding.probe: finding for finding in passport.findings}
    findings.update((finding.probe, finding) for finding in others)
    return replace(passport, findings=tuple(findings.values())[:MOST_FINDINGS])


def _tried_again(bad: Finding, new: Passport) -> bool:
    """Whether a full look has tried what was bad; a store that takes nothing, or has no room, is tried less."""
    finding = new.finding(bad.probe)
    if bad.probe == _LASTING:
        return True
    if finding is None:  # also what another version tries, and this one would hold against the store for ever
        writes = new.finding("writes")
        return writes is not None and writes.verdict == "good"
    if finding.probe == "largest" and finding.verdict == "good":
        return _bytes(finding) >= _bytes(bad)
    return finding.verdict != "unknown"


def _worse(one: Finding, other: Finding | None) -> bool:
    if one.probe == _LASTING:
        return False
    return _weight(one) > (_weight(other) if other is not None else (0, 0))


def _weight(finding: Finding) -> tuple[int, int]:
    rank = {"limited": 1, "bad": 2}.get(finding.verdict, 0)
    if rank == 1 and finding.probe == "largest":
        return rank, -_bytes(finding)
    return rank, int(rank == 1 and finding.value == "no")


def _bytes(finding: Finding) -> int:
    """Of `largest`; all, where it does not say."""
    return min(finding.value, LARGEST_OBJECT) if isinstance(finding.value, int) else LARGEST_OBJECT
