"""Aftermath: what is left open after a device or a member was put out, said at once and in the outcome.

Flow: a space before and after -> who is in by the one that is out, what was taken back -> words
Never: asks, or changes anything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ropewalk.cli.output import Voice
from ropewalk.spaces.members import Membership, Names, who_stays
from ropewalk.spaces.space import Space

__all__ = ["still_in", "tell_still_in", "tell_taken_back"]

MOST_NAMED = 20  # of who stays


def still_in(space: Space, out: Collection[bytes]) -> dict[str, list[dict[str, str]]]:
    """Who is in because a device that is out let them in, this device aside."""
    core = space.core
    return who_stays(core.membership, core.keys, core.device.public().id, out)


def tell_still_in(called: str, still: dict[str, list[dict[str, str]]], voice: Voice) -> None:
    """Say who stays that somebody let in who is out."""
    let_in = [one["name"] for one in (*still["members"], *still["devices"])]
    if let_in:
        voice.warning(
            f"{called} had let in, and they stay: {_listed(let_in)};"
            " `ropewalk member remove` and `ropewalk device revoke` put them out"
        )


def tell_taken_back(space: Space, before: Membership, voice: Voice) -> None:
    """Say what became of records that this version does not know."""
    now = space.core.membership
    if before.read_only and not now.read_only:
        voice.note(f"the records that this version did not know were taken back: {space.name} can be changed again")
    elif before.read_only:
        names = Names(now, space.core.keys)
        voice.warning(f"{space.name} is still read-only, by {_listed(sorted(names.whose(one) for one in now.beyond))}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
