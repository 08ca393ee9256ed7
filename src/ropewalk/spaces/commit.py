"""Commit: one change of a space, from where it stands to an acknowledged head.

Flow: standing -> base version -> Change, for the caller to fill -> tree -> publish -> Outcome
Never: writes a head that says nothing new, or begins where this device may not write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ropewalk.errors import Refused
from ropewalk.spaces.change import Change
from ropewalk.spaces.core import Core
from ropewalk.spaces.current import start_of_change
from ropewalk.spaces.head import LARGEST_EMBEDDED
from ropewalk.spaces.members import why_read_only
from ropewalk.spaces.publish import Outcome, begin_change, publish
from ropewalk.spaces.spool import Spool
from ropewalk.spaces.state import State
from ropewalk.spaces.tree.view import SETTLED
from ropewalk.spaces.writer import Writer

__all__ = ["Commit", "ReadOnly", "check_may_write", "committing"]

LONGEST_NOTE = 200  # characters


class ReadOnly(Refused):
    """The space can be read, and not changed: by this version of the software, or by this device."""

    code = "space.read-only"


@dataclass(slots=True)
class Commit:
    """A change that is being made.

    Attributes:
        change: To be filled.
        outcome: What became of it; None where nothing was to be changed.
    """

    change: Change
    outcome: Outcome | None = None


def check_may_write(core: Core, name: str) -> None:
    """See whether this device may change the space.

    Raises:
        ReadOnly: It may not.
    """
    membership, device = core.membership, core.device.public().id
    if membership.read_only:
        why, hint = why_read_only(membership, core.keys)
        raise ReadOnly(why, hint=hint)
    if membership.state.may_write(device):
        return
    if device in membership.state.frozen:
        raise ReadOnly(
            "this device is frozen: it was shown to have signed what no honest device signs",
            hint=f"an admin lets it go on: `ropewalk audit {name}` says more",
        )
    role = membership.state.role_of(device)
    what = f"this device may not write here: its role is {role.name.lower()}" if role else "this device was put out"
    raise ReadOnly(what, hint="ask an admin")


@asynccontextmanager
async def committing(core: Core, folder: Path, note: str, name: str) -> AsyncIterator[Commit]:
    """A change, published when the context ends without an error.  The caller has the turn.

    Args:
        core: The space.
        folder: For what is sorted on disk meanwhile.
        note: What the log says.
        name: What the user calls the space.

    Raises:
        BelowFloor: Too few stores could keep it; nothing was changed.
        ReadOnly: It came to light while what waited was to be published.
    """
    settled = await begin_change(core)
    core.warnings.extend(settled.notes)
    check_may_write(core, name)
    spool = Spool(folder)
    try:
        async with _writer(core) as writer:
            now, base = await start_of_change(core, settled.standing)
            change = Change(
                base,
                writer,
                (core.writer_id, settled.last + 1),
                core.maps,
                core.keys,
                spool,
                core.now,
                padded=core.padded,
            )
            change.note = note
            commit = Commit(change)
            yield commit
            if change.empty and len(now.heads) <= 1:
                return
            tree = await change.apply()
            if tree.root == now.root and (change.empty or len(now.heads) <= 1):
                return  # a head that says nothing new would make other devices answer it for ever
            small = writer.small(LARGEST_EMBEDDED)
            if small is None:
                await writer.flush()
            commit.outcome = await publish(
                core, tree.root, await tree.count(), now.vector, small, change.note[:LONGEST_NOTE]
            )
            if base.settled is SETTLED and len(now.vector) > 1:
                await core.ledger.do(State.remember_settled, tree.root or b"")
    finally:
        spool.close()


@asynccontextmanager
async def _writer(core: Core) -> AsyncIterator[Writer]:
    await core.pool.try_again()
    parts = core.keys, core.membership.policy, core.pool, core.ledger, core.cpu
    async with Writer(*parts, queue=core.queue if core.offline else None, cache=core.cache) as writer:
        core.writer = writer
        try:
            yield writer
        finally:
            core.writer = None
