"""Waiting: what waits on this machine to be published, and why it was not published yet, in words and as values.

Flow: ledger, queue's folder, what is known of the stores -> Queued -> status, warnings, commands
Never: asks a store.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from ropewalk.counting import count
from ropewalk.spaces.core import Core
from ropewalk.spaces.members.beyond import UNRELEASED
from ropewalk.spaces.state import KnownHead, State

__all__ = ["BESIDE", "Queued", "few_answer", "queued", "told_of_queue", "why_stuck"]

BESIDE = (
    "the stores hold another change of this device under the same number: its memory was restored from a backup, or"
    " copied"
)


@dataclass(frozen=True, slots=True)
class Queued:
    """What waits on this machine to be published.

    Attributes:
        allowed: Whether more may wait.
        limit: Bytes that their files may come to.
        changes: How many wait.
        size: Bytes of their files.
        since: When the oldest was made, in nanoseconds since 1970, a hint; None where none waits.
        stuck: Why they cannot be published, whatever the stores take; or nothing.
        away: Why too few stores answer; or nothing.
        tried: Why they were not published when that was last tried though enough stores answered; or nothing.
    """

    allowed: bool
    limit: int
    changes: int = 0
    size: int = 0
    since: int | None = None
    stuck: str = ""
    away: str = ""
    tried: str = ""

    @property
    def why(self) -> str:
        """Why they are not published yet; nothing where none waits, or where the next look does it."""
        return self.stuck or self.away or self.tried

    @property
    def words(self) -> str:
        """In words; nothing where none waits. Which stores are away is for others to say."""
        if self.since is None:
            return ""
        changes = count(self.changes, "change waits/changes wait")
        then = "to be published once enough stores answer"
        if self.stuck:
            then = f"and cannot be published: {self.stuck}"
        elif self.tried and not self.away:
            then = f"to be published once enough stores take it: {self.tried}"
        return f"{changes} on this machine alone, since {_date(self.since)}, {then}"

    @property
    def lines(self) -> list[str]:
        """The same, with how much, and how many stores answer."""
        if self.since is None:
            return []
        more = ""
        if not self.why:
            more = ": enough do now, and the next command does it"
        elif self.away and not self.stuck:
            more = f": {self.short}"
        return [f"{self.words}{more}; they fill {self.size:,} of {self.limit:,} bytes"]

    @property
    def short(self) -> str:
        """Why, without which stores are away."""
        return self.stuck or self.away.partition(" (")[0] or self.tried

    def as_dict(self) -> dict[str, object]:
        """As values that fit JSON; sizes are bytes, times nanoseconds."""
        return {
            "allowed": self.allowed,
            "limit": self.limit,
            "changes": self.changes,
            "bytes": self.size,
            "since": self.since,
            "stuck": bool(self.stuck),
            "why": self.why or None,
        }


def _date(nanoseconds: int) -> str:
    try:
        return datetime.fromtimestamp(nanoseconds / 10**9, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"@{nanoseconds // 10**9}"


async def queued(core: Core) -> Queued:
    """What waits, and why it was not published yet, by what is known of the stores."""
    queue = core.queue
    if queue is None:
        return Queued(False, 0)
    waiting = await core.ledger.do(State.queued)
    if not waiting:
        return Queued(core.offline, queue.limit)
    there = await asyncio.to_thread(queue.waiting)
    why = {
        "stuck": await _why_stuck(core, waiting[0][0]) or (core.stuck if core.lost else ""),
        "away": few_answer(core),
        "tried": core.stuck,
    }
    return Queued(core.offline, queue.limit, len(waiting), there.size, waiting[0][1], **why)


def few_answer(core: Core) -> str:
    """Why a head could not be acknowledged now, or nothing: by what is known of the stores, without asking them."""
    pool, fit = core.pool, core.pool.fit
    usable = [name for name in fit if pool.up(name)]
    if len(usable) >= core.head_floor:
        return ""
    out = "; ".join(why for name in pool.names if (why := pool.why_not(name)))
    reasons = f" ({out})" if out else ""
    return f"{len(usable)} of {len(pool.takers)} stores answer, the write floor is {core.head_floor}{reasons}"


async def _why_stuck(core: Core, oldest: KnownHead) -> str:
    """Why the oldest change that waits may not be published, whatever the stores take; or nothing."""
    if await core.ledger.do(State.has_head_from, oldest.writer, oldest.sequence):
        return BESIDE
    return why_stuck(core)


def why_stuck(core: Core) -> str:
    """Why nothing of this device's may be published, or nothing: it is not for the stores to change that."""
    membership, device = core.membership, core.device.public().id
    if membership.unreleased:
        return UNRELEASED
    if membership.read_only:
        return "the space needs a newer version of ropewalk to be written"
    if membership.state.may_write(device):
        return ""
    if device in membership.state.frozen:
        return "this device is frozen"
    role = membership.state.role_of(device)
    if role is None:
        return "this device was put out"
    return f"this device may not write here any more: its role is {role.name.lower()}"


async def told_of_queue(core: Core, name: str) -> str:
    """What to tell people of what waits, or nothing.

    Args:
        core: The space.
        name: What the user calls it.
    """
    said = (await queued(core)).words
    return f"{said} (`ropewalk space queue {name}`)" if said else ""
