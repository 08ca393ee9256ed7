"""Aftermath: what is left open after a device or a member was put out, said at once and in the outcome.

Flow: a space before and after -> who is in by the one that is out, who could undo it, what was taken back -> words
Never: asks, or changes anything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ropewalk.cli.output import Voice
from ropewalk.spaces.identity import PAPER
from ropewalk.spaces.members import GroupState, Membership, Names, Role, brought_by, is_senior
from ropewalk.spaces.space import Space

__all__ = ["seniors_of_device", "seniors_of_member", "still_in", "tell_still_in", "tell_taken_back", "undoes"]

MOST_NAMED = 20  # of who stays


def undoes(state: GroupState, out: bytes, signer: bytes) -> bool:
    """Whether a device that is put out could undo it, since it is senior to the one that signs."""
    return out in state.devices and signer in state.devices and is_senior(state, out, signer)


def seniors_of_device(membership: Membership, device: bytes) -> tuple[bool, list[bytes]]:
    """Whether the paper key of its member is senior to a device, and which others of the member's are."""
    state = membership.state
    devices = state.members[state.devices[device]].devices
    before = devices[: devices.index(device)]
    papers = [one for one in before if membership.devices[one].kind == PAPER]
    return bool(papers), [one for one in before if one not in papers]


def seniors_of_member(state: GroupState, member: bytes) -> list[bytes]:
    """Admins who are senior to a member."""
    return [one.id for one in state.admins() if one.role is Role.ADMIN and one.rank < state.members[member].rank]


def still_in(space: Space, out: Collection[bytes]) -> dict[str, list[dict[str, str]]]:
    """Who is in because a device that is out let them in, this device aside."""
    core = space.core
    names = Names(core.membership, core.keys)
    brought = brought_by(core.membership, out)
    mine = core.device.public().id
    ours = names.devices_of(core.membership.state.devices.get(mine, b""))
    return {
        "members": [{"id": one.hex(), "name": names.member(one)} for one in brought.members],
        "devices": [
            {"id": one.hex(), "name": names.device(one) if one in ours else names.whose(one)}
            for one in brought.devices
            if one != mine
        ],
    }


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
