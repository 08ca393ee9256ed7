"""Aside: what was looked at and is of no use yet is passed over, until what it lacks is there.

Flow: names that stores show -> those that are worth a fetch; what became of objects -> ledger
Never: passes an object over for what lies under another name, be it the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ropewalk._version import __version__
from ropewalk.spaces.conduct import Wait
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import Head, HeadName
from ropewalk.spaces.learning.sight import Waiting
from ropewalk.spaces.members import Membership
from ropewalk.spaces.state import CLOSED, JUNK, NEVER, RECORDS, AsideRow, State

__all__ = [
    "CLOSED",
    "JUNK",
    "NEVER",
    "RECORDS",
    "AsideRow",
    "aside",
    "misfit",
    "put_aside",
    "still_waiting",
    "worth_asking",
]


async def aside(core: Core) -> dict[str, bytes]:
    """By its name, until when an object is put aside."""
    return await core.ledger.do(State.aside, __version__.encode(), _mark(core.membership))


async def put_aside(core: Core, rows: Iterable[AsideRow]) -> None:
    """Put objects aside."""
    if rows := list(rows):
        await aside(core)  # those of other records go first
        await core.ledger.do(State.put_aside, __version__.encode(), _mark(core.membership), rows)


def misfit(store: str, name: str) -> str:
    """Under which name it is put aside that one store has other bytes there than the name says: others may have them.

    Who may put into every store could else fill each look with names that fit nothing, and hide what comes after them.
    """
    return f"{store} {name}"


def worth_asking(
    wanted: Mapping[HeadName, Sequence[str]], held: Mapping[str, bytes], *, listed: bool
) -> tuple[dict[HeadName, Sequence[str]], dict[str, bytes]]:
    """Heads, each with the stores that were not found to have others there; and what is passed over, until when."""
    worth: dict[HeadName, Sequence[str]] = {}
    passed: dict[str, bytes] = {}
    for name, stores in wanted.items():
        text = name.encode()
        worth[name] = [store for store in stores if misfit(store, text) not in held]
        if text in held:
            passed[text] = held[text]
        elif listed and not worth[name]:
            passed[text] = JUNK
    return worth, passed


def _mark(membership: Membership) -> bytes:
    # Records only ever come; one process may lack what another has kept, and then it has another count of them.
    return b"%d " % len(membership.verified) + b"".join(membership.frontier[:1])


def still_waiting(waiting: Waiting, membership: Membership) -> list[AsideRow]:
    """Rows for heads that wait; not for those that more of a branch would settle, from wherever that comes."""
    return [
        _row(one.head, wait)
        for several in waiting.by_hash.values()
        for one, wait in several
        if wait.missing or wait.past or not membership.knows(one.head.member.membership if one.head.member else ())
    ]


def _row(head: Head, wait: Wait) -> AsideRow:
    name, until = head.name.encode(), wait.missing or RECORDS
    awaited, past = wait.past or (b"", 0)
    return AsideRow(name, until, head.hash, head.name.writer, head.name.sequence, awaited, past)
