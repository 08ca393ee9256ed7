"""Aside: what was looked at and is of no use yet is passed over, until what it lacks is there.

Flow: names that stores show -> those that are worth a fetch; what became of objects -> ledger
Never: passes an object over for what lies under another name, be it the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from ropewalk._version import __version__
from ropewalk.spaces.conduct import Wait
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import Head
from ropewalk.spaces.learning.sight import Waiting
from ropewalk.spaces.members import Membership
from ropewalk.spaces.state import CLOSED, JUNK, NEVER, RECORDS, AsideRow, State

__all__ = ["CLOSED", "JUNK", "NEVER", "RECORDS", "AsideRow", "aside", "put_aside", "still_waiting"]


async def aside(core: Core) -> dict[str, bytes]:
    """By its name, until when an object is put aside."""
    return await core.ledger.do(State.aside, __version__.encode(), _mark(core.membership))


async def put_aside(core: Core, rows: Iterable[AsideRow]) -> None:
    """Put objects aside."""
    if rows := list(rows):
        await aside(core)  # those of other records go first
        await core.ledger.do(State.put_aside, __version__.encode(), _mark(core.membership), rows)


def _mark(membership: Membership) -> bytes:
    # Records only ever come; one process may lack what another has kept, and then it has another count of them.
    return b"%d " % len(membership.verified) + b"".join(membership.frontier[:1])


def still_waiting(waiting: Waiting, membership: Membership) -> list[AsideRow]:
    """Rows for heads that wait; not for those that some unknown head of a branch would settle."""
    return [
        _row(one.head, wait)
        for several in waiting.by_hash.values()
        for one, wait in several
        if wait.missing or not membership.knows(one.head.member.membership if one.head.member else ())
    ]


def _row(head: Head, wait: Wait) -> AsideRow:
    name, until = head.name.encode(), wait.missing or RECORDS
    if not wait.missing:
        return AsideRow(name, until, head.hash, head.name.writer, head.name.sequence)
    awaited, past = wait.past or (b"", 0)
    return AsideRow(name, until, head.hash, head.name.writer, head.name.sequence, head.envelope.previous, awaited, past)
