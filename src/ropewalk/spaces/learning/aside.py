"""Aside: what was looked at and is of no use yet is passed over, until what it lacks is there.

Flow: names that stores show -> those that are worth a fetch; what became of objects -> ledger
Never: passes an object over for anything but its own bytes: a name commits to them.
"""

from __future__ import annotations

from collections.abc import Iterable

from ropewalk._version import __version__
from ropewalk.spaces.core import Core
from ropewalk.spaces.learning.sight import Waiting
from ropewalk.spaces.members import Membership
from ropewalk.spaces.state import CLOSED, JUNK, NEVER, RECORDS, State

__all__ = ["CLOSED", "JUNK", "NEVER", "RECORDS", "AsideRow", "aside", "digest_in", "put_aside", "still_waiting"]

AsideRow = tuple[bytes, bytes, bytes]  # as `State.put_aside` takes them


async def aside(core: Core) -> dict[bytes, bytes]:
    """By the hash in its name, until when an object is put aside."""
    return await core.ledger.do(State.aside, __version__.encode(), _mark(core.membership))


async def put_aside(core: Core, rows: Iterable[AsideRow]) -> None:
    """Put objects aside."""
    if rows := list(rows):
        await aside(core)  # those of other records go first
        await core.ledger.do(State.put_aside, __version__.encode(), _mark(core.membership), rows)


def digest_in(name: str) -> bytes:
    """The hash in the name of a record, or nothing where it is no record's."""
    try:
        return bytes.fromhex(name.rpartition("/")[2])
    except ValueError:
        return b""


def _mark(membership: Membership) -> bytes:
    # Records only ever come; one process may lack what another has kept, and then it has another count of them.
    return b"%d " % len(membership.verified) + b"".join(membership.frontier[:1])


def still_waiting(waiting: Waiting, membership: Membership) -> list[AsideRow]:
    """Rows for heads that wait; not for those that some unknown head of a branch would settle."""
    rows = []
    for missing, several in waiting.by_hash.items():
        for one, _ in several:
            if missing or not membership.knows(one.head.member.membership if one.head.member else ()):
                rows.append((one.head.name.check, one.head.hash, missing or RECORDS))
    return rows
