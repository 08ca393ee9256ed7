"""Naming: the versions of a space as people see and name them: a list, and the first digits of a hash.

Flow: ledger -> heads by age; digits -> the one head that they mean
Never: leaves out a change of our own because it waits to be published.
"""

from __future__ import annotations

from ropewalk.errors import Missing
from ropewalk.spaces.core import Core
from ropewalk.spaces.state import ACKED, QUARANTINED, KnownHead, State

__all__ = ["UnknownVersion", "all_versions", "head_called"]

SHORTEST_PREFIX = 4  # hex digits that name a version


class UnknownVersion(Missing):
    """No version, or more than one, starts with these digits."""

    code = "space.unknown-version"


async def all_versions(core: Core) -> list[KnownHead]:
    """The acknowledged heads, and ours that wait, newest first: each before all that it has seen, whoever wrote them.

    Raises:
        MembersOnly.
    """
    core.check_reads()
    waiting = [head for head, _ in await core.ledger.do(State.queued)]
    return sorted([*await core.ledger.do(State.heads, ACKED), *waiting], key=_age, reverse=True)


async def head_called(core: Core, name: str, version: str) -> KnownHead:
    """The head whose hash begins with these digits, be it in quarantine.

    Args:
        core: The space.
        name: What the user calls it.
        version: The digits.

    Raises:
        UnknownVersion.
    """
    text = version.lower()
    if len(text) < SHORTEST_PREFIX or any(digit not in "0123456789abcdef" for digit in text):
        raise UnknownVersion(
            f"version {version!r} is not {SHORTEST_PREFIX} or more hex digits", hint=f"`ropewalk log {name}` shows them"
        )
    known = [*await all_versions(core), *await core.ledger.do(State.heads, QUARANTINED)]
    found = [head for head in known if head.hash.hex().startswith(text)]
    if len(found) != 1:
        raise UnknownVersion(
            f"{len(found) or 'no'} versions start with {version!r}", hint=f"`ropewalk log {name}` shows them"
        )
    return found[0]


def _age(head: KnownHead) -> tuple[int, int]:
    """Grows from a head to any that has seen it: sequences begin anew with each writer, and clocks jump."""
    return sum(sequence for sequence, _ in head.vector.values()), head.time
